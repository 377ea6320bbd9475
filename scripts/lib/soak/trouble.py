"""What an administrator does to the broker while it works: one act after the other, each looked at afterwards, in an order that a
seed gives.

An act that ends in an error is an alarm. Between two acts everything is looked at: where logs begin, what groups have committed.
"""

import collections
import random
import struct
import time

import confluent_kafka as ck
from confluent_kafka import admin

from lib import badadmin, wire
from lib.soak.book import OVERHEAD_BYTES
from lib.soak.clients import QUIET

WAIT_S = 60
SLOW_S = 3  # what is told where it takes longer
MIB = 1 << 20
OFFSET_FETCH, FIND_COORDINATOR = 9, 10
COORDINATOR_ELSEWHERE = (14, 15, 16)
LEADER_ELSEWHERE = (ck.KafkaError.NOT_LEADER_FOR_PARTITION, ck.KafkaError.LEADER_NOT_AVAILABLE, ck.KafkaError.FENCED_LEADER_EPOCH,
                    ck.KafkaError.UNKNOWN_LEADER_EPOCH, ck.KafkaError._TRANSPORT, ck.KafkaError._TIMED_OUT)
# What coordinators keep their state in, and what says in how many partitions.
COORDINATORS = {"__consumer_offsets": "offsets.topic.num.partitions", "__transaction_state": "transaction.state.log.num.partitions"}
NULL_ARRAY = struct.pack(">i", -1)
# What is set on topics, and then another value; None deletes the setting.
SETTINGS = {
    "kept": {"segment.bytes": [4 * MIB, 8 * MIB, 16 * MIB], "flush.messages": [1, 100, None], "segment.ms": [15_000, None]},
    "aged": {"retention.ms": [10_000, 20_000, 40_000], "segment.bytes": [2 * MIB, 8 * MIB], "flush.messages": [1, None],
             "flush.ms": [500, None]},
    "sized": {"retention.bytes": [8 * MIB, 16 * MIB, 32 * MIB], "segment.bytes": [2 * MIB, 4 * MIB],
              "file.delete.delay.ms": [0, 1_000, 5_000]},
    "latest": {"segment.bytes": [2 * MIB, 4 * MIB], "min.cleanable.dirty.ratio": [0.05, 0.5], "delete.retention.ms": [1_000, 60_000],
               "min.compaction.lag.ms": [0, 3_000]},
    "turned": {"cleanup.policy": ["delete", "compact"], "segment.bytes": [2 * MIB, 4 * MIB]},
    "exact": {"segment.bytes": [1 * MIB, 4 * MIB], "flush.messages": [1, None]},
}
QUOTA_BYTES = 20_000  # a second; averaged over ten, as Kafka does: a producer is held back when it has sent so much


class Trouble:
    """Does and looks."""

    def __init__(self, broker, partitions, groups, producers, gauge, alarm, seed, moves, say):
        self.broker, self.partitions, self.groups, self.producers = broker, partitions, groups, producers
        self.gauge, self.alarm, self.random, self.say = gauge, alarm, random.Random(seed), say
        self.client = admin.AdminClient({"bootstrap.servers": broker.bootstrap, "client.id": "admin", **QUIET,
                                         "topic.metadata.refresh.interval.ms": 2_000})
        self.acts = {"set": self.set, "delete records": self.delete_records, "brief topic": self.brief, "quota": self.quota}
        if moves:
            self.acts["move"] = self.move
        self.done = dict.fromkeys(self.acts, 0)
        self.moved = collections.Counter()  # moves by topic
        self.briefs = self.looks = 0

    # One act

    def next(self):
        """The act that was done least of two, so that each has its turn."""
        one, other = self.random.sample(list(self.acts), 2)
        name = one if self.done[one] <= self.done[other] else other
        begun = time.monotonic()
        try:
            told = self.acts[name]()
            self.done[name] += 1
            self.say(f"{name}: {told} [{time.monotonic() - begun:.1f} s]")
        except Exception as error:  # what is asked must be done
            self.alarm("act", f"{name}: {type(error).__name__}: {error}")

    def set(self):
        topic = self.random.choice(list(SETTINGS))
        key = self.random.choice(list(SETTINGS[topic]))
        value = self.random.choice(SETTINGS[topic][key])
        for one in self.of(topic):
            if key == "retention.ms":
                one.retention_ms = min(one.retention_ms or value, value)
            if key == "retention.bytes":
                one.retention_bytes = min(one.retention_bytes or value, value)
        change = admin.AlterConfigOpType.DELETE if value is None else admin.AlterConfigOpType.SET
        entry = admin.ConfigEntry(key, None if value is None else str(value), incremental_operation=change)
        resource = admin.ConfigResource(admin.ResourceType.TOPIC, topic, incremental_configs=[entry])
        done(self.client.incremental_alter_configs([resource]))
        if value is not None:
            [told] = done(self.client.describe_configs([admin.ConfigResource(admin.ResourceType.TOPIC, topic)]))
            if told[key].value != str(value):
                raise ValueError(f"{topic} says {key}={told[key].value} after {value} was set")
        return f"{topic} {key}={value}"

    def delete_records(self):
        one = self.random.choice(self.of("aged"))
        [start], [end] = (self.offsets([one], which) for which in (admin.OffsetSpec.earliest(), admin.OffsetSpec.latest()))
        to = self.random.choice([self.random.randint(start, end), end])
        one.delete_to = max(one.delete_to, to)
        [told] = done(self.client.delete_records([ck.TopicPartition(one.topic, one.number, to)]))
        if told.low_watermark < to:
            raise ValueError(f"{one.name} begins at {told.low_watermark} after deletion to {to}")
        return f"{one.name} of {start}..{end} to {to}"

    def brief(self):
        """A topic that comes, is filled and read, grows, and goes; the next one of its name has nothing of it."""
        name, self.briefs = f"brief-{self.briefs % 3}", self.briefs + 1
        count, words = self.random.randint(1, 4), []
        done(self.client.create_topics([admin.NewTopic(name, count, 1, config={"segment.bytes": str(MIB)})]))
        self.filled(name, range(count))
        if self.random.random() < 0.5:
            done(self.client.create_partitions([admin.NewPartitions(name, count + 2)]))
            self.filled(name, range(count, count + 2))
            words.append(f"grown to {count + 2}")
        done(self.client.delete_topics([name]))
        until = time.monotonic() + WAIT_S
        while name in self.client.list_topics(timeout=WAIT_S).topics:
            if time.monotonic() > until:
                raise TimeoutError(f"{name} is there {WAIT_S} s after it was deleted")
            time.sleep(0.05)
        return f"{name}, {count} partitions" + "".join(f", {word}" for word in words)

    def filled(self, name, numbers):
        """Writes to new partitions of a topic and reads that, and nothing else, back."""
        number = self.random.randrange(1 << 30)
        due, failed = {}, []
        producer = ck.Producer({"bootstrap.servers": self.broker.bootstrap, "client.id": "brief", **QUIET,
                                "enable.idempotence": self.random.random() < 0.5, "linger.ms": 5})
        for partition in numbers:
            due[partition] = [f"{number}-{partition}-{i}-".encode() + b"b" * 1_000 for i in range(self.random.randint(1, 300))]
            for value in due[partition]:
                producer.produce(name, value, partition=partition,
                                 on_delivery=lambda error, _message: failed.append(error) if error else None)
        left = producer.flush(WAIT_S)
        if left or failed:
            raise ValueError(f"{name}: {left} records without an answer, {len(failed)} refused: {failed[:1]}")
        for partition, values in due.items():
            found = read_values(self.broker.bootstrap, name, partition, len(values))
            if found != values:
                raise ValueError(f"{name}-{partition}: {len(found)} records where {len(values)} were sent, or others")

    def quota(self):
        """One producer is held back, which is seen, and then no more."""
        one, begun = self.random.choice(self.producers), time.monotonic()
        one.throttle_ms, before = 0.0, one.acknowledged_bytes
        self.quota_of(one.name, QUOTA_BYTES)
        try:
            while one.throttle_ms == 0 and time.monotonic() < begun + WAIT_S:
                time.sleep(0.1)
        finally:
            self.quota_of(one.name, None)
        told = f"{one.name} sent {(one.acknowledged_bytes - before) / 1e6:.2f} MB in {time.monotonic() - begun:.1f} s"
        if one.throttle_ms == 0:
            raise ValueError(f"{told}, and is not held back: {QUOTA_BYTES} bytes a second are its quota")
        return f"{told} and was told to wait {one.throttle_ms:.0f} ms"

    def quota_of(self, client, value):
        told = badadmin.quotas_altered(([("client-id", client)], [("producer_byte_rate", value)]))(self.broker)
        if told != "0":
            raise ValueError(f"quota {value} of {client}: {told}")

    def move(self):
        """A partition goes to another shard."""
        nodes = list(self.client.list_topics(timeout=WAIT_S).brokers)
        coordinators = [(topic, number) for topic, setting in COORDINATORS.items()
                        for number in range(self.broker.overrides[setting])]
        topic, number = self.random.choice([(one.topic, one.number) for one in self.partitions.values()] + coordinators)
        before = self.leader(topic, number)
        to = self.random.choice([node for node in nodes if node != before])
        told = badadmin.reassigned((topic, [(number, [to])]))(self.broker)
        if told.replace(f"{number}: 0", "").strip("; ") != "0":
            raise ValueError(f"{topic}-{number} to {to}: {told}")
        until = time.monotonic() + WAIT_S
        while self.leader(topic, number) != to:
            if time.monotonic() > until:
                raise TimeoutError(f"{topic}-{number} is not led by {to} after {WAIT_S} s")
            time.sleep(0.05)
        self.moved[topic] += 1
        return f"{topic}-{number} from {before} to {to}"

    def leader(self, topic, number):
        with wire.Connection(self.broker.port) as connection:
            _, topics = wire.brokers_and_topics(connection.ask(wire.metadata([topic])))
        return topics[topic][1][number][1]

    # Looking

    def of(self, topic):
        return [one for one in self.partitions.values() if one.topic == topic]

    def offsets(self, partitions, which):
        """Of partitions, in this order; a leader that has just moved, or come back, is asked for again."""
        asked, until = {ck.TopicPartition(one.topic, one.number): which for one in partitions}, time.monotonic() + WAIT_S
        while True:
            try:
                told = self.client.list_offsets(asked, request_timeout=30)
                found = {(place.topic, place.partition): future.result().offset for place, future in told.items()}
                return [found[one.topic, one.number] for one in partitions]
            except ck.KafkaException as error:
                if error.args[0].code() not in LEADER_ELSEWHERE or time.monotonic() > until:
                    raise
                time.sleep(0.1)

    def look(self):
        """Where logs begin, and what is committed."""
        everything = list(self.partitions.values())
        try:
            starts = self.offsets(everything, admin.OffsetSpec.earliest())
            now_ms, ends = time.time() * 1000, self.offsets(everything, admin.OffsetSpec.latest())
            for one, start, end in zip(everything, starts, ends):
                self.await_tail(one, start, end)
                one.begins(start, now_ms)
            for book in self.groups:
                for place, offset in self.committed(book.name).items():
                    book.looked(place, offset)
            self.looks += 1
        except Exception as error:
            self.alarm("act", f"looking: {type(error).__name__}: {error}")

    def await_tail(self, one, start, end):
        """What is left is judged by what the tail read of it."""
        begun, until = time.monotonic(), time.monotonic() + WAIT_S
        while not one.has_holes and start < end and one.next < end:
            if time.monotonic() > until:
                raise TimeoutError(f"the tail is at {one.next} of {one.name} after {WAIT_S} s, and the log ends at {end}")
            time.sleep(0.02)
        if time.monotonic() > begun + SLOW_S:
            self.say(f"the tail came to {end} of {one.name} after {time.monotonic() - begun:.1f} s ({self.gauge.held_up()})")

    def committed(self, group):
        """{(topic, partition): offset}. Asked by hand: librdkafka's admin client falls over when the coordinator has just moved."""
        until = time.monotonic() + WAIT_S
        while True:
            code, offsets = self.offsets_of(group)
            if code == 0:
                return offsets
            if code not in COORDINATOR_ELSEWHERE or time.monotonic() > until:
                raise ValueError(f"OffsetFetch of {group}: error {code}")
            time.sleep(0.1)

    def offsets_of(self, group):
        with wire.Connection(self.broker.port) as connection:
            cursor = connection.ask(wire.request(FIND_COORDINATOR, 0, wire.string(group)))
            code, _ = cursor.take("hi")
            _, port = cursor.string(), cursor.take("i")
        if code != 0:
            return code, {}
        with wire.Connection(port) as connection:
            cursor = connection.ask(wire.request(OFFSET_FETCH, 2, wire.string(group) + NULL_ARRAY))
        offsets = {}
        for _ in range(cursor.take("i")):
            topic = cursor.string()
            for _ in range(cursor.take("i")):
                number, offset = cursor.take("iq")
                cursor.bytes(cursor.take("h"))
                cursor.take("h")
                offsets[topic, number] = offset
        return cursor.take("h"), offsets

    # At the end

    def sizes(self):
        """What `sized` holds, as the book knows it, is near to what was asked for: retention works."""
        told = []
        for one in self.of("sized"):
            left = one.bytes[-1] - (one.bytes[one.start - 1] if one.start else 0)
            most = max(SETTINGS["sized"]["retention.bytes"]) + 3 * max(SETTINGS["sized"]["segment.bytes"])
            told.append(left)
            if left > most + OVERHEAD_BYTES * (one.next - one.start):
                self.alarm("size", f"{one.name} holds {left} bytes, and {most} are asked for at most")
        return told


def done(futures):
    return [future.result(WAIT_S) for future in futures.values()]


def read_values(bootstrap, topic, partition, count):
    """All values of a partition; a moment more is waited for what should not be there."""
    client = ck.Consumer({"bootstrap.servers": bootstrap, "group.id": "brief", "enable.partition.eof": True,
                          "enable.auto.commit": False, **QUIET, "fetch.wait.max.ms": 50})
    client.assign([ck.TopicPartition(topic, partition, 0)])
    found, until = [], time.monotonic() + WAIT_S
    while time.monotonic() < until:
        message = client.poll(0.2)
        if message is None:
            continue
        if not message.error():
            found.append(message.value())
        elif len(found) >= count:
            break
    client.close()
    return found
