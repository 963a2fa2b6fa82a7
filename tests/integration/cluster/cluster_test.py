#!/usr/bin/env python3
"""What chaos.py found once by chance, and others of its kind, on purpose: each test has a cluster of its own.

  cluster_test.py --bin build/release/bin [unittest options]
"""

import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import grpc

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "../../../deploy/local")]
import stubs  # noqa: E402
from cluster import Cluster, Layout, http_get  # noqa: E402
from daemon import wait_until  # noqa: E402
from program import begin  # noqa: E402
from state import active_coordinator, all_in_sync, describe_topic  # noqa: E402
from routes import PASSING, open_channel, reason_of  # noqa: E402

SECONDS_MAX = 30
TOPIC = "events"


class OnCluster(unittest.TestCase):
    COORDINATORS = 2

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="naru-cluster-")
        self.addCleanup(shutil.rmtree, self.folder)
        # Nothing changes leaders but what a test does.
        calm = ["--leader-rebalance-interval", "1h"]
        self.cluster = Cluster(self.folder, PROGRAMS, Layout.free(coordinators=self.COORDINATORS),
                               coordinator_options=calm,
                               broker_options=["--memory-limit", "256MiB", "--offsets-partitions", "1", *calm])
        self.addCleanup(self.cluster.kill_all)
        self.cluster.up()
        self.naru("topic", "create", TOPIC, "--partitions", "3", "--replication-factor", "3", "--config",
                  "min_in_sync_replicas=2")

    def naru(self, *arguments):
        done = subprocess.run([os.path.join(PROGRAMS, "naru"), "--server", self.cluster.servers, *arguments],
                              capture_output=True, text=True, timeout=SECONDS_MAX, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def channel(self, name):
        channel = open_channel(self.cluster.layout.address(name))
        self.addCleanup(channel.close)
        return channel

    def produce(self, count, partition, through):
        """The next offset."""
        request = PB.produce.ProduceRequest(topic=TOPIC, partition=partition)
        for i in range(count):
            request.batch.records.add(value=b"%d" % i)
        stub = PB.produce_grpc.ProduceServiceStub(self.channel(through))

        def appended():
            try:
                return stub.Produce(request, timeout=5).results[0]
            except grpc.RpcError as error:
                self.assertIn(error.code(), PASSING, error.details())
        return wait_until(appended, SECONDS_MAX, "an append").next_offset

    def leaders(self, topic):
        """By partition."""
        return [f"broker-{partition['leader']}" for partition in describe_topic(self.cluster, topic)]

    def another(self, *names):
        return next(name for name in self.cluster.broker_names if name not in names)

    def described(self):
        """The brokers, and how many partitions have no leader."""
        cluster = json.loads(self.naru("--output", "json", "cluster", "describe"))
        return cluster["brokers"], int(cluster.get("offline_partition_count", 0))


class ClusterTest(OnCluster):
    def test_every_broker_tells_of_its_disk_and_one_that_does_not_answer_holds_nobody_up(self):
        def telling():
            return [broker["broker"]["broker_id"] for broker in self.described()[0] if broker["version"]]

        self.assertEqual(telling(), [1, 2, 3])
        self.assertTrue(all(int(broker["disk_total_bytes"]) > 0 for broker in self.described()[0]))
        self.assertEqual(sum(1 for broker in self.described()[0] if broker["coordinator"]), 1)
        silent = self.cluster.daemons["broker-3"]
        silent.signal(signal.SIGSTOP)
        self.assertEqual(telling(), [1, 2])
        silent.signal(signal.SIGCONT)

    def kill_coordinators(self):
        for name in self.cluster.daemons:
            if name.startswith("coordinator"):
                self.cluster.daemons[name].kill()

    def depose(self, partition, leader):
        """Stops the leader; another takes over, and has ten records more. In a second step it goes on, and there is
        nobody from whom it could hear of that. Yields the log's end."""
        self.cluster.daemons[leader].signal(signal.SIGSTOP)
        end = self.produce(10, partition, self.another(leader))
        yield end
        self.kill_coordinators()
        self.cluster.daemons[leader].signal(signal.SIGCONT)
        yield end

    def test_a_leader_that_does_not_know_that_it_was_deposed_refuses_no_offset_that_was_committed_since(self):
        leader = self.leaders(TOPIC)[0]
        self.produce(10, 0, leader)
        *_, end = self.depose(0, leader)
        stub = PB.consume_grpc.ConsumeServiceStub(self.channel(leader))
        fetch = PB.consume.FetchRequest(topic=TOPIC, partition=0, offset=end)
        for _ in range(20):
            try:
                self.assertEqual(stub.Fetch(fetch, timeout=5).next_offset, end)
            except grpc.RpcError as error:
                self.assertIn(error.code(), PASSING, error.details())

    def test_a_leader_that_does_not_know_that_it_was_deposed_says_of_no_batch_that_others_before_it_are_missing(self):
        leader = self.leaders(TOPIC)[0]
        other = self.another(leader)
        ids = PB.transaction_grpc.TransactionServiceStub(self.channel(other))
        producer = ids.InitProducer(PB.transaction.InitProducerRequest(), timeout=5)
        sequences = iter(range(100))

        def append(name):
            request = PB.produce.ProduceRequest(topic=TOPIC, partition=0)
            request.batch.records.add(value=b"stamped")
            request.batch.producer.producer_id = producer.producer_id
            request.batch.producer.epoch = producer.epoch
            request.batch.producer.base_sequence = next(sequences)
            return PB.produce_grpc.ProduceServiceStub(self.channel(name)).Produce(request, timeout=5)
        append(leader)
        steps = self.depose(0, leader)
        next(steps)
        append(other)
        next(steps)
        try:
            append(leader)
        except grpc.RpcError as error:
            self.assertIn(error.code(), PASSING, error.details())

    def test_a_group_goes_on_where_it_was_through_a_leader_that_does_not_know_that_it_was_deposed(self):
        self.naru("consume", TOPIC, "--group", "g", "--until-idle", "10ms")
        coordinating = self.leaders("__consumer_offsets")[0]
        partition, leader = next((p, name) for p, name in enumerate(self.leaders(TOPIC)) if name != coordinating)
        end = self.produce(10, partition, leader)
        steps = self.depose(partition, leader)
        self.naru("consume", TOPIC, "--group", "g", "--max", str(next(steps)))
        next(steps)
        self.assertEqual(self.committed(leader)[partition], end + 10)
        # One that joins by it is given the position by the group's coordinator, and reads here.
        kinds = []
        for response in self.join(leader)[0]:
            kinds.append(response.WhichOneof("response"))
            if kinds[-1] == "delivery":
                self.fail(f"offset {response.delivery.records[0].offset} is delivered again")
            if kinds[-1] == "idle":
                break
        self.assertEqual(kinds, ["joined", "assigned", "idle"])

    def join(self, name):
        """A member's stream at this broker, and the queue of what it says."""
        stub = PB.group_grpc.GroupServiceStub(self.channel(name))
        requests = queue.SimpleQueue()
        self.addCleanup(requests.put, None)
        requests.put(PB.group.ConsumeRequest(join=PB.group.Join(group="g", topics=[TOPIC], idle_interval_ms=100)))
        call = stub.Consume(iter(requests.get, None), timeout=4 * SECONDS_MAX)
        self.addCleanup(call.cancel)
        return call, requests

    def test_a_members_stream_at_a_living_broker_outlives_the_groups_coordinator_and_the_leaders(self):
        self.naru("consume", TOPIC, "--group", "g", "--until-idle", "10ms")
        coordinating = self.leaders("__consumer_offsets")[0]
        here = self.another(coordinating)
        call, requests = self.join(here)
        read, faults = {}, []

        def handle():
            try:
                for response in call:
                    if response.WhichOneof("response") != "delivery":
                        continue
                    delivery = response.delivery
                    if delivery.records[0].offset != read.get(delivery.partition, 0):
                        faults.append(f"{delivery.records[0].offset} of partition {delivery.partition}, after {read}")
                    read[delivery.partition] = delivery.next_offset
                    requests.put(PB.group.ConsumeRequest(ack=PB.group.Ack(delivery_id=delivery.delivery_id)))
                faults.append("the stream ended")
            except grpc.RpcError as error:
                faults.append(f"the stream ended: {error.details()}")
        handler = threading.Thread(target=handle)
        handler.start()
        self.addCleanup(handler.join)
        self.addCleanup(call.cancel)  # comes before
        for victim in (coordinating, self.another(coordinating, here)):
            self.assertIn(victim, self.leaders(TOPIC) + self.leaders("__consumer_offsets"))
            for kills in (False, True):
                if kills:
                    self.cluster.daemons[victim].kill()
                ends = {partition: self.produce(10, partition, here) for partition in range(3)}
                wait_until(lambda e=ends: faults or (read == e and self.committed(here) == e), SECONDS_MAX,
                           "the member has read everything, and that is committed")
                self.assertEqual(faults, [])
            self.cluster.start(victim)
            wait_until(lambda: all_in_sync(self.cluster, TOPIC, "__consumer_offsets"), SECONDS_MAX,
                       "all replicas are in sync")

    def test_who_names_a_leader_epoch_is_not_forwarded_but_told_who_leads(self):
        def ask(name, epoch):
            """Produces, then fetches. The refusals: [(reason, details)]."""
            channel, refusals = self.channel(name), []
            produce = PB.produce.ProduceRequest(topic=TOPIC, partition=0, leader_epoch=epoch)
            produce.batch.records.add(value=b"x")
            fetch = PB.consume.FetchRequest(topic=TOPIC, partition=0, offset=0, leader_epoch=epoch)
            for call, request in ((PB.produce_grpc.ProduceServiceStub(channel).Produce, produce),
                                  (PB.consume_grpc.ConsumeServiceStub(channel).Fetch, fetch)):
                try:
                    call(request, timeout=5)
                except grpc.RpcError as error:
                    refusals.append((reason_of(error), dict(error.trailing_metadata())["grpc-status-details-bin"]))
            return refusals
        described = describe_topic(self.cluster, TOPIC)[0]
        before, epoch = f"broker-{described['leader']}", int(described["leader_epoch"])
        after = self.another(before)
        self.assertEqual(ask(before, epoch), [])
        self.naru("cluster", "elect", TOPIC, "--partitions", "0", "--leader", after.removeprefix("broker-"))

        def refused_by_old_leader():
            refusals = ask(before, epoch)
            return refusals if len(refusals) == 2 else None
        refusals = wait_until(refused_by_old_leader, SECONDS_MAX, "the old leader has heard of it")
        now = int(describe_topic(self.cluster, TOPIC, self.cluster.layout.address(after))[0]["leader_epoch"])
        self.assertGreater(now, epoch)
        self.assertEqual(ask(after, now), [])
        for reason, details in refusals + ask(self.another(before, after), now):
            self.assertEqual(reason, "NOT_LEADER")
            self.assertIn(self.cluster.layout.address(after).encode(), details)
        self.assertEqual([reason for reason, _ in ask(after, epoch)], ["NOT_LEADER", "NOT_LEADER"])

    def committed(self, name):
        """{partition: offset} of the group as this broker says, or why it does not say."""
        stub = PB.group_grpc.GroupServiceStub(self.channel(name))
        try:
            answer = stub.ListCommittedOffsets(PB.group.ListCommittedOffsetsRequest(group="g"), timeout=5)
            return {offset.partition: offset.offset for offset in answer.offsets}
        except grpc.RpcError as error:
            return reason_of(error)

    def test_a_broker_that_just_started_does_not_say_that_a_group_has_no_positions(self):
        end = self.produce(10, 0, "broker-1")
        self.naru("consume", TOPIC, "--group", "g", "--max", str(end))
        coordinating = self.leaders("__consumer_offsets")[0]
        other = self.another(coordinating)
        self.assertEqual(self.committed(other)[0], end)
        self.kill_coordinators()
        self.cluster.daemons[coordinating].kill()
        self.cluster.start(coordinating)

        def listens():
            with open(self.cluster.daemons[coordinating].log, encoding="utf-8") as log:
                return log.read().count(" listening ") == 2
        wait_until(listens, SECONDS_MAX, "the broker listens again")
        # The other one forwards to it, sooner or later.
        for _ in range(50):
            for name in (other, coordinating):
                said = self.committed(name)
                self.assertTrue(isinstance(said, str) or said.get(0) == end, f"{name} said {said}")
            time.sleep(0.02)
        self.cluster.up()
        wait_until(lambda: isinstance(said := self.committed(other), dict) and said.get(0) == end, SECONDS_MAX,
                   "the positions are back")

    def test_a_dry_run_and_a_change_that_changes_nothing_leave_the_coordinators_running(self):
        self.naru("topic", "create", "other", "--replication-factor", "3", "--validate-only")
        for _ in range(2):
            self.naru("topic", "alter", TOPIC, "--config", "retention_ms=3600000")
        self.assertEqual([name for name, daemon in self.cluster.daemons.items() if daemon.state() == "gone"], [])

    def test_a_cluster_says_who_is_away_who_coordinates_and_what_has_no_leader(self):
        self.naru("topic", "create", "alone", "--partitions", "3", "--replication-factor", "1")
        victim = self.leaders("alone")[0]
        offline = self.leaders("alone").count(victim)

        def seen():
            brokers, without_leader = self.described()
            away = [f"broker-{b['broker']['broker_id']}" for b in brokers if b.get("away")]
            return away, without_leader, [b["coordinator"] for b in brokers if b.get("coordinator")]
        self.assertEqual(seen(), ([], 0, [self.cluster.layout.address(active_coordinator(self.cluster))]))
        self.cluster.daemons[victim].kill()
        wait_until(lambda: seen()[:2] == ([victim], offline), SECONDS_MAX, "the broker is away")
        self.assertRegex(self.naru("cluster", "describe"), rf"(?m)^ *{victim.removeprefix('broker-')} .* AWAY$")
        metrics = http_get(self.cluster.layout.address(f"{self.another(victim)}-http"), "/metrics")[1]
        self.assertIn(f"naru_partitions_offline {offline}\n", metrics)
        self.cluster.start(victim)
        wait_until(lambda: seen()[:2] == ([], 0), SECONDS_MAX, "the broker is back")

    def test_every_broker_gives_out_producer_ids_of_its_own(self):
        ids = []
        for name in self.cluster.broker_names:
            stub = PB.transaction_grpc.TransactionServiceStub(self.channel(name))
            ids += [stub.InitProducer(PB.transaction.InitProducerRequest(), timeout=5).producer_id for _ in range(3)]
        self.assertEqual(len(set(ids)), len(ids), ids)

    def test_a_cluster_that_lost_power_as_a_whole_has_everything(self):
        for i in range(6):
            self.produce(100, i % 3, f"broker-{i // 2 + 1}")
        self.cluster.kill_all()
        self.cluster.up()
        wait_until(lambda: {p["high_watermark"] for p in describe_topic(self.cluster, TOPIC) or []} == {"200"},
                   SECONDS_MAX, "everything is committed again")
        self.assertEqual(len(self.naru("consume", TOPIC).split()), 600)


class EveryoneIsBothTest(OnCluster):
    """--roles=broker,coordinator: a cluster of three processes and an etcd."""
    COORDINATORS = 0

    def test_the_one_that_coordinates_may_die(self):
        victim = active_coordinator(self.cluster)
        others = [name for name in self.cluster.broker_names if name != victim]
        for partition in range(3):
            self.produce(10, partition, others[partition % 2])
        self.cluster.daemons[victim].kill()
        for partition in range(3):
            self.assertEqual(self.produce(10, partition, others[partition % 2]), 20)
        wait_until(lambda: active_coordinator(self.cluster) in others, SECONDS_MAX, "another coordinates")
        self.naru("topic", "create", "made-since", "--partitions", "3", "--replication-factor", "2")
        self.cluster.start(victim)
        wait_until(lambda: all_in_sync(self.cluster, TOPIC), SECONDS_MAX, "all replicas are in sync again")
        self.assertEqual(len(self.naru("consume", TOPIC).split()), 60)


if __name__ == "__main__":
    PROGRAMS, ARGUMENTS = begin(__doc__)
    stub_folder = tempfile.mkdtemp(prefix="naru-stubs-")
    stubs.generate(stub_folder)
    PB = stubs.load(stub_folder)
    shutil.rmtree(stub_folder)
    unittest.main(argv=ARGUMENTS)
