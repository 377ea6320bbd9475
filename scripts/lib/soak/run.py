"""One soak from start to end: topics, clients, trouble, and then what came of it, a line for each thing that must hold."""

import re
import sys
import time

from confluent_kafka import admin

from lib import brokers, checks_metrics, wire
from lib.report import Failed, Report, need
from lib.soak import gauge
from lib.soak.book import Again, Alarms, Partition
from lib.soak.clients import Group, LATE_S, Producer, Tail, read_again
from lib.soak.groups import GroupBook
from lib.soak.transactors import Transactor
from lib.soak.trouble import COORDINATORS, MIB, Trouble

OVERRIDES = {"log.initial.task.delay.ms": 0, "log.retention.check.interval.ms": 1_000, "log.cleaner.backoff.ms": 500,
             "log.cleaner.min.cleanable.ratio": 0.05, "offsets.topic.num.partitions": 4, "auto.create.topics.enable": "false",
             "log.segment.delete.delay.ms": 1_000, "transaction.state.log.num.partitions": 2,
             "transaction.state.log.segment.bytes": MIB}
# Name: (partitions, whether records have keys, settings).
TOPICS = {
    "kept": (4, False, {"retention.ms": -1, "segment.bytes": 16 * MIB}),
    "aged": (3, False, {"retention.ms": 40_000, "segment.bytes": 4 * MIB}),
    "sized": (3, False, {"retention.ms": -1, "retention.bytes": 32 * MIB, "segment.bytes": 4 * MIB}),
    "latest": (3, True, {"cleanup.policy": "compact", "segment.bytes": 2 * MIB}),
    "turned": (2, True, {"cleanup.policy": "compact", "retention.ms": -1, "segment.bytes": 2 * MIB}),
    "exact": (3, False, {"retention.ms": -1, "segment.bytes": 4 * MIB}),
}
# (idempotent, its topics, share of the rate, compression); what a log holds of `sized` is counted in bytes: not compressed.
PRODUCERS = [
    (True, ("kept", "aged"), 0.25, "lz4"), (False, ("kept", "aged"), 0.15, "none"),
    (True, ("sized",), 0.2, "none"), (False, ("sized",), 0.1, "none"),
    (True, ("latest", "turned"), 0.2, "zstd"), (False, ("latest", "turned"), 0.1, "none"),
]
# The topic of those who write in transactions, the share of each beside the others, and how many there are.
EXACT, EXACT_SHARE, TRANSACTORS = "exact", 0.04, 3
# Name: (topics, strategy, members).
GROUPS = {"eager": (["kept", "sized"], "range", 3), "cooperative": (["kept", "aged", "latest", EXACT], "cooperative-sticky", 3)}
ACT_EVERY_S = 2
TROUBLE = re.compile(r"panic|ERROR| FATAL", re.I)


class Soak:
    """What one run has."""

    def __init__(self, options, broker, say=print):
        self.options, self.broker = options, broker
        self.begun = time.monotonic()
        self.out = say
        self.alarm = Alarms(self.say)
        self.partitions = {(topic, number): Partition(topic, number, keyed, self.alarm, topic == EXACT)
                           for topic, (count, keyed, _) in TOPICS.items() for number in range(count)}
        self.books = [GroupBook(name, self.alarm) for name in GROUPS]
        self.gauge, self.kills, self.killed_at = gauge.Gauge(broker), 0, self.begun

    def say(self, text):
        self.out(f"{time.monotonic() - self.begun:7.1f} s  {text}")

    def of(self, topics):
        return [one for (topic, _), one in self.partitions.items() if topic in topics]

    def start(self):
        self.broker.start()
        for topic, (count, _, configs) in TOPICS.items():
            code = wire.make_topic(self.broker.port, topic, count, [(key, str(value)) for key, value in configs.items()])
            need(code == 0, f"{topic} is not made: error {code}")
            for one in self.of([topic]):
                wire.leader_port(self.broker.port, topic, one.number, create=False)
                one.retention_ms = configs["retention.ms"] if configs.get("retention.ms", -1) > 0 else None
                one.retention_bytes = configs.get("retention.bytes")
                one.may_double = self.options.kill_every is not None
        self.make_clients()
        for client in [self.tail, *self.producers, *self.transactors, *self.groups, self.gauge]:
            client.start()

    def make_clients(self):
        bootstrap, rate = self.broker.bootstrap, self.options.rate * 1e6
        self.producers = [Producer("once" if once else "plain", number, bootstrap, self.of(topics), rate * share, self.alarm, once,
                                   **{"compression.type": codec}) for number, (once, topics, share, codec) in enumerate(PRODUCERS)]
        self.transactors = [Transactor(len(PRODUCERS) + number, bootstrap, self.of([EXACT]), rate * EXACT_SHARE, self.alarm)
                            for number in range(TRANSACTORS)]
        self.tail = Tail(bootstrap, self.partitions, self.alarm)
        self.groups = [Group(bootstrap, book, *GROUPS[book.name], self.alarm) for book in self.books]
        moves = self.broker.kind == "ringlog" and self.broker.shards > 1
        self.trouble = Trouble(self.broker, self.partitions, self.books, self.producers, self.gauge, self.alarm, self.options.seed,
                               moves, self.say)

    def go(self):
        """Trouble until the time is over."""
        until, told = time.monotonic() + self.options.seconds, time.monotonic()
        while time.monotonic() < until:
            time.sleep(ACT_EVERY_S)
            self.trouble.next()
            self.trouble.look()
            for book in self.books:
                book.stalls(self.gauge.late_s)
            if self.options.kill_every and time.monotonic() > self.killed_at + self.options.kill_every:
                self.kill()
            if time.monotonic() > told + 60:
                told = time.monotonic()
                self.say(self.where())
            if not self.broker.alive():
                raise Failed(f"the broker ended: {self.broker.tail()}")

    def kill(self):
        self.broker.kill()
        begun = time.monotonic()
        self.broker.start()
        self.kills, self.killed_at = self.kills + 1, time.monotonic()
        for book in self.books:
            book.broker_came = self.killed_at
        self.say(f"killed; it answers after {time.monotonic() - begun:.2f} s")

    def where(self):
        told = gauge.status(self.broker.process.pid)
        return (f"{sum(one.acknowledged for one in self.producers)} records acknowledged, {self.tail.records} read; RSS "
                f"{told['VmRSS'] / MIB:.1f} MiB (anonymous {told['RssAnon'] / MIB:.1f}), "
                f"{gauge.descriptors(self.broker.process.pid)} descriptors; {self.gauge.held_up()}; "
                f"{sum(one.committed for one in self.transactors)} transactions; "
                + ", ".join(f"{one.book.name}: {one.made} members came, {one.book.rebalances} assignments" for one in self.groups))

    def drain(self):
        """Producers end, the tail and the groups come to the ends of the logs."""
        self.gauge.end()
        for one in self.producers + self.transactors:
            one.end()
        for one in self.producers + self.transactors:
            one.join(LATE_S + 10)
        for group in self.groups:
            group.settled.set()
        everything = list(self.partitions.values())
        self.ends = dict(zip(self.partitions, self.trouble.offsets(everything, admin.OffsetSpec.latest())))
        until = time.monotonic() + LATE_S
        while time.monotonic() < until and not (self.read_all() and not self.lagging()):
            time.sleep(0.5)
        self.trouble.look()
        self.left_behind = self.lagging()
        for group in self.groups:
            group.end()
        for group in self.groups:
            group.join(LATE_S)
        self.tail.end()
        self.tail.join(LATE_S)

    def read_all(self):
        return all(one.is_read(self.ends[place]) for place, one in self.partitions.items())

    def lagging(self):
        """{(group, partition): records}: what a group is behind."""
        behind = {}
        for book in self.books:
            told = self.trouble.committed(book.name)
            for place, one in self.partitions.items():
                if one.topic in GROUPS[book.name][0] and not one.has_holes and one.start < self.ends[place]:
                    if told.get(place, -1) < self.ends[place]:
                        behind[book.name, one.name] = self.ends[place] - told.get(place, -1)
        return behind

    # What must hold

    def ledger(self):
        """Every record stands once, in order, where it was acknowledged."""
        counts = [one.settle() for one in self.partitions.values()]
        said = self.alarm.of("content", "offset", "invented", "doubled", "out of order", "gap", "moved", "lost", "aborted", "refused",
                             "unanswered", "client")
        need(not said, said)
        sent = sum(one.asked for one in self.producers)
        need(sent == sum(one.acknowledged for one in self.producers), f"{sent} were sent, and fewer acknowledged")
        doubles = sum(one.doubles for one in self.partitions.values())
        doubled = f", {doubles} doubled by producers that are not idempotent" if self.kills else ""
        return (f"{sum(count for count, _ in counts)} acknowledged ({sum(one.acknowledged_bytes for one in self.producers) / 1e6:.0f} "
                f"MB), {sum(gone for _, gone in counts)} of them gone by a rule{doubled}")

    def transactions(self):
        """They went on, and those that were given up were given up by who wrote them. What is in them stands in the ledger."""
        told = "; ".join(one.tally() for one in self.transactors)
        need(all(one.committed and one.aborted for one in self.transactors), told)
        need(self.kills or not any(one.forced for one in self.transactors), told)
        moved = ", ".join(f"{topic} {self.trouble.moved[topic]}" for topic in COORDINATORS)
        return f"{told}; moves: {moved}"

    def again(self):
        """All that is left, read once more."""
        everything = list(self.partitions.values())
        starts = self.trouble.offsets(everything, admin.OffsetSpec.earliest())
        agains = {place: Again(one, start, self.ends[place]) for (place, one), start in zip(self.partitions.items(), starts)}
        for topic, number in read_again(self.broker.bootstrap, agains):
            self.alarm("unanswered", f"the end of {topic}-{number} is not read within {LATE_S} s")
        self.trouble.look()
        count = sum(one.settle(one.of.start) for one in agains.values())
        said = self.alarm.of("content", "offset", "moved", "gap", "newest", "aborted", "start", "unanswered")
        need(not said, said)
        return f"{count} records; of each key the newest"

    def starts(self):
        sizes = self.trouble.sizes()
        said = self.alarm.of("start", "size")
        need(not said, said)
        shown = ", ".join(f"{one.name} {one.start}" for one in self.partitions.values() if one.start)
        return f"{self.trouble.looks} looks; {shown}; sized holds {'/'.join(f'{size / MIB:.1f}' for size in sizes)} MiB"

    def consumed(self):
        out = {book.name: book.settle(self.partitions) for book in self.books}
        said = self.alarm.of("two owners", "goes back", "commit", "group gap", "stalled")
        need(not said, said)
        need(not self.left_behind, f"behind after {LATE_S} s: {self.left_behind}")
        told = [f"{group.book.name}: {group.made} members came, {group.left} left, {group.book.rebalances} assignments, "
                f"{group.book.reread} records twice, {out[group.book.name]} left out by rules" for group in self.groups]
        return "; ".join(told)

    def acts(self):
        said = self.alarm.of("act")
        need(not said, said)
        missing = [name for name, count in self.trouble.done.items() if not count and self.options.seconds >= 60]
        need(not missing, f"never done: {missing}")
        return ", ".join(f"{name} {count}" for name, count in self.trouble.done.items())

    def flat(self, what):
        """The longest life."""
        life = max(self.gauge.lives, key=lambda it: len(it.samples))
        if not life.judged():
            return f"not judged: two minutes of one life are needed; RSS {life.samples[-1][1] / MIB:.1f} MiB"
        holds, words = what(life)
        need(holds or self.broker.kind != "ringlog", words)
        return words if holds else f"{words} (a JVM's heap grows as it likes: told, not judged)"

    def page(self):
        """The broker's own metrics: nothing is offline, nothing is left under way, no part takes more than its budget."""
        address = re.findall(r"metrics http://(\S+)/metrics", self.broker.output.read_text())[-1]
        until = time.monotonic() + 30
        while left := self.wrong(checks_metrics.page(address)):
            need(time.monotonic() < until, "; ".join(left))
            time.sleep(0.5)
        samples = checks_metrics.page(address)
        stall = max(number for (name, _), number in samples.items() if name == "ringlog_shard_stall_seconds")
        return f"{len(samples)} samples; the worst step of late took {stall * 1000:.0f} ms"

    def wrong(self, samples):
        found = []
        for (name, labels), number in samples.items():
            of = dict(labels)
            if name in ("kafka_controller_kafkacontroller_offlinepartitionscount", "kafka_log_logmanager_offlinelogdirectorycount",
                        "kafka_server_replicamanager_offlinereplicacount") and number:
                found.append(f"{name} is {number:.0f}")
            if name == "ringlog_memory_used_bytes" and number > samples["ringlog_memory_budget_bytes", labels]:
                found.append(f"{of} takes {number:.0f} bytes, and may take {samples['ringlog_memory_budget_bytes', labels]:.0f}")
            if name == "ringlog_under_way" and of["what"] in ("produces", "calls", "deletions") and number:
                found.append(f"{number:.0f} {of['what']} are under way, and nobody asks")
        return found

    def ends_well(self):
        code = self.broker.stop()
        need(code in (0, 143), f"it ended with {code}: {self.broker.tail()}")
        wrong = [line for line in self.broker.output.read_text(errors="replace").splitlines() if TROUBLE.search(line)]
        need(not wrong or self.broker.kind != "ringlog", f"{len(wrong)} lines, first: {wrong[:1]}")
        return f"killed {self.kills} times" if self.kills else ""


def run(options, how, say=print, out=sys.stdout):
    """A soak with a report; its exit code."""
    report = Report(out=out)
    with brokers.scratch("ringlog-soak-") as folder:
        overrides = dict(OVERRIDES)
        if options.target == "ringlog":
            overrides |= {"ringlog.metrics.listen": "0"} | ({"ringlog.memory": options.memory} if options.memory else {})
        broker = brokers.new(options.target, folder / "broker", overrides=overrides, **how)
        soak = Soak(options, broker, say)
        soak.say(f"{options.target} for {options.seconds:g} s, --seed {options.seed}")
        try:
            soak.start()
            report.check("the broker lives", soak.go)
            if broker.alive():
                soak.drain()
                judge(soak, report)
        finally:
            soak.gauge.end()
            broker.kill()
    return report.close()


def judge(soak, report):
    report.check("each record stands once, in order, where it was acknowledged", soak.ledger)
    report.check("transactions go on, and end as they were told to", soak.transactions)
    report.check("logs begin where rules let them", soak.starts)
    report.check("what is read again is the same", soak.again)
    report.check("groups are given all, once each, and commits never go back", soak.consumed)
    report.check("what was asked of the broker was done", soak.acts)
    report.check("memory is flat", soak.flat, gauge.memory)
    report.check("descriptors are flat", soak.flat, gauge.files)
    if soak.broker.kind == "ringlog":
        report.check("its metrics say that all is well", soak.page)
    report.check("it ends well", soak.ends_well)
