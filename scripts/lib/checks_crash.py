"""What a broker finds when it starts: its own log after kill -9 in mid-produce, and a folder that Kafka wrote."""

import collections
import random
import re
import shutil
import struct
import threading
import time

from lib import brokers, checks_files, ledger, peers, readers, wire
from lib.ledger import Sent
from lib.checks_groups import until
from lib.report import Failed, need

TOPIC = "crash"
PARTITIONS = 3
GOLDEN = peers.REPO / "engine" / "storage" / "tests" / "data" / "golden-log"


def run(report, clients, target, label, shards=1, **how):
    report.check(f"{label} crash kill -9 in mid-produce, three times", killed, clients, target, shards, how)
    report.check(f"{label} golden log is served", golden, clients, target, shards, how)


# kill -9 --------------------------------------------------------------------------------------------------------


class Producer(threading.Thread):
    """Keeps `DEPTH` requests in flight to one partition until the connection breaks; notes what was acknowledged."""

    DEPTH = 8

    def __init__(self, port, partition, round_number, acks):
        super().__init__(daemon=True)
        self.port, self.partition, self.round, self.acks = port, partition, round_number, acks
        self.sent, self.acknowledged, self.ended = [], {}, None

    def run(self):
        try:
            with wire.Connection(self.port, timeout_s=5) as connection:
                while True:
                    self.send(connection)
                    if len(self.sent) - len(self.acknowledged) >= self.DEPTH:
                        self.receive(connection)
        except (wire.Closed, OSError, struct.error) as error:
            self.ended = error

    def send(self, connection):
        number = len(self.sent)
        values = [f"crash-{self.partition}-{self.round}-{number}-{i}-".encode() + b"x" * random.randrange(200)
                  for i in range(5)]
        self.sent.append(values)
        request = wire.produce(TOPIC, self.partition, wire.batch(values), self.acks, correlation=number)
        connection.send(wire.frame(request))

    def receive(self, connection):
        code, offset = wire.produce_error(connection.answer())
        if code != 0:
            raise wire.Closed(f"error {code}")
        self.acknowledged[len(self.acknowledged)] = offset


def killed(clients, target, shards, how):
    """Three lives of one folder, each ended by kill -9 under load; every acknowledged record is at its offset."""
    with brokers.scratch() as folder:
        broker = brokers.new(target, folder / "broker", shards=shards, **how)
        sent, due = collections.defaultdict(list), {}
        try:
            broker.start()
            need(wire.make_topic(broker.port, TOPIC, PARTITIONS) == 0, "the topic is not created")
            for life in range(3):
                load(broker, life, sent, due)
                broker.start()
                compare(broker, sent, due)
            broker.stop()
            for log in sorted(broker.log_dir.glob(f"{TOPIC}-*/*.log")):
                out = clients.tools("kafka-dump-log", "--files", log, "--deep-iteration").out
                need("isvalid: false" not in out and not checks_files.TROUBLE.search(out), f"{log}: {out[-300:]}")
        finally:
            broker.kill()
        return f"{len(due)} batches acknowledged in 3 lives, {sum(map(len, sent.values()))} sent"


def load(broker, life, sent, due):
    """Produces to every partition, kills the broker after a random moment, notes what it had acknowledged."""
    producers = [Producer(wire.leader_port(broker.port, TOPIC, p), p, life, random.choice((1, -1)))
                 for p in range(PARTITIONS)]
    for producer in producers:
        producer.start()
    until(lambda: all(len(producer.acknowledged) >= 50 for producer in producers), lambda: f"acknowledgements stop: {[(len(p.acknowledged), p.ended) for p in producers]}")
    time.sleep(random.uniform(0.0, 0.6))
    broker.kill()
    for producer in producers:
        producer.join(20)
        sent[producer.partition] += producer.sent
        for number, offset in producer.acknowledged.items():
            due[(producer.partition, offset)] = producer.sent[number]


def compare(broker, sent, due):
    """Acknowledged batches stand where they were acknowledged; nothing is doubled, invented or out of order."""
    got = readers.kcat(broker, TOPIC)
    at = {(r.partition, r.offset): r.value for r in got}
    for (partition, offset), values in due.items():
        for i, value in enumerate(values):
            found = at.get((partition, offset + i))
            need(found == value, f"partition {partition} offset {offset + i}: {ledger.short(found)} where "
                                 f"{ledger.short(value)} was acknowledged")
    everything = [Sent(value, partition=p) for p, batches in sent.items() for values in batches for value in values]
    faults = [fault for fault in ledger.faults(everything, got) if " lost, " not in fault]  # what was not acknowledged may be
    need(not faults, "; ".join(faults[:3]))


# A folder that Kafka wrote --------------------------------------------------------------------------------------


def golden(clients, target, shards, how):
    """The user topic of the golden log as kafka-dump-log shows it, by kcat and by the console consumer."""
    need(GOLDEN.is_dir(), f"{GOLDEN} is not there")
    with brokers.scratch() as folder:
        broker = brokers.new(target, folder / "broker", shards=shards, **how)
        shutil.copytree(GOLDEN, broker.log_dir)
        for path in [broker.log_dir, *broker.log_dir.rglob("*")]:
            path.chmod(0o755 if path.is_dir() else 0o644)
        due, committed, ends = dumped(clients.tools, broker.log_dir)
        try:
            broker.start()
            for name, got in golden_reads(clients, broker, len(due)).items():
                plain = sorted(r._replace(headers=()) for r in got)
                need(plain == due, f"{name}: {difference(due, plain)}")
            shown = sorted(r._replace(headers=()) for r in readers.kcat(broker, "t2"))  # kcat's own default: read_committed
            need(shown == committed, f"read_committed: {difference(committed, shown)}")
            more = wire.produce_error(ask_leader(broker, wire.produce("t2", 0, wire.batch([b"more"]))))
            need(more == (0, ends[0]), f"a further record: (error, offset) {more}")
        except SystemExit as error:
            raise Failed(str(error)) from error
        finally:
            broker.kill()
        return f"{len(due)} records of 2 partitions, {len(due) - len(committed)} of them aborted"


def ask_leader(broker, request):
    with wire.Connection(wire.leader_port(broker.port, "t2", create=False)) as connection:
        return connection.ask(request)


def dumped(tools, log_dir):
    """Every record outside control batches, those not aborted, and {partition: the offset after its last batch}."""
    due, committed, ends = [], [], {}
    for partition in (0, 1):
        out = tools("kafka-dump-log", "--deep-iteration", "--print-data-log", "--files",
                    log_dir / f"t2-{partition}" / "00000000000000000000.log").out
        records = checks_files.parse(out, partition)[0]
        void = aborted(out)
        due += records
        committed += [record for record in records if record.offset not in void]
        ends[partition] = max(int(last) for last in re.findall(r"lastOffset: (\d+)", out)) + 1
    return sorted(due), sorted(committed), ends


def aborted(out):
    """The offsets whose transaction ended with an abort marker."""
    void, pending, producer, transactional = set(), collections.defaultdict(set), None, False
    for line in out.splitlines():
        if batch := re.match(r"^baseOffset: .* producerId: (-?\d+) .*isTransactional: (\w+) isControl: (\w+)", line):
            producer, transactional = batch[1], batch[2] == "true"
        elif marker := re.search(r"endTxnMarker: (\w+)", line):
            ended = pending.pop(producer, set())
            void |= ended if marker[1] == "ABORT" else set()
        elif transactional and (record := re.match(r"^\| offset: (\d+)", line)):
            pending[producer].add(int(record[1]))
    return void.union(*pending.values())


def golden_reads(clients, broker, count):
    uncommitted = ("-X", "isolation.level=read_uncommitted")
    return {
        "kcat": readers.kcat(broker, "t2", extra=uncommitted),
        "console": readers.Console(clients.tools)(broker, "t2", count),
    }


def difference(due, got):
    missing, extra = set(due) - set(got), set(got) - set(due)
    return (f"{len(got)} records where {len(due)} were due; missing {ledger.short(sorted(missing)[:1], 200)}, "
            f"not due {ledger.short(sorted(extra)[:1], 200)}")
