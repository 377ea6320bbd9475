"""Readers: each gives a topic's records as ledger.Read, through a client that is not ours.

`reader(broker, topic, count)`: `count` is how many records are due; readers that can tell the end read to it, so that a
record too many is seen too.
"""

import json
import subprocess

from lib import peers
from lib.ledger import Read
from lib.report import Failed

LIMIT_S = 60
NULL = "<null>"


def client(command, stdin=None, limit_s=LIMIT_S):
    """Runs a native client; it must end in time and with 0."""
    try:
        done = subprocess.run(list(map(str, command)), input=stdin, capture_output=True, timeout=limit_s)
    except subprocess.TimeoutExpired as error:
        raise Failed(f"{command[0]} did not end within {limit_s} s: {(error.stderr or b'')[-300:]!r}") from error
    if done.returncode != 0:
        raise Failed(f"{command[0]} exited with {done.returncode}: {done.stderr.decode(errors='replace')[-500:]}")
    return done


# kcat -----------------------------------------------------------------------------------------------------------

KCAT_FORMAT = "%p %o %T %K %S %k%s%h\n"


def kcat(broker, topic, count=None, partition=None, extra=()):
    """Everything from the beginning to the ends of the partitions."""
    where = [] if partition is None else ["-p", partition]
    command = [peers.kcat(), "-C", "-q", "-e", "-b", broker.bootstrap, "-t", topic, "-o", "beginning", *where,
               "-f", KCAT_FORMAT, *extra]
    return parse_kcat(client(command).stdout)


def kcat_group(broker, topic, group, count):
    """`count` records as a member of a group, committed at the end."""
    command = [peers.kcat(), "-q", "-b", broker.bootstrap, "-G", group, "-c", count, "-f", KCAT_FORMAT,
               "-X", "auto.offset.reset=earliest", topic]
    return parse_kcat(client(command).stdout)


def parse_kcat(data):
    """Fields by their lengths, so that a value may hold anything but the headers a line end."""
    out, at = [], 0
    while at < len(data):
        numbers = []
        for _ in range(5):
            space = data.index(b" ", at)
            numbers.append(int(data[at:space]))
            at = space + 1
        partition, offset, timestamp, key_len, value_len = numbers
        key, at = bytes_or_null(data, at, key_len)
        value, at = bytes_or_null(data, at, value_len)
        end = data.index(b"\n", at)
        out.append(Read(partition, offset, timestamp, key, value, headers_of(data[at:end], b"=")))
        at = end + 1
    return out


def bytes_or_null(data, at, length):
    return (None, at) if length < 0 else (data[at:at + length], at + length)


def headers_of(text, between):
    if not text:
        return ()
    return tuple(tuple(pair.split(between, 1)) for pair in text.split(b","))


# Kafka's console consumer ---------------------------------------------------------------------------------------

CONSOLE_PRINTS = ("timestamp", "partition", "offset", "headers", "key")


class Console:
    """kafka-console-consumer of one version."""

    def __init__(self, tools):
        self.tools = tools

    def __call__(self, broker, topic, count, extra=()):
        prop = "--property" if self.tools.version.startswith("3.") else "--formatter-property"
        prints = [word for name in CONSOLE_PRINTS for word in (prop, f"print.{name}=true")]
        result = self.tools("kafka-console-consumer", "--bootstrap-server", broker.bootstrap, "--topic", topic,
                            "--from-beginning", "--max-messages", count, "--timeout-ms", 15000, *prints,
                            prop, f"null.literal={NULL}", *extra)
        return [parse_console(line) for line in result.out.split("\n") if line.startswith("CreateTime:")]


def parse_console(line):
    timestamp, partition, offset, headers, key, value = line.split("\t", 5)
    pairs = () if headers == "NO_HEADERS" else headers_of(headers.encode(), b":")
    return Read(int(partition[10:]), int(offset[7:]), int(timestamp[11:]), text(key), text(value), pairs)


def text(field):
    return None if field == NULL else field.encode()


# librdkafka -----------------------------------------------------------------------------------------------------


def librdkafka_program(verb, broker, topic, config, *arguments, stdin=None):
    settings = {"bootstrap.servers": broker.bootstrap, "broker.address.family": "v4", **config}
    command = [peers.librdkafka_python(), peers.HERE / "librdkafka_client.py", verb, json.dumps(settings), topic,
               *arguments]
    return client(command, stdin=stdin).stdout.decode()


def librdkafka(broker, topic, count=None):
    """Every partition to the end that librdkafka reports (partition EOF)."""
    return parse_json(librdkafka_program("consume", broker, topic, {}))


def librdkafka_group(broker, topic, group, count):
    return parse_json(librdkafka_program("group", broker, topic, {"group.id": group}, count))


def parse_json(text_lines):
    out = []
    for line in text_lines.splitlines():
        partition, offset, timestamp, key, value, headers = json.loads(line)
        pairs = tuple((name.encode(), latin(content)) for name, content in headers)
        out.append(Read(partition, offset, timestamp, latin(key), latin(value), pairs))
    return out


def latin(field):
    return None if field is None else field.encode("latin-1")
