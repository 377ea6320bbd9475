"""A word count of Kafka Streams (exactly_once_v2) while the broker is killed (kill -9) and started again, so many times, and every
second time the application with it, in the middle of a transaction.

    wc-in --lines--> [words --> repartitioned by word --> counted, in RocksDB and its changelog] --> wc-out
                          the broker dies whenever another part has been counted

A producer that outlives its broker goes on with its transaction; one that is killed leaves it open, and the next life of the
application has it aborted: that some were aborted is a part of the check.

Each word that is counted is one record: afterwards a read_committed reader sees of each word the counts 1, 2, 3 .. to how often it
was written, in this order and no other. One input lost, or counted twice, or seen of a transaction that was aborted, breaks that.
"""

import collections
import contextlib
import subprocess
import threading
import time

from lib import brokers, exactly_once, peers, readers, wire
from lib.report import Failed, need

IN, OUT = "wc-in", "wc-out"
PARTITIONS = 3
WORDS_A_LINE, VOCABULARY = 5, 40
#: How long one part of the input may take, the restart of the broker included.
LIMIT_S = 120
#: Whoever dies asked for its last commit before: after this time it is made, or it was never asked for.
COMMITTED_S = 0.3
#: How often the application may be killed until it dies in the middle of a transaction.
TRIES = 10


def lines_of(count):
    """So many lines of words, the same each time; no word is in every line."""
    return [" ".join(f"word-{(i * i + 7 * j) % VOCABULARY:02}" for j in range(WORDS_A_LINE)) for i in range(count)]


class Application:
    """The program through its lives, and how far it says that it has counted each word."""

    def __init__(self, broker, folder):
        self.counts, self.died, self.lives = collections.Counter(), [], 0
        self.output = folder / "word-count.txt"
        self.command = [peers.java(), *peers.LIGHT_JVM, "-cp", peers.word_count(), "ringlog.WordCount", broker.bootstrap, IN, OUT,
                        str(folder / "state")]
        self.start()

    def start(self):
        """A new life, on the disk that the last one left."""
        with open(self.output, "ab") as out:
            self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=out, text=True,
                                            preexec_fn=brokers.die_with_parent)
        self.lives += 1
        self.listener = threading.Thread(target=self.listen, args=(self.process.stdout,), daemon=True)
        self.listener.start()

    def listen(self, said):
        for line in said:
            word, _, rest = line.rstrip("\n").partition(" ")
            if not line.endswith("\n"):
                return  # it was killed in the middle of it
            if word == "DIED":
                self.died.append(rest)
            else:
                # What was aborted is counted again: the highest count is what it is worth.
                self.counts[word] = max(self.counts[word], int(rest))

    def wait(self, words):
        """Returns once it has counted so many."""
        end = time.monotonic() + LIMIT_S
        while self.counts.total() < words:
            need(self.process.poll() is None, f"it ended with {self.process.returncode}: {self.tail()}")
            need(time.monotonic() < end, f"{self.counts.total()} words counted after {LIMIT_S} s, {words} were due; {self.tail()}")
            time.sleep(0.02)

    def finish(self):
        """It commits, and ends."""
        self.process.stdin.close()
        need(self.process.wait(LIMIT_S) == 0, f"it ended with {self.process.returncode}: {self.tail()}")
        self.listener.join(LIMIT_S)

    def tail(self):
        return f"{self.died[-2:]} {self.output.read_text(errors='replace')[-600:]}"

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.listener.join(LIMIT_S)


def counted(target, kills=2, records=300, transaction_version=None, **how):
    """One count of so many lines over so many lives of a broker, at a level of transaction.version (as it comes)."""
    with brokers.scratch("ringlog-word-count-") as folder, contextlib.ExitStack() as ends:
        broker = brokers.new(target, folder / "broker", **how)
        ends.callback(broker.kill)
        broker.start()
        if transaction_version is not None:
            exactly_once.lower(broker, transaction_version)
        for topic in (IN, OUT):
            need(wire.make_topic(broker.port, topic, PARTITIONS) == 0, f"{topic} is not created")
        lines = lines_of(records)
        readers.client([peers.kcat(), "-P", "-b", broker.bootstrap, "-t", IN, "-X", "acks=all"], "\n".join(lines).encode() + b"\n")
        application = Application(broker, folder)
        ends.callback(application.kill)
        words = len(lines) * WORDS_A_LINE
        for kill in range(kills):
            application.wait(words * (kill + 1) // (kills + 1))
            die(broker, application if kill % 2 else None)
        application.wait(words)
        committed(broker, words)
        application.finish()
        return compare(broker, lines, application, kills)


def die(broker, application=None):
    """The broker dies and comes back; the application, if it is to die too, dies first."""
    if application:
        die_in_transaction(broker, application)
    broker.kill()
    broker.start()
    if application:
        application.start()


def die_in_transaction(broker, application):
    """Kills the application until it has left a transaction open in which it has written to OUT."""
    for _ in range(TRIES):
        end = time.monotonic() + LIMIT_S
        while not is_open(broker):
            need(time.monotonic() < end, f"no transaction within {LIMIT_S} s; {application.tail()}")
            time.sleep(0.01)
        application.kill()
        time.sleep(COMMITTED_S)
        if is_open(broker):
            return
        application.start()
    raise Failed(f"killed {TRIES} times, it never left a transaction open")


def is_open(broker):
    """Whether OUT has records of a transaction that has not ended."""
    for partition in range(PARTITIONS):
        with wire.Connection(wire.leader_port(broker.port, OUT, partition)) as connection:
            _, high, stable = wire.fetch_head(connection.ask(wire.fetch(OUT, partition, 0, max_bytes=1, wait_ms=0)))
        if high > stable:
            return True
    return False


def committed(broker, words):
    """Returns once so many are committed: what it says of words it also says of those that are aborted afterwards."""
    end = time.monotonic() + LIMIT_S
    while (found := len(readers.kcat(broker, OUT))) < words:
        need(time.monotonic() < end, f"{found} words committed {LIMIT_S} s after all of {words} were counted")
        time.sleep(0.2)


def compare(broker, lines, application, kills):
    due = collections.Counter(word for line in lines for word in line.split())
    got = counts_of(readers.kcat(broker, OUT))
    everything = readers.kcat(broker, OUT, extra=("-X", "isolation.level=read_uncommitted"))
    each_once(due, got)
    aborted, deaths = len(everything) - due.total(), application.lives - 1
    need(aborted >= kills // 2, f"{aborted} words of aborted transactions, though the application died {deaths} times in one")
    return (f"{due.total()} words once over {kills} kills of the broker and {deaths} of the application, "
            f"{aborted} of aborted transactions, {len(application.died)} threads replaced")


def counts_of(records):
    """The counts of each word, in the order of its partition."""
    got = collections.defaultdict(list)
    for record in records:
        got[record.key.decode()].append(int(record.value))
    return got


def each_once(due, got):
    wrong = [word for word in sorted(set(due) | set(got)) if got.get(word) != list(range(1, due[word] + 1))]
    need(not wrong, f"{len(wrong)} words are not counted as they were written: " + "; ".join(
        f"{word} {due[word]} times, its counts are {got.get(word, [])}" for word in wrong[:2]))


def run(report, target, label, kills=2, **how):
    """A real Kafka takes ten seconds over each life, and has the long form: `scripts/exactly-once --target kafka`."""
    report.check(f"{label} word count over kill -9", counted, target, kills, **how)
