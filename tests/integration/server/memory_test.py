#!/usr/bin/env python3
"""The process stays within --memory-limit, whatever clients do.

NARU_MEMORY_TEST_MIB sets how much the producer sends (default 384).
"""

import json
import os
import queue
import select
import subprocess
import sys
import time
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

    def check(self, server, what, limit_mib=LIMIT_MIB):
        peak = server.resident_peak_bytes()
        print(f"{what}: peak resident {peak >> 20} MiB of {limit_mib} MiB", flush=True)
        self.assertLess(peak, limit_mib << 20, what)

    def open_idle_streams(self, server, topic, expected):
        """Opens as many as are expected in all, and holds them; `expected` says how many end in which way."""
        holder = subprocess.Popen(
            [sys.executable, os.path.join(os.path.dirname(__file__), "idle_streams.py"), server.address, topic,
             str(sum(expected.values()))], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.addCleanup(holder.wait)
        self.addCleanup(holder.stdout.close)
        self.addCleanup(holder.stdin.close)
        told = None
        deadline = time.monotonic() + hub.DEADLINE
        while told != expected and time.monotonic() < deadline:
            if select.select([holder.stdout], [], [], 1)[0]:
                told = json.loads(holder.stdout.readline())
        self.assertEqual(told, expected)

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

    def test_ten_thousand_idle_streams_where_they_fit(self):
        server = self.start("--memory-limit", "512MiB", "--max-streams", "10000")
        server.create_topic("t")
        self.open_idle_streams(server, "t", {"open": 10_000})
        self.assertEqual(server.metric("naru_streams"), 10_000)
        self.check(server, "10000 idle streams", 512)

    def test_ten_thousand_idle_streams_where_they_do_not(self):
        server = self.start("--memory-limit", "256MiB")
        server.create_topic("t")
        limit = int(server.metric("naru_streams_limit"))
        self.assertLess(limit, 10_000)
        self.open_idle_streams(server, "t", {"open": limit, "RESOURCE_EXHAUSTED": 10_000 - limit})
        self.check(server, f"{limit} of 10000 idle streams", 256)


if __name__ == "__main__":
    unittest.main()
