"""What was acknowledged and what was read, partition by partition, and whether the two agree.

    producer --sent, acked--> Writer: acked[n] \\                              n: the number of a record among those that one
                                                +-- settle(): they are equal      producer sent to one partition: 0, 1, 2, ..
    tail     --read---------> Writer: read[n]  /

1. A record that was acknowledged at an offset is read there, once, and a producer's records are read in the order in which they were
   sent. A producer that is not idempotent may double records when the broker is killed: those are counted.
2. Offsets have no gap. A gap below where the log begins is one that retention or DeleteRecords made, and a log begins where what was
   asked for lets it (`allowed_start`). In a compacted topic a record may be gone when its key has a newer one.
3. What is read again at the end is what was read the first time, from where the log begins to its end.
4. Of a transaction that was committed each record is read, and of one that was aborted none. Markers and aborted records take
   offsets, so that a gap says nothing there: what must be read is counted.

The tail reads along, so that what retention takes was looked at before. Each column has one writer; the lock of the interpreter is
enough.
"""

import random
import struct
from array import array

ID = struct.Struct(">HqI")  # producer, number, bytes of the value (NO_VALUE: it has none); the header `id` of each record
NO_VALUE = 0xFFFFFFFF
VALUE_BYTES_MAX = 128 << 10
# Hex, so that it compresses to about a half.
POOL = random.Random(1).randbytes(512 << 10).hex().encode()
# What became of the transaction of a record; without one it is as good as committed.
OPEN, COMMITTED, ABORTED = range(3)
# What a record takes in a log beyond its key and value, at most: a batch of its own, its id, lengths.
OVERHEAD_BYTES = 128


def content(producer, number, size):
    """The value of a record, the same each time it is asked for."""
    if size == NO_VALUE:
        return None
    at = (producer * 7919 + number * 131) % (len(POOL) - VALUE_BYTES_MAX)
    return POOL[at:at + size]


class Alarms:
    """What is wrong: kept by kind, the first of each kind are told at once."""

    TOLD = 5

    def __init__(self, out=print):
        self.kinds, self.out = {}, out

    def __call__(self, kind, text):
        told = self.kinds.setdefault(kind, [])
        told.append(text)
        if len(told) <= self.TOLD:
            self.out(f"ALARM {kind}: {text}")

    def of(self, *kinds):
        """Those of these kinds, in words; empty when there is none."""
        return "; ".join(f"{kind} {len(told)} times, first: {told[0]}" for kind, told in self.kinds.items() if kind in kinds)


class Writer:
    """The records of one producer in one partition, by number."""

    def __init__(self, once):
        self.once = once
        self.acked, self.keys, self.found, self.fates = array("q"), array("i"), array("q"), array("b")
        self.newest, self.dead = {}, {}
        self.due = 0  # so many numbers are to be seen when all is read that was committed

    def sent(self, key, dead, fate=COMMITTED):
        """Notes one more and gives its number."""
        number = len(self.acked)
        self.acked.append(-1)
        self.keys.append(key)
        self.fates.append(fate)
        if key >= 0:
            self.newest[key], self.dead[key] = number, dead
        return number

    def ended(self, first, fate):
        """The transaction of the records from number `first` on."""
        for number in range(first, len(self.fates)):
            self.fates[number] = fate
        if fate == COMMITTED and first < len(self.fates):
            self.due = len(self.fates)

    def read(self, number, offset):
        while len(self.found) <= number:
            self.found.append(-1)
        self.found[number] = offset


class Partition:
    """One partition: its writers, how far the tail is, and the gaps that it saw."""

    def __init__(self, topic, number, keyed, alarm, transactional=False):
        self.topic, self.number, self.keyed, self.alarm, self.transactional = topic, number, keyed, alarm, transactional
        self.name = f"{topic}-{number}"
        self.writers = {}
        self.next, self.gaps = 0, []
        self.stamps, self.bytes = array("q"), array("q")  # by offset: create time, bytes up to and with it; where there is no gap
        self.doubles, self.start = 0, 0
        self.delete_to, self.retention_ms, self.retention_bytes = 0, None, None
        self.may_double = False

    @property
    def has_holes(self):
        """Whether there are offsets that no reader is given: compaction takes records, markers and aborted ones are never told of."""
        return self.keyed or self.transactional

    def is_read(self, end):
        """Whether the tail has come to the end of the log, as far as that can be told."""
        if self.has_holes:
            return all(len(writer.found) >= writer.due for writer in self.writers.values())
        return self.next >= end or self.start >= end

    def writer(self, producer, once):
        return self.writers.setdefault(producer, Writer(once))

    def acked(self, producer, number, offset):
        self.writers[producer].acked[number] = offset

    # Reading along

    def read(self, offset, producer, number, size, value, stamp_ms):
        if value != content(producer, number, size):
            self.alarm("content", f"{self.name} offset {offset}: not what producer {producer} sent as {number}")
        if offset < self.next:
            self.alarm("offset", f"{self.name}: offset {offset} after {self.next - 1}")
            return
        if offset > self.next:
            self.gaps.append((self.next, offset))
        self.note(offset, stamp_ms, 0 if value is None else size)
        self.next = offset + 1
        writer = self.writers.get(producer)
        if writer is None or number >= len(writer.acked):
            self.alarm("invented", f"{self.name} offset {offset}: producer {producer} sent no record {number}")
            return
        self.in_order(writer, producer, number, offset)

    def note(self, offset, stamp_ms, size):
        last_stamp, last_bytes = (self.stamps[-1], self.bytes[-1]) if self.stamps else (0, 0)
        while len(self.stamps) < offset:
            self.stamps.append(last_stamp)
            self.bytes.append(last_bytes)
        self.stamps.append(max(stamp_ms, last_stamp))
        self.bytes.append(last_bytes + size)

    def in_order(self, writer, producer, number, offset):
        due = len(writer.found)
        if number < due:
            if not writer.once and self.may_double and writer.found[number] >= 0:
                self.doubles += 1
                return
            what = "doubled" if writer.found[number] >= 0 else "out of order"
            self.alarm(what, f"{self.name} offset {offset}: record {number} of producer {producer} after {due - 1}")
            return
        writer.read(number, offset)

    # Where a log may begin

    def begins(self, start, now_ms):
        """The log begins at `start` now."""
        if start < self.start:
            self.alarm("start", f"{self.name} begins at {start}, and began at {self.start} before")
        elif start > self.start and start > self.delete_to and not (self.by_time(start, now_ms) or self.by_size(start)):
            self.alarm("start", f"{self.name} begins at {start} (before: {self.start}), its end is {self.next}; asked for were "
                                f"deletion to {self.delete_to}, {self.retention_ms} ms, {self.retention_bytes} bytes")
        self.start = max(self.start, start)

    def by_time(self, start, now_ms):
        """Whether the newest record that went is as old as was asked for. What the tail did not see yet is not judged."""
        if self.retention_ms is None:
            return False
        return start > len(self.stamps) or self.stamps[start - 1] <= now_ms - self.retention_ms

    def by_size(self, start):
        """Whether as much is left as was asked for. Where the tail was so late that it missed some of it, that is not judged."""
        if self.retention_bytes is None:
            return False
        if start > len(self.bytes) or any(end > start for _, end in self.gaps):
            return True
        left = self.bytes[-1] - self.bytes[start - 1] + (len(self.bytes) - start) * OVERHEAD_BYTES
        return left >= self.retention_bytes

    # At the end

    def settle(self):
        """Holds what was acknowledged against what was read. Gives (acknowledged, gone by a rule)."""
        if not self.has_holes:
            for begin, end in self.gaps:
                if end > self.start:
                    self.alarm("gap", f"{self.name}: no offsets {begin} to {end - 1}, and the log begins at {self.start}")
        gone = sum(self.settle_writer(producer, writer) for producer, writer in self.writers.items())
        return sum(writer.fates.count(COMMITTED) for writer in self.writers.values()), gone

    def settle_writer(self, producer, writer):
        gone = 0
        for number, offset in enumerate(writer.acked):
            found = writer.found[number] if number < len(writer.found) else -1
            if writer.fates[number] != COMMITTED:
                self.not_committed(producer, number, writer.fates[number], found)
            elif found == offset:
                gone += offset < self.start
            elif found < 0:
                gone += self.missing(producer, writer, number, offset)
            elif not (self.doubles and not writer.once):
                self.alarm("moved", f"{self.name}: record {number} of producer {producer} was acknowledged at {offset}, "
                                    f"and is read at {found}")
        return gone

    def not_committed(self, producer, number, fate, found):
        """A record of a transaction that was aborted. Of one that its client left open nothing is known."""
        if fate == ABORTED and found >= 0:
            self.alarm("aborted", f"{self.name} offset {found}: record {number} of producer {producer} was aborted, and is read")

    def missing(self, producer, writer, number, offset):
        """A record that the tail never saw: 1 where a rule took it."""
        key = writer.keys[number]
        outdone = self.keyed and (writer.newest[key] > number or writer.dead[key])
        if outdone or (not self.keyed and 0 <= offset < self.start):
            return 1
        self.alarm("lost", f"{self.name}: record {number} of producer {producer}, acknowledged at {offset}, is not there")
        return 0

    def newest_are(self, newest):
        for producer, writer in self.writers.items():
            for key, number in writer.newest.items():
                found = newest.get((producer, key))
                if found != number and not (found is None and writer.dead[key]):
                    self.alarm("newest", f"{self.name}: key {producer}-{key} has record {found}, and {number} is its newest")


class Again:
    """A partition read once more, from where its log begins to its end."""

    def __init__(self, partition, start, end):
        self.of, self.start, self.end = partition, start, end
        self.due, self.newest, self.count, self.gaps = start, {}, 0, []

    def read(self, offset, producer, number, size, value, _stamp_ms):
        one, alarm = self.of, self.of.alarm
        writer = one.writers.get(producer)
        known = writer is not None and number < len(writer.found)
        if not known or value != content(producer, number, size):
            alarm("content", f"{one.name} offset {offset}, read again: not what producer {producer} sent as {number}")
            return
        if writer.fates[number] == ABORTED:
            alarm("aborted", f"{one.name} offset {offset}, read again: record {number} of producer {producer} was aborted")
        elif writer.found[number] != offset and not (one.doubles and not writer.once):
            alarm("moved", f"{one.name}: record {number} of producer {producer} was read at {writer.found[number]}, and is at "
                           f"{offset} when it is read again")
        if offset < self.due:
            alarm("offset", f"{one.name}, read again: offset {offset} after {self.due - 1}")
        elif offset > self.due:
            self.gaps.append((self.due, offset))
        self.due, self.count = offset + 1, self.count + 1
        if one.keyed:
            self.newest[producer, writer.keys[number]] = number

    def settle(self, start):
        """At the end of it, when the log begins at `start`: how many records there are."""
        if self.of.keyed:
            self.of.newest_are(self.newest)
            return self.count
        if self.of.transactional:
            self.count_committed()
            return self.count
        if self.due < self.end:
            self.gaps.append((self.due, self.end))
        for begin, end in self.gaps:
            if end > start:
                self.of.alarm("gap", f"{self.of.name}, read again: no offsets {begin} to {end - 1}, and the log begins at {start}")
        return self.count

    def count_committed(self):
        """Each of them was found once the first time, and stands where it stood: so many are all of them."""
        due = sum(fate == COMMITTED and found >= self.start for writer in self.of.writers.values()
                  for found, fate in zip(writer.found, writer.fates))
        if self.count != due:
            self.of.alarm("gap", f"{self.of.name}, read again: {self.count} records of committed transactions, and {due} there are")
