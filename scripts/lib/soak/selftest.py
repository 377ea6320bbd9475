"""A soak that finds nothing must be able to find something: lies told to the book and the gauge, and faults planted in a broker.

A lie changes one thing in a history that is clean; the alarm that is due must be raised, and none by the clean one. A fault in the
broker (RINGLOG_PLANT, feature `plant`) must make a whole soak fail.
"""

import argparse
import io
import os
import subprocess
import tempfile

from lib import brokers
from lib.report import Failed, Report, need
from lib.soak import gauge, run as soak
from lib.soak.book import ABORTED, COMMITTED, ID, OPEN, Again, Alarms, Partition, content
from lib.soak.groups import GroupBook

COUNT, NOW_MS = 100, 1_000_000
PLACE = ("t", 0)
# A fault, what it takes to be seen (seconds, a kill so often), and what must then be said.
FAULTS = {
    "newest-dropped": (60, None, "ALARM newest"), "queue-unbounded": (130, None, "FAIL memory is flat"),
    "share-mixed": (60, None, "ALARM two owners"), "reply-out-of-order": (60, None, "ALARM unanswered"),
    "start-forgotten": (90, 15, "ALARM start"), "stable-past-open": (60, None, "ALARM aborted"),
}


def run(options):
    report = Report()
    for name, (alarm, lie) in LIES.items():
        report.check(f"a lie is found: {name}", told, alarm, lie)
    report.check("nothing is found where nothing is wrong", told, None, lambda history: None)
    report.check("nothing is found where transactions are well", told, None, in_transactions)
    report.check("growth is found", growing)
    if options.bin:
        for name, how in FAULTS.items():
            report.check(f"a fault in the broker is found: {name}", planted, options, name, *how)
    return report.close()


class History:
    """What clients saw of one partition; a lie changes it before it is told to the book."""

    def __init__(self, keyed=False):
        self.keyed, self.acked = keyed, list(range(COUNT))
        # (offset, number, value)
        self.read = [(at, at, content(0, at, 50)) for at in range(COUNT)]
        self.again = list(self.read)
        self.starts, self.commits, self.end = [0], [(10, 10), (20, 20)], COUNT
        self.members = [("a", range(0, 50)), ("b", range(50, COUNT))]  # who has it, one after the other, and is given what
        self.retention_ms = self.delete_to = None
        self.aborted = None  # the numbers of an aborted transaction, where there are transactions: of ten records each

    def tell(self):
        """The alarms that it raises."""
        alarms = Alarms(lambda _: None)
        one = Partition(*PLACE, self.keyed, alarms, self.aborted is not None)
        one.retention_ms, one.delete_to = self.retention_ms, self.delete_to or 0
        writer = one.writer(0, True)
        for number in range(COUNT):
            writer.sent(number % 10 if self.keyed else -1, False, COMMITTED if self.aborted is None else OPEN)
            if self.aborted is not None and number % 10 == 9:
                writer.ended(number - 9, ABORTED if number in self.aborted else COMMITTED)
        for number, offset in enumerate(self.acked):
            one.acked(0, number, offset)
        for offset, number, value in self.read:
            one.read(offset, *ID.unpack(ID.pack(0, number, 50)), value, NOW_MS + offset)
        for start in self.starts:
            one.begins(start, NOW_MS + COUNT)
        self.tell_group(alarms, one)
        one.settle()
        again = Again(one, self.starts[-1], self.end)
        for offset, number, value in self.again:
            again.read(offset, 0, number, 50, value, NOW_MS)
        again.settle(one.start)
        return alarms.kinds

    def tell_group(self, alarms, one):
        group = GroupBook("g", alarms)
        for member, offsets in self.members:
            group.assigned(member, [PLACE])
            for offset in offsets:
                group.got(member, PLACE, offset)
            if not getattr(self, "kept", False):
                group.revoked(member, [PLACE])
            group.commits(PLACE, 40)
        for before, after in self.commits:
            group.looked(PLACE, before), group.looked(PLACE, after)
        group.settle({PLACE: one})


def lost(history):
    history.read[-1:], history.again[-1:], history.end = [], [], COUNT - 1


def doubled(history):
    offset, number, value = history.read[-1]
    history.read.append((offset + 1, number, value))


def swapped(history):
    for records in (history.read, history.again):
        (a, m, v), (b, n, w) = records[5:7]
        records[5:7] = [(a, n, w), (b, m, v)]


def changed(history):
    offset, number, value = history.read[7]
    history.read[7] = (offset, number, b"x" + value[1:])


def elsewhere(history):
    history.acked[7] += 1


def invented(history):
    history.read.append((COUNT, COUNT, content(0, COUNT, 50)))


def gap(history):
    history.read = history.again = [(offset + (offset >= 50), number, value) for offset, number, value in history.read]
    history.acked = [offset + (offset >= 50) for offset in history.acked]


def gone_too_early(history):
    history.retention_ms, history.starts, history.again = COUNT, [0, 50], history.again[50:]


def back(history):
    history.delete_to, history.starts = 50, [50, 0]


def newest(history):
    history.keyed = True
    history.again = [one for one in history.again if one[1] != COUNT - 3]


def other_again(history):
    offset, number, value = history.again[9]
    history.again[9] = (offset, number, value[:-1])


def shorter_again(history):
    history.again.pop()


def two_owners(history):
    history.kept = True


def commit_back(history):
    history.commits = [(20, 20), (10, 10)]


def below_commit(history):
    history.members = [("a", range(0, 50)), ("b", range(30, COUNT))]


def left_out(history):
    history.members = [("a", range(0, 50)), ("b", range(51, COUNT))]


def in_transactions(history):
    """Ten of ten records, one of them aborted: each is followed by a marker."""
    history.aborted, history.acked = range(30, 40), [number + number // 10 for number in history.acked]
    history.read = [(number + number // 10, number, value) for _, number, value in history.read if number not in history.aborted]
    history.again, history.end = list(history.read), COUNT + 10


def aborted_read(history):
    in_transactions(history)
    history.read.insert(30, (35, 32, content(0, 32, 50)))


def aborted_read_again(history):
    in_transactions(history)
    history.again.insert(30, (35, 32, content(0, 32, 50)))


def committed_lost(history):
    in_transactions(history)
    del history.read[50], history.again[50]


def committed_lost_again(history):
    in_transactions(history)
    del history.again[50]


# What is told, and the alarm that is due.
LIES = {
    "the last record is lost": ("lost", lost), "a record is doubled": ("doubled", doubled),
    "two records change places": ("out of order", swapped), "a value is another": ("content", changed),
    "a record stands elsewhere than acknowledged": ("moved", elsewhere), "a record was never sent": ("invented", invented),
    "an offset is left out": ("gap", gap), "retention takes too much": ("start", gone_too_early),
    "what was deleted is back": ("start", back), "compaction takes the newest": ("newest", newest),
    "a value is another when it is read again": ("content", other_again), "the end is gone when it is read again": ("gap", shorter_again),
    "two members have a partition": ("two owners", two_owners), "a commit goes back": ("commit", commit_back),
    "a member begins below what was committed": ("goes back", below_commit), "a group is not given a record": ("group gap", left_out),
    "a record of an aborted transaction is read": ("aborted", aborted_read),
    "a record of an aborted transaction is read again": ("aborted", aborted_read_again),
    "a record of a committed transaction is not read": ("lost", committed_lost),
    "a record of a committed transaction is gone when it is read again": ("gap", committed_lost_again),
}


def told(alarm, lie):
    history = History()
    lie(history)
    kinds = history.tell()
    if alarm is None:
        need(not kinds, f"{kinds}")
        return ""
    need(alarm in kinds, f"{alarm} is due, and raised are {list(kinds)}")
    return kinds[alarm][0]


def growing():
    """A leak of 60 MiB an hour, and one of a descriptor in 20 s, beside an honest saw."""
    life = gauge.Life(0)
    life.samples = [(at, (50 << 20) + at % 20 * 100_000, 1 << 20, 100 + at % 7, 100 + at % 7) for at in range(0, 1200, 2)]
    need(gauge.memory(life)[0] and gauge.files(life)[0], f"a saw is taken for growth: {gauge.memory(life)} {gauge.files(life)}")
    life.samples = [(at, rss + at * (60 << 20) // 3600, own, files + at // 20, files) for at, rss, own, files, _ in life.samples]
    for what in (gauge.memory, gauge.files):
        holds, words = what(life)
        need(not holds, f"not found: {words}")
    return words


def planted(options, name, seconds, kill_every, due):
    """A whole soak on a broker with a fault must say what is due of it: gives that line."""
    refuses_unknown(options.bin)
    of_it = argparse.Namespace(**{**vars(options), "seconds": seconds, "kill_every": kill_every, "target": "ringlog", "seed": 1})
    lines, told = [], io.StringIO()
    os.environ["RINGLOG_PLANT"] = name
    try:
        soak.run(of_it, {"shards": options.shards, "binary": options.bin, "io": options.io}, lines.append, told)
    finally:
        del os.environ["RINGLOG_PLANT"]
    lines += told.getvalue().splitlines()
    found = [line for line in lines if due in line]
    need(found, f"the soak does not say `{due}`; {lines[-1]}")
    return found[0]


def refuses_unknown(binary):
    """An ordinary build plants nothing: it would prove nothing."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run([str(brokers.ringlog_binary(binary)), "broker", "--override", f"log.dirs={folder}/log",
                               "--override", "listeners=PLAINTEXT://256.0.0.1:1"], env={**os.environ, "RINGLOG_PLANT": "none"},
                              capture_output=True, text=True, timeout=30, check=False)
    if "RINGLOG_PLANT=none" not in done.stderr:
        raise Failed(f"{binary} has no planted faults: build one with `cargo build --profile sim -p ringlog-broker --example broker "
                     "--features plant`")
