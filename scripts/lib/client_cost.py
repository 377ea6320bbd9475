"""The clients, the rounds and the accounting of `scripts/client-cost`; its tables are made in client_cost_table.py."""

import collections
import contextlib
import os
import pathlib
import re
import subprocess
import sys

from lib import accounts, brokers, peers, wire
from lib.report import need

# kafka-run-class.sh and kafka-producer-perf-test.sh, 4.3: what a user gets who sets nothing.
JVM = ["-Xmx512M", "-server", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-XX:InitiatingHeapOccupancyPercent=35",
       "-XX:+ExplicitGCInvokesConcurrent", "-Djava.awt.headless=true"]
PRODUCER = ("acks=1", "enable.idempotence=false", "batch.size=16384", "linger.ms=5")
PRODUCER_RD = ("acks=1", "enable.idempotence=false", "batch.size=16384", "linger.ms=5", "queue.buffering.max.kbytes=32768")
LARGE = ("acks=1", "enable.idempotence=false", "batch.size=262144", "linger.ms=5", "max.request.size=2097152")
CONSUMER_RD = ("auto.offset.reset=earliest", "fetch.message.max.bytes=1048576", "check.crcs=false")
FEW = 2000  # records of the run that stands for start and end

# A job: what is run, of which size, how many records by whom. Kafka's tools get fewer, as they take longer for each; no
# run of theirs is shorter than seconds, so that most of it is compiled code.
Job = collections.namedtuple("Job", "name verb bytes records")
JOBS = [
    Job("produce 100 B", "produce", 100, {"ringlog": 4_000_000, "kafka": 1_200_000, "librdkafka": 3_000_000}),
    Job("produce 1 KB", "produce", 1024, {"ringlog": 1_000_000, "kafka": 300_000, "librdkafka": 700_000}),
    Job("consume 100 B", "consume", 100, {"ringlog": 4_000_000, "kafka": 3_000_000, "librdkafka": 4_000_000}),
    Job("consume 1 KB", "consume", 1024, {"ringlog": 1_000_000, "kafka": 1_000_000, "librdkafka": 1_000_000}),
]
CLIENTS = ("ringlog", "kafka", "librdkafka")
# Against the null broker: ours alone, what one core of it can do. (name, verb, options, records)
CEILING_BYTES = 1024
CEILINGS = [
    ("produce, random payload, 16 KiB batches", "produce", PRODUCER, False, 1_000_000),
    ("produce, payload file, 16 KiB batches", "produce", PRODUCER, True, 2_000_000),
    ("produce, payload file, 256 KiB batches", "produce", LARGE, True, 4_000_000),
    ("consume", "consume", (), False, 10_000_000),
]
Row = collections.namedtuple("Row", "round broker job client records bytes seconds cpu_s start_cpu_s foreign_s "
                                    "records_per_cpu_s")


class Bench:
    """Both brokers on one core, the clients on another."""

    def __init__(self, options, folder):
        self.options, self.folder = options, folder
        self.binary = str(brokers.ringlog_binary(options.bin))
        self.broker = brokers.new("ringlog", folder / "ringlog", binary=options.bin, cpus=options.broker_cpu,
                                  overrides={**accounts.OVERRIDES, "num.partitions": 1})
        self.librdkafka = build_librdkafka(folder)
        self.payload_file = folder / "payload.txt"
        self.payload_file.write_text("RINGLOG!" * (CEILING_BYTES // 8))
        self.starts, self.topics = {}, 0

    @contextlib.contextmanager
    def started(self):
        null = [self.binary, "null-broker", "--core", self.options.broker_cpu]
        with self.broker, subprocess.Popen(null, stdout=subprocess.PIPE, text=True) as process:
            try:
                self.null_port = int(re.search(r"(\d+)\s*$", process.stdout.readline()).group(1))
                self.null_pid = process.pid
                yield self
            finally:
                process.kill()

    def new_topic(self):
        self.topics += 1
        name = f"cost-{self.topics}"
        need(wire.make_topic(self.broker.port, name) == 0, f"topic {name} is not created")
        wire.leader_port(self.broker.port, name)
        return name

    def command(self, client, job, topic, records):
        where = self.broker.bootstrap
        if client == "librdkafka":
            words = [self.librdkafka, job.verb, where, topic, records]
            return words + ([job.bytes, *PRODUCER_RD] if job.verb == "produce" else
                            [*CONSUMER_RD, f"group.id={topic}-{os.urandom(4).hex()}"])
        tool = {"produce": ("producer-perf", "kafka-producer-perf-test"),
                "consume": ("consumer-perf", "kafka-consumer-perf-test")}[job.verb]
        program = [self.binary, tool[0]] if client == "ringlog" else \
            [peers.java(), *JVM, "-cp", peers.class_path(), peers.tool_class(tool[1])]
        rest = ["--record-size", job.bytes, "--throughput", -1, "--command-property", *PRODUCER] \
            if job.verb == "produce" else ["--timeout", 60000]
        return [*program, "--bootstrap-server", where, "--topic", topic, "--num-records", records, *rest]

    def ceiling_command(self, verb, properties, from_file, records):
        where = ["--bootstrap-server", f"127.0.0.1:{self.null_port}", "--topic", "null", "--num-records", records]
        if verb == "consume":
            return [self.binary, "consumer-perf", *where, "--timeout", 60000]
        payload = ["--payload-file", self.payload_file] if from_file else ["--record-size", CEILING_BYTES]
        return [self.binary, "producer-perf", *where, "--throughput", -1, *payload, "--command-property", *properties]

    def measured(self, command, records, pid):
        """(seconds as the tool says, CPU seconds, CPU seconds of others meanwhile) of one run."""
        command = [str(word) for word in ["taskset", "-c", self.options.client_cpu, *command]]
        before = accounts.machine_cpu_s(), cpu_of(pid), accounts.kernel_cpu_s(), os.times().elapsed
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        said = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        after = accounts.machine_cpu_s(), cpu_of(pid), accounts.kernel_cpu_s(), os.times().elapsed
        machine, broker, kernel, seconds = (b - a for a, b in zip(before, after))
        own = usage.ru_utime + usage.ru_stime
        need(process.returncode == 0 and "Exception" not in said and "failed, such as" not in said,
             f"the client ended with {process.returncode}: {said[-800:]}")
        need(moved(said) >= records, f"{moved(said)} records moved where {records} were due: {said[-500:]}")
        return seconds, own, machine - own - broker - kernel


def cpu_of(pid):
    text = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    fields = text.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def moved(said):
    """The records that the client says it moved: Kafka's summary line, Kafka's row, or our C program's line."""
    for pattern in (r"^(\d+) records sent, .*99\.9th\.$", r"^\d{4}-\d\d-\d\d [\d:]+, (?:[^,]+, ){3}(\d+),",
                    r"^(\d+) delivered, 0 failed$", r"^(\d+) records, \d+ bytes$"):
        found = re.findall(pattern, said, re.M)
        if found:
            return int(found[-1])
    return -1


def build_librdkafka(folder):
    """Our C program against Debian's librdkafka."""
    peers.program("gcc", "gcc")
    if not pathlib.Path("/usr/include/librdkafka/rdkafka.h").exists():
        peers.install("librdkafka-dev")
    out = folder / "librdkafka_cost"
    peers.run(["gcc", "-O2", "-o", str(out), str(peers.HERE / "librdkafka_cost.c"), "-lrdkafka"])
    return out


def run(options):
    """All rounds; the rows."""
    rows = []
    with brokers.scratch("ringlog-cost-") as folder, Bench(options, folder).started() as bench:
        warm_up(bench)
        filled = fill(bench)
        starts(bench, filled)
        for number in range(1, options.rounds + 1):
            for job in JOBS:
                rows += [one(bench, number, job, client, filled) for client in CLIENTS]
            rows += [ceiling(bench, number, *shape) for shape in CEILINGS]
        version = subprocess.run([bench.librdkafka, "version"], capture_output=True, text=True).stdout.strip()
    return rows, version


def warm_up(bench):
    """Memory that the broker's log will use is touched once: a topic of 1 GB is written and deleted."""
    job = JOBS[1]
    topic = bench.new_topic()
    bench.measured(bench.command("ringlog", job, topic, 1_000_000), 1_000_000, bench.broker.process.pid)
    accounts.delete(bench.broker, topic)


def fill(bench):
    """A topic for each consume job, written by our producer."""
    topics = {}
    for job in JOBS:
        if job.verb == "consume":
            topics[job.name] = bench.new_topic()
            writing = job._replace(verb="produce")
            records = max(job.records.values())
            bench.measured(bench.command("ringlog", writing, topics[job.name], records), records,
                           bench.broker.process.pid)
    return topics


def starts(bench, filled):
    """CPU seconds of a run of few records, the lesser of two: Java's start, connecting, joining, ending."""
    for client in CLIENTS:
        for verb in ("produce", "consume"):
            job = next(job for job in JOBS if job.verb == verb)
            topic = filled.get(job.name) or bench.new_topic()
            runs = [bench.measured(bench.command(client, job, topic, FEW), FEW, bench.broker.process.pid)[1]
                    for _ in range(2)]
            bench.starts[client, verb] = min(runs)


def one(bench, number, job, client, filled):
    records = job.records[client]
    topic = filled.get(job.name) or bench.new_topic()
    command = bench.command(client, job, topic, records)
    spent = bench.measured(command, records, bench.broker.process.pid)
    if job.verb == "produce":
        accounts.delete(bench.broker, topic)
    return row(bench, number, "ringlog", job.name, client, (records, job.bytes), spent, bench.starts[client, job.verb], FEW)


def ceiling(bench, number, name, verb, properties, from_file, records):
    command = bench.ceiling_command(verb, properties, from_file, records)
    spent = bench.measured(command, records, bench.null_pid)
    return row(bench, number, "null-broker", name, "ringlog", (records, CEILING_BYTES), spent, 0.0, 0)


def row(bench, number, broker, job, client, amount, spent, start, few):
    (records, size), (seconds, cpu_s, foreign_s) = amount, spent
    rate = (records - few) / (cpu_s - start)
    made = Row(number, broker, job, client, records, size, seconds, cpu_s, start, foreign_s, rate)
    print(f"round {number} {broker:11} {job:40} {client:10} {rate / 1e6:8.2f} M records/CPU s, {records / seconds / 1e6:6.2f} "
          f"M records/s, others {max(foreign_s, 0) / seconds:4.0%} of a core", file=sys.stderr, flush=True)
    return made
