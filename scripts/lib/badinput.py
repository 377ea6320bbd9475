"""Wrong input of every kind: what the broker says must be what Apache Kafka says, and it must live on.

Each case sends raw bytes on a connection of its own and gives an outcome in words: `closed`, `error N`, `accepted`,
`answered`, `no answer`. The outcome that is due was observed on a real Kafka 4.3.1 (`scripts/bad-input --target kafka`
runs the same cases there). Where Kafka's own answer is the accident of an unexpected exception (`error -1`, or an
answer that never comes) or of a decoder that takes any negative length for null, a tuple names Kafka's answer first and
then the refusals that are as good. After each case an ordinary record is produced and read back.
"""

import socket
import struct
import time

from lib import badadmin, brokers, wire
from lib.report import need

TOPIC = "bad"
COMPACTED = "bad-compacted"


def label_of(target, shards=1, io=None):
    return "kafka" if target == "kafka" else f"ringlog/{shards}" + (f"/{io}" if io else "")


def run(report, target, shards=1, **how):
    label = label_of(target, shards, how.get("io"))
    if not report.wants_any(f"{label} bad"):
        return
    with brokers.scratch() as folder:
        broker = brokers.new(target, folder / "broker", shards=shards, **how)
        try:
            broker.start()
            wire.make_topic(broker.port, TOPIC, 2)
            wire.make_topic(broker.port, COMPACTED, 1, (("cleanup.policy", "compact"),))
            probe = Probe(broker)
            for name, due, send in cases():
                report.check(f"{label} bad {name}", one, broker, probe, due, send)
            for name, due, send in badadmin.cases():
                report.check(f"{label} bad admin {name}", one, broker, probe, due, send)
        finally:
            broker.kill()


def one(broker, probe, due, send):
    """One case: its outcome is the one due, and an ordinary produce and fetch works afterwards."""
    said = send(broker)
    need(broker.alive(), f"the broker died ({said}): {broker.tail()}")
    probe.again()
    need(said in due if isinstance(due, tuple) else said == due, f"{said}, and Kafka: {due}")
    return said


class Probe:
    """An ordinary client: one record more each time, read back at the offset that was acknowledged."""

    def __init__(self, broker):
        self.broker, self.topic, self.sent = broker, "alive", 0
        wire.make_topic(broker.port, self.topic, 1)

    def again(self):
        port = wire.leader_port(self.broker.port, self.topic)
        value = f"alive-{self.sent}".encode()
        with wire.Connection(port) as connection:
            code, offset = wire.produce_error(connection.ask(wire.produce(self.topic, 0, wire.batch([value]))))
            need((code, offset) == (0, self.sent), f"afterwards produce says error {code}, offset {offset}")
            code, _, data = wire.fetch_answer(connection.ask(wire.fetch(self.topic, 0, offset)))
            need(code == 0 and wire.records_of(data) == [(offset, value)], f"afterwards fetch says {code} {data!r}")
        self.sent += 1


# How a case is sent ---------------------------------------------------------------------------------------------


def raw(data, read=lambda cursor: "answered", half_close=False, timeout_s=1.5):
    """Sends bytes as they are, on a new connection to the first port."""
    def send(broker):
        return exchange(broker.port, data, read, half_close, timeout_s)
    return send


def exchange(port, data, read, half_close=False, timeout_s=1.5):
    with wire.Connection(port, timeout_s=timeout_s) as connection:
        try:
            connection.send(data)
            if half_close:
                connection.socket.shutdown(socket.SHUT_WR)
            return read(connection.answer())
        except wire.Closed:
            return "closed"
        except socket.timeout:
            return "no answer"


def framed(payload, read=lambda cursor: "answered"):
    return raw(wire.frame(payload), read)


def produced(records, topic=TOPIC, partition=0, acks=1, version=7):
    """Produces to the leader; the outcome is the partition's error."""
    def send(broker):
        port = wire.leader_port(broker.port, topic if topic in (TOPIC, COMPACTED) else TOPIC)
        content = records() if callable(records) else records
        frame = wire.frame(wire.produce(topic, partition, content, acks, version))
        return exchange(port, frame, produce_outcome, timeout_s=1 if acks == 0 or content is None else 8)
    return send


def produce_outcome(cursor):
    return outcome(wire.produce_error(cursor)[0])


def outcome(code):
    return f"error {code}" if code else "accepted"


def fetched(topic, partition, offset):
    def send(broker):
        port = wire.leader_port(broker.port, TOPIC, 0)
        return exchange(port, wire.frame(wire.fetch(topic, partition, offset)),
                        lambda cursor: outcome(wire.fetch_answer(cursor)[0]))
    return send


def listed(topic, partition, timestamp):
    def read(cursor):
        cursor.take("i"), cursor.string(), cursor.take("i"), cursor.take("i")
        return outcome(cursor.take("h"))

    def send(broker):
        return exchange(wire.leader_port(broker.port, TOPIC, 0),
                        wire.frame(wire.list_offsets(topic, partition, timestamp)), read)
    return send


def listed_twice(topics):
    """Asks for the earliest offset; the outcome is the whole answer: topics, partitions, errors, offsets, sorted."""
    def read(cursor):
        said = {}
        for _ in range(cursor.take("i")):
            said.setdefault(cursor.string(), []).extend(cursor.take("ihqq") for _ in range(cursor.take("i")))
        return str(sorted((topic, sorted((one[0], one[1], one[3]) for one in answers)) for topic, answers in said.items()))

    def send(broker):
        asked = [(topic, [(partition, -2) for partition in partitions]) for topic, partitions in topics]
        return exchange(wire.leader_port(broker.port, TOPIC, 1), wire.frame(wire.list_offsets_of(asked)), read)
    return send


def created(topic, partitions=1, replicas=1, configs=()):
    def read(cursor):
        cursor.take("i"), cursor.take("i"), cursor.string()
        return outcome(cursor.take("h"))
    return framed(wire.create_topic(topic, partitions, replicas, configs), read)


# Batches that are wrong in one way ------------------------------------------------------------------------------

GOOD = [b"one", b"two", b"three"]


def body(*records):
    return b"".join(records)


def record(delta, value=b"v", **rest):
    return wire.record(delta, value, **rest)


def with_bytes(position, data):
    """A good batch with some bytes replaced, checksum left as it was."""
    batch = bytearray(wire.batch(GOOD))
    batch[position:position + len(data)] = data
    return bytes(batch)


def far(days):
    return int((time.time() + days * 86400) * 1000)


def raw_snappy(data):
    """Snappy without the xerial frame: the length, then literals of at most 60 bytes."""
    out = bytearray([len(data)])
    for at in range(0, len(data), 60):
        piece = data[at:at + 60]
        out += bytes([(len(piece) - 1) << 2]) + piece
    return bytes(out)


SMALL = body(*(record(i, v) for i, v in enumerate(GOOD)))


def batch_cases():
    b = wire.batch
    return [
        ("crc", "error 2", produced(b(GOOD, crc=1))),
        ("crc of a flipped byte", "error 2", produced(lambda: with_bytes(65, b"\xff"))),
        ("magic 0", "error 87", produced(b(GOOD, magic=0))),
        ("magic 1", "error 87", produced(b(GOOD, magic=1))),
        ("magic 3", "error 2", produced(b(GOOD, magic=3))),
        ("magic -1", "error 2", produced(b(GOOD, magic=-1))),
        ("count too high", "error 87", produced(b(GOOD, count=5, last_delta=2))),
        ("count and delta too high", "error 87", produced(b(GOOD, count=5))),
        ("count too low", "error 87", produced(b(GOOD, count=2, last_delta=2))),
        ("count and delta too low", "error 87", produced(b(GOOD, count=2))),
        ("count zero", "error 87", produced(b([], count=0, last_delta=-1))),
        ("count negative", "error 87", produced(b(GOOD, count=-1))),
        ("count absurd", "error 87", produced(b(GOOD, count=0x7FFFFFFF))),
        ("last offset delta wrong", "error 87", produced(b(GOOD, last_delta=7))),
        ("offset deltas with a gap", ("accepted", "error 87"), produced(b(GOOD, body=body(record(0), record(2), record(3)), last_delta=2))),
        ("offset deltas backwards", ("accepted", "error 87"), produced(b(GOOD, body=body(record(0), record(2), record(1))))),
        ("record length beyond the batch", "error 87", produced(b(GOOD, body=wire.varint(5000) + SMALL))),
        ("record length negative", "error 87", produced(b(GOOD, body=wire.varint(-7) + SMALL))),
        ("key length beyond the record", "error 87", produced(b([b"v"], body=wire.varint(9) + b"\0\0\0" + wire.varint(3000) + b"abcd"))),
        ("header count negative", "error 87", produced(b([b"v"], body=wire.varint(7) + b"\0\0\0\x01\x02v" + wire.varint(-3)))),
        ("bytes after the last record", "error 87", produced(b(GOOD, body=SMALL + b"xyz"))),
        ("body cut", "error 87", produced(b(GOOD, body=SMALL[:-4]))),
        ("gzip body that does not open", ("error -1", "error 87"), produced(b(GOOD, codec=1, body=b"not gzip at all"))),
        ("snappy body that does not open", ("error -1", "error 87"), produced(b(GOOD, codec=2, body=b"\xff" * 40))),
        ("lz4 body that does not open", ("error -1", "error 87"), produced(b(GOOD, codec=3, body=b"not lz4 at all"))),
        ("zstd body that does not open", ("error -1", "error 87"), produced(b(GOOD, codec=4, body=b"not zstd at all"))),
        ("gzip body cut", "error 87", produced(lambda: b(GOOD, codec=1, body=gzip_of(SMALL * 50)[:60]))),
        ("gzip offset deltas with a gap", ("error -1", "error 87"),
         produced(lambda: b(GOOD, codec=1, body=gzip_of(body(record(0), record(2), record(3))), last_delta=2))),
        ("gzip bytes after the last record", "error 87", produced(lambda: b(GOOD, codec=1, body=gzip_of(SMALL + b"xyz")))),
        ("gzip record of 200 MB", ("accepted", "error 87", "error 10"), produced(bomb)),
        ("gzip count too high", "error 87", produced(b(GOOD, codec=1, count=9, body=gzip_of(SMALL)))),
        ("gzip count too low", "error 87", produced(b(GOOD, codec=1, count=2, body=gzip_of(SMALL)))),
        ("codec 5", ("error -1", "error 76"), produced(b(GOOD, codec=5))),
        ("codec 7", ("error -1", "error 76"), produced(b(GOOD, codec=7))),
        ("raw snappy", "accepted", produced(b(GOOD, codec=2, body=raw_snappy(SMALL)))),
        ("zstd before version 7", "error 76", produced(b(GOOD, codec=4), version=6)),
        ("batch length too short", "error 2", produced(b(GOOD, length=20))),
        ("batch length one short", ("error 2", "error 87"), produced(lambda: b(GOOD, length=len(b(GOOD)) - 13))),
        ("batch length beyond the records", "error 87", produced(b(GOOD, length=5000))),
        ("batch length negative", "error 2", produced(b(GOOD, length=-1))),
        ("records cut in the header", "error 87", produced(lambda: b(GOOD)[:30])),
        ("records empty", "error 87", produced(b"")),
        ("records null", ("no answer", "closed", "error 87"), produced(None)),
        ("two batches", "error 87", produced(lambda: b(GOOD) + b(GOOD))),
        ("control batch", "error 87", produced(b(GOOD, attributes=0x20))),
        ("transactional without transaction", "error 53", produced(b(GOOD, attributes=0x10))),
        ("producer without sequence", "error 87", produced(b(GOOD, producer=(7, 0, -1)))),
        ("base offset not zero", "error 87", produced(b(GOOD, base_offset=55))),
        ("no key on a compacted topic", "error 87", produced(b(GOOD), topic=COMPACTED)),
        ("timestamp far ahead", "error 32", produced(lambda: b(GOOD, timestamp_ms=far(3)))),
        ("timestamp long ago", "accepted", produced(b(GOOD, timestamp_ms=1))),
        ("max timestamp wrong", "accepted", produced(lambda: b(GOOD, max_timestamp_ms=far(0) - 5000))),
        ("over message.max.bytes", "error 10", produced(lambda: b([b"x" * 1_100_000]))),
        ("sequence gap", "error 45", sequences((0, 0), (0, 7))),
        ("sequence repeated", "accepted at the same offset", sequences((0, 0), (0, 0))),
        ("producer epoch of old", "error 47", sequences((3, 0), (2, 3))),
        ("new epoch not from sequence zero", "error 45", sequences((3, 0), (4, 3))),
    ]


def gzip_of(data):
    import gzip
    return gzip.compress(data, mtime=0)


def bomb():
    """200 MB of zeros in one record, packed small: nothing that a broker may unpack into memory as a whole."""
    inner = b"\0\0\0" + wire.varint(-1) + wire.varint(200_000_000) + b"\0" * 200_000_000 + b"\0"
    return wire.batch([b"v"], codec=1, body=gzip_of(wire.varint(len(inner)) + inner))


PRODUCER = iter(range(880000, 999999))


def sequences(first, second):
    """Two batches of one idempotent producer, as (epoch, base sequence); the outcome is the second one's."""
    def send(broker):
        producer, said = next(PRODUCER), []
        with wire.Connection(wire.leader_port(broker.port, TOPIC, 1)) as connection:
            for epoch, sequence in (first, second):
                batch = wire.batch(GOOD, producer=(producer, epoch, sequence))
                said.append(wire.produce_error(connection.ask(wire.produce(TOPIC, 1, batch, acks=-1))))
        need(said[0][0] == 0, f"the first batch: error {said[0][0]}")
        return "accepted at the same offset" if said[0] == said[1] else outcome(said[1][0])
    return send


def produce_cases():
    b = wire.batch(GOOD)
    return [
        ("produce acks 5", "error 21", produced(b, acks=5)),
        ("produce unknown topic", "error 3", produced(b, topic="nowhere")),
        ("produce unknown partition", "error 3", produced(b, partition=99)),
        ("produce partition negative", "error 3", produced(b, partition=-1)),
        ("produce acks 0 with an error", "closed", produced(wire.batch(GOOD, crc=1), acks=0)),
        ("produce acks 0 unknown topic", "closed", produced(b, topic="nowhere", acks=0)),
        ("produce acks 0", "no answer", produced(b, acks=0)),
    ]


# Frames ---------------------------------------------------------------------------------------------------------


def frame_cases():
    versions = wire.request(wire.API_VERSIONS, 0, b"")
    ask = wire.metadata([TOPIC])
    array_of = struct.Struct(">i").pack
    return [
        ("http request", "closed", raw(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")),
        ("tls hello", "closed", raw(bytes.fromhex("16030100c8010000c40303") + b"\x5a" * 200)),
        ("garbage in a frame", "closed", framed(bytes(range(256)) * 2)),
        ("zero length", "closed", raw(b"\0\0\0\0")),
        ("length -1", "closed", raw(b"\xff\xff\xff\xff")),
        ("length 2147483647", "closed", raw(b"\x7f\xff\xff\xff" + b"x" * 100)),
        ("length over socket.request.max.bytes", "closed", raw(struct.pack(">i", 104857601) + b"x" * 100)),
        ("header cut", "closed", framed(b"\0\x12\0")),
        ("truncated frame, end of stream", "closed", raw(wire.frame(versions)[:-3], half_close=True)),
        ("truncated large frame, end of stream", "closed", raw(struct.pack(">i", 1 << 20) + b"x" * 5000, half_close=True)),
        ("partial frame waits", "no answer", raw(wire.frame(versions)[:-3])),
        ("one byte at a time", "answered", slowly),
        ("api 999", "closed", framed(wire.request(999, 0, b""))),
        ("api -1", "closed", framed(wire.request(-1, 0, b""))),
        ("api of controllers only", "closed", framed(wire.request(52, 0, b""))),
        ("produce version 2", "closed", framed(wire.request(wire.PRODUCE, 2, b"\0\x01" * 20))),
        ("produce version 99", "closed", framed(wire.request(wire.PRODUCE, 99, b"\0\x01" * 20))),
        ("fetch version 3", "closed", framed(wire.request(wire.FETCH, 3, b"\0\x01" * 20))),
        ("metadata version 99", "closed", framed(wire.request(wire.METADATA, 99, b""))),
        ("metadata version -1", "closed", framed(wire.request(wire.METADATA, -1, b""))),
        ("api versions version 99", "error 35, 18: 0-4", framed(wire.request(wire.API_VERSIONS, 99, b"\0junk"), fallback)),
        ("api versions version 99, header cut", "closed", framed(wire.request(wire.API_VERSIONS, 99, b"junk"), fallback)),
        ("api versions 3 without body", "closed", framed(wire.request(wire.API_VERSIONS, 3, b"\0"))),
        ("client id beyond the frame", "closed", framed(struct.pack(">hhih", 18, 0, 1, 3000))),
        ("client id length -2", ("answered", "closed"), framed(struct.pack(">hhih", 18, 0, 1, -2))),
        ("client id null", "answered", framed(wire.request(wire.API_VERSIONS, 0, b"", client=None))),
        ("metadata array absurd", "closed", framed(wire.request(wire.METADATA, 1, array_of(0x7FFFFFFF)))),
        ("metadata array -2", ("answered", "closed"), framed(wire.request(wire.METADATA, 1, array_of(-2)))),
        ("metadata string beyond the frame", "closed", framed(wire.request(wire.METADATA, 1, array_of(1) + b"\x7f\xffab"))),
        ("metadata name not utf-8", ("error 17", "closed"), framed(wire.metadata([b"\xff\xfe\xfd"]), answered_metadata)),
        ("metadata body cut", "closed", framed(ask[:-3])),
        ("bytes after the body", "answered", framed(ask + b"trailing")),
        ("flexible metadata, array absurd", "closed", framed(wire.request(wire.METADATA, 12, b"\0\xff\xff\xff\xff\x0f"))),
        ("flexible metadata, endless varint", "closed", framed(wire.request(wire.METADATA, 12, b"\0" + b"\xff" * 12))),
        ("flexible header, tag size absurd", "closed", framed(wire.request(wire.METADATA, 12, b"\x01\x05\xff\xff\xff\xff\x07ab"))),
        ("create topics array absurd", "closed", framed(wire.request(wire.CREATE_TOPICS, 2, array_of(0x7FFFFFFF)))),
        ("fetch array absurd", "closed", framed(wire.request(wire.FETCH, 4, struct.pack(">iiiibi", -1, 0, 1, 1, 0, 0x7FFFFFF0)))),
        ("produce records beyond the frame", "closed", framed(wire.produce(TOPIC, 0, b"")[:-4] + array_of(1 << 20) + b"xx")),
        ("produce records length -5", ("no answer", "closed", "error 87"), framed(wire.produce(TOPIC, 0, b"")[:-4] + array_of(-5), produce_outcome)),
        ("produce topics array absurd", "closed", framed(wire.request(wire.PRODUCE, 7, struct.pack(">hhii", -1, 1, 1000, 0x7FFFFFFF)))),
    ]


def answered_metadata(cursor):
    _, topics = wire.brokers_and_topics(cursor)
    return f"error {next(iter(topics.values()))[0]}"


def fallback(cursor):
    """An ApiVersions answer of version 0: the error, and the versions of ApiVersions itself."""
    code, count = cursor.take("hi")
    ranges = {key: (low, high) for key, low, high in (cursor.take("hhh") for _ in range(count))}
    return f"error {code}, 18: {ranges[18][0]}-{ranges[18][1]}"


def slowly(broker):
    with wire.Connection(broker.port) as connection:
        for byte in wire.frame(wire.metadata([TOPIC])):
            connection.send(bytes([byte]))
            time.sleep(0.002)
        nodes, _ = wire.brokers_and_topics(connection.answer())
        return "answered" if nodes else "empty"


def pipelined(broker):
    """Two hundred requests in one write are answered in their order."""
    count = 200
    with wire.Connection(broker.port) as connection:
        connection.send(b"".join(wire.frame(wire.request(wire.API_VERSIONS, 0, b"", i)) for i in range(count)))
        for i in range(count):
            size = struct.unpack(">i", connection.exactly(4))[0]
            said = struct.unpack(">i", connection.exactly(size)[:4])[0]
            need(said == i, f"answer {said} where {i} was due")
    return "answered"


def mixed_pipeline(broker):
    """A fetch that waits, then requests that need not: still in order."""
    with wire.Connection(wire.leader_port(broker.port, TOPIC, 0)) as connection:
        end = 1 << 40
        waits = wire.fetch("alive", 0, end, wait_ms=300, correlation=1)
        with_offset = wire.list_offsets(TOPIC, 0, -1, correlation=2)
        connection.send(wire.frame(waits) + wire.frame(with_offset) + wire.frame(wire.metadata([], 3)))
        order = []
        for _ in range(3):
            size = struct.unpack(">i", connection.exactly(4))[0]
            order.append(struct.unpack(">i", connection.exactly(size)[:4])[0])
    return "answered" if order == [1, 2, 3] else f"answered in the order {order}"


def many_connections(broker):
    """Five hundred connections at once, each answered, half of them then left in the middle of a frame."""
    ask = wire.frame(wire.metadata([TOPIC]))
    connections = [wire.Connection(broker.port) for _ in range(500)]
    try:
        for connection in connections:
            connection.send(ask)
        for connection in connections:
            connection.answer()
        for connection in connections[::2]:
            connection.send(ask[:9])
        for connection in connections[1::2]:
            connection.send(ask)
        for connection in connections[1::2]:
            connection.answer()
        return "answered"
    finally:
        for connection in connections:
            connection.socket.close()


def connect_and_leave(broker):
    """Connections that come and go without a word."""
    for _ in range(300):
        wire.Connection(broker.port).socket.close()
    return "closed by us"


def memory(broker):
    """The most memory that the process has had (VmHWM)."""
    with open(f"/proc/{broker.process.pid}/status", encoding="ascii") as status:
        peak_kib = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    return "under 1 GiB" if peak_kib < 1 << 20 else f"{peak_kib >> 10} MiB"


# Requests that are well formed and ask for nonsense ---------------------------------------------------------------


def group_request(key, version, content):
    """To the coordinator of group `g`, which is there once __consumer_offsets is, and sure of itself a moment later."""
    def send(broker):
        for _ in range(50):
            said = exchange(coordinator_port(broker), wire.frame(wire.request(key, version, content)),
                            lambda cursor: outcome(cursor.take("h")))
            if said not in ("error 14", "error 16"):
                break
            time.sleep(0.2)
        return said
    return send


def coordinator_port(broker, group="g", wait_s=20):
    until = time.monotonic() + wait_s
    while True:
        with wire.Connection(broker.port) as connection:
            cursor = connection.ask(wire.request(10, 0, wire.string(group)))
        code = cursor.take("hi")[0]
        if code == 0:
            cursor.string()
            return cursor.take("i")
        need(time.monotonic() < until, f"FindCoordinator says error {code} for {wait_s} s")
        time.sleep(0.2)


def join(group, session_ms):
    protocols = wire.array([wire.string("range") + struct.pack(">i", 0)])
    return wire.string(group) + struct.pack(">i", session_ms) + wire.string("") + wire.string("consumer") + protocols


def shaken(cursor):
    return f"error {cursor.take('h')}, {cursor.take('i')} mechanisms"


def request_cases():
    array_of = struct.Struct(">i").pack
    return [
        ("fetch unknown topic", "error 3", fetched("nowhere", 0, 0)),
        ("fetch unknown partition", "error 3", fetched(TOPIC, 99, 0)),
        ("fetch beyond the end", "error 1", fetched(TOPIC, 0, 1 << 40)),
        ("fetch offset negative", "error 1", fetched(TOPIC, 0, -5)),
        ("list offsets unknown topic", "error 3", listed("nowhere", 0, -1)),
        ("list offsets timestamp -9", "error 35", listed(TOPIC, 0, -9)),
        ("list offsets timestamp -9 of an unknown topic", "error 35", listed("nowhere", 0, -9)),
        ("list offsets of a timestamp of version 9 in version 1", "error 35", listed("nowhere", 0, -5)),
        ("list offsets of a partition named twice", "[('bad', [(0, 42, -1)])]", listed_twice([(TOPIC, [0, 0])])),
        ("list offsets of a topic named twice", "[('bad', [(0, 42, -1), (1, 0, 0)])]", listed_twice([(TOPIC, [0]), (TOPIC, [1, 0])])),
        ("list offsets of an unknown partition named twice", "[('bad', [(9, 42, -1)])]", listed_twice([(TOPIC, [9]), (TOPIC, [9])])),
        ("list offsets of no partition", "[]", listed_twice([(TOPIC, [])])),
        ("sasl handshake on a plain port", "error 34, 0 mechanisms", framed(wire.request(17, 1, wire.string("PLAIN")), shaken)),
        ("sasl handshake 0 on a plain port", "error 34, 0 mechanisms", framed(wire.request(17, 0, wire.string("PLAIN")), shaken)),
        ("sasl handshake cut", "closed", framed(wire.request(17, 1, b"\0\x05PL"))),
        ("sasl authenticate on a plain port", "error 34", framed(wire.request(36, 0, array_of(3) + b"a\0b"),
                                                                 lambda cursor: outcome(cursor.take("h")))),
        ("create topic there already", "error 36", created(TOPIC)),
        ("create topic with zero partitions", "error 37", created("bad-zero", 0)),
        ("create topic with replication factor 2", "error 38", created("bad-rf", 1, 2)),
        ("create topic with replication factor 0", "error 38", created("bad-rf", 1, 0)),
        ("create topic with an empty name", "error 17", created("")),
        ("create topic named ..", "error 17", created("..")),
        ("create topic with a slash", "error 17", created("../up")),
        ("create topic with a long name", "error 17", created("n" * 250)),
        ("create topic with an unknown setting", "error 40", created("bad-config", 1, 1, (("no.such", "1"),))),
        ("create topic with an impossible setting", "error 40", created("bad-config", 1, 1, (("retention.ms", "soon"),))),
        ("delete unknown topic", "error 3", framed(wire.request(20, 1, wire.array([wire.string("nowhere")]) + b"\0\0\0\x64"),
                                                   deleted)),
        ("metadata of an invalid name", "error 17", framed(wire.metadata(["a b"], create=True), answered_metadata)),
        ("find coordinator of an empty group", "accepted", group_request(10, 0, wire.string(""))),
        ("join group with an empty name", "error 24", group_request(11, 0, join("", 10000))),
        ("join group with a tiny session", "error 26", group_request(11, 0, join("g", 10))),
        ("heartbeat of a stranger", "error 25", group_request(12, 0, wire.string("g") + struct.pack(">i", 1) + wire.string("m"))),
    ]


def deleted(cursor):
    cursor.take("i"), cursor.take("i"), cursor.string()
    return outcome(cursor.take("h"))


def cases():
    """All of them; the last ones load the broker."""
    return [*frame_cases(), *batch_cases(), *produce_cases(), *request_cases(),
            ("two hundred requests in one write", "answered", pipelined),
            ("a waiting fetch keeps the order", "answered", mixed_pipeline),
            ("connect and leave", "closed by us", connect_and_leave),
            ("five hundred connections", "answered", many_connections),
            ("memory after all this", "under 1 GiB", memory)]
