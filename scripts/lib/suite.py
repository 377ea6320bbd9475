"""The order of the checks on one broker: write, read, ask, stop, dump, start again, read again."""

from lib import (badinput, brokers, certificates, checks_admin, checks_clients, checks_consumer, checks_crash,
                 checks_files, checks_groups, checks_moves, checks_perf, checks_retention, checks_security, peers, wire)
from lib.report import Failed, need
from lib.tools import Tools


class Clients:
    """The foreign clients, fetched before anything runs: a client that cannot be had ends the run."""

    def __init__(self):
        peers.kcat()
        peers.librdkafka_python()
        self.tools, self.old_tools = Tools("4.3.1"), Tools("3.9.2")
        for version in peers.VERSIONS:
            peers.tool_host(version)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.tools.close()
        self.old_tools.close()


class Context:
    """What the checks on one broker share."""

    def __init__(self, report, clients, broker, folder, label):
        self.report, self.broker, self.folder, self.label = report, broker, folder, label
        self.tools, self.old_tools = clients.tools, clients.old_tools
        self.written, self.digests, self.spoil = {}, {}, {}
        self.group_sent, self.console_read = [], []

    def name(self, name):
        return f"{self.label} {name}"

    def check(self, name, function, *arguments):
        return self.report.check(self.name(name), function, *arguments)

    def create(self, topic, partitions, configs=()):
        """Creates a topic over the wire and waits until each partition has a leader."""
        code = wire.make_topic(self.broker.port, topic, partitions, configs)
        need(code == 0, f"CreateTopics {topic}: error {code}")
        for partition in range(partitions):
            wire.leader_port(self.broker.port, topic, partition)


def run(report, clients, target, shards=1, short=False, **how):
    """The whole suite on a fresh broker of one kind; the short one leaves out wrong input and crashes."""
    label = f"ringlog/{shards}" if target == "ringlog" else f"kafka-{how['version']}"
    label += f"/{how['io']}" if how.get("io") else ""
    with brokers.scratch() as folder:
        broker = brokers.new(target, folder / "broker", shards=shards, **how)
        ctx = Context(report, clients, broker, folder, label)
        try:
            report.check(f"{label} starts", started, broker)
            if broker.alive() or report.only:
                run_on(ctx)
        finally:
            broker.kill()
    if short:
        return
    checks_retention.run(report, lambda broker, folder: Context(report, clients, broker, folder, label), target,
                         shards=shards, **how)
    badinput.run(report, target, shards=shards, **how)
    checks_crash.run(report, clients, target, label, shards=shards, **how)


def run_on(ctx):
    if not ctx.broker.alive():
        ctx.broker.start()
    checks_admin.run(ctx)
    checks_clients.write_all(ctx)
    checks_clients.read_all(ctx)
    checks_admin.run_offsets(ctx)
    checks_perf.run(ctx)
    checks_groups.run(ctx)
    if ctx.broker.kind == "ringlog":
        checks_perf.run_own(ctx, ctx.broker.binary)
    ctx.check("stops cleanly", stopped, ctx.broker)
    checks_files.run(ctx)
    ctx.check("starts again", started, ctx.broker)
    if ctx.broker.alive():
        checks_clients.read_all(ctx, "read again after a restart", ("kcat",))
        checks_groups.run_after_restart(ctx)


def run_own_tools(report, clients, binary):
    """Our tools and our consumer against real Apache Kafkas, of the current and of the last line."""
    for version in peers.VERSIONS:
        with brokers.scratch() as folder, brokers.new("kafka", folder / "broker", version=version) as broker:
            checks_perf.run_own(Context(report, clients, broker, folder, f"kafka-{version}"), binary)
            checks_consumer.run(report, broker, f"kafka-{version}")
    checks_moves.run(report, binary, peers.DEFAULT)
    run_security(report, clients, binary)


def run_security(report, clients, binary):
    """Our two tools over TLS and SASL, on both lines of Kafka."""
    if report.wants_any("kafka"):
        with brokers.scratch() as folder:
            made = certificates.make(folder / "certificates")
            for version in peers.VERSIONS:
                checks_security.run(report, clients, binary, version, made)


def started(broker):
    try:
        broker.start()
    except SystemExit as error:
        raise Failed(str(error)) from error
    return f"on {broker.bootstrap}"


def stopped(broker):
    code = broker.stop()
    need(code in (0, 143), f"ended with {code} after SIGTERM: {broker.tail()}")
    return f"exit code {code}"
