"""Writers: each sends records through a client that is not ours and gives the list of ledger.Sent, in sending order.

The list is made here, before or independently of the client, and never read back from the broker.
"""

import json
import re
import subprocess

from lib import peers, readers
from lib.ledger import Sent, partition_of
from lib.report import Failed, need

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")


def values(name, count, size=60):
    """Distinct printable values, compressible, of different lengths."""
    return [f"{name}-{i:06d}-{'abcdefghij' * (1 + i % (size // 10))}".encode() for i in range(count)]


# kcat -----------------------------------------------------------------------------------------------------------


def kcat(broker, topic, count, codec="none", keys=False, headers=(), partition=None, acks="all", extra=()):
    command = [peers.kcat(), "-P", "-b", broker.bootstrap, "-t", topic, "-z", codec, "-X", f"acks={acks}", *extra]
    command += ["-K", "\t"] if keys else []
    command += ["-p", partition] if partition is not None else []
    for name, value in headers:
        command += ["-H", f"{name.decode()}={value.decode()}"]
    sent = [Sent(value, f"key-{i % 97}-{i}".encode() if keys else None, tuple(headers), partition)
            for i, value in enumerate(values(f"kcat-{topic}", count))]
    lines = [(record.key + b"\t" if keys else b"") + record.value for record in sent]
    readers.client(command, stdin=b"\n".join(lines) + b"\n")
    return sent


def refused(broker, topic, key, value):
    """Why the broker does not take a record, in kcat's words; None where it does."""
    command = [peers.kcat(), "-P", "-b", broker.bootstrap, "-t", topic, "-K", "\t", "-X", "message.timeout.ms=10000"]
    done = subprocess.run(command, input=key + b"\t" + value + b"\n", capture_output=True, timeout=30)
    said = re.search(r"Delivery failed for message: (.*)", (done.stdout + done.stderr).decode(errors="replace"))
    need(said or done.returncode == 0, f"kcat ends with {done.returncode}: {done.stderr[-200:]}")
    return said[1].strip() if said else None


# librdkafka -----------------------------------------------------------------------------------------------------


def librdkafka(broker, topic, count, config=None):
    """Keys, headers, null keys and a null value; every delivery report is asked for."""
    sent = []
    for i, value in enumerate(values(f"rd-{topic}", count)):
        key = None if i % 3 == 0 else f"k{i}".encode()
        value = None if i % 50 == 49 and key else value
        pairs = ((b"trace", str(i).encode()), (b"kind", b"test")) if i % 2 else ()
        sent.append(Sent(value, key, pairs))
    lines = "\n".join(json.dumps({
        "value": plain(record.value), "key": plain(record.key), "partition": record.partition,
        "headers": [(name.decode(), plain(value)) for name, value in record.headers]}) for record in sent)
    answer = json.loads(readers.librdkafka_program("produce", broker, topic, config or {}, stdin=lines.encode()))
    need(answer["delivered"] == count and not answer["left"], f"delivery reports say {answer} for {count} records")
    return sent


def plain(data):
    return None if data is None else data.decode("latin-1")


# Kafka's tools --------------------------------------------------------------------------------------------------


def console(tools, broker, topic, count, partitions, folder, extra=()):
    """kafka-console-producer with keys and headers; keys go where the Java partitioner's hash says."""
    sent = []
    for i, value in enumerate(values(f"console-{topic}", count)):
        key = f"k{i}".encode()
        sent.append(Sent(value, key, ((b"h1", str(i).encode()), (b"h2", b"x")), partition_of(key, partitions)))
    file = folder / f"{topic}.txt"
    lines = (b",".join(n + b":" + v for n, v in r.headers) + b"\t" + r.key + b"\t" + r.value for r in sent)
    file.write_bytes(b"\n".join(lines) + b"\n")
    prop = "--property" if tools.version.startswith("3.") else "--reader-property"
    result = tools("kafka-console-producer", "--bootstrap-server", broker.bootstrap, "--topic", topic,
                   prop, "parse.key=true", prop, "parse.headers=true", *extra, stdin=file)
    need("ERROR" not in result.err and "Exception" not in result.err, f"it says {result.err[-400:]}")
    return sent


SUMMARY = re.compile(r"^(\d+) records sent, ([\d.]+) records/sec \(([\d.]+) MB/sec\), .* 99\.9th\.$", re.M)


def check_summary(output, count):
    """The last summary line of a producer-perf tool says how many records it sent."""
    lines = SUMMARY.findall(output)
    need(lines, f"no summary line in {output[-400:]!r}")
    need(int(lines[-1][0]) == count, f"{lines[-1][0]} records sent where {count} were asked for")


def perf(tools, broker, topic, count, size, codec="none", props=()):
    """kafka-producer-perf-test with --record-size: its payloads are random from a fixed seed, so they are known."""
    payloads = tools.run("@perf-payloads", count, size).out.split("\n")[:count]
    settings = [f"bootstrap.servers={broker.bootstrap}", f"compression.type={codec}", *props]
    result = tools("kafka-producer-perf-test", "--topic", topic, "--num-records", count, "--record-size", size,
                   "--throughput", -1, "--producer-props", *settings)
    refuse_errors(result)
    check_summary(result.out, count)
    return [Sent(payload.encode()) for payload in payloads]


def perf_monotonic(tools, broker, topic, count, props=()):
    result = tools("kafka-producer-perf-test", "--topic", topic, "--num-records", count, "--payload-monotonic",
                   "--throughput", -1, "--producer-props", f"bootstrap.servers={broker.bootstrap}", *props)
    refuse_errors(result)
    check_summary(result.out, count)
    return [Sent(str(i).encode()) for i in range(count)]


def refuse_errors(result):
    """kafka-producer-perf-test exits with 0 when sends failed; it prints their exceptions."""
    said = result.out + result.err
    if "Exception" in said:
        raise Failed(f"sends failed: {said[-500:]}")
