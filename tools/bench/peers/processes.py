"""Child processes that end with this program, what /proc tells of them, ports and memory."""

import json
import mmap
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time

STOP_SECONDS_MAX = 30
GIB = 1 << 30


class Failure(Exception):
    """What was to be measured could not be; the text says why."""


class Children:
    """Every process that was started and every folder that was made, so that a `with` leaves none behind.

    Processes are sessions of their own: Ctrl-C reaches this program alone, which then ends them by id, children of
    theirs included.
    """

    def __init__(self, folder=None):
        self.folder = tempfile.mkdtemp(prefix="naru-peers-", dir=folder)
        self._running = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in list(self._running):
            self.stop(process, seconds_max=2)
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self, arguments, log):
        """The process; what it writes goes to the file `log`. `began` is when, by time.monotonic()."""
        with open(log, "ab") as out:
            began = time.monotonic()
            process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                       start_new_session=True)
        process.began = began
        self._running.append(process)
        return process

    def stop(self, process, seconds_max=STOP_SECONDS_MAX):
        """SIGTERM, and SIGKILL when it is still there after a while."""
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(seconds_max)
            except subprocess.TimeoutExpired:
                pass
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if process in self._running:
            self._running.remove(process)

    def run_client(self, arguments, seconds_max):
        """Runs a load generator to its end and returns the figures that it printed as JSON."""
        process = subprocess.Popen([str(a) for a in arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True, start_new_session=True)
        self._running.append(process)
        try:
            out, errors = process.communicate(timeout=seconds_max)
        except subprocess.TimeoutExpired:
            raise Failure(f"{arguments[0]} {arguments[1]}: not done after {seconds_max:.0f} s") from None
        finally:
            self.stop(process, seconds_max=2)
        try:
            return json.loads(out)["figures"]
        except (ValueError, KeyError):
            raise Failure(f"{os.path.basename(arguments[0])} {arguments[1]} ended with {process.returncode}: "
                          f"{errors.strip()[-500:] or out.strip()[-500:]}") from None


def free_ports(count):
    """Ports of the loopback interface that nobody had a moment ago."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def _numbers(path):
    """The first number of each "name: number" line."""
    with open(path, encoding="utf-8") as f:
        pairs = (line.split(":", 1) for line in f if ":" in line)
        return {name: int(text.split()[0]) for name, text in pairs if text.split() and text.split()[0].isdigit()}


def stats(pid):
    """CPU seconds, MB resident now and at most, of a process that runs."""
    with open(f"/proc/{pid}/stat", encoding="utf-8") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    status = _numbers(f"/proc/{pid}/status")
    return {"cpu_seconds": (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"),
            "rss_mb": status["VmRSS"] * 1024 / 1e6, "rss_max_mb": status["VmHWM"] * 1024 / 1e6}


def stats_of(processes):
    """The same of several processes together."""
    each = [stats(process.pid) for process in processes]
    return {name: sum(one[name] for one in each) for name in each[0]}


def _disk(path):
    """The kernel's counters of the disk that holds `path`; None where it is no block device."""
    device = os.stat(path).st_dev
    try:
        with open(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}/stat", encoding="ascii") as f:
            return [int(field) for field in f.read().split()]
    except OSError:
        return None


def disk_written_mb(path):
    """MB that the disk was sent so far, by whomever; None where it is no block device."""
    counters = _disk(path)
    return None if counters is None else counters[6] * 512 / 1e6  # sectors


def settle_disk(path, seconds_max=30):
    """Waits until what was written and deleted before no longer keeps the disk busy: a second in which it was sent at
    most a megabyte, and discards nothing."""
    os.sync()
    deadline = time.monotonic() + seconds_max
    before = _disk(path)
    while before is not None and time.monotonic() < deadline:
        time.sleep(1)
        now = _disk(path)
        discards = now[11] - before[11] if len(now) > 11 else 0
        if discards == 0 and (now[6] - before[6]) * 512 < 1e6 and now[8] == 0:
            return
        before = now


def touch_memory(gib):
    """Writes to so much memory and gives it back, at most two fifths of what is available.

    A virtual machine may have given free memory to its host, and then pays for each new page once more. Whoever comes
    first, or needs the most page cache, would look slow.
    """
    available = _numbers("/proc/meminfo")["MemAvailable"] * 1024
    size = int(min(gib * GIB, available * 2 / 5)) // mmap.PAGESIZE * mmap.PAGESIZE
    piece = b"\x01" * (32 << 20)
    if size < len(piece):
        return
    with mmap.mmap(-1, size) as memory:
        for at in range(0, size - len(piece) + 1, len(piece)):
            memory[at:at + len(piece)] = piece
