"""What the machine says of itself and of a process: CPU time, memory, files."""

import os
import threading
import time
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def described():
    model = next((line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                  if line.startswith("model name")), os.uname().machine)
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {"cpu": model, "cores": os.cpu_count(), "memory_gb": round(memory / 2**30, 1)}


def family(pid):
    """A process and its descendants that are alive."""
    found = [pid]
    for member in found:
        for task in Path(f"/proc/{member}/task").glob("*/children"):
            try:
                found += map(int, task.read_text().split())
            except OSError:  # it ended meanwhile
                pass
    return found


def cpu_s(pid):
    """User and system time of a process, of its descendants, and of those they saw end."""
    total = 0
    for member in family(pid):
        try:
            fields = Path(f"/proc/{member}/stat").read_text().rsplit(")", 1)[1].split()
            # The clock of a process counts nanoseconds, where /proc counts ticks.
            total += time.clock_gettime(~member << 3 | 2) + sum(map(int, fields[13:15])) / TICKS
        except OSError:
            pass
    return total


def status_mb(pid, *names):
    lines = (line.split() for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    said = {line[0].rstrip(":"): int(line[1]) / 1024 for line in lines if line[0].startswith(("Vm", "Rss"))}
    return [said[name] for name in names]


def peak_mb(pid):
    return round(status_mb(pid, "VmHWM")[0])


class Watch(threading.Thread):
    """Looks at the memory of a process and its descendants; what they share counts once."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.peak, self.ended = pid, 0, threading.Event()

    def run(self):
        while not self.ended.wait(0.05):
            self.look()

    def look(self):
        own, shared, mapped = 0, 0, 0
        for member in family(self.pid):
            try:
                anonymous, shm, file = status_mb(member, "RssAnon", "RssShmem", "RssFile")
            except (OSError, KeyError):  # it ended meanwhile
                continue
            own, shared, mapped = own + anonymous, max(shared, shm), max(mapped, file)
        self.peak = max(self.peak, own + shared + mapped)


def files(folder):
    return (path for path in Path(folder).rglob("*") if path.is_file())


def bytes_in(folder):
    return sum(path.stat().st_blocks * 512 for path in files(folder))


def forget(folder):
    """Takes the files of a folder out of the page cache."""
    for path in files(folder):
        with open(path, "rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
