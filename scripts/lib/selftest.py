"""Plants faults and demands that the checks of `scripts/conformance` report each: a check that cannot fail is none."""

import collections
import os
from functools import partial

from lib import (badinput, brokers, checks_admin, checks_crash, checks_files, checks_perf, checks_security,
                 checks_snapshots, checks_transactions, consumer_selftest, exactly_once, group_upgrade, ledger, proxy, readers, secure, suite,
                 wire, word_count, writers)
from lib.lanes import Part
from lib.report import Failed, need

TOPIC = "w-planted"
COUNT = 400


def parts(target, binary):
    """Side by side (lib/lanes.py), each on brokers of its own."""
    how = {"binary": binary} if target == "ringlog" else {}
    yield Part("planted", 60, partial(on_a_broker, target=target, **how))
    yield Part("planted in the broker", 10, partial(in_broker, target=target, **how))
    yield Part("planted after a crash", 15, partial(after_a_crash, target=target, **how))
    yield Part("planted in transactions", 15, partial(in_transactions, **how))
    yield Part("planted in security", 20, partial(in_security, binary=binary))
    yield from consumer_selftest.parts()


def on_a_broker(report, target, **how):
    with suite.Clients() as clients, brokers.scratch() as folder:
        port = brokers.free_ports(4)
        broker = brokers.new(target, folder / "broker", advertised_port=port + 3, **how)
        broker.port = port
        try:
            with proxy.Proxy(port + 3, port) as between, broker:
                ctx = suite.Context(report, clients, broker, folder, "planted")
                without_fault(ctx)
                in_answers(ctx, between)
                in_readers(ctx)
                in_writers(ctx)
                in_perf(ctx)
                in_files(ctx)
                in_snapshots(ctx)
        finally:
            broker.kill()


def caught(report, name, check, *arguments):
    """The planted fault is caught when the check fails; what it then says is the detail."""
    def must_fail():
        try:
            detail = check(*arguments)
        except Failed as error:
            return f"caught: {error}"
        raise Failed(f"not caught: the check says {detail}")
    report.check(f"planted {name}", must_fail)


def without_fault(ctx):
    """The same checks pass when nothing is planted: otherwise catching would mean nothing."""
    ctx.create(TOPIC, 1)
    ctx.sent = [ledger.Sent(f"v-{i:06d}".encode(), f"k-{i:06d}".encode(), partition=0) for i in range(COUNT)]
    lines = b"".join(r.key + b"\t" + r.value + b"\n" for r in ctx.sent)
    readers.client(["kcat", "-P", "-b", ctx.broker.bootstrap, "-t", TOPIC, "-p", 0, "-K", "\t"], lines)
    ctx.written["w-planted"] = ctx.sent
    for name, reader in three_readers(ctx).items():
        ctx.check(f"nothing, {name}", read_and_compare, ctx, reader)
    ctx.check("nothing, kafka-get-offsets", checks_admin.ends, ctx, TOPIC)


def three_readers(ctx):
    return {"kcat": readers.kcat, "console": readers.Console(ctx.tools), "librdkafka": readers.librdkafka}


def read_and_compare(ctx, reader):
    return ledger.compare(ctx.sent, reader(ctx.broker, TOPIC, COUNT))


FAULTS = {
    "a byte of a value flipped": proxy.on_batches(proxy.flip_value),
    "a byte flipped under an old checksum": proxy.on_batches(proxy.flip_value, mend=False),
    "a byte of a key flipped": proxy.on_batches(proxy.flip_key),
    "two records swapped": proxy.on_batches(proxy.swap),
    "a record doubled": proxy.on_batches(proxy.double),
    "a batch dropped": proxy.on_batches(proxy.drop),
    "offsets shifted by one": proxy.on_batches(proxy.renumber),
}


def in_answers(ctx, between):
    """Between broker and client, for each reader."""
    for name, fault in FAULTS.items():
        for reader_name, reader in three_readers(ctx).items():
            caught(ctx.report, f"{name}, {reader_name}", spoiled, ctx, between, fault, read_and_compare, ctx, reader)
    fault = (wire.LIST_OFFSETS, proxy.list_offsets_off_by_one)
    caught(ctx.report, "offsets answered one too high", spoiled, ctx, between, fault, checks_admin.ends, ctx, TOPIC)


def spoiled(_ctx, between, fault, check, *arguments):
    """Runs a check with a fault in the proxy; a fault that spoiled nothing proves nothing."""
    between.fault, between.spoiled = fault, 0
    try:
        detail = check(*arguments)
    except Failed as error:
        if not between.spoiled:
            raise RuntimeError(f"nothing was spoiled, and yet: {error}") from error
        raise
    finally:
        between.fault = None
    return detail


def in_readers(ctx):
    """A reader that loses, doubles, swaps or moves a record."""
    got = readers.kcat(ctx.broker, TOPIC)
    changed = {
        "loses the last record": got[:-1],
        "loses one in the middle": got[:100] + got[101:],
        "loses one and closes the gap": got[:100] + [r._replace(offset=r.offset - 1) for r in got[101:]],
        "doubles a record": got + got[-1:],
        "swaps two records": got[:7] + [got[8], got[7]] + got[9:],
        "swaps two contents": got[:7] + [got[7]._replace(value=got[8].value, key=got[8].key),
                                         got[8]._replace(value=got[7].value, key=got[7].key)] + got[9:],
        "moves a record to another partition": got[:-1] + [got[-1]._replace(partition=1, offset=0)],
        "reads nothing": [],
    }
    for name, records in changed.items():
        caught(ctx.report, f"a reader that {name}", ledger.compare, ctx.sent, records)


def in_writers(ctx):
    """Sends that fail: the tool exits with 0, and with acks=0 it does not even know."""
    wire.make_topic(ctx.broker.port, "w-small", 1, (("max.message.bytes", "200"),))
    perf = (ctx.tools, ctx.broker, "w-small", 20, 500, "none")
    caught(ctx.report, "sends that fail", writers.perf, *perf)

    def unseen():
        sent = writers.perf(*perf, ("acks=0", "enable.idempotence=false"))
        return ledger.compare(sent, readers.kcat(ctx.broker, "w-small"))
    caught(ctx.report, "sends that fail unseen (acks=0)", unseen)


def in_perf(ctx):
    """Counts and sizes in the row of consumer-perf."""
    row = "2026-01-01 00:00:00:000, 2026-01-01 00:00:01:000, {}, 1.0, {}, 1.0, 1, 1, 1.0, 1.0\n"
    size = sum(len(r.key) + len(r.value) for r in ctx.sent) / 1048576
    ctx.check("nothing, consumer-perf row", checks_perf.rows, row.format(f"{size:.4f}", COUNT), ctx.sent)
    caught(ctx.report, "consumer-perf one record short", checks_perf.rows, row.format(f"{size:.4f}", COUNT - 1), ctx.sent)
    caught(ctx.report, "consumer-perf bytes short", checks_perf.rows, row.format(f"{size - 0.001:.4f}", COUNT), ctx.sent)
    caught(ctx.report, "producer-perf one record short", writers.check_summary,
           "399 records sent, 1.0 records/sec (1.00 MB/sec), 1 ms avg latency, 1 ms 50th, 1 ms 99.9th.", COUNT)


def in_files(ctx):
    """A byte of the log changed, the log cut, an index that points elsewhere."""
    folder = ctx.broker.log_dir / f"{TOPIC}-0"
    ctx.broker.stop()
    log, index = folder / f"{0:020}.log", folder / f"{0:020}.index"
    whole = log.read_bytes()
    ctx.check("nothing, kafka-dump-log", dump, ctx, folder)
    log.write_bytes(whole[:200] + bytes([whole[200] ^ 1]) + whole[201:])
    caught(ctx.report, "a byte of the log flipped, kafka-dump-log", dump, ctx, folder)
    log.write_bytes(whole[:-30])
    caught(ctx.report, "the log cut, kafka-dump-log", dump, ctx, folder)
    log.write_bytes(whole)
    index.write_bytes((5).to_bytes(4, "big") + (17).to_bytes(4, "big"))
    caught(ctx.report, "an index entry that points nowhere, kafka-dump-log", checks_files.dump, ctx, "--files", index)


def in_snapshots(ctx):
    """A record that a snapshot of the metadata log leaves out, another value of it, a byte changed."""
    folder = ctx.broker.log_dir / "__cluster_metadata-0"
    ctx.check("nothing, snapshot", checks_snapshots.newest, ctx, checks_files.dump)
    newest = max(folder.glob("*-*.checkpoint"))
    whole = newest.read_bytes()
    records = checks_snapshots.shape(checks_files.dump(ctx, "--cluster-metadata-decoder", "--files", newest))
    place, (offset, kind, data) = next(
        (place, record) for place, record in enumerate(records) if record[1] == "PARTITION_RECORD")
    changed = (offset, kind, {**data, "leaderEpoch": data["leaderEpoch"] + 1})
    for name, spoilt in (("that leaves out a record", [*records[:place], *records[place + 1:]]),
                         ("with another leader epoch", [*records[:place], changed, *records[place + 1:]])):
        caught(ctx.report, f"a snapshot {name}", checks_snapshots.compare, spoilt, records)
    newest.write_bytes(whole[:300] + bytes([whole[300] ^ 1]) + whole[301:])
    caught(ctx.report, "a byte of a snapshot flipped, kafka-dump-log", checks_snapshots.newest, ctx, checks_files.dump)
    newest.write_bytes(whole)


def dump(ctx, folder):
    out = checks_files.dump(ctx, "--files", folder / f"{0:020}.log", "--deep-iteration", "--print-data-log")
    return ledger.compare(ctx.sent, checks_files.parse(out, 0)[0])


def in_broker(report, target, **how):
    """A broker that dies of a case, and one that gives another answer than Kafka's."""
    with brokers.scratch() as folder, brokers.new(target, folder / "broker", **how) as broker:
        probe = badinput.Probe(broker)
        garbage = badinput.raw(b"GET / HTTP/1.1\r\n\r\n")
        report.check("planted nothing, bad input", badinput.one, broker, probe, "closed", garbage)
        caught(report, "another answer than Kafka's, bad input", badinput.one, broker, probe, "error 2", garbage)

        def deadly(broker):
            said = garbage(broker)
            broker.kill()
            return said
        caught(report, "a broker that dies of it, bad input", badinput.one, broker, probe, "closed", deadly)


def after_a_crash(report, target, **how):
    """A log that loses acknowledged records while the broker is down."""
    def loses():
        with brokers.scratch() as folder:
            broker = brokers.new(target, folder / "broker", **how)
            with broker:
                need(wire.make_topic(broker.port, checks_crash.TOPIC, checks_crash.PARTITIONS) == 0, "no topic")
                sent, due = checks_crash.collections.defaultdict(list), {}
                checks_crash.load(broker, 0, sent, due)
                log = broker.log_dir / f"{checks_crash.TOPIC}-0" / f"{0:020}.log"
                os.truncate(log, written(log) - 12_000)
                broker.start()
                checks_crash.compare(broker, sent, due)
                return f"{len(due)} acknowledged batches found"
    caught(report, "acknowledged records lost after kill -9", loses)


def in_transactions(report, **_):
    """What was aborted as if it had been committed, what was committed as if it had not, and a record that was copied twice."""
    with suite.Clients() as clients, brokers.scratch() as folder, brokers.new("kafka", folder / "broker") as broker:
        ctx = suite.Context(report, clients, broker, folder, "planted")
        topic = "tx-planted"
        ctx.create(topic, checks_transactions.PARTITIONS)
        said = checks_transactions.transactions(ctx.tools, ctx, "fence", topic)
        committed, aborted = said["COMMITTED"], said["ABORTED"]
        ctx.check("nothing, transactions", checks_transactions.both_levels, ctx, topic, said)
        for name, lie in (("an aborted record is due", {"COMMITTED": [*committed, aborted[0]], "ABORTED": aborted[1:]}),
                          ("a committed record is not due", {"COMMITTED": committed[1:], "ABORTED": [*aborted, committed[0]]})):
            caught(report, name, checks_transactions.both_levels, ctx, topic, lie)
    caught(report, "a record copied twice", exactly_once.once_in_order, committed, committed[:1] + committed)
    caught(report, "a record not copied", exactly_once.once_in_order, committed, committed[1:])
    for name, counts in (("twice", [1, 2, 2, 3]), ("not at all", [1, 3]), ("of an aborted transaction", [1, 2, 3, 4])):
        caught(report, f"a word counted {name}", word_count.each_once, collections.Counter(word=3), {"word": counts})
    for name, lie in (("not read", (9, 8, 0, 9)), ("read again without a kill", (9, 9, 1, 9)), ("not committed", (9, 9, 0, 8))):
        caught(report, f"a record of a group that changes its protocol is {name}", group_upgrade.compare, *lie, 0)


def in_security(report, binary):
    """A client that is let in where it must not be, one that is kept out where it must come in, and other words."""
    with suite.Clients() as clients, brokers.scratch() as folder, secure.new(folder / "secure") as broker:
        ctx = suite.Context(report, clients, broker, folder, "planted")
        ctx.binary = brokers.ringlog_binary(binary)
        right = broker.client("SASL_SSL", "SCRAM-SHA-512")
        wrong = broker.client("SASL_SSL", "SCRAM-SHA-512", password="wrong")
        words = "SaslAuthenticationException: Authentication failed"
        ctx.check("nothing, a secure listener", checks_security.good, ctx, "nothing", "SASL_SSL", right)
        ctx.check("nothing, a wrong password", checks_security.refused, ctx, "SASL_SSL", wrong, words, (0, 1))
        caught(ctx.report, "a client that is let in", checks_security.refused, ctx, "SASL_SSL", right, words, (0, 1))
        caught(ctx.report, "a client that is kept out", checks_security.good, ctx, "kept-out", "SASL_SSL", wrong)
        caught(ctx.report, "another exit code", checks_security.refused, ctx, "SASL_SSL", wrong, words, (1, 1))
        caught(ctx.report, "other words", checks_security.refused, ctx, "SASL_SSL", wrong, "is expired since", (0, 1))


def written(log):
    """Where the last batch of a log ends: what is preallocated behind it does not count."""
    data, at = log.read_bytes(), 0
    while at + 61 <= len(data) and data[at + 16] == 2:
        at += 12 + int.from_bytes(data[at + 8:at + 12], "big")
    return min(at, len(data))
