"""What `scripts/client-cost` keeps and prints: medians with their range, factors, and the client's own ceiling."""

import csv
import json
import os
import pathlib
import platform
import statistics
import sys

from lib import accounts, client_cost, peers

GB = 1e9
# What is aimed at: (job, client to compare with, factor).
AIMS = [("produce 100 B", "kafka", 5.0), ("produce 100 B", "librdkafka", 1.0), ("produce 1 KB", "librdkafka", 1.0),
        ("consume 100 B", "kafka", 5.0), ("consume 1 KB", "kafka", 5.0)]


def figures(rows, broker, job, client):
    return [row.records_per_cpu_s for row in rows if (row.broker, row.job, row.client) == (broker, job, client)]


def millions(values):
    return f"{statistics.median(values) / 1e6:.2f} [{min(values) / 1e6:.2f} .. {max(values) / 1e6:.2f}]"


def factor(rows, job, other):
    """The median of the factors within rounds, with the least and the greatest."""
    ours, theirs = figures(rows, "ringlog", job, "ringlog"), figures(rows, "ringlog", job, other)
    factors = [a / b for a, b in zip(ours, theirs)]
    return statistics.median(factors), f"{statistics.median(factors):.1f} [{min(factors):.1f} .. {max(factors):.1f}]"


def table(rows):
    lines = ["| run | ringlog, M records per CPU s | Kafka's tool | librdkafka | factor to Kafka's tool | to librdkafka |",
             "|---|---|---|---|---|---|"]
    for job in client_cost.JOBS:
        cells = [millions(figures(rows, "ringlog", job.name, client)) for client in client_cost.CLIENTS]
        cells += [factor(rows, job.name, other)[1] for other in ("kafka", "librdkafka")]
        lines.append(f"| {job.name} | {' | '.join(cells)} |")
    return lines


def ceilings(rows):
    lines = ["| ringlog alone, 1 KB, against `ringlog null-broker` | M records per CPU s | GB per CPU s | GB/s |",
             "|---|---|---|---|"]
    for name, *_ in client_cost.CEILINGS:
        of = [row for row in rows if (row.broker, row.job) == ("null-broker", name)]
        bytes_per_s = statistics.median(row.records * row.bytes / row.seconds for row in of)
        per_cpu = statistics.median(row.records_per_cpu_s for row in of)
        lines.append(f"| {name} | {millions([row.records_per_cpu_s for row in of])} | "
                     f"{per_cpu * client_cost.CEILING_BYTES / GB:.2f} | {bytes_per_s / GB:.2f} |")
    return lines


def aims(rows):
    """Which aims were met."""
    lines = []
    for job, other, wanted in AIMS:
        got, shown = factor(rows, job, other)
        lines.append(f"{'met' if got >= wanted else 'MISSED'}: {job} against {other}: {shown}, wanted {wanted:g}")
    return lines


def noise(rows):
    """A sentence where others used the machine meanwhile."""
    share = sum(max(row.foreign_s, 0) for row in rows) / sum(row.seconds for row in rows)
    calm = share < accounts.QUIET_SHARE
    return "" if calm else f"Other processes used {share:.0%} of a core meanwhile: figures to be taken again on a quiet machine."


def page(options, rows, version):
    words = [f"Client pinned to one core, broker (ringlog) to another; {options.rounds} rounds, the clients in turn. Median "
             "[least .. greatest]. CPU is user and system time of the client's process; a run of "
             f"{client_cost.FEW} records (start, connecting, ending) is subtracted. acks=1, batch.size=16384, linger.ms=5. "
             "The tools make each random payload as they go, librdkafka's program (a C program of ours, "
             f"librdkafka {version}) has 4096 of them made before it begins."]
    noisy = [noise(rows)] if noise(rows) else []
    return "\n\n".join(["\n".join(words), "\n".join(table(rows)), "\n".join(ceilings(rows)), *noisy]) + "\n"


def keep(options, argv, began, rows, version):
    """results/<date>-<hardware>-client-cost/{manifest.toml, rows.csv, table.md}, never over an older one."""
    stem = f"{began[:10]}-{accounts.hardware_name(options.results)}-client-cost"
    names = [stem, *(f"{stem}-{number}" for number in range(2, 1000))]
    out = next(options.results / name for name in names if not (options.results / name).exists())
    out.mkdir()
    with open(out / "rows.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(client_cost.Row._fields)
        writer.writerows([round(value, 4) if isinstance(value, float) else value for value in row] for row in rows)
    (out / "table.md").write_text(page(options, rows, version), encoding="utf-8")
    (out / "manifest.toml").write_text(manifest(options, argv, began, version), encoding="utf-8")
    return out


def manifest(options, argv, began, version):
    cpu = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo", encoding="utf-8")
                if line.startswith("model name")), platform.processor())
    facts = {
        "schema": 1, "began": began, "ended": accounts.now(), "target": "client-cost", "commit": accounts.commit(),
        "command": [pathlib.Path(argv[0]).name, *accounts.without_paths(argv[1:])], "rounds": options.rounds,
        "broker_cpu": options.broker_cpu, "client_cpu": options.client_cpu, "kafka": peers.DEFAULT,
        "kafka_jvm": client_cost.JVM, "java": accounts.java_version(), "librdkafka": version, "cpu": cpu,
        "cores": os.cpu_count(), "kernel": platform.release(), "start_records": client_cost.FEW,
        "producer": list(client_cost.PRODUCER), "librdkafka_producer": list(client_cost.PRODUCER_RD),
        "librdkafka_consumer": list(client_cost.CONSUMER_RD),
    }
    return "".join(f"{key} = {json.dumps(value)}\n" for key, value in facts.items())


def finish(options, argv, began, rows, version):
    """Keeps, prints, and says which aims were missed."""
    out = keep(options, argv, began, rows, version)
    if options.markdown:
        print(page(options, rows, version) + f"\n    scripts/client-cost --rounds {options.rounds}\n\nKept in {out.name}.")
    print("\n".join([*aims(rows), noise(rows)]), file=sys.stderr)
    return 0
