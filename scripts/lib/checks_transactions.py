"""Transactions: Java's producers of two lines (one speaks version 2 of KIP-890, the other the one before), librdkafka and kcat, and readers of both isolation levels; a zombie, a timeout, a
group's offsets in a transaction, kafka-transactions, and what stands in the two logs afterwards. What is due was observed on
Kafka 4.3.1, where the same checks run."""

import re
import subprocess

from lib import checks_files, peers, readers, writers
from lib.checks_admin import at
from lib.checks_groups import until
from lib.report import need

SETTINGS = {"transaction.abort.timed.out.transaction.cleanup.interval.ms": 500}
PARTITIONS = 3
#: Empty, Ongoing, PrepareCommit, PrepareAbort, CompleteCommit, CompleteAbort, as the log numbers them.
ALL_STATES = {0, 1, 2, 3, 4, 5}
UNCOMMITTED = ("-X", "isolation.level=read_uncommitted")
#: What Kafka's producer may throw at one whose id another has taken over, or whose transaction was aborted for it.
FENCED = {"ProducerFencedException", "InvalidProducerEpochException"}


def transactions(tools, ctx, verb, topic):
    """{what happened: [values]} of one verb of Transactions.java."""
    return told(tools("transactions", verb, ctx.broker.bootstrap, topic, timeout_s=90).out)


def told(out):
    said = {}
    for line in out.splitlines():
        word, *values = line.split(" ")
        said.setdefault(word, []).extend(values)
    return said


def values(got):
    return [record.value.decode() for record in got]


def exactly(due, got, what):
    """The same values, each once."""
    missing, extra = [value for value in due if value not in got], [value for value in got if value not in due]
    need(sorted(due) == sorted(got),
         f"{what}: {len(got)} values where {len(due)} were due; missing {missing[:3]}, not due {extra[:3]}")


def both_levels(ctx, topic, said):
    """Under read_committed what was committed, to kcat and to Kafka's own reader; everything under read_uncommitted."""
    committed = said["COMMITTED"]
    everything = [value for word in ("COMMITTED", "ABORTED", "OPEN") for value in said.get(word, [])]
    exactly(committed, values(readers.kcat(ctx.broker, topic)), "kcat, read_committed")
    console = readers.Console(ctx.tools)
    exactly(committed, values(console(ctx.broker, topic, len(committed), ("--isolation-level", "read_committed"))),
            "console-consumer, read_committed")
    exactly(everything, values(readers.kcat(ctx.broker, topic, extra=UNCOMMITTED)), "kcat, read_uncommitted")
    return f"{len(committed)} of {len(everything)} records committed"


def written(ctx, tools, topic):
    ctx.create(topic, PARTITIONS)
    said = transactions(tools, ctx, "write", topic)
    need([len(said[word]) for word in ("COMMITTED", "ABORTED", "OPEN")] == [90, 30, 10], f"it wrote {said}")
    return both_levels(ctx, topic, said)


def java(ctx):
    return written(ctx, ctx.tools, "tx-java")


def older_java(ctx):
    return written(ctx, ctx.old_tools, "tx-older-java")


def librdkafka(ctx):
    ctx.create("tx-rd", PARTITIONS)
    script = peers.HERE / "transactions_writer.py"
    said = told(readers.client([peers.librdkafka_python(), script, ctx.broker.bootstrap, "tx-rd"]).stdout.decode())
    need(len(said["COMMITTED"]) == 90, f"{len(said['COMMITTED'])} committed")
    exactly(said["COMMITTED"], values(readers.kcat(ctx.broker, "tx-rd")), "read_committed")
    need(len(readers.kcat(ctx.broker, "tx-rd", extra=UNCOMMITTED)) == 130, "not everything under read_uncommitted")
    return "90 of 130 records committed"


def kcat(ctx):
    """kcat makes one transaction of what it is given."""
    ctx.create("tx-kcat", PARTITIONS)
    sent = writers.kcat(ctx.broker, "tx-kcat", 300, keys=True, codec="lz4", extra=("-X", "transactional.id=tx-kcat"))
    exactly([record.value.decode() for record in sent], values(readers.kcat(ctx.broker, "tx-kcat")), "kcat")
    described = tool(ctx, "describe", "--transactional-id", "tx-kcat")
    need("CompleteCommit" in described, described)
    return f"{len(sent)} records in one transaction"


def waits(ctx):
    """What comes after an open transaction is not read under read_committed until that has ended."""
    topic = "tx-java"
    need(len(readers.kcat(ctx.broker, topic)) == 90, "what the check before this one wrote is not there")
    later = [f"later-{n}" for n in range(5)]
    readers.client([peers.kcat(), "-P", "-b", ctx.broker.bootstrap, "-t", topic, "-p", 0], "\n".join(later).encode() + b"\n")
    need(len(readers.kcat(ctx.broker, topic)) == 90, "a record behind the open transaction is read")
    hanging = tool(ctx, "describe-producers", "--topic", topic, "--partition", "0")
    need(re.search(r"^\d+\s+\d+\s+-?\d+\s+\d+\s+\d+\s+\d+\s*$", hanging, re.M), f"no open transaction: {hanging}")
    transaction = tool(ctx, "describe", "--transactional-id", f"write-{topic}")
    need("Ongoing" in transaction and f"{topic}-0" in transaction, transaction)
    aborted = ctx.tools("kafka-transactions", *at(ctx), "forceTerminateTransaction", "--transactionalId", f"write-{topic}")
    until(lambda: len(readers.kcat(ctx.broker, topic)) == 95, f"the records behind it are not read: {aborted.out}", 10)
    exactly(later, [value for value in values(readers.kcat(ctx.broker, topic)) if value.startswith("later")], "afterwards")
    return "5 records waited"


def turns(ctx):
    """One id in the hands of the newer client, the older one, and the newer one where the cluster says to speak as the older does."""
    ctx.create("tx-turns", PARTITIONS)
    level(ctx, 2)
    said = {}
    for tools, lowered in ((ctx.tools, False), (ctx.old_tools, False), (ctx.tools, True), (ctx.tools, False)):
        if lowered:
            feature(ctx, "downgrade", 1)
        for word, got in transactions(tools, ctx, "turn", "tx-turns").items():
            said.setdefault(word, []).extend(got)
        if lowered:
            feature(ctx, "upgrade", 2)
    return both_levels(ctx, "tx-turns", said)


def feature(ctx, verb, to):
    ctx.tools("kafka-features", *at(ctx), verb, "--feature", f"transaction.version={to}")
    level(ctx, to)


def level(ctx, due):
    """What kafka-features says of the version of transactions."""
    out = ctx.tools("kafka-features", *at(ctx), "describe").out
    need(re.search(rf"Feature: transaction.version\s+SupportedMinVersion: 0\s+SupportedMaxVersion: 2\s+FinalizedVersionLevel: {due}\s", out),
         f"transaction.version is not finalized at {due}: {out}")


def fenced(ctx):
    ctx.create("tx-fence", PARTITIONS)
    said = transactions(ctx.tools, ctx, "fence", "tx-fence")
    need(set(said["COMMIT"]) <= FENCED, f"the zombie's commit: {said['COMMIT']}")
    need(said["AGAIN"] != ["taken"], "the zombie begins another transaction")
    both_levels(ctx, "tx-fence", said)
    return f"its commit met {said['COMMIT'][0]}"


def timed_out(ctx):
    ctx.create("tx-timeout", PARTITIONS)
    said = transactions(ctx.tools, ctx, "timeout", "tx-timeout")
    need(said["COMMIT"] != ["taken"], "a commit after the timeout was taken")
    both_levels(ctx, "tx-timeout", said)
    return f"the late commit met {said['COMMIT'][0]}"


def offsets(ctx):
    ctx.create("tx-offsets", PARTITIONS)
    said = transactions(ctx.tools, ctx, "offsets", "tx-offsets")
    due = {"PENDING": ["unstable"], "ABORTED": ["none"], "COMMITTED": ["7noted"]}
    need(said == due, f"{said} where {due} is due")
    return "5 pending and aborted, 7 committed"


def tool(ctx, *arguments):
    return ctx.tools("kafka-transactions", *at(ctx), *arguments).out


def administered(ctx):
    """kafka-transactions lists all ids and those of a state, a pattern or an age; one it does not know is an error."""
    ids = set(re.findall(r"^(\S*tx-\S+)", tool(ctx, "list"), re.M))
    due = {"write-tx-java", "write-tx-older-java", "txn-tx-rd", "tx-kcat", "fence-tx-fence", "timeout-tx-timeout",
           "offsets-tx-offsets"}
    need(due <= ids, f"{due - ids} not listed among {ids}")
    few = set(re.findall(r"^(\S*tx-\S+)", tool(ctx, "list", "--transactional-id-pattern", "(fence|timeout)-.*"), re.M))
    need(few == {"fence-tx-fence", "timeout-tx-timeout"}, f"by pattern: {few}")
    old = tool(ctx, "list", "--duration-filter", "3600000")
    need("tx-" not in old, f"older than an hour: {old}")
    strange = ctx.tools.run("kafka-transactions", *at(ctx), "describe", "--transactional-id", "nobody")
    need(strange.code == 1 and "the ID could not be found" in strange.err, f"{strange}")
    open_ones = re.findall(r"^(\S+)\s+\d+\s+\d+\s+Ongoing", tool(ctx, "list"), re.M)
    hanging = tool(ctx, "find-hanging", "--broker-id", "1", "--max-transaction-timeout", "15")
    need("tx-" not in hanging, f"hanging: {hanging}")
    return f"{len(ids)} ids, {len(open_ones)} of them open"


def terminated(ctx):
    """forceTerminateTransaction ends what librdkafka and the older Java left open."""
    for name, topic in (("txn-tx-rd", "tx-rd"), ("write-tx-older-java", "tx-older-java")):
        need("Ongoing" in tool(ctx, "describe", "--transactional-id", name), f"{name} is not open")
        tool(ctx, "forceTerminateTransaction", "--transactionalId", name)
        until(lambda: re.search(r"\s(CompleteAbort|Empty)\s", tool(ctx, "describe", "--transactional-id", name)),
              f"{name} is not aborted", 10)
        need(len(readers.kcat(ctx.broker, topic)) == 90, f"{topic}: what was aborted is read")
    return "two"


def decoded(ctx):
    """kafka-dump-log reads the transactions' log and the offsets that were committed in transactions."""
    ctx.broker.stop()
    states = dumped(ctx, "__transaction_state-*", "--transaction-log-decoder")
    seen = {int(number) for number in re.findall(r'"transactionStatus":(\d)', states)}
    need(seen >= ALL_STATES, f"states {seen} in {states[:600]}")
    newer, older = (epochs(states, f"write-tx-{who}java") for who in ("", "older-"))
    need(newer >= set(range(13)), f"an end without the next epoch: {sorted(newer)}")
    need(len(older) <= 3, f"the older client's epochs: {sorted(older)}")
    committed = dumped(ctx, "__consumer_offsets-*", "--offsets-decoder")
    need(re.search(r'"group":"offsets-tx-offsets","topic":"tx-offsets","partition":0.*?"offset":7', committed),
         f"no offset of the committed transaction in {committed[:600]}")
    need("endTxnMarker: COMMIT" in committed and "endTxnMarker: ABORT" in committed, f"no marker in {committed[:600]}")
    ctx.broker.start()
    exactly(["7noted"], [f"{offset}{note}" for offset, note in re.findall(
        r'"group":"offsets-tx-offsets","topic":"tx-offsets","partition":0.*?"offset":(7).*?"metadata":"(\w+)"', committed)],
        "the note")
    return f"{len(states.splitlines())} and {len(committed.splitlines())} lines"


def epochs(states, transactional_id):
    """All epochs that an id had, by the transactions' log."""
    lines = [line for line in states.splitlines() if f'"{transactional_id}"' in line]
    need(lines, f"{transactional_id} is not in the log: {states[:600]}")
    return {int(epoch) for line in lines for epoch in re.findall(r'"producerEpoch":(\d+)', line)}


def dumped(ctx, folders, decoder):
    logs = [str(log) for folder in sorted(ctx.broker.log_dir.glob(folders)) for log in folder.glob("*.log")
            if log.stat().st_size]
    need(logs, f"no {folders} holds anything")
    return checks_files.dump(ctx, decoder, "--files", ",".join(logs))


def ledger(ctx):
    """`ringlog producer-perf` in many short transactions: each number once."""
    if ctx.broker.kind != "ringlog":
        return "only against ringlog; scripts/producer-check has it against Kafka"
    ctx.create("tx-perf", PARTITIONS)
    done = subprocess.run([str(ctx.broker.binary), "producer-perf", "--topic", "tx-perf", "--num-records", "6000", "--throughput",
                           "3000", "--payload-monotonic", "--bootstrap-server", ctx.broker.bootstrap, "--transactional-id", "tx-perf",
                           "--transaction-duration-ms", "100"], capture_output=True, text=True, timeout=60)
    need(done.returncode == 0 and "failed" not in done.stderr, f"it ended with {done.returncode}: {done.stderr[-400:]}")
    got = values(readers.kcat(ctx.broker, "tx-perf"))
    need(sorted(map(int, got)) == list(range(6000)), f"{len(got)} values")
    return "6000 records"


CHECKS = {
    "transactions java": java,
    "transactions older java": older_java,
    "transactions confluent-kafka": librdkafka,
    "transactions kcat": kcat,
    "transactions of both versions on one id": turns,
    "transactions fence a zombie": fenced,
    "transactions end at their timeout": timed_out,
    "transactions hold a group's offsets": offsets,
    "transactions kafka-transactions list": administered,
    "transactions a reader waits": waits,
    "transactions kafka-transactions terminate": terminated,
    "transactions producer-perf": ledger,
    "transactions dump-log": decoded,
}
