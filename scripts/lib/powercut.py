"""Power cuts under load: what was acknowledged before the cut against what a broker finds on the disk that is left.

    one life:  broker starts on the disk --> all is read and compared with the ledger --> clients write --> cut
    chain:     the next life's disk is what the cut left: a log that was recovered is written to, and cut, again

What is acknowledged is counted first, then the power is cut: whatever was counted had its answer before. Each partition has
one idempotent producer, which lives through all cuts, so what a partition holds must be a prefix of what was sent, in order;
its last batch sent again is a duplicate with the same offset, and the next in sequence is taken. The machine's next boot is a
boot id of its own: without it the broker would trust the page cache of the run before.
"""

import contextlib
import ctypes
import os
import random
import struct
import threading
import time
import uuid

from lib import brokers, disk, peers, wire
from lib.report import Failed, need

TOPIC, PARTITIONS, GROUP = "cut", 4, "g-cut"
DISK_BYTES = 320 << 20  # XFS takes no less than 300 MiB
DEPTH = 4  # of the five batches that a broker knows of a producer
CHAIN = 12  # lives of one disk, then a new one: it is not to fill up
POLICIES = {"flushed": {"log.flush.interval.messages": 1}, "default": {}}
# Rolls in each short life, and one partition of commits.
SETTINGS = {"log.roll.ms": 250, "offsets.topic.num.partitions": 1, "auto.create.topics.enable": "false"}
SAYS_SO = "the machine went down while this broker ran"
STORAGE_ERROR = 56


# A namespace of our own ---------------------------------------------------------------------------------------------


def own_mounts():
    """From here on nobody else sees what this process mounts, and however it ends, nothing stays mounted (lib/disk.py: why)."""
    recursive_private = 0x4000 | 0x40000
    disk.libc_call("unshare", disk.NEW_NAMESPACE)
    disk.libc_call("mount", b"none", b"/", None, recursive_private, None)


def needs():
    """What this machine lacks for it, each with what to do; a check that cannot run has failed."""
    if os.geteuid() != 0:
        raise peers.Missing("root: a disk is mounted (run as root, or in a container with --privileged)")
    for path, what in (("/dev/fuse", "FUSE: modprobe fuse, or docker run --device /dev/fuse"),
                       ("/dev/loop-control", "loop devices: modprobe loop, or docker run --privileged")):
        if not os.path.exists(path):
            raise peers.Missing(f"{path} ({what})")
    peers.program("mkfs.ext4", "e2fsprogs")
    peers.program("mkfs.xfs", "xfsprogs")


@contextlib.contextmanager
def boots(folder):
    """Gives what makes the kernel's boot id another one, as it is after a power cut."""
    place, shown = folder / "boot_id", "/proc/sys/kernel/random/boot_id"
    place.write_text(f"{uuid.uuid4()}\n", encoding="ascii")
    disk.tool("mount", "--bind", str(place), shown)
    try:
        yield lambda: place.write_text(f"{uuid.uuid4()}\n", encoding="ascii")
    finally:
        disk.tool("umount", shown)


# What was sent ------------------------------------------------------------------------------------------------------


class Stream:
    """One partition's producer and its side of the ledger. Batch i is `sent[i]`; `known` batches are acknowledged."""

    def __init__(self, partition):
        self.partition, self.producer_id = partition, None
        self.sent, self.ends, self.known = [], [], 0
        self.thread, self.ended, self.refused = None, None, 0

    def end(self, count):
        """The offset behind the first `count` batches."""
        return self.ends[count - 1] if count else 0

    def values(self):
        return [value for values in self.sent for value in values]

    def start(self, port, life):
        self.ended = None
        self.thread = threading.Thread(target=self.write, args=(port, life), daemon=True)
        self.thread.start()

    def write(self, port, life):
        """Until the connection breaks or a batch is refused; what was sent last life comes again first."""
        try:
            with wire.Connection(port, timeout_s=10) as connection:
                if self.producer_id is None:
                    answer = connection.ask(wire.init_producer_id())
                    answer.take("i")
                    code, self.producer_id = answer.take("hq")
                    need(code == 0, f"InitProducerId: error {code}")
                flying = max(len(self.sent) - 1, 0)
                for number in range(flying, len(self.sent)):
                    self.send(connection, number)
                while True:
                    self.sent.append(self.new_values(life))
                    self.ends.append(self.end(len(self.sent) - 1) + len(self.sent[-1]))
                    self.send(connection, len(self.sent) - 1)
                    while len(self.sent) - flying >= DEPTH:
                        self.receive(connection, flying)
                        flying += 1
        except (wire.Closed, OSError, struct.error, Failed) as error:
            self.ended = error

    def new_values(self, life):
        name = f"{TOPIC}-{self.partition}-{life}-{len(self.sent)}"
        return [f"{name}-{i}-".encode() + b"x" * random.choice((0, 10, 100, 400)) for i in range(random.choice((1, 3, 8)))]

    def send(self, connection, number):
        values, first = self.sent[number], self.end(number)
        records = wire.batch(values, producer=(self.producer_id, 0, first))
        connection.send(wire.frame(wire.produce(TOPIC, self.partition, records, -1, correlation=number)))

    def receive(self, connection, number):
        code, offset = wire.produce_error(connection.answer())
        if code:
            self.refused = code
            raise Failed(f"partition {self.partition} batch {number}: error {code}")
        need(offset == self.end(number), f"partition {self.partition} batch {number} is said to be at offset {offset}; "
                                         f"{self.end(number)} is due (sent twice, or lost)")
        self.known = max(self.known, number + 1)

    def compare(self, got, known, all_kept):
        """What the log holds must be what was sent, in order, and end with a whole batch. Gives how much is lost."""
        where = f"partition {self.partition}"
        due = self.values()
        for place, (offset, value) in enumerate(got):
            need(place < len(due) and offset == place and value == due[place],
                 f"{where} offset {offset}: {value!r:.60} where {due[place] if place < len(due) else None!r:.60} was sent")
        count = len([end for end in self.ends if end <= len(got)])
        need(self.end(count) == len(got), f"{where} ends at {len(got)}, inside a batch")
        lost = self.end(known) - self.end(min(count, known))
        need(lost == 0 or not all_kept, f"{where}: {lost} records lost that were acknowledged before the cut: offsets "
                                        f"{len(got)} to {self.end(known)}")
        del self.sent[count:], self.ends[count:]
        self.known = count
        return lost


class Names:
    """Topics that come and go, and a group's commits: what was answered must be so after the cut."""

    def __init__(self):
        self.made, self.doubtful, self.gone = set(), set(), set()
        self.committed, self.asked = -1, -1
        self.thread = self.ended = None

    def start(self, port, life):
        self.ended = None
        self.thread = threading.Thread(target=self.work, args=(port, life), daemon=True)
        self.thread.start()

    def work(self, port, life):
        try:
            with wire.Connection(port) as admin, wire.Connection(self.coordinator(port)) as group:
                for number in range(10_000):
                    self.topic(admin, f"made-{life}-{number}")
                    for _ in range(5):
                        self.commit(group)
        except (wire.Closed, OSError, struct.error, Failed) as error:
            self.ended = error

    @staticmethod
    def coordinator(port):
        """The port of the shard that keeps the group's offsets."""
        until = time.monotonic() + 20
        with wire.Connection(port) as connection:
            while True:
                answer = connection.ask(wire.find_coordinator(GROUP))
                code, _, _ = answer.take("h"), answer.take("i"), answer.string()
                if code == 0:
                    return answer.take("i")
                need(time.monotonic() < until, f"the group has no coordinator after 20 s: error {code}")
                time.sleep(0.02)

    def topic(self, connection, name):
        self.doubtful.add(name)
        code = self.code(connection.ask(wire.create_topic(name, 1)))
        need(code == 0, f"CreateTopics {name}: error {code}")
        self.made.add(name)
        self.doubtful.discard(name)
        if random.random() < 0.7:
            goes = random.choice(sorted(self.made))
            self.doubtful.add(goes)
            self.made.discard(goes)
            code = self.code(connection.ask(wire.delete_topic(goes)))
            need(code == 0, f"DeleteTopics {goes}: error {code}")
            self.gone.add(goes)
            self.doubtful.discard(goes)

    @staticmethod
    def code(answer):
        answer.take("i"), answer.take("i"), answer.string()
        return answer.take("h")

    def commit(self, connection):
        self.asked += 1
        code = wire.commit_error(connection.ask(wire.offset_commit(GROUP, TOPIC, 0, self.asked)))
        if code in (14, 15, 16):  # the coordinator loads, or comes up
            time.sleep(0.02)
            return
        need(code == 0, f"OffsetCommit: error {code}")
        self.committed = self.asked

    def counted(self):
        return set(self.made), set(self.gone), self.committed

    def compare(self, port, counted, all_kept):
        made, gone, committed = counted
        with wire.Connection(port) as connection:
            _, topics = wire.brokers_and_topics(connection.ask(wire.metadata(None)))
            # One that was asked to go after it was counted may be gone.
            lost = made - set(topics) - self.doubtful - self.gone
            need(not lost, f"topics lost whose creation was acknowledged: {sorted(lost)[:3]}")
            back = gone & set(topics)
            need(not back, f"topics are back whose deletion was acknowledged: {sorted(back)[:3]}")
        with wire.Connection(self.coordinator(port)) as connection:
            found = self.found(connection)
        need(found <= self.asked, f"offset {found} is committed, and {self.asked} was the last that was asked for")
        need(found >= committed or not all_kept, f"offset {found} is committed, and {committed} was acknowledged")
        self.made, self.doubtful = {name for name in topics if name.startswith("made-")}, set()
        self.gone -= self.made
        self.committed = self.asked = found

    def found(self, connection):
        until = time.monotonic() + 20
        while True:
            code, offset = wire.committed(connection.ask(wire.offset_fetch(GROUP, TOPIC, 0)))
            if code == 0:
                return offset
            need(time.monotonic() < until, f"OffsetFetch: error {code}")
            time.sleep(0.02)


# A broker on the disk -----------------------------------------------------------------------------------------------


class OnDisk(brokers.Ringlog):
    """Its log is on the disk, its output is not."""

    def __init__(self, folder, mounted, policy, **rest):
        port = brokers.free_ports(max(rest.get("shards", 1), 2))
        super().__init__(folder, port, overrides={**SETTINGS, **POLICIES[policy]}, **rest)
        self.mounted, self.said_before = mounted, 0

    @property
    def log_dir(self):
        return self.mounted / "log"

    def launch(self, outlive_us=False):
        self.said_before = self.output.stat().st_size if self.output.exists() else 0
        return super().launch(outlive_us)

    def said(self):
        """What this life has said."""
        return self.output.read_bytes()[self.said_before:].decode(errors="replace")


def read_all(port, partition):
    """(offset, value) of every record of a partition."""
    out, offset, wait_ms = [], 0, 0
    with wire.Connection(port) as connection:
        while True:
            asked = wire.fetch(TOPIC, partition, offset, 4 << 20, wait_ms)
            code, high, data = wire.fetch_answer(connection.ask(asked))
            need(code == 0, f"partition {partition} fetch at {offset}: error {code}")
            new = [record for record in wire.records_of(data) if record[0] >= offset]
            out += new
            offset = out[-1][0] + 1 if out else 0
            if offset >= high:
                return out
            need(new or wait_ms == 0, f"partition {partition} offset {offset} of {high} cannot be read: "
                                      f"{len(data)} bytes that hold no such record")
            wait_ms = 5000  # there is more, and it may lie cold on the disk


class Flusher(threading.Thread):
    """The kernel's own write-back, which in a life of a second would not come: a file, or all of them, at any moment."""

    def __init__(self, log_dir):
        super().__init__(daemon=True)
        self.log_dir, self.over = log_dir, threading.Event()

    def run(self):
        libc, start_write = ctypes.CDLL(None, use_errno=True), 2
        while not self.over.wait(random.uniform(0.01, 0.1)):
            with contextlib.suppress(OSError):  # folders come and go
                logs = list(self.log_dir.glob("*/*.log"))
                fd = os.open(random.choice(logs) if logs else self.log_dir, os.O_RDONLY)
                if random.random() < 0.1:
                    libc.syncfs(fd)
                else:
                    libc.sync_file_range(fd, ctypes.c_int64(0), ctypes.c_int64(0), start_write)
                os.close(fd)


class Lives:
    """A disk and what its brokers acknowledged, through any number of cuts."""

    def __init__(self, folder, kind, policy, boot, **how):
        self.folder, self.kind, self.policy, self.boot = folder, kind, policy, boot
        self.image = folder / "disk-0"
        with open(self.image, "wb") as out:
            out.truncate(DISK_BYTES)
        self.broker = OnDisk(folder / "broker", folder / "mnt", policy, **how)
        self.streams, self.names = [Stream(p) for p in range(PARTITIONS)], Names()
        self.counted, self.number, self.loads = None, 0, 0
        self.lost = self.acknowledged = self.cached = 0

    @property
    def all_kept(self):
        return self.policy == "flushed"

    @contextlib.contextmanager
    def on_disk(self):
        """The disk, mounted, with a broker that serves; the broker is killed afterwards, whatever happened."""
        with disk.Disk(self.folder, self.image, self.kind) as one:
            one.attach(fresh=self.number == 0)
            need(one.direct(), "the loop device does not do direct I/O: its page cache would stand between broker and disk")
            try:
                self.broker.start()
                yield one
            finally:
                self.broker.kill()
                self.join()

    def live(self, seed):
        """One life, up to the cut that ends it."""
        dice = random.Random(seed)
        with self.on_disk() as one:
            if self.number:
                self.compare(cut=True)
            else:
                need(wire.make_topic(self.broker.port, TOPIC, PARTITIONS) == 0, "the topic is not created")
            self.load(dice.uniform(0.15, 0.7))
            self.cut(one, seed, disk.KEPT[seed % len(disk.KEPT)])
        self.boot()

    def load(self, seconds):
        """Clients write for a while; all of them must be at work at its end."""
        flusher = Flusher(self.broker.log_dir)
        self.begin()
        flusher.start()
        time.sleep(seconds)
        flusher.over.set()
        flusher.join(20)
        ended = [str(client.ended) for client in (*self.streams, self.names) if client.ended]
        need(not ended, f"a client ended before the cut: {ended[0] if ended else ''}; {self.broker.tail(3)}")

    def begin(self):
        self.loads += 1
        for stream in self.streams:
            stream.start(wire.leader_port(self.broker.port, TOPIC, stream.partition, create=False), self.loads)
        self.names.start(self.broker.port, self.loads)

    def join(self):
        for client in (*self.streams, self.names):
            if client.thread:
                client.thread.join(20)

    def cut(self, one, seed, kept):
        """Counts what is acknowledged, and then cuts."""
        known = [stream.known for stream in self.streams]
        self.counted = (known, self.names.counted())
        self.number += 1
        image = self.folder / f"disk-{self.number}"
        told = one.cut(seed, kept, image)
        self.cached += told["cached"]
        self.image.unlink()
        self.image = image
        return told

    def compare(self, cut):
        """All of the log against the ledger."""
        known, names = self.counted or ([stream.known for stream in self.streams], self.names.counted())
        for stream, count in zip(self.streams, known, strict=True):
            port = wire.leader_port(self.broker.port, TOPIC, stream.partition, create=False)
            self.acknowledged += stream.end(count)
            got = read_all(port, stream.partition)
            try:
                self.lost += stream.compare(got, count, self.all_kept)
            except Failed as error:
                raise Failed(f"{error}; the broker said: {self.broker.said()[-300:]}") from error
        self.names.compare(self.broker.port, names, self.all_kept)
        need(not cut or SAYS_SO in self.broker.said(), f"the broker does not say that the power was cut: {self.broker.tail(5)}")


# The checks ---------------------------------------------------------------------------------------------------------


def cuts(kind, policy, count, seed, how):
    """A number of cuts in a row, on disks that each live through CHAIN of them; the last one's left is looked at too."""
    lost = acknowledged = cached = 0
    done = 0
    while done < count:
        with brokers.scratch("ringlog-cut-") as folder, boots(folder) as boot:
            lives = Lives(folder, kind, policy, boot, **how)
            for _ in range(min(CHAIN, count - done)):
                with named(f"seed {seed + done}, life {lives.number} of its disk"):
                    lives.live(seed + done)
                done += 1
            with named(f"after seed {seed + done - 1}"), lives.on_disk():
                lives.compare(cut=True)
            lost, acknowledged, cached = lost + lives.lost, acknowledged + lives.acknowledged, cached + lives.cached
    told = "none lost" if policy == "flushed" else f"{lost} lost, from the ends alone"
    need(acknowledged > 0, "nothing was at stake: nothing was acknowledged")
    return f"{count} cuts: {told}, of {acknowledged} acknowledged records; {cached} writes were in the disk's cache"


@contextlib.contextmanager
def named(what):
    try:
        yield
    except (Failed, SystemExit, wire.Closed) as error:
        raise Failed(f"{what}: {error}") from error


def refused_writes(kind, how):
    """The disk takes no record any more: nothing is acknowledged from then on, by no start on that disk; and when it takes
    them again, what is acknowledged survives a cut that loses the whole cache."""
    with brokers.scratch("ringlog-cut-") as folder, boots(folder) as boot:
        lives = Lives(folder, kind, "flushed", boot, **how)
        with disk.Disk(folder, lives.image, kind) as one:
            one.attach(fresh=True)
            try:
                return over_refusals(lives, one)
            finally:
                lives.broker.kill()
                lives.join()


def over_refusals(lives, one):
    broker = lives.broker.start()
    need(wire.make_topic(broker.port, TOPIC, PARTITIONS) == 0, "the topic is not created")
    lives.load(0.3)
    one.refuse(f"{TOPIC}-1-")  # the records of one partition
    lives.join()
    refused = sorted({stream.refused for stream in lives.streams})
    need(refused == [STORAGE_ERROR], f"producers were told {refused}: {STORAGE_ERROR} is due of every partition; "
         f"{[str(stream.ended) for stream in lives.streams]}; {broker.tail(5)}")
    unheard(lives, "after the refusal")
    need("offline" in broker.said(), f"the broker does not say that the directory is offline: {broker.tail(3)}")
    broker.kill()
    broker.start()
    unheard(lives, "after the next start")
    broker.kill()
    failed = one.refuse(None)
    broker.start()
    lives.counted = None
    lives.compare(cut=False)
    lives.load(0.3)
    told = lives.cut(one, 1, "nothing")
    broker.kill()
    lives.join()
    one.remove()
    lives.boot()
    with lives.on_disk():
        lives.compare(cut=True)
    return f"{failed} writes were refused; {lives.acknowledged} acknowledged records are there after a cut ({told['cached']} in the cache)"


def unheard(lives, when):
    """Every partition refuses: a batch that is new, and the one that failed."""
    stream = lives.streams[1]
    number = stream.known  # the first that was not acknowledged
    answered, until = 0, time.monotonic() + 1
    while time.monotonic() < until:
        again = wire.batch(stream.sent[number], producer=(stream.producer_id, 0, stream.end(number)))
        asked = [wire.produce(TOPIC, 1, again, -1)]
        asked += [wire.produce(TOPIC, partition, wire.batch([b"new"]), -1) for partition in range(PARTITIONS)]
        ports = range(lives.broker.port, lives.broker.port + lives.broker.shards)
        for port, request in ((port, request) for port in ports for request in asked):
            with contextlib.suppress(wire.Closed, OSError), wire.Connection(port) as connection:
                code, _ = wire.produce_error(connection.ask(request))
                need(code != 0, f"{when} a batch is acknowledged, and the disk does not take it")
                answered += 1
        time.sleep(0.05)
    need(answered, f"{when} the broker answers nobody")


def run(report, kinds, policies, count, seed, how):
    for kind in kinds:
        for policy in policies:
            report.check(f"powercut {kind} {policy}", cuts, kind, policy, count, seed, how)
        report.check(f"powercut {kind} refused writes", refused_writes, kind, how)
