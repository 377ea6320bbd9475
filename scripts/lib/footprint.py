"""scripts/start-and-memory: what a broker takes, and how soon it serves.

    held   fill (1 MiB a partition, five producers) -> stop -> files out of the page cache -> start -> first answer -> RSS, idle
    many   ten partitions, ten connections -> batches a second, a CPU second; 10,000 of both -> the same, RSS, idle

A connection has one request under way at a time, as a producer that waits for each answer has; of many connections a tenth has.
With as many requests under way as ten connections have, the many are told too: each batch is then a step of its own, whose socket, file
and partition were last looked at a long time ago. Both are measured in turn, and the middle of the rounds counts.
"""

import os
import pathlib
import resource
import select
import socket
import statistics
import struct
import time

from lib import brokers, wire
from lib.report import Report, need
from lib.soak.gauge import cpu_s, descriptors, status

MIB = 1 << 20
PRODUCERS = 5
HELD_BYTES, BATCH_BYTES = MIB, 64 << 10
RSS_BYTES_MAX, FIRST_MS_MAX, IDLE_SHARE_MAX, RATE_SHARE_MIN = 64 * MIB, 100, 0.005, 0.8
FEW = 10
ROUNDS = 3
TOPIC_PARTITIONS = 1_000
# When the broker begins to write back what came a moment ago, with room for the writing.
WRITE_BACK_S = 8
CHECKPOINT, CHECKPOINT_S_MAX = "recovery-point-offset-checkpoint", 75
# What the broker has open beside partitions and connections; what this process has.
SPARE_DESCRIPTORS = 700
NOT_YET = (3, 5, 6, 7)  # unknown, no leader, not its leader, timed out: just started, asked again


def run(options):
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    report = Report()
    for name, part in (("held", held), ("many", many)):
        if options.only in (None, name):
            with brokers.scratch("ringlog-footprint-") as folder:
                broker = brokers.new("ringlog", folder / "broker", shards=options.shards, binary=options.bin,
                                     overrides={"auto.create.topics.enable": "false"})
                try:
                    part(options, report, broker)
                finally:
                    broker.kill()
    return report.close()


def taken(broker):
    told = status(broker.process.pid)
    return (f"RSS {told['VmRSS'] / MIB:.1f} MiB (anonymous {told['RssAnon'] / MIB:.1f}, files {told['RssFile'] / MIB:.1f}), "
            f"{descriptors(broker.process.pid)} descriptors")


def cpu_ns(pid):
    """Processor time of all threads that live, to the nanosecond."""
    return sum(int(path.read_text().split()[0]) for path in pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat"))


def made(broker, topic, partitions):
    """Creates a topic; {partition: the port of its leader}."""
    code = wire.make_topic(broker.port, topic, partitions)
    need(code == 0, f"{topic} is not made: error {code}")
    wire.leader_port(broker.port, topic, partitions - 1, create=False)
    return led(broker, topic)


def led(broker, topic):
    with wire.Connection(broker.port, timeout_s=60) as connection:
        nodes, topics = wire.brokers_and_topics(connection.ask(wire.metadata([topic])))
    return {number: nodes[leader][1] for number, (_, leader) in topics[topic][1].items()}


def idle(broker, seconds):
    time.sleep(2)
    before, begun = cpu_s(broker.process.pid), time.monotonic()
    time.sleep(seconds)
    share = (cpu_s(broker.process.pid) - before) / (time.monotonic() - begun)
    need(share < IDLE_SHARE_MAX, f"{share:.2%} of a core while nobody asks; {IDLE_SHARE_MAX:.1%} is the target")
    return f"{share:.3%} of a core, {taken(broker)}"


# Partitions that hold something ---------------------------------------------------------------------------------


def held(options, report, broker):
    broker.start()
    batches = Batches(broker)
    leaders = made(broker, "held", options.partitions)
    fill(broker, leaders, batches)
    report.ok("held filled", f"{options.partitions} partitions of {batches.bytes / MIB:.2f} MiB; {taken(broker)}")
    for how, end in (("a clean stop", broker.stop), ("kill -9", broker.kill)):
        report.check(f"held first produce after {how}", first_produce, broker, leaders, batches, end, options.starts)
    report.check("held resident after a start", resident, broker)
    report.check("held resident when each producer has written to each", written, broker, leaders, batches)
    report.check("held idle", idle, broker, options.idle)


class Batches:
    """Batches of five producers for any partition: the numbers of a producer begin at 0 in each."""

    def __init__(self, broker):
        with wire.Connection(broker.port) as connection:
            self.producers = [self.new_producer(connection) for _ in range(PRODUCERS)]
        value = os.urandom(BATCH_BYTES - 100)
        self.made = [wire.batch([value], producer=(ident, epoch, round_))
                     for round_ in range(-(-HELD_BYTES // BATCH_BYTES // PRODUCERS) + 1) for ident, epoch in self.producers]
        self.made = self.made[:-(-HELD_BYTES // BATCH_BYTES)]
        self.bytes = sum(map(len, self.made))
        self.round = len(self.made) // PRODUCERS + 1  # the number that no producer has used yet

    @staticmethod
    def new_producer(connection):
        cursor = connection.ask(wire.request(wire.INIT_PRODUCER_ID, 0, wire.string(None) + struct.pack(">i", 60_000)))
        cursor.take("i")
        code, ident, epoch = cursor.take("hqh")
        need(code == 0, f"InitProducerId: error {code}")
        return ident, epoch

    def one_more(self):
        """A small batch that belongs to nobody."""
        return wire.batch([b"first"])


def fill(broker, leaders, batches):
    for port in set(leaders.values()):
        mine = [number for number, leader in leaders.items() if leader == port]
        with wire.Connection(port, timeout_s=60) as connection:
            for number in mine:
                for batch in batches.made:
                    connection.send(wire.frame(wire.produce("held", number, batch)))
                for _ in batches.made:
                    code, _ = wire.produce_error(connection.answer())
                    need(code == 0, f"held-{number}: error {code}")


def out_of_cache(folder):
    """The folder's files leave the page cache; directories and inodes may stay."""
    os.sync()
    for path in pathlib.Path(folder).rglob("*"):
        if path.is_file():
            file = os.open(path, os.O_RDONLY)
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(file)


def first_produce(broker, leaders, batches, end, starts):
    """From the start of the process to the first acknowledged batch."""
    request = wire.frame(wire.produce("held", 0, batches.one_more()))
    took, cpu, ready = [], [], []
    for _ in range(starts):
        end()
        out_of_cache(broker.log_dir)
        begun = time.monotonic()
        broker.launch()
        took.append(1000 * (until_acknowledged(leaders[0], request, begun) - begun))
        cpu.append(cpu_ns(broker.process.pid) / 1e6)
        broker.await_ready()
        ready.append(all_answer(leaders, begun))
    told = (f"{'/'.join(f'{ms:.0f}' for ms in took)} ms ({statistics.median(cpu):.0f} ms of processor time); all {len(leaders)} "
            f"partitions answer after {statistics.median(ready) * 1000:.0f} ms; {taken(broker)}")
    need(statistics.median(took) < FIRST_MS_MAX, f"{told}; {FIRST_MS_MAX} ms is the target")
    return told


def until_acknowledged(port, request, begun):
    while time.monotonic() < begun + 60:
        try:
            with wire.Connection(port, timeout_s=60) as connection:
                while True:
                    connection.send(request)
                    code, _ = wire.produce_error(connection.answer())
                    if code == 0:
                        return time.monotonic()
                    need(code in NOT_YET, f"the first produce: error {code}")
        except (OSError, wire.Closed):
            time.sleep(0.001)
    raise TimeoutError("no batch is acknowledged within a minute")


def all_answer(leaders, begun):
    """Seconds from `begun` until every partition says where it ends."""
    for port in set(leaders.values()):
        with wire.Connection(port, timeout_s=60) as connection:
            for number in (number for number, leader in leaders.items() if leader == port):
                while True:
                    cursor = connection.ask(wire.list_offsets("held", number, -1))
                    cursor.take("i"), cursor.string(), cursor.take("ii")
                    if cursor.take("h") == 0:
                        break
    return time.monotonic() - begun


def resident(broker):
    rss = status(broker.process.pid)["VmRSS"]
    need(rss < RSS_BYTES_MAX, f"{taken(broker)}; {RSS_BYTES_MAX / MIB:.0f} MiB is the target")
    return taken(broker)


def written(broker, leaders, batches):
    """The producers' state is in use: each goes on in each partition where it stopped."""
    value = b"live" * 25
    count = [len(batches.made) // PRODUCERS + (place < len(batches.made) % PRODUCERS) for place in range(PRODUCERS)]
    live = [wire.batch([value], producer=(ident, epoch, number)) for (ident, epoch), number in zip(batches.producers, count)]
    for port in set(leaders.values()):
        with wire.Connection(port, timeout_s=60) as connection:
            for number in (number for number, leader in leaders.items() if leader == port):
                connection.send(b"".join(wire.frame(wire.produce("held", number, batch)) for batch in live))
                for _ in live:
                    code, _ = wire.produce_error(connection.answer())
                    need(code == 0, f"held-{number}: error {code}")
    return resident(broker)


# Many partitions, many connections ------------------------------------------------------------------------------


def many(options, report, broker):
    broker.start()
    empty = taken(broker)
    few = Spread(broker, "few-", FEW, FEW)
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[1] - SPARE_DESCRIPTORS
    connections = min(options.many, allowed - options.many - FEW)
    begun = time.monotonic()
    spread = Spread(broker, "many-", options.many, connections)
    report.ok("many: made", f"{options.many} partitions, {connections} connections (open files are limited to "
                            f"{allowed + SPARE_DESCRIPTORS}) in {time.monotonic() - begun:.1f} s; before: {empty}; now: {taken(broker)}")
    report.check("many: batches beside ten's", beside, broker, few, spread, options.seconds)
    ended = time.time()
    report.check("many: resident", taken, broker)
    report.check("many: what the load left to do", left_by_load, broker, ended)
    report.check("many: idle", idle, broker, options.idle)
    few.close()
    spread.close()


def left_by_load(broker, ended):
    """Waits until all is on the disk and in a checkpoint, which is once a minute: what that takes is not what an idle broker takes."""
    before, begun, checkpoint = cpu_s(broker.process.pid), time.monotonic(), broker.log_dir / CHECKPOINT
    while time.time() < ended + WRITE_BACK_S or not checkpoint.exists() or checkpoint.stat().st_mtime < ended:
        need(time.time() < ended + CHECKPOINT_S_MAX, f"no checkpoint within {CHECKPOINT_S_MAX} s")
        time.sleep(0.2)
    time.sleep(2)  # what a checkpoint saves of each log is written beside it
    took, span = cpu_s(broker.process.pid) - before, time.monotonic() - begun
    return f"{took:.2f} s of processor time in {span:.0f} s: write-back and a checkpoint; {took / span:.2%} of a core until then"


def beside(broker, few, spread, seconds):
    """Rounds of ten, many, and many with as little under way as ten."""
    for one in (few, spread):
        Load(one, FEW).run(lambda it: it.count >= len(it.requests))  # each partition's first batch is not counted
    ways = {"ten": (few, FEW), "many": (spread, max(FEW, len(spread.sockets) // 10)), "many, ten under way": (spread, FEW)}
    rounds = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, (one, under_way) in ways.items():
            rounds[name].append(rate(broker, one, under_way, seconds))
    middle = {name: [statistics.median(column) for column in zip(*took)] for name, took in rounds.items()}
    told = "; ".join(f"{name}: {a_second:.0f} a second, {cpu_us:.1f} us of processor time each" for name, (a_second, cpu_us) in middle.items())
    share, cpu_share = (middle["many"][0] / middle["ten"][0], middle["ten"][1] / middle["many"][1])
    told = f"{share:.0%} of ten's a second, {cpu_share:.0%} of ten's a CPU second ({told})"
    need(share >= RATE_SHARE_MIN, f"{told}; {RATE_SHARE_MIN:.0%} is the target")
    return told


def rate(broker, spread, under_way, seconds):
    """(batches a second, microseconds of the broker's processor time for each)"""
    load, begun, before = Load(spread, under_way), time.monotonic(), cpu_ns(broker.process.pid)
    load.run(lambda _: time.monotonic() > begun + seconds)
    return load.count / (time.monotonic() - begun), (cpu_ns(broker.process.pid) - before) / load.count / 1000


class Spread:
    """Partitions, and connections to their leaders: connection i writes to partition i, and to those beyond the connections."""

    def __init__(self, broker, prefix, partitions, connections):
        self.prefix, self.targets = prefix, []
        for first in range(0, partitions, TOPIC_PARTITIONS):
            topic = f"{prefix}{first // TOPIC_PARTITIONS:02}"
            for number, port in sorted(made(broker, topic, min(TOPIC_PARTITIONS, partitions - first)).items()):
                self.targets.append((port, topic, number))
        batch = wire.batch([b"r" * 1_000])
        self.sockets, by_port = [], {}
        for port, _, _ in self.targets[:connections]:
            self.sockets.append(self.connect(port))
            by_port.setdefault(port, []).append(len(self.sockets) - 1)
        # (socket, request): a partition beyond the connections shares one with another that is led there.
        self.requests = []
        for at, (port, topic, number) in enumerate(self.targets):
            mine = at if at < connections else by_port[port][at % len(by_port[port])]
            self.requests.append((self.sockets[mine], wire.frame(wire.produce(topic, number, batch))))

    @staticmethod
    def connect(port):
        one = socket.create_connection(("127.0.0.1", port), timeout=30)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return one

    def close(self):
        for one in self.sockets:
            one.close()


class Load:
    """Keeps requests under way, over all of a spread in turn; counts answers."""

    def __init__(self, spread, in_flight):
        self.requests, self.next, self.count, self.in_flight = spread.requests, 0, 0, in_flight
        self.by_fd = {one.fileno(): one for one in spread.sockets}
        self.left = dict.fromkeys(self.by_fd, b"")
        self.poll = select.epoll()
        for fd in self.by_fd:
            self.poll.register(fd, select.EPOLLIN)
        self.under_way = 0

    def send(self):
        one, request = self.requests[self.next]
        self.next = (self.next + 1) % len(self.requests)
        one.sendall(request)
        self.under_way += 1

    def receive(self, wait_s=30):
        events = self.poll.poll(wait_s)
        need(events, f"no answer within {wait_s} s, and {self.under_way} requests are under way")
        for fd, _ in events:
            data = self.left[fd] + self.by_fd[fd].recv(65_536)
            while len(data) >= 4 and len(data) >= 4 + (size := struct.unpack_from(">i", data)[0]):
                self.answered(data[:4 + size])
                data = data[4 + size:]
            self.left[fd] = data

    def answered(self, answer):
        name = struct.unpack_from(">h", answer, 12)[0]
        code = struct.unpack_from(">h", answer, 14 + name + 8)[0]
        need(code == 0, f"a batch: error {code}")
        self.count, self.under_way = self.count + 1, self.under_way - 1

    def run(self, until):
        """Until `until(self)`: then the rest is waited for."""
        while self.under_way < self.in_flight:
            self.send()
        while not until(self):
            before = self.count
            self.receive()
            for _ in range(self.count - before):
                self.send()
        while self.under_way:
            self.receive()
