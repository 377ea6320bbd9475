"""The ledger checks of `perf-extras`: what was written is read, across kill -9, and what was planted is found."""

import json
import re
import signal
import time

from lib import wire
from lib.report import need

LEDGER = re.compile(r"^ledger: (\d+) acknowledged, (\d+) read, (\d+) lost, (\d+) doubled, (\d+) out of order, "
                    r"(\d+) changed \((\d+) failed, (\d+) unknown, (\d+) of both read; (\d+) of others\): (.*)$", re.M)
HEADER = b"ringlog.ledger"
STAMP_LEN = 16


def verdict(out):
    found = LEDGER.search(out)
    need(found, f"no verdict in {out[-400:]}")
    names = ("acknowledged", "read", "lost", "doubled", "out_of_order", "changed", "failed", "unknown", "both", "others")
    return dict(zip(names, map(int, found.groups()[:10])), words=found[11])


def records(ctx, topic):
    """(value, headers) of partition 0 in order: kcat's lines cannot hold a header of any bytes."""
    found, offset = [], 0
    with wire.Connection(wire.leader_port(ctx.broker.port, topic, 0)) as connection:
        while True:
            code, high, data = wire.fetch_answer(connection.ask(wire.fetch(topic, 0, offset)))
            need(code == 0, f"Fetch: error {code}")
            got = [record for record in wire.records_with_headers(data) if record[0] >= offset]
            found += [(value, headers) for _, value, headers in got if headers is not None]
            if not got:
                need(offset == high, f"nothing at {offset} of {high}")
                return found
            offset = got[-1][0] + 1


# Stamps ---------------------------------------------------------------------------------------------------------


def verify(ctx):
    """One command: written, read back, adds up; also on a topic that held other records before."""
    ctx.create("verify")
    how = ("--num-records", 20_000, "--record-size", 100, "--throughput", -1, "--clients", 2)
    for others in (0, 20_000):
        if others:
            ctx.produce("verify", *how)
        out = ctx.produce("verify", *how, "--verify")
        said = verdict(out)
        need(said["acknowledged"] == said["read"] == 20_000 and said["words"] == "adds up", f"{said}")
        need(said["others"] == ctx.ends("verify") - 20_000 == 2 * others, f"{said}")
    return out.splitlines()[-1]


def payloads(ctx):
    """With the stamp in a header the payloads are, byte for byte, those of the same run without a ledger."""
    pieces = ctx.path("pieces.txt")
    pieces.write_text("one\ntwo, twice = 2\n" + "three " * 50 + "\n")
    shapes = {"file": ("--payload-file", pieces), "monotonic": ("--payload-monotonic",), "short": ("--record-size", 9),
              "dist": ("--record-size-dist", "uniform:1..40"),
              "asked": ("--record-size", 100, "--ledger-stamp", "header")}
    for name, how in shapes.items():
        read = {}
        for topic, more in ((f"plain-{name}", ()), (f"stamped-{name}", ("--verify",))):
            ctx.create(topic, 1)
            given = [word for word in how if more or word not in ("--ledger-stamp", "header")]
            out = ctx.produce(topic, "--num-records", 3000, "--throughput", -1, *given, *more)
            read[topic] = records(ctx, topic)
        said = verdict(out)
        need(said["acknowledged"] == said["read"] == 3000 and said["words"] == "adds up", f"{name}: {said}")
        plain, stamped = read.values()
        need([value for value, _ in plain] == [value for value, _ in stamped], f"{name}: other payloads")
        keys = {tuple((key, len(value)) for key, value in headers) for _, headers in stamped}
        need(keys == {((HEADER, STAMP_LEN),)} and len(stamped) == 3000, f"{name}: headers {keys}")
        need(not any(headers for _, headers in plain), f"{name}: a header without a ledger")
    out = ctx.produce("stamped-file", "--num-records", 3000, "--throughput", -1, "--payload-file", pieces, "--verify",
                      "--producer-props", "compression.type=lz4")
    need(verdict(out)["others"] == 3000 and verdict(out)["words"] == "adds up", f"compressed: {out}")
    return f"{', '.join(shapes)}: 3000 payloads each as without a ledger"


def acks_0(ctx):
    """Nothing is acknowledged: all of it is unknown, what was read is told, and nothing counts as lost."""
    ctx.create("acks-0")
    out = ctx.produce("acks-0", "--num-records", 5000, "--record-size", 100, "--throughput", -1, "--verify",
                      "--producer-props", "acks=0")
    said = verdict(out)
    due = {"acknowledged": 0, "lost": 0, "changed": 0, "unknown": 5000, "read": 5000, "both": 5000}
    need(said.items() >= due.items() and said["words"].endswith("0 of 5000 were not read"), f"{said}")
    return said["words"]


# Kill -9 --------------------------------------------------------------------------------------------------------


def killed(ctx, acks, *shape):
    """The broker is killed (-9) and started again in the middle, twice; what was acknowledged is there."""
    topic, ledger = f"killed-{acks}", ctx.path(f"killed-{acks}.ledger")
    if "--transactional-id" in shape:
        topic, ledger = "killed-transactions", ctx.path("killed-transactions.ledger")
    ctx.create(topic)
    process = ctx.start("producer-perf", "--topic", topic, "--duration", 12, "--throughput", 20_000, *shape,
                        "--ledger", ledger, "--producer-props", f"acks={acks}", "delivery.timeout.ms=60000",
                        "request.timeout.ms=10000")
    for _ in range(2):
        time.sleep(2.5)
        ctx.broker.kill()
        ctx.broker.start()
    out, err = process.communicate(timeout=180)
    need(process.returncode == 0, f"{out} {err}")
    kept = json.loads(ledger.read_text())
    need(acks != "all" or not kept["resent"], f"resent {kept['resent']} with idempotence")
    read = ctx.start("consumer-perf", "--topic", topic, "--ledger", ledger, "--timeout", 15_000)
    out, err = read.communicate(timeout=120)
    said = verdict(out)
    need(read.returncode == 0 and said["words"].startswith("adds up"), f"{out[-600:]} {err[-300:]}")
    need(said["acknowledged"] > 30_000 and said["lost"] == said["changed"] == 0, f"{said}")
    return out.splitlines()[-1]


def killed_all(ctx):
    return killed(ctx, "all", "--record-size", 200)


def killed_leader(ctx):
    return killed(ctx, "1", "--payload-monotonic")


# Transactions ---------------------------------------------------------------------------------------------------


def committed(ctx):
    """Records of committed transactions are the acknowledged ones."""
    ctx.create("committed")
    out = ctx.produce("committed", "--num-records", 20_000, "--record-size", 100, "--throughput", 10_000, "--clients", 2,
                      "--transactional-id", "committed", "--transaction-duration-ms", 100, "--verify")
    said = verdict(out)
    need(said["acknowledged"] == said["read"] == 20_000 and said["unknown"] == 0, f"{said}")
    need(said["words"] == "adds up; 0 were aborted, 0 of them read", f"{said}")
    markers = ctx.ends("committed") - 20_000
    need(markers > 20, f"{markers} markers")
    return f"{out.splitlines()[-1]}; {markers} markers"


def aborted(ctx):
    """A transaction that an error stopped is aborted; of what it had written nothing is read. A reader that sees it, and a
    committed record that is missing, are each found."""
    ledger = ctx.path("aborted.ledger")
    ctx.create("aborted", 1)
    process = ctx.start("producer-perf", "--topic", "aborted", "--duration", 20, "--throughput", 2000, "--record-size", 100,
                        "--transactional-id", "aborted", "--transaction-duration-ms", 2500, "--ledger", ledger,
                        "--producer-props", "delivery.timeout.ms=1500", "request.timeout.ms=1000", "linger.ms=0")
    # In the middle of the second transaction: one is committed, and there is something to abort.
    time.sleep(4.2)
    ctx.broker.process.send_signal(signal.SIGSTOP)
    time.sleep(4)
    ctx.broker.process.send_signal(signal.SIGCONT)
    out, err = process.communicate(timeout=90)
    need(process.returncode == 1 and "Expiring" in err, f"exit code {process.returncode}: {out[-300:]} {err[-500:]}")
    said = verdict(ctx.run("consumer-perf", "--topic", "aborted", "--ledger", ledger))
    found = re.fullmatch(r"adds up; (\d+) were aborted, (\d+) of them read", said["words"])
    need(found, f"{said}")
    of_it, read = map(int, found.groups())
    need(said["acknowledged"] == said["read"] > 1000 and of_it > 10 and read == 0, f"{said}")
    written = records(ctx, "aborted")
    seen = len(written) - said["acknowledged"]
    need(0 < seen <= of_it, f"{len(written)} records in the log, {said['acknowledged']} of them committed: nothing to hide")
    faults = (("seen", written, (0, f"{of_it} were aborted, {seen} of them read")),
              ("lost", lose(list(written[:said["acknowledged"]])), (1, f"{of_it} were aborted, 0 of them read")))
    for name, planted_records, (lost, words) in faults:
        topic = f"aborted-{name}"
        ctx.create(topic, 1)
        write(ctx, topic, planted_records)
        wrong = verdict(ctx.run("consumer-perf", "--topic", topic, "--ledger", ledger_of(ctx, ledger, topic), "--timeout",
                                3000, due=1))
        need(wrong["lost"] == lost and wrong["words"] == f"DOES NOT ADD UP; {words}", f"{name}: {wrong}")
    return f"{said['acknowledged']} committed, {of_it} aborted, {seen} of them in the log; read by nobody, planted: found"


def killed_transactions(ctx):
    return killed(ctx, "all", "--record-size", 200, "--transactional-id", "killed", "--transaction-duration-ms", 300)


# Planted faults -------------------------------------------------------------------------------------------------


def planted(ctx):
    """Records that are missing, doubled, reordered or changed, each planted in a topic, are each found, with code 1."""
    found = []
    for stamp in ("payload", "header"):
        source, ledger = f"planted-{stamp}", ctx.path(f"planted-{stamp}.ledger")
        ctx.create(source, 1)
        ctx.produce(source, "--num-records", 1000, "--record-size", 100, "--throughput", -1, "--ledger", ledger,
                    "--ledger-stamp", stamp)
        ctx.run("consumer-perf", "--topic", source, "--ledger", ledger)
        found.append(f"0 honest {stamp}")
        honest = records(ctx, source)
        for name, plant, due in FAULTS:
            if stamp == "payload" and name == "no header":
                continue
            topic = f"{source}-{name.replace(' ', '-')}"
            ctx.create(topic, 1)
            write(ctx, topic, plant(list(honest)))
            said = verdict(ctx.run("consumer-perf", "--topic", topic, "--ledger", ledger_of(ctx, ledger, topic),
                                   "--timeout", 3000, due=1))
            wrong = {key: said[key] for key in ("lost", "doubled", "out_of_order", "changed", "others") if said[key]}
            need(wrong == due and said["words"] == "DOES NOT ADD UP", f"{name}: {said}")
            found.append(f"1 {name}")
    return "exit codes " + ", ".join(found)


def ledger_of(ctx, ledger, topic):
    """The same ledger, as that of another topic."""
    path = ctx.path(f"{topic}.ledger")
    path.write_text(json.dumps(json.loads(ledger.read_text()) | {"topic": topic}))
    return path


def lose(honest):
    del honest[500]
    return honest


def double(honest):
    return honest[:501] + honest[500:]


def reorder(honest):
    honest[500], honest[501] = honest[501], honest[500]
    return honest


def change(honest):
    value, headers = honest[500]
    honest[500] = (value[:50] + bytes([value[50] ^ 1]) + value[51:], headers)
    return honest


def strip(honest):
    honest[500] = (honest[500][0], [])
    return honest


# name, what it does to (value, headers) of each record, what the ledger must say
FAULTS = [
    ("lost", lose, {"lost": 1}), ("doubled", double, {"doubled": 1}), ("out of order", reorder, {"out_of_order": 1}),
    ("changed", change, {"lost": 1, "changed": 1}), ("no header", strip, {"lost": 1, "others": 1}),
]


def write(ctx, topic, values):
    body = b"".join(wire.record(i, value, headers=headers) for i, (value, headers) in enumerate(values))
    batch = wire.batch(values, body=body)
    with wire.Connection(wire.leader_port(ctx.broker.port, topic, 0)) as connection:
        code, _ = wire.produce_error(connection.ask(wire.produce(topic, 0, batch, acks=-1)))
        need(code == 0, f"Produce: error {code}")


CHECKS = [
    ("verify", verify), ("payloads that stay as they are", payloads), ("ledger with acks=0", acks_0),
    ("planted faults are found", planted),
    ("kill -9 twice with acks=all", killed_all), ("kill -9 twice with acks=1", killed_leader),
]
# For brokers that have transactions.
TRANSACTION_CHECKS = [
    ("transactions: committed", committed), ("transactions: aborted", aborted),
    ("transactions: kill -9 twice", killed_transactions),
]
