"""The suites of `client-suites`: how each is made and run, what may fail, and what is left out.

    Suite(repository)  -- fetches, builds --> a folder in .peers/suites
         .protocol = "classic" | "consumer"   which group protocol its consumers speak, where it can be told
         .run(target, only, short)        --> {test: "passed" | "failed" | "skipped"}, and a file of its output for each
"""

import concurrent.futures
import contextlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import typing
import xml.etree.ElementTree

from lib import brokers, peers
from lib.report import Failed, describe, need

FOLDER = peers.ROOT / "suites"
SCRIPTS = pathlib.Path(__file__).resolve().parent.parent
KAFKA_PYTHON, CONFLUENT, LIBRDKAFKA, FRANZ_GO = "3.0.12", "2.15.0", "v2.15.0", "v1.22.3"
WHOLE_S = 1800

#: What the suites take for granted of a broker: four partitions of what they do not create, node id 0 (kafka-python assigns
#: to it), sessions of a second, and an address that is set, not guessed.
SETTINGS = {"node.id": 0, "num.partitions": 4, "group.min.session.timeout.ms": 1000}

NO_AUTHORIZER = "no authorizer: it is off by default in Kafka too"
ONE_COPY = "asks for a replica on every node that it knows by then: the shards of one host keep one copy"
#: What may fail: (suite, test, fails on, why), where `fails on` is the least number of nodes of the target.
EXPECTED = [
    ("kafka-python", "test_create_describe_delete_acls", 1, NO_AUTHORIZER),
]

#: What is not run: (suite, test, not on, why), where `not on` is the least number of nodes of the target.
LEFT_OUT = [
    ("kafka-python", "test_alter_replica_log_dirs", 2, "takes it that the first node has the partition: fails by chance"),
    ("kafka-python", "test_alter_partition_reassignments", 2, ONE_COPY),
    ("confluent-kafka-python", "test_describe_operations", 1, "starts a broker of its own, with an authorizer"),
    ("confluent-kafka-python", "test_transactions", 1, "transactions"),
    ("confluent-kafka-python", "test_consumer_upgrade_downgrade", 1, "KIP-848"),
]

#: librdkafka's tests by number: those that need a broker, but no rights (0109, 0115, 0119), no SASL or certificates (0097, 0126,
#: 0135, 0142), no broker that creates no topics (0107, 0111), no producer in Java of its own (0098), no share groups (017x, 018x).
NUMBERS = """
    0001 0002 0003 0005 0007 0008 0011 0012 0013 0014 0015 0016 0017 0018 0019 0020 0021 0022 0026 0029 0030 0031 0033 0034 0035
    0036 0038 0039 0040 0041 0042 0044 0045 0048 0049 0050 0051 0052 0053 0054 0056 0057 0059 0060 0061 0063 0064 0065 0067 0068
    0069 0070 0073 0075 0076 0077 0081 0082 0083 0084 0085 0086 0088 0089 0090 0091 0092 0093 0094 0099 0101 0102 0103 0110
    0112 0113 0114 0118 0122 0123 0125 0127 0129 0130 0132 0137 0139 0140 0150
""".split()


class Target(typing.NamedTuple):
    """A broker to run against."""

    bootstrap: str
    nodes: int


@contextlib.contextmanager
def fresh(kind, shards=1, binary=None):
    """A new broker with the settings that the suites need."""
    with brokers.scratch("ringlog-suites-") as folder:
        port = brokers.free_ports(max(shards, 2))
        if kind == "kafka":
            voters = {"controller.quorum.voters": f"0@127.0.0.1:{port + 1}"}
            broker = brokers.Kafka(folder, port, overrides=SETTINGS | voters)
        else:
            broker = brokers.Ringlog(folder, port, shards=shards, binary=binary, advertised_port=port, overrides=SETTINGS)
        with broker:
            yield Target(broker.bootstrap, shards)


@contextlib.contextmanager
def running(bootstrap):
    """A broker that somebody else started."""
    code = "import sys; from confluent_kafka.admin import AdminClient as A; " \
           "print(len(A({'bootstrap.servers': sys.argv[1]}).list_topics(timeout=30).brokers))"
    nodes = peers.run([str(peers.librdkafka_python()), "-c", code, bootstrap])
    yield Target(bootstrap, int(nodes))


def run(report, suite, target, name, only, short):
    """One suite against one target: a check for each of its tests that counts."""
    label = f"{name} {suite.name}" + (f", {suite.protocol} protocol," if len(suite.protocols) > 1 else "")
    try:
        results = suite.run(target, only, short)
    except (Failed, subprocess.TimeoutExpired) as error:
        return report.fail(label, describe(error))
    failed = [test for test, result in results.items() if result == "failed" and not reason(suite, test, target)]
    again = suite.again(target, failed) if failed else {}
    late = [test for test in failed if again.get(test) == "passed"]
    for test in results:
        try:
            report.ok(f"{label} {test}", verdict(suite, test, results[test], test in late, target))
        except Failed as failure:
            report.fail(f"{label} {test}", failure)
    if not results:
        report.fail(label, f"no test ran; its output lies in {suite.output}")
    return None


def verdict(suite, test, result, is_late, target):
    """Whether a test's result is as it must be; what to say of it."""
    why = reason(suite, test, target)
    need(not (why and result == "passed"), f"passes, but is expected to fail ({why}): take it off the list")
    if why:
        return f"{result}, as expected: {why}"
    need(result != "failed" or is_late, f"failed twice; its output lies in {suite.output_of(test)}")
    return "passed when it ran alone" if is_late else result


def reason(suite, test, target):
    """Why a test may fail on this target, None if it must pass."""
    found = [why for name, part, nodes, why in EXPECTED if name == suite.name and part in test and target.nodes >= nodes]
    return found[0] if found else None


def left_out(suite, target):
    return [test for name, test, nodes, _ in LEFT_OUT if name == suite and target.nodes >= nodes]


class Pytest:
    """A suite that pytest runs."""

    name, tests, short_tests = "?", (), ()
    protocols, protocol = ("classic",), "classic"

    @property
    def output(self):
        return FOLDER / f"{self.name}.txt"

    def output_of(self, _test):
        return self.output

    def environment(self, target):
        raise NotImplementedError

    def run(self, target, only, short):
        chosen = [only] if only else []
        return self.pytest(target, chosen, self.short_tests if short else self.tests)

    def again(self, target, tests):
        return self.pytest(target, [test.partition("::")[2].partition("[")[0] for test in tests], self.tests)

    def pytest(self, target, chosen, tests):
        wanted = [f"({' or '.join(chosen)})"] if chosen else []
        wanted += [f"not {test}" for test in left_out(self.name, target)]
        results = self.output.with_suffix(".xml")
        results.unlink(missing_ok=True)
        command = [str(self.python()), "-m", "pytest", "-q", "-p", "no:cacheprovider", "--timeout", "150", f"--junitxml={results}",
                   "-k", " and ".join(wanted), *tests]
        with open(self.output, "w", encoding="utf-8") as out:
            subprocess.run(command, cwd=self.folder, env={**os.environ, **self.environment(target)}, stdout=out,
                           stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, timeout=WHOLE_S, check=False)
        if not results.exists():
            raise Failed(f"pytest wrote no results; its output lies in {self.output}")
        return {called(case): said(case) for case in xml.etree.ElementTree.parse(results).iter("testcase")}


def called(case):
    """File and function, for two files have a function of the same name."""
    return f"{case.get('classname').rpartition('.')[2]}::{case.get('name')}"


def said(case):
    """What pytest says of one test."""
    kinds = {child.tag for child in case}
    return "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed"


class KafkaPython(Pytest):
    """kafka-python: its source package holds the tests."""

    name = "kafka-python"
    tests = tuple(f"test/integration/test_{part}_integration.py" for part in ("admin", "consumer", "producer"))
    short_tests = tests[:1]
    #: A broker that runs already is all that is needed of it.
    SERVICE = """class ExternalService:
    def __init__(self, host, port):
        self.host, self.port = host, port


SpawnedService = None
"""

    def __init__(self, repository):
        home = FOLDER / f"kafka-python-{KAFKA_PYTHON}"
        self.folder = home / f"kafka_python-{KAFKA_PYTHON}"
        if repository:
            raise SystemExit("--from kafka-python: it comes with its source package, not from a repository")
        if not (home / "complete").exists():
            home.mkdir(parents=True, exist_ok=True)
            peers.run([str(self.python()), "-m", "pip", "download", "-q", "--no-deps", "--no-binary", ":all:", "-d", str(home),
                       f"kafka-python=={KAFKA_PYTHON}"])
            peers.run(["tar", "-xzf", f"kafka_python-{KAFKA_PYTHON}.tar.gz"], cwd=home)
            # The source package leaves out two files: the first makes `test` a package, or it is Python's own of that name.
            (self.folder / "test" / "__init__.py").touch()
            (self.folder / "test" / "service.py").write_text(self.SERVICE)
            (home / "complete").write_text("")

    def python(self):
        return peers.venv("suites/kafka-python-venv", f"kafka-python=={KAFKA_PYTHON}", "pytest", "pytest-mock", "pytest-timeout", "py",
                          "lz4", "zstandard", "python-snappy", "crc32c", "xxhash")

    def environment(self, target):
        # KAFKA_ROOT must be a folder; nothing is read from it where the broker is given.
        return {"KAFKA_VERSION": peers.DEFAULT, "KAFKA_URI": f"kafka://{target.bootstrap}", "KAFKA_ROOT": str(self.folder)}


class Confluent(Pytest):
    """confluent-kafka-python: the package from the index, the tests from its repository."""

    name = "confluent-kafka-python"
    tests = tuple(f"tests/integration/{part}" for part in ("admin", "consumer", "producer"))
    #: `test_basic_operations` begins with ACLs, and nothing after them runs without an authorizer.
    CONFTEST = """
import tests.integration.admin.test_basic_operations as basic

basic.verify_admin_acls = lambda *_: None
"""

    def __init__(self, repository):
        self.folder = checkout(self.name, f"v{CONFLUENT}", repository, self.finish)

    def finish(self, folder):
        (folder / "conftest.py").write_text(self.CONFTEST)
        # The suite imports the program that starts its own clusters, and uses it only where no broker is given.
        stub = folder / "trivup" / "clusters"
        stub.mkdir(parents=True)
        (stub.parent / "__init__.py").touch()
        (stub / "__init__.py").touch()
        (stub / "KafkaCluster.py").write_text("class KafkaCluster:\n    pass\n")

    def python(self):
        return peers.venv("suites/confluent-venv", f"confluent-kafka[schemaregistry,rules,avro,json,protobuf]=={CONFLUENT}", "pytest",
                          "pytest-timeout", "pytest-asyncio", "requests-mock", "respx", "async-timeout")

    def environment(self, target):
        return {"BROKERS": target.bootstrap, "PYTHONPATH": str(self.folder)}


class Librdkafka:
    """librdkafka: built from its repository; each number is a run of its own, four at once, for they mostly wait."""

    name = "librdkafka"
    protocols, protocol = ("classic", "consumer"), "classic"
    AT_ONCE, ONE_S = 4, 600
    ROW = re.compile(r"^\|\s*(\d{4}_\w+)\s*\|\s*(\w+)\s*\|", re.M)
    COLOUR = re.compile(r"\x1b\[[0-9;]*m")

    def __init__(self, repository):
        self.folder = checkout(self.name, LIBRDKAFKA, repository, self.finish)
        self.output = FOLDER / "librdkafka-output"

    def finish(self, folder):
        for name in ("cc", "c++", "make"):
            peers.program(name, {"cc": "gcc", "c++": "g++"}.get(name, name))
        for name, change in (("0081-admin", without_rights), ("0103-transactions", with_one_copy)):
            source = folder / "tests" / f"{name}.c"
            source.write_text(change(source.read_text()))
        flags = {**os.environ, "CFLAGS": "-O1", "CXXFLAGS": "-O1"}
        peers.run(["./configure", "--disable-debug-symbols", "--disable-gssapi", "--disable-curl", "--disable-zstd"], cwd=folder, env=flags)
        for part in (["-C", "src"], ["-C", "src-cpp"], ["-C", "tests", "test-runner"]):
            peers.run(["make", "-j", str(os.cpu_count() or 1), *part], cwd=folder, env=flags)
        # Some tests call Kafka's scripts under its folder.
        tools = folder / "kafka" / "bin"
        tools.mkdir(parents=True)
        for tool in peers.TOOLS:
            script = tools / f"{tool}.sh"
            script.write_text(f'#!/bin/sh\nexec "{SCRIPTS / "peers"}" tool {tool} "$@"\n')
            script.chmod(0o755)

    def output_of(self, test):
        return self.output / f"{test[:4]}.txt"

    def run(self, target, only, _short):
        numbers = [number for number in NUMBERS if not only or only[:4] == number]
        return self.numbers(target, numbers, self.AT_ONCE)

    def again(self, target, tests):
        return self.numbers(target, sorted({test[:4] for test in tests}), 1)

    def numbers(self, target, numbers, at_once):
        self.output.mkdir(parents=True, exist_ok=True)
        (self.output / "test.conf").write_text(
            f"metadata.broker.list={target.bootstrap}\ntest.topic.random=true\ntest.timeout.multiplier=3\n")
        peers.kafka_libs()
        with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
            results = pool.map(lambda number: self.number(target, number), numbers)
        return {test: result for one in results for test, result in one.items()}

    def number(self, target, number):
        """The results of the tests of one number; those that are skipped (they need no broker) only count where all are."""
        tests = self.folder / "tests"
        environment = {
            **os.environ, "TESTS": number, "RDKAFKA_TEST_CONF": str(self.output / "test.conf"), "TEST_KAFKA_VERSION": peers.DEFAULT,
            "TEST_REPORT": str(self.output / f"{number}.json"), "BROKERS": target.bootstrap, "KAFKA_PATH": str(self.folder / "kafka"),
            "LD_LIBRARY_PATH": f"{self.folder / 'src'}:{self.folder / 'src-cpp'}", "TEST_CONSUMER_GROUP_PROTOCOL": self.protocol,
        }
        with open(self.output / f"{number}.txt", "w+", encoding="utf-8", errors="replace") as out:
            with contextlib.suppress(subprocess.TimeoutExpired):
                subprocess.run(["./test-runner", "-Q", "-L", "-p1"], cwd=tests, env=environment, stdout=out, stderr=subprocess.STDOUT,
                               stdin=subprocess.DEVNULL, timeout=self.ONE_S, check=False)
            out.seek(0)
            rows = self.ROW.findall(self.COLOUR.sub("", out.read()))
        rows = [(test, result.lower()) for test, result in rows if test.startswith(number)]
        # It writes its table at its end: one that was stopped, or died, has none.
        return dict(row for row in rows if row[1] != "skipped") or {number: "skipped" if rows else "failed"}


def without_rights(source):
    """0081 without ACLs, which nothing after runs without, and with one replica however many nodes there are."""
    source, acls = re.subn(r"^ *do_test_(?:Create|Describe|Delete)Acls\(rk, mainq, [01]\);\n", "", source, flags=re.M)
    source, replicas = re.subn(r"int num_replicas = \(int\)avail_broker_cnt;", "int num_replicas = 1;", source)
    if (acls, replicas) != (6, 2):
        raise SystemExit(f"librdkafka's 0081-admin.c is not the one of {LIBRDKAFKA}: {acls} calls for ACLs, {replicas} of replicas")
    return source


def with_one_copy(source):
    """0103 with topics of one replica instead of three."""
    source, calls = re.subn(r"(test_create_topic_wait_exists\(.*), 3, 5000\);", r"\1, 1, 5000);", source)
    if calls != 7:
        raise SystemExit(f"librdkafka's 0103-transactions.c is not the one of {LIBRDKAFKA}: {calls} topics are created")
    return source


class FranzGo:
    """franz-go: its chain of transactions, from the tests of its module, as the Go module proxy has it."""

    name = "franz-go"
    #: Its consumers are told in each test which protocol they speak.
    protocols, protocol = ("classic",), "classic"
    PACKAGE = "./pkg/kgo"
    TESTS = "^TestTxnEtl$"
    #: How many records the chain passes on.
    RECORDS = 10_000

    def __init__(self, repository):
        if repository:
            raise SystemExit("--from franz-go: it is a Go module, and comes as one")
        self.folder, self.output = FOLDER / f"franz-go-{FRANZ_GO}", FOLDER / "franz-go.txt"
        if not (self.folder / "complete").exists():
            found = peers.run([peers.program("go", "golang-go"), "mod", "download", "-json", f"github.com/twmb/franz-go@{FRANZ_GO}"])
            shutil.rmtree(self.folder, ignore_errors=True)
            shutil.copytree(json.loads(found)["Dir"], self.folder)
            peers.run(["chmod", "-R", "u+w", str(self.folder)])
            peers.run(["go", "vet", self.PACKAGE], cwd=self.folder)
            (self.folder / "complete").write_text("")

    def output_of(self, _test):
        return self.output

    def run(self, target, only, _short):
        return self.go(target, only or self.TESTS)

    def again(self, target, _tests):
        return self.go(target, self.TESTS)

    def go(self, target, chosen):
        environment = {**os.environ, "KGO_SEEDS": target.bootstrap, "KGO_TEST_RF": "1", "KGO_TEST_RECORDS": str(self.RECORDS)}
        command = ["go", "test", "-json", "-count=1", f"-timeout={WHOLE_S}s", "-run", chosen, self.PACKAGE]
        done = subprocess.run(command, cwd=self.folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=WHOLE_S + 60, check=False)
        events = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        self.output.write_text("".join(event.get("Output", "") for event in events) or done.stdout)
        ends = {"pass": "passed", "fail": "failed", "skip": "skipped"}
        return {event["Test"]: ends[event["Action"]] for event in events if event.get("Test") and event["Action"] in ends}


SUITES = {suite.name: suite for suite in (KafkaPython, Confluent, Librdkafka, FranzGo)}


def checkout(name, tag, repository, finish):
    """The folder of a repository at a tag, built by `finish`."""
    folder = FOLDER / f"{name}-{tag}"
    if not (folder / "complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        address = repository or f"https://github.com/confluentinc/{name}"
        peers.run([peers.program("git", "git"), "clone", "-q", "--depth", "1", "--branch", tag, address, str(folder)])
        finish(folder)
        (folder / "complete").write_text("")
    return folder
