"""What a snapshot of the metadata log holds is what its log led to, as kafka-dump-log --cluster-metadata-decoder shows both: the
records are replayed here, by rules of our own, and the two outcomes compared."""

import json
import re

from lib.report import need

NAME = re.compile(r"^(\d{20})-(\d{10})\.checkpoint$")
BATCH = re.compile(r"^baseOffset: .* isControl: (\w+) .* isvalid: (\w+)$")
RECORD = re.compile(r"^\| offset: (\d+) .*? payload: (\{.*\})$")
CONTROL = re.compile(r"^\| offset: \d+ .*? (SnapshotHeader|SnapshotFooter) ")
# What a registration that says nothing of it has.
REGISTRATION = {"inControlledShutdown": False, "logDirs": [], "cordonedLogDirs": []}
# What says nothing about the cluster.
SILENT = {"NO_OP_RECORD", "BEGIN_TRANSACTION_RECORD", "END_TRANSACTION_RECORD"}


def newest(ctx, dump):
    """The newest snapshot of a broker that is down, against the log below its end offset. `dump` runs the tool."""
    folder = ctx.broker.log_dir / "__cluster_metadata-0"
    found = sorted(file for file in folder.iterdir() if NAME.match(file.name))
    need(found, f"{folder} holds no snapshot")
    end = int(NAME.match(found[-1].name)[1])
    log = ",".join(map(str, sorted(folder.glob("*.log"))))
    snapshot = shape(dump(ctx, "--cluster-metadata-decoder", "--files", found[-1]))
    records = parse(dump(ctx, "--cluster-metadata-decoder", "--files", log))
    need(records and records[0][0] <= 1, f"the log begins at {records[:1]}: there is nothing to compare with")
    compare(snapshot, [record for record in records if record[0] < end])
    return f"{len(found)} snapshots, the newest has {len(snapshot)} records for {end} offsets"


def compare(snapshot, log):
    """Both lead to the same cluster."""
    have, due = state(snapshot), state(log)
    for kind in sorted(have.keys() | due.keys()):
        mine, theirs = have.get(kind, {}), due.get(kind, {})
        for key in mine.keys() | theirs.keys():
            need(mine.get(key) == theirs.get(key), f"{kind} {key}: {mine.get(key)} in the snapshot, {theirs.get(key)} by the log")


def parse(out):
    """[(offset, type, data)] of a dump, every batch of which is valid."""
    records = []
    for line in out.splitlines():
        if batch := BATCH.match(line):
            need(batch[2] == "true", f"not valid: {line}")
        elif record := RECORD.match(line):
            payload = json.loads(record[2])
            records.append((int(record[1]), payload["type"], payload["data"]))
    return records


def shape(out):
    """The records of a snapshot's dump: a header first, a footer last, offsets from 1 on without a gap between them."""
    controls = [found[1] for line in out.splitlines() if (found := CONTROL.match(line))]
    need(controls == ["SnapshotHeader", "SnapshotFooter"], f"control records {controls}")
    records = parse(out)
    offsets = [offset for offset, _, _ in records]
    need(offsets == list(range(1, len(records) + 1)), f"offsets {offsets[:5]} .. {offsets[-5:]}")
    need(records and records[0][1:] == ("FEATURE_LEVEL_RECORD", {"name": "metadata.version", "featureLevel": 30}),
         f"the first record is {records[:1]}")
    return records


def state(records):
    """{kind: {key: value}}: the cluster that the records make."""
    made = {kind: {} for kind in ("topics", "partitions", "configs", "features", "brokers", "others")}
    for _, kind, data in records:
        if kind not in SILENT:
            need(kind in RULES, f"a record of type {kind} is not known here")
            RULES[kind](made, data)
    return made


def partition(made, data):
    whole = {"eligibleLeaderReplicas": [], "lastKnownElr": [], "leaderRecoveryState": 0, **data}
    whole = {name: [] if value is None else value for name, value in whole.items()}
    made["partitions"][data["topicId"], data["partitionId"]] = whole


def change_partition(made, data):
    one = made["partitions"][data["topicId"], data["partitionId"]]
    changed = {name: value for name, value in data.items() if value is not None}
    if changed.get("leader", -2) == -2:
        changed.pop("leader", None)
    else:
        one["leaderEpoch"] += 1
    if changed.get("leaderRecoveryState", -1) == -1:
        changed.pop("leaderRecoveryState", None)
    one.update(changed)
    one["partitionEpoch"] += 1


def remove_topic(made, data):
    name = made["topics"].pop(data["topicId"])
    made["partitions"] = {key: value for key, value in made["partitions"].items() if key[0] != data["topicId"]}
    made["configs"] = {key: value for key, value in made["configs"].items() if key[:2] != (2, name)}


def change_broker(made, data):
    one = made["brokers"][data["brokerId"]]
    for name in ("fenced", "inControlledShutdown"):
        if data.get(name, 0):
            one[name] = data[name] > 0
    for name in ("logDirs", "cordonedLogDirs"):
        if data.get(name):
            one[name] = data[name]


def quota(made, data):
    entity = tuple(sorted(((part["entityType"], part["entityName"]) for part in data["entity"]), key=str))
    put(made["others"], ("quota", entity, data["key"]), None if data["remove"] else data["value"])


def put(where, key, value):
    if value is None:
        where.pop(key, None)
    else:
        where[key] = value


def ordered(registration):
    """A registration's lists in one order: Kafka writes them out of maps."""
    return {name: sorted(value, key=str) if isinstance(value, list) else value for name, value in registration.items()}


def other(*names):
    """A record that stands for itself, under these of its fields."""
    return lambda made, data: put(made["others"], (names, *(data[name] for name in names)), data)


def no_other(*names):
    return lambda made, data: put(made["others"], (names, *(data[name] for name in names)), None)


RULES = {
    "TOPIC_RECORD": lambda made, data: put(made["topics"], data["topicId"], data["name"]),
    "REMOVE_TOPIC_RECORD": remove_topic,
    "PARTITION_RECORD": partition,
    "PARTITION_CHANGE_RECORD": change_partition,
    "CONFIG_RECORD": lambda made, data: put(
        made["configs"], (data["resourceType"], data["resourceName"], data["name"]), data["value"]),
    "FEATURE_LEVEL_RECORD": lambda made, data: put(made["features"], data["name"], data["featureLevel"] or None),
    "REGISTER_BROKER_RECORD": lambda made, data: put(
        made["brokers"], data["brokerId"], ordered({**REGISTRATION, **data})),
    "UNREGISTER_BROKER_RECORD": lambda made, data: put(made["brokers"], data["brokerId"], None),
    "BROKER_REGISTRATION_CHANGE_RECORD": change_broker,
    "CLIENT_QUOTA_RECORD": quota,
    "PRODUCER_IDS_RECORD": lambda made, data: put(made["others"], "producer ids", data["nextProducerId"]),
    "USER_SCRAM_CREDENTIAL_RECORD": other("name", "mechanism"),
    "REMOVE_USER_SCRAM_CREDENTIAL_RECORD": no_other("name", "mechanism"),
    "ACCESS_CONTROL_ENTRY_RECORD": other("id"),
    "REMOVE_ACCESS_CONTROL_ENTRY_RECORD": no_other("id"),
    "REGISTER_CONTROLLER_RECORD": lambda made, data: put(
        made["others"], ("controller", data["controllerId"]), ordered(data)),
}
