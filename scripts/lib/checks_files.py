"""kafka-dump-log on the broker's own files after a clean stop: logs, indexes, metadata log and its snapshots, committed offsets."""

import re

from lib import checks_snapshots, ledger
from lib.ledger import Read
from lib.report import need

BATCH = re.compile(r"^baseOffset: (\d+) lastOffset: (\d+) count: (\d+) .*isControl: (\w+) .*compresscodec: (\w+) "
                   r"crc: \d+ isvalid: (\w+)")
RECORD = re.compile(r"^\| offset: (\d+) CreateTime: (\d+) keySize: (-?\d+) valueSize: (-?\d+) sequence: -?\d+ "
                    r"headerKeys: \[(.*?)\](?: key: (.*?))?(?: payload: (.*))?$")
# Words by which the tool reports what is wrong; it exits with 0 all the same.
TROUBLE = re.compile(r"mismatch|out of order|not found|corrupt|non-consecutive|failed|invalid bytes|Exception", re.I)


def run(ctx):
    for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
        ctx.check(f"files dump-log perf-{codec}", dump_topic, ctx, f"w-perf-{codec}", codec)
    ctx.check("files dump-log kcat keys", dump_topic, ctx, "w-kcat-none", "none")
    ctx.check("files dump-log over segments", dump_topic, ctx, "w-perf-segments", "none")
    ctx.check("files segments", segments, ctx, "w-perf-segments")
    ctx.check("files dump-log indexes", indexes, ctx, "w-perf-tiny-batches")
    ctx.check("files dump-log metadata decoder", metadata_log, ctx)
    ctx.check("files dump-log metadata snapshot", checks_snapshots.newest, ctx, dump)
    ctx.check("files dump-log offsets decoder", offsets_log, ctx)


def dump(ctx, *arguments):
    """The tool's output, which must hold none of its words for trouble."""
    out = ctx.tools("kafka-dump-log", *arguments).out
    trouble = [line for line in out.splitlines() if TROUBLE.search(line) and not line.startswith("| offset")]
    need(not trouble, f"{trouble[:3]}")
    return out


def files(ctx, folder, kind):
    found = sorted((ctx.broker.log_dir / folder).glob(f"*.{kind}"))
    need(found, f"{ctx.broker.log_dir / folder} holds no .{kind}")
    return ",".join(map(str, found))


def parse(out, partition, control=False):
    """(records, set of codecs) of a dump with --print-data-log; records of control batches only if asked for."""
    got, codecs, keep = [], set(), True
    for line in out.splitlines():
        if batch := BATCH.match(line):
            need(batch[6] == "true", f"not valid: {line}")
            keep = control or batch[4] == "false"
            if keep:
                codecs.add(batch[5].lower())
        elif keep and (r := RECORD.match(line)):
            key = None if r[3] == "-1" else (r[6] or "").encode()
            value = None if r[4] == "-1" else (r[7] or "").encode()
            got.append(Read(partition, int(r[1]), int(r[2]), key, value, ()))
    return got, codecs


def dump_topic(ctx, topic, codec):
    need(topic in ctx.written, f"{topic} was not written")
    sent = [record._replace(headers=()) for record in ctx.written[topic]]
    got, codecs = [], set()
    for partition in range(3):
        folder = ctx.broker.log_dir / f"{topic}-{partition}"
        need(folder.is_dir(), f"{folder} is not there")
        out = dump(ctx, "--files", files(ctx, folder.name, "log"), "--deep-iteration", "--print-data-log")
        more, names = parse(out, partition)
        got, codecs = got + more, codecs | names
    need(codecs == {codec}, f"codecs {codecs} where {codec} was sent")
    return ledger.compare(sent, got)


def indexes(ctx, topic):
    """Entries point at batches of the log, timestamps fit, and the sanity check passes."""
    entries = 0
    for partition in range(3):
        folder = f"{topic}-{partition}"
        both = f"{files(ctx, folder, 'index')},{files(ctx, folder, 'timeindex')}"
        out = dump(ctx, "--files", both)
        sane = dump(ctx, "--files", both, "--index-sanity-check")
        good = sane.count("passed sanity check") + len(re.findall(r"index is empty\.$", sane, re.M))
        need(good == len(both.split(",")), sane)
        entries += len(re.findall(r"^offset: \d+ position: [1-9]", out, re.M))
        need(re.search(r"^timestamp: [1-9]\d+ offset: \d+", out, re.M), f"{folder}: the time index holds no entry")
    need(entries >= 3, f"{entries} entries in the indexes of {topic}")
    return f"{entries} entries, sane"


def segments(ctx, topic):
    """segment.bytes is kept to, and each segment is named after its first offset."""
    count = 0
    for folder in sorted(ctx.broker.log_dir.glob(f"{topic}-[0-9]")):
        logs = sorted(folder.glob("*.log"))
        count += len(logs)
        for log in logs:
            need(log.stat().st_size <= 1048576, f"{log} has {log.stat().st_size} bytes")
            first = BATCH.search(dump(ctx, "--files", log).split("Log starting offset: ")[-1].split("\n", 1)[1])
            need(not first or int(first[1]) == int(log.stem), f"{log} begins at {first[1]}")
    need(count >= 5, f"{count} segments for 4.5 MB in segments of 1 MiB")
    return f"{count} segments"


def metadata_log(ctx):
    out = dump(ctx, "--cluster-metadata-decoder", "--files", files(ctx, "__cluster_metadata-0", "log"))
    for topic in ("admin-a", "w-perf-none"):
        need(re.search(rf'"type":"TOPIC_RECORD".*"name":"{topic}"', out), f"no TOPIC_RECORD of {topic}")
    kinds = set(re.findall(r'"type":"(\w+)"', out))
    need({"TOPIC_RECORD", "PARTITION_RECORD", "CONFIG_RECORD", "REMOVE_TOPIC_RECORD"} <= kinds, f"kinds {kinds}")
    return f"kinds {', '.join(sorted(kinds))}"


def offsets_log(ctx):
    """What groups committed stands in __consumer_offsets in Kafka's format."""
    out = ""
    for folder in sorted(ctx.broker.log_dir.glob("__consumer_offsets-*")):
        if any(file.stat().st_size for file in folder.glob("*.log")):
            out += dump(ctx, "--offsets-decoder", "--files", files(ctx, folder.name, "log"))
    for group in ("g-kcat", "g-rd", "g-console"):
        commits = re.findall(rf'"group":"{group}","topic":"group-in","partition":(\d+).*?"offset":(\d+)', out)
        need(commits, f"no commit of {group}")
    last = {int(partition): int(offset) for partition, offset in
            re.findall(r'"group":"g-kcat","topic":"group-in","partition":(\d+).*?"offset":(\d+)', out)}
    need(sum(last.values()) == 600, f"the last commits of g-kcat are {last}")
    return f"g-kcat {last}"
