#!/usr/bin/env python3
"""Every process of a cluster is ended and started again, one after another, and no client that retries hears of it.

  rolling_restart_test.py --bin build/release/bin [unittest options]
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "../../../deploy/local")]
from cluster import Cluster, Layout, http_get  # noqa: E402
from daemon import die_with_parent, wait_until  # noqa: E402
from load import MEMBER_NAMES, TOPIC, Load  # noqa: E402
from program import begin  # noqa: E402

SECONDS_MAX = 30        # for whatever is waited for
ACK_SECONDS_MAX = 10    # from a batch's first attempt to its ack
LINES_TOPIC, LINES_A_SECOND = "lines", 50
# What ends a session of a group that the member takes up again.
PASSING = {"UNAVAILABLE", "ABORTED", "CANCELLED", "DEADLINE_EXCEEDED"}


class CommandLine:
    """`naru produce`, which is given numbered lines, and `naru consume --group`, which prints them. Both are the C++
    client, and end when it gives up."""

    def __init__(self, cluster):
        naru = [os.path.join(cluster.programs, "naru"), "--server", cluster.servers]
        self.producer = self.start([*naru, "produce", LINES_TOPIC, "--quiet"], stdin=subprocess.PIPE)
        self.consumer = self.start([*naru, "consume", LINES_TOPIC, "--group", LINES_TOPIC], stdout=subprocess.PIPE)
        self.sent, self.seen = [], []
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=work, daemon=True) for work in (self.feed, self.collect)]
        for thread in self.threads:
            thread.start()

    @staticmethod
    def start(command, **streams):
        return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, preexec_fn=die_with_parent, **streams)

    def feed(self):
        while not self.stopping.wait(1 / LINES_A_SECOND) and self.producer.poll() is None:
            self.sent.append(f"line {len(self.sent)}")
            self.producer.stdin.write(self.sent[-1] + "\n")
            self.producer.stdin.flush()
        self.producer.stdin.close()

    def collect(self):
        for line in self.consumer.stdout:
            self.seen.append(line.rstrip("\n"))

    def ended_by_itself(self):
        return not self.stopping.is_set() and (self.producer.poll() is not None or self.consumer.poll() is not None)

    def close(self):
        self.stopping.set()
        for process in (self.producer, self.consumer):
            process.kill()
            process.wait()
        for thread in self.threads:
            thread.join()
        self.consumer.stdout.close()
        self.producer.stderr.close()
        self.consumer.stderr.close()


class RollingRestartTest(unittest.TestCase):
    def setUp(self):
        self.begun = time.monotonic()
        self.folder = tempfile.mkdtemp(prefix="naru-rolling-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.cluster = Cluster(os.path.join(self.folder, "cluster"), PROGRAMS, Layout.free(etcds=3),
                               broker_options=["--memory-limit", "256MiB", "--offsets-partitions", "3"])
        self.addCleanup(self.cluster.kill_all)
        self.cluster.up()
        self.load = Load(self.cluster, self.folder, 1, self.tell, reasons=set())
        self.addCleanup(self.load.close)
        self.load.make_topic()
        self.naru("topic", "create", LINES_TOPIC, "--partitions", "3", "--replication-factor", "3", "--config",
                  "min_in_sync_replicas=2")
        self.lines = CommandLine(self.cluster)
        self.addCleanup(self.lines.close)
        self.load.before_look = self.watch
        self.load.start(rate=20, unary=0, stream=0, stamped=4)

    def tell(self, text):
        print(f"{time.monotonic() - self.begun:7.2f}  {text}", flush=True)

    def naru(self, *arguments):
        done = self.load.naru(*arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def watch(self):
        self.load.watch()
        self.assertFalse(self.lines.ended_by_itself(), "a command ended by itself")
        for name, daemon in self.cluster.daemons.items():
            self.assertNotEqual(daemon.state(), "gone", f"{name} ended by itself:\n{daemon.last_lines()}")

    def restart(self, name):
        self.tell(f"{name} is ended")
        daemon = self.cluster.daemons[name]
        self.assertTrue(daemon.terminate(SECONDS_MAX), f"{name} had to be killed")
        if not name.startswith("etcd"):
            self.assertEqual(daemon.exit_code(), 0, daemon.last_lines())
        self.cluster.start(name)
        if name.startswith("etcd"):
            self.load.await_healthy(lambda: http_get(self.cluster.layout.address(name), "/health")[0] == 200,
                                    f"{name} is healthy")
        # Whoever coordinates now can write.
        change = ["topic", "alter", LINES_TOPIC, "--config", f"retention_ms={3_600_000 + len(self.lines.sent)}"]
        self.load.await_healthy(lambda: self.load.naru(*change).returncode == 0, "topics can be changed")
        self.load.await_recovery()

    def test_no_error_reaches_a_client_that_retries_while_every_process_is_restarted(self):
        for kind in ("broker", "coordinator", "etcd"):
            for name in [name for name in self.cluster.daemons if name.startswith(kind)]:
                self.restart(name)
        self.finish_lines()
        self.load.finish()
        for server in self.cluster.layout.addresses("broker"):
            self.load.drain(f"drain through {server}", server)
        self.load.check(drains=3, doubts=[])
        self.load.report()
        print(f"at most {self.load.slowest:.1f} s from a batch's first attempt to its ack; {len(self.lines.sent)} "
              "lines through the command line")
        self.assertEqual(self.load.problems, [])
        self.assertEqual(self.load.reasons, {})
        self.assertLess(self.load.slowest, ACK_SECONDS_MAX)
        self.assertLessEqual(self.ends_of_sessions(), PASSING)

    def finish_lines(self):
        lines = self.lines
        lines.stopping.set()
        lines.threads[0].join()
        self.assertEqual(lines.producer.wait(SECONDS_MAX), 0, lines.producer.stderr.read())
        self.assertEqual(lines.producer.stderr.read(), "")
        wait_until(lambda: len(set(lines.seen)) == len(lines.sent), SECONDS_MAX, "the group has read every line")
        lines.consumer.send_signal(signal.SIGINT)
        self.assertEqual(lines.consumer.wait(SECONDS_MAX), 0)
        # Of everything that it has to say only how it ended.
        self.assertRegex(lines.consumer.stderr.read(), "^naru: stopped after [0-9]+ records; left group .*\n$")
        found = self.naru("consume", LINES_TOPIC).splitlines()
        self.assertEqual(sorted(found), sorted(lines.sent))

    def ends_of_sessions(self):
        """The codes that members' sessions ended with."""
        codes = set()
        for name in MEMBER_NAMES:
            with open(self.load.history(name), encoding="utf-8") as f:
                codes |= {event["code"] for event in map(json.loads, f) if event["op"] == "ended"}
        return codes


if __name__ == "__main__":
    PROGRAMS, ARGUMENTS = begin(__doc__)
    unittest.main(argv=ARGUMENTS)
