"""kafka-topics, kafka-broker-api-versions, kafka-get-offsets, kafka-configs, kcat -L and -Q."""

import json
import re

from lib import ledger, peers, readers, writers
from lib.report import need

# What Apache Kafka 4.3 advertises for the requests that a first whole needs: name -> (key, least, greatest).
VERSIONS = {
    "Produce": (0, 0, 13), "Fetch": (1, 4, 18), "ListOffsets": (2, 1, 11), "Metadata": (3, 0, 13),
    "OffsetCommit": (8, 2, 10), "OffsetFetch": (9, 1, 10), "FindCoordinator": (10, 0, 6), "JoinGroup": (11, 0, 9),
    "Heartbeat": (12, 0, 4), "LeaveGroup": (13, 0, 5), "SyncGroup": (14, 0, 5), "SaslHandshake": (17, 0, 1),
    "ApiVersions": (18, 0, 4), "SaslAuthenticate": (36, 0, 2),
    "CreateTopics": (19, 2, 7), "DeleteTopics": (20, 1, 6), "DeleteRecords": (21, 0, 2), "InitProducerId": (22, 0, 5),
    "OffsetForLeaderEpoch": (23, 2, 4), "DescribeConfigs": (32, 1, 4), "AlterConfigs": (33, 0, 2),
    "AlterReplicaLogDirs": (34, 1, 2), "DescribeLogDirs": (35, 1, 5), "CreatePartitions": (37, 0, 3), "DeleteGroups": (42, 0, 2),
    "DescribeAcls": (29, 1, 3), "CreateAcls": (30, 1, 3), "DeleteAcls": (31, 1, 3),
    "ElectLeaders": (43, 0, 2), "IncrementalAlterConfigs": (44, 0, 1), "AlterPartitionReassignments": (45, 0, 1),
    "ListPartitionReassignments": (46, 0, 0), "OffsetDelete": (47, 0, 0), "DescribeClientQuotas": (48, 0, 1),
    "AlterClientQuotas": (49, 0, 1), "DescribeUserScramCredentials": (50, 0, 0), "AlterUserScramCredentials": (51, 0, 0),
    "DescribeQuorum": (55, 0, 2), "UpdateFeatures": (57, 0, 2), "DescribeCluster": (60, 0, 2), "DescribeProducers": (61, 0, 0),
    "ListConfigResources": (74, 0, 1), "DescribeTopicPartitions": (75, 0, 0),
}
VERSION_LINE = re.compile(r"(\w+)\((\d+)\): (\d+)(?: to (\d+))? \[usable")


def run(ctx):
    check = ctx.check
    check("admin api-versions", api_versions, ctx)
    check("admin topics create, list, describe", create_list_describe, ctx)
    check("admin topics create twice refused", create_twice, ctx)
    check("admin topics replication factor 2 refused", replication_factor_2, ctx)
    check("admin topics bad name refused", bad_name, ctx)
    check("admin topics delete and create again", delete_and_create, ctx)
    check("admin configs describe", configs_describe, ctx)
    check("admin configs alter", configs_alter, ctx)
    check("admin topics alter --partitions", more_partitions, ctx)
    check("admin kcat -L", kcat_list, ctx)


def at(ctx):
    return ("--bootstrap-server", ctx.broker.bootstrap)


def api_versions(ctx):
    nodes = re.split(r"\(id: ", ctx.tools("kafka-broker-api-versions", *at(ctx)).out)[1:]
    need(len(nodes) == ctx.broker.shards, f"{len(nodes)} brokers listed, {ctx.broker.shards} expected")
    for node in nodes:
        said = {m[1]: (int(m[2]), int(m[3]), int(m[4] or m[3])) for m in VERSION_LINE.finditer(node)}
        wrong = {name: (said.get(name), due) for name, due in VERSIONS.items() if said.get(name) != due}
        need(not wrong, f"(said, due) differ: {wrong}")
    return f"{len(VERSIONS)} requests with Kafka's versions on {len(nodes)} node(s)"


def describe(ctx, topic):
    """(partition count, {partition: leader}, configs) as kafka-topics --describe says."""
    out = ctx.tools("kafka-topics", *at(ctx), "--describe", "--topic", topic).out
    head = re.search(r"PartitionCount: (\d+)\s+ReplicationFactor: (\d+)\s+Configs: (\S*)", out)
    need(head, f"describe says {out!r}")
    need(head[2] == "1", f"replication factor {head[2]}")
    leaders = {int(m[1]): int(m[2]) for m in re.finditer(r"Partition: (\d+)\s+Leader: (-?\d+)", out)}
    return int(head[1]), leaders, head[3]


def listed(ctx):
    return ctx.tools("kafka-topics", *at(ctx), "--list").out.split()


def create_list_describe(ctx):
    result = ctx.tools("kafka-topics", *at(ctx), "--create", "--topic", "admin-a", "--partitions", 4,
                       "--config", "retention.ms=3600000")
    need("Created topic admin-a." in result.out, result.out)
    need("admin-a" in listed(ctx), "the new topic is not listed")
    count, leaders, configs = describe(ctx, "admin-a")
    need(count == 4 and sorted(leaders) == [0, 1, 2, 3], f"{count} partitions with leaders {leaders}")
    need("retention.ms=3600000" in configs, f"configs {configs}")
    need(len(set(leaders.values())) == ctx.broker.shards, f"leaders {leaders} over {ctx.broker.shards} shards")
    return f"leaders {leaders}"


def create_twice(ctx):
    result = ctx.tools.run("kafka-topics", *at(ctx), "--create", "--topic", "admin-a")
    need(result.code == 1 and "already exists" in result.out, f"{result.code} {result.out}")
    return "TopicExistsException"


def replication_factor_2(ctx):
    result = ctx.tools.run("kafka-topics", *at(ctx), "--create", "--topic", "admin-rf2", "--partitions", 1,
                           "--replication-factor", 2)
    need(result.code == 1 and "replication factor" in result.out.lower(), f"{result.code} {result.out}")
    need("admin-rf2" not in listed(ctx), "the topic is there all the same")
    return result.out.strip()


def bad_name(ctx):
    result = ctx.tools.run("kafka-topics", *at(ctx), "--create", "--topic", "a b", "--partitions", 1)
    need(result.code == 1 and "is invalid" in result.out + result.err, f"{result.code} {result.out} {result.err}")
    return "InvalidTopicException"


def delete_and_create(ctx):
    ctx.create("admin-gone", 2)
    readers.client([peers.kcat(), "-P", "-b", ctx.broker.bootstrap, "-t", "admin-gone", "-p", 0], b"old\n")
    ctx.tools("kafka-topics", *at(ctx), "--delete", "--topic", "admin-gone")
    need("admin-gone" not in listed(ctx), "still listed after its deletion")
    result = ctx.tools.run("kafka-topics", *at(ctx), "--describe", "--topic", "admin-gone")
    need(result.code == 1 and "does not exist" in result.out, f"describe: {result.code} {result.out}")
    ctx.create("admin-gone", 2)
    need(readers.kcat(ctx.broker, "admin-gone") == [], "the new topic holds the old one's record")
    return "gone, and empty when made again"


def configs_describe(ctx):
    out = ctx.tools("kafka-configs", *at(ctx), "--describe", "--all", "--entity-type", "topics",
                    "--entity-name", "admin-a").out
    said = dict(re.findall(r"^\s+([\w.]+)=(\S*) sensitive", out, re.M))
    need(said.get("retention.ms") == "3600000", f"retention.ms={said.get('retention.ms')}")
    for name, value in {"cleanup.policy": "delete", "max.message.bytes": "1048588"}.items():
        need(said.get(name) == value, f"{name}={said.get(name)}, Kafka's default is {value}")
    return f"{len(said)} settings"


def alter_configs(ctx, *changes):
    return ctx.tools.run("kafka-configs", *at(ctx), "--alter", "--entity-type", "topics", "--entity-name", "admin-c",
                         *changes)


def configs_alter(ctx):
    """A limit that is lowered holds for the next record; what is deleted has its default again; nonsense is refused."""
    ctx.create("admin-c", 1)
    result = alter_configs(ctx, "--add-config", "max.message.bytes=1000,cleanup.policy=[compact,delete]")
    need("Completed updating config for topic admin-c." in result.out, f"{result.out} {result.err}")
    config = describe(ctx, "admin-c")[2]
    need("max.message.bytes=1000" in config and "cleanup.policy=compact,delete" in config, f"configs {config}")
    said = writers.refused(ctx.broker, "admin-c", b"k", b"x" * 5000)
    need(said and "Message size too large" in said, f"a record of 5,000 bytes: {said}")
    alter_configs(ctx, "--delete-config", "max.message.bytes")
    need("max.message.bytes" not in describe(ctx, "admin-c")[2], "the deleted setting is still the topic's own")
    said = writers.refused(ctx.broker, "admin-c", b"k", b"x" * 5000)
    need(said is None, f"a record of 5,000 bytes after the limit went: {said}")
    result = alter_configs(ctx, "--add-config", "retention.ms=x")
    need(result.code == 1 and "Not a number of type LONG" in result.out + result.err, f"{result.code} {result.out}")
    return "set, held, deleted"


def more_partitions(ctx):
    """Old records stay where they are, new partitions take records at once; fewer is refused."""
    ctx.create("admin-p", 2)
    alter = ("--alter", "--topic", "admin-p", "--partitions")
    before = writers.kcat(ctx.broker, "admin-p", 20, partition=1)
    ctx.tools("kafka-topics", *at(ctx), *alter, 5)
    leaders = describe(ctx, "admin-p")[1]
    need(sorted(leaders) == [0, 1, 2, 3, 4], f"leaders {leaders}")
    need(len(set(leaders.values())) == ctx.broker.shards, f"leaders {leaders} over {ctx.broker.shards} shards")
    after = writers.librdkafka(ctx.broker, "admin-p", 200)
    got = readers.kcat(ctx.broker, "admin-p")
    ledger.compare(before + after, got)
    need({record.partition for record in got} == {0, 1, 2, 3, 4}, f"records in {ledger.by_partition(got).keys()}")
    result = ctx.tools.run("kafka-topics", *at(ctx), *alter, 3)
    need(result.code == 1 and "would not be an increase" in result.out + result.err, f"{result.code} {result.out}")
    return f"leaders {leaders}"


def kcat_list(ctx):
    out = readers.client([peers.kcat(), "-L", "-J", "-b", ctx.broker.bootstrap, "-t", "admin-a"]).stdout
    said = json.loads(out)
    need(len(said["brokers"]) == ctx.broker.shards, f"brokers {said['brokers']}")
    parts = said["topics"][0]["partitions"]
    need(sorted(p["partition"] for p in parts) == [0, 1, 2, 3], f"partitions {parts}")
    need(all(p["leader"] in {b["id"] for b in said["brokers"]} for p in parts), f"leaders {parts}")
    return f"{len(said['brokers'])} broker(s), {len(parts)} partitions"


# Offsets --------------------------------------------------------------------------------------------------------


def run_offsets(ctx):
    """On a topic that the writers filled, so that the answers follow from what the readers saw."""
    topic = "w-kcat-none"
    if topic not in ctx.written:
        return
    for name, function in (("latest and earliest", ends), ("max timestamp", max_timestamp), ("by timestamp", by_time)):
        ctx.check(f"offsets {name}", function, ctx, topic)
    ctx.check("offsets kcat -Q", kcat_query, ctx, topic)


def get_offsets(ctx, topic, time):
    out = ctx.tools("kafka-get-offsets", *at(ctx), "--topic", topic, "--time", time).out
    return {int(line.split(":")[1]): int(line.split(":")[2]) for line in out.split() if line.startswith(topic)}


def due_at(parts, timestamp):
    """The first offset of each partition whose timestamp is at least this one."""
    due = {p: next((r.offset for r in rs if r.timestamp >= timestamp), None) for p, rs in parts.items()}
    return {p: offset for p, offset in due.items() if offset is not None}


def ends(ctx, topic):
    parts = ledger.by_partition(readers.kcat(ctx.broker, topic))
    latest, earliest = get_offsets(ctx, topic, -1), get_offsets(ctx, topic, -2)
    need(latest == {p: len(rs) for p, rs in parts.items()}, f"-1 says {latest}")
    need(earliest == {p: 0 for p in parts}, f"-2 says {earliest}")
    return f"{latest}"


def max_timestamp(ctx, topic):
    parts = ledger.by_partition(readers.kcat(ctx.broker, topic))
    said = get_offsets(ctx, topic, -3)
    due = {p: next(r.offset for r in rs if r.timestamp == max(x.timestamp for x in rs)) for p, rs in parts.items()}
    need(said == due, f"-3 says {said}, due is {due}")
    return f"{said}"


def by_time(ctx, topic):
    got = readers.kcat(ctx.broker, topic)
    parts, times = ledger.by_partition(got), sorted({r.timestamp for r in got})
    asked = [times[0] - 1000, times[0], times[len(times) // 2], times[-1], times[-1] + 1]
    for timestamp in asked:
        said, due = get_offsets(ctx, topic, timestamp), due_at(parts, timestamp)
        need(said == due, f"time {timestamp}: says {said}, due is {due}")
    return f"{len(asked)} timestamps"


def kcat_query(ctx, topic):
    got = readers.kcat(ctx.broker, topic)
    parts = ledger.by_partition(got)
    middle = sorted(r.timestamp for r in got)[len(got) // 2]
    for partition, due in due_at(parts, middle).items():
        out = readers.client([peers.kcat(), "-Q", "-b", ctx.broker.bootstrap, "-t", f"{topic}:{partition}:{middle}"])
        said = int(re.search(rb"offset (-?\d+)", out.stdout)[1])
        need(said == due, f"partition {partition} time {middle}: says {said}, due is {due}")
    return f"{len(parts)} partitions"
