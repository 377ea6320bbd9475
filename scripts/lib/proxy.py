"""A TCP proxy between clients and one broker that spoils what the broker answers: the planted faults of the self-test.

    client -> proxy (notes correlation id -> request key) -> broker
    client <- proxy (hands answers of the chosen key to the fault) <- broker

The broker must advertise the proxy's port. Batches keep their length, and their checksum is made right again unless
the fault says otherwise, so that a client takes the spoiled records for good.
"""

import socket
import struct
import threading

from lib import wire


class Proxy:
    """Listens on `port`, forwards to `broker_port`; `fault` is (request key, version -> answer body -> answer body)."""

    def __init__(self, port, broker_port):
        self.broker_port, self.fault, self.spoiled = broker_port, None, 0
        self.listener = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self.accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            try:
                broker = socket.create_connection(("127.0.0.1", self.broker_port))
            except OSError:
                client.close()
                continue
            asked = {}
            for source, sink, change in ((client, broker, self.note), (broker, client, self.spoil)):
                threading.Thread(target=pump, args=(source, sink, change, asked), daemon=True).start()

    def note(self, frame, asked):
        key, version, correlation = struct.unpack_from(">hhi", frame)
        asked[correlation] = (key, version)
        return frame

    def spoil(self, frame, asked):
        key, version = asked.pop(struct.unpack_from(">i", frame)[0], (None, None))
        if self.fault is None or self.fault[0] != key:
            return frame
        changed = self.fault[1](bytearray(frame), version)
        self.spoiled += changed != frame
        return bytes(changed)


def pump(source, sink, change, asked):
    """Forwards whole frames until either side is gone."""
    try:
        while True:
            size = struct.unpack(">i", exactly(source, 4))[0]
            frame = change(exactly(source, size), asked)
            sink.sendall(struct.pack(">i", len(frame)) + frame)
    except (OSError, EOFError):
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def exactly(source, count):
    out = bytearray()
    while len(out) < count:
        piece = source.recv(count - len(out))
        if not piece:
            raise EOFError
        out += piece
    return bytes(out)


# Spoiling the batches of a fetch answer ---------------------------------------------------------------------------


def batches(frame):
    """The (start, end) of every whole batch v2 in an answer, found by magic, length and checksum."""
    at = 0
    while at + 61 <= len(frame):
        length = struct.unpack_from(">i", frame, at + 8)[0]
        end = at + 12 + length
        if frame[at + 16] == 2 and 49 <= length and end <= len(frame) \
                and struct.unpack_from(">I", frame, at + 17)[0] == wire.crc32c(frame[at + 21:end]):
            yield at, end
            at = end
        else:
            at += 1


def spans(frame, start, end):
    """((key start, key end), (value start, value end)) of each record of an uncompressed batch."""
    out, at = [], start + 61
    while at < end:
        size, at = wire.unvarint(frame, at)
        _, inner = wire.unvarint(frame, at + 1)
        _, inner = wire.unvarint(frame, inner)
        key, inner = wire.unvarint(frame, inner)
        key_end = inner + max(key, 0)
        value, value_start = wire.unvarint(frame, key_end)
        out.append(((inner, key_end), (value_start, value_start + max(value, 0))))
        at += size
    return out


def on_batches(change, mend=True):
    """A fault for Fetch answers: changes the first batch of at least four records in each answer."""
    def fault(frame, _version):
        for start, end in batches(frame):
            if struct.unpack_from(">i", frame, start + 57)[0] >= 4:
                change(frame, start, spans(frame, start, end))
                if mend:
                    struct.pack_into(">I", frame, start + 17, wire.crc32c(frame[start + 21:end]))
                break
        return frame
    return wire.FETCH, fault


def flip_value(frame, _start, records):
    frame[records[1][1][0] + 3] ^= 1


def flip_key(frame, _start, records):
    frame[records[1][0][0] + 1] ^= 1


def swap(frame, _start, records):
    (_, (a, a_end)), (_, (b, b_end)) = records[1], records[2]
    frame[a:a_end], frame[b:b_end] = frame[b:b_end], frame[a:a_end]


def double(frame, _start, records):
    (_, (a, a_end)), (_, (b, b_end)) = records[1], records[2]
    frame[b:b_end] = frame[a:a_end]


def drop(frame, start, _records):
    """Says that the batch is a control batch: clients step over it."""
    frame[start + 22] |= 0x20


def renumber(frame, start, _records):
    struct.pack_into(">q", frame, start, struct.unpack_from(">q", frame, start)[0] + 1)


def list_offsets_off_by_one(frame, version):
    """Adds one to the first offset of a flexible ListOffsets answer."""
    if version >= 6:
        at = 4 + 1 + 4 + 1
        at += frame[at] + 1 + 4 + 2 + 8
        struct.pack_into(">q", frame, at, struct.unpack_from(">q", frame, at)[0] + 1)
    return frame
