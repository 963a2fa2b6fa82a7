#!/usr/bin/env python3
"""What a broker does whose disk fills up. Each broker has a disk of its own, so this needs root; skipped without.

  full_disk_test.py --bin build/release/bin [unittest options]
"""

import os
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "../../../deploy/local")]
from cluster import Cluster, Layout  # noqa: E402
from daemon import Failure, die_with_parent, wait_until  # noqa: E402
from disks import DATA, Disks  # noqa: E402
from program import SKIPPED, begin  # noqa: E402
from state import all_in_sync, describe_topic  # noqa: E402

REFUSED_FOR_NOW = 4  # exit code of naru
SECONDS_MAX = 30
DISK_BYTES, RESERVE_BYTES = 512 << 20, 64 << 20
ROUNDS = 6


class FullDiskTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="naru-full-disk-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.disks = Disks(self.folder, ["broker-1", "broker-2", "broker-3"], DISK_BYTES)
        self.addCleanup(self.disks.close)
        # Nothing changes leaders but what a test does.
        calm = ["--leader-rebalance-interval", "1h"]
        self.cluster = Cluster(self.folder, PROGRAMS, Layout.free(), data_folder=DATA, coordinator_options=calm,
                               broker_options=["--memory-limit", "256MiB", "--segment-bytes", "8MiB", "--disk-reserve",
                                               str(RESERVE_BYTES), "--retention-check-interval", "50ms", *calm])
        self.addCleanup(self.cluster.kill_all)
        self.cluster.up()

    def command(self, names, *arguments):
        servers = ",".join(self.cluster.layout.address(name) for name in names)
        return [os.path.join(PROGRAMS, "naru"), "--server", servers, *arguments]

    def naru(self, names, *arguments, lines=()):
        """What it prints, when it is not refused for the time being any more."""
        def done():
            made = subprocess.run(self.command(names, *arguments), input="".join(f"{line}\n" for line in lines),
                                  text=True, capture_output=True, timeout=SECONDS_MAX, check=False)
            if made.returncode != REFUSED_FOR_NOW:
                self.assertEqual(made.returncode, 0, made.stderr)
                return made
        return wait_until(done, SECONDS_MAX, f"naru {' '.join(arguments)}").stdout

    def serves_or_ended(self, name):
        try:
            return self.cluster.is_ready(name)
        except Failure:  # it ended, perhaps just now
            return self.cluster.daemons[name].state() == "gone"

    def start_producer(self, names, topic, lines):
        producer = subprocess.Popen(self.command(names, "produce", topic), stdin=subprocess.PIPE, text=True,
                                    stderr=subprocess.DEVNULL, preexec_fn=die_with_parent)
        self.addCleanup(producer.wait)
        self.addCleanup(producer.kill)
        self.addCleanup(producer.stdin.close)
        producer.stdin.write("".join(f"{line}\n" for line in lines))
        producer.stdin.flush()
        return producer

    def make_topic(self, topic):
        """Its replicas' brokers, the leader first."""
        self.naru(self.cluster.broker_names, "topic", "create", topic, "--replication-factor", "3", "--config",
                  "min_in_sync_replicas=2")
        self.await_sync(topic)
        partition, = describe_topic(self.cluster, topic)
        return [f"broker-{broker}" for broker in partition["replicas"]]

    def await_sync(self, topic):
        wait_until(lambda: all_in_sync(self.cluster, topic), SECONDS_MAX, "all replicas are in sync")

    def await_leader(self, topic, name):
        def leads():
            found = describe_topic(self.cluster, topic, self.cluster.layout.address(name))
            return found and found[0].get("leader") == int(name.rpartition("-")[2])
        wait_until(leads, SECONDS_MAX, f"{name} leads")

    def log_position(self, name):
        return os.path.getsize(self.cluster.daemons[name].log)

    def await_event(self, name, event, position):
        """In a process's log, behind this byte."""
        def told():
            with open(self.cluster.daemons[name].log, "rb") as f:
                f.seek(position)
                return f" {event} ".encode() in f.read()
        wait_until(told, SECONDS_MAX, f"{name} says {event}")

    def exhaust_all_disks(self):
        for name in self.cluster.broker_names:
            position = self.log_position(name)
            self.disks.fill(name, 0)
            self.await_event(name, "storage_full", position)

    def test_brokers_without_a_byte_left_refuse_records_and_go_on_when_there_is_room(self):
        first, *_ = self.make_topic("events")
        lines = [f"line {i}" for i in range(10)]
        self.naru([first], "produce", "events", lines=lines)
        self.exhaust_all_disks()
        positions = {name: self.log_position(name) for name in self.cluster.broker_names}
        waiting = self.start_producer(self.cluster.broker_names, "events", ["waits"])
        waiting.stdin.close()
        self.assertEqual(self.naru([first], "consume", "events").splitlines(), lines)
        for name in self.cluster.broker_names:
            self.disks.free(name)
            self.await_event(name, "storage_recovered", positions[name])
        self.assertEqual(waiting.wait(SECONDS_MAX), 0)
        self.assertEqual(self.naru([first], "consume", "events").splitlines(), [*lines, "waits"])
        self.assertTrue(all(daemon.is_running() for daemon in self.cluster.daemons.values()))

    def test_a_broker_that_cannot_start_without_a_byte_left_says_why_and_starts_when_there_is_room(self):
        first, *_ = self.make_topic("events")
        lines = [f"line {i}" for i in range(10)]
        self.naru([first], "produce", "events", lines=lines)
        self.exhaust_all_disks()
        daemon = self.cluster.daemons[first]
        daemon.kill()
        position = self.log_position(first)
        self.cluster.start(first)
        wait_until(lambda: self.serves_or_ended(first), SECONDS_MAX, "it serves or ends")
        if daemon.state() == "gone":
            with open(daemon.log, encoding="utf-8") as f:
                f.seek(position)
                said = f.read()
            self.assertEqual(daemon.exit_code(), 1, said)
            self.assertRegex(said, "[Nn]o space left")
        for name in self.cluster.broker_names:
            self.disks.free(name)
        self.cluster.up()
        self.assertEqual(self.naru([first], "consume", "events").splitlines(), lines)

    def test_who_could_not_append_what_it_fetched_does_not_lead_as_if_it_had_it(self):
        for number in range(ROUNDS):
            self.lead_after_refused_appends(f"topic-{number}")

    def lead_after_refused_appends(self, topic):
        first, second, third = self.make_topic(topic)
        begun = [f"begun {i}" for i in range(10)]
        self.naru([first], "produce", topic, lines=begun)
        position = self.log_position(second)
        self.disks.fill(second, RESERVE_BYTES // 2)
        self.await_event(second, "storage_full", position)
        # The third replica gets these, the second does not, so nobody is told that they are there.
        producer = self.start_producer([first], topic, [f"never acknowledged {i}" for i in range(20)])
        self.await_event(second, "replica_append_failed", position)
        producer.kill()
        self.cluster.daemons[first].kill()
        self.disks.free(second)
        self.await_leader(topic, second)
        self.await_event(second, "storage_recovered", position)
        kept = [f"acknowledged {i}" for i in range(5)]
        self.naru([second], "produce", topic, lines=kept)
        self.cluster.daemons[second].kill()
        self.cluster.start(first)
        self.await_leader(topic, third)
        found = self.naru([third], "consume", topic).splitlines()
        self.cluster.start(second)
        self.await_sync(topic)
        self.assertEqual(found[:10], begun)
        self.assertEqual([line for line in found if line in kept], kept, f"what is there: {found}")


if __name__ == "__main__":
    PROGRAMS, ARGUMENTS = begin(__doc__)
    with tempfile.TemporaryDirectory() as trial:
        try:
            Disks(trial, ["disk"], 64 << 20).close()
        except Failure as failure:
            print(f"skipped: {failure}")
            sys.exit(SKIPPED)
    unittest.main(argv=ARGUMENTS)
