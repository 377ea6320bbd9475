"""Admin requests with impossible values, sent raw: what a broker says, code and words, must be what Apache Kafka 4.3.1 says.

The words that are due were observed on a real Kafka (`scripts/bad-input --target kafka` runs the same cases there). Where one
host cannot answer so (it has other limits, or does not do what is asked for) a tuple names Kafka's answer first.
"""

import struct

from lib import wire

DESCRIBE_CONFIGS, ALTER_CONFIGS, ELECT_LEADERS, INCREMENTAL = 32, 33, 43, 44
ALTER_REASSIGNMENTS, LIST_REASSIGNMENTS, DESCRIBE_QUOTAS, ALTER_QUOTAS = 45, 46, 48, 49
DESCRIBE_SCRAM, ALTER_SCRAM, DESCRIBE_QUORUM, UPDATE_FEATURES, DESCRIBE_PRODUCERS, LIST_RESOURCES = 50, 51, 55, 57, 61, 74
TOPIC, BROKER, GROUP = 2, 4, 32
SET, DELETE, APPEND, SUBTRACT = 0, 1, 2, 3
NAME = "bad"  # the topic that is there


# Bytes ----------------------------------------------------------------------------------------------------------


def varint(value):
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out) + bytes([value])


def compact(text):
    """A compact string or bytes, null for None."""
    if text is None:
        return b"\0"
    data = text.encode() if isinstance(text, str) else text
    return varint(len(data) + 1) + data


def compact_array(items):
    return b"\0" if items is None else varint(len(items) + 1) + b"".join(items)


def flexible(key, version, body):
    """A request with a header of version 2; tagged fields are empty everywhere."""
    return struct.pack(">hhi", key, version, 7) + wire.string("raw") + b"\0" + body + b"\0"


class Answer:
    """Reads the body of a flexible answer from the front."""

    def __init__(self, cursor):
        self.cursor = cursor
        cursor.take("b")  # tagged fields of the header

    def take(self, form):
        return self.cursor.take(form)

    def length(self):
        value = shift = 0
        while True:
            byte = self.cursor.take("B")
            value |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                return value - 1

    def string(self):
        length = self.length()
        return None if length < 0 else self.cursor.bytes(length).decode()

    def tags(self):
        self.cursor.take("b")

    def array(self, read):
        out = []
        for _ in range(max(0, self.length())):
            out.append(read())
            self.tags()
        return out


def nullable(cursor):
    length = cursor.take("h")
    return None if length < 0 else cursor.bytes(length).decode()


def said(code, message):
    return f"{code} {message}" if message else f"{code}"


# Requests and their answers in words ----------------------------------------------------------------------------


def sent(payload, read):
    """A case's function: sends on a new connection, reads the answer into words."""
    def send(broker):
        with wire.Connection(broker.port) as connection:
            try:
                return read(connection.ask(payload))
            except wire.Closed:
                return "closed"
    return send


def altered(cursor):
    cursor.take("i")
    told = []
    for _ in range(cursor.take("i")):
        told.append(said(cursor.take("h"), nullable(cursor)))
        cursor.take("b"), nullable(cursor)
    return "; ".join(told)


def incremental(*resources, validate=False):
    """Resources as (type, name, [(key, operation, value)])."""
    body = wire.array([struct.pack(">b", kind) + wire.string(name) + wire.array(
        [wire.string(key) + struct.pack(">b", op) + wire.string(value) for key, op, value in changes])
        for kind, name, changes in resources])
    return sent(wire.request(INCREMENTAL, 0, body + struct.pack(">b", validate)), altered)


def replaced(*resources):
    """AlterConfigs: resources as (type, name, [(key, value)])."""
    body = wire.array([struct.pack(">b", kind) + wire.string(name) + wire.array(
        [wire.string(key) + wire.string(value) for key, value in values]) for kind, name, values in resources])
    return sent(wire.request(ALTER_CONFIGS, 0, body + b"\0"), altered)


def described(kind, name):
    def read(cursor):
        cursor.take("i"), cursor.take("i")
        return said(cursor.take("h"), nullable(cursor))
    body = wire.array([struct.pack(">b", kind) + wire.string(name) + struct.pack(">i", -1)]) + b"\0"
    return sent(wire.request(DESCRIBE_CONFIGS, 1, body), read)


def elected(kind, topics):
    def read(cursor):
        cursor.take("i")
        told = [str(cursor.take("h"))]
        for _ in range(cursor.take("i")):
            nullable(cursor)
            told += [f"{cursor.take('i')}: " + said(cursor.take("h"), nullable(cursor)) for _ in range(cursor.take("i"))]
        return "; ".join(told)
    names = struct.pack(">i", -1) if topics is None else wire.array(
        [wire.string(name) + wire.array([struct.pack(">i", one) for one in parts]) for name, parts in topics])
    return sent(wire.request(ELECT_LEADERS, 1, struct.pack(">b", kind) + names + struct.pack(">i", 5000)), read)


def reassigned(*topics, allow=True):
    """Topics as (name, [(partition, replicas or None)])."""
    def read(cursor):
        answer = Answer(cursor)
        answer.take("i"), answer.take("b")
        head = said(answer.take("h"), answer.string())

        def partition():
            return f"{answer.take('i')}: " + said(answer.take("h"), answer.string())
        rest = answer.array(lambda: [answer.string(), *answer.array(partition)])
        return "; ".join([head] + [word for topic in rest for word in topic[1:]])
    moved = [compact(name) + compact_array([struct.pack(">i", number) + compact_array(
        None if nodes is None else [struct.pack(">i", node) for node in nodes]) + b"\0" for number, nodes in parts]) + b"\0"
        for name, parts in topics]
    return sent(flexible(ALTER_REASSIGNMENTS, 1, struct.pack(">ib", 5000, allow) + compact_array(moved)), read)


def quotas_altered(*entries):
    """Entries as ([(type, name)], [(key, value or None)]); the order of the answer is the broker's own."""
    def read(cursor):
        cursor.take("i")
        told = []
        for _ in range(cursor.take("i")):
            told.append(said(cursor.take("h"), nullable(cursor)))
            for _ in range(cursor.take("i")):
                nullable(cursor), nullable(cursor)
        return "; ".join(sorted(told))
    body = wire.array([wire.array([wire.string(kind) + wire.string(name) for kind, name in entity]) + wire.array(
        [wire.string(key) + struct.pack(">db", value or 0, value is None) for key, value in ops]) for entity, ops in entries])
    return sent(wire.request(ALTER_QUOTAS, 0, body + b"\0"), read)


def quotas_described(*filters, strict=False):
    """Filters as (type, match type, name)."""
    def read(cursor):
        cursor.take("i")
        return said(cursor.take("h"), nullable(cursor))
    body = wire.array([wire.string(kind) + struct.pack(">b", match) + wire.string(name) for kind, match, name in filters])
    return sent(wire.request(DESCRIBE_QUOTAS, 0, body + struct.pack(">b", strict)), read)


def scram_altered(deletions=(), upsertions=()):
    """Deletions as (user, mechanism), upsertions as (user, mechanism, iterations)."""
    def read(cursor):
        answer = Answer(cursor)
        answer.take("i")
        return "; ".join(sorted(answer.array(
            lambda: f"{answer.string()}: " + said(answer.take("h"), answer.string()))))
    gone = [compact(user) + struct.pack(">b", kind) + b"\0" for user, kind in deletions]
    set_ = [compact(user) + struct.pack(">bi", kind, rounds) + compact(b"salt") + compact(b"salted") + b"\0"
            for user, kind, rounds in upsertions]
    return sent(flexible(ALTER_SCRAM, 0, compact_array(gone) + compact_array(set_)), read)


def scram_described(users):
    def read(cursor):
        answer = Answer(cursor)
        answer.take("i")
        head = said(answer.take("h"), answer.string())

        def user():
            name, told = answer.string(), said(answer.take("h"), answer.string())
            return f"{name}: {told} {answer.array(lambda: answer.take('bi'))}"
        return "; ".join([head, *sorted(answer.array(user))])
    body = compact_array(None if users is None else [compact(user) + b"\0" for user in users])
    return sent(flexible(DESCRIBE_SCRAM, 0, body), read)


#: FeatureUpdate.UpgradeType.
SAFE_DOWNGRADE = 2


def features_updated(*updates, version=2):
    """Updates as (name, level, upgrade type)."""
    def read(cursor):
        answer = Answer(cursor)
        answer.take("i")
        told = [said(answer.take("h"), answer.string())]
        if version < 2:
            told += answer.array(lambda: f"{answer.string()}: " + said(answer.take("h"), answer.string()))
        return "; ".join(told)
    body = struct.pack(">i", 5000) + compact_array(
        [compact(name) + struct.pack(">hb", level, kind) + b"\0" for name, level, kind in updates])
    return sent(flexible(UPDATE_FEATURES, version, body + b"\0"), read)


def quorum_described(*topics):
    def read(cursor):
        answer = Answer(cursor)
        told = [said(answer.take("h"), answer.string())]

        def replica():
            answer.take("i"), answer.cursor.bytes(16), answer.take("qqq")

        def partition():
            number, code, message = answer.take("i"), answer.take("h"), answer.string()
            answer.take("iiq")
            answer.array(replica), answer.array(replica)
            return f"{number}: " + said(code, message)
        rest = answer.array(lambda: [answer.string(), *answer.array(partition)])
        return "; ".join(told + [word for topic in rest for word in topic[1:]])
    body = compact_array([compact(name) + compact_array([struct.pack(">i", one) + b"\0" for one in parts]) + b"\0"
                          for name, parts in topics])
    return sent(flexible(DESCRIBE_QUORUM, 2, body), read)


def producers_described(*topics):
    def read(cursor):
        answer = Answer(cursor)
        answer.take("i")

        def partition():
            told = f"{answer.take('i')}: " + said(answer.take("h"), answer.string())
            answer.array(lambda: answer.take("qiiqiq"))
            return told
        rest = answer.array(lambda: [answer.string(), *answer.array(partition)])
        return "; ".join(word for topic in rest for word in topic[1:])
    body = compact_array([compact(name) + compact_array([struct.pack(">i", one) for one in parts]) + b"\0"
                          for name, parts in topics])
    return sent(flexible(DESCRIBE_PRODUCERS, 0, body), read)


def resources_listed(*kinds):
    """The error and which types there are in the answer."""
    def read(cursor):
        answer = Answer(cursor)
        answer.take("i")
        code = answer.take("h")
        kinds = answer.array(lambda: (answer.string(), answer.take("b"))[1])
        return f"{code} {sorted(set(kinds))}"
    return sent(flexible(LIST_RESOURCES, 1, compact_array([struct.pack(">b", kind) for kind in kinds])), read)


# Cases ----------------------------------------------------------------------------------------------------------


def cases():
    """(name, due, send) of each."""
    yield from configs()
    yield from quotas()
    yield from others()


def configs():
    one = [("log.retention.ms", SET, "1")]
    unknown_key = [("num.partitions", SET, "2"), ("node.id", SET, "2")]
    yield "configs of broker 77", "42 Unexpected broker id, expected 1, but received 77", incremental((BROKER, "77", one))
    yield "configs of broker x", "42 Node id must be an integer, but it is: x", incremental((BROKER, "x", one))
    yield "configs of broker -1", "42 Unexpected broker id, expected 1, but received -1", incremental((BROKER, "-1", one))
    yield ("configs read-only", "42 Cannot update these configs dynamically: [num.partitions]",
           incremental((BROKER, "1", unknown_key[:1])))
    yield ("configs read-only of all brokers", "42 Cannot update these configs dynamically: [num.partitions]",
           incremental((BROKER, "", unknown_key[:1])))
    yield "configs read-only deleted", "0", incremental((BROKER, "1", [("num.partitions", DELETE, None)]))
    yield ("configs out of range", "42 Invalid value 0 for configuration log.flush.interval.messages: Value must be at least 1",
           incremental((BROKER, "1", [("log.flush.interval.messages", SET, "0")])))
    yield ("configs no number", "42 Invalid value x for configuration log.retention.ms: Not a number of type LONG",
           incremental((BROKER, "1", [("log.retention.ms", SET, "x")])))
    yield "configs null", "42 Null value not supported for : log.retention.ms", incremental(
        (BROKER, "1", [("log.retention.ms", SET, None)]))
    yield "configs null appended", "42 Null value not supported for : log.cleanup.policy", incremental(
        (BROKER, "1", [("log.cleanup.policy", APPEND, None)]))
    yield "configs key twice", "42 Error due to duplicate config keys", incremental((BROKER, "1", one + one))
    yield ("configs resource twice", "42 Each resource must appear at most once.; 42 Each resource must appear at most once.",
           incremental((BROKER, "1", one), (BROKER, "1", one)))
    yield ("configs append to a number", "40 Config value append is not allowed for config key: log.retention.ms",
           incremental((BROKER, "1", [("log.retention.ms", APPEND, "1")])))
    yield ("configs subtract from a number", "40 Config value subtract is not allowed for config key: log.retention.ms",
           incremental((BROKER, "1", [("log.retention.ms", SUBTRACT, "1")])))
    yield ("configs append nonsense", "42 Invalid value x for configuration log.cleanup.policy: String must be one of: compact, "
           "delete", incremental((BROKER, "1", [("log.cleanup.policy", APPEND, "x")])))
    yield "configs operation 9", "42 Unknown operations type 9", incremental((BROKER, "1", [("log.retention.ms", 9, "1")]))
    yield ("configs per-broker of all", "42 Cannot update these configs at default cluster level, broker id must be specified: "
           "[sasl.kerberos.service.name]", incremental((BROKER, "", [("sasl.kerberos.service.name", SET, "k")])))
    yield "configs resource type 9", "42 Unknown resource type 9", incremental((9, "x", one))
    yield "configs resource type 0", "42 Unknown resource type 0", incremental((0, "x", one))
    yield "configs validated only", "0", incremental((BROKER, "", one), validate=True)
    yield "configs nothing", "0", incremental((BROKER, "1", []))
    yield "configs replaced read-only", "42 Cannot update these configs dynamically: [num.partitions]", replaced(
        (BROKER, "1", [("num.partitions", "2")]))
    yield "configs replaced null", "42 Null value not supported for : log.retention.ms", replaced(
        (BROKER, "1", [("log.retention.ms", None)]))
    yield "configs replaced key twice", "42 Error due to duplicate config keys", replaced(
        (BROKER, "1", [("log.retention.ms", "1"), ("log.retention.ms", "2")]))
    yield ("configs described of 77", "42 Unexpected broker id, expected 1 or empty string, but received 77",
           described(BROKER, "77"))
    yield "configs described of x", "42 Broker id must be an integer, but it is: x", described(BROKER, "x")
    yield "configs described of no topic", "3", described(TOPIC, "nothing")
    yield "configs resources of type 9", "35 []", resources_listed(9)
    yield "configs resources of topics and brokers", "0 [2, 4]", resources_listed(TOPIC, BROKER)


def quotas():
    rate, user = [("producer_byte_rate", 1.0)], [("user", "u")]
    yield "quotas of nobody", "42 Invalid empty client quota entity", quotas_altered(([], rate))
    yield "quotas of a stranger", "42 Unhandled client quota entity type: x", quotas_altered(([("x", "u")], rate))
    yield "quotas of an empty name", "42 Empty user not supported", quotas_altered(([("user", "")], rate))
    yield ("quotas of an address and a user", "42 Invalid quota entity combination, IP entity shouldnot be combined with User or "
           "ClientId", quotas_altered(([("ip", None), ("user", None)], rate)))
    yield "quotas of no address", "42 1.2.3.4.5 is not a valid IP or resolvable host.", quotas_altered(
        ([("ip", "1.2.3.4.5")], [("connection_creation_rate", 1.0)]))
    yield "quotas of another key", "42 Invalid configuration key x", quotas_altered((user, [("x", 1.0)]))
    yield "quotas of 0", "42 Quota producer_byte_rate must be greater than 0", quotas_altered((user, [("producer_byte_rate", 0.0)]))
    yield "quotas of a half", "42 producer_byte_rate cannot be a fractional value.", quotas_altered(
        (user, [("producer_byte_rate", 1.5)]))
    yield "quotas too large", "42 Proposed value for producer_byte_rate is too large for a LONG.", quotas_altered(
        (user, [("producer_byte_rate", 1e30)]))
    yield "quotas of what is not there removed", "0", quotas_altered((user, [("producer_byte_rate", None)]))
    yield "quotas filter empty", "42 Invalid empty entity type.", quotas_described(("", 0, "u"))
    yield "quotas filter twice", "42 Entity type user cannot appear more than once in the filter.", quotas_described(
        ("user", 0, "u"), ("user", 1, None))
    yield "quotas filter of a stranger", "35 Unsupported entity type x", quotas_described(("x", 0, "u"))
    yield "quotas filter null", "42 Request specified MATCH_TYPE_EXACT, but set match string to null.", quotas_described(
        ("user", 0, None))
    yield ("quotas filter default with a name", "42 Request specified MATCH_TYPE_DEFAULT, but also specified a match string.",
           quotas_described(("user", 1, "u")))
    yield "quotas filter 3", "42 Unknown match type 3", quotas_described(("user", 3, None))
    yield "scram nobody", ": 93 Username must not be empty", scram_altered(upsertions=[("", 1, 4096)])
    yield "scram mechanism 3", "u: 33 Unknown SCRAM mechanism", scram_altered(upsertions=[("u", 3, 4096)])
    yield "scram few", "u: 93 Too few iterations", scram_altered(upsertions=[("u", 1, 4095)])
    yield "scram many", "u: 93 Too many iterations", scram_altered(upsertions=[("u", 1, 16385)])
    yield ("scram twice", "u: 92 A user credential cannot be altered twice in the same request",
           scram_altered(upsertions=[("u", 1, 4096), ("u", 2, 4096)]))
    yield "scram gone", "u: 91 Attempt to delete a user credential that does not exist", scram_altered([("u", 1)])
    yield "scram described stranger", "0; x: 91 Attempt to describe a user credential that does not exist: x []", scram_described(["x"])
    yield ("scram described twice", "0; x: 92 Cannot describe SCRAM credentials for the same user twice in a single request: x []",
           scram_described(["x", "x"]))


def others():
    unknown = "3 This server does not host this topic-partition."
    no_election = "84 Leader election not needed for topic partition."
    yield "elect what leads", f"0; 0: {no_election}", elected(0, [(NAME, [0])])
    yield "elect uncleanly what leads", f"0; 0: {no_election}", elected(1, [(NAME, [0])])
    yield "elect nothing", "0; 9: 3 No such partition as bad-9; 0: 3 No such topic as none", elected(
        0, [(NAME, [9]), ("none", [0])])
    yield "elect kind 9", "42; 0: 42 Unknown election type 9", elected(9, [(NAME, [0])])
    yield "reassign to where it is", "0", reassigned()
    yield "reassign no topic", "0; 0: 3 Unable to find a topic named none.", reassigned(("none", [(0, [1])]))
    yield "reassign no partition", "0; 9: 3 Unable to find partition bad:9.", reassigned((NAME, [(9, [1])]))
    yield "reassign cancelled", "0; 0: 85", reassigned((NAME, [(0, None)]))
    yield ("reassign to nobody", "0; 0: 39 The manual partition assignment includes an empty replica list.",
           reassigned((NAME, [(0, [])])))
    yield ("reassign to a stranger", "0; 0: 39 The manual partition assignment includes broker 77, but no such broker is "
           "registered.", reassigned((NAME, [(0, [77])])))
    yield ("reassign twice the same", "0; 0: 39 The manual partition assignment includes the broker 1 more than once.",
           reassigned((NAME, [(0, [1, 1])])))
    failed = "The update failed for all features since the following feature had an error: "
    yield ("features stranger", f"95 {failed}Invalid update version 1 for feature x. Local controller 1 does not support this "
           "feature.", features_updated(("x", 1, 1)))
    yield ("features below 0", f"95 {failed}Invalid update version -1 for feature metadata.version. A feature version cannot be "
           "less than 0.", features_updated(("metadata.version", -1, 1)))
    yield ("features type 9", f"95 {failed}Invalid update version 30 for feature metadata.version. The controller does not "
           "support the given upgrade type.", features_updated(("metadata.version", 30, 9)))
    yield ("features lower without saying so", f"95 {failed}Invalid update version 29 for feature metadata.version. Can't "
           "downgrade the version of this feature without setting the upgrade type to either safe or unsafe downgrade.",
           features_updated(("metadata.version", 29, 1)))
    yield "features as they are", "0", features_updated(("metadata.version", 30, 1))
    yield "quorum of a topic", f"0; 0: {unknown}", quorum_described((NAME, [0]))
    yield "quorum of two partitions", f"0; 0: {unknown}; 1: {unknown}", quorum_described(("__cluster_metadata", [0, 1]))
    yield "quorum of nothing", "0", quorum_described()
    yield "producers of no topic", f"0: {unknown}", producers_described(("none", [0]))
    yield "producers of no partition", "9: 3", producers_described((NAME, [9]))
    yield ("producers of no name", "0: 17 Topic name is invalid: '..' is not allowed", producers_described(("..", [0])))
