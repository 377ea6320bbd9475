"""The measuring tools as tools: kafka-consumer-perf-test, kafka-e2e-latency, and our own two."""

import re
import subprocess

from lib import ledger, readers, writers
from lib.ledger import Sent
from lib.report import need

ROW = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d:\d{3}, .*$", re.M)


def run(ctx):
    if "w-perf-none" in ctx.written:
        ctx.check("perf kafka-consumer-perf-test", consumer_perf, ctx, "w-perf-none")
    ctx.check("perf kafka-e2e-latency", e2e_latency, ctx)
    ctx.check("perf records over the limit", too_large, ctx)


def rows(output, sent):
    """The one row of a consumer-perf tool, which must say exactly what was sent."""
    found = ROW.findall(output)
    need(len(found) == 1, f"{len(found)} rows in {output[-300:]!r}")
    fields = [field.strip() for field in found[0].split(",")]
    size = sum(len(record.value) + len(record.key or b"") for record in sent)
    need(int(fields[4]) == len(sent), f"{fields[4]} records where {len(sent)} were sent")
    need(abs(float(fields[2]) - size / 1048576) < 0.0002, f"{fields[2]} MB where {size / 1048576:.4f} were sent")
    return f"{fields[4]} records, {fields[2]} MB"


def consumer_perf(ctx, topic):
    sent = ctx.written[topic]
    out = ctx.tools("kafka-consumer-perf-test", "--bootstrap-server", ctx.broker.bootstrap, "--topic", topic,
                    "--num-records", len(sent), "--timeout", 20000).out
    return rows(out, sent)


def e2e_latency(ctx):
    ctx.create("e2e", 1)
    out = ctx.tools("kafka-e2e-latency", "--bootstrap-server", ctx.broker.bootstrap, "--topic", "e2e", "--num-records",
                    200, "--producer-acks", 1, "--record-size", 100).out
    need(re.search(r"Avg latency: [\d.]+ ms", out) and re.search(r"Percentiles: 50th = \d+", out), out)
    got = readers.kcat(ctx.broker, "e2e")
    need([r.offset for r in got] == list(range(200)), f"{len(got)} records in the topic where 200 were sent")
    need({len(r.value) for r in got} == {100}, "sizes differ from 100")
    return " ".join(out.split("\n")[-3:])


def too_large(ctx):
    """A record over message.max.bytes is refused with Kafka's error; the tool exits with 0 and the topic stays empty."""
    ctx.create("too-large", 1)
    result = ctx.tools("kafka-producer-perf-test", "--topic", "too-large", "--num-records", 2, "--record-size", 1_200_000,
                       "--throughput", -1, "--producer-props", f"bootstrap.servers={ctx.broker.bootstrap}",
                       "max.request.size=4000000")
    need("RecordTooLargeException" in result.out + result.err, f"says {result.out[-300:]} {result.err[-300:]}")
    need(readers.kcat(ctx.broker, "too-large") == [], "the record is in the topic")
    return "RecordTooLargeException"


# Our own tools --------------------------------------------------------------------------------------------------


def run_own(ctx, binary):
    """`ringlog producer-perf` and `ringlog consumer-perf` against whatever broker this is."""
    for name, props in (("acks=1", ("acks=1", "enable.idempotence=false")), ("idempotent", ("acks=all",)),
                        ("large batches", ("acks=1", "batch.size=1048576", "linger.ms=10")),
                        ("gzip", ("compression.type=gzip",)), ("snappy", ("compression.type=snappy",)),
                        ("lz4", ("compression.type=lz4",)), ("zstd", ("compression.type=zstd",))):
        topic = "own-" + re.sub(r"\W", "-", name)
        ctx.check(f"own producer-perf {name}", own_producer, ctx, binary, topic, props)
    ctx.check("own consumer-perf", own_consumer, ctx, binary)


def ringlog(binary, *arguments, limit_s=60):
    done = subprocess.run([str(binary), *map(str, arguments)], capture_output=True, text=True, timeout=limit_s)
    need(done.returncode == 0, f"exited with {done.returncode}: {done.stdout[-300:]} {done.stderr[-500:]}")
    return done.stdout


def own_producer(ctx, binary, topic, props):
    """--payload-monotonic: each record's number is its value, so that every reader can tell what is due."""
    ctx.create(topic, 3)
    out = ringlog(binary, "producer-perf", "--topic", topic, "--num-records", 20000, "--payload-monotonic",
                  "--throughput", -1, "--producer-props", f"bootstrap.servers={ctx.broker.bootstrap}", *props)
    writers.check_summary(out, 20000)
    sent = [Sent(str(i).encode()) for i in range(20000)]
    first = ledger.compare(sent, readers.kcat(ctx.broker, topic))
    ledger.compare(sent, readers.Console(ctx.tools)(ctx.broker, topic, 20000))
    return first


def own_consumer(ctx, binary):
    topic = "w-perf-none" if "w-perf-none" in ctx.written else "own-consumer"
    if topic not in ctx.written:
        ctx.create(topic, 3)
        ctx.written[topic] = writers.perf(ctx.tools, ctx.broker, topic, 1200, 220)
    sent = ctx.written[topic]
    out = ringlog(binary, "consumer-perf", "--bootstrap-server", ctx.broker.bootstrap, "--topic", topic,
                  "--num-records", len(sent), "--timeout", 20000)
    return rows(out, sent)
