"""Plants faults into what our tools said and demands that `scripts/parity` finds each: a comparison that cannot fail is
none. Without a fault the same pairs must be the same."""

import re
import time

from lib import brokers, parity, parity_cases, peers


def run(report, binary):
    cases = {case.name: case for case in parity_cases.CASES}
    wanted = [cases[name] for name, fault, *_ in FAULTS if report.wants(f"{name}: {fault}")]
    with brokers.scratch("ringlog-parity-") as folder, parity.Bench(folder, peers.DEFAULT, binary, wanted) as bench:
        pairs = {}
        for name, fault, stream, change in FAULTS:
            if not report.wants(f"{name}: {fault}"):
                continue
            started = time.monotonic()
            if name not in pairs:
                pairs[name] = bench.both(cases[name])
                report.add(f"{name}: nothing planted", parity.differences(cases[name], pairs[name]),
                           time.monotonic() - started)
            report.add(f"{name}: {fault}", not_found(cases[name], pairs[name], stream, change), time.monotonic() - started)


def not_found(case, pair, stream, change):
    """Empty where the planted fault is found."""
    before = getattr(pair.ours, stream)
    after = change(before)
    if after == before:
        return ["nothing was planted: what our tool says is not what the fault was made for"]
    found = parity.differences(case, pair._replace(ours=pair.ours._replace(**{stream: after})))
    return [] if found else ["the planted fault was not found"]


def sub(pattern, by):
    return lambda text: re.sub(pattern, by, text, count=1, flags=re.M)


def without_line(pattern):
    return sub(rf"^.*{pattern}.*\n", "")


def swapped(text):
    lines = text.splitlines()
    return "\n".join([lines[1], lines[0], *lines[2:]]) + "\n"


FAULTS = [
    ("producer: warm-up with windows", "a word changed in the summary", "out", sub(r"avg latency, (\S+) ms max latency, ", r"mean latency, \1 ms max latency, ")),
    ("producer: warm-up with windows", "a word changed in the windows", "out", lambda text: text.replace("ms max latency.", "ms top latency.")),
    ("producer: warm-up with windows", "one decimal fewer in the summary", "out", sub(r"(\d+\.\d{5})\d records/sec", r"\1 records/sec")),
    ("producer: warm-up with windows", "one decimal more in the windows", "out", lambda text: re.sub(r"(\d\.\d) records/sec", r"\g<1>0 records/sec", text)),
    ("producer: warm-up with windows", "a record not counted", "out", sub(r"^300 records sent", "299 records sent")),
    ("producer: warm-up with windows", "no steady state announced", "out", without_line("In steady state")),
    ("producer: warm-up with windows", "no windows", "out", lambda text: re.sub(r".* ms max latency\.\n", "", text)),
    ("producer: warm-up with windows", "another exit code", "code", lambda code: code + 1),
    ("producer: warm-up with windows", "something on stderr", "err", lambda text: text + "warning: hot\n"),
    ("producer: both deprecated spellings", "a notice dropped", "out", without_line("--producer.config has been deprecated")),
    ("producer: both deprecated spellings", "two lines swapped", "out", swapped),
    ("producer: bad long", "another message", "err", sub("could not convert", "cannot convert")),
    ("producer: bad long", "a value not named", "err", sub("'abc'", "'abd'")),
    ("producer: bad long", "an option left out of the usage", "err", sub(r"\[--print-metrics\]\s*", "")),
    ("producer: bad long", "an option of nobody in the usage", "err", sub(r"\[--print-metrics\]", "[--print-metrics] [--fast]")),
    ("producer: bad long", "the wrong stream", "out", lambda text: text + "usage\n"),
    ("producer: help", "an option left out of the help", "out", without_line("--topic TOPIC$")),
    ("producer: help", "another exit code", "code", lambda code: 1 - code),
    ("producer: metrics", "a metric renamed", "out", sub("batch-size-avg", "batch-size-mean")),
    ("producer: metrics", "a metric left out", "out", without_line("record-send-total")),
    ("producer: metrics", "a metric in another group", "out", sub("producer-topic-metrics:byte-total", "producer-metrics:byte-total")),
    ("producer: metrics", "a tag left out", "out", sub(r"\{client-id=\S+, topic=", "{topic=")),
    ("producer: metrics", "a number that is none", "out", sub(r"(request-total:\S+ +: ).*", r"\1many")),
    ("producer: unreachable broker", "the broker not named", "err", lambda text: text.replace("127.0.0.1:1:", "somewhere:")),
    ("producer: unreachable broker", "the reason not said at once", "err", without_line("WARN no connection to")),
    ("consumer: unreachable broker", "the reason not said at once", "err", without_line("WARN no connection to")),
    ("producer: unreachable broker", "another reason", "err", sub("not present in metadata", "absent")),
    ("producer: topic without a leader", "another reason", "err", sub("Expiring 5 record.*", "Topic gone not present in metadata after 60000 ms.")),
    ("producer: topic without a leader", "records that are not counted", "err", sub(r"^5 records failed", "4 records failed")),
    ("producer: topic without a leader", "another partition", "err", sub("gone-0", "gone-1")),
    ("producer: topic without a leader", "a record that counts as sent", "out", sub(r"^0 records sent", "1 records sent")),
    ("producer: a buffer that stays full", "another size", "err", sub("Failed to allocate 16384", "Failed to allocate 16383")),
    ("producer: a buffer that stays full", "memory that is free", "err", sub("Available memory: 0", "Available memory: 1")),
    ("producer: a buffer that stays full", "a record that waits for another reason", "err", sub(r"^4 records failed", "3 records failed")),
    ("producer: a buffer that stays full", "nothing that expires", "err", without_line("send failed: Expiring")),
    ("consumer: topic without a leader", "the warning dropped", "out", without_line("WARNING: Exiting")),
    ("consumer: partition without a leader", "records of the other partition lost", "out", sub(r", 1000, ", ", 0, ")),
    ("e2e: topic without a leader", "the partition not named", "err", sub("gone-0", "gone")),
    ("producer: record too large for the client", "another limit", "err", sub("1048576", "1048577")),
    ("consumer: summary", "a record not counted", "out", sub(r", 1000, ", ", 999, ")),
    ("consumer: summary", "bytes not counted", "out", sub(r", 0\.0954, ", ", 0.0953, ")),
    ("consumer: summary", "a column dropped", "out", sub(r", [^,]*$", "")),
    ("consumer: summary", "the header dropped", "out", without_line("start.time")),
    ("consumer: summary", "decimals of a rate", "out", sub(r"(\d\.\d{4})$", r"\g<1>1")),
    ("consumer: no topic", "an option of the table renamed", "err", sub("--hide-header", "--no-header")),
    ("consumer: no topic", "another value in the table", "err", sub("<Integer: size>", "<Long: size>")),
    ("consumer: timeout", "the warning dropped", "out", without_line("WARNING: Exiting")),
    ("e2e: positions", "the warning dropped", "out", without_line("WARNING: Positional")),
    ("e2e: positions", "decimals of the average", "out", sub(r"(Avg latency: \d+\.\d{3})\d", r"\1")),
    ("e2e: positions", "a percentile dropped", "out", sub(r", 99\.9th = \d+", "")),
    ("e2e: positions", "no progress line", "out", without_line(r"\t")),
    ("e2e: missing option", "another exit code", "code", lambda code: 0),
]
