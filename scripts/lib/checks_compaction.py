"""Compaction: of the records with one key the last one stays, tombstones go in their time, and what is read is the same after a
stop, a kill and by Kafka's own tools. On a broker of its own that looks for logs to clean all the time."""

import re

from lib import peers, readers, wire, writers
from lib.checks_files import dump
from lib.checks_groups import until
from lib.checks_retention import logs
from lib.ledger import Sent
from lib.report import need

SETTINGS = {"log.cleaner.backoff.ms": 200, "log.cleaner.min.cleanable.ratio": 0.01,
            "log.retention.check.interval.ms": 200, "log.initial.task.delay.ms": 0}
SEGMENT_BYTES = 1 << 20
KEYS = 50
INVALID_RECORD = 87


def upsert(ctx, topic, count, codec="none", size=600, value_of=None):
    """`count` records of some keys, one after the other."""
    sent = []
    for i, value in enumerate(writers.values(topic, count, size=size)):
        sent.append(Sent(value_of(i, value) if value_of else value, f"key-{i * 7 % KEYS}".encode(), (), 0))
    lines = b"\n".join(record.key + b"\t" + (record.value or b"") for record in sent) + b"\n"
    readers.client([peers.kcat(), "-P", "-b", ctx.broker.bootstrap, "-t", topic, "-p", 0, "-K", "\t", "-Z", "-z", codec,
                    "-X", "batch.size=50000"], stdin=lines)
    return sent


def topic(ctx, name, configs=()):
    ctx.create(name, 1, [("cleanup.policy", "compact"), ("segment.bytes", str(SEGMENT_BYTES)),
                         ("file.delete.delay.ms", "500"), *configs])


def active(ctx, name):
    """Where the segment begins that is written."""
    return int(logs(ctx, name)[-1].split(".")[0])


def left(ctx, name, sent, keeps=lambda record: True):
    """What must be left of what was sent: below the segment that is written the last of each key."""
    bound = active(ctx, name)
    last = {record.key: offset for offset, record in enumerate(sent[:bound])}
    return [(offset, record) for offset, record in enumerate(sent)
            if offset >= bound or last[record.key] == offset and keeps(record)]


def same(ctx, name, due):
    got = readers.kcat(ctx.broker, name, partition=0)
    said = [(record.offset, record.key, record.value) for record in got]
    want = [(offset, record.key, record.value) for offset, record in due]
    need(said == want, f"{len(said)} records from {said[:2]} on, {len(want)} were due from {want[:2]} on")


def compacted(ctx, name, sent, keeps=lambda record: True):
    """Waits until as many are left as may be, and compares them."""
    until(lambda: len(readers.kcat(ctx.broker, name, partition=0)) <= len(left(ctx, name, sent, keeps)),
          f"{name} to be cleaned", limit_s=60)
    due = left(ctx, name, sent, keeps)
    same(ctx, name, due)
    return due


def sizes(ctx, name):
    return sum(path.stat().st_size for path in ctx.broker.log_dir.glob(f"{name}-0/*.log"))


def keeps_last(ctx):
    topic(ctx, "last")
    ctx.sent = {"last": upsert(ctx, "last", 12_000)}
    due = compacted(ctx, "last", ctx.sent["last"])
    until(lambda: sizes(ctx, "last") < 2 * SEGMENT_BYTES, "the old segments to become one")
    return f"{len(due)} of 12000 left in {len(logs(ctx, 'last'))} segments, {sizes(ctx, 'last')} bytes"


def keeps_compressed(ctx):
    said = []
    for codec in ("gzip", "snappy", "lz4", "zstd"):
        name = f"last-{codec}"
        topic(ctx, name, [("segment.ms", "500")])
        sent = upsert(ctx, name, 4_000, codec)
        # The last one rolls by time.
        until(lambda: rolled(ctx, name, sent), "a roll by time")  # noqa: B023
        ctx.sent[name] = sent
        said.append(f"{codec} {len(compacted(ctx, name, sent))}")
    return ", ".join(said)


def rolled(ctx, name, sent):
    sent += upsert(ctx, name, 1)
    return active(ctx, name) >= 4_000


def tombstones(ctx):
    """A key without a value goes with delete.retention.ms, and what it outdid at once."""
    topic(ctx, "dead", [("delete.retention.ms", "100"), ("segment.ms", "500")])
    sent = upsert(ctx, "dead", 200, value_of=lambda i, value: None if i >= 150 and i % 2 else value)
    dead = sum(record.value is None for record in sent)
    need(dead == 25, f"{dead} tombstones")

    def gone():
        sent.extend(upsert(ctx, "dead", 1))  # the segment that is written rolls when something comes
        keys = {record.key for record in readers.kcat(ctx.broker, "dead", partition=0)}
        return keys == {record.key for record in sent[150:200] if record.value is not None} | {b"key-0"}

    until(gone, "the tombstones to go", limit_s=60)
    keys = {record.key for record in readers.kcat(ctx.broker, "dead", partition=0)}
    return f"{dead} tombstones went, {len(keys)} keys are alive"


def with_deletion(ctx):
    """compact,delete: old segments go by time, whatever key they hold."""
    topic(ctx, "both", [("cleanup.policy", "compact,delete"), ("retention.ms", "1000"), ("segment.ms", "500")])
    upsert(ctx, "both", 1_000)
    until(lambda: readers.kcat(ctx.broker, "both", partition=0) == [], "all of it to go", limit_s=60)
    return "all of it went"


def refuses(ctx):
    with wire.Connection(wire.leader_port(ctx.broker.port, "last", 0)) as connection:
        error, _ = wire.produce_error(connection.ask(wire.produce("last", 0, wire.batch([b"no key"]))))
    need(error == INVALID_RECORD, f"error {error}")
    return f"error {error}"


def stays(ctx):
    due = {name: left(ctx, name, ctx.sent[name]) for name in ("last", "last-zstd")}
    for end in ("stop", "kill"):
        getattr(ctx.broker, end)()
        ctx.broker.start()
        wire.leader_port(ctx.broker.port, "last", 0)
        wire.leader_port(ctx.broker.port, "last-zstd", 0)
        for name, records in due.items():
            same(ctx, name, records)
    note = ctx.broker.log_dir / "cleaner-offset-checkpoint"
    need(note.exists(), "no cleaner-offset-checkpoint")
    lines = note.read_text().split("\n")
    need(lines[0] == "0" and all(re.fullmatch(r"\S+ \d+ \d+", line) for line in lines[2:] if line), f"{lines[:4]}")
    return f"{len(due['last'])} and {len(due['last-zstd'])} records, {lines[1]} logs in the note"


def dumps(ctx):
    """kafka-dump-log finds nothing wrong with what was rewritten, nor with its indexes."""
    ctx.broker.stop()
    checked = 0
    for name in ("last", "last-gzip", "last-snappy", "last-lz4", "last-zstd"):
        for kind in (".log", ".index", ".timeindex"):
            paths = sorted(ctx.broker.log_dir.glob(f"{name}-0/*{kind}"))
            need(paths, f"{name} has no {kind}")
            how = "--deep-iteration" if kind == ".log" else "--verify-index-only"
            out = dump(ctx, "--files", ",".join(map(str, paths)), how)
            need("isvalid: false" not in out, f"{name}{kind}: {out[-300:]}")
            checked += len(paths)
    return f"{checked} files"


# Run by suite.apart, in this order, on one broker that has SETTINGS.
CHECKS = {
    "compaction keeps the last of each key": keeps_last,
    "compaction keeps them compressed": keeps_compressed,
    "compaction takes tombstones away": tombstones,
    "compaction with deletion": with_deletion,
    "compaction refuses a record without a key": refuses,
    "compaction is there after a stop and a kill": stays,
    "compaction leaves files that Kafka reads": dumps,
}
