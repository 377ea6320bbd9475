"""Kafka's unmodified tools through one JVM (ToolHost.java), with a limit in time for each run."""

import collections
import os
import select
import subprocess
import threading
import time

from lib import peers
from lib.report import Failed

Result = collections.namedtuple("Result", "code out err")
SEPARATOR = "\x1f"


class Tools:
    """Runs tools by the name of their script, as `tools("kafka-topics", "--list", ...)`."""

    def __init__(self, version=peers.DEFAULT):
        self.version = version
        self.process = None
        self.lock = threading.Lock()  # one JVM, one tool at a time

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def host(self):
        if self.process is None or self.process.poll() is not None:
            path = f"{peers.tool_host(self.version)}:{peers.class_path(self.version)}"
            self.process = subprocess.Popen([peers.java(), *peers.LIGHT_JVM, "-cp", path, "ToolHost"],
                                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        return self.process

    def run(self, name, *arguments, stdin=None, timeout_s=60):
        """One run; a tool that does not end in time is a failed check, whatever it was about to say."""
        with self.lock:
            return self.ask(name, arguments, stdin, timeout_s)

    def ask(self, name, arguments, stdin, timeout_s):
        host = self.host()
        fields = [peers.tool_class(name, self.version), str(stdin or "-"), *map(str, arguments)]
        host.stdin.write((SEPARATOR.join(fields) + "\n").encode())
        host.stdin.flush()
        return self.answer(name, time.monotonic() + timeout_s)

    def answer(self, name, until):
        descriptor, data, sizes = self.process.stdout.fileno(), bytearray(), None
        while True:
            if sizes is None and b"\n" in data:
                head, _, rest = bytes(data).partition(b"\n")
                sizes, data = [int(word) for word in head.split()], bytearray(rest)
            if sizes is not None and len(data) >= sizes[1] + sizes[2]:
                out, err = bytes(data[:sizes[1]]), bytes(data[sizes[1]:sizes[1] + sizes[2]])
                return Result(sizes[0], out.decode(errors="replace"), err.decode(errors="replace"))
            ready, _, _ = select.select([descriptor], [], [], max(0, until - time.monotonic()))
            piece = os.read(descriptor, 1 << 20) if ready else b""
            if not piece:
                ended = bool(ready)
                self.close()
                raise Failed(f"{name} {'ended the whole JVM' if ended else 'did not end in time'}")
            data += piece

    def __call__(self, name, *arguments, **kwargs):
        """Like run, but the tool must exit with 0."""
        result = self.run(name, *arguments, **kwargs)
        if result.code != 0:
            raise Failed(f"{name} exited with {result.code}: {result.out[-400:]} {result.err[-600:]}")
        return result
