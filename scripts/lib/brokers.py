"""Broker processes under one interface: a real Apache Kafka (KRaft, one node) and ringlog.

start() returns when the broker answers; stop() is a clean stop, kill() is kill -9; both leave the folder for a restart.
"""

import contextlib
import ctypes
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from lib import peers, wire

START_WAIT_S = 60


def die_with_parent():
    """prctl(PR_SET_PDEATHSIG, SIGKILL): however a script ends, no broker stays behind."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def free_ports(count):
    """`count` ports in a row that nothing listens on."""
    # Scripts that start together have process ids side by side: their ports are to lie apart.
    for base in range(20000 + os.getpid() % 500 * 20, 32000, count):
        with contextlib.ExitStack() as stack:
            try:
                for port in range(base, base + count):
                    probe = stack.enter_context(socket.socket())
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    probe.bind(("127.0.0.1", port))
                return base
            except OSError:
                continue
    raise SystemExit(f"no {count} free ports in a row")


def write_properties(path, settings):
    path.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))


# The same on both, so that the same checks hold on both.
COMMON = {
    "num.partitions": 3,
    "auto.create.topics.enable": "true",
    "group.initial.rebalance.delay.ms": 0,
    "offsets.topic.replication.factor": 1,
    "metadata.log.max.record.bytes.between.snapshots": 2000,
}


# After kill -9 the controller takes a broker back when the session of its former life is over: 9 s by default.
SOON_MISSED = {"broker.session.timeout.ms": 3000, "broker.heartbeat.interval.ms": 500}


class Broker:
    """What both kinds share: the process, its folder, its port, waiting for it and ending it."""

    kind = "?"

    def __init__(self, folder, port, overrides=None, cpus=None):
        self.folder = pathlib.Path(folder).absolute()
        self.port = port
        self.overrides = dict(overrides or {})
        self.cpus = cpus
        self.process = None

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.kill()

    @property
    def bootstrap(self):
        return f"127.0.0.1:{self.port}"

    @property
    def log_dir(self):
        return self.folder / "log"

    @property
    def output(self):
        return self.folder / "output.txt"

    def command(self):
        raise NotImplementedError

    def prepare(self):
        self.folder.mkdir(parents=True, exist_ok=True)

    def launch(self, outlive_us=False):
        """Starts the process without waiting for it to answer; it ends with this script unless it may outlive it."""
        self.prepare()
        pin = ["taskset", "-c", self.cpus] if self.cpus else []
        with open(self.output, "ab") as out:
            self.process = subprocess.Popen(pin + self.command(), stdout=out, stderr=subprocess.STDOUT,
                                            stdin=subprocess.DEVNULL, cwd=self.folder, start_new_session=True,
                                            preexec_fn=None if outlive_us else die_with_parent)
        return self

    def start(self, outlive_us=False):
        self.launch(outlive_us)
        return self.await_ready()

    def await_ready(self):
        until = time.monotonic() + START_WAIT_S
        while not self.ready():
            if self.process.poll() is not None:
                raise SystemExit(f"{self.kind} ended with {self.process.returncode} at start: {self.tail()}")
            if time.monotonic() > until:
                self.kill()
                raise SystemExit(f"{self.kind} does not answer on port {self.port} after {START_WAIT_S} s: {self.tail()}")
            time.sleep(0.1)
        return self

    def ready(self):
        return wire.answers(self.port)

    def tail(self, count=15):
        return "\n".join(self.output.read_text(errors="replace").splitlines()[-count:])

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def end(self, sign, wait_s=60):
        if self.alive():
            self.process.send_signal(sign)
            try:
                self.process.wait(wait_s)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise SystemExit(f"{self.kind} did not end within {wait_s} s of signal {sign}")
        return self.process.returncode if self.process else None

    def stop(self):
        return self.end(signal.SIGTERM)

    def kill(self):
        return self.end(signal.SIGKILL)


class Kafka(Broker):
    """Apache Kafka, broker and controller in one process."""

    kind = "kafka"
    shards = 1

    def __init__(self, folder, port, version=peers.DEFAULT, light=True, advertised_port=None, **rest):
        super().__init__(folder, port, **rest)
        self.version, self.light = version, light
        self.advertised_port = advertised_port

    def settings(self):
        controller = self.port + 1
        return {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.voters": f"1@127.0.0.1:{controller}",
            "listeners": f"PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{controller}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{self.advertised_port or self.port}",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": self.log_dir,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "share.coordinator.state.topic.replication.factor": 1,
            "share.coordinator.state.topic.min.isr": 1,
            **(SOON_MISSED if self.light else {}),
            **COMMON,
            **self.overrides,
        }

    def java(self, *arguments):
        jvm = peers.LIGHT_JVM if self.light else peers.BROKER_JVM
        return [peers.java(), *jvm, "-cp", peers.class_path(self.version), *map(str, arguments)]

    def prepare(self):
        super().prepare()
        properties = self.folder / "server.properties"
        write_properties(properties, self.settings())
        if not (self.log_dir / "meta.properties").exists():
            format_it = self.java("kafka.tools.StorageTool", "format", "-t", "ringlogRinglogRinglogA",
                                  "-c", properties, *self.format_options())
            done = subprocess.run(format_it, capture_output=True, text=True)
            if done.returncode != 0:
                raise SystemExit(f"kafka-storage format: {done.stdout}{done.stderr}")

    def format_options(self):
        return ()

    def command(self):
        return self.java("kafka.Kafka", self.folder / "server.properties")


class Ringlog(Broker):
    """`ringlog broker`, one port a shard from `port` on."""

    kind = "ringlog"

    def __init__(self, folder, port, shards=1, binary=None, io=None, advertised_port=None, **rest):
        super().__init__(folder, port, **rest)
        self.shards, self.io = shards, io
        self.binary = ringlog_binary(binary)
        self.advertised_port = advertised_port

    def settings(self):
        advertised = {"advertised.listeners": f"PLAINTEXT://127.0.0.1:{self.advertised_port}"}
        return {
            "node.id": 1,
            "listeners": f"PLAINTEXT://127.0.0.1:{self.port}",
            **(advertised if self.advertised_port else {}),
            "log.dirs": self.log_dir,
            **COMMON,
            **self.overrides,
        }

    def prepare(self):
        super().prepare()
        write_properties(self.folder / "server.properties", self.settings())

    def command(self):
        io = ["--io", self.io] if self.io else []
        return [str(self.binary), "broker", "--config", str(self.folder / "server.properties"),
                "--shards", str(self.shards), *io]


def ringlog_binary(given=None):
    """The binary under test: given, or RINGLOG_BIN, or the release build of this tree."""
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or peers.REPO / "target")
    path = pathlib.Path(given or os.environ.get("RINGLOG_BIN") or target / "release" / "ringlog").absolute()
    if not path.exists():
        raise peers.Missing(f"{path}: build it with `cargo build --release`, or name another with --bin or RINGLOG_BIN")
    return path


@contextlib.contextmanager
def scratch(prefix="ringlog-check-"):
    """A fresh folder that is gone afterwards (RINGLOG_KEEP=1 keeps it for a look)."""
    path = pathlib.Path(tempfile.mkdtemp(prefix=prefix))
    try:
        yield path
    finally:
        if not os.environ.get("RINGLOG_KEEP"):
            shutil.rmtree(path, ignore_errors=True)


def new(target, folder, shards=1, binary=None, version=peers.DEFAULT, **rest):
    """A broker of the kind named `kafka` or `ringlog` on free ports; not started."""
    if target == "kafka":
        return Kafka(folder, free_ports(2), version=version, **rest)
    return Ringlog(folder, free_ports(max(shards, 2)), shards=shards, binary=binary, **rest)
