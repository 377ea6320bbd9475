"""Plants faults into what lib/checks_consumer.py and lib/checks_moves.py look at, and demands that each is caught.

    our consumer --line--> [changed here] --> check          a reader that loses, doubles, reorders, a member that lies
    settings --> [changed here] --> our consumer             a member that is in another group, is not static, looks rarely
    broker --answer--> [spoiled by lib/proxy.py] --> our consumer
    what the group committed --> [moved by kafka-consumer-groups] --> who comes next
"""

import contextlib
import threading

from functools import partial

from lib import brokers, checks_consumer, checks_moves, proxy, wire
from lib.checks_consumer import Ours
from lib.lanes import Part
from lib.report import Failed, need

PATIENCE_S = 12
#: Long enough for a Java member to have joined.
JAVA_JOINS_S = 6
RANGE = ("partition.assignment.strategy=range", checks_consumer.java_strategy("range"), True)


def parts():
    """Side by side (lib/lanes.py), each on a broker of its own."""
    for name, takes_s, function in (("lines", 40, in_lines), ("groups with Java members", 35, in_groups_with_java),
                                    ("groups", 70, in_groups), ("answers", 35, in_answers)):
        yield Part(f"planted consumer: {name}", takes_s, partial(on_a_broker, function=function))
    yield Part("planted consumer: records", 1, in_records)


def on_a_broker(report, function):
    if not report.wants_any("planted consumer"):
        return
    patience, checks_consumer.PATIENCE_S = checks_consumer.PATIENCE_S, PATIENCE_S
    port = brokers.free_ports(4)
    try:
        with brokers.scratch() as folder, proxy.Proxy(port + 3, port) as between:
            with brokers.Kafka(folder / "broker", port, advertised_port=port + 3) as broker:
                function(report, broker, between)
    finally:
        checks_consumer.PATIENCE_S = patience


def caught(report, name, check, *arguments, says="", **changes):
    """The planted fault is caught when the check fails, and fails with this word."""
    def must_fail():
        try:
            with planted(**changes):
                detail = check(*arguments)
        except Failed as error:
            need(says in str(error), f"caught, but not as {says}: {error}")
            return f"caught: {error}"
        raise Failed(f"not caught: the check says {detail}")
    report.check(f"planted consumer: {name}", must_fail)


@contextlib.contextmanager
def planted(lines=None, settings=None):
    before = Ours.change_lines, Ours.change_settings
    if lines:
        Ours.change_lines = staticmethod(lines)
    if settings:
        Ours.change_settings = staticmethod(settings)
    try:
        yield
    finally:
        Ours.change_lines, Ours.change_settings = (staticmethod(one) for one in before)


# Readers ------------------------------------------------------------------------------------------------------------


def on_record(number, change):
    """Changes the record of that number (from 0) that a reader prints."""
    def for_reader(_reader):
        seen = 0

        def lines(line):
            nonlocal seen
            if not line.startswith("RECORD "):
                return [line]
            seen += 1
            return change(line) if seen == number + 1 else [line]
        return lines
    return for_reader


def swaps(contents_only):
    """Gives the second record of a partition before the first; or only their contents."""
    def for_reader(_reader):
        held = {}

        def lines(line):
            if not line.startswith("RECORD "):
                return [line]
            _, topic, partition, offset, value = line.split(" ", 4)
            if partition not in held:
                held[partition] = line
                return []
            first, held[partition] = held[partition], ""
            if not first:
                return [line]
            if contents_only:
                head, first_value = first.rsplit(" ", 1)
                return [f"{head} {value}", f"RECORD {topic} {partition} {offset} {first_value}"]
            return [line, first]
        return lines
    return for_reader


def other_partition(line):
    _, topic, partition, offset, value = line.split(" ", 4)
    return [f"RECORD {topic} {(int(partition) + 1) % 3} {offset} {value}"]


READERS = {
    "a reader that loses a record": (on_record(7, lambda line: []), "missing"),
    "a reader that doubles a record": (on_record(7, lambda line: [line, line]), "double"),
    "a reader that invents a record": (on_record(7, lambda line: [line, line + "0"]), "foreign"),
    "a reader that swaps two records": (swaps(contents_only=False), "came after"),
    "a reader that swaps two contents": (swaps(contents_only=True), "came after"),
    "a reader that moves a record to another partition": (on_record(7, other_partition), "was not written"),
}


def in_lines(report, broker, _between):
    report.check("planted consumer: nothing, in turn in one group", checks_consumer.handover, broker, "nothing")
    for at, (name, (lines, says)) in enumerate(READERS.items()):
        caught(report, name, checks_consumer.handover, broker, f"reader-{at}", lines=lines, says=says)


# Groups -------------------------------------------------------------------------------------------------------------


def keeps_its_partitions(reader):
    """Says that half of its partitions were taken from it, and reads on from all of them."""
    def lie():
        half = ",".join(sorted(reader.owned())[:checks_consumer.PARTITIONS // 2])
        reader.lines.append(f"REVOKED [] OWNS [{half}]")
    told = []

    def lines(line):
        if line.startswith("ASSIGNED ") and not told:
            told.append(line)
            threading.Timer(JAVA_JOINS_S, lie).start()
        return [line]
    return lines


def alone(settings):
    return settings.replace("group.id=", "group.id=alone-")


def in_groups_with_java(report, broker, _between):
    report.check("planted consumer: nothing, with a Java member", checks_consumer.with_java, broker, *RANGE, "nothing")
    caught(report, "a member that ignores a revocation", checks_consumer.with_java, broker, *RANGE, "ignores",
           lines=keeps_its_partitions, settings=alone, says="does not read half")
    caught(report, "a member that is in another group", checks_consumer.with_java, broker, *RANGE, "alone",
           settings=alone, says="ours owns")


def in_groups(report, broker, _between):
    for far, by, says in (("far", 1, "missing"), ("early", -1, "foreign")):
        def move(group, by=by):
            checks_consumer.tool(broker, "kafka-consumer-groups", "--group", group, "--all-topics", "--reset-offsets",
                                 "--shift-by", by, "--execute")
        caught(report, f"offsets committed one too {far}", checks_consumer.handover, broker, f"one-too-{far}", move,
               says=says)
    caught(report, "a member without its instance id", checks_consumer.static_member, broker, "not-static",
           settings=lambda settings: settings.replace("group.instance.id=a", ""), says="was disturbed")
    caught(report, "a reader that looks for topics rarely", checks_consumer.pattern, broker, "rarely",
           settings=lambda settings: settings.replace("metadata.max.age.ms=1000", ""), says="a new topic is not read")
    caught(report, "a broker that has the consumer protocol", checks_consumer.no_protocol, broker, says="says")


# Answers ------------------------------------------------------------------------------------------------------------


def in_answers(report, broker, between):
    """What a broker spoils on its way: our consumer has to hand it on, and the check to see it."""
    faults = {
        "two contents swapped on the way": (proxy.on_batches(proxy.swap), "came after"),
        "a content doubled on the way": (proxy.on_batches(proxy.double), "missing"),
        "a batch hidden on the way": (proxy.on_batches(proxy.drop), "missing"),
        "a content changed on the way": (proxy.on_batches(proxy.flip_value), "missing"),
    }
    for at, (name, (fault, says)) in enumerate(faults.items()):
        caught(report, name, spoiled, between, fault, checks_consumer.handover, broker, f"answer-{at}", says=says)
    caught(report, "offsets answered one too high", spoiled, between,
           (wire.LIST_OFFSETS, proxy.list_offsets_off_by_one), checks_consumer.test, broker,
           "real_seeks_positions_and_questions_about_offsets")


def spoiled(between, fault, check, *arguments):
    """A fault that spoiled nothing proves nothing."""
    between.fault, between.spoiled = fault, 0
    try:
        return check(*arguments)
    except Failed as error:
        if not between.spoiled:
            raise RuntimeError(f"nothing was spoiled, and yet: {error}") from error
        raise
    finally:
        between.fault = None


# Leaders that move --------------------------------------------------------------------------------------------------


def in_records(report):
    """What the check of leaders that move compares."""
    count = 300
    got = [(f"t-{n % 3}", n // 3, str(n)) for n in range(count)]
    report.check("planted consumer: nothing, leaders that move", checks_moves.whole, got, count)
    for name, records, says in (
            ("loses a record", got[:7] + got[8:], "missing"),
            ("loses the last record", got[:-1], "missing"),
            ("doubles a record", got[:8] + got[7:], "double"),
            ("begins again after the leader died", got[:200] + got[150:], "double"),
            ("swaps two records", [*got[:7], got[10], *got[8:10], got[7], *got[11:]], "came after"),
            ("skips an offset", [(p, o + (n > 200), v) for n, (p, o, v) in enumerate(got)], "came after")):
        caught(report, f"over moving leaders a reader that {name}", checks_moves.whole, records, count, says=says)
