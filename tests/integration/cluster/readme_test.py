#!/usr/bin/env python3
"""What README.md shows of a cluster, typed in as it stands there, answers as it stands there.

  readme_test.py --bin build/release/bin [unittest options]

Of what is printed, numbers may be others: with a fraction, of processes, of bytes. So may lines that README.md leaves out,
with "..." in their place. Ports are those of a cluster of its own.
"""

import itertools
import os
import random
import re
import subprocess
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.normpath(os.path.join(HERE, "../../.."))
LOCAL = os.path.join(ROOT, "deploy/local")
sys.path[:0] = [HERE, LOCAL]
from cluster import FREE_PORTS, is_free  # noqa: E402
from daemon import Failure, die_with_parent  # noqa: E402
from program import begin  # noqa: E402

SECTION, LEFT_OUT = "## A cluster", "..."
SHOWN_PORT, PORTS = 9410, 42
# What only looks may have to look again, while a cluster settles.
LOOKS, SECONDS_MAX = ("naru topic describe", "./dev cluster status"), 30
DONE = "-- done"
# A word that may be another one: a count of records is none, nor is what has a comma.
ANY_NUMBER = re.compile(r"\(?\d+\.\d+\)?|\(?\d{5,}")


def section(text, heading):
    return text.split(f"\n{heading}\n", 1)[1].split("\n## ", 1)[0]


def transcript(text):
    """[(what is typed, the lines that it answers)] of all consoles."""
    typed = []
    for console in re.findall(r"^```console\n(.*?)^```", text, re.M | re.S):
        for line in console.splitlines():
            if line.startswith("$ "):
                typed.append((line[2:], []))
            else:
                typed[-1][1].append(line)
    return typed


def ports_in_a_row():
    """The first of as many as a cluster takes, all of them free."""
    for _ in range(100):
        first = random.SystemRandom().randrange(FREE_PORTS.start, FREE_PORTS.stop - PORTS)
        if all(is_free(port) for port in range(first, first + PORTS)):
            return first
    raise Failure(f"no {PORTS} free ports in a row")


class Comparison:
    """Of what is shown with what is printed. Remembers which process stands for which."""

    def __init__(self):
        self.processes = {}

    def same_word(self, shown, printed, after):
        # "26 MiB": how much is another matter each time.
        if after in ("MiB", "KiB") or ANY_NUMBER.fullmatch(shown):
            return re.fullmatch(r"\(?[\d.]+\)?", printed)
        return shown == printed

    def same_line(self, shown, printed):
        expected, words = shown.split(), printed.split()
        units = [*expected[1:], ""]
        if len(expected) != len(words) or not all(map(self.same_word, expected, words, units)):
            return False
        if re.match(r"(etcd|coordinator|broker)-\d", shown):
            self.processes[expected[1]] = words[1]
        return True

    def same(self, shown, printed):
        if not shown:
            return not printed
        if shown[0] == LEFT_OUT:
            return any(self.same(shown[1:], printed[i:]) for i in range(len(printed) + 1))
        return bool(printed) and self.same_line(shown[0], printed[0]) and self.same(shown[1:], printed[1:])


class ReadmeTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="naru-readme-")
        self.addCleanup(folder.cleanup)
        self.folder, self.port = folder.name, ports_in_a_row()
        os.makedirs(os.path.join(self.folder, "build/release"))
        os.symlink(os.path.abspath(PROGRAMS), os.path.join(self.folder, "build/release/bin"))
        run = f"{sys.executable} {LOCAL}/run.py"
        with open(os.path.join(self.folder, "dev"), "w", encoding="ascii") as f:
            f.write(f"#!/bin/sh\ntest $1 = cluster && exec {run} $2 --bin build/release/bin --folder build/cluster "
                    f"--port {self.port}\n")
        os.chmod(os.path.join(self.folder, "dev"), 0o755)
        # The cluster is to outlive the terminal, but not this test, however that ends.
        end = "cat; for i in $(seq 60); do ./dev cluster down > /dev/null 2>&1 && exit; sleep 1; done"
        self.guard = subprocess.Popen(["sh", "-c", end], cwd=self.folder,
                                      stdin=subprocess.PIPE, start_new_session=True)
        self.addCleanup(self.guard.wait)
        self.addCleanup(self.guard.stdin.close)
        self.shell = subprocess.Popen(["bash"], cwd=self.folder, text=True, stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, stderr=subprocess.STDOUT, preexec_fn=die_with_parent)
        self.addCleanup(self.shell.wait)
        self.addCleanup(self.shell.stdout.close)
        self.addCleanup(self.shell.stdin.close)

    def type(self, command):
        self.shell.stdin.write(f"{command}\necho '{DONE}'\n")
        self.shell.stdin.flush()
        return list(itertools.takewhile(lambda line: line != DONE, (line.rstrip("\n") for line in self.shell.stdout)))

    def here(self, text):
        """With the ports of this cluster."""
        return re.sub(r"(?<=127\.0\.0\.1:)94\d\d", lambda port: str(int(port[0]) - SHOWN_PORT + self.port), text)

    def test_a_cluster_as_the_readme_shows_it(self):
        with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as f:
            typed = transcript(section(f.read(), SECTION))
        self.assertGreater(len(typed), 8)
        compare = Comparison()
        for command, shown in typed:
            command = self.here(re.sub(r"\d{5,}", lambda number: compare.processes[number[0]], command))
            shown = [self.here(line) for line in shown]
            deadline = time.monotonic() + (SECONDS_MAX if command.startswith(LOOKS) else 0)
            printed = self.type(command)
            while not compare.same(shown, printed) and time.monotonic() < deadline:
                time.sleep(0.2)
                printed = self.type(command)
            self.assertTrue(compare.same(shown, printed), f"\n$ {command}\n" + "\n".join(printed) +
                            "\n--- README.md has:\n" + "\n".join(shown))


if __name__ == "__main__":
    PROGRAMS, arguments = begin(__doc__)
    unittest.main(argv=arguments)
