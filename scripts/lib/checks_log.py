"""What a log makes of what is sent to it: compression.type, message.timestamp.type, the limits of timestamps and sizes, for a
topic, for all of them, and changed while the broker runs; and records far above a megabyte. What is due was observed on Kafka
4.3.1, where the same checks run."""

import os
import struct
import time

from lib import ledger, peers, readers, wire, writers
from lib.checks_admin import at, get_offsets
from lib.checks_groups import until
from lib.checks_retention import alter
from lib.report import need

SETTINGS = {}
CODECS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
LOG_APPEND_TIME = 8
TOO_LARGE, LIST_TOO_LARGE, INVALID_TIMESTAMP, INVALID_RECORD, OUT_OF_ORDER = 10, 18, 32, 87, 45
GOOD = [b"one", b"two", b"three"]
MB = 1_000_000


def now_ms():
    return int(time.time() * 1000)


def send(ctx, topic, batch):
    """(error, base offset, log append time, log start, {index: reason}, reason) of one batch, by the topic's leader."""
    with wire.Connection(wire.leader_port(ctx.broker.port, topic)) as connection:
        return wire.produce_answer(connection.ask(wire.produce(topic, 0, batch, acks=-1, version=8)))


def batches(ctx, topic):
    """The headers of every batch of a topic's first partition: (codec, attributes, base and max timestamp, sequence, bytes)."""
    with wire.Connection(wire.leader_port(ctx.broker.port, topic)) as connection:
        found, offset = [], 0
        while True:
            code, high, data = wire.fetch_answer(connection.ask(wire.fetch(topic, 0, offset, max_bytes=8 << 20)))
            need(code == 0, f"fetch from {offset}: error {code}")
            place = 0
            while place + 61 <= len(data):
                base, length = struct.unpack_from(">qi", data, place)
                if place + 12 + length > len(data):
                    break
                attributes, delta, first, latest = struct.unpack_from(">hiqq", data, place + 21)
                sequence = struct.unpack_from(">i", data, place + 53)[0]
                found.append((attributes & 7, attributes, first, latest, sequence, 12 + length))
                place, offset = place + 12 + length, base + delta + 1
            if offset >= high:
                return found


def codecs(ctx, topic):
    return {batch[0] for batch in batches(ctx, topic)}


# compression.type -----------------------------------------------------------------------------------------------

KEPT = {"gzip": [("compression.gzip.level", "9")], "snappy": [], "lz4": [("compression.lz4.level", "17")],
        "zstd": [("compression.zstd.level", "19")], "uncompressed": [], "producer": []}


def compression(ctx):
    """What every codec sends is kept in the topic's, and read back as it was."""
    records = 0
    for kept, levels in KEPT.items():
        topic = f"keeps-{kept}"
        ctx.create(topic, 1, [("compression.type", kept), *levels])
        sent = []
        for codec, number in CODECS.items():
            extra = ["-X", "enable.idempotence=true"] if number % 2 else []
            more = writers.kcat(ctx.broker, topic, 40, codec=codec, keys=True, partition=0, extra=extra)
            sent += more
            got = readers.kcat(ctx.broker, topic)[-40:]
            need([(one.key, one.value) for one in got] == [(one.key, one.value) for one in more], f"{topic} of {codec}")
        got = readers.kcat(ctx.broker, topic)
        need([(one.offset, one.key, one.value) for one in got]
             == [(offset, one.key, one.value) for offset, one in enumerate(sent)], f"{topic}: {len(got)} records")
        due = {"uncompressed": {0}, "producer": set(CODECS.values())}.get(kept) or {CODECS[kept]}
        need(codecs(ctx, topic) == due, f"{topic} holds the codecs {codecs(ctx, topic)}, {due} is due")
        ctx.due_kept = {**getattr(ctx, "due_kept", {}), topic: ledger.digest(got)}
        records += len(got)
    return f"{len(KEPT)} topics, {len(CODECS)} codecs sent to each, {records} records"


def in_order(ctx):
    """An idempotent producer whose batches are small and many, and every fourth of them already as the topic wants it."""
    ctx.create("squeezed", 2, [("compression.type", "zstd"), ("compression.zstd.level", "19")])
    config = {"enable.idempotence": True, "batch.num.messages": 20, "linger.ms": 1, "max.in.flight.requests.per.connection": 5}
    sent = writers.librdkafka(ctx.broker, "squeezed", 4_000, config)
    ledger.compare(sent, readers.librdkafka(ctx.broker, "squeezed"))
    need(codecs(ctx, "squeezed") == {4}, f"{codecs(ctx, 'squeezed')}")
    ctx.create("pipelined", 1, [("compression.type", "gzip"), ("compression.gzip.level", "9")])
    answers = pipelined(ctx, "pipelined", 200)
    need(answers == [(0, 3 * number) for number in range(200)], f"{[one for one in enumerate(answers) if one[1][0]][:3]}")
    sequences = [batch[4] for batch in batches(ctx, "pipelined")]
    need(sequences == [3 * number for number in range(200)], f"{sequences[:10]}")
    code, *_ = send(ctx, "pipelined", wire.batch(GOOD, producer=(77, 0, 900)))
    need(code == OUT_OF_ORDER, f"a gap in the sequence: error {code}")
    return f"{len(sent)} records of librdkafka, {len(answers)} batches in one go"


def pipelined(ctx, topic, count):
    """(error, offset) of as many batches, all sent before an answer is read; those of gzip stay as they are."""
    filler = b"".join(b"%d" % n for n in range(4_000))
    with wire.Connection(wire.leader_port(ctx.broker.port, topic)) as connection:
        for number in range(count):
            batch = wire.batch([b"%d-" % number + filler, b"two", b"three"], codec=int(number % 4 == 3),
                               producer=(77, 0, 3 * number))
            connection.send(wire.frame(wire.produce(topic, 0, batch, acks=-1, version=8)))
        return [wire.produce_answer(connection.answer())[:2] for _ in range(count)]


# message.timestamp.type -----------------------------------------------------------------------------------------


def log_append_time(ctx):
    ctx.create("stamped", 1, [("message.timestamp.type", "LogAppendTime")])
    ctx.create("stamped-zstd", 1, [("message.timestamp.type", "LogAppendTime"), ("compression.type", "zstd")])
    said = {}
    for topic in ("stamped", "stamped-zstd"):
        before, times = now_ms(), []
        for producer in ((-1, -1, -1), (66, 0, 0), (66, 0, 0)):
            code, offset, appended, start, *_ = send(ctx, topic, wire.batch(GOOD, timestamp_ms=5, producer=producer))
            need(code == 0 and start == 0 and before <= appended <= now_ms(), f"error {code}, appended at {appended}")
            times.append((offset, appended))
            time.sleep(0.02)
        need(times[2] == times[1], f"a batch that came twice was told {times[1]} and {times[2]}")
        writers.kcat(ctx.broker, topic, 30, codec="gzip", partition=0)
        stamps = [(one.offset, one.timestamp) for one in readers.kcat(ctx.broker, topic)]
        need(stamps[:6] == [(offset + more, at) for offset, at in times[:2] for more in range(3)], f"{stamps[:6]}, {times}")
        need(all(before <= at <= now_ms() for _, at in stamps) and stamps == sorted(stamps, key=lambda one: one[1]), f"{stamps}")
        need(all(batch[1] & LOG_APPEND_TIME and batch[2] != batch[3] for batch in batches(ctx, topic)), f"{batches(ctx, topic)}")
        # By time: the first offset that is not earlier; the latest time's is the first of the last batch.
        for wanted in (times[0][1], times[0][1] + 1, times[1][1], stamps[-1][1]):
            due = next(offset for offset, at in stamps if at >= wanted)
            need(get_offsets(ctx, topic, wanted) == {0: due}, f"by {wanted}: {get_offsets(ctx, topic, wanted)}, due {due}")
        last = min(offset for offset, at in stamps if at == stamps[-1][1])
        need(get_offsets(ctx, topic, -3) == {0: last}, f"of the latest time: {get_offsets(ctx, topic, -3)}, due {last}")
        said[topic] = stamps
    alter(ctx, "stamped", "message.timestamp.type=CreateTime")
    until(lambda: send(ctx, "stamped", wire.batch(GOOD, timestamp_ms=7))[2] == -1, "the producer's time to count")
    need(readers.kcat(ctx.broker, "stamped")[-1].timestamp == 7, "the last record")
    return f"{ {topic: stamps[-1] for topic, stamps in said.items()} }"


def timestamps_refused(ctx):
    """Every record outside is named, with the bounds; no time is fine; what is not readable comes first."""
    ctx.create("near", 1, [("message.timestamp.before.max.ms", "60000"), ("message.timestamp.after.max.ms", "30000")])
    ctx.create("stamped-again", 1, [("message.timestamp.type", "LogAppendTime")])
    ctx.create("keyed", 1, [("cleanup.policy", "compact"), ("compression.type", "gzip")])
    now, r = now_ms(), wire.record

    def body(*deltas):
        return b"".join(r(i, b"v", timestamp_delta=delta) for i, delta in enumerate(deltas))

    def due(topic, batch, error, named, words=()):
        code, offset, appended, start, records, reason = send(ctx, topic, batch)
        need((code, sorted(records), start) == (error, named, 0), f"{topic}: error {code}, records {records}, start {start}")
        need((offset, appended) == (-1, -1) if error else offset >= 0, f"{topic}: {offset} {appended}")
        need(all(word in text for text in records.values() for word in words), f"{records}")
        need(not named or "One or more records have been rejected due to" in reason, f"{reason}")
        return list(records.values())

    b = wire.batch
    due("near", b(GOOD, timestamp_ms=now - 100_000), INVALID_TIMESTAMP, [0, 1, 2], (str(now - 100_000), "is out of range"))
    due("near", b(GOOD, timestamp_ms=now + 100_000), INVALID_TIMESTAMP, [0, 1, 2], ("The timestamp should be within [",))
    due("near", b(GOOD, timestamp_ms=now, body=body(0, -70_000, 40_000)), INVALID_TIMESTAMP, [1, 2])
    due("near", b(GOOD, timestamp_ms=now, body=body(-50_000, 0, 20_000)), 0, [])
    packed = wire.gzip.compress(body(0, 9, 40_000))
    due("near", b(GOOD, timestamp_ms=now, codec=1, body=packed), INVALID_TIMESTAMP, [2])
    due("near", b(GOOD, timestamp_ms=-1), 0, [])
    due("near", b(GOOD, timestamp_ms=now, attributes=LOG_APPEND_TIME), 0, [])
    due("near", b(GOOD, timestamp_ms=-1, attributes=LOG_APPEND_TIME), INVALID_TIMESTAMP, [0, 1, 2], ("LogAppendTime",))
    for codec in (0, 1):
        due("stamped-again", b(GOOD, codec=codec, timestamp_ms=now, attributes=LOG_APPEND_TIME), INVALID_TIMESTAMP, [0, 1, 2],
            ("Producer should not set timestamp type to LogAppendTime",))
    due("stamped-again", b(GOOD, timestamp_ms=1), 0, [])
    due("keyed", b(GOOD), INVALID_RECORD, [0, 1, 2], ("Compacted topic cannot accept message without key",))
    mixed = r(0, b"v", key=b"k") + r(1, b"v") + r(2, b"v", key=b"k", timestamp_delta=10**10)
    due("keyed", b(GOOD, body=mixed), INVALID_TIMESTAMP, [1, 2])
    due("keyed", b(GOOD, body=r(0, b"v") + r(1, b"v") + b"\xff\xff\xff"), INVALID_RECORD, [])
    said = due("near", b(GOOD, timestamp_ms=now - 100_000), INVALID_TIMESTAMP, [0, 1, 2])
    # Wide bounds, changed while it runs.
    alter(ctx, "near", "message.timestamp.before.max.ms=9223372036854775807")
    until(lambda: send(ctx, "near", b(GOOD, timestamp_ms=1))[0] == 0, "a time long ago to be taken")
    return said[0]


# max.message.bytes ----------------------------------------------------------------------------------------------


def sizes(ctx):
    """A batch's bytes as they come, and again as they are kept: the topic's limit, then that of a segment."""
    for kept in ("producer", "uncompressed", "gzip"):
        ctx.create(f"small-{kept}", 1, [("max.message.bytes", "200"), ("compression.type", kept)])
        ctx.create(f"short-{kept}", 1, [("max.message.bytes", str(3 << 20)), ("segment.bytes", str(1 << 20)),
                                        ("compression.type", kept)])
    b = wire.batch

    def of(size, head=61 + 9):
        """A batch of exactly so many bytes."""
        value = next(value for value in range(size - head - 4, size - head + 4) if len(b([b"x" * value], crc=0)) == size)
        return b([b"x" * value])

    def due(topic, batch, error):
        code, _, _, start, records, _ = send(ctx, topic, batch)
        need((code, records) == (error, {}), f"{topic} of {len(batch)} bytes: error {code}, {error} is due; {records}")
        need(start == (-1 if error in (TOO_LARGE, LIST_TOO_LARGE) else 0), f"{topic}: log start {start}")

    need(len(b([b"x" * 1000], codec=1)) <= 200 < len(b([b"x" * 1000])), "what gzip makes of it")
    due("small-producer", of(200), 0)
    due("small-producer", of(201), TOO_LARGE)
    due("small-producer", b([b"x" * 500], crc=1), TOO_LARGE)
    due("small-producer", b([b"x" * 500], base_offset=5), INVALID_RECORD)
    due("small-uncompressed", b([b"x" * 1000], codec=1), TOO_LARGE)
    due("small-uncompressed", b([b"x" * 100], codec=1), 0)
    due("small-gzip", b([b"x" * 1000]), TOO_LARGE)
    due("small-gzip", of(170), 0)
    due("small-gzip", b([os.urandom(125)]), TOO_LARGE)
    segment = 1 << 20
    due("short-producer", of(segment, head=61 + 13), 0)
    due("short-producer", of(segment + 1, head=61 + 13), LIST_TOO_LARGE)
    due("short-gzip", b([b"x" * (2 << 20)]), 0)
    due("short-uncompressed", b([b"x" * (2 << 20)], codec=1), LIST_TOO_LARGE)
    alter(ctx, "small-producer", "max.message.bytes=201")
    until(lambda: send(ctx, "small-producer", of(201))[0] == 0, "201 bytes to be taken")
    due("small-producer", of(202), TOO_LARGE)
    return "200 and 201 bytes, and what becomes of them in another codec"


def brokers_defaults(ctx):
    """What all brokers are set to while they run counts for a topic without its own, and no more when it is taken back."""
    ctx.create("by-default", 1)
    ctx.create("by-itself", 1, [("compression.type", "producer"), ("message.timestamp.type", "CreateTime"),
                                ("max.message.bytes", "1000"), ("message.timestamp.before.max.ms", "9223372036854775807")])
    everyone = [*at(ctx), "--entity-type", "brokers", "--entity-default", "--alter"]
    wanted = {"compression.type": "lz4", "log.message.timestamp.type": "LogAppendTime", "message.max.bytes": "300"}
    small, large = wire.batch(GOOD, timestamp_ms=9), wire.batch([b"x" * 400], timestamp_ms=9)
    ctx.tools("kafka-configs", *everyone, "--add-config", ",".join(f"{name}={value}" for name, value in wanted.items()))
    until(lambda: send(ctx, "by-default", small)[2] > 0, "LogAppendTime")
    until(lambda: send(ctx, "by-default", large)[0] == TOO_LARGE, "300 bytes at most")
    need(batches(ctx, "by-default")[-1][:2] == (3, 3 | LOG_APPEND_TIME), f"{batches(ctx, 'by-default')[-1]}")
    need([send(ctx, "by-itself", batch)[:3] for batch in (small, large)] == [(0, 0, -1), (0, 3, -1)], "a topic with its own")
    need(codecs(ctx, "by-itself") == {0}, f"{codecs(ctx, 'by-itself')}")
    bounds = {"log.message.timestamp.type": "CreateTime", "log.message.timestamp.before.max.ms": "60000",
              "message.max.bytes": "1000"}
    ctx.tools("kafka-configs", *everyone, "--add-config", ",".join(f"{name}={value}" for name, value in bounds.items()))
    until(lambda: send(ctx, "by-default", small)[0] == INVALID_TIMESTAMP, "a time long ago to be refused")
    need(send(ctx, "by-itself", small)[0] == 0, "the topic's own bound")
    ctx.tools("kafka-configs", *everyone, "--delete-config", ",".join({**wanted, **bounds}))
    until(lambda: send(ctx, "by-default", large)[::2][:2] == (0, -1), "what there was before")
    need(batches(ctx, "by-default")[-1][0] == 0, f"{batches(ctx, 'by-default')[-1]}")
    return "lz4, LogAppendTime, 300 bytes; then 60 s; then as before"


# Large records --------------------------------------------------------------------------------------------------


def large(ctx):
    """Records of 20 and 90 MB, both ways, whatever a consumer's partition may be given at a time."""
    said = []
    for size, kept in ((20 * MB, "producer"), (20 * MB, "zstd"), (90 * MB, "producer")):
        topic = f"large-{size // MB}-{kept}"
        ctx.create(topic, 1, [("max.message.bytes", str(size + 1000)), ("compression.type", kept),
                              ("compression.zstd.level", "1")])
        path = ctx.folder / "value"
        value = b"".join(os.urandom(1 << 15) + b"x" * (1 << 15) for _ in range(size >> 16))
        path.write_bytes(value)
        limits = ["-X", f"message.max.bytes={size + 1000}"]
        writers.kcat(ctx.broker, topic, 1, partition=0)
        began = time.monotonic()
        readers.client([peers.kcat(), "-P", "-b", ctx.broker.bootstrap, "-t", topic, "-p", 0, *limits, path])
        reading = ["-X", f"receive.message.max.bytes={size + 2 * MB}", "-X", f"fetch.max.bytes={size + MB}",
                   "-X", f"message.max.bytes={size + MB}"]
        wide = [*reading, "-X", f"fetch.message.max.bytes={size + MB}"]
        writers.kcat(ctx.broker, topic, 1, partition=0)
        for extra in (wide, reading):
            got = readers.kcat(ctx.broker, topic, extra=extra)
            need([len(one.value) for one in got][1] == len(value) and got[1].value == value and len(got) == 3,
                 f"{topic}: {[len(one.value) for one in got]}")
        said.append(f"{topic} {time.monotonic() - began:.1f} s")
    return ", ".join(said)


def after_restart(ctx):
    """What was kept is read the same."""
    need(ctx.broker.stop() in (0, 143), "the stop")
    ctx.broker.start()
    for topic, digest in ctx.due_kept.items():
        until(lambda: ledger.digest(readers.kcat(ctx.broker, topic)) == digest, f"{topic} as it was")  # noqa: B023
    folders = ",".join(str(path) for topic in ctx.due_kept for path in ctx.broker.log_dir.glob(f"{topic}-0/*.log"))
    out = ctx.tools("kafka-dump-log", "--files", folders, "--deep-iteration").out
    need("isvalid: false" not in out and out.count("isvalid: true") > len(ctx.due_kept), f"{out[-300:]}")
    return f"{len(ctx.due_kept)} topics, {out.count('isvalid: true')} batches by kafka-dump-log"


# Run by suite.apart, in this order, on one broker that has SETTINGS.
CHECKS = {
    "log keeps its own codec": compression,
    "log keeps an idempotent producer's order": in_order,
    "log stamps its own time": log_append_time,
    "log names the records that it refuses": timestamps_refused,
    "log sizes edge for edge": sizes,
    "log takes what all brokers are set to": brokers_defaults,
    "log takes records of 20 and 90 MB": large,
    "log is the same after a restart": after_restart,
}
