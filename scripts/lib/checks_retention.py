"""Where logs begin: kafka-delete-records, retention.ms and retention.bytes by kafka-configs, kafka-log-dirs. On a broker of
its own that looks for old segments all the time."""

import json
import re

from lib import ledger, peers, readers, writers
from lib.checks_admin import at, get_offsets
from lib.checks_groups import until
from lib.ledger import Sent
from lib.report import need

SETTINGS = {"log.initial.task.delay.ms": 0, "log.retention.check.interval.ms": 200}
SEGMENT_BYTES = 1 << 20


def delete(ctx, *offsets):
    """{(topic, partition): (low watermark, None) or (None, what is said)}"""
    path = ctx.folder / "offsets.json"
    wanted = [{"topic": topic, "partition": partition, "offset": offset} for topic, partition, offset in offsets]
    path.write_text(json.dumps({"partitions": wanted, "version": 1}))
    out = ctx.tools.run("kafka-delete-records", *at(ctx), "--offset-json-file", path).out
    said = {}
    for topic, partition, rest in re.findall(r"^partition: (\S+)-(\d+)\s+(.*)$", out, re.M):
        low = re.match(r"low_watermark: (\d+)", rest)
        said[topic, int(partition)] = (int(low[1]), None) if low else (None, rest)
    need(len(said) == len(offsets), f"{len(said)} answers to {len(offsets)} partitions: {out}")
    return said


def same(ctx, topic, due):
    """Each partition holds these records, from this offset on: `due` is {partition: (offset, records)}."""
    for partition, (first, records) in due.items():
        ledger.compare(records, readers.kcat(ctx.broker, topic, partition=partition), first)


def delete_records(ctx):
    ctx.create("gone", 3)
    sent = {partition: writers.kcat(ctx.broker, "gone", 30, partition=partition) for partition in range(3)}
    said = delete(ctx, ("gone", 0, 10), ("gone", 1, -1))
    need(said == {("gone", 0): (10, None), ("gone", 1): (30, None)}, f"{said}")
    starts = get_offsets(ctx, "gone", -2)
    need(starts == {0: 10, 1: 30, 2: 0}, f"earliest is {starts}")
    ctx.due_gone = {partition: (first, sent[partition][first:]) for partition, first in starts.items()}
    same(ctx, "gone", ctx.due_gone)
    said = delete(ctx, ("gone", 0, 4), ("gone", 2, 31))
    need(said["gone", 0] == (10, None), f"an offset below the start: {said}")
    need("OffsetOutOfRange" in (said["gone", 2][1] or ""), f"an offset above the end: {said}")
    ctx.create("kept", 1, [("cleanup.policy", "compact")])
    said = delete(ctx, ("kept", 0, 0))
    need("PolicyViolation" in (said["kept", 0][1] or ""), f"of a compacted topic: {said}")
    return f"earliest {starts}, {sum(len(records) for _, records in ctx.due_gone.values())} records left"


def alter(ctx, topic, change):
    done = ctx.tools("kafka-configs", *at(ctx), "--alter", "--entity-type", "topics", "--entity-name", topic,
                     "--add-config", change)
    need("Completed updating config" in done.out, f"{done.out} {done.err}")


def logs(ctx, topic, ending=".log"):
    return sorted(path.name for path in ctx.broker.log_dir.glob(f"{topic}-[0-9]*/*{ending}"))


def by_time(ctx):
    """All that is there is older than a second soon: the log begins at its end then, and goes on from there."""
    ctx.create("old", 2, [("file.delete.delay.ms", "500")])
    for partition in range(2):
        writers.kcat(ctx.broker, "old", 40, partition=partition)
    need(get_offsets(ctx, "old", -2) == {0: 0, 1: 0}, "a week is kept by default")
    alter(ctx, "old", "retention.ms=1000")
    until(lambda: get_offsets(ctx, "old", -2) == {0: 40, 1: 40}, "the earliest offsets to move to the end")
    need(readers.kcat(ctx.broker, "old") == [], "something is read of what is gone")
    until(lambda: len(logs(ctx, "old")) == 2 and not logs(ctx, "old", ".deleted"), "the files to go")
    alter(ctx, "old", "retention.ms=3600000")
    same(ctx, "old", {p: (40, writers.kcat(ctx.broker, "old", 5, partition=p)) for p in range(2)})
    return f"{logs(ctx, 'old')}"


def by_size(ctx):
    """Far below what is there: the oldest segments go while as much as retention.bytes stays without them."""
    ctx.create("large", 1, [("segment.bytes", str(SEGMENT_BYTES)), ("file.delete.delay.ms", "500")])
    values = writers.values("large", 12_000, size=600)
    readers.client([peers.kcat(), "-P", "-b", ctx.broker.bootstrap, "-t", "large", "-p", 0, "-X", "batch.size=50000"],
                   stdin=b"\n".join(values) + b"\n")
    sent = [Sent(value, None, (), 0) for value in values]
    sizes = lambda: sum(path.stat().st_size for path in ctx.broker.log_dir.glob("large-0/*.log"))  # noqa: E731
    before, bound = sizes(), 2 * SEGMENT_BYTES
    need(before > 3 * SEGMENT_BYTES, f"{before} bytes are too few to say anything")
    alter(ctx, "large", f"retention.bytes={bound}")
    until(lambda: bound <= sizes() < bound + SEGMENT_BYTES, f"{before} bytes to become {bound} and less than a segment")
    start = get_offsets(ctx, "large", -2)[0]
    need(0 < start < len(sent), f"earliest is {start}")
    same(ctx, "large", {0: (start, sent[start:])})
    return f"{before} bytes became {sizes()}, earliest {start}"


def log_dirs(ctx):
    """Sizes are those of the log files; nothing lags."""
    out = ctx.tools("kafka-log-dirs", *at(ctx), "--describe", "--topic-list", "gone,large").out
    said = json.loads(next(line for line in out.splitlines() if line.startswith("{")))
    need(len(said["brokers"]) == ctx.broker.shards, f"{len(said['brokers'])} brokers")
    sizes = {}
    for directory in (one for node in said["brokers"] for one in node["logDirs"]):
        need(directory["error"] is None and directory["logDir"] == str(ctx.broker.log_dir), f"{directory}")
        for partition in directory["partitions"]:
            need(partition["offsetLag"] == 0 and not partition["isFuture"], f"{partition}")
            sizes[partition["partition"]] = partition["size"]
    on_disk = {name: sum(path.stat().st_size for path in ctx.broker.log_dir.glob(f"{name}/*.log"))
               for name in ("gone-0", "gone-1", "gone-2", "large-0")}
    need(sizes == on_disk, f"said {sizes}, on the disk {on_disk}")
    return f"{sizes}"


def stays_gone(ctx):
    """A stop and a start bring nothing back, and kill -9 at once after the answer does not either (Kafka notes the start
    within a minute: it is not asked for that)."""
    starts = {0: 10, 1: 30, 2: 0}
    need(ctx.broker.stop() in (0, 143), "the stop")
    started(ctx, starts)
    if ctx.broker.kind != "ringlog":
        return "after a stop"
    need(delete(ctx, ("gone", 2, -1)) == {("gone", 2): (30, None)}, "the deletion")
    ctx.due_gone[2] = (30, [])
    ctx.broker.kill()
    started(ctx, {**starts, 2: 30})
    return "after a stop, and after kill -9"


def started(ctx, starts):
    ctx.broker.start()
    until(lambda: set(get_offsets(ctx, "gone", -2)) == set(starts), "leaders")
    said = get_offsets(ctx, "gone", -2)
    need(said == starts, f"earliest is {said}, {starts} was due")
    same(ctx, "gone", ctx.due_gone)


# Run by suite.apart, in this order, on one broker that has SETTINGS.
CHECKS = {
    "retention deletes up to an offset and to the end": delete_records,
    "retention by time, the active segment too": by_time,
    "retention by size": by_size,
    "retention log dirs say what lies on the disk": log_dirs,
    "retention what is gone stays gone": stays_gone,
}
