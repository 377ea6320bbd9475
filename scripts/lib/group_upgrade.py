"""A group whose members change from the classic protocol to the consumer protocol one by one, and back, while a producer writes, and
the broker is killed (kill -9) and started again in the middle of it, so many times.

    classic classic --a member comes, one goes--> both --...--> consumer consumer --...--> both --...--> classic classic
          4 partitions, shared out at each rest; what is written is read and committed all the time

Every value is read, and the group goes on where it was: without a kill each is read once.
"""

import queue
import subprocess
import threading

from lib import brokers, peers, wire
from lib.report import need

#: Members of the consumer protocol are told quickly: the default is every 5 s.
SETTINGS = {"group.consumer.heartbeat.interval.ms": 500, "group.consumer.min.heartbeat.interval.ms": 500}
STRATEGIES = {
    "range": "org.apache.kafka.clients.consumer.RangeAssignor",
    "cooperative": "org.apache.kafka.clients.consumer.CooperativeStickyAssignor",
}
PARTITIONS = 4
#: From one rest to the next, a restart of the broker included.
LIMIT_S = 90


class Program:
    """GroupUpgrade.java, line by line."""

    def __init__(self, broker, topic, strategy, members):
        command = [peers.java(), *peers.LIGHT_JVM, "-cp", peers.group_upgrade(), "ringlog.GroupUpgrade", broker.bootstrap, topic,
                   str(PARTITIONS), STRATEGIES[strategy], str(members)]
        self.lines = queue.Queue()
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                                        preexec_fn=brokers.die_with_parent)
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        for line in self.process.stdout:
            self.lines.put(line.split())
        self.lines.put(["FAILED", "ended"])

    def next(self, word):
        """The rest of its next line, which must begin with this word."""
        try:
            line = self.lines.get(timeout=LIMIT_S)
        except queue.Empty:
            line = ["nothing", "for", LIMIT_S, "s"]
        need(line[0] == word, f"{word} was due, it says: {' '.join(map(str, line))}")
        return line[1:]

    def kill(self):
        self.process.kill()
        self.process.wait()


def stages_due(members):
    """(of the classic protocol, of the consumer protocol) at each rest: one comes, one goes, there and back."""
    stages = [(members, 0)]
    for back in (False, True):
        for left in range(members, 0, -1):
            been = members - left
            stages += [pair[::-1] if back else pair for pair in ((left, been + 1), (left - 1, been + 1))]
    return stages


def changed(target, strategy, kills=0, members=2, **how):
    """The group changes its protocol and back on a broker of one kind that is killed so many times, evenly spread."""
    with brokers.scratch("ringlog-group-upgrade-") as folder:
        broker = brokers.new(target, folder / "broker", overrides=SETTINGS, **how)
        broker.start()
        program = None
        try:
            topic = f"upgrade-{strategy}"
            need(wire.make_topic(broker.port, topic, PARTITIONS) == 0, f"{topic} is not created")
            program = Program(broker, topic, strategy, members)
            follow(broker, program, stages_due(members), kills)
            return compare(*map(int, program.next("END")), kills)
        finally:
            if program:
                program.kill()
            broker.kill()


def follow(broker, program, stages, kills):
    """Each rest is what is due; after some of them the broker dies."""
    deadly = {len(stages) * (kill + 1) // (kills + 1) for kill in range(kills)}
    for number, (classic, consumer) in enumerate(stages):
        said = program.next("STAGE")
        due = [str(classic), str(consumer), "Consumer" if consumer else "Classic"]
        need(said == due, f"rest {number}: {said} where {due} is due")
        if number in deadly:
            broker.kill()
            broker.start()


def compare(wrote, read, twice, committed, kills):
    need(wrote > 0 and read == wrote, f"{wrote} written, {read} read")
    need(committed == wrote, f"{wrote} written, {committed} committed")
    need(kills or not twice, f"{twice} of {wrote} were read twice")
    return f"{wrote} records over {kills} kills, {twice} read twice"


def run(report, target, label, shards=None, **how):
    """On one shard one of the assignors: what differs there is only where the members' coordinator is."""
    how |= {"shards": shards} if shards else {}
    for strategy in ["range"] if shards == 1 else STRATEGIES:
        report.check(f"{label} group of the {strategy} assignor changes its protocol", changed, target, strategy, **how)
