"""A disk whose power can be cut: a file served through FUSE, under a loop device, in a process of its own.

    file system -> loop device (direct I/O) -> FUSE file -> this process: image + cache
                     write                       write         the cache: may be lost, whole or in part
                     flush (fdatasync, journal)  fsync         the cache is on the disk now
                     cut                                       image + a part of the cache -> the next disk's file

Requests are served one after the other, so a cut lies between two of them: it is atomic without a snapshot or a pause. What
it keeps of the cache, a seed draws: nothing, everything, a prefix, any subset, and of the last write kept perhaps only some
sectors. A disk promises no more than that: what was flushed is there, a sector is old or new.

Nothing of it is a file system's or a broker's opinion: the kernel's block layer says what is flushed. The protocol is that of
linux/fuse.h 7.31, spoken by hand, since all that is needed is one file, which is the mount's root.

However the rig ends, by kill -9 of any or all of its processes too, nothing stays behind and nothing waits for ever:
- The file system is in the rig's mount namespace, and goes with the last process in it. The server is never in it: it would
  have to answer the writes of that unmount, out of its own exit, and every sync(2) of the machine would wait with it.
- The server ends with the rig (its stdin does). Requests without an answer then fail, and an unmount goes on.
- The loop device lets go of its file when its last user is gone (autoclear): the rig while it makes the file system, then the mount.
"""

import contextlib
import ctypes
import errno
import fcntl
import json
import mmap
import os
import random
import select
import struct
import subprocess
import sys

SECTOR, CHUNK = 512, 64 << 10
MAX_WRITE = 1 << 20
EIO, ENOSYS = 5, 38
FORGET, GETATTR, OPEN, READ, WRITE, STATFS, RELEASE, FSYNC = 2, 3, 14, 15, 16, 17, 18, 20
FLUSH, INIT, INTERRUPT, DESTROY, BATCH_FORGET = 25, 26, 36, 38, 42
NO_ANSWER = (FORGET, INTERRUPT, BATCH_FORGET)
ASYNC_READ, BIG_WRITES, MAX_PAGES = 1 << 0, 1 << 5, 1 << 22
# linux/loop.h; struct loop_config: the file, the block size (0: as it is), loop_info64 of which only lo_flags is not 0.
LOOP_CONFIGURE, LOOP_CTL_GET_FREE, LOOP_CONFIG = 0x4C0A, 0x4C82, struct.Struct("<II52xI240x")
AUTOCLEAR, DIRECT_IO = 4, 16
NEW_NAMESPACE, DETACH = 0x20000, 2  # of unshare(2), umount2(2)
HEAD, WRITE_HEAD = struct.Struct("<IIQQIIII"), struct.Struct("<QQIIQII")
KEPT = ("nothing", "everything", "prefix", "subset", "torn")


def libc_call(name, *arguments):
    """A libc function whose failure is an exception."""
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


class Platter:
    """The bytes: what reads give, and how to take back each write since the last flush."""

    def __init__(self, path):
        self.file = os.open(path, os.O_RDWR)
        self.size = os.fstat(self.file).st_size
        # Private: the file stays what the last cut left, however the run goes on.
        self.bytes = mmap.mmap(self.file, self.size, flags=mmap.MAP_PRIVATE)
        self.chunks = set(self.of_file())
        self.cache = []
        self.writes = self.flushes = 0

    def of_file(self):
        """The chunks of the file that hold anything."""
        at = 0
        while at < self.size:
            try:
                at = os.lseek(self.file, at, os.SEEK_DATA)
            except OSError:  # ENXIO: a hole up to the end
                return
            end = os.lseek(self.file, at, os.SEEK_HOLE)
            yield from range(at // CHUNK, (end + CHUNK - 1) // CHUNK)
            at = end

    def read(self, at, count):
        return self.bytes[at:min(at + count, self.size)]

    def write(self, at, data):
        if at + len(data) > self.size:
            raise OSError(EIO, "a write behind the end of the disk")
        self.cache.append((at, self.bytes[at:at + len(data)], data))
        self.bytes[at:at + len(data)] = data
        self.chunks.update(range(at // CHUNK, (at + len(data) - 1) // CHUNK + 1))
        self.writes += 1

    def flush(self):
        self.cache.clear()
        self.flushes += 1

    def cut(self, seed, kept, path):
        """Writes what a power cut now leaves to a new file; gives what of the cache is in it."""
        dice, cache = random.Random(seed), self.cache
        for at, before, _ in reversed(cache):
            self.bytes[at:at + len(before)] = before
        chosen = {"nothing": [], "everything": cache, "subset": [w for w in cache if dice.random() < 0.5]}.get(
            kept, cache[:dice.randrange(len(cache) + 1)])
        for at, _, after in chosen:
            self.bytes[at:at + len(after)] = after
        torn = self.tear(dice, chosen[-1]) if kept == "torn" and chosen else 0
        with open(path, "wb") as out:
            for chunk in sorted(self.chunks):
                out.seek(chunk * CHUNK)
                out.write(self.bytes[chunk * CHUNK:(chunk + 1) * CHUNK])
            out.truncate(self.size)
        return {"cached": len(cache), "kept": len(chosen), "sectors_torn": torn}

    def tear(self, dice, write):
        """Takes some sectors of a write back."""
        at, before, after = write
        torn = [place for place in range(0, len(after), SECTOR) if dice.random() < 0.5]
        for place in torn:
            self.bytes[at + place:at + place + SECTOR] = before[place:place + SECTOR]
        return len(torn)


class Server:
    """Answers the kernel, and the rig that drives it (a JSON object a line)."""

    def __init__(self, image, mount_point):
        self.platter = Platter(image)
        self.fuse = os.open("/dev/fuse", os.O_RDWR)
        self.buffer = bytearray(MAX_WRITE + 4096)
        # Writes that hold these bytes fail; and whether one did.
        self.refused, self.refusals = None, 0
        how = f"fd={self.fuse},rootmode=100600,user_id=0,group_id=0,allow_other,max_read={MAX_WRITE}"
        libc_call("mount", b"powercut", os.fsencode(mount_point), b"fuse", 0, how.encode())
        # The rig's namespace has the mount now, and this process leaves that namespace before there is a file system on it.
        libc_call("unshare", NEW_NAMESPACE)
        libc_call("umount2", os.fsencode(mount_point), DETACH)

    def serve(self):
        while True:
            ready = select.select([self.fuse, sys.stdin], [], [])[0]
            if self.fuse in ready and not self.request():
                return
            if sys.stdin in ready:
                line = sys.stdin.readline()
                if not line:
                    return
                print(json.dumps(self.command(json.loads(line))), flush=True)

    def command(self, asked):
        if asked["do"] == "cut":
            said = self.platter.cut(asked["seed"], asked["kept"], asked["path"])
            return {**said, "writes": self.platter.writes, "flushes": self.platter.flushes}
        self.refused = asked["text"].encode() if asked.get("text") else None
        return {"refusals": self.refusals}

    def request(self):
        """One request of the kernel; false: the mount is gone."""
        try:
            count = os.readv(self.fuse, [self.buffer])
        except OSError:  # ENODEV
            return False
        _, opcode, unique = HEAD.unpack_from(self.buffer)[:3]
        if opcode in NO_ANSWER:
            return True
        try:
            error, body = 0, self.answer(opcode, memoryview(self.buffer)[HEAD.size:count])
        except OSError as failed:
            error, body = failed.errno, b""
        os.writev(self.fuse, [struct.pack("<IiQ", 16 + len(body), -error, unique), body])
        return True

    def answer(self, opcode, body):
        if opcode == WRITE:
            return self.write(*WRITE_HEAD.unpack_from(body)[1:3], body)
        if opcode == READ:
            return self.platter.read(*WRITE_HEAD.unpack_from(body)[1:3])
        if opcode == FSYNC:
            self.platter.flush()
            return b""
        if opcode == GETATTR:
            size = self.platter.size
            return struct.pack("<QII6Q10I", 60, 0, 0, 1, size, size // SECTOR, 0, 0, 0, 0, 0, 0, 0o100600, 1, 0, 0, 0, 4096, 0)
        if opcode == INIT:
            flags = ASYNC_READ | BIG_WRITES | MAX_PAGES
            return struct.pack("<IIIIHHIIHHI28x", 7, 31, 0, flags, 16, 12, MAX_WRITE, 1, MAX_WRITE // 4096, 0, 0)
        if opcode == OPEN:
            return struct.pack("<QII", 0, 0, 0)
        if opcode in (FLUSH, RELEASE, DESTROY):
            return b""
        if opcode == STATFS:
            return bytes(80)
        raise OSError(ENOSYS, "not needed for one file")

    def write(self, at, count, body):
        data = bytes(body[WRITE_HEAD.size:WRITE_HEAD.size + count])
        if self.refused is not None and self.refused in data:
            self.refusals += 1
            raise OSError(EIO, "planted")
        self.platter.write(at, data)
        return struct.pack("<II", count, 0)


# The rig's side -------------------------------------------------------------------------------------------------


class Disk:
    """A disk that is mounted, with its server process and its loop device."""

    def __init__(self, folder, image, kind):
        self.folder, self.kind = folder, kind
        self.raw, self.at = folder / "raw", folder / "mnt"
        self.raw.touch()
        self.at.mkdir(exist_ok=True)
        self.server = subprocess.Popen([sys.executable, "-m", "lib.disk", str(image), str(self.raw)], text=True,
                                       cwd=os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.ask(do="refuse")  # it answers: it is mounted
        self.loop = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.remove()

    def ask(self, **what):
        self.server.stdin.write(json.dumps(what) + "\n")
        self.server.stdin.flush()
        line = self.server.stdout.readline()
        if not line:
            raise SystemExit(f"the disk's server ended with {self.server.wait()}")
        return json.loads(line)

    def attach(self, fresh):
        """Under a loop device, with a file system if it is new; mounted (which replays the journal of a cut one)."""
        with loop_device(self.raw) as self.loop:
            if fresh:
                make = {"ext4": ("mkfs.ext4", "-q", "-E", "nodiscard,lazy_itable_init=0,lazy_journal_init=0"),
                        "xfs": ("mkfs.xfs", "-q", "-K")}[self.kind]
                tool(*make, self.loop)
            # ext4's journal is committed each second, so that the cut of a short run meets it in all its states.
            how = ["-o", "commit=1"] if self.kind == "ext4" else []
            tool("mount", "-t", self.kind, *how, self.loop, str(self.at))

    def direct(self):
        """Whether the loop device passes the page cache by, without which a flush would not be what the broker asked for."""
        name = os.path.basename(self.loop)
        with open(f"/sys/block/{name}/loop/dio", encoding="ascii") as file:
            return file.read().strip() == "1"

    def cut(self, seed, kept, path):
        return self.ask(do="cut", seed=seed, kept=kept, path=str(path))

    def refuse(self, text):
        """From now on writes that hold this text fail (None: none does); gives how many did."""
        return self.ask(do="refuse", text=text)["refusals"]

    def remove(self):
        """Unmounts all, whatever state it is in, and ends the server."""
        # Lazily: what is busy leaves the namespace all the same, which the next disk's server would else have a copy of.
        for place in (self.at, self.raw):
            subprocess.run(["umount", "--lazy", str(place)], check=False, capture_output=True)
        self.server.stdin.close()
        try:
            self.server.wait(10)
        except subprocess.TimeoutExpired:
            self.server.kill()
            self.server.wait()


@contextlib.contextmanager
def loop_device(path):
    """The name of a loop device over this file, with direct I/O; it is gone when nobody has it open or mounted any more."""
    with open("/dev/loop-control", "rb") as control, open(path, "r+b", buffering=0) as backing:
        while True:
            name = f"/dev/loop{fcntl.ioctl(control, LOOP_CTL_GET_FREE)}"
            with open(name, "r+b", buffering=0) as device:
                try:
                    fcntl.ioctl(device, LOOP_CONFIGURE, LOOP_CONFIG.pack(backing.fileno(), 0, AUTOCLEAR | DIRECT_IO))
                except OSError as error:
                    if error.errno != errno.EBUSY:  # somebody else was given the same one
                        raise
                    continue
                yield name
                return


def tool(*command):
    """A system tool's output; its failure is told with what it said."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


if __name__ == "__main__":
    Server(*sys.argv[1:]).serve()
