"""The stall that a closed loop does not see: a broker that answers nothing for 1 s in every 10 s, at 1,000 records/s.

    closed loop   while the client's memory is full nothing is sent, so the stall meets the few records that were under way;
                  the rest is sent afterwards, in a hurry, and is quick: p99 looks fine (coordinated omission)
    open loop     a record counts from when it was due: a tenth of all wait 0..1 s, and p99 is about 0.9 s

What is due, and when it was answered, is the proxy's record; the same truth holds for all three runs.
"""

import collections
import concurrent.futures
import itertools

from lib import hlog
from lib.report import Disturbed, need
from lib.truth_proxy import quantile
from lib.truth_report import said, within

RATE, RECORDS = 1000, 20000
Case = collections.namedtuple("Case", "name proxy tool topic arguments")
ARGUMENTS = ["--num-records", RECORDS, "--throughput", RATE, "--record-size", 1000, "--command-property", "acks=1",
             "enable.idempotence=false", "linger.ms=0", "buffer.memory=32768"]
HIDDEN = 0.1  # a closed loop's p99 is below this share of the true one
RUNS = (("Kafka's tool", "kafka", False), ("ringlog's tool, closed loop", "ringlog", False),
        ("ringlog's tool, open loop", "ringlog", True))
Outcome = collections.namedtuple("Outcome", "line_p99 true_p99 response_p99 service_p99 sent")


def run(report, options, folder, base, new_bench, pair):
    """All three at once: they mostly wait. `pair` runs them again where the reference was disturbed."""
    names = [name for name, kind, _ in RUNS if options.only_kind in (None, kind)]
    wanted = [one for one in RUNS if one[0] in names and report.wants(title(one[0]))]
    rounds, running = itertools.count(), {}

    def check(name, is_open):
        if name == wanted[0][0]:  # a round begins
            number = next(rounds)
            with concurrent.futures.ThreadPoolExecutor(len(RUNS)) as pool:
                for at, (other, kind, opens) in enumerate(wanted):
                    place = folder / f"omission-{at}-{number}"
                    running[other] = pool.submit(outcome, new_bench, options, place, base + 4 * at, kind, opens)
        return (seen if is_open else hidden)(running[name])

    pair(report, [(title(name), kind == "kafka", lambda name=name, is_open=is_open: check(name, is_open))
                  for name, kind, is_open in wanted])


def title(name):
    return f"{name}: nothing is answered for 1 s in every 10 s"


def outcome(new_bench, options, folder, base, kind, is_open):
    folder.mkdir()
    log = folder / "latency.hlog"
    extra = ["--open-loop", "--hdr-log", log] if is_open else []
    with new_bench(kind, folder, options, base) as bench:
        bench.make_topics(["omission"])
        text, record = bench.run(Case("omission", ["--stall", "1000:10000"], "producer", "omission", [*ARGUMENTS, *extra]))
    true_p99 = quantile(record.responses_ms(RATE), 0.99)
    p99s = [hlog.quantile(hlog.read(log, tag), 0.99) / 1e6 for tag in ("response", "service")] if is_open else [None] * 2
    return Outcome(said(text, "p99"), true_p99, *p99s, said(text, "sent"))


def hidden(future):
    """A closed loop's line: every record was sent, and nothing is to be seen of the stall."""
    of = future.result()
    need(of.sent == RECORDS, f"{of.sent:g} records sent where {RECORDS} were asked for")
    if not of.line_p99 < HIDDEN * of.true_p99:
        raise Disturbed(f"p99 {of.line_p99:g} ms of {of.true_p99:.0f} ms: this run does not show the effect")
    return f"its line says p99 {of.line_p99:g} ms; from when records were due it was {of.true_p99:.0f} ms"


def seen(future):
    """The response histogram holds the truth, and a tenth less would be found."""
    of = future.result()
    need(of.sent == RECORDS, f"{of.sent:g} records sent where {RECORDS} were asked for")
    text = f"response p99 {of.response_p99:.0f} ms (true {of.true_p99:.0f}), service p99 {of.service_p99:.1f} ms"
    if not within("p99", of.response_p99, of.true_p99):
        raise Disturbed(f"beyond 5 %: {text}")
    need(not within("p99", 0.9 * of.response_p99, of.true_p99), f"a lie would not be found: {text}")
    return f"{text}; its line says {of.line_p99:g} ms; a lie found"
