"""The invocations, good and bad. `{b}` is the broker; `{own}` and `{new}` are topics of that side alone."""

import dataclasses
import time

from lib import parity

BOTH, NEW, OLD = ("4.3.1", "3.9.2"), ("4.3.1",), ("3.9.2",)
FIXED_COUNT = 1000


@dataclasses.dataclass(frozen=True)
class Case:
    """One invocation; `exact` compares whole numbers too, `windows` progress lines too, `failures` how many records
    failed with which text; `says` is due on our stderr; `code_only` where the texts differ on purpose. `dead` needs the
    topics whose broker is gone."""

    name: str
    tool: str
    arguments: list
    versions: tuple = BOTH
    exact: bool = False
    windows: bool = False
    code_only: bool = False
    failures: bool = False
    dead: bool = False
    says: str = ""


# One in ten is above the 300 bytes of the topic `small`.
MIXED = "".join(("x" * 400 if at % 10 == 0 else "y" * 50) + "\n" for at in range(300))


def prepare(bench):
    """Topics, records to read, files."""
    for name in ("own-theirs", "own-ours", "e2e-theirs", "e2e-ours", "fixed", "empty"):
        parity.topic(bench, name, 1)
    parity.topic(bench, "small", 1, (("max.message.bytes", "300"),))
    fill = ["--topic", "fixed", "--num-records", str(FIXED_COUNT), "--record-size", "100", "--throughput", "-1",
            "--producer-props", f"bootstrap.servers={bench.broker.bootstrap}"]
    bench.tools("kafka-producer-perf-test", *fill)
    files = {"producer.properties": f"bootstrap.servers={bench.broker.bootstrap}\nlinger.ms=3\n",
             "consumer.properties": "client.id=from-a-file\nmax.poll.records=100\n",
             "quick.properties": "default.api.timeout.ms=1500\nrequest.timeout.ms=1000\n",
             "bad.properties": "acks=7\nmax.poll.records=x\n",
             "payloads.txt": "one\ntwo\n\nthree\n", "bars.txt": "one|two|three", "empty.txt": "",
             "ends.txt": "one\r\ntwo\nthr\u00e9e\u2028four five\tsix.7-8-9--\\n-ten_\u0663", "mixed.txt": MIXED}
    for name, text in files.items():
        (bench.folder / name).write_text(text)
    if any(case.dead for case in bench.cases):
        lose_leaders(bench, fill[2:])


def lose_leaders(bench, fill):
    """`gone` has one partition and no leader; `half` and `read` have two, of which one has none."""
    with bench.second_broker():
        for name, nodes in (("gone", "2"), ("half", "1,2"), ("read", "1,2")):
            bench.kafka_topics("--create", "--topic", name, "--replica-assignment", nodes)
    for name, count in (("gone", 1), ("half", 1), ("read", 1)):
        until = time.monotonic() + 30
        while bench.kafka_topics("--describe", "--topic", name).count("Leader: none") != count:
            if time.monotonic() > until:
                raise SystemExit(f"{name} keeps its leader though its broker has stopped")
            time.sleep(0.2)
    bench.tools("kafka-producer-perf-test", "--topic", "read", *fill)


def producer(name, line, versions=BOTH, base="--topic {own} --num-records 200 --throughput -1", **more):
    return Case(f"producer: {name}", "producer-perf", f"{base} {line}".split(), versions, **more)


def producer_bad(name, line, versions=BOTH, **more):
    more.setdefault("exact", True)
    return Case(f"producer: {name}", "producer-perf", line.split(), versions, **more)


def consumer(name, line, versions=BOTH, base="--bootstrap-server {b} --topic fixed --messages 1000", **more):
    return Case(f"consumer: {name}", "consumer-perf", f"{base} {line}".split(), versions, **more)


def e2e(name, line, versions=NEW, **more):
    return Case(f"e2e: {name}", "e2e-latency", line.split(), versions, **more)


PROPS = "--producer-props bootstrap.servers={b}"
RANDOM = "--record-size 100 --bootstrap-server {b}"
GOOD = "--topic {own} --num-records 10 --throughput -1 --record-size 10"

PRODUCER = [
    producer("random payload", f"--record-size 100 {PROPS}"),
    producer("monotonic payload", f"--payload-monotonic {PROPS}"),
    producer("payload file", f"--payload-file {{dir}}/payloads.txt {PROPS}", exact=True),
    producer("payload delimiter", f"--payload-file {{dir}}/bars.txt --payload-delimiter \\| {PROPS}", exact=True),
    *(producer(f"payload delimiter {name}", f"--payload-file {{dir}}/ends.txt --payload-delimiter{value} {PROPS}", exact=True)
      for name, value in [("of line breaks", " \\R"), ("of letters that are no word's", " \\W+"), ("of white space", " \\s"),
                          ("of words", " \\w+"), ("quoted", " \\Q.\\E"), ("with a line end inside", " five|\\n"),
                          ("of all but line ends", " [^\\n]+"), ("of dashes", "=--"),
                          ("a dash", " -"), ("that begins with a dash", " -ten"), ("that is a number", " -8"),
                          ("of digits", " \\d"), ("of any one", " .."), ("of alternatives with nothing", " |x")]),
    # Of ASCII alone: before JDK 19 a bound looks at all of Unicode.
    producer("payload delimiter of bounds", f"--payload-file {{dir}}/bars.txt --payload-delimiter \\b {PROPS}", exact=True),
    producer("payload file missing", f"--payload-file {{dir}}/none.txt {PROPS}", exact=True),
    producer("payload file empty", f"--payload-file {{dir}}/empty.txt {PROPS}", exact=True),
    producer("throughput and windows", f"--record-size 10 --reporting-interval 200 --bootstrap-server {{b}}", NEW,
             base="--topic {own} --num-records 300 --throughput 300", windows=True),
    producer("fractional throughput", f"--record-size 10 {PROPS}",
             base="--topic {own} --num-records 60 --throughput 99.5"),
    producer("warm-up", "--warmup-records 100 " + RANDOM, NEW),
    producer("warm-up with windows", "--warmup-records 100 --reporting-interval 100 --record-size 10 --bootstrap-server {b}",
             NEW, base="--topic {own} --num-records 300 --throughput 300", windows=True),
    producer("metrics", f"--record-size 100 --print-metrics {PROPS}"),
    producer("command-property", "--record-size 100 --command-property bootstrap.servers={b} linger.ms=1", NEW),
    producer("producer.config", "--record-size 100 --producer.config {dir}/producer.properties"),
    producer("command-config", "--record-size 100 --command-config {dir}/producer.properties", NEW),
    producer("both deprecated spellings", f"--record-size 100 {PROPS} --producer.config {{dir}}/producer.properties"),
    producer("an abbreviation that 4.4 would find ambiguous", f"--record 100 {PROPS}"),
    producer("a server without a host", "--record-size 100 --producer-props bootstrap.servers=:{port}"),
    producer("a server with a protocol", "--record-size 100 --producer-props bootstrap.servers=PLAINTEXT://:{port}"),
    producer("refused batches among healthy ones", f"--payload-file {{dir}}/mixed.txt {PROPS} batch.size=1000",
             base="--topic small --num-records 100 --throughput -1", exact=True, failures=True, versions=NEW),
    producer("abbreviations and =", f"--record-s=100 {PROPS}", base="--top {own} --num=50 --thr -1"),
    producer("a repeated option", f"--record-size 100 --num-records 7 {PROPS}"),
    producer("keyless properties compression", f"--record-size 100 {PROPS} compression.type=lz4 acks=1"),
    producer("transactions", f"--record-size 100 --transactional-id tx-{{own}} --transaction-duration-ms 50 {PROPS}"),
    producer("transactions by a default id", f"--record-size 10 --transaction-duration-ms 50 {PROPS}"),
    producer("record too large for the client", f"--record-size 2000000 {PROPS}",
             base="--topic {own} --num-records 2 --throughput -1", exact=True, failures=True),
    producer("record too large for the broker", f"--record-size 1000 {PROPS}",
             base="--topic small --num-records 2 --throughput -1", exact=True, failures=True, versions=NEW),
    producer("larger than the buffer", f"--record-size 900000 {PROPS} buffer.memory=100000",
             base="--topic {own} --num-records 2 --throughput -1", exact=True, failures=True),
    producer("topic that does not exist", f"--record-size 10 {PROPS} max.block.ms=800",
             base="--topic nothere --num-records 2 --throughput -1", exact=True, failures=True),
    producer("unreachable broker", "--record-size 10 --producer-props bootstrap.servers={nobody} max.block.ms=500",
             base="--topic t --num-records 2 --throughput -1", exact=True, failures=True,
             says=r"(?m)^WARN no connection to 127\.0\.0\.1:1: Connection refused"),
    producer("an invalid topic name", f"--record-size 10 {PROPS} max.block.ms=800",
             base="--topic in/valid --num-records 1 --throughput -1", exact=True, failures=True),
    producer("topic without a leader", f"--record-size 10 {PROPS} request.timeout.ms=1000 delivery.timeout.ms=1500",
             base="--topic gone --num-records 5 --throughput -1", exact=True, failures=True, dead=True),
    producer("topic without a leader, a record in each batch", f"--record-size 100 {PROPS} batch.size=50 acks=1"
             " request.timeout.ms=1000 delivery.timeout.ms=1500",
             base="--topic gone --num-records 5 --throughput -1", exact=True, failures=True, dead=True),
    producer("partition without a leader", f"--record-size 10 {PROPS} batch.size=50 request.timeout.ms=1000"
             " delivery.timeout.ms=1500", base="--topic half --num-records 50 --throughput -1", dead=True),
    producer("a buffer that stays full", f"--record-size 10000 {PROPS} buffer.memory=32768 max.block.ms=1000"
             " request.timeout.ms=1000 delivery.timeout.ms=6000",
             base="--topic gone --num-records 6 --throughput -1", exact=True, failures=True, dead=True),
    producer("a buffer that is full until batches expire", f"--record-size 10000 {PROPS} buffer.memory=32768"
             " max.block.ms=4000 request.timeout.ms=1000 delivery.timeout.ms=1500",
             base="--topic gone --num-records 5 --throughput -1", exact=True, failures=True, dead=True),
    producer("unknown property", f"--record-size 100 {PROPS} nonsense.property=1",
             says=r"These configurations '\[nonsense\.property\]' were supplied but are not used yet\."),
]

PRODUCER_BAD = [
    producer_bad("help", "--help"),
    producer_bad("short help", "-h"),
    producer_bad("no arguments", ""),
    producer_bad("no topic", "--num-records 1 --throughput 1 --record-size 1"),
    producer_bad("no payload", "--topic t --num-records 1 --throughput 1 --producer-props a=b"),
    producer_bad("two payloads", "--topic t --record-size 1 --payload-monotonic"),
    producer_bad("bad long", "--topic t --num-records abc"),
    producer_bad("bad integer", "--topic t --num-records 1 --record-size 1.5"),
    producer_bad("bad double", "--topic t --throughput x"),
    producer_bad("long out of range", "--topic t --num-records 99999999999999999999"),
    producer_bad("option without value", "--topic"),
    producer_bad("option in place of a value", "--topic --num-records 1"),
    producer_bad("list without value", "--producer-props --topic t"),
    producer_bad("unknown option", "--topic t --test"),
    producer_bad("stray word", "extra --topic t"),
    producer_bad("ambiguous abbreviation", "--pay x"),
    producer_bad("flag with a value", "--print-metrics=yes --topic t"),
    producer_bad("num-records 0", GOOD.replace("10", "0", 1) + " --producer-props a=b", NEW),
    producer_bad("record-size 0", GOOD + " --record-size 0 --producer-props a=b", NEW),
    producer_bad("too much warm-up", GOOD + " --warmup-records 10 --producer-props a=b", NEW),
    producer_bad("no servers", GOOD),
    producer_bad("two lists of properties", GOOD + " --producer-props a=b --command-property a=b", NEW),
    producer_bad("two files", GOOD + " --producer.config a --command-config b", NEW),
    producer_bad("transaction duration 0", GOOD + " --producer-props a=b --transaction-duration-ms 0", NEW),
    producer_bad("reporting interval 0", GOOD + " --producer-props a=b --reporting-interval 0", NEW),
    producer_bad("an option of 4.2", GOOD + " --producer-props a=b --warmup-records 1", OLD),
    producer_bad("num-records 0 unchecked", GOOD.replace("10", "0", 1) + " --producer-props bootstrap.servers={b}", OLD),
    producer_bad("record-size 0 unchecked", GOOD + " --record-size 0 --producer-props bootstrap.servers={b}", OLD,
                 exact=False),
    producer_bad("property without value", GOOD + " --producer-props key="),
    producer_bad("property without =", GOOD + " --producer-props bootstrap.servers={b} key"),
    producer_bad("config file missing", GOOD + " --producer.config {dir}/none.properties"),
    producer_bad("bad acks", GOOD + " --producer-props bootstrap.servers={b} acks=7"),
    producer_bad("bad number in a property", GOOD + " --producer-props bootstrap.servers={b} batch.size=x"),
    producer_bad("idempotence against acks", GOOD
                 + " --producer-props bootstrap.servers={b} acks=1 enable.idempotence=true"),
    producer_bad("delivery timeout too short", GOOD + " --producer-props bootstrap.servers={b} delivery.timeout.ms=5"),
    producer_bad("no bootstrap servers", GOOD + " --producer-props linger.ms=1"),
    producer_bad("bad bootstrap servers", GOOD + " --producer-props bootstrap.servers=nonsense"),
    producer_bad("a port that is none", GOOD + " --producer-props bootstrap.servers=127.0.0.1:70000"),
    producer_bad("no server's name resolves", GOOD + " --producer-props bootstrap.servers=a.invalid:9092,b.invalid:1"),
    producer_bad("an address with a path", GOOD + " --producer-props bootstrap.servers=http://127.0.0.1:9092/"),
]

CONSUMER = [
    consumer("summary", ""),
    consumer("num-records", "--num-records 1000", NEW, base="--bootstrap-server {b} --topic fixed"),
    consumer("broker-list, threads", "--threads 2", OLD, base="--broker-list {b} --topic fixed --messages 1000"),
    consumer("hide-header", "--hide-header"),
    consumer("detailed", "--show-detailed-stats"),
    consumer("detailed with rows", "--show-detailed-stats --reporting-interval 1", windows=True),
    consumer("timeout", "--timeout 1200", base="--bootstrap-server {b} --topic fixed --messages 5000"),
    consumer("include", "--include fix.*", NEW, base="--bootstrap-server {b} --num-records 1000"),
    consumer("from-latest", "--from-latest --timeout 1200"),
    consumer("date-format", "--date-format yyyyMMdd'T'HH:mm"),
    consumer("date-format of weeks, eras and zones", "--date-format G,YYYY,ww,W,F,u,L,X,XXX,zzzz"),
    consumer("bad date-format", "--date-format yyyy-bb", exact=True),
    consumer("date-format with too many X", "--date-format XXXX", exact=True),
    consumer("a server without a host", "", base="--bootstrap-server PLAINTEXT://:{port} --topic fixed --messages 1000"),
    consumer("group", "--group mine-{own}"),
    consumer("fetch-size", "--fetch-size 1000 --socket-buffer-size 70000"),
    consumer("metrics", "--print-metrics", NEW),
    consumer("metrics, which 3.9 prints after it has closed", "--print-metrics", OLD, code_only=True),
    consumer("consumer.config", "--consumer.config {dir}/consumer.properties"),
    consumer("command-config", "--command-config {dir}/consumer.properties", NEW),
    consumer("command-property", "--command-property max.poll.records=10 --command-property client.id=x", NEW),
    consumer("optional value left out", "--timeout"),
    consumer("a word for the optional value", "--timeout abc"),
    consumer("empty topic", "--timeout 1000", base="--bootstrap-server {b} --topic empty --messages 10"),
    consumer("topic that does not exist", "--timeout 1000",
             base="--bootstrap-server {b} --topic nothere --messages 10"),
    consumer("topic without a leader", "--timeout 2000", base="--bootstrap-server {b} --topic gone --messages 10",
             dead=True),
    consumer("partition without a leader", "--timeout 2000",
             base="--bootstrap-server {b} --topic read --messages 5000", dead=True),
    consumer("unreachable broker", "--timeout 1000", base="--bootstrap-server {nobody} --topic fixed --messages 10",
             says=r"(?m)^WARN no connection to 127\.0\.0\.1:1: Connection refused"),
    consumer("unknown property", "--command-property nonsense.property=1", NEW,
             says=r"These configurations '\[nonsense\.property\]' were supplied but are not used yet\."),
]


def consumer_bad(name, line, versions=BOTH, base="--bootstrap-server {b}", **more):
    more.setdefault("exact", True)
    return Case(f"consumer: {name}", "consumer-perf", f"{base} {line}".split(), versions, **more)


CONSUMER_BAD = [
    consumer_bad("no arguments", "", base=""),
    consumer_bad("help", "--help", base=""),
    consumer_bad("version", "--version", base=""),
    consumer_bad("no servers", "--topic t --messages 1", base=""),
    consumer_bad("no topic", "--messages 1"),
    consumer_bad("topic and include", "--topic t --include t --messages 1", NEW),
    consumer_bad("no count", "--topic t"),
    consumer_bad("two counts", "--topic t --messages 1 --num-records 1", NEW),
    consumer_bad("two files", "--topic t --messages 1 --consumer.config a --command-config b", NEW),
    consumer_bad("abbreviation", "--topic t --num-rec 5"),
    consumer_bad("one dash", "-topi t"),
    consumer_bad("a repeated option", "--topic a --topic b --messages 1"),
    consumer_bad("a repeated number", "--topic a --messages 1 --messages 2"),
    consumer_bad("bad number", "--topic fixed --messages abc"),
    consumer_bad("bad timeout", "--topic fixed --messages 1 --timeout=abc"),
    consumer_bad("bad fetch-size", "--topic fixed --messages 1 --fetch-size abc"),
    consumer_bad("option without value", "--topic"),
    consumer_bad("option in place of a value", "--messages 1 --topic --hide-header --timeout 500"),
    consumer_bad("reporting interval 0", "--topic fixed --messages 1 --reporting-interval 0"),
    consumer_bad("property without =", "--topic fixed --messages 1 --command-property key", NEW),
    consumer_bad("bad property", "--topic fixed --messages 1 --consumer.config {dir}/bad.properties"),
    consumer_bad("config file missing", "--topic fixed --messages 1 --consumer.config {dir}/none.properties"),
    consumer_bad("bad include", "--include *bad --messages 1", NEW, code_only=True, says=r"the topic pattern \*bad: "),
    Case("consumer: empty include", "consumer-perf", ["--bootstrap-server", "{b}", "--messages", "1", "--include", ""], NEW,
         exact=True),
    Case("consumer: empty topic name", "consumer-perf", ["--bootstrap-server", "{b}", "--messages", "1", "--topic", ""],
         exact=True),
    consumer_bad("no server's name resolves", "--topic fixed --messages 1", base="--bootstrap-server a.invalid:9092"),
    consumer_bad("an option of 4.2", "--topic fixed --num-records 1", OLD),
    consumer_bad("bad bootstrap servers", "--topic fixed --messages 1", base="--bootstrap-server nonsense"),
]

NAMED = "--bootstrap-server {b} --topic e2e-{own} --num-records 5 --producer-acks all --record-size 20"
E2E = [
    e2e("named", NAMED.replace("e2e-{own}", "{own}")),
    e2e("keys and headers", NAMED.replace("e2e-{own}", "{own}")
        + " --record-key-size 4 --num-headers 2 --record-header-key-size 3 --record-header-size 5"),
    e2e("null headers", NAMED.replace("e2e-{own}", "{own}") + " --num-headers 1 --record-header-size -1"),
    e2e("progress lines", "--bootstrap-server {b} --topic {own} --num-records 1001 --producer-acks 1 --record-size 10"),
    e2e("positions", "{b} {own} 5 all 20", BOTH),
    e2e("positions with a file", "{b} {own} 5 1 20 {dir}/consumer.properties", BOTH),
    e2e("topic that does not exist", "{b} {new} 3 1 20", BOTH),
    e2e("unreachable broker", "{nobody} {own} 3 1 20 {dir}/quick.properties", BOTH, exact=True,
        says=r"127\.0\.0\.1:1\b"),
    e2e("topic without a leader", "{b} gone 3 1 20 {dir}/quick.properties", BOTH, exact=True, dead=True),
    e2e("record too large", "{b} {own} 3 1 2000000", BOTH, exact=True),
    e2e("no arguments", "", BOTH, exact=True),
    e2e("help", "--help", BOTH, exact=True),
    e2e("help beside an option", "--topic t --help", exact=True),
    e2e("version", "--topic t --version", exact=True),
    e2e("too few positions", "{b} {own} 5", BOTH, exact=True),
    e2e("missing option", "--topic t --num-records 5", exact=True),
    e2e("bad acks", "{b} {own} 5 0 20", BOTH, exact=True),
    e2e("bad count", "{b} {own} abc 1 20", BOTH, exact=True),
    e2e("no record", "{b} {own} 0 1 20", BOTH),
    e2e("negative size", "{b} {own} 1 1 -1", BOTH, exact=True),
    e2e("negative key size", NAMED + " --record-key-size -1", exact=True),
    e2e("negative header key size", NAMED + " --record-header-key-size -1", exact=True),
    e2e("header size below -1", NAMED + " --record-header-size -2", exact=True),
    e2e("negative headers", NAMED + " --num-headers -1", exact=True),
    e2e("a word for the optional value", NAMED.replace("e2e-{own}", "{own}") + " --num-headers abc"),
    e2e("a bad optional value", NAMED + " --num-headers=abc", exact=True),
    e2e("abbreviation", NAMED + " --num-head 1", exact=True),
    e2e("a repeated option", NAMED + " --topic x", exact=True),
    e2e("config file missing", "{b} {own} 5 1 20 {dir}/none.properties", BOTH, exact=True),
    e2e("bad property", "{b} {own} 5 1 20 {dir}/bad.properties", BOTH, exact=True),
]

CASES = [*PRODUCER, *PRODUCER_BAD, *CONSUMER, *CONSUMER_BAD, *E2E]
