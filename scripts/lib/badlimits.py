"""What is scarce: descriptors, memory, and the patience with clients that do not read. Each broker is started for its case.

Memory is the process's own (RssAnon of /proc/PID/status: without files that are mapped); `peak_mib` watches it while a case
runs. What is due follows from what the start says that it will use, or stands beside the case.
"""

import contextlib
import pathlib
import re
import resource
import signal
import socket
import struct
import subprocess
import threading
import time

from lib import brokers, wire
from lib.report import need

SOFT, HARD = 1024, 20000
PARTITIONS = 1100


def run(report, label, shards=1, binary=None, io=None):
    def check(name, function):
        report.check(f"{label} limits {name}", in_scratch, function, {"shards": shards, "binary": binary, "io": io})

    check("of descriptors: the soft one is raised, 1,100 partitions take records before and after a restart", descriptors)
    check("of descriptors: partitions that cannot be opened are refused at start with what to do", too_few_descriptors)
    check("of memory: what does not fit is refused at start with what to do", too_little_memory)
    check("of memory: the start says what it will use", said)
    check("of memory: a frame of 100 MiB of tiny arrays ends in an error, and the broker serves on", tiny_arrays)
    check("of memory: clients that do not read hold what there is for answers; others are served meanwhile", stalled)
    check("of a turn: sixty clients that ask for a gigabyte of metadata keep nobody waiting", greedy)
    check("of patience: a client that does not read is closed after connections.max.idle.ms", stalled_closed)
    check("of patience: a large frame that comes slowly is not idle", slow_frame)
    check("SIGHUP stops in order", hang_up)
    check("SIGHUP that is ignored at start (nohup) stops nothing", ignored_hang_up)


def in_scratch(function, how):
    with brokers.scratch() as folder:
        return function(folder, how)


class Limited(brokers.Ringlog):
    """A broker behind a command that sets its limits."""

    def __init__(self, folder, before=(), options=(), **rest):
        super().__init__(folder, brokers.free_ports(max(rest.get("shards", 1), 2)), **rest)
        self.before, self.options = list(before), list(options)

    def command(self):
        return [*self.before, *super().command(), *self.options]

    def said(self):
        """The line that says what it will use."""
        lines = [line for line in self.output.read_text().splitlines() if "at most" in line and "of memory" in line]
        need(len(lines) == 1, f"{len(lines)} lines say what it will use: {self.tail()}")
        return lines[0]

    def anonymous_mib(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        return int(re.search(r"RssAnon:\s+(\d+) kB", status)[1]) >> 10

    def refusal(self, wait_s=15):
        """What it says when it ends at once, and not with 0."""
        self.launch()
        try:
            code = self.process.wait(wait_s)
        except subprocess.TimeoutExpired:
            self.kill()
            need(False, f"it starts: {self.tail()}")
        need(code > 0, f"it ended with {code}: {self.tail()}")
        return self.output.read_text().strip().splitlines()[-1]


@contextlib.contextmanager
def peak_mib(broker):
    """A list whose last element is, afterwards, the most memory that the broker had beyond what it had before."""
    before, peak, done = broker.anonymous_mib(), [0], threading.Event()

    def watch():
        while not done.wait(0.005) and broker.alive():
            peak[0] = max(peak[0], broker.anonymous_mib() - before)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield peak
    finally:
        done.set()
        thread.join()


def hard_limit():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    need(hard >= HARD, f"this machine's hard limit of descriptors is {hard}: {HARD} are wanted here")


def descriptors(folder, how):
    hard_limit()
    how = {**how, "overrides": {"offsets.topic.num.partitions": 1}}
    broker = Limited(folder / "b", before=["prlimit", f"--nofile={SOFT}:{HARD}"], **how)
    with broker:
        wire.make_topic(broker.port, "many", PARTITIONS)
        written(broker, "many", 0)
        # Each partition's last words are synced: on a busy disk that takes a while.
        need(broker.end(signal.SIGTERM, wait_s=300) == 0, f"it ended with {broker.process.returncode}: {broker.tail()}")
    with broker:
        written(broker, "many", 1)
        held = len(list(pathlib.Path(f"/proc/{broker.process.pid}/fd").iterdir()))
        return f"{held} descriptors are open under a soft limit of {SOFT}"


def written(broker, topic, offset):
    """One record into each partition of the topic; all are acknowledged at this offset."""
    with contextlib.ExitStack() as stack:
        connections = {}
        with wire.Connection(broker.port, timeout_s=60) as connection:
            nodes, topics = wire.brokers_and_topics(connection.ask(wire.metadata([topic])))
        leaders = {partition: leader for partition, (_, leader) in topics[topic][1].items()}
        need(len(leaders) == PARTITIONS, f"{len(leaders)} partitions of {topic}")
        wrong = {}
        for partition, leader in leaders.items():
            port = nodes[leader][1]
            if port not in connections:
                connections[port] = stack.enter_context(wire.Connection(port, timeout_s=60))
            said = wire.produce_error(connections[port].ask(wire.produce(topic, partition, wire.batch([b"v"]))))
            if said != (0, offset):
                wrong[partition] = said
        need(not wrong, f"{len(wrong)} partitions say (error, offset) {next(iter(wrong.values()), None)}: {broker.tail(5)}")


def too_few_descriptors(folder, how):
    hard_limit()
    broker = Limited(folder / "b", **how)
    broker.prepare()
    for partition in range(PARTITIONS):
        (broker.log_dir / f"many-{partition}").mkdir(parents=True)
    broker.before = ["prlimit", f"--nofile={SOFT}:{SOFT}"]
    return names(broker.refusal(), f"log.dirs={broker.log_dir}", f"{PARTITIONS} partitions", str(SOFT), "ulimit -Hn")


def names(said, *things):
    for thing in things:
        need(thing in said, f"does not name {thing}: {said}")
    return said


def too_little_memory(folder, how):
    broker = Limited(folder / "b", options=["--memory", "100m"], **how)
    said = names(broker.refusal(), "socket.request.max.bytes=104857600", "--memory 100 MiB", "give --memory ")
    enough = re.search(r"give --memory (\d+m)", said)[1]
    with Limited(folder / "c", options=["--memory", enough], **how) as other:
        need(f"--memory {enough[:-1]} MiB" in other.said(), other.said())
    wrong = Limited(folder / "d", options=["--memory", "plenty"], **how)
    names(wrong.refusal(), "ringlog.memory", "plenty", "512m")
    return said


def said(folder, how):
    with Limited(folder / "b", **how) as broker:
        line = broker.said()
        need(re.search(r"half of (the machine's [\d.]+ [MG]iB|the [\d.]+ [MG]iB of /sys/fs/cgroup)", line), line)
        return line[line.index("at most"):]


def tiny_arrays(folder, how):
    """Topics without a name and partitions, as many as the largest frame holds, for each of these requests."""
    frame_bytes = 100 << 20
    with Limited(folder / "b", **how) as broker:
        peaks = []
        for key, version, head, element in ((wire.LIST_OFFSETS, 1, b"\0\0\0\0", b"\0" * 6), (wire.METADATA, 1, b"", b"\0\0"),
                                            (20, 1, b"", b"\0\0"), (wire.FETCH, 4, b"\0" * 17, b"\0" * 6)):
            room = frame_bytes - 64
            count = room // len(element)
            payload = wire.request(key, version, head + struct.pack(">i", count) + element * count)
            with peak_mib(broker) as peak, wire.Connection(broker.port, timeout_s=60) as connection:
                try:
                    connection.send(wire.frame(payload))
                    connection.answer()
                    need(False, f"api {key}: an answer to {count} elements")
                except wire.Closed:
                    pass
            need(broker.alive(), f"it died: {broker.tail()}")
            need(wire.answers(broker.port), f"it does not answer afterwards: {broker.tail()}")
            peaks.append(peak[0])
        need(max(peaks) < 300, f"{peaks} MiB for frames of 100 MiB")
        names(broker.tail(40), "bytes of memory that it may take; ask for less at a time")
        return f"at most {max(peaks)} MiB for frames of 100 MiB, and a closed connection that says why"


# Clients that do not read ----------------------------------------------------------------------------------------


def silent(port, payload, count):
    """A client with a small receive buffer that asks so often and reads nothing."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(("127.0.0.1", port))
    client.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        client.send(wire.frame(payload) * count)
    return client


def longest_wait(broker, span_s):
    """The longest that new clients waited for an answer, who came one after the other for so long."""
    longest, end = 0, time.monotonic() + span_s
    while time.monotonic() < end:
        began = time.monotonic()
        need(wire.answers(broker.port, timeout_s=30), f"no answer within 30 s: {broker.tail()}")
        longest = max(longest, time.monotonic() - began)
        time.sleep(0.05)
    return longest


def stalled(folder, how):
    """Forty silent clients, each of which asks for metadata of 4,000 partitions as often as its socket takes it. What they hold is
    bounded; when it is all that there is they are closed, and nobody else waits for much longer than it takes to see that."""
    settings = {**how, "overrides": {"socket.request.max.bytes": 1 << 20}}
    with Limited(folder / "b", options=["--memory", f"{160 * how['shards']}m"], **settings) as broker:
        for number in range(4):
            wire.make_topic(broker.port, f"wide-{number}", 1000)
        allowed = int(re.search(r"(\d+) MiB for answers", broker.said())[1])
        ask = wire.metadata(None)
        with peak_mib(broker) as peak, contextlib.ExitStack() as stack:
            clients = [stack.enter_context(silent(broker.port, ask, 50)) for _ in range(40)]
            longest = longest_wait(broker, 8)
        need(len(clients) == 40 and longest < 5, f"others waited {longest:.1f} s")
        # Beside the answers themselves: the one that is being made.
        need(0 < peak[0] < allowed + 48, f"{peak[0]} MiB, and {allowed} MiB are for answers")
        return f"{peak[0]} MiB of {allowed} MiB for answers; others wait {longest * 1000:.0f} ms at most"


def greedy(folder, how):
    """Sixty clients that ask 300 times for metadata of 3,000 partitions, and read nothing."""
    with Limited(folder / "b", **how) as broker:
        for number in range(3):
            wire.make_topic(broker.port, f"wide-{number}", 1000)
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(silent(broker.port, wire.metadata(None), 300)) for _ in range(60)]
            longest = longest_wait(broker, 6)
        need(len(clients) == 60 and longest < 3, f"others waited {longest:.1f} s")
        return f"others wait {longest * 1000:.0f} ms at most"


def stalled_closed(folder, how):
    settings = {**how, "overrides": {"connections.max.idle.ms": 3000}}
    with Limited(folder / "b", **settings) as broker:
        wire.make_topic(broker.port, "wide", 1000)
        with silent(broker.port, wire.metadata(["wide"]), 2000) as client, wire.Connection(broker.port) as other:
            began = time.monotonic()
            while held_by(broker, client) and time.monotonic() - began < 20:
                other.ask(wire.metadata([]))
                time.sleep(0.2)
            took = time.monotonic() - began
            need(not held_by(broker, client), f"it is still there after {took:.1f} s")
            need(took >= 2, f"it was closed after {took:.1f} s")
            return f"closed after {took:.1f} s; one that reads lives on"


def held_by(broker, client):
    """Whether the broker's end of this connection is established."""
    port = client.getsockname()[1]
    entries = pathlib.Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]
    mine = [entry.split() for entry in entries]
    return any(one[1].endswith(f":{broker.port:04X}") and one[2].endswith(f":{port:04X}") and one[3] == "01" for one in mine)


def slow_frame(folder, how):
    settings = {**how, "overrides": {"connections.max.idle.ms": 2000}}
    with Limited(folder / "b", **settings) as broker:
        wire.make_topic(broker.port, "slow", 1)
        port = wire.leader_port(broker.port, "slow")
        with wire.Connection(port, timeout_s=20) as connection:
            data = wire.frame(wire.produce("slow", 0, wire.batch([b"x" * 900_000])))
            pieces = 12
            for at in range(pieces):
                connection.send(data[at * len(data) // pieces:(at + 1) * len(data) // pieces])
                time.sleep(0.6)
            need(wire.produce_error(connection.answer()) == (0, 0), "the batch was not taken")
        return "900 kB in 7 s under a limit of 2 s"


# Signals ---------------------------------------------------------------------------------------------------------


def hang_up(folder, how):
    # The tests themselves may run where it is ignored, and who is started there ignores it too.
    with Limited(folder / "b", before=["env", "--default-signal=HUP"], **how) as broker:
        need(broker.end(signal.SIGHUP) == 0, f"it ended with {broker.process.returncode}: {broker.tail()}")
        need((broker.log_dir / ".kafka_cleanshutdown").exists(), f"no clean stop: {list(broker.log_dir.iterdir())}")
    return "0, and a clean stop is noted"


def ignored_hang_up(folder, how):
    with Limited(folder / "b", before=["nohup"], **how) as broker:
        broker.process.send_signal(signal.SIGHUP)
        time.sleep(1)
        need(broker.alive() and wire.answers(broker.port), f"it stopped: {broker.tail()}")
        need(broker.stop() == 0, f"SIGTERM: it ended with {broker.process.returncode}")
    return "it serves on, and SIGTERM stops it"
