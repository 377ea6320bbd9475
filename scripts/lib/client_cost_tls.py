"""What TLS costs a client: `scripts/client-cost --tls`. The broker is a real Kafka with a plaintext and an SSL listener
(lib/secure.py) on one core; our tools and Kafka's take turns on another, over each listener, with records of 1 KB."""

import collections
import contextlib
import statistics
import sys

from lib import accounts, brokers, client_cost, secure

LISTENERS = ("PLAINTEXT", "SSL")
CLIENTS = ("ringlog", "kafka")
JOBS = [job for job in client_cost.JOBS if job.bytes == 1024]
Cost = collections.namedtuple("Cost", "round job client listener cpu_ms_per_mb mb_per_s")


class Bench(client_cost.Bench):
    """As its base, with another broker and the listener as a part of a command."""

    def __init__(self, options, folder):
        self.options, self.folder = options, folder
        self.binary = str(brokers.ringlog_binary(options.bin))
        self.broker = secure.SecureKafka(folder / "kafka", brokers.free_ports(secure.PORTS), light=False,
                                         cpus=options.broker_cpu, overrides={**accounts.OVERRIDES, "num.partitions": 1})
        self.topics = 0

    @contextlib.contextmanager
    def started(self):
        with self.broker:
            for listener in LISTENERS:
                brokers.write_properties(self.properties(listener), self.broker.client(listener))
            yield self

    def properties(self, listener):
        return self.folder / f"{listener.lower()}.properties"

    def over(self, listener, client, job, topic, records):
        command = self.command(client, job, topic, records)
        command[command.index("--bootstrap-server") + 1] = self.broker.address(listener)
        return [*command, "--command-config", self.properties(listener)]

    def spent(self, *of_command, records):
        return self.measured(self.over(*of_command, records), records, self.broker.process.pid)


def run(options):
    """All rounds: each listener, each client in turn; the costs."""
    costs = []
    with brokers.scratch("ringlog-tls-") as folder, Bench(options, folder).started() as bench:
        filled = bench.new_topic()
        writing = next(job for job in JOBS if job.verb == "produce")
        records = max(records for job in JOBS for records in job.records.values())
        bench.spent("PLAINTEXT", "ringlog", writing, filled, records=records)
        starts = {}
        for number in range(1, options.rounds + 1):
            for job in JOBS:
                for listener in LISTENERS:
                    costs += [one(bench, (number, job, client, listener), filled, starts) for client in CLIENTS]
    return costs


def one(bench, which, filled, starts):
    number, job, client, listener = which
    topic = filled if job.verb == "consume" else bench.new_topic()
    start = (job.verb, client, listener)
    if start not in starts:
        starts[start] = bench.spent(listener, client, job, topic, records=client_cost.FEW)[1]
    records = job.records[client]
    seconds, cpu_s, foreign_s = bench.spent(listener, client, job, topic, records=records)
    if job.verb == "produce":
        accounts.delete(bench.broker, topic)
    mb = (records - client_cost.FEW) * job.bytes / 1e6
    cost = Cost(number, job.name, client, listener, (cpu_s - starts[start]) * 1000 / mb, records * job.bytes / 1e6 / seconds)
    print(f"round {number} {job.name:13} {listener:10} {client:8} {cost.cpu_ms_per_mb:8.2f} ms CPU/MB, {cost.mb_per_s:7.1f} MB/s, "
          f"others {max(foreign_s, 0) / seconds:4.0%} of a core", file=sys.stderr, flush=True)
    return cost


def table(costs):
    """CPU per MB of each client over each listener, and Kafka's tool over TLS to ours, within rounds."""
    lines = ["| run | ringlog, plaintext | ringlog, TLS | Kafka's tool, plaintext | Kafka's tool, TLS | Kafka's tool to ringlog, TLS |",
             "|---|---|---|---|---|---|"]
    for job in JOBS:
        of = {(client, listener): [cost.cpu_ms_per_mb for cost in costs
                                   if (cost.job, cost.client, cost.listener) == (job.name, client, listener)]
              for client in CLIENTS for listener in LISTENERS}
        factors = [theirs / ours for ours, theirs in zip(of["ringlog", "SSL"], of["kafka", "SSL"])]
        cells = [spread(values, 2) for values in of.values()] + [spread(factors, 1)]
        lines.append(f"| {job.name} | {' | '.join(cells)} |")
    return lines


def spread(values, digits):
    """The median with the least and the greatest."""
    shown = [f"{value:.{digits}f}" for value in (statistics.median(values), min(values), max(values))]
    return f"{shown[0]} [{shown[1]} .. {shown[2]}]"
