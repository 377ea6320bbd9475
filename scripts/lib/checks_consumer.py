"""Our consumer as the Java consumer, on a real Apache Kafka: groups with Java members, transactions, seeks, patterns.

The consumer runs as `real_*` tests of the harness (harness/src/client/real_tests.rs), which print what they read and
what the group told them; what is due comes from what was written: every record once, and in the order of its partition.
lib/consumer_selftest.py plants faults into all of this.
"""

import collections
import functools
import os
import re
import subprocess
import threading
import time

from lib import peers, readers, wire
from lib.report import need

STRATEGIES = {
    "range": "RangeAssignor", "roundrobin": "RoundRobinAssignor", "sticky": "StickyAssignor",
    "cooperative-sticky": "CooperativeStickyAssignor",
}
PARTITIONS = 6
#: How long something that should come is waited for.
PATIENCE_S = 30


def alone(report, broker, label):
    def check(name, function, *arguments):
        report.check(f"{label} consumer {name}", function, broker, *arguments)

    check("seeks, positions and questions about offsets", test, "real_seeks_positions_and_questions_about_offsets")
    check("heartbeats go on between polls", test, "real_heartbeats_go_on_while_the_caller_works_and_calls_keep_alive")
    check("read_committed passes over aborted transactions", committed_only)
    check("a group goes on where another client of it stopped", handover)
    check("a static member keeps its partitions over a restart", static_member)
    check("a pattern picks up topics and partitions that come later", pattern)
    check("a broker that dies and comes back", broker_restarts)
    if broker.version.startswith("4."):
        check("consumer protocol with a pattern that the broker matches", remote_pattern)
    else:
        check("a broker without the consumer protocol is named", no_protocol)


def with_others(report, broker, label):
    def check(name, *arguments):
        report.check(f"{label} consumer {name}", with_java, broker, *arguments)

    # Members agree among themselves and the broker only carries it: on the older line one strategy is enough.
    for strategy in STRATEGIES if broker.version == peers.DEFAULT else ["cooperative-sticky"]:
        for ours_first in (True, False):
            check(f"{strategy} with a Java member, {'ours' if ours_first else 'Java'} leads",
                  f"partition.assignment.strategy={strategy}", java_strategy(strategy), ours_first)
    if broker.version.startswith("4."):
        for assignor in ("uniform", "range"):
            check(f"consumer protocol, {assignor}, with a Java member",
                  f"group.protocol=consumer group.remote.assignor={assignor}", ("group.protocol=consumer",), True)


#: What can run side by side, on brokers of their own.
HALVES = {"alone": alone, "with Java members": with_others}


def java_strategy(strategy):
    return (f"partition.assignment.strategy=org.apache.kafka.clients.consumer.{STRATEGIES[strategy]}",)


# Our consumer -------------------------------------------------------------------------------------------------------


@functools.cache
def binary():
    """The harness's unit tests, built."""
    out = subprocess.run(["cargo", "test", "--locked", "-p", "ringlog-harness", "--lib", "--no-run"], cwd=peers.REPO,
                         capture_output=True, text=True)
    need(out.returncode == 0, out.stderr[-800:])
    return re.search(r"Executable .*\((.*)\)", out.stderr).group(1)


def command(name):
    path = os.environ.get("RINGLOG_TEST_BINARY") or binary()
    return [path, f"client::real_tests::{name}", "--exact", "--ignored", "--nocapture"]


def test(broker, name):
    done = subprocess.run(command(name), env={**os.environ, "RINGLOG_TEST_BOOTSTRAP": broker.bootstrap},
                          capture_output=True, text=True, timeout=90)
    need(done.returncode == 0 and "1 passed" in done.stdout, done.stdout[-600:] + done.stderr[-900:])
    return "as asserted"


class Ours:
    """Our consumer, reading for so many seconds in the background."""

    #: Planted by the self-test: what becomes of the settings, and what becomes of each line (made anew for each reader).
    change_settings = staticmethod(lambda settings: settings)
    change_lines = staticmethod(lambda _reader: lambda line: [line])

    def __init__(self, broker, topics, seconds, settings, **more):
        env = {**os.environ, "RINGLOG_TEST_BOOTSTRAP": broker.bootstrap,
               "RINGLOG_TEST_SETTINGS": self.change_settings(settings), "RINGLOG_TEST_SECONDS": str(seconds),
               "RINGLOG_TEST_TOPICS": topics, **more}
        self.lines = []
        self.change = self.change_lines(self)
        self.process = subprocess.Popen(command("real_reader"), env=env, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, text=True)
        threading.Thread(target=self.drain, daemon=True).start()

    def drain(self):
        for line in self.process.stdout:
            self.lines += self.change(line.strip())

    def records(self):
        """(partition, offset, value) of each record, as they came."""
        words = (line.split(" ", 4) for line in list(self.lines) if line.startswith("RECORD "))
        return [(f"{topic}-{partition}", int(offset), value) for _, topic, partition, offset, value in words]

    def values(self):
        return [value for _, _, value in self.records()]

    def owned(self):
        told = [line for line in list(self.lines) if " OWNS [" in line]
        return set(filter(None, told[-1].rsplit("[", 1)[1].rstrip("]").split(","))) if told else set()

    def said(self, text):
        return [line for line in list(self.lines) if text in line]

    def wait(self, limit_s=60):
        self.process.wait(limit_s)
        time.sleep(0.2)
        return self

    def kill(self):
        self.process.kill()
        self.process.wait()


class Java:
    """A console consumer that runs until it is ended."""

    def __init__(self, broker, topic, group, properties):
        main = peers.tool_class("kafka-console-consumer", broker.version)
        option = "--consumer-property" if broker.version.startswith("3.") else "--command-property"
        properties = [word for pair in properties for word in (option, pair)]
        self.lines = []
        self.process = subprocess.Popen(
            [peers.java(), *peers.LIGHT_JVM, "-cp", peers.class_path(broker.version), main, "--bootstrap-server",
             broker.bootstrap, "--topic", topic, "--group", group, "--from-beginning", *properties],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        threading.Thread(target=self.drain, daemon=True).start()

    def drain(self):
        for line in self.process.stdout:
            self.lines.append(line.strip())

    def values(self):
        return list(self.lines)

    def end(self):
        self.process.terminate()
        self.process.wait(20)


def make(broker, topic, partitions=PARTITIONS):
    need(wire.make_topic(broker.port, topic, partitions, ()) == 0, f"CreateTopics {topic}")
    for partition in range(partitions):
        wire.leader_port(broker.port, topic, partition)


def write(broker, topic, values, partitions=PARTITIONS):
    for partition in range(partitions):
        mine = "\n".join(values[partition::partitions]) + "\n"
        if mine.strip():
            readers.client([peers.kcat(), "-P", "-b", broker.bootstrap, "-t", topic, "-p", partition], mine.encode())


def until(condition, text, limit_s=None):
    limit_s = limit_s or PATIENCE_S
    end = time.monotonic() + limit_s
    while not condition():
        need(time.monotonic() < end, f"{text() if callable(text) else text} within {limit_s} s")
        time.sleep(0.1)


def exactly(sent, got):
    """Every value once."""
    wrong = {"missing": sorted(set(sent) - set(got)), "foreign": sorted(set(got) - set(sent)),
             "double": sorted(value for value, count in collections.Counter(got).items() if count > 1)}
    need(not any(wrong.values()), ", ".join(f"{len(values)} {word}: {values[:5]}" for word, values in wrong.items() if values))
    return f"{len(got)} records"


def in_order(written, records, partitions=PARTITIONS):
    """What a reader read of a partition has rising offsets and is in the order in which it was written there."""
    places = [{value: at for at, value in enumerate(written[n::partitions])} for n in range(partitions)]
    last = {}
    for partition, offset, value in records:
        place = places[int(partition.rsplit("-", 1)[1])].get(value)
        need(place is not None, f"{value} was read from {partition}, where it was not written")
        before = last.get(partition, (-1, -1))
        need(offset > before[0] and place > before[1], f"{partition}: {value} at {offset} came after {before}")
        last[partition] = offset, place


# Checks -------------------------------------------------------------------------------------------------------------


def with_java(broker, settings, properties, ours_first, word="mixed"):
    """A Java member and ours share a topic, whoever leads, and nothing is lost or doubled when one joins and goes."""
    topic = f"{word}-{re.sub(r'[^a-z]+', '-', settings.lower())}-{'o' if ours_first else 'j'}"
    group = f"g-{topic}"
    make(broker, topic)
    ours, java = None, None
    try:
        if ours_first:
            ours = Ours(broker, topic, 45, f"group.id={group} {settings}")
            until(lambda: len(ours.owned()) == PARTITIONS, lambda: f"ours owns {ours.owned()}, says {ours.lines[-3:]}")
        java = Java(broker, topic, group, properties)
        if not ours_first:
            write(broker, topic, [f"first-{n}" for n in range(12)])
            until(lambda: len(java.values()) == 12, "the Java member alone does not read")
            ours = Ours(broker, topic, 45, f"group.id={group} {settings}")
        first = [] if ours_first else [f"first-{n}" for n in range(12)]
        until(lambda: len(ours.owned()) == PARTITIONS // 2, lambda: f"ours owns {ours.owned()}, says {ours.lines[-3:]}")
        time.sleep(6 if "protocol=consumer" in settings else 1)
        sent = [f"v-{n}" for n in range(600)]
        write(broker, topic, sent)
        read = lambda: ours.values() + java.values()  # noqa: E731
        until(lambda: set(read()) >= set(sent + first), lambda: f"{len(read())} of {len(sent + first)} records")
        need(len([v for v in ours.values() if v in set(sent)]) == 300, "ours does not read half of the partitions")
        java.end()
        until(lambda: len(ours.owned()) == PARTITIONS, lambda: f"after Java left ours owns {ours.owned()}")
        more = [f"w-{n}" for n in range(60)]
        write(broker, topic, more)
        until(lambda: set(ours.values()) >= set(more), "ours does not read what Java's partitions got")
        in_order(first + sent + more, ours.records())
        return exactly(sent + first + more, read())
    finally:
        for member in (ours, java):
            if member:
                member.process.kill()
                member.process.wait()


def committed_only(broker, topic="transactions"):
    """Aborted transactions and the open one are passed over under read_committed, and only there."""
    make(broker, topic, 3)
    script = str(peers.HERE / "transactions_writer.py")
    done = subprocess.run([str(peers.librdkafka_python()), script, broker.bootstrap, topic], capture_output=True,
                          text=True, timeout=120)
    need(done.returncode == 0, done.stderr[-600:])
    return read_transactions(broker, topic, done.stdout)


def read_transactions(broker, topic, said):
    """Both levels read what the writer said."""
    transactions = [line.split() for line in said.splitlines()]
    committed = [value for words in transactions if words[0] == "COMMITTED" for value in words[1:]]
    need(len(committed) == 90, f"{len(committed)} committed")
    group = f"{topic}-{time.monotonic_ns()}"
    strict = Ours(broker, topic, 6, f"group.id=g-strict-{group} isolation.level=read_committed")
    loose = Ours(broker, topic, 6, f"group.id=g-loose-{group} isolation.level=read_uncommitted")
    strict.wait(), loose.wait()
    exactly(committed, strict.values())
    for n in range(3):
        mine = [record for record in strict.records() if record[0] == f"{topic}-{n}"]
        in_order([value for value in committed if int(value.split("-")[1]) % 3 == n], [(f"{topic}-0", *it[1:]) for it in mine], 1)
    need(len(loose.values()) == 130, f"{len(loose.values())} of 130 records under read_uncommitted")
    return "90 committed, 130 in all"


def handover(broker, topic="handover", between=lambda _group: None):
    """Ours, librdkafka and ours again, one after the other in one group: each goes on where the one before stopped.
    `between` is called with the group where nobody is in it (the self-test moves its offsets)."""
    make(broker, topic, 3)
    group, parts = f"g-{topic}", [[f"{part}-{n:04}" for n in range(120)] for part in "abc"]

    def ours(part):
        reader = Ours(broker, topic, 4, f"group.id={group}").wait()
        need(reader.said("CLOSED"), f"it ended with {reader.lines[-3:]}")
        exactly(part, reader.values())
        in_order(part, reader.records(), 3)

    write(broker, topic, parts[0], 3)
    ours(parts[0])
    write(broker, topic, parts[1], 3)
    exactly(parts[1], [record.value.decode() for record in readers.librdkafka_group(broker, topic, group, 120)])
    write(broker, topic, parts[2], 3)
    between(group)
    ours(parts[2])
    return "120 records each, in turn"


def static_member(broker, topic="static"):
    """A restart within the session changes nothing for the other member; a second one with the id ends the first."""
    make(broker, topic)
    settings = f"group.id=g-{topic} session.timeout.ms=20000 group.instance.id="
    other = Ours(broker, topic, 40, settings + "b")
    first = Ours(broker, topic, 12, settings + "a")
    try:
        until(lambda: len(first.owned()) == 3 and len(other.owned()) == 3, "the two do not share")
        owned, told = first.owned(), len(other.said("OWNS"))
        first.wait()
        need(first.said("CLOSED"), f"the first run ended with {first.lines[-3:]}")
        again = Ours(broker, topic, 15, settings + "a")
        until(lambda: again.owned() == owned, lambda: f"{again.owned()} where it was {owned}")
        need(len(other.said("OWNS")) == told, f"the other member was disturbed: {other.said('OWNS')}")
        second = Ours(broker, topic, 10, settings + "a")
        until(lambda: again.said("FENCED_INSTANCE_ID"), lambda: f"the older one says {again.lines[-3:]}")
        second.kill()
        return f"kept {sorted(owned)}; the older twin: {again.said('ERROR')[0][:90]}"
    finally:
        other.kill()


def pattern(broker, word="pat"):
    one, two = f"{word}-one", f"{word}-two"
    make(broker, one, 2)
    make(broker, f"un{word}", 1)
    ours = Ours(broker, "", 40, f"group.id=g-{word} metadata.max.age.ms=1000", RINGLOG_TEST_PATTERN=f"{word}-.*")
    try:
        until(lambda: ours.owned() == {f"{one}-0", f"{one}-1"}, lambda: f"owns {ours.owned()}, says {ours.lines[-3:]}")
        make(broker, two, 1)
        until(lambda: f"{two}-0" in ours.owned(), lambda: f"a new topic is not read: {ours.owned()}")
        grow(broker, one, 4)
        until(lambda: len(ours.owned()) == 5, lambda: f"new partitions are not read: {ours.owned()}")
        write(broker, one, [f"p-{n}" for n in range(40)], 4)
        until(lambda: len(ours.values()) == 40, lambda: f"{len(ours.values())} of 40 records")
        tool(broker, "kafka-topics", "--delete", "--topic", two)
        until(lambda: len(ours.owned()) == 4, lambda: f"a deleted topic is kept: {ours.owned()}")
        in_order([f"p-{n}" for n in range(40)], ours.records(), 4)
        return exactly([f"p-{n}" for n in range(40)], ours.values())
    finally:
        ours.kill()


def remote_pattern(broker):
    make(broker, "rem-one", 2)
    ours = Ours(broker, "", 40, "group.id=g-remote group.protocol=consumer metadata.max.age.ms=1000",
                RINGLOG_TEST_REMOTE_PATTERN="rem-.*")
    try:
        until(lambda: ours.owned() == {"rem-one-0", "rem-one-1"}, lambda: f"owns {ours.owned()}, says {ours.lines[-3:]}")
        write(broker, "rem-one", [f"r-{n}" for n in range(20)], 2)
        until(lambda: len(ours.values()) == 20, lambda: f"{len(ours.values())} of 20 records")
        return exactly([f"r-{n}" for n in range(20)], ours.values())
    finally:
        ours.kill()


def broker_restarts(broker, topic="restart"):
    """kill -9 and a new start under the same folder: the consumer goes on, without a loss and without a double."""
    make(broker, topic)
    sent = [f"a-{n}" for n in range(120)]
    write(broker, topic, sent)
    ours = Ours(broker, topic, 90, f"group.id=g-{topic} auto.commit.interval.ms=200 session.timeout.ms=45000")
    try:
        until(lambda: set(ours.values()) >= set(sent), lambda: f"{len(ours.values())} records, says {ours.lines[-3:]}")
        time.sleep(1)
        broker.kill()
        time.sleep(2)
        broker.start()
        more = [f"b-{n}" for n in range(120)]
        write(broker, topic, more)
        until(lambda: set(ours.values()) >= set(more), lambda: f"{len(ours.values())} records, says {ours.lines[-3:]}", 60)
        in_order(sent + more, ours.records())
        return exactly(sent + more, ours.values())
    finally:
        ours.kill()


def no_protocol(broker):
    make(broker, "modern", 1)
    ours = Ours(broker, "modern", 15, "group.id=g-modern group.protocol=consumer").wait()
    need(ours.said("The cluster does not support the new CONSUMER group protocol."), f"says {ours.lines[-3:]}")
    return ours.said("ERROR")[0][:120]


def tool(broker, name, *arguments):
    """One of Kafka's tools; what it says."""
    main = peers.tool_class(name, broker.version)
    done = subprocess.run([peers.java(), *peers.LIGHT_JVM, "-cp", peers.class_path(broker.version), main,
                           "--bootstrap-server", broker.bootstrap, *map(str, arguments)], capture_output=True, text=True)
    need(done.returncode == 0, f"{name}: {done.stdout[-300:]} {done.stderr[-300:]}")
    return done.stdout


def grow(broker, topic, partitions):
    tool(broker, "kafka-topics", "--alter", "--topic", topic, "--partitions", partitions)
