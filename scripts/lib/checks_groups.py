"""Consumer groups: kcat -G, librdkafka, the console consumer, two members that share, and what a restart leaves."""

import re
import subprocess
import threading
import time

from lib import ledger, peers, readers, writers
from lib.ledger import Sent
from lib.report import Failed, need


def run(ctx):
    topic = "group-in"
    if not ctx.report.wants(ctx.name("groups")):
        return
    ctx.create(topic, 3)
    ctx.group_sent = writers.kcat(ctx.broker, topic, 600, keys=True)
    ctx.check("groups kcat -G", whole, ctx, topic, lambda: readers.kcat_group(ctx.broker, topic, "g-kcat", 600))
    ctx.check("groups kcat -G offsets kept", described, ctx, "g-kcat", 600)
    ctx.check("groups librdkafka in two halves", halves, ctx, topic)
    ctx.check("groups two members share", two_members, ctx)
    ctx.check("groups kafka-consumer-groups resets, deletes", administered, ctx)
    ctx.check("groups console-consumer first part", console_part, ctx, topic, 250)


def run_after_restart(ctx):
    if ctx.console_read:
        ctx.check("groups console-consumer continues after restart", console_rest, ctx, "group-in")


def whole(ctx, _topic, read):
    return ledger.compare(ctx.group_sent, read())


def described(ctx, group, total):
    """kafka-consumer-groups shows what the group committed."""
    out = ctx.tools("kafka-consumer-groups", "--bootstrap-server", ctx.broker.bootstrap, "--describe",
                    "--group", group).out
    rows = re.findall(rf"^{group}\s+\S+\s+(\d+)\s+(\d+)\s+(\d+)\s+(\d+)", out, re.M)
    need(sum(int(row[1]) for row in rows) == total, f"committed {rows} where the sum should be {total}: {out}")
    need(all(row[1] == row[2] and row[3] == "0" for row in rows), f"offset, end, lag: {rows}")
    return f"{[int(row[1]) for row in rows]}"


def halves(ctx, topic):
    first = readers.librdkafka_group(ctx.broker, topic, "g-rd", 260)
    need(len(first) == 260, f"the first run read {len(first)}")
    rest = readers.librdkafka_group(ctx.broker, topic, "g-rd", 340)
    return ledger.compare(ctx.group_sent, first + rest)


def console_read(ctx, topic, count):
    return readers.Console(ctx.tools)(ctx.broker, topic, count, ("--group", "g-console"))


def console_part(ctx, topic, count):
    ctx.console_read = console_read(ctx, topic, count)
    need(len(ctx.console_read) == count, f"read {len(ctx.console_read)}")
    return f"{count} records"


def console_rest(ctx, topic):
    rest = console_read(ctx, topic, 600 - len(ctx.console_read))
    return ledger.compare(ctx.group_sent, ctx.console_read + rest)


def administered(ctx):
    """An offset that is reset is where the group goes on; deleted offsets and groups are gone."""
    def tool(*arguments):
        result = ctx.tools.run("kafka-consumer-groups", "--bootstrap-server", ctx.broker.bootstrap, *arguments)
        return result.code, result.out + result.err

    group = ("--group", "g-admin")
    need(len(readers.kcat_group(ctx.broker, "group-in", "g-admin", 600)) == 600, "the group did not read all")
    code, out = tool("--reset-offsets", *group, "--topic", "group-in:0", "--to-offset", 5, "--execute")
    need(code == 0 and re.search(r"g-admin\s+group-in\s+0\s+5", out), f"reset: {code} {out}")
    rest = readers.kcat_group(ctx.broker, "group-in", "g-admin", 1)
    need(rest and (rest[0].partition, rest[0].offset) == (0, 5), f"after the reset the group reads {rest[:1]}")
    code, out = tool("--delete-offsets", *group, "--topic", "group-in:1")
    need(code == 0 and re.search(r"group-in\s+1\s+Successful", out), f"delete-offsets: {code} {out}")
    code, out = tool("--describe", *group)
    rows = dict(re.findall(r"^g-admin\s+group-in\s+(\d)\s+(\S+)", out, re.M))
    need(rows.get("1", "-") == "-" and rows.get("2", "-") != "-", f"offsets after one was deleted: {out}")
    code, out = tool("--delete", *group)
    need("was successful" in out, f"delete: {code} {out}")
    code, out = tool("--delete", *group)
    need("GroupIdNotFoundException" in out, f"a second delete: {code} {out}")
    need("g-admin" not in tool("--list")[1].split(), "still listed")
    return f"{len(rows)} offsets, then none"


class Member:
    """A kcat -G that runs until it is ended; its records and its assignment are read while it runs."""

    def __init__(self, ctx, topic, group):
        self.out, self.err = bytearray(), bytearray()
        self.process = subprocess.Popen(
            [peers.kcat(), "-u", "-b", ctx.broker.bootstrap, "-G", group, "-f", readers.KCAT_FORMAT,
             "-X", "auto.offset.reset=earliest", "-X", "session.timeout.ms=6000", "-X", "heartbeat.interval.ms=500",
             topic], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for pipe, store in ((self.process.stdout, self.out), (self.process.stderr, self.err)):
            threading.Thread(target=self.drain, args=(pipe, store), daemon=True).start()

    @staticmethod
    def drain(pipe, store):
        while piece := pipe.read1(65536):
            store += piece

    def assigned(self):
        """The partitions of the latest assignment, or nothing."""
        lines = [line for line in bytes(self.err).split(b"\n") if b"rebalanced" in line]
        return set(re.findall(rb"\[(\d+)\]", lines[-1])) if lines and b"assigned" in lines[-1] else set()

    def records(self):
        return readers.parse_kcat(bytes(self.out)[:bytes(self.out).rfind(b"\n") + 1])

    def end(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def two_members(ctx):
    """A second member takes over partitions; what is sent then arrives once, at one of the two."""
    topic = "group-two"
    ctx.create(topic, 4)
    members = [Member(ctx, topic, "g-two")]
    try:
        until(lambda: len(members[0].assigned()) == 4, "the first member is not assigned all partitions")
        members.append(Member(ctx, topic, "g-two"))
        until(lambda: all(len(m.assigned()) == 2 for m in members), "the two members do not share two and two")
        sent = []
        for partition in range(4):
            lines = [f"two-{partition}-{i}".encode() for i in range(50)]
            readers.client([peers.kcat(), "-P", "-b", ctx.broker.bootstrap, "-t", topic, "-p", partition],
                           b"\n".join(lines) + b"\n")
            sent += [Sent(line, partition=partition) for line in lines]
        until(lambda: sum(len(m.records()) for m in members) >= len(sent), "the members do not receive everything")
        need(all(members[i].records() for i in (0, 1)), "one member received nothing")
        return ledger.compare(sent, members[0].records() + members[1].records())
    finally:
        for member in members:
            member.end()


def until(condition, text, limit_s=30):
    end = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > end:
            raise Failed(f"{text() if callable(text) else text} within {limit_s} s")
        time.sleep(0.1)
