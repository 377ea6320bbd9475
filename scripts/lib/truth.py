"""The cases of `scripts/truth`: what the proxy does, what the tool is asked, which numbers must come out.

A case is chosen such that its numbers follow from what the proxy does and not from how quick the machine is. One record
goes into a request (linger 0, a fixed rate) and many requests may be on their way, so that no record waits unseen in the
client; what the first records pay for (metadata, connections, Java's start) is left out by --warmup-records.
"""

import collections
import contextlib
import io
import subprocess
import time

from lib import brokers, peers, truth_omission, wire
from lib.report import Disturbed, Failed, Report, describe, need
from lib.truth_proxy import Proxy, quantile
from lib.truth_report import compare, missed_lies

Case = collections.namedtuple("Case", "name proxy tool topic arguments truths", defaults=(None, None, None))
WARM = 500
ATTEMPTS = 3
RETRIABLE, FATAL = 19, 87  # NOT_ENOUGH_REPLICAS, INVALID_RECORD
EACH_ALONE = ("acks=1", "enable.idempotence=false", "linger.ms=0", "max.in.flight.requests.per.connection=1000")
LIMITED = ("acks=1", "enable.idempotence=false", "buffer.memory=262144")
RECORD_BYTES = 1000
LIMIT_RECORDS = 12000


def produce(records, rate, size, *properties, extra=()):
    return ["--num-records", records, "--throughput", rate, "--record-size", size, *extra,
            "--command-property", *properties]


def latencies(*names):
    """Of the records after the warm-up: quantiles, the greatest, and how many there are."""
    def truths(record):
        ordered = record.latencies_ms(WARM)
        out = {name: quantile(ordered, float(name[1:]) / 100) for name in names if name.startswith("p")}
        return {**out, **({"max": ordered[-1]} if "max" in names else {}), "sent": len(ordered)}
    return truths


def failures(asked):
    def truths(record):
        failed = record.planted(FATAL)
        need(failed and record.planted(RETRIABLE), "the proxy planted no error: the case shows nothing")
        return {"failed": failed, "retries": record.planted(RETRIABLE), "sent": asked - failed}
    return truths


WARMED = ("--warmup-records", WARM)
CASES = [
    # 1 % late by 50 ms at 500/s: answers keep their order, so each late one holds back the 25 behind it. 5 % of the
    # records wait over 40 ms, 1 % over 48 ms. (p99.9 is four records here: that is for the longer delays below.)
    Case("1 % of the answers 50 ms late", ["--late", "0.01:50"], "producer", "late",
         produce(4000, 500, 100, *EACH_ALONE, extra=WARMED), latencies("p95", "p99")),
    # 3 % late by 200 ms: nearly all records wait, so that the median is the proxy's doing too.
    Case("3 % of the answers 200 ms late", ["--late", "0.03:200"], "producer", "later",
         produce(4000, 500, 100, *EACH_ALONE, extra=WARMED), latencies("p50", "p95", "p99", "p99.9")),
    # A tenth of the time nothing is answered: a tenth of the records wait 0..200 ms, evenly.
    Case("a stall of 200 ms every 2 s", ["--stall", "200:2000"], "producer", "stalls",
         produce(4000, 500, 100, *EACH_ALONE, extra=WARMED), latencies("p95", "p99", "p99.9", "max")),
    Case("0.1 % of the answers are errors, of two kinds", ["--error", f"0.001:{FATAL}", "--error", f"0.001:{RETRIABLE}"],
         "producer", "errors", produce(16000, 4000, 100, *EACH_ALONE, "retry.backoff.ms=10", extra=["--print-metrics"]),
         failures(16000)),
    Case("4 MB/s to produce", ["--bytes-per-second", "4000000"], "producer", "limit",
         produce(LIMIT_RECORDS, -1, RECORD_BYTES, *LIMITED, extra=["--warmup-records", 2000]),
         lambda record: {"rate": record.produce_rate(2000), "sent": LIMIT_RECORDS - 2000}),
    Case("4 MB/s to consume", ["--bytes-per-second", "4000000"], "consumer", "limit",
         ["--num-records", LIMIT_RECORDS, "--fetch-size", 100000],
         lambda record: {"fetch rate": record.fetch_rate(), "fetched": LIMIT_RECORDS}),
    Case("every answer 20 ms late to a consumer", ["--late", "1:20"], "consumer", "limit",
         ["--num-records", LIMIT_RECORDS, "--fetch-size", 100000],
         lambda record: {"fetch rate": record.fetch_rate(), "fetched": LIMIT_RECORDS}),
    # Half of the answers, to Produce and to Fetch alike: three in four records wait for one or the other.
    Case("half of the answers 150 ms late, end to end", ["--late", "0.5:150"], "end to end", "end-to-end",
         ["--num-records", 50, "--producer-acks", 1, "--record-size", 100],
         lambda record: {"end to end p50": quantile(record.end_to_end_ms(), 0.5)}),
]


class Bench:
    """A broker that advertises a proxy's port, and the tools of one maker."""

    def __init__(self, kind, folder, options, base_port):
        self.kind, self.folder, self.options = kind, folder, options
        self.port = base_port + 3
        how = {"binary": options.bin} if kind == "ringlog" else {}
        self.broker = brokers.new(kind, folder / kind, advertised_port=self.port, overrides={"num.partitions": 1}, **how)
        self.broker.port = base_port

    def __enter__(self):
        self.broker.start()
        return self

    def __exit__(self, *_):
        self.broker.kill()

    @contextlib.contextmanager
    def proxy(self, *behaviour):
        with Proxy(self.options.proxy, self.port, self.broker.port, self.folder, *behaviour) as proxy:
            yield proxy

    def make_topics(self, names):
        with self.proxy():
            for name in names:
                need(wire.make_topic(self.broker.port, name) == 0, f"topic {name} is not created")
                wire.leader_port(self.broker.port, name)

    def command(self, tool, topic, arguments):
        words = {"producer": ("producer-perf", "kafka-producer-perf-test"),
                 "consumer": ("consumer-perf", "kafka-consumer-perf-test"),
                 "end to end": ("e2e-latency", "kafka-e2e-latency")}[tool]
        if self.kind == "ringlog":
            command = [self.broker.binary, words[0]]
        else:
            command = [peers.java(), *peers.LIGHT_JVM, "-cp", peers.class_path(), peers.tool_class(words[1])]
        where = ["--bootstrap-server", f"127.0.0.1:{self.port}", "--topic", topic]
        return [str(word) for word in [*command, *where, *arguments]]

    def run(self, case):
        """The tool's standard output and the proxy's record."""
        with self.proxy(*case.proxy) as proxy:
            command = self.command(case.tool, case.topic, case.arguments)
            done = subprocess.run(command, capture_output=True, text=True, timeout=120)
            need(done.returncode == 0, f"the tool ended with {done.returncode}: {done.stdout[-300:]} {done.stderr[-600:]}")
            return done.stdout, proxy.end()


def check(bench, case):
    """Runs a case: every number holds, and a lie about any of them would be found."""
    text, record = bench.run(case)
    truths = case.truths(record)
    rows = compare(text, truths)
    shown = ", ".join(f"{name} {value:g} (true {truth:.6g})" for name, value, truth, _ in rows)
    if not all(holds for *_, holds in rows):
        raise Disturbed(f"beyond 5 % or not exact: {shown}")
    missed = missed_lies(text, truths)
    need(not missed, f"a lie about {', '.join(missed)} would not be found: {shown}")
    return f"{shown}; each lie found"


def run(report, options):
    base = brokers.free_ports(20)
    with brokers.scratch("ringlog-truth-") as folder, contextlib.ExitStack() as stack:
        kinds = [kind for kind in ("kafka", "ringlog") if options.only_kind in (None, kind)]
        benches = [stack.enter_context(Bench(kind, folder, options, base + 4 * at)) for at, kind in enumerate(kinds)]
        for bench in benches:
            bench.make_topics(dict.fromkeys(case.topic for case in CASES))
        for case in CASES:
            pair(report, [(f"{bench.kind}'s tool: {case.name}", bench.kind == "kafka",
                           lambda bench=bench: check(bench, case)) for bench in benches])
        truth_omission.run(report, options, folder, base + 8, Bench, pair)


def pair(report, checks):
    """Runs the reference and then what is measured against it, right after each other. A reference that is disturbed says
    that the machine is: then the pair is run again, and at the third time it is inconclusive, for that reason. Where a
    number of ours does not hold the reference runs once more: between two that hold it has failed. What is asked of ours is
    what it always was: one run, within 5 %, that nothing disturbed."""
    checks = [one for one in checks if report.wants(one[0])]
    for attempt in range(1, ATTEMPTS + 1):
        told = []
        for name, is_reference, function in checks:
            started = time.monotonic()
            try:
                told.append((report.ok, name, function(), started))
            except Exception as error:  # as Report.check: a check that breaks has failed
                disturbed = error if is_reference and isinstance(error, Disturbed) else None
                if isinstance(error, Disturbed) and not is_reference:
                    disturbed = reference_error(checks)
                if disturbed:
                    reason = f"the reference was disturbed {attempt} times of {ATTEMPTS}: {disturbed}"
                    print(f"   {name}: {reason}", flush=True)
                    break
                told.append((report.fail, name, describe(error), started))
        else:
            for tell, *what in told:
                tell(*what)
            return
    for name, *_ in checks:
        report.inconclusive(name, reason)


def reference_error(checks):
    """Why the reference does not hold now, if it does not."""
    for _, is_reference, function in checks:
        try:
            if is_reference:
                function()
        except Disturbed as error:
            return error
    return None


def self_test(report):
    """What `pair` makes of references and tools that hold, fail and are disturbed."""
    def outcomes(*of):
        left = list(of)

        def one():
            error = left.pop(0)
            if error:
                raise error
        return one

    quiet, far, broken = None, Disturbed("8 % off"), Failed("exit code 1")
    for name, reference, ours, wanted in [
            ("both hold", [quiet], [quiet], "2 0 0"),
            ("ours does not hold between two references that do", [quiet, quiet], [far], "1 1 0"),
            ("the reference is disturbed right after ours", [quiet, far, quiet], [far, quiet], "2 0 0"),
            ("ours breaks", [quiet], [broken], "1 1 0"),
            ("the reference is disturbed, and quiet the second time", [far, quiet], [quiet], "2 0 0"),
            ("quiet the third time, and ours does not hold", [far, far, quiet, quiet], [far], "1 1 0"),
            ("disturbed three times", [far, far, far], [], "0 0 2"),
            ("the reference breaks", [broken], [quiet], "1 1 0")]:
        told = Report(out=io.StringIO())
        pair(told, [("reference", True, outcomes(*reference)), ("ours", False, outcomes(*ours))])
        found = f"{len(told.passed)} {len(told.failed)} {len(told.undecided)}"
        report.check(name, need, found == wanted, f"passed, failed, inconclusive: {found}, not {wanted}")
