"""What `ringlog broker --metrics-listen` says after known traffic, and that wrong HTTP does no harm."""

import re
import socket
import time
import urllib.error
import urllib.request

from lib import brokers, readers, wire, writers
from lib.checks_groups import until
from lib.report import need

SAMPLE = re.compile(r"^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$")
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
RECORDS, VALUE = 5, b"m" * 3000


def run(report, label, shards=1, **how):
    with brokers.scratch() as folder:
        broker = brokers.new("ringlog", folder / "broker", shards=shards, overrides={"ringlog.metrics.listen": "0"}, **how)
        if not report.wants_any(f"{label} metrics"):
            return
        with broker:
            address = re.search(r"metrics http://(\S+)/metrics", broker.output.read_text())[1]
            for name, function in (("say what was sent, read and kept", traffic), ("say how far groups are", lag),
                                   ("health and readiness", health), ("wrong HTTP does no harm", wrong_http)):
                report.check(f"{label} metrics {name}", function, broker, address)


def get(address, path, method="GET"):
    """(status, headers, text)"""
    asked = urllib.request.Request(f"http://{address}{path}", method=method)
    try:
        with urllib.request.urlopen(asked, timeout=10) as answer:
            return answer.status, answer.headers, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read().decode()


def page(address):
    """{(name, ((label, value), ...)): number}: every line that is no comment must be a sample, and none stands twice."""
    status, headers, text = get(address, "/metrics")
    need(status == 200 and headers["content-type"].startswith("text/plain; version=0.0.4"), f"{status} {headers}")
    samples = {}
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        found = SAMPLE.match(line)
        need(found, f"no sample: {line}")
        key = found[1], tuple(sorted(LABEL.findall(found[2] or "")))
        need(key not in samples, f"twice: {line}")
        samples[key] = float(found[3])
    return samples


def value(samples, name, **labels):
    key = name, tuple(sorted(labels.items()))
    need(key in samples, f"there is no {name} {labels}")
    return samples[key]


def traffic(broker, address):
    """Raw requests, so that every byte and every request is known."""
    need(wire.make_topic(broker.port, "counted", 1) == 0, "the topic was not made")
    before = page(address)
    leader = wire.leader_port(broker.port, "counted", 0)
    batch = wire.batch([VALUE])
    with wire.Connection(leader) as connection:
        for _ in range(RECORDS):
            need(wire.produce_error(connection.ask(wire.produce("counted", 0, batch)))[0] == 0, "not taken")
        error, _, records = wire.fetch_answer(connection.ask(wire.fetch("counted", 0, 0)))
    need(error == 0 and len(records) == RECORDS * len(batch), f"fetched {len(records)} bytes, error {error}")
    after = page(address)
    bytes_ = RECORDS * len(batch)
    on_disk = sum(path.stat().st_size for path in broker.log_dir.glob("counted-0/*.log"))
    topics = "kafka_server_brokertopicmetrics_"
    due = {"bytesin_total": bytes_, "bytesout_total": bytes_, "messagesin_total": RECORDS,
           "totalproducerequests_total": RECORDS, "totalfetchrequests_total": 1, "failedproducerequests_total": 0}
    for name, number in due.items():
        said = value(after, topics + name, topic="counted")
        need(said == number, f"{name} of the topic is {said}, and {number} is due")
        grown = value(after, topics + name) - value(before, topics + name)
        need(grown == number, f"{name} of all grew by {grown}, and {number} is due")
    for name, labels, number in (
            ("kafka_network_requestmetrics_requests_total", {"request": "Produce", "version": "7"}, RECORDS),
            ("kafka_network_requestmetrics_totaltimems_count", {"request": "Produce"}, RECORDS),
            ("ringlog_request_seconds_count", {"request": "Produce"}, RECORDS),
            ("kafka_log_log_size", {"topic": "counted", "partition": "0"}, on_disk),
            ("kafka_log_log_logendoffset", {"topic": "counted", "partition": "0"}, RECORDS),
            ("ringlog_page_cache_bytes", {"topic": "counted", "partition": "0"}, on_disk)):
        said = value(after, name, **labels)
        need(said == number, f"{name} is {said}, and {number} is due")
    moved = sum(number for (name, _), number in after.items() if name == "ringlog_socket_received_bytes_total")
    need(moved >= bytes_, f"{moved} bytes received")
    return f"{len(after)} samples; {bytes_} bytes in and out, {on_disk} on the disk"


def lag(broker, address):
    writers.kcat(broker, "lagging", 40, partition=0)
    readers.kcat_group(broker, "lagging", "laggards", 40)
    where = {"consumergroup": "laggards", "topic": "lagging", "partition": "0"}
    name = "kafka_consumergroup_lag"
    until(lambda: page(address).get((name, tuple(sorted(where.items())))) == 0, "a group that read all to have no lag")
    writers.kcat(broker, "lagging", 7, partition=0)
    samples = page(address)
    need(value(samples, name, **where) == 7, f"lag is {value(samples, name, **where)} after 7 records")
    need(value(samples, "kafka_consumergroup_current_offset", **where) == 40, "40 were committed")
    return "no lag, then 7"


def health(broker, address):
    for path in ("/healthz", "/readyz"):
        status, _, text = get(address, path)
        need((status, text) == (200, "ok\n"), f"{path}: {status} {text}")
    status, _, text = get(address, "/metrics", "HEAD")
    need((status, text) == (200, ""), f"HEAD: {status} {text[:80]}")
    return "ok, ok"


def raw(address, data, end=True):
    host, port = address.split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        try:
            connection.sendall(data)
            if end:
                connection.shutdown(socket.SHUT_WR)
            said = b""
            while part := connection.recv(65536):
                said += part
        except ConnectionError:
            return b""
    return said.split(b"\r\n")[0]


def wrong_http(broker, address):
    cases = ((b"\0\0\0\x1a\0\x12\0\x03\0\0\0\1", b"400"), (b"GET /metrics\r\n\r\n", b"400"),
             (b"GET / HTTP/1.1\r\n\r\n", b"404"), (b"POST /metrics HTTP/1.1\r\nContent-Length: 5\r\n\r\nabcde", b"405"),
             (b"GET /metrics HTTP/1.1\r\nA: " + b"b" * 100_000, b"431"),
             (b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n\r\n", b"431"), (b"\xff" * 50_000, b"400"), (b"", b""))
    for data, due in cases:
        said = raw(address, data, end=len(data) < 1000)
        # A peer that goes on sending after its answer may lose it.
        need(due in said or (len(data) > 8192 and said == b""), f"{data[:30]!r}: {said!r}")
    host, port = address.split(":")
    silent = [socket.create_connection((host, int(port)), timeout=10) for _ in range(100)]
    silent[0].sendall(b"GET /metr")
    need(wire.answers(broker.port), "the broker does not answer while connections are silent")
    began = time.monotonic()
    until(lambda: answers(address), "the page to be served while silent connections are there", 15)
    waited = time.monotonic() - began
    for connection in silent:
        connection.close()
    need(get(address, "/healthz")[0] == 200 and broker.alive(), "it does not live on")
    return f"{len(cases)} cases; 100 silent connections held the page up for {waited:.1f} s"


def answers(address):
    try:
        return get(address, "/metrics")[0] == 200
    except (OSError, urllib.error.URLError):
        return False
