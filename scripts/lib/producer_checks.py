"""The checks of scripts/producer-check. Payloads are the numbers of the records, so that content tells loss from double."""

import collections
import contextlib
import socket
import subprocess
import threading
import time
from functools import partial

from lib import brokers
from lib.lanes import Part
from lib.report import Failed, need
from lib.tools import Tools

RECORDS = 20_000
#: Codec, two levels that must differ in size.
LEVELS = [("gzip", 1, 9), ("lz4", 1, 17), ("lz4", 9, 12), ("zstd", 1, 19)]
CLUSTER = 3
#: How long a broker is not there yet.
LATE_S = 8


class Bench:
    """What a check has at hand: the binary, Kafka's tools, one broker or a cluster."""

    def __init__(self, folder, options, tools, binary):
        self.folder, self.version, self.plant = folder, options.version, options.plant
        self.tools, self.binary = tools, binary
        self.bootstrap = None

    def producer(self, topic, records, *arguments, throughput=-1, bootstrap=None):
        """The command line of a run that sends the numbers 0 to `records` - 1."""
        return [str(self.binary), "producer-perf", "--topic", topic, "--num-records", str(records),
                "--throughput", str(throughput), "--payload-monotonic", "--bootstrap-server",
                bootstrap or self.bootstrap, *map(str, arguments)]

    def produce(self, topic, *arguments, records=RECORDS, timeout_s=120, **rest):
        done = subprocess.run(self.producer(topic, records, *arguments, **rest), capture_output=True, text=True,
                              timeout=timeout_s)
        need(done.returncode == 0, f"producer-perf ended with {done.returncode}: {done.stderr[-400:]}")
        need("failed" not in done.stderr, f"records failed: {done.stderr[-400:]}")
        return done.stdout

    def tool(self, name, *arguments, timeout_s=90):
        result = self.tools.run(name, "--bootstrap-server", self.bootstrap, *arguments, timeout_s=timeout_s)
        return result.out if isinstance(result.out, str) else result.out.decode()

    def create(self, topic, *configs, partitions=3, replicas=1):
        more = [word for config in configs for word in ("--config", config)]
        self.tool("kafka-topics", "--create", "--topic", topic, "--partitions", partitions,
                  "--replication-factor", replicas, *more)

    def read(self, pattern, isolation="read_committed"):
        """Every value of the topics that match, as Kafka's console consumer gives it until nothing came for a while."""
        out = self.tool("kafka-console-consumer", "--include", pattern, "--from-beginning", "--timeout-ms", "6000",
                        "--isolation-level", isolation, timeout_s=180)
        values = [int(line) for line in out.splitlines() if line.isdigit()]
        return {"lose": values[1:], "double": values + values[:1]}.get(self.plant, values)

    def compare(self, pattern, records=RECORDS, topics=1):
        """Every number once in each topic that matches."""
        counts = collections.Counter(self.read(pattern))
        lost = [number for number in range(records) if counts[number] < topics]
        doubled = [number for number, count in counts.items() if count > topics]
        strange = [number for number in counts if number >= records]
        need(not (lost or doubled or strange),
             f"{len(lost)} lost {lost[:5]}, {len(doubled)} doubled {doubled[:5]}, {len(strange)} strange")
        return f"{records} records, each once"


def parts(options):
    """Side by side (lib/lanes.py), each on brokers of its own."""
    for takes_s, *checks in ((45, check_late_broker), (30, check_transactions), (30, check_levels, check_split),
                             (20, check_fencing)):
        if wanted := [check for check in checks if options.only is None or options.only in check.__name__]:
            yield Part(wanted[0].__name__, takes_s, partial(on_one, options=options, checks=wanted))
    yield Part("check_dead_leader", 50, partial(on_a_cluster, options=options))


@contextlib.contextmanager
def bench_for(options):
    with brokers.scratch("ringlog-producer-") as folder, Tools(options.version) as tools:
        yield Bench(folder, options, tools, brokers.ringlog_binary(options.bin))


def on_one(report, options, checks):
    with bench_for(options) as bench, \
            brokers.Kafka(bench.folder / "one", brokers.free_ports(2), version=bench.version) as kafka:
        bench.bootstrap = kafka.bootstrap
        for check in checks:
            report.check(check.__name__, check, bench)


def on_a_cluster(report, options):
    if report.wants("check_dead_leader"):
        with bench_for(options) as bench:
            report.check("check_dead_leader", check_dead_leader, bench)


def check_transactions(bench):
    """Many short transactions, every record committed once."""
    bench.create("tx")
    bench.produce("tx", "--transactional-id", "tx", "--transaction-duration-ms", 100, throughput=RECORDS // 3)
    described = bench.tool("kafka-transactions", "describe", "--transactional-id", "tx")
    need("CompleteCommit" in described, f"the coordinator does not say that it is committed: {described[-300:]}")
    return bench.compare("tx")


def check_fencing(bench):
    """A second producer with the same id ends the first, and what the first left open is never read."""
    bench.create("fence")
    arguments = ["--transactional-id", "fenced", "--transaction-duration-ms", 600_000]
    first = subprocess.Popen(bench.producer("fence", 1_000_000, *arguments, throughput=1000),
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    time.sleep(4)
    bench.produce("fence", *arguments)
    try:
        _, said = first.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        first.kill()
        raise Failed("the fenced producer went on")
    need(first.returncode == 1, f"the fenced producer ended with {first.returncode}")
    need("has been fenced by another producer" in said or "attempted to produce with an old epoch" in said, f"it does not say why: {said[-400:]}")
    dirty = len(bench.read("fence", "read_uncommitted"))
    need(dirty > RECORDS, f"the first producer had written nothing: {dirty}")
    return f"{bench.compare('fence')}; {dirty - RECORDS} aborted ones are not read; said: {said.strip().splitlines()[-1][:160]}"


def check_levels(bench):
    """Every level is read back, and levels differ in size."""
    # All are read at once: the reader waits for seconds at the end of what there is.
    said = []
    for codec, low, high in LEVELS:
        sizes = []
        for level in (low, high):
            topic = f"level-{codec}-{low}-{high}-at-{level}"
            bench.create(topic, partitions=1)
            settings = [f"compression.type={codec}", f"compression.{codec}.level={level}", "linger.ms=50",
                        "batch.size=200000", "client.id=levels"]
            bench.produce(topic, "--command-property", *settings)
            log = bench.folder / "one" / "log" / f"{topic}-0" / "00000000000000000000.log"
            sizes.append(log.stat().st_size)
        need(sizes[1] < sizes[0], f"{codec} {low} and {high} take {sizes} bytes")
        said.append(f"{codec} {low}:{sizes[0]} {high}:{sizes[1]}")
    bench.compare("level-.*", topics=2 * len(LEVELS))
    return ", ".join(said)


def check_split(bench):
    """Batches above the topic's limit go out in parts."""
    for name, codec in [("plain", "none"), ("packed", "gzip")]:
        topic = f"split-{name}"
        bench.create(topic, "max.message.bytes=1500", partitions=1)
        out = bench.produce(topic, "--print-metrics", "--command-property", f"compression.type={codec}",
                            "batch.size=65536", "linger.ms=100", records=5000)
        need(out, "no output")
        bench.compare(topic, 5000)
    return "5000 records each, plain and gzip, under max.message.bytes=1500"


@contextlib.contextmanager
def door(broker_port, closed_s):
    """An address that takes connections and ends them for so long, then leads to the broker: a load balancer while its
    broker starts. Gives the port and a list of how many connections it ended."""
    opens, ended = time.monotonic() + closed_s, []
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            if time.monotonic() < opens:
                # What was read before is no reason to reset: the client sees a plain end.
                client.settimeout(1)
                with client, contextlib.suppress(OSError):
                    ended.append(client.recv(65536))
                continue
            try:
                broker = socket.create_connection(("127.0.0.1", broker_port))
            except OSError:
                client.close()
                continue
            for ends in ((client, broker), (broker, client)):
                threading.Thread(target=forward, args=ends, daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield listener.getsockname()[1], ended
    finally:
        listener.close()


def forward(source, sink):
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


def check_late_broker(bench):
    """Connections that end without a word for ten seconds: Kafka's producer, ours and our consumer wait and go on."""
    said = []
    for who in ("kafka", "ours"):
        topic = f"late-{who}"
        bench.create(topic, partitions=1)
        with door(int(bench.bootstrap.rsplit(":", 1)[1]), LATE_S) as (port, ended):
            address = f"127.0.0.1:{port}"
            started = time.monotonic()
            if who == "kafka":
                bench.tools("kafka-producer-perf-test", "--topic", topic, "--num-records", 1000, "--payload-monotonic",
                            "--throughput", -1, "--producer-props", f"bootstrap.servers={address}", timeout_s=60)
            else:
                reader = start_reader(bench, address, topic)
                done = subprocess.run(bench.producer(topic, 1000, bootstrap=address), capture_output=True, text=True,
                                      timeout=60)
                need(done.returncode == 0 and "failed" not in done.stderr, f"{done.returncode}: {done.stderr[-400:]}")
                need(f"WARN no connection to {address}: the broker closed the connection before" in done.stderr,
                     f"it does not say why it waits: {done.stderr[-400:]}")
                row, errors = reader.communicate(timeout=60)
                need(reader.returncode == 0 and row.strip().splitlines()[-1].split(", ")[4] == "1000", row + errors)
                need("WARN no connection to" in errors, f"consumer-perf does not say why it waits: {errors}")
            took_s = time.monotonic() - started
            need(took_s > LATE_S and len(ended) >= 10, f"{who} waited {took_s:.1f} s, {len(ended)} connections ended")
        said.append(f"{who}: {bench.compare(topic, 1000)}, {len(ended)} connections ended before")
    return "; ".join(said)


def start_reader(bench, address, topic):
    return subprocess.Popen([str(bench.binary), "consumer-perf", "--bootstrap-server", address, "--topic", topic,
                             "--num-records", "1000", "--timeout", "40000"], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)


@contextlib.contextmanager
def running_cluster(folder, version):
    """Three brokers that are controllers too, started together."""
    base = brokers.free_ports(2 * CLUSTER)
    voters = ",".join(f"{node}@127.0.0.1:{base + 2 * node - 1}" for node in range(1, CLUSTER + 1))
    settings = {"controller.quorum.voters": voters, "offsets.topic.replication.factor": CLUSTER,
                "replica.lag.time.max.ms": 3000}
    nodes = [brokers.Kafka(folder / f"node-{node}", base + 2 * (node - 1), version=version,
                           overrides={**settings, "node.id": node}) for node in range(1, CLUSTER + 1)]
    try:
        for node in nodes:
            node.launch()
        until = time.monotonic() + 90
        while not all(node.ready() for node in nodes):
            need(time.monotonic() < until, "the cluster does not answer")
            time.sleep(0.2)
        yield nodes
    finally:
        for node in nodes:
            node.kill()


def check_dead_leader(bench):
    """The leader is killed in the middle of a run and comes back: nothing is lost, nothing doubled."""
    with running_cluster(bench.folder, bench.version) as nodes:
        bench.bootstrap = ",".join(node.bootstrap for node in nodes)
        return kill_leader(bench, nodes)


def kill_leader(bench, nodes):
    records = 60_000
    bench.create("moves", "min.insync.replicas=2", partitions=3, replicas=CLUSTER)
    run = subprocess.Popen(bench.producer("moves", records, "--command-property", "acks=all", "linger.ms=2",
                                          throughput=records // 20),
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        time.sleep(6)
        need(run.poll() is None, "the run was over before the leader died")
        leader = leader_of(bench, "moves")
        nodes[leader - 1].kill()
        time.sleep(5)
        nodes[leader - 1].launch()
        _, said = run.communicate(timeout=150)
    finally:
        run.kill()
    need(run.returncode == 0 and "failed" not in said, f"ended with {run.returncode}: {said[-400:]}")
    return f"node {leader} died and came back; {bench.compare('moves', records)}"


def leader_of(bench, topic):
    described = bench.tool("kafka-topics", "--describe", "--topic", topic)
    words = described.replace("\t", " ").split()
    return int(words[words.index("Leader:") + 1])
