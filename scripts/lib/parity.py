"""Runs the cases of lib/parity_cases.py on both sides and compares exit codes and shapes (lib/parity_shape.py).

    Kafka's tool (ToolHost, a warm JVM)  -> code, stdout, stderr -> shape --+
                                                                            +-> ok, or DIFFERENT with a diff
    ringlog producer-perf ... (a process) -> code, stdout, stderr -> shape -+
"""

import collections
import contextlib
import difflib
import functools
import re
import subprocess
import threading
import time

from lib import brokers, parity_cases, peers, wire
from lib.parity_shape import shape
from lib.report import Failed
from lib.tools import Result, Tools

DOCUMENT = peers.REPO / "harness" / "docs" / "perf-tools.md"
KAFKA_NAMES = {"producer-perf": "kafka-producer-perf-test", "consumer-perf": "kafka-consumer-perf-test",
               "e2e-latency": "kafka-e2e-latency"}
LONGEST_S = 90
Pair = collections.namedtuple("Pair", "theirs ours")


class Report:
    """`ok NAME` or `DIFFERENT NAME` with a diff; counts at the end."""

    def __init__(self, only=None, show=False):
        self.only, self.show = only, show
        self.passed, self.failed = [], []

    def anew(self):
        return functools.partial(Report, self.only, self.show)

    def wants(self, name):
        return self.only is None or self.only in name

    def add(self, name, differences, spent_s):
        word = "DIFFERENT" if differences else "ok"
        (self.failed if differences else self.passed).append(name)
        # At once: another version may be told beside it.
        print("\n    ".join([f"{word} {name} [{spent_s:.1f} s]", *differences]), flush=True)

    def fail(self, name, why):
        self.add(name, [why], 0.0)

    def close(self):
        for name in self.failed:
            print(f"different: {name}")
        print(f"{len(self.passed)} ok, {len(self.failed)} different", flush=True)
        return 1 if self.failed or not self.passed else 0


class Bench:
    """A real Kafka with the topics that the cases need, its tools, and our binary."""

    def __init__(self, folder, version, binary, cases):
        self.folder, self.version, self.binary, self.cases = folder, version, binary, cases
        self.tools = Tools(version)
        self.compat = ["--compat", "3.9"] if version.startswith("3.") else []
        overrides = {"auto.create.topics.enable": "false", "transaction.state.log.replication.factor": 1}
        self.broker = brokers.new("kafka", folder / "broker", version=version, overrides=overrides)

    def __enter__(self):
        self.broker.start()
        parity_cases.prepare(self)
        return self

    def __exit__(self, *_):
        self.tools.close()
        self.broker.kill()

    @contextlib.contextmanager
    def second_broker(self):
        """A broker beside the first one, for as long as it takes: what only it has is without a leader afterwards."""
        port = brokers.free_ports(1)
        beside = {"process.roles": "broker", "node.id": 2, "listeners": f"PLAINTEXT://127.0.0.1:{port}",
                  "controller.quorum.voters": f"1@127.0.0.1:{self.broker.port + 1}"}
        with brokers.Kafka(self.folder / "second", port, version=self.version, overrides=beside) as broker:
            yield broker
            broker.stop()

    def kafka_topics(self, *arguments):
        return self.tools("kafka-topics", "--bootstrap-server", self.broker.bootstrap, *arguments).out

    def places(self, side):
        """What stands for {name} in a case's arguments; each side has topics that the other does not touch."""
        return {"b": self.broker.bootstrap, "dir": self.folder, "own": f"own-{side}", "new": f"new-{side}",
                "nobody": "127.0.0.1:1", "port": self.broker.port}

    def both(self, case):
        """Both sides at the same time."""
        got = {}
        thread = threading.Thread(target=lambda: got.update(ours=self.ours(case)))
        thread.start()
        try:
            theirs = self.theirs(case)
        except Failed as error:
            theirs = Result(-1, "", str(error))
        thread.join()
        return Pair(theirs, got["ours"])

    def theirs(self, case):
        arguments = [argument.format(**self.places("theirs")) for argument in case.arguments]
        return self.tools.run(KAFKA_NAMES[case.tool], *arguments, timeout_s=LONGEST_S)

    def ours(self, case):
        arguments = [argument.format(**self.places("ours")) for argument in case.arguments]
        try:
            done = subprocess.run([self.binary, case.tool, *self.compat, *arguments], capture_output=True, text=True,
                                  timeout=LONGEST_S, stdin=subprocess.DEVNULL)
        except subprocess.TimeoutExpired:
            return Result(-1, "", f"did not end within {LONGEST_S} s")
        return Result(done.returncode, done.stdout, done.stderr)


def run(report, version, binary):
    cases = [case for case in parity_cases.CASES if version in case.versions and report.wants(f"{version} {case.name}")]
    if not cases:
        return
    with brokers.scratch("ringlog-parity-") as folder, Bench(folder, version, binary, cases) as bench:
        for case in cases:
            started = time.monotonic()
            pair = bench.both(case)
            if report.show:
                show(pair)
            report.add(f"{version} {case.name}", differences(case, pair), time.monotonic() - started)


def show(pair):
    for side, result in pair._asdict().items():
        print(f"--- {side}, exit code {result.code}\n{result.out}\n--- {side}, stderr\n{result.err}")


def differences(case, pair):
    """What is not the same; nothing where all is."""
    found = []
    if pair.theirs.code != pair.ours.code:
        found.append(f"exit code: Kafka's {pair.theirs.code}, ours {pair.ours.code}")
    streams = [] if case.code_only else [("stdout", pair.theirs.out, pair.ours.out), ("stderr", pair.theirs.err, pair.ours.err)]
    for stream, theirs, ours in streams:
        left, right = (shape(neutral(text), case.windows, case.exact) for text in (theirs, ours))
        left, right = permitted(left, right)
        diff = difflib.unified_diff(left, right, f"Kafka's {stream}", f"our {stream}", lineterm="", n=1)
        found += list(diff)
    if case.failures:
        left, right = failures(pair.theirs.err), our_failures(pair.ours.err)
        found += [] if left and left == right else [f"failed records by text: Kafka's {left}, ours {right}"]
    if case.says and not re.search(case.says, pair.ours.err):
        found.append(f"our stderr does not say {case.says}")
    return found


def failures(text):
    """How many records failed with each text: Kafka's tool has a line for each of them."""
    lines = [line for line in text.splitlines() if re.match(r"[\w.]+Exception: ", line)]
    return collections.Counter(without_numbers(line.split(": ", 1)[1]) for line in lines)


def our_failures(text):
    """The same from our last lines, which count them; Kafka's name of the error and its code are ours alone."""
    kinds = re.findall(r"^(\d+) records failed, such as: (?:[A-Z_]+ \(-?\d+\): )?(.*)$", text, re.M)
    return collections.Counter({without_numbers(kind): int(count) for count, kind in kinds})


def without_numbers(text):
    return re.sub(r"\d+", "<n>", text)


def neutral(text):
    """Names that differ by side, and ids."""
    text = re.sub(r"\b(own|new)-(theirs|ours)\b", r"\1", text)
    text = re.sub(r"perf-consumer-\d+", "perf-consumer-<id>", text)
    return re.sub(r"(?m)^\d+\.\d+\.\d+(-\w+)?( \(Commit:\w+\))?$", "<version>", text)


def permitted(theirs, ours):
    """Takes away what the document permits: options that are ours, metrics that we do not have."""
    document = DOCUMENT.read_text()
    own = set(re.findall(r"^\| `(--[\w.-]+)", document, re.M))
    missing = re.findall(r"^\| `([a-z]+(?:-[a-z]+)*:[^`]+)` \|", document, re.M)
    lacks = re.compile("|".join(glob(name) for name in missing) or "(?!)")
    theirs = [line for line in theirs if not (line.startswith("metric ") and lacks.match(line[7:]) and line not in ours)]
    options = re.compile(r"(?:option|listed) \[?(--[\w.-]+)")
    known = {line for line in theirs if line.startswith(("option", "listed"))}
    ours = [line for line in ours if not (options.match(line) and options.match(line)[1] in own and line not in known)]
    return theirs, ours


def glob(name):
    return re.escape(name).replace(r"\*", r"[^ :]*") + r"[: ]"


def topic(bench, name, partitions=1, configs=()):
    code = wire.make_topic(bench.broker.port, name, partitions, configs)
    if code != 0:
        raise SystemExit(f"CreateTopics {name}: error {code}")
    for partition in range(partitions):
        wire.leader_port(bench.broker.port, name, partition)
