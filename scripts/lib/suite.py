"""The parts of the conformance run (lib/lanes.py), and the order of the checks on one broker: write, read, ask, stop, dump,
start again, read again."""

from functools import partial

from lib import (badinput, badlimits, badstart, brokers, certificates, checks_admin, checks_clients, checks_compaction,
                 checks_consumer, checks_crash, checks_files, checks_groups, checks_log, checks_metrics, checks_moves,
                 checks_perf, checks_protocol, checks_retention, checks_security, checks_settings, checks_transactions,
                 exactly_once, group_upgrade, peers, wire, word_count)
from lib.lanes import Part
from lib.report import Failed, need
from lib.tools import Tools


def fetch():
    """The foreign clients, before anything runs: a client that cannot be had ends the run."""
    peers.kcat()
    peers.librdkafka_python()
    peers.program("openssl", "openssl")
    for version in peers.VERSIONS:
        peers.tool_host(version)
    peers.word_count()
    peers.group_upgrade()


class Clients:
    """Kafka's tools of both lines, each in a process that ends with this."""

    def __init__(self):
        self.tools, self.old_tools = Tools("4.3.1"), Tools("3.9.2")

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


def parts(target, short=False, **how):
    """The whole suite on brokers of one kind; the short one leaves out wrong input and crashes."""
    label = f"ringlog/{how['shards']}" if target == "ringlog" else f"kafka-{how['version']}"
    label += f"/{how['io']}" if how.get("io") else ""
    yield Part(label, 80, partial(life, target=target, label=label, **how))
    if short:
        return
    yield Part(f"{label} crash", 30 if target == "kafka" else 10, partial(crash, target=target, label=label, **how))
    yield Part(f"{label} retention", 15, partial(retention, target=target, label=label, **how))
    yield Part(f"{label} compaction", 30, partial(compaction, target=target, label=label, **how))
    yield Part(f"{label} protocol", 40, partial(protocol, target=target, label=label, **how))
    yield Part(f"{label} log", 30, partial(log, target=target, label=label, **how))
    yield Part(f"{label} transactions", 40, partial(transactions, target=target, label=label, **how))
    yield Part(f"{label} exactly once", 20, partial(exactly_once.run, target=target, label=label, **how))
    yield Part(f"{label} group upgrade", 30, partial(group_upgrade.run, target=target, label=label, **how))
    yield Part(f"{label} bad input", 20, partial(badinput.run, target=target, **how))
    if target == "ringlog":
        yield Part(f"{label} metrics", 20, partial(checks_metrics.run, label=label, **how))
        yield Part(f"{label} bad start", 20, partial(badstart.run, label=label, **how))
        yield Part(f"{label} limits", 70, partial(badlimits.run, label=label, **how))
    if label == "ringlog/3":
        yield Part(f"{label} word count", 30, partial(word_count.run, target=target, label=label, **how))


def life(report, target, label, **how):
    """What clients and tools see of one broker, before and after a restart, and what it leaves on the disk."""
    with Clients() as clients, brokers.scratch() as folder:
        broker = brokers.new(target, folder / "broker", **how)
        ctx = Context(report, clients, broker, folder, label)
        try:
            report.check(f"{label} starts", started, broker)
            if broker.alive() or report.only:
                run_on(ctx)
        finally:
            broker.kill()


def crash(report, target, label, **how):
    with Clients() as clients:
        checks_crash.run(report, clients, target, label, **how)


def retention(report, **how):
    apart(report, checks_retention, **how)


def compaction(report, **how):
    apart(report, checks_compaction, **how)


def log(report, **how):
    apart(report, checks_log, **how)


def protocol(report, **how):
    apart(report, checks_protocol, **how)


def transactions(report, **how):
    apart(report, checks_transactions, **how)


def apart(report, checks, target, label, **how):
    """A module's checks, on a broker of their own that has its settings."""
    if not report.wants_any(label):
        return
    with Clients() as clients, brokers.scratch() as folder:
        broker = brokers.new(target, folder / "broker", overrides=checks.SETTINGS, **how)
        ctx = Context(report, clients, broker, folder, label)
        with broker:
            for name, function in checks.CHECKS.items():
                ctx.check(name, function, ctx)


def run_on(ctx):
    if not ctx.broker.alive():
        ctx.broker.start()
    checks_admin.run(ctx)
    checks_settings.run(ctx)
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
        checks_settings.run_after_restart(ctx)


def own_tools(binary):
    """Our tools and our consumer against real Apache Kafkas, of the current and of the last line, and over TLS and SASL."""
    for version in peers.VERSIONS:
        yield Part(f"kafka-{version} own", 20, partial(own_perf, binary=binary, version=version))
        # In halves, for it takes longest of all.
        for half in checks_consumer.HALVES:
            yield Part(f"kafka-{version} consumer, {half}", 90, partial(own_consumer, version=version, half=half))
        yield Part(f"kafka-{version} security", 70, partial(security, binary=binary, version=version))
    yield Part("kafka consumer over moving leaders", 30,
               partial(checks_moves.run, binary=binary, version=peers.DEFAULT))


def own_perf(report, binary, version):
    label = f"kafka-{version}"
    if report.wants_any(label):
        with Clients() as clients, brokers.scratch() as folder, \
                brokers.new("kafka", folder / "broker", version=version) as broker:
            checks_perf.run_own(Context(report, clients, broker, folder, label), binary)


def own_consumer(report, version, half):
    label = f"kafka-{version}"
    if report.wants_any(label):
        with brokers.scratch() as folder, brokers.new("kafka", folder / "broker", version=version) as broker:
            checks_consumer.HALVES[half](report, broker, label)


def security(report, binary, version):
    """Our two tools over TLS and SASL."""
    if report.wants_any("kafka"):
        with Clients() as clients, brokers.scratch() as folder:
            made = certificates.make(folder / "certificates")
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
