"""How a run begins, paces itself and ends: what `perf-extras` looks at in every tool, whatever it measures."""

import json
import os
import re
import subprocess
import time

from lib.report import need

WINDOW = re.compile(r"^(\d+) records sent, ([\d.]+) records/sec .* max latency\.$", re.M)
TOTAL = re.compile(r"^(\d+) records sent, ([\d.]+) records/sec .* 99\.9th\.$", re.M)
SMALL = ("--record-size", 100)


def paced(ctx):
    """The rate is held in a run that a fast client could send at once, and in every window."""
    return "; ".join(paced_at(ctx, records, rate) for records, rate in [(200, 200), (2000, 1000), (40, 99.5)])


def paced_in_transactions(ctx):
    """The same where transactions begin and end meanwhile: while one ends nothing is sent, and what became due is sent after
    it, so that no window stands for itself; what was sent until its end does."""
    out = paced_run(ctx, 200, 200, "--transaction-duration-ms", 100)
    sent, spent_s = 0, 0.0
    for window in WINDOW.finditer(out):
        sent, spent_s = sent + int(window[1]), spent_s + int(window[1]) / float(window[2])
        need(sent <= 200 * spent_s * 1.2 + 20, f"{sent} records after {spent_s:.2f} s where 200 a second were asked for: {out[-900:]}")
    return f"{sent} in {spent_s:.2f} s"


def paced_at(ctx, records, rate):
    out = paced_run(ctx, records, rate)
    fastest = max([float(window[2]) for window in WINDOW.finditer(out)], default=0)
    need(fastest <= 1.3 * rate + 20, f"a window of {fastest:.0f} records/sec where {rate} were asked for: {out[-900:]}")
    return f"{float(TOTAL.search(out)[2]):.0f} of {rate}, at most {fastest:.0f}"


def paced_run(ctx, records, rate, *extra):
    topic = f"paced-{records}-{len(extra)}"
    ctx.create(topic, 1)
    out = ctx.produce(topic, *SMALL, "--num-records", records, "--throughput", rate, "--reporting-interval", 250, *extra)
    total = float(TOTAL.search(out)[2])
    need(total <= 1.1 * rate + 5, f"{total:.0f} records/sec where {rate} were asked for: {out[-300:]}")
    return out


def unread(ctx):
    """A pipe that nobody reads and a device without room end no tool: exit code 0, its files are written."""
    ctx.create("unread", 1)
    common = ["--bootstrap-server", ctx.broker.bootstrap, "--topic", "unread"]
    document = ctx.path("unread.json")
    tools = [["producer-perf", *common, "--record-size", "100", "--num-records", "2000", "--throughput", "2000",
              "--reporting-interval", "100", "--print-metrics", "--json", str(document)],
             ["consumer-perf", *common, "--num-records", "2000", "--show-detailed-stats", "--reporting-interval", "1"],
             ["e2e-latency", *common, "--num-records", "5", "--producer-acks", "1", "--record-size", "10"]]
    for arguments in tools:
        for name, stdout in [("a pipe that is closed", closed_pipe()), ("/dev/full", os.open("/dev/full", os.O_WRONLY))]:
            done = subprocess.run([str(ctx.binary), *arguments], stdout=stdout, stderr=subprocess.PIPE, text=True, timeout=120)
            os.close(stdout)
            need(done.returncode == 0 and "panicked" not in done.stderr,
                 f"{arguments[0]} into {name}: exit code {done.returncode}: {done.stderr[-400:]}")
    need(json.loads(document.read_text())["totals"]["acknowledged"] == 2000, "the document does not count the records")
    return "three tools, two ways"


def closed_pipe():
    """The writing end of a pipe whose reading end is gone."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    return write_end


def begun(ctx):
    """What can be known before a run is told before it, with exit code 1."""
    shown = []
    for name, verb, arguments, words in [
            ("a folder that is not there", "producer-perf", [*SMALL, "--topic", "t", "--num-records", 9, "--throughput", -1,
                                                             "--json", "/nonexistent/a.json"], "--json /nonexistent/a.json: No such"),
            ("its ledger's", "producer-perf", [*SMALL, "--topic", "t", "--num-records", 9, "--throughput", -1, "--ledger",
                                               "/nonexistent/a"], "--ledger /nonexistent/a: No such"),
            ("a consumer's", "consumer-perf", ["--topic", "t", "--num-records", 9, "--json", "/nonexistent/a.json"],
             "--json /nonexistent/a.json: No such"),
            ("a name that does not resolve", "producer-perf", [*SMALL, "--topic", "t", "--num-records", 9, "--throughput", -1,
                                                               "--bootstrap-server", "a.invalid:9092"], "No resolvable bootstrap urls"),
            ("providers that are not there", "producer-perf", [*SMALL, "--topic", "t", "--num-records", 9, "--throughput", -1,
                                                               "--command-property", "config.providers=file"], "config.providers=file")]:
        started = time.monotonic()
        process = ctx.start(verb, *arguments)
        out, err = process.communicate(timeout=60)
        need(process.returncode == 1 and words in err, f"{name}: exit code {process.returncode}: {out[-200:]} {err[-400:]}")
        need("records sent" not in out and "records/sec" not in out, f"{name}: it was told after the run: {out}")
        shown.append(f"{name} after {time.monotonic() - started:.1f} s")
    return ", ".join(shown)


CHECKS = [("the rate is held in every window", paced), ("output that nobody takes", unread), ("what is told before a run", begun)]
TRANSACTION_CHECKS = [("the rate is held beside transactions", paced_in_transactions)]
