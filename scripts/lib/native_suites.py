"""The suites of `client-suites` that are compiled: librdkafka's and franz-go's."""

import concurrent.futures
import contextlib
import json
import os
import pathlib
import re
import shutil
import subprocess

from lib import peers

LIBRDKAFKA, FRANZ_GO = "v2.15.0", "v1.22.3"
#: How long franz-go's tests may take, all of them.
GO_S = 1800

#: librdkafka's tests by number: those that need a broker (0098 is in WHOLE), but no rights (0109, 0115, 0119), no SASL or certificates
#: (0097, 0126, 0135, 0142), no broker that creates no topics (0107, 0111), no share groups (017x, 018x).
NUMBERS = """
    0001 0002 0003 0005 0007 0008 0011 0012 0013 0014 0015 0016 0017 0018 0019 0020 0021 0022 0026 0029 0030 0031 0033 0034 0035
    0036 0038 0039 0040 0041 0042 0044 0045 0048 0049 0050 0051 0052 0053 0054 0056 0057 0059 0060 0061 0063 0064 0065 0067 0068
    0069 0070 0073 0075 0076 0077 0081 0082 0083 0084 0085 0086 0088 0089 0090 0091 0092 0093 0094 0099 0101 0102 0103 0110
    0112 0113 0114 0118 0122 0123 0125 0127 0129 0130 0132 0137 0139 0140 0150
""".split()


class Librdkafka:
    """librdkafka: built from its repository; each number is a run of its own, four at once, for they mostly wait."""

    name = "librdkafka"
    protocols, protocol = ("classic", "consumer"), "classic"
    AT_ONCE, ONE_S = 4, 600
    #: Those of which `-Q`, quick, leaves out what they are for; they take minutes and begin first.
    WHOLE = ("0098",)
    ROW = re.compile(r"^\|\s*(\d{4}_\w+)\s*\|\s*(\w+)\s*\|", re.M)
    COLOUR = re.compile(r"\x1b\[[0-9;]*m")

    def __init__(self, repository):
        self.folder = peers.checkout(self.name, LIBRDKAFKA, repository, self.finish)
        self.output = peers.SUITES / "librdkafka-output"

    def finish(self, folder):
        for name in ("cc", "c++", "make"):
            peers.program(name, {"cc": "gcc", "c++": "g++"}.get(name, name))
        if not pathlib.Path("/usr/include/rapidjson").exists():  # 0098 is left out without it
            peers.install("rapidjson-dev")
        for name, change in CHANGES.items():
            source = folder / "tests" / name
            source.write_text(change(name, source.read_text()))
        flags = {**os.environ, "CFLAGS": "-O1", "CXXFLAGS": "-O1"}
        peers.run(["./configure", "--disable-debug-symbols", "--disable-gssapi", "--disable-curl", "--disable-zstd"], cwd=folder, env=flags)
        for part in (["-C", "src"], ["-C", "src-cpp"], ["-C", "tests", "test-runner"]):
            peers.run(["make", "-j", str(os.cpu_count() or 1), *part], cwd=folder, env=flags)

    def kafka(self):
        """Kafka's folder, as far as some tests use it: its scripts, and the jars for a producer in Java."""
        folder = self.folder / "kafka"
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "bin").mkdir(parents=True)
        (folder / "libs").symlink_to(peers.kafka_libs())
        run = {tool: f'"{peers.HERE.parent / "peers"}" tool {tool} "$@"' for tool in peers.TOOLS}
        run["kafka-run-class"] = f'"{peers.java()}" {" ".join(peers.LIGHT_JVM)} -cp "$CLASSPATH:{folder / "libs"}/*" "$@"'
        for tool, command in run.items():
            script = folder / "bin" / f"{tool}.sh"
            script.write_text(f"#!/bin/sh\nexec {command}\n")
            script.chmod(0o755)

    def output_of(self, test):
        return self.output / f"{test[:4]}.txt"

    def run(self, target, only, _short):
        numbers = [number for number in [*self.WHOLE, *NUMBERS] if not only or only[:4] == number]
        return self.numbers(target, numbers, self.AT_ONCE)

    def again(self, target, tests):
        results = self.numbers(target, sorted({test[:4] for test in tests}), 1)
        # Of one that was stopped or died only the number is known: all of its tests must pass.
        ends = {test: {result for name, result in results.items() if name.startswith(test)} for test in tests}
        return {test: "passed" for test in tests if ends[test] == {"passed"}}

    def numbers(self, target, numbers, at_once):
        self.output.mkdir(parents=True, exist_ok=True)
        (self.output / "test.conf").write_text(
            f"metadata.broker.list={target.bootstrap}\ntest.topic.random=true\ntest.timeout.multiplier=3\n")
        self.kafka()
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
                subprocess.run(["./test-runner", "-L", "-p1", *([] if number in self.WHOLE else ["-Q"])], cwd=tests, env=environment,
                               stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, timeout=self.ONE_S, check=False)
            out.seek(0)
            rows = self.ROW.findall(self.COLOUR.sub("", out.read()))
        rows = [(test, result.lower()) for test, result in rows if test.startswith(number)]
        # It writes its table at its end: one that was stopped, or died, has none.
        return dict(row for row in rows if row[1] != "skipped") or {number: "skipped" if rows else "failed"}


def changed(name, source, *changes):
    """A source with each (pattern, by what it is replaced, how often it is there) of `changes` made."""
    for pattern, by, due in changes:
        source, count = re.subn(pattern, by, source, flags=re.M)
        if count != due:
            raise SystemExit(f"librdkafka's {name} is not the one of {LIBRDKAFKA}: {count} times {pattern}, not {due}")
    return source


def without_rights(name, source):
    """0081 without ACLs, which nothing after runs without, and with one replica however many nodes there are."""
    return changed(name, source, (r"^ *do_test_(?:Create|Describe|Delete)Acls\(rk, mainq, [01]\);\n", "", 6),
                   (r"int num_replicas = \(int\)avail_broker_cnt;", "int num_replicas = 1;", 2))


def with_one_copy(topics):
    """A source whose topics, so many, have one replica instead of three."""
    return lambda name, source: changed(name, source, (r"(create_topic_wait_exists\(.*), 3, 5000\);", r"\1, 1, 5000);", topics))


#: What is changed in librdkafka's tests.
CHANGES = {"0081-admin.c": without_rights, "0103-transactions.c": with_one_copy(7), "0098-consumer-txn.cpp": with_one_copy(16)}


class FranzGo:
    """franz-go: the tests of its module that need a broker, as the Go module proxy has it."""

    name = "franz-go"
    #: Its consumers are told in each test which protocol they speak.
    protocols, protocol = ("classic",), "classic"
    PACKAGE = "./pkg/kgo"
    #: Those that need a broker, but no share groups, SASL or certificates. Of kadm, its client of administrators, no test does.
    TESTS = """
        848RegexBrokerResolves AddRemovePartitions Client_Produce Client_ProduceLargeMessages ConsumeMaxDecompressBatchBytes ConsumeRegex
        ConsumeTopicRetrieval ConsumeTopicRetrieval_Many DirectPartitionPurge GroupETL GroupSimple HookPollStart Issue1034 Issue325
        Issue337 Issue434 Issue523 Issue648 Issue769 Issue810 Issue831 Issue865 IssueFetchLargerThanBrokerMaxReadBytes
        IssueProduceBrokerTooOldFailsRecords IssueProduceSyncManualPartitionNegativeDoesNotPanic PauseIssue489 PauseIssueOct2023 Ping
        Pooling TxnEtl UnknownGroupOffsetFetchPinned
    """.split()
    #: How many records the chains of groups and of transactions pass on.
    RECORDS = 10_000

    def __init__(self, repository):
        if repository:
            raise SystemExit("--from franz-go: it is a Go module, and comes as one")
        self.folder, self.output = peers.SUITES / f"franz-go-{FRANZ_GO}", peers.SUITES / "franz-go.txt"
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
        return self.go(target, [f"Test{test}" for test in self.TESTS if not only or only in f"Test{test}"])

    def again(self, target, tests):
        return self.go(target, sorted({test.partition("/")[0] for test in tests}))

    def go(self, target, tests):
        environment = {**os.environ, "KGO_SEEDS": target.bootstrap, "KGO_TEST_RF": "1", "KGO_TEST_RECORDS": str(self.RECORDS)}
        chosen = f"^({'|'.join(tests)})$"
        command = ["go", "test", "-json", "-count=1", f"-timeout={GO_S}s", "-run", chosen, self.PACKAGE]
        done = subprocess.run(command, cwd=self.folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=GO_S + 60, check=False)
        events = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        self.output.write_text("".join(event.get("Output", "") for event in events) or done.stdout)
        ends = {"pass": "passed", "fail": "failed", "skip": "skipped"}
        return {event["Test"]: ends[event["Action"]] for event in events if event.get("Test") and event["Action"] in ends}
