"""What was sent against what was read: count, content and order, per partition.

A producer sends a list in one order; a partition must hold a subsequence of that list at the offsets 0, 1, 2, ...
(or from a known first offset on), and the partitions together must hold each record exactly once.
"""

import collections
import hashlib

from lib.report import Failed

Sent = collections.namedtuple("Sent", "value key headers partition", defaults=(None, (), None))
Read = collections.namedtuple("Read", "partition offset timestamp key value headers")


def identity(record):
    """What tells one record of a test from the others: its value, or its key where the value is null."""
    return record.value if record.value is not None else (b"null", record.key)


def by_partition(got):
    parts = collections.defaultdict(list)
    for record in got:
        parts[record.partition].append(record)
    return dict(sorted(parts.items()))


def digest(got, timestamps=True):
    """A hash over every field of every record in the order of partition and reading."""
    state = hashlib.sha256()
    for partition, records in by_partition(got).items():
        for r in records:
            shown = (partition, r.offset, r.timestamp if timestamps else None, r.key, r.value, r.headers)
            state.update(repr(shown).encode())
    return state.hexdigest()[:12]


def faults(sent, got, first_offset=0):
    """Every way in which `got` is not what `sent` says, in words; empty when all is well."""
    index = {identity(record): i for i, record in enumerate(sent)}
    if len(index) != len(sent):
        return [f"the check itself sends {len(sent) - len(index)} records that cannot be told apart"]
    found, seen = [], collections.Counter()
    for partition, records in by_partition(got).items():
        found += offset_faults(partition, records, first_offset)
        found += order_faults(partition, records, index)
        for record in records:
            found += content_faults(record, index, sent)
            seen[identity(record)] += 1
    lost = [record for record in sent if not seen[identity(record)]]
    doubled = [name for name, times in seen.items() if times > 1]
    if lost:
        found.append(f"{len(lost)} of {len(sent)} records lost, first {short(identity(lost[0]))}")
    if doubled:
        found.append(f"{len(doubled)} records doubled, first {short(doubled[0])}")
    return found


def offset_faults(partition, records, first_offset):
    for place, record in enumerate(records):
        if record.offset != first_offset + place:
            return [f"partition {partition}: offset {record.offset} where {first_offset + place} was due"]
    return []


def order_faults(partition, records, index):
    last = -1
    for record in records:
        place = index.get(identity(record), last + 1)
        if place < last:
            return [f"partition {partition}: out of order at offset {record.offset} ({short(record.value)})"]
        last = place
    return []


def content_faults(record, index, sent):
    where = f"partition {record.partition} offset {record.offset}"
    if identity(record) not in index:
        return [f"{where}: {short(record.value)} was never sent"]
    due, found = sent[index[identity(record)]], []
    if due.key != record.key:
        found.append(f"{where}: key {short(record.key)} where {short(due.key)} was sent")
    if tuple(due.headers) != tuple(record.headers):
        found.append(f"{where}: headers {record.headers} where {due.headers} were sent")
    if due.partition is not None and due.partition != record.partition:
        found.append(f"{where}: sent to partition {due.partition}")
    return found


def compare(sent, got, first_offset=0):
    """Fails with the faults, or says in a few words what was found equal."""
    found = faults(sent, got, first_offset)
    if found:
        raise Failed(f"{len(found)} faults: " + "; ".join(found[:4]))
    spread = "/".join(str(len(records)) for records in by_partition(got).values())
    return f"{len(got)} records ({spread}), sha256 {digest(got)}"


def short(value, limit=40):
    text = repr(value)
    return text if len(text) <= limit else text[:limit] + "..."


def murmur2(data):
    """Kafka's hash of keys (org.apache.kafka.common.utils.Utils.murmur2), as an unsigned 32-bit number."""
    mask, m = 0xFFFFFFFF, 0x5BD1E995
    h = (0x9747B28C ^ len(data)) & mask
    whole = len(data) & ~3
    for at in range(0, whole, 4):
        k = int.from_bytes(data[at:at + 4], "little") * m & mask
        k = (k ^ (k >> 24)) * m & mask
        h = (h * m & mask) ^ k
    tail = data[whole:]
    if tail:
        h = (h ^ int.from_bytes(tail, "little")) * m & mask
    h = (h ^ (h >> 13)) * m & mask
    return h ^ (h >> 15)


def partition_of(key, partitions):
    """Where the Java client's default partitioner puts a key."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions
