"""The checks of `perf-extras`: one broker, one binary, each extra by what it leaves behind. Ledgers: extras_ledger.py."""

import collections
import json
import pathlib
import re
import signal
import subprocess
import time

from lib import brokers, extras_ledger, extras_run, peers, readers, wire
from lib.extras_ledger import verdict
from lib.report import need

HERE = pathlib.Path(__file__).resolve().parent
SUMMARY = re.compile(r"^(\d+) records sent, ([\d.]+) records/sec \(([\d.]+) MB/sec\)", re.M)
PARTITIONS = 3


class Context:
    """What the checks share."""

    def __init__(self, report, broker, binary, folder, label):
        self.report, self.broker, self.binary, self.folder, self.label = report, broker, binary, folder, label

    def check(self, name, function):
        return self.report.check(f"{self.label} {name}", function, self)

    def create(self, topic, partitions=PARTITIONS):
        need(wire.make_topic(self.broker.port, topic, partitions) == 0, f"{topic} cannot be made")
        for partition in range(partitions):
            wire.leader_port(self.broker.port, topic, partition)

    def start(self, verb, *arguments):
        return subprocess.Popen([str(self.binary), verb, "--bootstrap-server", self.broker.bootstrap,
                                 *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def run(self, verb, *arguments, due=0, limit_s=120):
        """Standard output of a run that ends with this code."""
        process = self.start(verb, *arguments)
        out, err = process.communicate(timeout=limit_s)
        need(process.returncode == due, f"exit code {process.returncode}, not {due}: {out[-500:]} {err[-500:]}")
        return out

    def produce(self, topic, *arguments, **how):
        return self.run("producer-perf", "--topic", topic, *arguments, **how)

    def path(self, name):
        return self.folder / name

    def ends(self, topic, partitions=PARTITIONS):
        """The sum of the partitions' ends, as the broker says."""
        return sum(end_of(self.broker.port, topic, partition) for partition in range(partitions))


def end_of(port, topic, partition):
    with wire.Connection(wire.leader_port(port, topic, partition)) as connection:
        cursor = connection.ask(wire.list_offsets(topic, partition, -1))
        cursor.take("i"), cursor.string(), cursor.take("i")
        _, code, _, offset = cursor.take("ihqq")
        need(code == 0, f"ListOffsets: error {code}")
        return offset


def run(report, target, binary, version):
    label = "ringlog" if target == "ringlog" else f"kafka-{version}"
    with brokers.scratch() as folder:
        broker = brokers.new(target, folder / "broker", binary=binary, version=version)
        try:
            broker.start()
            ctx = Context(report, broker, binary, folder, label)
            in_transactions = extras_ledger.TRANSACTION_CHECKS + extras_run.TRANSACTION_CHECKS
            for name, function in CHECKS + extras_run.CHECKS + (in_transactions if has_transactions(broker) else []):
                ctx.check(name, function)
        finally:
            broker.kill()


def has_transactions(broker):
    """Whether the broker announces EndTxn; one that does not refuses transactions with that reason."""
    with wire.Connection(broker.port) as connection:
        cursor = connection.ask(wire.request(wire.API_VERSIONS, 0, b""))
        need(cursor.take("h") == 0, "ApiVersions")
        return any(cursor.take("hhh")[0] == wire.END_TXN for _ in range(cursor.take("i")))


# Numbers --------------------------------------------------------------------------------------------------------


def totals(ctx):
    """The JSON's totals, the compatible line and the broker's offsets are one number; so are the series' sums."""
    details = []
    for clients in (1, 2):
        topic, path = f"totals-{clients}", ctx.path(f"totals-{clients}.json")
        ctx.create(topic)
        out = ctx.produce(topic, "--num-records", 50_001, "--record-size", 100, "--throughput", 25_000,
                          "--clients", clients, "--json", path)
        line, document = SUMMARY.search(out), json.loads(path.read_text())
        numbers = {
            "line": int(line[1]), "json": document["totals"]["acknowledged"], "sent": document["totals"]["sent"],
            "series": sum(row["done"] for row in document["seconds"]), "offsets": ctx.ends(topic),
            "response": document["response_us"]["records"], "service": document["service_us"]["records"],
        }
        need(set(numbers.values()) == {50_001}, f"{clients} clients: {numbers}")
        need(document["summary"] == [line.string.splitlines()[-1]], f"another line: {document['summary']}")
        rate = document["totals"]["records_per_s"]
        need(abs(rate / float(line[2]) - 1) < 0.02, f"{rate} records/s in the JSON, {line[2]} in the line")
        need(document["config"]["batch.size"] == "16384" and document["config"]["acks"] in ("all", "-1"), "settings")
        need(document["host"]["cores"] >= 1 and "--json" in document["command"], "host or command")
        details.append(f"{clients} clients: {numbers['offsets']} in all seven places")
    return "; ".join(details)


def hdr_log(ctx):
    """Java's HdrHistogram reads the same count and percentiles as the JSON has; in a closed loop both kinds are there."""
    ctx.create("hdr")
    log, path = ctx.path("run.hlog"), ctx.path("hdr.json")
    ctx.produce("hdr", "--num-records", 60_000, "--record-size", 100, "--throughput", 20_000, "--clients", 2,
                "--hdr-log", log, "--json", path)
    read, document = read_hlog(log), json.loads(path.read_text())
    for tag in ("response", "service"):
        count, p50, p99, highest = read[tag]
        latency = document[f"{tag}_us"]
        need(count == 60_000, f"{tag}: {count} samples")
        for name, value in (("p50", p50), ("p99", p99), ("max", highest)):
            need(abs(value / 1000 / latency[name] - 1) < 0.002, f"{tag} {name}: {value / 1000} us, JSON {latency[name]}")
    seconds = [line for line in log.read_text().splitlines() if line.startswith("Tag=response")]
    need(len(seconds) == len({line.split(",")[1] for line in seconds}) >= 3, f"{len(seconds)} lines of response")
    need(read["response"][2] >= read["service"][2], "a response time below the service time")
    ctx.run("consumer-perf", "--topic", "hdr", "--num-records", 60_000, "--clients", 2, "--hdr-log", log, "--json", path)
    count, _, p99, _ = read_hlog(log)["end-to-end"]
    document = json.loads(path.read_text())
    need(document["totals"]["read"] >= count == document["end_to_end_us"]["records"] >= 60_000, f"{count} end to end")
    need(abs(p99 / 1000 / document["end_to_end_us"]["p99"] - 1) < 0.002, "end to end p99")
    return f"60000 response and service, {count} end to end, p50, p99 and max as Java reads them"


def read_hlog(path):
    libs = peers.kafka_libs()
    jar = next(libs.glob("HdrHistogram-*.jar"))
    done = subprocess.run([peers.java(), "-cp", str(jar), str(HERE / "HlogTotals.java"), str(path)], capture_output=True,
                          text=True, timeout=120, check=False)
    need(done.returncode == 0, done.stderr[-500:])
    rows = [line.split() for line in done.stdout.splitlines()]
    return {row[0]: tuple(map(int, row[1:])) for row in rows}


def stalled(ctx, topic, *extras):
    """The document of a run of 6 s in which the broker stands still from the second second to the fourth."""
    ctx.create(topic)
    path = ctx.path(f"{topic}.json")
    settings = ("--producer-props", "buffer.memory=65536", "max.block.ms=20000")
    process = ctx.start("producer-perf", "--topic", topic, "--duration", 6, "--throughput", 5000, "--record-size", 1000,
                        *extras, "--json", path, *settings)
    time.sleep(2)
    ctx.broker.process.send_signal(signal.SIGSTOP)
    time.sleep(2)
    ctx.broker.process.send_signal(signal.SIGCONT)
    out, err = process.communicate(timeout=60)
    need(process.returncode == 0, f"{out} {err}")
    return json.loads(path.read_text())


def open_loop(ctx):
    """While the broker stands still the schedule goes on: responses grow to the length of the stall, services do not."""
    document = stalled(ctx, "open", "--open-loop")
    response, totals = document["response_us"], document["totals"]
    # The stall is 2 s of 6: a third of the records were due in it, and half of those waited a second or more.
    need(1_500_000 < response["max"] < 4_000_000 and response["p90"] > 700_000, f"response {response}")
    need(document["service_us"]["p90"] < response["p90"] / 2, f"service {document['service_us']}")
    need(totals["late"] > 5000, f"{totals['late']} late records")
    need(totals["sent"] + totals["dropped"] == 30_000, f"{totals} of 30000 that were due")
    return f"max {response['max'] / 1e6:.2f} s, {totals['late']} late, {totals['dropped']} dropped"


def closed_and_open(ctx):
    """The same stall in a closed loop hides in the percentiles of the service time and shows in those of the response."""
    document = stalled(ctx, "closed")
    response, service = document["response_us"]["p90"], document["service_us"]["p90"]
    need(response > 4 * service, f"response p90 {response} us, service p90 {service} us")
    return f"response p90 {response / 1e3:.0f} ms, service p90 {service / 1e3:.1f} ms"


# Records --------------------------------------------------------------------------------------------------------


def shapes(ctx):
    """Sizes, keys and ratios as another client reads them."""
    ctx.create("sizes")
    ctx.produce("sizes", "--num-records", 5000, "--throughput", -1, "--record-size-dist", "uniform:50..149",
                "--keys", "zipf:100,1")
    got = readers.kcat(ctx.broker, "sizes")
    sizes = [len(record.value) for record in got]
    need(len(got) == 5000 and min(sizes) >= 50 and max(sizes) <= 149 and abs(sum(sizes) / 5000 - 99.5) < 3, "sizes")
    keys = collections.Counter(record.key for record in got)
    need(len(keys) <= 100 and abs(keys[b"0"] / keys[b"1"] - 2) < 0.4, f"keys {keys.most_common(3)}")
    ctx.create("sequence")
    ctx.produce("sequence", "--num-records", 3000, "--throughput", -1, "--record-size", 20, "--keys", "sequence",
                "--clients", 2)
    keys = sorted(int(record.key) for record in readers.kcat(ctx.broker, "sequence"))
    need(keys == list(range(3000)), "sequence keys of two clients")
    return f"{ratios(ctx)}, uniform sizes, zipf and sequence keys"


def ratios(ctx):
    reached = []
    for ratio in (1, 3):
        ctx.create(f"ratio-{ratio}", 1)
        out = ctx.produce(f"ratio-{ratio}", "--num-records", 20_000, "--throughput", -1, "--record-size", 1000,
                          "--compressibility", ratio, "--print-metrics", "--producer-props", "compression.type=zstd")
        rate = float(re.search(r"producer-metrics:compression-rate-avg:\S+ *: ([\d.]+)", out)[1])
        need(abs(rate * ratio - 1) < 0.15, f"ratio {ratio}: zstd made it {rate}")
        reached.append(f"zstd {1 / rate:.2f} for {ratio}")
    return ", ".join(reached)


def durations(ctx):
    """--duration ends a run, --num-records may be missing, --warmup-seconds measures the rest apart."""
    ctx.create("duration")
    path = ctx.path("duration.json")
    out = ctx.produce("duration", "--duration", 3, "--throughput", 2000, "--record-size", 100, "--warmup-seconds", 1,
                      "--json", path, "--latency-summary")
    document = json.loads(path.read_text())
    need(2.9 < document["totals"]["elapsed_s"] < 4, f"{document['totals']['elapsed_s']} s")
    steady = int(re.search(r"^(\d+) steady state records sent", out, re.M)[1])
    need(document["response_us"]["records"] == steady and abs(steady - 4000) < 300, f"{steady} steady records")
    need(f"of {steady} records" in out and ctx.ends("duration") == document["totals"]["acknowledged"], out)
    out = ctx.run("consumer-perf", "--topic", "duration", "--duration", 2)
    need(f", {document['totals']['acknowledged']}, " in out and "WARNING" not in out, out)
    return f"{steady} of the steady state"


def strict(ctx):
    """A send that failed: exit code 0 as Kafka's, 1 with --strict."""
    ctx.create("strict", 1)
    too_large = ("--num-records", 3, "--record-size", 2_000_000, "--throughput", -1)
    out = ctx.produce("strict", *too_large)
    need("0 records sent" in out, out)
    ctx.produce("strict", *too_large, "--strict", due=1)
    ctx.produce("strict", "--num-records", 3, "--record-size", 20, "--throughput", -1, "--strict")
    return "exit codes 0, 1, 0"


# Signals --------------------------------------------------------------------------------------------------------


def interrupted(ctx):
    """Ctrl-C: the summary so far, the files, the JVM's exit codes; also when the broker is gone."""
    ctx.create("interrupted")
    for sign, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        path, ledger = ctx.path(f"int-{code}.json"), ctx.path(f"int-{code}.ledger")
        process = ctx.start("producer-perf", "--topic", "interrupted", "--num-records", 10_000_000, "--throughput", 5000,
                            "--record-size", 100, "--json", path, "--ledger", ledger)
        time.sleep(2)
        out, _ = end(process, sign, code, limit_s=3)
        sent, document = int(SUMMARY.search(out)[1]), json.loads(path.read_text())
        kept = json.loads(ledger.read_text())
        ranges = [r for w in kept["writers"] for p in w["partitions"] for r in p["acknowledged"]]
        need(sent == document["totals"]["acknowledged"] == sum(last - first for first, last in ranges) > 3000, out)
        need(document["signal"] == sign, f"signal {document['signal']}")
    reader = ctx.start("consumer-perf", "--topic", "interrupted", "--num-records", 100_000_000, "--timeout", 60_000)
    time.sleep(2)
    out, _ = end(reader, signal.SIGINT, 130, limit_s=6)
    need(f", {ctx.ends('interrupted')}, " in out.splitlines()[-1], out)
    one_by_one = ctx.start("e2e-latency", "--topic", "interrupted-e2e", "--num-records", 10_000_000, "--producer-acks", "all",
                           "--record-size", 100)
    time.sleep(2)
    out, _ = end(one_by_one, signal.SIGINT, 130, limit_s=3)
    last_told = int(re.findall(r"^(\d+)\t", out, re.M)[-1])
    need(re.search(r"^Avg latency: \d+\.\d{4} ms\nPercentiles: 50th = ", out, re.M), out)
    need(last_told < ctx.ends("interrupted-e2e", 1) <= last_told + 1001, out[-300:])
    return f"130, 143, 130 and 130; {gone(ctx)}"


def gone(ctx):
    """The broker is killed, the sends block, and Ctrl-C still ends it within seconds."""
    ledger = ctx.path("gone.ledger")
    process = ctx.start("producer-perf", "--topic", "interrupted", "--num-records", 10_000_000, "--throughput", -1,
                        "--record-size", 1000, "--ledger", ledger)
    time.sleep(1.5)
    ctx.broker.kill()
    try:
        time.sleep(2)
        started = time.monotonic()
        out, err = end(process, signal.SIGINT, 130, limit_s=8)
        spent = time.monotonic() - started
        need(SUMMARY.search(out) and "did not close in time" in err or "records failed" in err, f"{out} {err}")
    finally:
        ctx.broker.start()
    said = verdict(ctx.run("consumer-perf", "--topic", "interrupted", "--ledger", ledger))
    need(said["unknown"] > 0 and said["words"] == "adds up", f"{said}")
    return f"broker gone: ended after {spent:.1f} s, {said['unknown']} unknown, and the rest adds up"


def end(process, sign, code, limit_s):
    process.send_signal(sign)
    try:
        out, err = process.communicate(timeout=limit_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        need(False, f"still running {limit_s} s after signal {sign}")
    need(process.returncode == code, f"exit code {process.returncode}, not {code}: {out[-300:]} {err[-300:]}")
    return out, err


CHECKS = [
    ("totals are one number in every place", totals), ("hdr log as Java reads it", hdr_log),
    ("open loop keeps its schedule", open_loop), ("closed loop tells both times", closed_and_open),
    ("sizes, keys and ratios", shapes), ("durations and warm-up", durations), ("strict", strict),
    *extras_ledger.CHECKS,
    ("signals", interrupted),
]
