"""Kafka frames by hand: the few requests that the checks send raw, and record batches, right or wrong on purpose.

Only non-flexible versions are built, but for one (strings with an int16 length, arrays with an int32 count), because what matters
here is to reach a broker with exactly these bytes. Nothing of the project's own codec is used.
"""

import gzip
import socket
import struct
import time

PRODUCE, FETCH, LIST_OFFSETS, METADATA, API_VERSIONS, CREATE_TOPICS, INIT_PRODUCER_ID = 0, 1, 2, 3, 18, 19, 22
OFFSET_COMMIT, OFFSET_FETCH, FIND_COORDINATOR, DELETE_TOPICS = 8, 9, 10, 20

CRC_TABLE = []
for _byte in range(256):
    for _ in range(8):
        _byte = (_byte >> 1) ^ (0x82F63B78 if _byte & 1 else 0)
    CRC_TABLE.append(_byte)


def crc32c(data):
    """CRC-32C (Castagnoli), the checksum of record batch v2."""
    crc, table = 0xFFFFFFFF, CRC_TABLE
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def string(text):
    if text is None:
        return struct.pack(">h", -1)
    raw = text if isinstance(text, bytes) else text.encode()
    return struct.pack(">h", len(raw)) + raw


def array(items):
    return struct.pack(">i", len(items)) + b"".join(items)


def varint(value):
    value = (value << 1) ^ (value >> 63)
    out = bytearray()
    while value & ~0x7F:
        out.append((value & 0x7F) | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


# Record batches -------------------------------------------------------------------------------------------------


def record(offset_delta, value, key=None, timestamp_delta=0):
    """One record of a batch v2, with its length prefix."""
    body = b"\0" + varint(timestamp_delta) + varint(offset_delta)
    body += (varint(-1) if key is None else varint(len(key)) + key)
    body += (varint(-1) if value is None else varint(len(value)) + value)
    body += varint(0)
    return varint(len(body)) + body


def batch(values, codec=0, body=None, count=None, last_delta=None, magic=2, crc=None, attributes=0, base_offset=0,
          producer=(-1, -1, -1), length=None, timestamp_ms=None, max_timestamp_ms=None):
    """A record batch v2 of `values`; every argument after `codec` replaces what would be right by what is asked for."""
    if body is None:
        body = b"".join(record(i, value) for i, value in enumerate(values))
        body = gzip.compress(body) if codec == 1 else body
    count = len(values) if count is None else count
    last_delta = count - 1 if last_delta is None else last_delta
    first = int(time.time() * 1000) if timestamp_ms is None else timestamp_ms
    latest = first if max_timestamp_ms is None else max_timestamp_ms
    checked = struct.pack(">hiqqqhii", codec | attributes, last_delta, first, latest, *producer, count) + body
    head = struct.pack(">ibI", -1, magic, crc32c(checked) if crc is None else crc)
    rest = head + checked
    return struct.pack(">qi", base_offset, len(rest) if length is None else length) + rest


# Requests -------------------------------------------------------------------------------------------------------


def request(key, version, body, correlation=1, client="raw"):
    """A request without its length prefix, header version 1."""
    return struct.pack(">hhi", key, version, correlation) + string(client) + body


def frame(payload):
    return struct.pack(">i", len(payload)) + payload


def produce(topic, partition, records, acks=1, version=7, correlation=1, timeout_ms=5000):
    records = struct.pack(">i", -1) if records is None else struct.pack(">i", len(records)) + records
    data = struct.pack(">i", partition) + records
    body = string(None) + struct.pack(">hi", acks, timeout_ms) + array([string(topic) + array([data])])
    return request(PRODUCE, version, body, correlation)


def fetch(topic, partition, offset, max_bytes=1 << 20, wait_ms=200, correlation=1):
    part = struct.pack(">iqi", partition, offset, max_bytes)
    body = struct.pack(">iiiib", -1, wait_ms, 1, max_bytes, 0) + array([string(topic) + array([part])])
    return request(FETCH, 4, body, correlation)


def list_offsets(topic, partition, timestamp, correlation=1):
    return list_offsets_of([(topic, [(partition, timestamp)])], correlation)


def list_offsets_of(topics, correlation=1):
    """Of topics as (name, [(partition, timestamp), ...]), however often each is named."""
    named = [string(topic) + array([struct.pack(">iq", *one) for one in asked]) for topic, asked in topics]
    return request(LIST_OFFSETS, 1, struct.pack(">i", -1) + array(named), correlation)


def metadata(topics, correlation=1, create=False):
    names = struct.pack(">i", -1) if topics is None else array([string(name) for name in topics])
    return request(METADATA, 4, names + struct.pack(">b", create), correlation)


def create_topic(topic, partitions, replicas=1, configs=(), correlation=1):
    pairs = array([string(name) + string(value) for name, value in configs])
    one = string(topic) + struct.pack(">ih", partitions, replicas) + array([]) + pairs
    return request(CREATE_TOPICS, 2, array([one]) + struct.pack(">ib", 10000, 0), correlation)


def create_topic_v6(topic, partitions):
    """The first version that a broker may refuse for a quota; flexible. Names of less than 127 bytes."""
    head = struct.pack(">hhi", CREATE_TOPICS, 6, 1) + string("raw") + b"\0"
    name = bytes([len(topic) + 1]) + topic.encode()
    return head + b"\2" + name + struct.pack(">ih", partitions, 1) + b"\1\1\0" + struct.pack(">ib", 15_000, 0) + b"\0"


def delete_topic(topic, correlation=1):
    return request(DELETE_TOPICS, 1, array([string(topic)]) + struct.pack(">i", 10000), correlation)


def init_producer_id(correlation=1):
    """Of a producer that is idempotent and has no transactions."""
    return request(INIT_PRODUCER_ID, 0, string(None) + struct.pack(">i", 60000), correlation)


def find_coordinator(group, correlation=1):
    return request(FIND_COORDINATOR, 0, string(group), correlation)


def offset_commit(group, topic, partition, offset, correlation=1):
    """As a consumer does that is no member of its group."""
    part = struct.pack(">iq", partition, offset) + string("")
    head = string(group) + struct.pack(">i", -1) + string("") + struct.pack(">q", -1)
    return request(OFFSET_COMMIT, 2, head + array([string(topic) + array([part])]), correlation)


def offset_fetch(group, topic, partition, correlation=1):
    asked = array([string(topic) + array([struct.pack(">i", partition)])])
    return request(OFFSET_FETCH, 1, string(group) + asked, correlation)


class Cursor:
    """Reads a response from the front."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, form):
        values = struct.unpack_from(">" + form, self.data, self.at)
        self.at += struct.calcsize(">" + form)
        return values[0] if len(values) == 1 else values

    def bytes(self, count):
        count = max(count, 0)
        self.at += count
        return self.data[self.at - count:self.at]

    def string(self):
        return self.bytes(self.take("h")).decode()

    def nullable(self):
        length = self.take("h")
        return None if length < 0 else self.bytes(length).decode()


class Closed(Exception):
    """The broker closed the connection where an answer was due."""


class Connection:
    """A blocking connection that sends raw bytes and reads whole answers."""

    def __init__(self, port, host="127.0.0.1", timeout_s=10):
        self.socket = socket.create_connection((host, port), timeout=timeout_s)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, raw):
        try:
            self.socket.sendall(raw)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise Closed("while sending") from error

    def exactly(self, count):
        out = bytearray()
        while len(out) < count:
            try:
                piece = self.socket.recv(count - len(out))
            except ConnectionResetError as error:
                raise Closed("reset") from error
            if not piece:
                raise Closed("end of stream")
            out += piece
        return bytes(out)

    def answer(self):
        """The body after the correlation id."""
        size = struct.unpack(">i", self.exactly(4))[0]
        return Cursor(self.exactly(size)[4:])

    def ask(self, payload):
        self.send(frame(payload))
        return self.answer()


# What the answers say -------------------------------------------------------------------------------------------


def produce_error(cursor):
    """(error code, base offset) of the one partition of a Produce v5-v7 answer."""
    cursor.take("i"), cursor.string(), cursor.take("i"), cursor.take("i")
    return cursor.take("h"), cursor.take("q")


def produce_answer(cursor):
    """(error code, base offset, log append time, log start, {index: reason}, reason) of the one partition of a v8 answer."""
    cursor.take("i"), cursor.string(), cursor.take("i"), cursor.take("i")
    code, offset, appended, start = cursor.take("hqqq")
    records = {cursor.take("i"): cursor.nullable() for _ in range(cursor.take("i"))}
    return code, offset, appended, start, records, cursor.nullable()


def fetch_head(cursor):
    """(error code, high watermark, last stable offset) of the one partition of a Fetch v4 answer."""
    cursor.take("i"), cursor.take("i"), cursor.string(), cursor.take("i")
    _, code, high, stable = cursor.take("ihqq")
    return code, high, stable


def fetch_answer(cursor):
    """(error code, high watermark, record bytes) of the one partition of a Fetch v4 answer."""
    code, high, _ = fetch_head(cursor)
    aborted = cursor.take("i")
    cursor.bytes(16 * max(aborted, 0))
    return code, high, cursor.bytes(cursor.take("i"))


def commit_error(cursor):
    """The error code of the one partition of an OffsetCommit v2 answer."""
    cursor.take("i"), cursor.string(), cursor.take("i"), cursor.take("i")
    return cursor.take("h")


def committed(cursor):
    """(error code, offset) of the one partition of an OffsetFetch v1 answer."""
    cursor.take("i"), cursor.string(), cursor.take("i"), cursor.take("i")
    offset, _ = cursor.take("q"), cursor.string()
    return cursor.take("h"), offset


def brokers_and_topics(cursor):
    """({node: (host, port)}, {topic: (error, {partition: (error, leader)})}) of a Metadata v4 answer."""
    cursor.take("i")
    nodes = {}
    for _ in range(cursor.take("i")):
        node = cursor.take("i")
        nodes[node] = (cursor.string(), cursor.take("i"))
        cursor.string()
    cursor.string(), cursor.take("i")
    topics = {}
    for _ in range(cursor.take("i")):
        error, name = cursor.take("h"), cursor.string()
        cursor.take("b")
        parts = {}
        for _ in range(cursor.take("i")):
            code, index, leader = cursor.take("hii")
            for _ in range(2):
                cursor.bytes(4 * cursor.take("i"))
            parts[index] = (code, leader)
        topics[name] = (error, parts)
    return nodes, topics


def answers(port, timeout_s=2):
    """Whether a broker on this port answers Metadata with at least one broker."""
    try:
        with Connection(port, timeout_s=timeout_s) as connection:
            nodes, _ = brokers_and_topics(connection.ask(metadata([])))
            return bool(nodes)
    except (OSError, Closed, struct.error):
        return False


def leader_port(port, topic, partition=0, wait_s=15, create=True):
    """The port of the broker that leads a partition; waits until there is one and it knows that it leads."""
    until = time.monotonic() + wait_s
    while True:
        with Connection(port) as connection:
            nodes, topics = brokers_and_topics(connection.ask(metadata([topic], create=create)))
        leader = topics.get(topic, (0, {}))[1].get(partition, (0, -1))[1]
        if leader in nodes and leads(nodes[leader][1], topic, partition):
            return nodes[leader][1]
        if time.monotonic() > until:
            raise Closed(f"{topic}-{partition} has no leader after {wait_s} s: {topics}")
        time.sleep(0.1)


def leads(port, topic, partition):
    """Whether this broker answers for the partition; just after its creation it may not yet."""
    with Connection(port) as connection:
        cursor = connection.ask(list_offsets(topic, partition, -1))
    cursor.take("i"), cursor.string(), cursor.take("i"), cursor.take("i")
    return cursor.take("h") == 0


def make_topic(port, topic, partitions=1, configs=()):
    """Creates a topic over the wire; gives its error code."""
    with Connection(port) as connection:
        cursor = connection.ask(create_topic(topic, partitions, configs=configs))
        cursor.take("i"), cursor.take("i"), cursor.string()
        return cursor.take("h")


def records_of(data):
    """(offset, value) of every record in uncompressed batches v2; a cut batch at the end is left out."""
    out, at = [], 0
    while at + 61 <= len(data):
        base, length = struct.unpack_from(">qi", data, at)
        end = at + 12 + length
        if end > len(data):
            break
        count, place = struct.unpack_from(">i", data, at + 57)[0], at + 61
        for _ in range(count):
            size, place = unvarint(data, place)
            stop = place + size
            _, inner = unvarint(data, place + 1)
            delta, inner = unvarint(data, inner)
            key, inner = unvarint(data, inner)
            value, _ = taken(data, inner + max(key, 0))
            out.append((base + delta, value))
            place = stop
        at = end
    return out


def taken(data, at):
    """Bytes with their length in front, None for null; and where they end."""
    length, at = unvarint(data, at)
    return (None, at) if length < 0 else (data[at:at + length], at + length)


def unvarint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return (value >> 1) ^ -(value & 1), at
