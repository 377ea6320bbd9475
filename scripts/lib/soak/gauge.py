"""What the broker's process takes: resident memory and descriptors, sampled; whether they grow."""

import os
import pathlib
import statistics
import threading
import time

EVERY_S = 2
# The first part of a life is not judged: pools fill, every path is walked, and every page of a large buffer is touched for the first
# time. In twenty minutes that goes on for eight and more, while what malloc has given out stays the same (memory-and-start.md).
WARM_UP_SHARE, WARM_UP_S_MAX = 0.4, 480
JUDGED_S_MIN = 60
POINTS_MAX = 300
# What may be added in the judged part: `slope * its length`. RSS in bytes, and descriptors.
GROWN_BYTES_MAX, GROWN_SHARE_MAX, GROWN_DESCRIPTORS_MAX = 6 << 20, 0.03, 8


def status(pid):
    """{VmRSS, RssAnon, RssFile: bytes, Threads: number} of a process."""
    told = {}
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        name, _, rest = line.partition(":")
        if name in ("VmRSS", "RssAnon", "RssFile", "VmHWM"):
            told[name] = int(rest.split()[0]) * 1024
        elif name == "Threads":
            told[name] = int(rest)
    return told


def cpu_s(pid):
    """Processor time of a process, seconds."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def kept_open(pid):
    """Descriptors without those of old segments, which a broker keeps as long as it has room for them: of each folder the newest
    segment counts, and every file that is deleted."""
    newest, others = {}, 0
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            path = os.readlink(f"/proc/{pid}/fd/{fd}")
        except OSError:
            continue  # closed meanwhile
        if path.endswith(".log"):
            newest.setdefault(os.path.dirname(path), path)
        else:
            others += 1
    return len(newest) + others


class Life:
    """The samples of one process, from its start to its end: (seconds, bytes, bytes of its own, descriptors that
    are not of old segments, all of them)."""

    def __init__(self, pid):
        self.pid, self.samples, self.cpu_s = pid, [], 0.0

    def look(self, now_s):
        try:
            told = status(self.pid)
            self.samples.append((now_s, told["VmRSS"], told["RssAnon"], kept_open(self.pid), descriptors(self.pid)))
            self.cpu_s = cpu_s(self.pid)
        except (OSError, KeyError, IndexError):
            pass  # it is just ending

    def judged(self):
        """Its samples without the first part; empty where the rest is too short."""
        if not self.samples:
            return []
        begin, end = self.samples[0][0], self.samples[-1][0]
        begin += min((end - begin) * WARM_UP_SHARE, WARM_UP_S_MAX)
        return [one for one in self.samples if one[0] >= begin] if end - begin >= JUDGED_S_MIN else []

    def growth(self, column):
        """(slope a second, seconds judged, median); the slope is the median of all slopes between two samples."""
        points = self.judged()
        points = points[::max(1, len(points) // POINTS_MAX)]
        slopes = [(b[column] - a[column]) / (b[0] - a[0]) for i, a in enumerate(points) for b in points[i + 1:]]
        return statistics.median(slopes), points[-1][0] - points[0][0], statistics.median(one[column] for one in points)


class Gauge(threading.Thread):
    """Samples whichever process is the broker's now; notes how late the machine lets it."""

    STEP_S = 0.1

    def __init__(self, broker):
        super().__init__(name="gauge", daemon=True)
        self.broker, self.lives, self.ending = broker, [], threading.Event()
        self.late_s = self.late_of_late_s = 0.0

    def run(self):
        sample_at = due = time.monotonic()
        while not self.ending.wait(max(0, due - time.monotonic())):
            now = time.monotonic()
            self.late_s, self.late_of_late_s = max(self.late_s, now - due), max(self.late_of_late_s, now - due)
            due = now + self.STEP_S
            if now >= sample_at and self.broker.alive():
                sample_at = now + EVERY_S
                self.look(now)

    def look(self, now):
        pid = self.broker.process.pid
        if not self.lives or self.lives[-1].pid != pid:
            self.lives.append(Life(pid))
        self.lives[-1].look(now)

    def held_up(self):
        """In words, and from now on anew: a machine that does other things makes everything late."""
        late, self.late_of_late_s = self.late_of_late_s, 0.0
        return f"the machine held us up for {late:.1f} s at most"

    def end(self):
        self.ending.set()


def memory(life):
    """(whether it is flat, in words)"""
    slope, seconds, median = life.growth(1)
    grown, limit = slope * seconds, GROWN_BYTES_MAX + GROWN_SHARE_MAX * median
    own = life.growth(2)[0]
    return grown <= limit, (f"RSS {median / 2**20:.1f} MiB, slope {slope * 3600 / 2**20:+.1f} MiB an hour (anonymous "
                            f"{own * 3600 / 2**20:+.1f}): {grown / 2**20:+.1f} MiB in {seconds:.0f} s, limit {limit / 2**20:.1f}; "
                            f"highest {max(one[1] for one in life.samples) / 2**20:.1f}")


def files(life):
    """(whether their number is flat, in words)"""
    slope, seconds, median = life.growth(3)
    grown = slope * seconds
    return grown <= GROWN_DESCRIPTORS_MAX, (f"{median:.0f} descriptors without old segments', slope {slope * 3600:+.1f} an hour: "
                                            f"{grown:+.1f} in {seconds:.0f} s, limit {GROWN_DESCRIPTORS_MAX}; with them "
                                            f"{max(one[4] for one in life.samples)} at most")
