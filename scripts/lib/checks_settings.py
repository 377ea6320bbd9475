"""kafka-configs on brokers, clients and users, kafka-metadata-quorum, kafka-features, kafka-leader-election, kafka-transactions,
kafka-reassign-partitions: what an administrator sets counts at once, is told with where it comes from, and is there after a
restart.
"""

import json
import re
import threading
import time

from lib import ledger, readers, wire, writers
from lib.report import need

KEPT = "log.segment.delete.delay.ms=61000"  # looked for after the restart


def run(ctx):
    check = ctx.check
    check("settings of all brokers", cluster_wide, ctx)
    check("settings of one broker", per_broker, ctx)
    check("settings that cannot change", read_only, ctx)
    check("settings of what is listed", lists, ctx)
    check("settings kept for later", keep, ctx)
    check("quotas of a producer", produce_quota, ctx)
    check("quotas of a consumer", fetch_quota, ctx)
    check("quotas of time", request_quota, ctx)
    check("quotas of changes of topics", mutation_quota, ctx)
    check("quotas of connections", connection_quota, ctx)
    check("scram credentials", scram, ctx)
    check("quorum described", quorum, ctx)
    check("features described, and not lowered", features, ctx)
    check("leaders elected", elections, ctx)
    check("producers described", producers, ctx)
    check("reassignments", reassignments, ctx)
    if ctx.broker.shards > 1:
        check("partitions moved between shards", moves, ctx)


def run_after_restart(ctx):
    ctx.check("settings after a restart", kept, ctx)


def at(ctx):
    return ("--bootstrap-server", ctx.broker.bootstrap)


def nodes(ctx):
    with wire.Connection(ctx.broker.port) as connection:
        return sorted(wire.brokers_and_topics(connection.ask(wire.metadata([])))[0])


def leader(ctx, topic):
    with wire.Connection(ctx.broker.port) as connection:
        _, topics = wire.brokers_and_topics(connection.ask(wire.metadata([topic])))
    return topics[topic][1][0][1]


def alter(ctx, *arguments):
    """What kafka-configs --alter says; it must exit with 0."""
    return ctx.tools("kafka-configs", *at(ctx), "--alter", *arguments).out


def brokers(ctx, node):
    return ("--entity-type", "brokers", *(("--entity-default",) if node is None else ("--entity-name", node)))


def described(ctx, node):
    """{name: (value, synonyms)} as kafka-configs --describe says of a broker, or of all (None): what was set of them."""
    more = () if node is None else ("--all",)
    out = ctx.tools("kafka-configs", *at(ctx), "--describe", *brokers(ctx, node), *more).out
    return {m[1]: (m[2], m[3]) for m in re.finditer(r"^\s+([\w.]+)=(\S*) sensitive=\w+ synonyms=\{(.*)\}", out, re.M)}


def too_large(ctx, topic):
    return writers.refused(ctx.broker, topic, b"k", b"x" * 5000)


def until(seconds, question):
    """Waits until a question is answered with yes."""
    end = time.monotonic() + seconds
    while not (answer := question()) and time.monotonic() < end:
        time.sleep(0.1)
    return answer


def cluster_wide(ctx):
    """A limit for all topics that have none of their own holds on every shard, and goes again."""
    ctx.create("settings-all", 2)
    ctx.create("settings-own", 1, (("max.message.bytes", "100000"),))
    alter(ctx, *brokers(ctx, None), "--add-config", "message.max.bytes=1000,log.cleanup.policy=[compact,delete]")
    said = until(5, lambda: too_large(ctx, "settings-all"))
    need(said and "Message size too large" in said, f"a record of 5,000 bytes: {said}")
    need(too_large(ctx, "settings-own") is None, "a topic's own limit does not count before the brokers'")
    value, synonyms = described(ctx, None)["message.max.bytes"]
    need(value == "1000" and synonyms == "DYNAMIC_DEFAULT_BROKER_CONFIG:message.max.bytes=1000", f"{value} {synonyms}")
    for node in nodes(ctx):
        told = described(ctx, node)
        value, synonyms = told["message.max.bytes"]
        need(value == "1000" and synonyms.startswith("DYNAMIC_DEFAULT_BROKER_CONFIG:message.max.bytes=1000, "),
             f"broker {node} says {value} {synonyms}")
        need(told["log.cleanup.policy"][0] == "compact,delete", f"broker {node} says {told['log.cleanup.policy']}")
    out = ctx.tools("kafka-configs", *at(ctx), "--describe", "--all", "--entity-type", "topics", "--entity-name", "settings-all").out
    need("max.message.bytes=1000 sensitive=false synonyms={DYNAMIC_DEFAULT_BROKER_CONFIG:message.max.bytes=1000" in out, out)
    alter(ctx, *brokers(ctx, None), "--delete-config", "message.max.bytes,log.cleanup.policy")
    need(until(5, lambda: too_large(ctx, "settings-all") is None), "the limit is still there")
    need(described(ctx, None).get("message.max.bytes") is None, "it is still described")
    return f"on {len(nodes(ctx))} broker(s)"


def per_broker(ctx):
    """What is set of one broker counts there before what is set of all."""
    ctx.create("settings-one", 1)
    node = leader(ctx, "settings-one")
    alter(ctx, *brokers(ctx, None), "--add-config", "message.max.bytes=100000")
    alter(ctx, *brokers(ctx, node), "--add-config", "message.max.bytes=1000,log.retention.ms=86400000")
    need(until(5, lambda: too_large(ctx, "settings-one")), "a record of 5,000 bytes is taken")
    told = described(ctx, node)
    for name, due in {
        "message.max.bytes": "DYNAMIC_BROKER_CONFIG:message.max.bytes=1000, "
                             "DYNAMIC_DEFAULT_BROKER_CONFIG:message.max.bytes=100000, ",
        "log.retention.ms": "DYNAMIC_BROKER_CONFIG:log.retention.ms=86400000, ",
    }.items():
        need(told[name][1].startswith(due), f"{name}: {told[name]}")
    alter(ctx, *brokers(ctx, node), "--delete-config", "message.max.bytes,log.retention.ms")
    alter(ctx, *brokers(ctx, None), "--delete-config", "message.max.bytes")
    need(until(5, lambda: too_large(ctx, "settings-one") is None), "the limit is still there")
    return f"broker {node}"


def read_only(ctx):
    node = nodes(ctx)[0]
    for change, due in {
        "num.partitions=3": "Cannot update these configs dynamically: [num.partitions]",
        "log.retention.ms=x": "Not a number of type LONG",
        "log.flush.interval.messages=0": "Value must be at least 1",
    }.items():
        result = ctx.tools.run("kafka-configs", *at(ctx), "--alter", *brokers(ctx, node), "--add-config", change)
        need(result.code == 1 and due in result.out + result.err, f"{change}: {result.code} {result.out} {result.err}")
    told = described(ctx, node)
    kept_all = [name for name in ("num.partitions", "log.retention.ms") if "DYNAMIC" in told[name][1]]
    need(not kept_all, f"kept: {kept_all}")
    return "refused"


def lists(ctx):
    """kafka-configs --describe without a name asks which resources there are."""
    out = ctx.tools("kafka-configs", *at(ctx), "--describe", "--entity-type", "topics").out
    need("Dynamic configs for topic settings-all are:" in out, out[-300:])
    out = ctx.tools("kafka-configs", *at(ctx), "--describe", "--entity-type", "brokers").out
    missing = [node for node in nodes(ctx) if f"Dynamic configs for broker {node} are:" not in out]
    need(not missing and "Default configs for brokers in the cluster are:" in out, out[-300:])
    return "topics and brokers"


def keep(ctx):
    alter(ctx, *brokers(ctx, None), "--add-config", KEPT)
    alter(ctx, "--entity-type", "clients", "--entity-name", "kept", "--add-config", "request_percentage=55")
    return KEPT


def kept(ctx):
    name, value = KEPT.split("=")
    for node in nodes(ctx):
        need(described(ctx, node)[name][0] == value, f"broker {node} says {described(ctx, node).get(name)}")
    need("request_percentage=55.0" in quotas_of(ctx, "kept"), quotas_of(ctx, "kept"))
    alter(ctx, *brokers(ctx, None), "--delete-config", name)
    alter(ctx, "--entity-type", "clients", "--entity-name", "kept", "--delete-config", "request_percentage")
    return KEPT


# Quotas ---------------------------------------------------------------------------------------------------------


def quotas_of(ctx, client):
    return ctx.tools("kafka-configs", *at(ctx), "--describe", "--entity-type", "clients", "--entity-name", client).out


def throttled(ctx, client, payload, read):
    """The throttle times that answers on one connection have, and how long the last of them took to come."""
    times, began = [], time.monotonic()
    with wire.Connection(wire.leader_port(ctx.broker.port, "settings-quota"), timeout_s=30) as connection:
        for _ in range(3):
            asked = time.monotonic()
            times.append((read(connection.ask(payload)), time.monotonic() - asked))
    return times, time.monotonic() - began


def produce_quota(ctx):
    """Above its rate a client is told how long it waits, and is not read for so long."""
    ctx.create("settings-quota", 1)
    alter(ctx, "--entity-type", "clients", "--entity-name", "raw", "--add-config", "producer_byte_rate=10000")
    need("producer_byte_rate=10000.0" in quotas_of(ctx, "raw"), quotas_of(ctx, "raw"))
    time.sleep(0.5)
    payload = wire.produce("settings-quota", 0, wire.batch([b"x" * 60_000]))

    def read(cursor):
        cursor.take("i"), cursor.string(), cursor.take("i"), cursor.take("i")
        need(cursor.take("h") == 0, "not taken")
        cursor.take("qqq")
        return cursor.take("i")
    times, _ = throttled(ctx, "raw", payload, read)
    waits = [wait for wait, _ in times]
    need(waits[0] == 0 and 1_000 < waits[1] < 3_500, f"throttle times {waits}")
    need(times[2][1] >= waits[1] / 1000 - 0.2, f"the third answer came after {times[2][1]:.2f} s, due after {waits[1]} ms")
    alter(ctx, "--entity-type", "clients", "--entity-name", "raw", "--delete-config", "producer_byte_rate")
    need("producer_byte_rate" not in quotas_of(ctx, "raw"), "still described")
    return f"told to wait {waits} ms"


def fetch_quota(ctx):
    """Above its rate a consumer's answer is empty, and says how long it waits."""
    alter(ctx, "--entity-type", "clients", "--entity-name", "raw", "--add-config", "consumer_byte_rate=10000")
    time.sleep(0.5)

    def read(cursor):
        throttle, count = cursor.take("i"), cursor.take("i")
        return throttle, count
    payload = wire.fetch("settings-quota", 0, 0, max_bytes=70_000)  # one batch: more than its quota allows is held at once
    times, _ = throttled(ctx, "raw", payload, read)
    told = [answer for answer, _ in times]
    need(told[0][0] == 0 and told[0][1] == 1, f"the first answer: {told[0]}")
    held = [(wait, took) for ((wait, count), _), (_, took) in zip(times, times[1:]) if wait > 0 and count == 0]
    need(held and all(took >= wait / 1000 - 0.2 for wait, took in held), f"(throttle, topics), seconds: {times}")
    alter(ctx, "--entity-type", "clients", "--entity-name", "raw", "--delete-config", "consumer_byte_rate")
    return f"told to wait {[wait for wait, _ in held]} ms"


def request_quota(ctx):
    """A client whose requests take more of a broker's threads than its share is told so, and is not read for so long."""
    alter(ctx, "--entity-type", "clients", "--entity-name", "raw", "--add-config", "request_percentage=0.01")
    time.sleep(0.5)
    with wire.Connection(ctx.broker.port, timeout_s=30) as connection:
        waits = []
        while len(waits) < 500 and not any(waits):
            waits.append(connection.ask(wire.metadata(None)).take("i"))
        asked = time.monotonic()
        connection.ask(wire.metadata(None))
        took = time.monotonic() - asked
    need(0 < waits[-1] <= 1_000, f"{len(waits)} throttle times, the last {waits[-5:]}")
    need(took >= waits[-1] / 1000 - 0.2, f"the next answer came after {took:.2f} s, due after {waits[-1]} ms")
    alter(ctx, "--entity-type", "clients", "--entity-name", "raw", "--delete-config", "request_percentage")
    return f"the {len(waits)}th of its requests waits {waits[-1]} ms"


def mutation_quota(ctx):
    """Eleven seconds of the rate are there at once, and may be overdrawn once: then a newer request is refused, an older one waits."""
    alter(ctx, "--entity-type", "clients", "--entity-name", "raw", "--add-config", "controller_mutation_rate=1")
    time.sleep(0.5)

    def create(topic, partitions, is_newer=True):
        """Error and throttle time."""
        with wire.Connection(ctx.broker.port, timeout_s=30) as connection:
            if is_newer:
                cursor = connection.ask(wire.create_topic_v6(topic, partitions))
                _, wait, _, name = cursor.take("bibb")
                cursor.bytes(name - 1)
            else:
                cursor = connection.ask(wire.create_topic(topic, partitions))
                wait, _, _ = cursor.take("i"), cursor.take("i"), cursor.string()
            return cursor.take("h"), wait
    made, refused = create("settings-mutations", 14), create("settings-refused", 1)
    need(made == (0, 0), f"the first: error and throttle time {made}")
    need(refused[0] == 89 and 1_000 < refused[1] <= 4_000, f"the second: error and throttle time {refused}")
    served = create("settings-waits", 2, is_newer=False)
    need(served[0] == 0 and refused[1] < served[1] <= 6_000, f"an older request: error and throttle time {served}")
    alter(ctx, "--entity-type", "clients", "--entity-name", "raw", "--delete-config", "controller_mutation_rate")
    time.sleep(0.5)
    freed = create("settings-refused", 1)
    need(freed == (0, 0), f"without a quota: error and throttle time {freed}")
    return f"refused with {refused[1]} ms, older ones wait {served[1]} ms"


def connection_quota(ctx):
    """Above its address's rate a connection is closed, and nobody answers on it."""
    address = ("--entity-type", "ips", "--entity-name", "127.0.0.1")
    alter(ctx, *address, "--add-config", "connection_creation_rate=3")
    time.sleep(0.5)
    answered = turned_away = 0
    for _ in range(60):
        try:
            with wire.Connection(ctx.broker.port, timeout_s=5) as connection:
                connection.ask(wire.metadata([]))
                answered += 1
        except (wire.Closed, ConnectionError):
            turned_away += 1
    # Ten seconds of the rate, and what the tool had taken of it; a window goes by while the others wait to be turned away.
    need(15 <= answered < 50 and turned_away > 5, f"{answered} answered, {turned_away} turned away")
    time.sleep(5)  # some are let in again
    alter(ctx, *address, "--delete-config", "connection_creation_rate")
    return f"{answered} answered, {turned_away} turned away"


def scram(ctx):
    user = ("--entity-type", "users", "--entity-name", "alice")
    # Of a user, one credential in a request: Kafka takes no more.
    alter(ctx, *user, "--add-config", "SCRAM-SHA-256=[iterations=8192,password=secret]")
    alter(ctx, *user, "--add-config", "SCRAM-SHA-512=[password=secret]")
    out = ctx.tools("kafka-configs", *at(ctx), "--describe", *user).out
    need("SCRAM-SHA-256=iterations=8192" in out and "SCRAM-SHA-512=iterations=4096" in out, out)
    alter(ctx, *user, "--delete-config", "SCRAM-SHA-256")
    alter(ctx, *user, "--delete-config", "SCRAM-SHA-512")
    out = ctx.tools("kafka-configs", *at(ctx), "--describe", *user).out
    need("SCRAM credential" not in out, out)
    return "set, told, removed"


# What a single host answers -------------------------------------------------------------------------------------


def quorum(ctx):
    out = ctx.tools("kafka-metadata-quorum", *at(ctx), "describe", "--status").out
    said = dict(re.findall(r"^(\w+):\s+(.*?)\s*$", out, re.M))
    need(said.get("LeaderId") == str(nodes(ctx)[0]) and said.get("MaxFollowerLag") == "0", out)
    need(int(said["LeaderEpoch"]) > 0 and int(said["HighWatermark"]) > 0, out)
    out = ctx.tools("kafka-metadata-quorum", *at(ctx), "describe", "--replication").out
    roles = re.findall(r"(Leader|Follower|Observer)\s*$", out, re.M)
    need(roles == ["Leader"] + ["Observer"] * (len(nodes(ctx)) - 1), out)
    return f"epoch {said['LeaderEpoch']}, high watermark {said['HighWatermark']}"


def features(ctx):
    out = ctx.tools("kafka-features", *at(ctx), "describe").out
    need(re.search(r"Feature: metadata.version.*FinalizedVersionLevel: 4.3", out), out)
    result = ctx.tools.run("kafka-features", *at(ctx), "upgrade", "--feature", "metadata.version=99")
    need(result.code == 1, f"{result.code} {result.out}")
    return (result.out + result.err).strip().splitlines()[0]


def elections(ctx):
    ctx.create("settings-elect", 2)
    out = ctx.tools("kafka-leader-election", *at(ctx), "--election-type", "preferred", "--topic", "settings-elect",
                    "--partition", 0).out
    need("Valid replica already elected for partitions settings-elect-0" in out, out)
    ctx.tools("kafka-leader-election", *at(ctx), "--election-type", "preferred", "--all-topic-partitions")
    return out.strip()


def producers(ctx):
    ctx.create("settings-producers", 1)
    sent = writers.librdkafka(ctx.broker, "settings-producers", 50, {"enable.idempotence": True})
    need(len(readers.kcat(ctx.broker, "settings-producers")) == len(sent), "not all is there")
    out = ctx.tools("kafka-transactions", *at(ctx), "describe-producers", "--topic", "settings-producers", "--partition", 0).out
    rows = [line.split() for line in out.splitlines()[1:] if line.strip()]
    need(len(rows) == 1 and rows[0][1] == "0" and int(rows[0][3]) == len(sent) - 1, f"{out!r}")
    return f"producer {rows[0][0]}, last sequence {rows[0][3]}"


def reassignments(ctx):
    out = ctx.tools("kafka-reassign-partitions", *at(ctx), "--list").out
    need("No partition reassignments found." in out, out)
    return "none"


def moves(ctx):
    """A partition goes from one shard to the other and back while it is written: nothing is lost, doubled or out of order."""
    ctx.create("settings-move", 1)
    sent, failed = [], []

    def write():
        try:
            sent.extend(writers.librdkafka(ctx.broker, "settings-move", 5000, {"enable.idempotence": True}))
        except Exception as error:  # noqa: BLE001: it is told below
            failed.append(error)
    writing = threading.Thread(target=write)
    writing.start()
    count = 0
    while writing.is_alive() or count < 4:
        before = leader(ctx, "settings-move")
        to = next(node for node in nodes(ctx) if node != before)
        plan = ctx.folder / "moves.json"
        plan.write_text(json.dumps({"version": 1, "partitions": [
            {"topic": "settings-move", "partition": 0, "replicas": [to]}]}))
        ctx.tools("kafka-reassign-partitions", *at(ctx), "--execute", "--reassignment-json-file", plan)
        need(until(10, lambda: leader(ctx, "settings-move") == to), f"node {to} does not lead it")
        out = ctx.tools("kafka-reassign-partitions", *at(ctx), "--verify", "--reassignment-json-file", plan).out
        need("Reassignment of partition settings-move-0 is completed." in out, out)
        count += 1
    writing.join()
    need(not failed, f"a writer: {failed[:1]}")
    ledger.compare(sent, readers.kcat(ctx.broker, "settings-move"))
    return f"{count} moves, {len(sent)} records"
