"""What the scripts that measure share: deleting topics, the machine's processor time, the facts of a manifest."""

import datetime
import os
import pathlib
import shutil
import struct
import subprocess
import time

from lib import peers, wire

QUIET_SHARE = 0.04  # idle time is cut to ticks: a few per cent are noise
FREE_MIN_BYTES = 12 << 30
# Deleted topics must be gone before the next round, on both.
OVERRIDES = {"log.segment.delete.delay.ms": 100, "log.retention.check.interval.ms": 1000}


def now():
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def delete(broker, topic):
    """Deletes a topic and waits until its folder is gone, so that its pages serve the next round."""
    request = wire.request(20, 1, wire.array([wire.string(topic)]) + struct.pack(">i", 10000))
    with wire.Connection(broker.port) as connection:
        connection.ask(request)
    for _ in range(600):
        if not list(broker.log_dir.glob(f"{topic}-*")):
            break
        time.sleep(0.1)
    else:
        raise SystemExit(f"{broker.kind}: the folder of {topic} is still there after 60 s")
    free = shutil.disk_usage(broker.log_dir).free
    if free < FREE_MIN_BYTES:
        raise SystemExit(f"{free >> 30} GiB free below {broker.log_dir}: too few for a round")
    os.sync()


def machine_cpu_s():
    """A clock of what all cores were not idle: cores * time - idle - iowait - steal (proc(5)). The kernel's count of busy
    time is a sample at each tick, and misses what runs for less than one."""
    with open("/proc/stat", encoding="ascii") as stat:
        lines = stat.read().splitlines()
    fields = [int(word) for word in lines[0].split()[1:]]
    cores = sum(line.startswith("cpu") for line in lines) - 1
    return cores * time.monotonic() - (fields[3] + fields[4] + fields[7]) / os.sysconf("SC_CLK_TCK")


def kernel_cpu_s():
    """Seconds of the kernel's own threads (write-back, kworkers): they have no command line."""
    total = 0
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if not (folder / "cmdline").read_bytes():
                fields = (folder / "stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
                total += int(fields[11]) + int(fields[12])
        except OSError:  # it ended meanwhile
            continue
    return total / os.sysconf("SC_CLK_TCK")


def hardware_name(path):
    """Cores, memory and file system, as the harness names a machine."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    path.mkdir(parents=True, exist_ok=True)
    return f"{os.cpu_count()}c-{round(memory / (1 << 30))}g-{file_system(path)}"


def file_system(path):
    """The type of the deepest mount that holds a path."""
    lines = [line.split() for line in pathlib.Path("/proc/mounts").read_text(encoding="utf-8").splitlines()]
    below = [(len(fields[1]), fields[2]) for fields in lines if pathlib.Path(fields[1]) in (path.resolve() / "x").parents]
    return max(below)[1] if below else "fs"


def without_paths(words):
    """Where this machine keeps its files says nothing of the run: a path's last part stands for it."""
    return [pathlib.Path(word).name if word.startswith("/") else word for word in words]


def commit():
    done = subprocess.run(["git", "-C", str(peers.REPO), "describe", "--always", "--dirty"], capture_output=True, text=True)
    return done.stdout.strip()


def java_version():
    return subprocess.run([peers.java(), "-version"], capture_output=True, text=True).stderr.splitlines()[0]
