"""Those who write and read while the broker is soaked: librdkafka's producers and consumers, each a thread, each with its lines in
the book."""

import random
import threading
import time
from functools import partial

import confluent_kafka as ck

from lib.soak.book import COMMITTED, ID, NO_VALUE, VALUE_BYTES_MAX, content

KEYS = 400  # of one producer in one partition, about
TOMBSTONES = 0.03
LATE_S = 120  # a client that waits longer than this for what it asked for has hung


# Brokers that cannot be reached are no news: what comes of it stands in the book.
QUIET = {"error_cb": lambda _error: None, "log_level": 0}


class Client(threading.Thread):
    """A thread that goes on until it is told to end; what it dies of is an alarm."""

    def __init__(self, name, alarm):
        super().__init__(name=name, daemon=True)
        self.alarm, self.ending = alarm, threading.Event()

    def run(self):
        try:
            self.work()
        except Exception as error:  # a client that breaks is what the soak looks for
            self.alarm("client", f"{self.name}: {type(error).__name__}: {error}")

    def end(self):
        self.ending.set()


class Producer(Client):
    """Writes `rate` bytes a second to partitions in turn."""

    def __init__(self, name, who, bootstrap, partitions, rate, alarm, once=True, **config):
        super().__init__(f"{name}-{who}", alarm)
        self.who, self.partitions, self.rate, self.once = who, partitions, rate, once
        self.random = random.Random(who)
        self.asked = self.acknowledged = self.acknowledged_bytes = self.refused = 0
        self.throttle_ms = 0.0
        # Not idempotent: one request in flight, so that a repetition changes no order.
        how = {"enable.idempotence": True} if once else {"acks": "all", "max.in.flight.requests.per.connection": 1}
        self.client = ck.Producer({
            "bootstrap.servers": bootstrap, "client.id": self.name, "linger.ms": 20, "message.timeout.ms": 300_000,
            "topic.metadata.refresh.interval.ms": 5_000, "retry.backoff.max.ms": 1_000, "message.max.bytes": 2 << 20,
            "throttle_cb": self.throttled, "queue.buffering.max.messages": 20_000, **QUIET, **how, **config})
        for one in partitions:
            one.writer(who, once)

    def throttled(self, event):
        self.throttle_ms = max(self.throttle_ms, event.throttle_time * 1000)

    def work(self):
        begun, given = time.monotonic(), 0
        while not self.ending.is_set():
            due = (time.monotonic() - begun) * self.rate
            while given < due and not self.ending.is_set():
                given += self.send()
            if due - given > self.rate * 2:  # held back by a quota, or the broker was away: not to be made up for
                begun, given = time.monotonic(), 0
            self.client.poll(0.02)
        left = self.client.flush(LATE_S)
        if left:
            self.alarm("unanswered", f"{self.name}: {left} records have no answer after {LATE_S} s")

    def send(self, fate=COMMITTED):
        one = self.partitions[self.asked % len(self.partitions)]
        dead = one.keyed and self.random.random() < TOMBSTONES
        size = NO_VALUE if dead else self.size()
        key = self.random.randrange(KEYS) if one.keyed else -1
        number = one.writers[self.who].sent(key, dead, fate)
        self.asked += 1
        heard = partial(self.heard, one, number, 0 if dead else size)
        while True:
            try:
                self.client.produce(one.topic, content(self.who, number, size), f"{self.who}-{key}" if one.keyed else None,
                                    one.number, heard, headers=[("id", ID.pack(self.who, number, size))])
                return 0 if dead else size
            except BufferError:
                self.client.poll(0.1)

    def size(self):
        """Some are large."""
        return self.random.randrange(VALUE_BYTES_MAX) if self.random.random() < 0.01 else self.random.randrange(100, 7_000)

    def heard(self, one, number, size, error, message):
        if error:
            self.refused += 1
            self.alarm("refused", f"{self.name}: record {number} of {one.name}: {error.name()}: {error.str()}")
            return
        self.acknowledged += 1
        self.acknowledged_bytes += size
        one.acked(self.who, number, message.offset())


def identity(message):
    """(producer, number, size) of a record, from its header."""
    return ID.unpack(dict(message.headers())["id"])


class Tail(Client):
    """Reads every partition as it grows."""

    def __init__(self, bootstrap, partitions, alarm):
        super().__init__("tail", alarm)
        self.partitions, self.records = partitions, 0
        self.client = reader(bootstrap, self.name)

    def work(self):
        self.client.assign([ck.TopicPartition(topic, number, 0) for topic, number in self.partitions])
        while not self.ending.is_set():
            for message in self.client.consume(500, 0.2):
                if message.error():
                    continue  # its place is kept: what is missing at the end is missing
                one = self.partitions[message.topic(), message.partition()]
                one.read(message.offset(), *identity(message), message.value(), message.timestamp()[1])
                self.records += 1
        self.client.close()


def reader(bootstrap, name, **config):
    return ck.Consumer({"bootstrap.servers": bootstrap, "client.id": name, "group.id": name, "enable.auto.commit": False,
                        "isolation.level": "read_committed", "auto.offset.reset": "earliest",
                        "topic.metadata.refresh.interval.ms": 5_000,
                        "queued.max.messages.kbytes": 8_192, "fetch.wait.max.ms": 100, **QUIET, **config})


def read_again(bootstrap, agains):
    """Reads partitions as {(topic, number): Again} to their ends. Gives those whose end did not come."""
    client = reader(bootstrap, "again", **{"enable.partition.eof": True})
    left = {place for place, one in agains.items() if one.start < one.end}
    client.assign([ck.TopicPartition(*place, agains[place].start) for place in left])
    until = time.monotonic() + LATE_S
    while left and time.monotonic() < until:
        for message in client.consume(500, 0.2):
            place = message.topic(), message.partition()
            if not message.error():
                agains[place].read(message.offset(), *identity(message), message.value(), message.timestamp()[1])
                until = time.monotonic() + LATE_S
            elif message.error().code() == ck.KafkaError._PARTITION_EOF:
                left.discard(place)
    client.close()
    return left


class Member(Client):
    """A member of a group: reads, commits every two seconds and when something is taken from it, leaves after a while.

    It waits for each commit. librdkafka repeats one that a coordinator refused which has moved, or is loading, 100 ms later and more:
    were it not waited for, the next commit would be taken before it, and the repetition put the group back to where it was, in the
    same generation, at any broker.
    """

    COMMIT_S = 2

    def __init__(self, number, bootstrap, book, topics, strategy, alarm):
        super().__init__(f"{book.name}-member-{number}", alarm)
        self.book, self.topics, self.places, self.records = book, topics, {}, 0
        self.client = reader(bootstrap, self.name, **{
            "group.id": book.name, "partition.assignment.strategy": strategy, "session.timeout.ms": 30_000,
            "heartbeat.interval.ms": 1_000})

    def work(self):
        self.client.subscribe(self.topics, on_assign=self.assigned, on_revoke=self.revoked, on_lost=self.lost)
        commit_at = time.monotonic() + self.COMMIT_S
        while not self.ending.is_set():
            message = self.client.poll(0.2)
            if message is not None and not message.error():
                place = message.topic(), message.partition()
                self.book.got(self.name, place, message.offset())
                self.places[place] = message.offset() + 1
                self.records += 1
            if time.monotonic() > commit_at:
                commit_at = time.monotonic() + self.COMMIT_S
                self.commit(self.places)
        self.client.close()  # calls revoked

    def assigned(self, _client, where):
        self.book.assigned(self.name, [(one.topic, one.partition) for one in where])

    def revoked(self, _client, where):
        mine = [(one.topic, one.partition) for one in where]
        self.commit({place: self.places[place] for place in mine if place in self.places})
        self.gone(mine)

    def lost(self, _client, where):
        self.gone([(one.topic, one.partition) for one in where], "lost it")

    def gone(self, mine, how="gave it back"):
        for place in mine:
            self.places.pop(place, None)
        self.book.revoked(self.name, mine, how)

    def commit(self, places):
        offsets = [ck.TopicPartition(topic, number, offset) for (topic, number), offset in places.items()]
        if not offsets:
            return
        try:
            told = self.client.commit(offsets=offsets, asynchronous=False)
        except ck.KafkaException:
            return  # not committed: the next owner begins where it was before
        for one in told or []:
            if one.error is None:
                self.book.commits((one.topic, one.partition), one.offset)


class Group(Client):
    """Members of one group that come and go."""

    def __init__(self, bootstrap, book, topics, strategy, members, alarm, stay_s=(10, 40)):
        super().__init__(f"{book.name}-members", alarm)
        self.make = lambda number: Member(number, bootstrap, book, topics, strategy, alarm)
        self.book, self.count, self.stay_s, self.made = book, members, stay_s, 0
        self.random, self.members, self.settled = random.Random(book.name), [], threading.Event()
        self.left = 0

    def work(self):
        while not self.ending.is_set():
            while len(self.members) < self.count:
                self.join_one()
            if not self.settled.is_set() and len(self.members) > 1 and self.random.random() < 0.7:
                self.leave_one()
            self.ending.wait(self.random.uniform(*self.stay_s) / self.count)
        while self.members:
            self.leave_one()

    def join_one(self):
        member = self.make(self.made)
        self.made += 1
        member.start()
        self.members.append(member)

    def leave_one(self):
        member = self.members.pop(self.random.randrange(len(self.members)))
        member.end()
        member.join(LATE_S)
        self.left += 1
        if member.is_alive():
            self.alarm("unanswered", f"{member.name} does not leave within {LATE_S} s")
