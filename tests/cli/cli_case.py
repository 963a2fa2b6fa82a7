"""What the tests of naru share: a hub, and commands run against it. sys.argv: ... NARU NARUD [unittest arguments]"""

import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest

NARU, NARUD = sys.argv[1], sys.argv[2]
DEADLINE = 60  # seconds, for every command and every wait


class Hub:
    """A narud in a fresh directory; start() again after stop() keeps the data."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="naru-cli-test-")
        self.listen = "127.0.0.1:0"
        self.start()

    def start(self):
        ports = os.path.join(self.folder.name, "ports")
        if os.path.exists(ports):
            os.remove(ports)
        self.log = open(os.path.join(self.folder.name, "log"), "ab")
        self.process = subprocess.Popen(
            [NARUD, "--data-dir", os.path.join(self.folder.name, "data"), "--listen", self.listen,
             "--http", "127.0.0.1:0", "--port-file", ports, "--disk-reserve", "0"],
            stdout=self.log, stderr=self.log)
        deadline = time.monotonic() + DEADLINE
        while not (os.path.exists(ports) and os.path.getsize(ports)):
            if self.process.poll() is not None or time.monotonic() > deadline:
                with open(self.log.name, encoding="utf-8") as log:
                    raise AssertionError("narud did not start: " + log.read())
            time.sleep(0.01)
        with open(ports, encoding="utf-8") as file:
            self.listen = re.search(r"^listen=(.*)$", file.read(), re.M).group(1)

    def stop(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        status = self.process.wait(DEADLINE)
        self.log.close()
        return status

    def close(self):
        if self.process.poll() is None:
            self.stop(signal.SIGKILL)
        self.folder.cleanup()


class Result:
    def __init__(self, status, out, err):
        self.status, self.out, self.err = status, out, err


class CliTest(unittest.TestCase):
    hub = None
    topics = 0

    @classmethod
    def setUpClass(cls):
        cls.hub = Hub()

    @classmethod
    def tearDownClass(cls):
        cls.hub.close()

    def environment(self):
        return dict(os.environ, NARU_SERVER=self.hub.listen)

    def naru(self, *arguments, stdin=b"", status=0):
        """Runs a command that must end with `status`."""
        if isinstance(stdin, str):
            stdin = stdin.encode()
        done = subprocess.run([NARU, *arguments], input=stdin, capture_output=True, timeout=DEADLINE,
                              env=self.environment(), check=False)
        result = Result(done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace"))
        self.assertEqual(result.status, status, f"naru {' '.join(arguments)}\n{result.out}\n{result.err}")
        if status not in (0, 130):
            self.assertRegex(result.err, r"(?m)^naru: ")
        return result

    def begin(self, *arguments, **pipes):
        """A command that goes on beside the test; it ends with the test, or after DEADLINE."""
        process = subprocess.Popen([NARU, *arguments], text=True, env=self.environment(), **pipes)
        watchdog = threading.Timer(DEADLINE, process.kill)
        watchdog.start()

        def end():
            watchdog.cancel()
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout, process.stderr):
                try:
                    if pipe:
                        pipe.close()
                except BrokenPipeError:
                    pass  # what it did not read any more

        self.addCleanup(end)
        return process

    def topic(self, partitions=1, *more):
        CliTest.topics += 1
        name = f"topic-{CliTest.topics}"
        self.naru("topic", "create", name, "--partitions", str(partitions), *more)
        return name

    def read(self, topic, *more):
        return self.naru("consume", topic, *more).out.splitlines()
