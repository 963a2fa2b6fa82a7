"""One process that may outlive the program that started it, and is known again by its id and the moment it began."""

import ctypes
import os
import resource
import select
import signal
import subprocess
import time


class Failure(Exception):
    """What was asked for could not be done; the text says why."""


def wait_until(condition, seconds, what):
    """Looks at the condition until it is true, and returns what it said."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Failure(f"not within {seconds:g} s: {what}")
        time.sleep(0.01)


def boot_id():
    """Ids of processes and the moments they began mean something until the machine starts anew."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as f:
        return f.read().strip()


def _stat(pid):
    """(state letter, when it began in ticks since the boot), or None when there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as f:
            fields = f.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return fields[0], int(fields[19])


_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent():
    """In a child before its program begins: SIGKILL when the thread that started it ends; a core if it crashes."""
    _libc.prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))


class Daemon:
    """Not thread-safe. The process's output goes to `log`, which grows over its lives; it runs in that folder."""

    def __init__(self, name, arguments, log, identity=None, enter=None):
        """identity: of an earlier life, as `identity` was then; None: it has not been started yet. enter: called in the
        child before its program begins, to go to where it is to run, such as another network namespace."""
        self.name, self.arguments, self.log, self._enter = name, [str(a) for a in arguments], log, enter
        self.pid, self.began = identity or (None, None)
        self._child = None

    @property
    def identity(self):
        return (self.pid, self.began) if self.pid else None

    def start(self, detached):
        """detached: in a session of its own, and it stays when this program ends; otherwise it ends with this one."""
        steps = ([] if detached else [die_with_parent]) + ([self._enter] if self._enter else [])
        with open(self.log, "ab") as out:
            self._child = subprocess.Popen(self.arguments, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                           cwd=os.path.dirname(os.path.abspath(self.log)), start_new_session=True,
                                           preexec_fn=(lambda: [step() for step in steps]) if steps else None)
        self.pid = self._child.pid
        self.began = _stat(self.pid)[1]

    def state(self):
        """running, stopped (SIGSTOP), or gone."""
        if self._child is not None and self._child.poll() is not None:
            return "gone"
        found = _stat(self.pid) if self.pid else None
        if found is None or found[1] != self.began:
            return "gone"
        if found[0] in "ZX":
            # Its first thread has ended. While others do, files and ports are still taken.
            return "running" if not self._wait_end(0) else "gone"
        return "stopped" if found[0] in "Tt" else "running"

    def is_running(self):
        return self.state() == "running"

    def exit_code(self):
        """Of a child of this program that ended, negative for a signal; else None."""
        return self._child.poll() if self._child is not None else None

    def signal(self, number):
        """False: it is gone, and nobody got the signal."""
        try:
            handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return False
        try:
            # What the handle stands for cannot become another process any more.
            if self.state() == "gone":
                return False
            signal.pidfd_send_signal(handle, number)
            return True
        except ProcessLookupError:
            return False
        finally:
            os.close(handle)

    def _wait_end(self, seconds):
        """Until all threads of the process have ended; whether they have."""
        try:
            handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return True
        try:
            return bool(select.select([handle], [], [], seconds)[0])
        finally:
            os.close(handle)

    def wait_gone(self, seconds):
        """False: it is still there."""
        deadline = time.monotonic() + seconds
        while self.state() != "gone":
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            self._wait_end(left)
        return True

    def kill(self):
        if self.pid and self.signal(signal.SIGKILL) and not self.wait_gone(30):
            raise Failure(f"{self.name} (process {self.pid}) is still there after SIGKILL")

    def terminate(self, seconds):
        """SIGTERM, and SIGKILL when it is still there after a while. False: that was necessary."""
        if not self.pid or not self.signal(signal.SIGTERM):
            return True
        self.signal(signal.SIGCONT)
        if self.wait_gone(seconds):
            return True
        self.kill()
        return False

    def last_lines(self, count=5):
        """Of its log."""
        try:
            with open(self.log, encoding="utf-8", errors="replace") as f:
                return "".join(f.readlines()[-count:])
        except FileNotFoundError:
            return ""
