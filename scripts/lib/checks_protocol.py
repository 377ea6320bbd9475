"""Groups of the consumer protocol (KIP-848), on a broker of their own whose members are missed soon: the console consumer and
librdkafka, members that come, are killed and follow a pattern, what the tools say, and what a restart leaves."""

import json
import re
import signal
import subprocess
import threading

from lib import ledger, peers, readers, writers
from lib.checks_files import dump, files
from lib.checks_groups import until
from lib.ledger import Sent
from lib.report import need

SETTINGS = {"group.consumer.min.session.timeout.ms": 6000, "group.consumer.session.timeout.ms": 6000,
            "group.consumer.min.heartbeat.interval.ms": 500, "group.consumer.heartbeat.interval.ms": 500,
            "group.consumer.assignment.interval.ms": 100}
PROTOCOL = {"group.protocol": "consumer"}
CONSOLE = ("--consumer-property", "group.protocol=consumer")


class Member:
    """A member of librdkafka's that runs until it is ended; its records and its partitions are read while it runs."""

    def __init__(self, ctx, topic, group, **config):
        settings = {"bootstrap.servers": ctx.broker.bootstrap, "broker.address.family": "v4", "group.id": group,
                    "auto.offset.reset": "earliest", **PROTOCOL, **config}
        self.lines, self.partitions = [], set()
        self.process = subprocess.Popen(
            [peers.librdkafka_python(), peers.HERE / "librdkafka_client.py", "member", json.dumps(settings), topic],
            stdout=subprocess.PIPE)
        threading.Thread(target=self.drain, daemon=True).start()

    def drain(self):
        for line in self.process.stdout:
            said = json.loads(line)
            if isinstance(said, dict):
                self.partitions = {(topic, number) for topic, number in said["assigned"]}
            else:
                self.lines.append(line.decode())

    def records(self):
        return readers.parse_json("".join(self.lines))

    def end(self, sign=signal.SIGTERM):
        self.process.send_signal(sign)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def send(ctx, topic, partitions, count, mark):
    sent = []
    for partition in range(partitions):
        lines = [f"{mark}-{partition}-{i}".encode() for i in range(count)]
        readers.client([peers.kcat(), "-P", "-b", ctx.broker.bootstrap, "-t", topic, "-p", partition],
                       b"\n".join(lines) + b"\n")
        sent += [Sent(line, partition=partition) for line in lines]
    return sent


def tool(ctx, *arguments):
    result = ctx.tools.run("kafka-consumer-groups", "--bootstrap-server", ctx.broker.bootstrap, *arguments)
    return result.out + result.err


def features(ctx):
    out = ctx.tools("kafka-features", "--bootstrap-server", ctx.broker.bootstrap, "describe").out
    need(re.search(r"Feature: group.version\s+SupportedMinVersion: 0\s+SupportedMaxVersion: 1\s+FinalizedVersionLevel: 1", out),
         f"group.version is not finalized at 1: {out}")
    return "group.version 1"


def halves(ctx):
    """librdkafka reads a part, leaves, and goes on there."""
    ctx.create("protocol-in", 3)
    ctx.group_sent = writers.kcat(ctx.broker, "protocol-in", 600, keys=True)
    parts = [readers.parse_json(readers.librdkafka_program("group", ctx.broker, "protocol-in",
                                                           {"group.id": "p-rd", **PROTOCOL}, count))
             for count in (260, 340)]
    return ledger.compare(ctx.group_sent, parts[0] + parts[1])


def console(ctx, count):
    read = readers.Console(ctx.tools)(ctx.broker, "protocol-in", count, ("--group", "p-console", *CONSOLE))
    need(read, "the console consumer read nothing")
    return read


def restart(ctx):
    """The console consumer reads a part, the broker is killed and started again, and it goes on there."""
    ctx.console_read = console(ctx, 250)
    ctx.broker.kill()
    ctx.broker.start()
    return ledger.compare(ctx.group_sent, ctx.console_read + console(ctx, 600 - len(ctx.console_read)))


def share(ctx):
    """A second member takes over partitions, is killed, and the first one has them again; every record arrives once."""
    topic = "protocol-two"
    ctx.create(topic, 4)
    members = [Member(ctx, topic, "p-two")]
    try:
        until(lambda: len(members[0].partitions) == 4, "the first member is not assigned all partitions")
        members.append(Member(ctx, topic, "p-two"))
        until(lambda: all(len(member.partitions) == 2 for member in members),
              lambda: f"two and two, but {[member.partitions for member in members]}")
        need(not members[0].partitions & members[1].partitions, "a partition is with both")
        sent = send(ctx, topic, 4, 50, "both")
        until(lambda: sum(len(member.records()) for member in members) >= len(sent), "not everything arrives")
        said = seen_by_tools(ctx)
        members[1].end(signal.SIGKILL)
        until(lambda: len(members[0].partitions) == 4, "the first member does not get the killed one's partitions")
        more = send(ctx, topic, 4, 50, "one")
        until(lambda: {record.value for record in members[0].records()} >= {one.value for one in more},
              "what came afterwards does not arrive")
        late = [record for record in members[0].records() if record.value.startswith(b"one")]
        ledger.compare(more, late, 50)
        return said
    finally:
        for member in members:
            member.end()


def seen_by_tools(ctx):
    state = tool(ctx, "--describe", "--group", "p-two", "--state")
    need(re.search(r"^p-two\s.*\buniform\s+Stable\s+2\s*$", state, re.M), f"--state: {state}")
    lines = tool(ctx, "--describe", "--group", "p-two", "--members", "--verbose")
    need(len(re.findall(r"^p-two\s", lines, re.M)) == 2, f"--members: {lines}")
    listed = tool(ctx, "--list", "--type", "consumer", "--state")
    need(re.search(r"^p-two\s+Consumer\s+Stable\s*$", listed, re.M), f"--list: {listed}")
    need("p-two" not in tool(ctx, "--list", "--type", "classic").split(), "listed as a classic group")
    need("not empty" in tool(ctx, "--delete", "--group", "p-two"), "a group with members was deleted")
    return "two members, stable, uniform"


def pattern(ctx):
    """A pattern that the broker resolves: a topic that comes later is read too."""
    ctx.create("pattern-a", 2)
    member = Member(ctx, "^pattern-.*", "p-pattern")
    try:
        until(lambda: len(member.partitions) == 2, "the topic that is there is not assigned")
        ctx.create("pattern-b", 3)
        until(lambda: len(member.partitions) == 5, "the topic that came later is not assigned", 60)
        return "2 partitions, then 5"
    finally:
        member.end()


def settings(ctx):
    """A group's own settings: between the broker's limits."""
    at = ("kafka-configs", "--bootstrap-server", ctx.broker.bootstrap, "--entity-type", "groups", "--entity-name", "p-two")
    result = ctx.tools.run(*at, "--alter", "--add-config", "consumer.session.timeout.ms=7000")
    need(result.code == 0, f"alter: {result.out}{result.err}")
    result = ctx.tools.run(*at, "--describe")
    need("consumer.session.timeout.ms=7000" in result.out, f"describe: {result.out}{result.err}")
    result = ctx.tools.run(*at, "--alter", "--add-config", "consumer.session.timeout.ms=1000")
    need("greater than or equal to group.consumer.min.session.timeout.ms" in result.out + result.err,
         f"too short: {result.out}{result.err}")
    return "7000 ms, not 1000"


def deleted(ctx):
    until(lambda: re.search(r"^p-two\s.*\bEmpty\s+0\s*$", tool(ctx, "--describe", "--group", "p-two", "--state"), re.M),
          "the group is not empty")
    need("was successful" in tool(ctx, "--delete", "--group", "p-two"), "not deleted")
    need("p-two" not in tool(ctx, "--list").split(), "still listed")


def decoded(ctx):
    """kafka-dump-log reads what the coordinator wrote."""
    code = ctx.broker.stop()
    need(code in (0, 143), f"it does not stop cleanly: {code}")
    folders = [folder.name for folder in ctx.broker.log_dir.glob("__consumer_offsets-*")]
    out = "".join(dump(ctx, "--offsets-decoder", "--files", files(ctx, folder, "log")) for folder in folders
                  if (ctx.broker.log_dir / folder / f"{0:020}.log").stat().st_size)
    kinds = [kind for kind in ("3", "5", "6", "7", "8", "16") if re.search(rf'key: {{"type":"{kind}"', out)]
    need(kinds == ["3", "5", "6", "7", "8", "16"], f"kinds of records: {kinds} in {out[:2000]}")
    return f"{len(kinds)} kinds of records"


CHECKS = {"protocol is a feature": features, "protocol librdkafka in two halves": halves,
          "protocol console-consumer goes on after a kill": restart, "protocol members share, one is killed": share,
          "protocol pattern": pattern, "protocol group settings": settings, "protocol group deleted": deleted,
          "protocol records decoded": decoded}
