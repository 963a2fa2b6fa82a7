#!/usr/bin/env python3
"""A disk that fills up: a small file system of its own, which only root may mount."""

import os
import subprocess

import grpc

import hub
from hub import Stubs

DISK_MIB = 96
RESERVE = "32MiB"


class DiskFull(hub.HubTest):

    def setUp(self):
        super().setUp()
        if os.geteuid() != 0:
            self.skipTest("only root may mount a small disk")
        os.mkdir(self.data)
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "naru-test", self.data],
                                 capture_output=True, text=True, check=False)
        if mounted.returncode != 0:
            self.skipTest("a small disk cannot be mounted here: " + mounted.stderr.strip())
        self.addCleanup(subprocess.run, ["umount", "--lazy", self.data], check=True)

    def test_produces_are_refused_reads_go_on_and_deleting_records_heals(self):
        server = self.start("--disk-reserve", RESERVE)
        server.create_topic("t", max_record_bytes=1 << 20)
        value = os.urandom(512 << 10)
        written = 0
        failure = None
        while failure is None:
            self.assertLess(written, 4 * DISK_MIB, "the disk never filled up")
            try:
                server.send("t", value)
                written += 1
            except grpc.RpcError as error:
                failure = error
        self.assertEqual(failure.code(), grpc.StatusCode.UNAVAILABLE)
        self.assertEqual(hub.reason_of(failure), "STORAGE_FULL")

        self.assertEqual(len(server.values("t")), written)
        hub.wait_until(lambda: server.serving("naru.v1.ProduceService") == 2, "health of the produce service")
        self.assertEqual(server.serving("naru.v1.ConsumeService"), 1)
        self.assertEqual(server.serving(""), 1)
        self.assertEqual(server.get("/readyz")[0], 200)
        self.assertEqual(server.metric("naru_store_full"), 1)
        self.assertGreater(server.metric("naru_store_full_refusals_total"), 0)

        everything = Stubs.admin.DeleteRecordsRequest(
            topic="t", partitions=[Stubs.admin.PartitionTruncation(partition=0, before_offset=-1)])
        server.admin.DeleteRecords(everything, timeout=hub.DEADLINE)

        def produces_again():
            try:
                return server.send("t", b"after") + 1
            except grpc.RpcError as error:
                self.assertEqual(hub.reason_of(error), "STORAGE_FULL")
                return 0

        self.assertEqual(hub.wait_until(produces_again, "room for produces"), written + 1)
        hub.wait_until(lambda: server.serving("naru.v1.ProduceService") == 1, "health of the produce service")
        self.assertEqual(server.metric("naru_store_full"), 0)
        self.assertEqual(server.values("t"), [b"after"])
        self.assertEqual(server.terminate(), 0)

    def test_a_full_disk_does_not_keep_it_from_starting(self):
        server = self.start("--disk-reserve", RESERVE)
        server.create_topic("t", max_record_bytes=1 << 20)
        value = os.urandom(512 << 10)
        with self.assertRaises(grpc.RpcError):
            for _ in range(4 * DISK_MIB):
                server.send("t", value)
        kept = len(server.values("t"))
        server.kill()
        again = self.start("--disk-reserve", RESERVE)
        self.assertEqual(len(again.values("t")), kept)
        # What a start gives back may have room for a few.
        with self.assertRaises(grpc.RpcError) as refused:
            for _ in range(DISK_MIB):
                again.send("t", value)
        self.assertEqual(hub.reason_of(refused.exception), "STORAGE_FULL")

    def test_compaction_makes_room_on_a_full_disk(self):
        server = self.start("--disk-reserve", RESERVE, "--compaction-rate", "4MiB", "--compaction-min-dirty", "0")
        server.create_topic("t", cleanup_policy=Stubs.admin.CLEANUP_POLICY_COMPACT, min_cleanable_dirty_ratio=0)
        value = os.urandom(256 << 10)
        written = 0

        def send():
            record = Stubs.types.Record(key=b"key-%d" % (written % 10), value=b"%d %s" % (written, value))
            request = Stubs.produce.ProduceRequest(topic="t", partition=0,
                                                   batch=Stubs.types.RecordBatch(records=[record]))
            try:
                return server.produce.Produce(request, timeout=hub.DEADLINE).results[0].base_offset + 1
            except grpc.RpcError as error:
                self.assertEqual(hub.reason_of(error), "STORAGE_FULL")
                return 0

        while send():
            written += 1
            self.assertLess(written, 16 * DISK_MIB, "the disk never filled up")
        self.assertEqual(hub.wait_until(send, "room for produces", seconds=120), written + 1)
        written += 1
        self.assertGreater(server.metric("naru_compaction_given_back_bytes_total"), 0)
        newest = {}
        offset = 0
        while offset < written:
            answer = server.fetch("t", offset)
            newest.update((record.key, record.value) for record in answer.records)
            offset = answer.next_offset
        self.assertEqual(newest, {b"key-%d" % (n % 10): b"%d %s" % (n, value) for n in range(written)})
        self.assertEqual(server.terminate(), 0)


if __name__ == "__main__":
    hub.main()
