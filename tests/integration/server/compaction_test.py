#!/usr/bin/env python3
"""Compaction by key over a real process: what readers find, over kills and a lost index, and the disk that comes back."""

import gzip
import os
import random
import shutil

import hub
from hub import Stubs

KEYS = 1_000
BATCH_RECORDS = 1_000
TOMBSTONE_SHARE = 0.05
FILLER = b"x" * 80
# No cache, so that what is read is what stands on the disk.
COMPACTION = ["--compaction-min-dirty", "0", "--tail-cache", "0"]


class Compaction(hub.HubTest):

    def setUp(self):
        super().setUp()
        self.random = random.Random(7)
        self.newest = {}  # key: (offset, value)
        self.written = 0

    def start(self, *options, data=None):
        return super().start(*COMPACTION, *options, data=data)

    def create(self, server, **config):
        server.create_topic("t", cleanup_policy=Stubs.admin.CLEANUP_POLICY_COMPACT, min_cleanable_dirty_ratio=0,
                            **config)

    def write(self, server, batches):
        """Updates of random keys, some of them tombstones; every third batch is compressed."""
        for _ in range(batches):
            records = []
            for _ in range(BATCH_RECORDS):
                record = Stubs.types.Record(key=b"key-%d" % self.random.randrange(KEYS))
                if self.random.random() >= TOMBSTONE_SHARE:
                    record.value = b"%d %s" % (self.written + len(records), FILLER)
                records.append(record)
            batch = Stubs.types.RecordBatch(records=records)
            if self.random.randrange(3) == 0:
                batch = Stubs.types.RecordBatch(compression=Stubs.types.COMPRESSION_GZIP, record_count=len(records),
                                                compressed=gzip.compress(batch.SerializeToString(), 1))
            request = Stubs.produce.ProduceRequest(topic="t", partition=0, batch=batch)
            base = server.produce.Produce(request, timeout=hub.DEADLINE).results[0].base_offset
            self.assertEqual(base, self.written)
            for offset, record in enumerate(records, base):
                self.newest[record.key] = (offset, record.value if record.HasField("value") else None)
            self.written += len(records)

    def wait_settled(self, server):
        """Nothing is dirty: every record but each key's newest is gone."""
        hub.wait_until(lambda: server.metric("naru_compaction_logs") > 0 and
                       server.metric("naru_compaction_due_logs") == 0 and
                       server.metric("naru_compaction_dirty_ratio_max") == 0, "a log that is clean", seconds=120)

    def expected(self, tombstones=True):
        newest = sorted((offset, key, value) for key, (offset, value) in self.newest.items()
                        if tombstones or value is not None)
        return newest

    @staticmethod
    def seen(record):
        return record.offset, record.key, record.value if record.HasField("value") else None

    def by_fetch(self, server, offset=0):
        records = []
        while True:
            answer = server.fetch("t", offset, max_bytes=100_000)
            records += [self.seen(record) for record in answer.records]
            if answer.next_offset == answer.high_watermark:
                return records
            self.assertGreater(answer.next_offset, offset, "it goes on")
            offset = answer.next_offset

    def by_subscribe(self, server, offset=0):
        start = Stubs.consume.SubscribeStart(topics=[Stubs.consume.TopicSubscription(
            topic="t", partitions=[Stubs.consume.PartitionSubscription(partition=0, offset=offset,
                                                                       end_offset=self.written)])])
        requests = iter([Stubs.consume.SubscribeRequest(start=start)])
        answers = list(server.consume.Subscribe(requests, timeout=hub.DEADLINE))
        self.assertEqual([answer.end_reached.next_offset for answer in answers if answer.HasField("end_reached")],
                         [self.written])
        return [self.seen(record) for answer in answers for record in answer.delivery.records]

    def by_stored_batches(self, server):
        records = []
        offset = 0
        while offset < self.written:
            answer = server.fetch("t", offset, delivery=Stubs.types.DELIVERY_STORED_BATCHES, max_bytes=100_000)
            for stored in answer.batches:
                batch = stored.batch
                if batch.compression:
                    self.assertEqual(batch.compression, Stubs.types.COMPRESSION_GZIP)
                    batch = Stubs.types.RecordBatch.FromString(gzip.decompress(batch.compressed))
                deltas = list(stored.offset_deltas) or range(len(batch.records))
                self.assertEqual(len(deltas), len(batch.records))
                for delta, record in zip(deltas, batch.records):
                    record.offset = stored.base_offset + delta
                    self.assertLess(record.offset, stored.next_offset)
                    records.append(self.seen(record))
            self.assertGreater(answer.next_offset, offset, "it goes on")
            offset = answer.next_offset
        return records

    def check_clean(self, server, tombstones=True):
        expected = self.expected(tombstones)
        self.assertEqual(self.by_fetch(server), expected)
        self.assertEqual(self.by_subscribe(server), expected)
        self.assertEqual(self.by_stored_batches(server), expected)
        middle = expected[len(expected) // 2][0]
        self.assertEqual(self.by_fetch(server, middle), expected[len(expected) // 2:])
        self.assertEqual(self.by_subscribe(server, middle + 1), expected[len(expected) // 2 + 1:])

    def check_any_time(self, server):
        """However far compaction is: offsets rise, and of each key the newest is the last."""
        records = self.by_fetch(server)
        self.assertEqual(records, sorted(records))
        self.assertEqual({key: (offset, value) for offset, key, value in records}, self.newest)

    def segment_bytes(self):
        folder = os.path.join(self.data, "store", "segments")
        return sum(os.stat(os.path.join(folder, name)).st_blocks * 512 for name in os.listdir(folder))

    def test_of_each_key_the_newest_record_stays_over_kills_and_a_lost_index(self):
        server = self.start()
        self.create(server)
        self.write(server, 150)
        hub.wait_until(lambda: server.metric("naru_compaction_written_bytes_total") > 0, "a pass under way")
        self.write(server, 10)
        server.kill()
        server = self.start()
        self.check_any_time(server)
        self.write(server, 150)
        self.check_any_time(server)
        self.wait_settled(server)
        self.assertGreater(server.metric("naru_compaction_passes_total"), 0)
        self.assertEqual(server.metric("naru_compaction_passes_failed_total"), 0)
        self.check_clean(server)
        # A handful of segments, of which one is being written and one is ready; 30 MB were written.
        hub.wait_until(lambda: self.segment_bytes() <= 5 * (4 << 20), "the disk space that is given back")
        self.assertLess(server.metric("naru_store_live_bytes"), 1 << 20)
        server.kill()

        server = self.start()
        self.check_clean(server)
        self.assertEqual(server.terminate(), 0)
        shutil.rmtree(os.path.join(self.data, "store", "index"))
        server = self.start()
        self.check_clean(server)
        passes = server.metric("naru_compaction_passes_total")
        self.write(server, 5)
        hub.wait_until(lambda: server.metric("naru_compaction_passes_total") > passes, "a further pass")
        self.wait_settled(server)
        self.check_clean(server)
        self.assertEqual(server.terminate(), 0)

    def test_tombstones_go_when_their_time_is_over_and_readers_get_past_what_is_empty(self):
        server = self.start()
        self.create(server, delete_retention_ms=0)
        self.write(server, 20)
        # The end of the log will be empty.
        for key in list(self.newest)[:KEYS // 2]:
            request = Stubs.produce.ProduceRequest(
                topic="t", partition=0, batch=Stubs.types.RecordBatch(records=[Stubs.types.Record(key=key)]))
            server.produce.Produce(request, timeout=hub.DEADLINE)
            self.newest[key] = (self.written, None)
            self.written += 1
        tombstones = sum(value is None for _, value in self.newest.values())
        self.wait_settled(server)
        hub.wait_until(lambda: len(self.by_fetch(server)) == len(self.newest) - tombstones, "tombstones that go")
        self.check_clean(server, tombstones=False)
        # Who waits at the end of what is empty is told of what comes behind it.
        waiting = server.consume.Fetch.future(
            Stubs.consume.FetchRequest(topic="t", partition=0, offset=self.written - KEYS // 4, max_wait_ms=20_000),
            timeout=hub.DEADLINE)
        self.write(server, 1)
        answer = waiting.result()
        self.assertEqual(answer.records[0].offset, self.written - BATCH_RECORDS)
        self.assertEqual(server.terminate(), 0)

    def test_it_is_stopped_and_goes_on_in_the_middle_of_a_pass(self):
        slow = ["--compaction-rate", "1MiB"]
        server = self.start(*slow)
        self.create(server)
        self.write(server, 60)
        hub.wait_until(lambda: server.metric("naru_compaction_read_bytes_total") > 0, "a pass under way")
        self.assertEqual(server.terminate(), 0)
        server = self.start()
        self.wait_settled(server)
        self.check_clean(server)
        self.assertEqual(server.terminate(), 0)


class CompactionOfCommits(hub.HubTest):

    def test_committed_offsets_outlive_the_compaction_of_their_log(self):
        server = super().start(*COMPACTION, "--offsets-partitions", "2")
        server.create_topic("t", partitions=4)
        for partition in range(4):
            for _ in range(3):
                server.send("t", *[b"v"] * 500, partition=partition)
        groups = ["group-%d" % i for i in range(10)]
        chosen = random.Random(3)
        committed = {}

        def service():
            return Stubs.group_grpc.GroupServiceStub(server.channel)

        def commit(times):
            stub = service()
            for _ in range(times):
                group, partition, offset = chosen.choice(groups), chosen.randrange(4), chosen.randrange(1_501)
                stub.CommitOffsets(Stubs.group.CommitOffsetsRequest(group=group, offsets=[
                    Stubs.group.OffsetCommit(topic="t", partition=partition, offset=offset)]), timeout=hub.DEADLINE)
                committed[group, partition] = offset

        def check():
            stub = service()
            found = {}
            for group in groups:
                request = Stubs.group.ListCommittedOffsetsRequest(group=group)
                answer = stub.ListCommittedOffsets(request, timeout=hub.DEADLINE)
                found.update({(group, offset.partition): offset.offset for offset in answer.offsets})
            self.assertEqual(found, committed)

        commit(500)
        hub.wait_until(lambda: server.metric("naru_compaction_removed_records_total") > 100, "a pass")
        commit(20)
        check()
        service().DeleteGroup(Stubs.group.DeleteGroupRequest(group=groups[0]), timeout=hub.DEADLINE)
        committed = {at: offset for at, offset in committed.items() if at[0] != groups[0]}
        server.kill()
        server = super().start(*COMPACTION)
        check()
        groups.pop(0)
        commit(100)
        server.kill()
        shutil.rmtree(os.path.join(self.data, "store", "index"))
        server = super().start(*COMPACTION)
        check()
        self.assertEqual(server.terminate(), 0)


if __name__ == "__main__":
    hub.main()
