#!/usr/bin/env python3
"""The programs in clients/python that are members of a group, as their README says to use them.

  group_examples.py --narud build/release/bin/narud [-v] [TestName...]
"""

import os
import signal
import subprocess
import sys
import threading
import time
import unittest

import conformance

PATIENCE = 60  # seconds; a member that was killed is missed after its session timeout, 10 seconds by default


class Member:
    """One of the programs, and the values that it has printed."""

    def __init__(self, test, program, group, topic):
        environment = dict(os.environ, PYTHONPATH=conformance.STUBS, PYTHONDONTWRITEBYTECODE="1",
                           no_grpc_proxy="127.0.0.1")
        self.process = subprocess.Popen(
            [sys.executable, os.path.join(conformance.EXAMPLES, program), group, topic, conformance.hub.address],
            stdout=subprocess.PIPE, text=True, env=environment)
        self.values = []
        self.reader = threading.Thread(target=self.read)
        self.reader.start()
        test.addCleanup(self.end, signal.SIGKILL)

    def read(self):
        for line in self.process.stdout:
            self.values.append(line.rstrip("\n").split(" ", 2)[2])

    def end(self, how):
        """The exit status, once everything printed is in values."""
        self.process.send_signal(how)
        status = self.process.wait(PATIENCE)
        self.reader.join()
        self.process.stdout.close()
        return status


class GroupExamples(unittest.TestCase):
    partitions = 6

    def setUp(self):
        self.group = self.topic = self.id().split(".")[-1]
        self.produced = 0
        conformance.hub.admin.CreateTopic(
            conformance.pb.admin.CreateTopicRequest(name=self.topic, partition_count=self.partitions),
            timeout=conformance.DEADLINE)

    def produce(self, count):
        """So many records, one batch for each partition in turn."""
        types, produce = conformance.pb.types, conformance.pb.produce
        for _ in range(count):
            batch = types.RecordBatch(records=[types.Record(value=b"%d" % self.produced)])
            conformance.hub.produce.Produce(
                produce.ProduceRequest(topic=self.topic, partition=self.produced % self.partitions, batch=batch),
                timeout=conformance.DEADLINE)
            self.produced += 1

    def everything(self):
        return [str(i) for i in range(self.produced)]

    def described(self):
        return conformance.hub.group.GetGroup(
            conformance.pb.group.GetGroupRequest(group=self.group), timeout=conformance.DEADLINE).group

    def wait(self, condition, what):
        deadline = time.monotonic() + PATIENCE
        while not condition():
            self.assertLess(time.monotonic(), deadline, what)
            time.sleep(0.05)

    def wait_for_everything(self, members):
        def printed():
            return {value for member in members for value in member.values}
        self.wait(lambda: printed() == set(self.everything()), "records are missing")

    def start(self, program, count):
        """Members among whom the partitions have been shared out."""
        members = [Member(self, program, self.group, self.topic) for _ in range(count)]

        def shared():
            try:
                group = self.described()
            except conformance.grpc.RpcError:
                return False
            owners = [p.member_id for p in group.partitions]
            share = self.partitions // count
            return (group.state == conformance.pb.group.GROUP_STATE_STABLE and len(group.members) == count
                    and all(owners.count(m.member_id) == share for m in group.members))
        self.wait(shared, "the partitions are not shared out")
        return members

    def test_three_members_share_a_topic_and_two_take_over_what_a_killed_one_read(self):
        members = self.start("group_consumer.py", 3)
        self.produce(60)
        self.wait_for_everything(members)
        self.assertTrue(all(len(m.values) == 20 for m in members), [len(m.values) for m in members])
        members[0].end(signal.SIGKILL)
        self.produce(60)
        self.wait_for_everything(members)

    def test_who_leaves_has_committed_what_it_printed(self):
        for program in ("group_consumer.py", "group_poller.py"):
            with self.subTest(program):
                self.group = f"{program} of {self.topic}"
                self.produce(12)
                leaving, staying = self.start(program, 2)
                self.wait_for_everything([leaving, staying])
                self.assertEqual(leaving.end(signal.SIGTERM), 0)
                self.produce(12)
                self.wait_for_everything([leaving, staying])
                self.assertEqual(staying.end(signal.SIGINT), 0)
                self.assertEqual(sorted(leaving.values + staying.values), sorted(self.everything()), "each once")
                group = self.described()
                self.assertEqual((len(group.members), sum(p.lag for p in group.partitions)), (0, 0))


if __name__ == "__main__":
    sys.exit(conformance.main(__name__))
