"""Our consumer over three real brokers, of which the one dies that leads a partition and coordinates the group.

    producer-perf (acks=all, min.insync.replicas=2) --> three partitions, replicated three times --> consumer-perf: the count
         the numbers 0 ..                                 X kill -9, and back after a while      --> two members of a group:
                                                                                                     every record and offset
"""

import re
import subprocess
import time

from lib import brokers, checks_consumer, producer_checks
from lib.report import need
from lib.tools import Tools

TOPIC, PARTITIONS = "moves", 3
RECORDS, RATE = 24_000, 2000
#: Of the run: when the broker dies, and how long it is gone.
DIES_S, GONE_S = 4, 4
GROUP = "g-moves"


def run(report, binary, version):
    report.check(f"kafka-{version} consumer while a leader that coordinates the group dies and comes back", moves, binary,
                 version)


def moves(binary, version):
    with brokers.scratch("ringlog-moves-") as folder, Tools(version) as tools, \
            producer_checks.running_cluster(folder, version) as nodes:
        cluster = Cluster(nodes, tools)
        cluster.tool("kafka-topics", "--create", "--topic", TOPIC, "--partitions", PARTITIONS, "--replication-factor",
                     len(nodes), "--config", "min.insync.replicas=2")
        return read_over_a_death(cluster, binary)


class Cluster:
    """Three brokers as one address."""

    def __init__(self, nodes, tools):
        self.nodes, self.tools = nodes, tools
        self.bootstrap = ",".join(node.bootstrap for node in nodes)

    def tool(self, name, *arguments):
        return self.tools(name, "--bootstrap-server", self.bootstrap, *arguments).out

    def coordinator(self):
        said = self.tool("kafka-consumer-groups", "--describe", "--state", "--group", GROUP)
        return int(re.search(rf"^{GROUP}\s+\S+\s+\((\d+)\)", said, re.M)[1])

    def led_by(self, node):
        said = self.tool("kafka-topics", "--describe", "--topic", TOPIC)
        return [int(partition) for partition, leader in re.findall(r"Partition: (\d+)\s+Leader: (\d+)", said)
                if int(leader) == node]


def read_over_a_death(cluster, binary):
    members = [checks_consumer.Ours(cluster, TOPIC, 90, f"group.id={GROUP} session.timeout.ms=30000") for _ in range(2)]
    others = []
    try:
        checks_consumer.until(lambda: sum(len(member.owned()) for member in members) == PARTITIONS
                              and all(member.owned() for member in members), "the members do not share")
        node = cluster.coordinator()
        led = cluster.led_by(node)
        need(led, f"node {node} coordinates the group and leads nothing")
        counter = start(others, binary, "consumer-perf", "--topic", TOPIC, "--num-records", RECORDS, "--timeout", 30_000,
                        "--bootstrap-server", cluster.bootstrap)
        writer = start(others, binary, "producer-perf", "--topic", TOPIC, "--num-records", RECORDS, "--throughput", RATE,
                       "--payload-monotonic", "--bootstrap-server", cluster.bootstrap, "--command-property", "acks=all",
                       "linger.ms=2")
        time.sleep(DIES_S)
        before = sum(len(member.lines) for member in members)
        need(before and writer.poll() is None, f"{before} lines, the writer ended with {writer.poll()}: too early or late")
        cluster.nodes[node - 1].kill()
        time.sleep(GONE_S)
        cluster.nodes[node - 1].launch()
        _, said = writer.communicate(timeout=60)
        need(writer.returncode == 0 and "failed" not in said, f"producer-perf ended with {writer.returncode}: {said[-400:]}")
        counted, said = counter.communicate(timeout=60)
        row = counted.strip().splitlines()[-1].split(", ")
        need(counter.returncode == 0 and row[4] == str(RECORDS), f"consumer-perf ended with {counter.returncode}: {counted} {said}")
        checks_consumer.until(lambda: sum(len(member.records()) for member in members) >= RECORDS,
                              lambda: f"{[len(member.records()) for member in members]} of {RECORDS} records,"
                                      f" said {[member.lines[-1] for member in members]}")
        time.sleep(1)
        need(not any(member.said("ERROR") for member in members), f"{[member.lines[-1] for member in members]}")
        detail = whole([record for member in members for record in member.records()], RECORDS)
        return f"node {node}, leader of {led}, died after {before} and came back; {detail}; consumer-perf counts them too"
    finally:
        for member in members:
            member.kill()
        for process in others:
            process.kill()


def start(processes, binary, *arguments):
    process = subprocess.Popen([str(binary), *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    processes.append(process)
    return process


def whole(records, count):
    """(partition, offset, value) of every record: each number once, offsets without a gap, numbers rising in each partition
    (one producer wrote them in their order)."""
    detail = checks_consumer.exactly([str(number) for number in range(count)], [value for *_, value in records])
    last = {}
    for partition, offset, value in records:
        at, number = last.get(partition, (-1, -1))
        need(offset == at + 1 and int(value) > number, f"{partition}: {value} at {offset} came after {number} at {at}")
        last[partition] = offset, int(value)
    return f"{detail}, in the order of {len(last)} partitions"
