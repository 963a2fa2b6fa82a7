#!/usr/bin/env python3
"""One record from a stub through the store to another stub."""

import unittest

import grpc

import hub
from hub import Stubs


class Smoke(hub.HubTest):

    def test_a_record_goes_in_and_comes_out_by_fetch_and_by_subscription(self):
        server = self.start()
        server.create_topic("events", partitions=3)
        request = Stubs.produce.ProduceRequest(
            topic="events", partition=1,
            batch=Stubs.types.RecordBatch(records=[Stubs.types.Record(key=b"k", value=b"v")]))
        result = server.produce.Produce(request, timeout=hub.DEADLINE).results[0]
        self.assertEqual((result.partition, result.base_offset, result.next_offset), (1, 0, 1))

        record = server.fetch("events", 0, partition=1).records[0]
        self.assertEqual((record.key, record.value, record.offset), (b"k", b"v", 0))
        self.assertEqual(record.timestamp_ms, result.append_time_ms)

        start = Stubs.consume.SubscribeStart(topics=[Stubs.consume.TopicSubscription(
            topic="events", partitions=[Stubs.consume.PartitionSubscription(partition=1, end_offset=1)])])
        requests = iter([Stubs.consume.SubscribeRequest(start=start)])
        answers = list(server.consume.Subscribe(requests, timeout=hub.DEADLINE))
        delivered = [r.value for a in answers for r in a.delivery.records]
        self.assertEqual(delivered, [b"v"])
        self.assertTrue(any(a.HasField("end_reached") for a in answers))
        self.assertEqual(server.terminate(), 0)

    def test_the_server_describes_itself(self):
        server = self.start()
        cluster = server.cluster.DescribeCluster(Stubs.cluster.DescribeClusterRequest(), timeout=hub.DEADLINE)
        self.assertEqual([b.broker.address for b in cluster.brokers], [server.address])
        self.assertEqual(len(cluster.cluster_id), 32)
        # grpc.reflection: list_services.
        reflection = server.channel.stream_stream("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo")
        answer = next(reflection(iter([b"\x3a\x00"]), timeout=hub.DEADLINE))
        for service in hub.SERVICES:
            self.assertIn(service.encode(), answer)

    def test_an_unknown_topic_is_refused_with_its_reason(self):
        server = self.start()
        with self.assertRaises(grpc.RpcError) as failed:
            server.send("nowhere", b"v")
        self.assertEqual(failed.exception.code(), grpc.StatusCode.NOT_FOUND)
        self.assertEqual(hub.reason_of(failed.exception), "TOPIC_NOT_FOUND")


if __name__ == "__main__":
    unittest.main()
