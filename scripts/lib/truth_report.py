"""What a perf tool says, number by number; and a tool that lies about one of them.

    report["p99"] -> 48.0         lie(text, "p99", 0.9) -> the same text with `43 ms 99th`
"""

import re

from lib.report import need

# Where each number stands; the last match counts (the steady state's line where there is one).
SUMMARY = r"^\d+(?: steady state)? records sent, .*"
PLACES = {
    "sent": r"^(\d+)(?: steady state)? records sent, .* 99\.9th\.$",
    "rate": SUMMARY.replace(".*", r"([\d.]+) records/sec .* 99\.9th\.$"),
    "max": SUMMARY + r" ([\d.]+) ms max latency, \d+ ms 50th",
    "p50": SUMMARY + r" (\d+) ms 50th",
    "p95": SUMMARY + r" (\d+) ms 95th",
    "p99": SUMMARY + r" (\d+) ms 99th",
    "p99.9": SUMMARY + r" (\d+) ms 99\.9th\.$",
    "failed": r"^producer-metrics:record-error-total:\{[^}]*\} *: ([\d.]+)$",
    "retries": r"^producer-metrics:record-retry-total:\{[^}]*\} *: ([\d.]+)$",
    "end to end p50": r"^Percentiles: 50th = (\d+),",
    "fetched": r"^\d{4}-\d\d-\d\d [\d:]+, [^,]+, [^,]+, [^,]+, ([\d.]+),",
    "fetch rate": r"^\d{4}-\d\d-\d\d [\d:]+, .*, ([\d.]+)$",
}
EXACT = ("sent", "failed", "retries", "fetched")


def place(text, name):
    found = list(re.finditer(PLACES[name], text, re.M))
    need(found, f"the tool says nothing of {name}: {text[-600:]!r}")
    return found[-1]


def said(text, name):
    return float(place(text, name).group(1))


def lie(text, name):
    """The same output from a tool that flatters: a tenth less time, an eleventh more speed, no failures, no retries."""
    found = place(text, name)
    value = float(found.group(1))
    if name in ("failed", "retries"):
        new = 0.0
    elif name in ("sent", "fetched"):
        new = value + 1
    else:
        new = value * (1.11 if "rate" in name else 0.9)
    digits = len(found.group(1).partition(".")[2])
    return f"{text[:found.start(1)]}{new:.{digits}f}{text[found.end(1):]}"


def within(name, value, truth, tolerance=0.05):
    """Counts are exact, all else is within the tolerance."""
    return value == truth if name in EXACT else abs(value - truth) <= tolerance * truth


def compare(text, truths):
    """[(name, said, true, holds)]"""
    return [(name, said(text, name), truth, within(name, said(text, name), truth)) for name, truth in truths.items()]


def missed_lies(text, truths):
    """The numbers that could be lied about without being found."""
    return [name for name, truth in truths.items() if within(name, said(lie(text, name), name), truth)]
