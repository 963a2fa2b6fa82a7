#!/usr/bin/env python3
"""The process stays within --memory-limit, whatever clients do.

NARU_MEMORY_TEST_MIB sets how much the producer sends (default 384).
"""

import os
import queue
import unittest

import grpc

import hub
from hub import Stubs

LIMIT_MIB = 128
READERS = 100
BATCH = 1 << 20
TOTAL_MIB = int(os.environ.get("NARU_MEMORY_TEST_MIB", "384"))


class MemoryBound(hub.HubTest):

    def produce_without_pause(self, server, topic, mebibytes):
        """Sends as fast as the stream takes it, and returns when everything is answered."""
        value = os.urandom(BATCH - 4096)
        items = [Stubs.produce.ProduceStreamRequest(id=partition, produce=Stubs.produce.ProduceRequest(
            topic=topic, partition=partition,
            batch=Stubs.types.RecordBatch(records=[Stubs.types.Record(value=value)]))).SerializeToString()
            for partition in range(4)]
        call = server.channel.stream_stream(
            "/naru.v1.ProduceService/ProduceStream",
            response_deserializer=Stubs.produce.ProduceStreamResponse.FromString)
        answered = 0
        for answer in call((items[i % 4] for i in range(mebibytes)), timeout=300):
            for result in answer.results:
                self.assertFalse(result.HasField("error"), result)
                self.assertFalse(any(r.HasField("error") for r in result.results), result)
                answered += 1
        self.assertEqual(answered, mebibytes)

    def check(self, server, what):
        peak = server.resident_peak_bytes()
        print(f"{what}: peak resident {peak >> 20} MiB of {LIMIT_MIB} MiB", flush=True)
        self.assertLess(peak, LIMIT_MIB << 20, what)

    def test_a_hundred_readers_that_never_read_and_a_producer_that_never_stops(self):
        server = self.start("--memory-limit", f"{LIMIT_MIB}MiB", "--segment-bytes", "16MiB")
        self.check(server, "idle")
        server.create_topic("t", partitions=4, retention_bytes=64 << 20)
        self.produce_without_pause(server, "t", 32)
        held = []
        for _ in range(READERS):
            channel = server.connect()
            self.addCleanup(channel.close)
            requests = queue.SimpleQueue()
            requests.put(Stubs.consume.SubscribeRequest(start=Stubs.consume.SubscribeStart(
                topics=[Stubs.consume.TopicSubscription(topic="t")])))
            held.append((requests, Stubs.consume_grpc.ConsumeServiceStub(channel).Subscribe(iter(requests.get, None))))
        hub.wait_until(lambda: server.metric_of("naru_grpc_calls_in_progress", "Subscribe") == READERS, "the readers")
        self.produce_without_pause(server, "t", TOTAL_MIB)
        self.check(server, f"{READERS} silent readers, {TOTAL_MIB} MiB produced")
        # It still serves: a reader that reads gets on.
        earliest = Stubs.consume.FetchRequest(topic="t", partition=0, max_bytes=BATCH)
        self.assertTrue(server.consume.Fetch(earliest, timeout=hub.DEADLINE).records)
        for requests, call in held:
            call.cancel()
            requests.put(None)
        self.check(server, "after the readers left")

    def test_as_many_idle_streams_as_may_be(self):
        server = self.start("--memory-limit", f"{LIMIT_MIB}MiB", "--max-streams", "1000")
        server.create_topic("t")
        start = Stubs.consume.SubscribeRequest(start=Stubs.consume.SubscribeStart(
            topics=[Stubs.consume.TopicSubscription(topic="t")], idle_interval_ms=60_000))
        held = []
        for _ in range(4):
            channel = server.connect()
            self.addCleanup(channel.close)
            stub = Stubs.consume_grpc.ConsumeServiceStub(channel)
            for _ in range(250):
                requests = queue.SimpleQueue()
                requests.put(start)
                held.append((requests, stub.Subscribe(iter(requests.get, None))))
        hub.wait_until(lambda: server.metric_of("naru_grpc_calls_in_progress", "Subscribe") == 1000, "the streams")
        self.check(server, "1000 idle streams")
        self.assertEqual(server.metric("naru_streams"), 1000)
        with self.assertRaises(grpc.RpcError) as refused:
            server.fetch("t")
        self.assertEqual(hub.reason_of(refused.exception), "TOO_MANY_IN_FLIGHT")
        self.assertEqual(server.metric("naru_streams_refused_total"), 1)
        for requests, call in held:
            call.cancel()
            requests.put(None)


if __name__ == "__main__":
    unittest.main()
