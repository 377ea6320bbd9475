"""Kafka's own TransactionalMessageCopier while the broker is killed (kill -9) and started again, so many times.

    in --consumer, read_committed--> [copier: every few records and their offsets in one transaction] --> out
                                         the broker dies whenever another part has been copied

Afterwards a read_committed reader sees every input once, in order. A copier that gives up is started again under the same
transactional id, as whoever runs such a program does.
"""

import json
import queue
import subprocess
import threading
import time

from lib import badadmin, brokers, peers, readers, wire, writers
from lib.report import need

IN, OUT = "eo-in", "eo-out"
TRANSACTION = 5
#: How long one part of the input may take, the restart of the broker included.
LIMIT_S = 120


class Copier:
    """The program, started anew as often as it ends too early; what is left is known from its own report."""

    def __init__(self, broker):
        self.broker, self.left, self.starts, self.said = broker, None, 0, queue.Queue()
        self.process = None
        self.start()

    def start(self):
        command = [peers.java(), *peers.LIGHT_JVM, "-cp", peers.class_path(), peers.tool_class("transactional-message-copier"),
                   "--broker-list", self.broker.bootstrap, "--input-topic", IN, "--input-partition", "0", "--output-topic", OUT,
                   "--consumer-group", "eo-group", "--transaction-size", str(TRANSACTION), "--transactional-id", "eo-copier",
                   "--use-group-metadata", "--enable-random-aborts"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                                        preexec_fn=brokers.die_with_parent)
        self.starts += 1
        threading.Thread(target=self.listen, args=(self.process,), daemon=True).start()

    def listen(self, process):
        for line in process.stdout:
            if line.startswith("{"):
                self.said.put(json.loads(line)["remaining"])
        self.said.put(None)

    def wait(self, left):
        """Returns once no more than so many records are left to copy."""
        end = time.monotonic() + LIMIT_S
        while True:
            need(time.monotonic() < end, f"{self.left} records left after {LIMIT_S} s, {left} were due; {self.starts} starts")
            try:
                said = self.said.get(timeout=1)
            except queue.Empty:
                continue
            if said is not None:
                self.left = said
            if said is not None and said <= left:
                return
            if said is None and self.ended(left):
                return

    def ended(self, left):
        """What to do about a copier that has ended: it was done, or it is started again."""
        if self.process.wait() == 0:
            self.left = 0
            return True
        time.sleep(1)
        self.start()
        return False

    def finish(self):
        self.wait(0)
        if self.process.poll() is None:
            self.process.wait(LIMIT_S)

    def kill(self):
        self.process.kill()
        self.process.wait()


def copied(target, kills=3, records=400, transaction_version=None, **how):
    """One copy of so many records over so many lives of a broker, at a level of transaction.version (as it comes)."""
    with brokers.scratch("ringlog-exactly-once-") as folder:
        broker = brokers.new(target, folder / "broker", **how)
        broker.start()
        copier = None
        try:
            if transaction_version is not None:
                lower(broker, transaction_version)
            for topic in (IN, OUT):
                need(wire.make_topic(broker.port, topic) == 0, f"{topic} is not created")
            sent = writers.kcat(broker, IN, records)
            copier = Copier(broker)
            for kill in range(kills):
                copier.wait(records - records * (kill + 1) // (kills + 1))
                broker.kill()
                broker.start()
            copier.finish()
            return compare(broker, sent, copier, kills)
        finally:
            if copier:
                copier.kill()
            broker.kill()


def lower(broker, level):
    """Lowers the cluster's transaction.version from 2, which it has as it comes."""
    said = badadmin.features_updated(("transaction.version", level, badadmin.SAFE_DOWNGRADE))(broker)
    need(said == "0", f"transaction.version is not lowered: {said}")


def compare(broker, sent, copier, kills):
    due = [record.value for record in sent]
    got = [record.value for record in readers.kcat(broker, OUT)]
    everything = readers.kcat(broker, OUT, extra=("-X", "isolation.level=read_uncommitted"))
    once_in_order(due, got)
    return f"{len(due)} records once over {kills} kills, {len(everything) - len(got)} of aborted transactions, {copier.starts} starts"


def once_in_order(due, got):
    lost, doubled = [value for value in due if value not in set(got)], len(got) - len(set(got))
    need(not lost and not doubled, f"{len(lost)} lost {lost[:3]}, {doubled} doubled of {len(due)}")
    need(got == due, "the order is another, or something is there that was not sent")


def run(report, target, label, **how):
    """A real Kafka takes ten seconds over each life: one kill says that it holds there."""
    kills = 1 if target == "kafka" else 3
    report.check(f"{label} exactly once over kill -9", copied, target, kills, **how)
