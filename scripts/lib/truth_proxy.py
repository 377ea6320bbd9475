"""The truth proxy as a process (harness/tests/truth), and what its record says a tool must report.

    proxy = Proxy(port, broker_port, "--late", "0.01:50") ... record = proxy.end() ... record.latencies_ms(skip=500)

Times of the record are the proxy's own: from a request's last byte in to its answer's last byte out.
"""

import json
import os
import pathlib
import subprocess

from lib import peers
from lib.report import need

PRODUCE, FETCH = 0, 1
MB = 1 << 20


def build():
    """The proxy's binary, built if need be (the development profile will do: it is quick enough for what it does)."""
    command = ["cargo", "build", "--quiet", "--locked", "-p", "ringlog-harness", "--example", "truth-proxy"]
    subprocess.run(command, cwd=peers.REPO, check=True)
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or peers.REPO / "target")
    return target / "debug" / "examples" / "truth-proxy"


class Proxy:
    """Listens on `port` for a broker that advertises it and itself listens on `broker_port`."""

    def __init__(self, binary, port, broker_port, folder, *behaviour):
        self.path = folder / f"record-{port}.json"
        command = [str(binary), "--listen", str(port), "--broker", str(broker_port), "--record", str(self.path), *behaviour]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        need(self.process.stdout.readline() == "ready\n", f"the truth proxy does not start: {command}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def end(self):
        """Ends the proxy and gives its record."""
        self.process.stdin.close()
        need(self.process.wait(30) == 0, "the truth proxy failed")
        return Record(json.loads(self.path.read_text()))


class Record:
    """What the proxy did, and the truth that follows from it."""

    def __init__(self, data):
        need(not data["complaints"], f"the truth proxy itself had trouble: {data['complaints']}")
        self.data = data
        sent = [request for request in data["requests"] if request["out_ns"] is not None]
        self.produces = sorted((r for r in sent if r["api"] == PRODUCE), key=lambda r: r["in_ns"])
        self.fetches = sorted((r for r in sent if r["api"] == FETCH), key=lambda r: r["in_ns"])

    @staticmethod
    def count(request):
        return sum(part["records"] for part in request["parts"])

    def records(self):
        """(in, out) of every record in the order in which they came; only where each was sent once, on one connection."""
        return [(r["in_ns"], r["out_ns"]) for r in self.produces for _ in range(self.count(r))]

    def latencies_ms(self, skip):
        """Service times of records, sorted, the first `skip` left out."""
        return sorted((out - came) / 1e6 for came, out in self.records()[skip:])

    def responses_ms(self, rate):
        """Times from when a record was due to its answer's end, sorted. Record i of the schedule is due at start + i / rate;
        none can come before it is due, so the schedule starts no later than the earliest that any record allows."""
        records, gap = self.records(), 1e9 / rate
        start = min(came - i * gap for i, (came, _) in enumerate(records))
        return sorted((out - start - i * gap) / 1e6 for i, (_, out) in enumerate(records))

    def end_to_end_ms(self):
        """For one record at a time: from its Produce request to the later of that request's answer and the record's own
        arrival in a Fetch answer, which is when kafka-e2e-latency has seen both; sorted."""
        arrived = [r["out_ns"] for r in self.fetches for _ in range(self.count(r))]
        return sorted((max(out, seen) - came) / 1e6 for (came, out), seen in zip(self.records(), sorted(arrived)))

    def planted(self, code):
        """Records in Produce requests whose answer became this error."""
        return sum(self.count(r) for r in self.produces if r["error"] == code)

    def produce_rate(self, skip):
        """Records per second from record `skip` on."""
        records = self.records()[skip:]
        return len(records) / (max(out for _, out in records) - records[0][0]) * 1e9

    def fetch_rate(self):
        """Records per second, from the first Fetch request to the end of the last answer with records."""
        with_records = [r for r in self.fetches if self.count(r)]
        took_ns = max(r["out_ns"] for r in with_records) - self.fetches[0]["in_ns"]
        return sum(map(self.count, with_records)) / took_ns * 1e9


def quantile(ordered, p):
    """Kafka's rule (ProducerPerformance.percentiles): the sample at floor(p n), from 0."""
    return ordered[min(int(p * len(ordered)), len(ordered) - 1)]
