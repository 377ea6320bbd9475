"""Every writer's records read back by every reader: count, content and order per partition, at the same offsets."""

import concurrent.futures
import functools

from lib import ledger, readers, writers
from lib.report import Failed, need

PARTITIONS = 3
COUNT = 1200
CONFIGS = {"w-perf-segments": (("segment.bytes", "1048576"),)}  # the least that Kafka takes


def cases(ctx):
    """(name, function that writes to a topic of three partitions and gives what it sent)."""
    perf, old = functools.partial(writers.perf, ctx.tools), functools.partial(writers.perf, ctx.old_tools)
    rd = writers.librdkafka
    out = [(f"perf-{codec}", lambda b, t, c=codec: perf(b, t, COUNT, 220, c)) for codec in writers.CODECS]
    out += [(f"perf-acks-{acks}", lambda b, t, a=acks: perf(b, t, COUNT, 220, "none", not_idempotent(a)))
            for acks in ("0", "1", "all")]
    out += [
        ("perf-large-batches", lambda b, t: perf(b, t, 1500, 1000, "none", ("batch.size=524288", "linger.ms=20"))),
        ("perf-large-records", lambda b, t: perf(b, t, 6, 1_000_000, "none", ("acks=1", "enable.idempotence=false"))),
        ("perf-tiny-batches", lambda b, t: perf(b, t, 600, 100, "none", ("batch.size=1", "acks=1"))),
        ("perf-segments", lambda b, t: perf(b, t, 4500, 1000)),
        ("perf-monotonic", lambda b, t: writers.perf_monotonic(ctx.tools, b, t, COUNT)),
        ("perf-3.9", lambda b, t: old(b, t, COUNT, 220, "lz4")),
        ("console", lambda b, t: writers.console(ctx.tools, b, t, 400, PARTITIONS, ctx.folder)),
        ("console-3.9", lambda b, t: writers.console(ctx.old_tools, b, t, 400, PARTITIONS, ctx.folder)),
    ]
    out += [(f"kcat-{codec}", lambda b, t, c=codec: writers.kcat(b, t, 400, c, keys=True, headers=HEADERS))
            for codec in writers.CODECS]
    out += [("kcat-acks-1-partition", lambda b, t: writers.kcat(b, t, 300, partition=2, acks="1"))]
    out += [(f"librdkafka-{codec}", lambda b, t, c=codec: rd(b, t, 400, {"compression.type": c}))
            for codec in ("none", "gzip", "snappy", "lz4", "zstd")]
    out += [("librdkafka-idempotent", lambda b, t: rd(b, t, 2000, {"enable.idempotence": True, "linger.ms": 1}))]
    return out


HEADERS = ((b"origin", b"kcat"), (b"empty", b""), (b"n", b"1"))


def not_idempotent(acks):
    return (f"acks={acks}", "enable.idempotence=false", "max.in.flight.requests.per.connection=1")


def write_all(ctx):
    """Runs every writer; fills ctx.written with {topic: sent}."""
    for name, write in cases(ctx):
        topic = f"w-{name}"
        if not ctx.report.wants(ctx.name(f"clients {name}")):
            continue
        ctx.report.check(ctx.name(f"clients {name} written"), write_one, ctx, topic, write)


def write_one(ctx, topic, write):
    ctx.create(topic, PARTITIONS, CONFIGS.get(topic, ()))
    sent = write(ctx.broker, topic)
    ctx.written[topic] = sent
    return f"{len(sent)} records"


def all_readers(ctx):
    return {"kcat": readers.kcat, "console": readers.Console(ctx.tools), "librdkafka": readers.librdkafka}


def read_all(ctx, when="read", names=("kcat", "console", "librdkafka")):
    """Every topic by every reader; the native clients run beside each other, because they mostly wait."""
    table = {name: reader for name, reader in all_readers(ctx).items() if name in names}
    table = {name: ctx.spoil.get(name, lambda r: r)(reader) for name, reader in table.items()}
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        jobs = {(topic, name): pool.submit(reader, ctx.broker, topic, len(sent))
                for topic, sent in ctx.written.items() for name, reader in table.items()}
        for topic in list(ctx.written):
            ctx.report.check(ctx.name(f"clients {topic[2:]} {when}"), compare_readers, ctx, topic,
                             {name: jobs[topic, name] for name in table})


def compare_readers(ctx, topic, jobs):
    """Each reader against what was sent, then all readers against each other, timestamps included."""
    sent, digests, said, wrong = ctx.written[topic], {}, "", []
    for name, job in jobs.items():
        try:
            got = job.result()
            said = ledger.compare(sent, got)
            digests[name] = ledger.digest(got)
        except Failed as error:
            wrong.append(f"{name}: {error}")
    need(not wrong, "; ".join(wrong))
    need(len(set(digests.values())) == 1, f"the readers differ: {digests}")
    before = ctx.digests.setdefault(topic, (digests[next(iter(digests))]))
    need(before == digests[next(iter(digests))], f"read otherwise than before: {before} then {digests}")
    return f"{said} by {', '.join(digests)}"
