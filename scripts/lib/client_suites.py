"""The suites of `client-suites`: how each is made and run, what may fail, and what is left out.

    Suite(repository)  -- fetches, builds --> a folder in .peers/suites
         .protocol = "classic" | "consumer"   which group protocol its consumers speak, where it can be told
         .run(target, only, short)        --> {test: "passed" | "failed" | "skipped"}, and a file of its output for each
"""

import contextlib
import os
import subprocess
import typing
import xml.etree.ElementTree

from lib import brokers, peers
from lib.native_suites import FranzGo, Librdkafka
from lib.report import Failed, describe, need

KAFKA_PYTHON, CONFLUENT = "3.0.12", "2.15.0"
WHOLE_S = 1800
#: How often a test that failed may run alone, until it passes.
AGAIN = 3

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
]


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
    failed = {test for test, result in results.items() if result == "failed" and not reason(suite, test, target)}
    late = failed - failed_again(suite, target, failed)
    for test in results:
        try:
            report.ok(f"{label} {test}", verdict(suite, test, results[test], test in late, target))
        except Failed as failure:
            report.fail(f"{label} {test}", failure)
    if not results:
        report.fail(label, f"no test ran; its output lies in {suite.output}")
    return None


def failed_again(suite, target, failed):
    """Those of some tests that fail as often as they run alone."""
    for _ in range(AGAIN):
        if failed:
            results = suite.again(target, sorted(failed))
            failed = {test for test in failed if results.get(test) != "passed"}
    return failed


def verdict(suite, test, result, is_late, target):
    """Whether a test's result is as it must be; what to say of it."""
    why = reason(suite, test, target)
    need(not (why and result == "passed"), f"passes, but is expected to fail ({why}): take it off the list")
    if why:
        return f"{result}, as expected: {why}"
    need(result != "failed" or is_late, f"failed, and each time that it ran alone; its output lies in {suite.output_of(test)}")
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
        return peers.SUITES / f"{self.name}.txt"

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
        home = peers.SUITES / f"kafka-python-{KAFKA_PYTHON}"
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
    protocols = ("classic", "consumer")
    tests = tuple(f"tests/integration/{part}" for part in ("admin", "consumer", "producer"))
    #: `test_basic_operations` begins with ACLs, and nothing after them runs without an authorizer.
    CONFTEST = """
import tests.integration.admin.test_basic_operations as basic

basic.verify_admin_acls = lambda *_: None
"""

    def __init__(self, repository):
        self.folder = peers.checkout(self.name, f"v{CONFLUENT}", repository, self.finish)

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
        return {"BROKERS": target.bootstrap, "PYTHONPATH": str(self.folder), "TEST_CONSUMER_GROUP_PROTOCOL": self.protocol}


SUITES = {suite.name: suite for suite in (KafkaPython, Confluent, Librdkafka, FranzGo)}
