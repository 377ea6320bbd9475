"""Starts that must fail, or warn, with a sentence that names the thing: folder, port, second broker, settings."""

import os
import pathlib
import shutil
import socket
import subprocess
import time

from lib import brokers, wire
from lib.report import Failed, need

LIMIT_S = 15


def run(report, label, shards=1, binary=None, io=None):
    def check(name, function, *arguments):
        report.check(f"{label} bad start {name}", in_scratch, function, shards, binary, io, *arguments)

    check("on a folder that cannot be written", read_only)
    check("on a port in use", port_in_use)
    check("on a port that becomes free", port_freed)
    check("of a second broker on the same folder", second_broker)
    check("with unknown settings warns by name", unknown_settings)
    for key, value in IMPOSSIBLE:
        check(f"with {key}={value}", impossible, key, value)
    check("with no such config file", no_config)
    check("with zero shards", zero_shards)


IMPOSSIBLE = (
    ("node.id", "abc"), ("node.id", "-3"), ("num.partitions", "0"), ("log.segment.bytes", "-5"),
    ("log.segment.bytes", "lots"), ("listeners", "nonsense"), ("listeners", "PLAINTEXT://127.0.0.1:99999"),
    ("message.max.bytes", "-1"), ("auto.create.topics.enable", "perhaps"), ("log.dirs", ""),
)


def in_scratch(function, *arguments):
    with brokers.scratch() as folder:
        os.chmod(folder, 0o755)
        return function(folder, *arguments)


def ringlog(folder, shards, binary, io, **rest):
    return brokers.new("ringlog", folder, shards=shards, binary=binary, io=io, **rest)


def refused(process, output):
    """The process ends soon and not with 0; gives what it said."""
    try:
        code = process.wait(LIMIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise Failed(f"still runs after {LIMIT_S} s: {output.read_text(errors='replace')[-300:]}") from None
    said = output.read_text(errors="replace")
    need(code > 0, f"ended with {code}: {said[-400:]}")
    need("panicked" not in said, f"panicked: {said[-400:]}")
    return said


def names(said, *things):
    for thing in things:
        need(str(thing) in said, f"does not name {thing}: {said[-400:]}")
    return said.strip().splitlines()[-1]


def read_only(folder, shards, binary, io):
    """A folder of another user, or (root may write anywhere) the broker runs as nobody."""
    locked = folder / "locked"
    locked.mkdir()
    program = folder / "ringlog"
    shutil.copy(brokers.ringlog_binary(binary), program)
    program.chmod(0o755)
    broker = ringlog(folder / "b", shards, program, io, overrides={"log.dirs": locked / "log"})
    broker.prepare()
    locked.chmod(0o555)
    who = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
    with open(broker.output, "wb") as out:
        process = subprocess.Popen(broker.command(), stdout=out, stderr=subprocess.STDOUT, cwd="/", **who)
    said = refused(process, broker.output)
    need("ermission" in said or "ead-only" in said, f"does not say why: {said[-400:]}")
    return names(said, locked)


def port_in_use(folder, shards, binary, io):
    broker = ringlog(folder / "b", shards, binary, io)
    with socket.create_server(("127.0.0.1", broker.port + shards - 1)):
        broker.launch()
        return names(refused(broker.process, broker.output), broker.port + shards - 1)


def port_freed(folder, shards, binary, io):
    """A broker that was killed a moment ago may hold its port a moment longer: the next one waits for it."""
    broker = ringlog(folder / "b", shards, binary, io)
    with socket.create_server(("127.0.0.1", broker.port + shards - 1)):
        broker.launch()
        time.sleep(1)
        need(broker.alive(), f"it ended at once: {broker.tail()}")
    try:
        broker.await_ready()
        return names(broker.output.read_text(), "in use; trying again")
    finally:
        broker.kill()


def second_broker(folder, shards, binary, io):
    with ringlog(folder / "a", shards, binary, io) as first:
        second = ringlog(folder / "b", shards, binary, io, overrides={"log.dirs": first.log_dir})
        second.launch()
        said = names(refused(second.process, second.output), first.log_dir)
        need(first.alive() and wire.answers(first.port), "the first broker does not answer any more")
        return said


def unknown_settings(folder, shards, binary, io):
    broker = ringlog(folder / "b", shards, binary, io, overrides={"no.such.setting": "1", "log.segmnt.bytes": "7"})
    with broker:
        names(broker.output.read_text(), "no.such.setting", "log.segmnt.bytes")
        return "named, and the broker serves"


def impossible(folder, shards, binary, io, key, value):
    broker = ringlog(folder / "b", shards, binary, io, overrides={key: value})
    broker.launch()
    try:
        return names(refused(broker.process, broker.output), key)
    finally:
        broker.kill()


def no_config(folder, shards, binary, io):
    return command_refused(folder, binary, ["--config", str(folder / "absent.properties")], "absent.properties")


def zero_shards(folder, shards, binary, io):
    return command_refused(folder, binary, ["--shards", "0"], "shards")


def command_refused(folder, binary, arguments, *things):
    output = pathlib.Path(folder) / "output.txt"
    with open(output, "wb") as out:
        process = subprocess.Popen([str(brokers.ringlog_binary(binary)), "broker", *arguments], stdout=out,
                                   stderr=subprocess.STDOUT, cwd=folder)
    return names(refused(process, output), *things)
