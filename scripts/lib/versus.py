"""The rounds, the accounting and the table of `scripts/versus-kafka`."""

import collections
import csv
import datetime
import json
import os
import pathlib
import platform
import re
import shutil
import statistics
import struct
import subprocess
import sys
import time

from lib import brokers, checks_perf, peers, wire, writers

RECORD_BYTES = 1024
MB = 1 << 20
QUIET_SHARE = 0.04  # ticks are sampled: a few per cent are noise
FREE_MIN_BYTES = 12 << 30
# Deleted topics must be gone before the next round, on both.
OVERRIDES = {"log.segment.delete.delay.ms": 100, "log.retention.check.interval.ms": 1000}

SHAPES = {
    "produce-16k": ("acks=1", "enable.idempotence=false", "batch.size=16384", "linger.ms=5"),
    "produce-1m": ("acks=1", "enable.idempotence=false", "batch.size=1048576", "linger.ms=10",
                   "max.request.size=2097152", "buffer.memory=67108864"),
}
Row = collections.namedtuple("Row", "pair broker shape mb seconds mb_s machine_s client_s resting_s broker_s "
                                    "kernel_s foreign_s cpu_ms_per_mb broker_ms_per_mb")


def run(options, argv):
    scratch = brokers.scratch("ringlog-versus-") if options.dir is None else None
    folder = scratch.__enter__() if scratch else options.dir
    rows, began = [], now()
    try:
        with pair_of(options, folder) as (a, b):
            for broker in (a, b):
                warm_up(options, broker)
            for number in range(1, options.pairs + 1):
                for broker, resting in ((a, b), (b, a)):
                    rows += round_on(options, broker, resting, number)
    finally:
        if scratch:
            scratch.__exit__(None, None, None)
    out = keep(options, argv, began, rows)
    print((out / "table.md").read_text())
    print(out)
    return 0


def now():
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


class pair_of:
    """Both brokers, started, pinned to the same core."""

    def __init__(self, options, folder):
        kinds = options.brokers.split(",")
        self.both = [new(options, kind, pathlib.Path(folder) / f"{name}-{kind}") for name, kind in zip("ab", kinds)]

    def __enter__(self):
        for broker in self.both:
            broker.start()
        return self.both

    def __exit__(self, *_):
        for broker in self.both:
            broker.kill()


def new(options, kind, folder):
    how = {"light": False} if kind == "kafka" else {"binary": options.bin}
    broker = brokers.new(kind, folder, overrides=OVERRIDES, cpus=options.broker_cpu, **how)
    broker.name = folder.name if options.brokers == "kafka,kafka" else kind
    broker.port += 0 if folder.name.startswith("a") else 10
    return broker


# Rounds ---------------------------------------------------------------------------------------------------------


def warm_up(options, broker):
    """Moves the asked MB both ways, topic by topic."""
    for number, mb in enumerate(cut(options.warm_up_mb, 1000)):
        shape, topic = list(SHAPES)[number % len(SHAPES)], f"warm-{number}"
        row_of(0, broker, f"{shape} warm-up", [measured(options, broker, None, producer(options, broker, topic, mb, shape), mb)])
        row_of(0, broker, "consume warm-up", [measured(options, broker, None, consumer(options, broker, topic, mb), mb)])
        delete(broker, topic)


def round_on(options, broker, resting, pair):
    """One round: each produce shape topic by topic, then one topic read back. A topic is deleted before the next is made, and is
    short, so that its pages are written again while they are warm: memory that lies idle for a second is the
    hypervisor's, and touching it again costs more than the broker does."""
    rows = []
    for shape, mb in {"produce-16k": options.small_mb, "produce-1m": options.large_mb}.items():
        parts = []
        for number, part_mb in enumerate(cut(mb, options.topic_mb)):
            topic = f"{shape}-{number}"
            parts.append(measured(options, broker, resting, producer(options, broker, topic, part_mb, shape), part_mb))
            check_end(broker, topic, part_mb)
            delete(broker, topic)
        rows.append(row_of(pair, broker, shape, parts))
    # Reading is quick: one topic that is long enough for a figure.
    mb = options.small_mb
    measured(options, broker, resting, producer(options, broker, "consume", mb, "produce-16k"), mb)
    check_end(broker, "consume", mb)
    read = [measured(options, broker, resting, consumer(options, broker, "consume", mb), mb) for _ in range(2)]
    rows.append(row_of(pair, broker, "consume", read))
    delete(broker, "consume")
    return rows


def cut(mb, part_mb):
    """`mb` in parts of `part_mb`, the last one what is left."""
    return [min(part_mb, mb - done) for done in range(0, mb, part_mb)]


def records_of(mb):
    return mb * MB // RECORD_BYTES


def check_end(broker, topic, mb):
    """Every acknowledged record is in the log: the end offset says so."""
    port = wire.leader_port(broker.port, topic)
    with wire.Connection(port) as connection:
        cursor = connection.ask(wire.list_offsets(topic, 0, -1))
    cursor.take("i"), cursor.string(), cursor.take("i"), cursor.take("i")
    code, _, end = cursor.take("hqq")
    if (code, end) != (0, records_of(mb)):
        raise SystemExit(f"{broker.kind} {topic}: error {code}, end offset {end}, {records_of(mb)} were sent")


def producer(options, broker, topic, mb, shape):
    if wire.make_topic(broker.port, topic, 1) != 0:
        raise SystemExit(f"{broker.kind}: topic {topic} is not created")
    wire.leader_port(broker.port, topic)
    arguments = ["--topic", topic, "--num-records", records_of(mb), "--record-size", RECORD_BYTES, "--throughput", -1,
                 "--bootstrap-server", broker.bootstrap, "--command-property", *SHAPES[shape]]
    return client(options, "producer-perf", "kafka-producer-perf-test", arguments)


def consumer(options, broker, topic, mb):
    arguments = ["--topic", topic, "--num-records", records_of(mb), "--bootstrap-server", broker.bootstrap,
                 "--timeout", 60000]
    return client(options, "consumer-perf", "kafka-consumer-perf-test", arguments)


def client(options, own, kafkas, arguments):
    pin = ["taskset", "-c", options.client_cpu]
    if options.client == "ringlog":
        command = [str(brokers.ringlog_binary(options.bin)), own]
    else:
        command = [peers.java(), "-Xmx512M", "-XX:+UseG1GC", "-cp", peers.class_path(), peers.tool_class(kafkas)]
    return [*pin, *command, *map(str, arguments)]


def delete(broker, topic):
    """Deletes a topic and waits until its folder is gone, so that its pages serve the next round."""
    request = wire.request(20, 1, wire.array([wire.string(topic)]) + struct.pack(">i", 10000))
    with wire.Connection(broker.port) as connection:
        connection.ask(request)
    for _ in range(600):
        if not list(broker.log_dir.glob(f"{topic}-*")):
            break
        time.sleep(0.1)
    else:
        raise SystemExit(f"{broker.kind}: the folder of {topic} is still there after 60 s")
    free = shutil.disk_usage(broker.log_dir).free
    if free < FREE_MIN_BYTES:
        raise SystemExit(f"{free >> 30} GiB free below {broker.log_dir}: too few for a round")
    os.sync()


# Accounting -------------------------------------------------------------------------------------------------------


def machine_cpu_s():
    """Busy seconds of all cores since boot: user, nice, system, irq, softirq (proc(5)); what was stolen is not ours."""
    with open("/proc/stat", encoding="ascii") as stat:
        fields = [int(word) for word in stat.readline().split()[1:]]
    return sum(fields[i] for i in (0, 1, 2, 5, 6)) / os.sysconf("SC_CLK_TCK")


def process_cpu_s(broker):
    """User and system seconds of a process, all its threads."""
    if broker is None:
        return 0.0
    text = pathlib.Path(f"/proc/{broker.process.pid}/stat").read_text(encoding="ascii")
    fields = text.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def kernel_cpu_s():
    """Seconds of the kernel's own threads (write-back, kworkers): they have no command line."""
    total = 0
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if not (folder / "cmdline").read_bytes():
                fields = (folder / "stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
                total += int(fields[11]) + int(fields[12])
        except OSError:  # it ended meanwhile
            continue
    return total / os.sysconf("SC_CLK_TCK")


def quiet(row):
    """A warning where others used the machine: what is neither broker, client nor kernel stands in the figure."""
    share = row.foreign_s / max(row.machine_s, 0.01)
    return f"  WARNING: other processes used {share:.0%} of the CPU" if share > QUIET_SHARE else ""


# Seconds of CPU while one client ran: of the machine, the client, the resting broker, the broker, the kernel's own threads.
Measure = collections.namedtuple("Measure", "mb seconds machine client resting broker kernel")


def measured(options, broker, resting, command, mb):
    """Runs the client once and accounts for every CPU second of the machine meanwhile."""
    before = machine_cpu_s(), process_cpu_s(resting), process_cpu_s(broker), kernel_cpu_s()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    said = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    after = machine_cpu_s(), process_cpu_s(resting), process_cpu_s(broker), kernel_cpu_s()
    machine, rest, own, kernel = (b - a for a, b in zip(before, after))
    seconds = outcome(said, process.returncode, mb)
    return Measure(mb, seconds, machine, usage.ru_utime + usage.ru_stime, rest, own, kernel)


def row_of(pair, broker, shape, measures):
    """The sums over the topics of a round, told as they come."""
    total = Measure(*(sum(values) for values in zip(*measures)))
    figure = total.machine - total.client - total.resting
    row = Row(pair, broker.name, shape, total.mb, total.seconds, total.mb / total.seconds, total.machine, total.client,
              total.resting, total.broker, total.kernel, figure - total.broker - total.kernel, figure * 1000 / total.mb,
              total.broker * 1000 / total.mb)
    print(f"pair {pair} {broker.name:8} {shape:20} {row.mb_s:8.1f} MB/s, {row.cpu_ms_per_mb:6.3f} ms CPU/MB "
          f"(broker's own {row.broker_ms_per_mb:6.3f}){quiet(row)}", file=sys.stderr, flush=True)
    return row


def outcome(said, code, mb):
    """The seconds that the client says it took; anything but every record moved ends the run."""
    if code != 0 or "Exception" in said:
        raise SystemExit(f"the client ended with {code}: {said[-1500:]}")
    sent, read = writers.SUMMARY.findall(said), checks_perf.ROW.findall(said)
    if sent:
        count, rate = int(sent[-1][0]), float(sent[-1][2])
    else:
        fields = [field.strip() for field in read[-1].split(",")]
        count, rate = int(fields[4]), float(fields[3])
        fetch = [float(field) for field in fields if re.fullmatch(r"[\d.]+", field)]
        rate = fetch[-2] if len(fetch) >= 2 else rate  # fetch.MB.sec: without the time of joining the group
    if count < records_of(mb):
        raise SystemExit(f"{count} records moved where {records_of(mb)} were due: {said[-500:]}")
    return mb / rate


# What is kept -----------------------------------------------------------------------------------------------------


def keep(options, argv, began, rows):
    """results/<date>-<hardware>-versus-kafka/{manifest.toml, rows.csv, table.md}, never over an older one."""
    stem = f"{began[:10]}-{hardware_name(options.results)}-versus-kafka"
    options.results.mkdir(parents=True, exist_ok=True)
    for number in range(1, 1000):
        out = options.results / (stem if number == 1 else f"{stem}-{number}")
        try:
            out.mkdir()
            break
        except FileExistsError:
            continue
    with open(out / "rows.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(Row._fields)
        writer.writerows([value if not isinstance(value, float) else round(value, 4) for value in row] for row in rows)
    (out / "table.md").write_text(table(options, rows), encoding="utf-8")
    (out / "manifest.toml").write_text(manifest(options, argv, began), encoding="utf-8")
    return out


def hardware_name(path):
    """Cores, memory and file system, as the harness names a machine."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    path.mkdir(parents=True, exist_ok=True)
    return f"{os.cpu_count()}c-{round(memory / (1 << 30))}g-{file_system(path)}"


def file_system(path):
    """The type of the deepest mount that holds a path."""
    lines = [line.split() for line in pathlib.Path("/proc/mounts").read_text(encoding="utf-8").splitlines()]
    below = [(len(fields[1]), fields[2]) for fields in lines if pathlib.Path(fields[1]) in (path.resolve() / "x").parents]
    return max(below)[1] if below else "fs"


def table(options, rows):
    """Medians, and the ratio within each pair with its least and greatest value."""
    names = list(dict.fromkeys(row.broker for row in rows))
    shapes = list(dict.fromkeys(row.shape for row in rows))
    first, second = names
    lines = [f"# {first} against {second}: broker CPU per MB", "",
             f"Client: {options.client}'s perf tools. {options.pairs} pairs, A B A B. Median [least .. greatest]. "
             "CPU is the whole machine's less the client's and the resting broker's.", "",
             f"| run | {first} ms/MB | {second} ms/MB | ratio {first}/{second} | {first} MB/s | {second} MB/s |",
             "|---|---|---|---|---|---|"]
    for shape in shapes:
        of = {name: [row for row in rows if (row.broker, row.shape) == (name, shape)] for name in names}
        ratios = [a.cpu_ms_per_mb / b.cpu_ms_per_mb for a, b in zip(of[first], of[second])]
        cells = [shape, *(spread([r.cpu_ms_per_mb for r in of[n]], 3) for n in names), spread(ratios, 3),
                 *(spread([r.mb_s for r in of[n]], 0) for n in names)]
        lines.append("| " + " | ".join(cells) + " |")
    noisy = sum(1 for row in rows if quiet(row))
    if noisy:
        lines += ["", f"Other processes used more than {QUIET_SHARE:.0%} of the machine's CPU in {noisy} of {len(rows)} runs."]
    return "\n".join(lines) + "\n"


def spread(values, digits):
    return f"{statistics.median(values):.{digits}f} [{min(values):.{digits}f} .. {max(values):.{digits}f}]"


def manifest(options, argv, began):
    """What ran where, for whoever compares this run with another."""
    cpu = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo", encoding="utf-8")
                if line.startswith("model name")), platform.processor())
    facts = {
        "schema": 1, "began": began, "ended": now(), "target": "versus-kafka", "commit": commit(),
        "command": [pathlib.Path(argv[0]).name, *without_paths(argv[1:])], "client": options.client, "pairs": options.pairs,
        "warm_up_mb": options.warm_up_mb, "small_mb": options.small_mb, "large_mb": options.large_mb,
        "topic_mb": options.topic_mb,
        "record_bytes": RECORD_BYTES, "broker_cpu": options.broker_cpu, "client_cpu": options.client_cpu,
        "kafka": peers.DEFAULT, "kafka_jvm": peers.BROKER_JVM, "java": java_version(), "cpu": cpu,
        "cores": os.cpu_count(), "kernel": platform.release(),
        "file_system": file_system(options.dir or pathlib.Path("/tmp")),
    }
    shapes = {name: list(words) for name, words in SHAPES.items()}
    lines = [f"{key} = {json.dumps(value)}" for key, value in facts.items()]
    lines += ["", "[producer]", *(f"{name} = {json.dumps(words)}" for name, words in shapes.items())]
    return "\n".join(lines) + "\n"


def without_paths(words):
    """Where this machine keeps its files says nothing of the run: a path's last part stands for it."""
    return [pathlib.Path(word).name if word.startswith("/") else word for word in words]


def java_version():
    return subprocess.run([peers.java(), "-version"], capture_output=True, text=True).stderr.splitlines()[0]


def commit():
    done = subprocess.run(["git", "-C", str(peers.REPO), "describe", "--always", "--dirty"], capture_output=True, text=True)
    return done.stdout.strip()
