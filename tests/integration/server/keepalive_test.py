#!/usr/bin/env python3
"""How long connections live: clients may ping every 10 s, also on a connection that has nothing else to do, and a
connection without a call is closed in the end, which a client does not notice.

gRPC's own floor for pings is 5 minutes: the third below it closes the connection, which takes half a minute to show.
"""

import os
import queue
import time
import unittest

import grpc

import hub
from hub import Stubs

SECONDS = 45


def connections_to(address):
    """How many connections the server at this address has."""
    port = f":{int(address.rsplit(':', 1)[1]):04X}"
    rows = []
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        if os.path.exists(table):
            with open(table, encoding="ascii") as lines:
                rows += [line.split() for line in lines]
    return sum(row[1].endswith(port) and row[3] == "01" for row in rows)


class Keepalive(hub.HubTest):

    def test_a_connection_that_pings_every_ten_seconds_stays_open(self):
        server = self.start()
        server.create_topic("t")
        options = [("grpc.keepalive_time_ms", 10_000), ("grpc.keepalive_permit_without_calls", 1),
                   ("grpc.http2.max_pings_without_data", 0), ("grpc.use_local_subchannel_pool", 1),
                   ("grpc.enable_http_proxy", 0)]
        idle, busy = (grpc.insecure_channel(server.address, options=options) for _ in range(2))
        self.addCleanup(idle.close)
        self.addCleanup(busy.close)
        states = []
        idle.subscribe(states.append, try_to_connect=True)
        hub.wait_until(lambda: grpc.ChannelConnectivity.READY in states, "the connection")
        # A call that waits in silence: no data either way.
        requests = queue.SimpleQueue()
        requests.put(Stubs.consume.SubscribeRequest(start=Stubs.consume.SubscribeStart(
            topics=[Stubs.consume.TopicSubscription(topic="t")], idle_interval_ms=120_000)))
        silent = Stubs.consume_grpc.ConsumeServiceStub(busy).Subscribe(iter(requests.get, None))

        deadline = time.monotonic() + SECONDS
        hub.wait_until(lambda: states[-1] != grpc.ChannelConnectivity.READY or not silent.is_active()
                       or time.monotonic() > deadline, "the end of the watch", SECONDS + 10)
        self.assertEqual(states[-1], grpc.ChannelConnectivity.READY)
        self.assertTrue(silent.is_active(), silent)
        server.send("t", b"after the silence")
        delivered = next(a for a in silent if a.WhichOneof("response") == "delivery")
        self.assertEqual(delivered.delivery.records[0].value, b"after the silence")
        requests.put(None)
        silent.cancel()

    def test_a_client_whose_idle_connection_was_closed_goes_on_unaware(self):
        server = self.start("--idle-connection-timeout", "200ms")
        server.create_topic("t")
        # A stream is a call, so its connection stays.
        busy = server.connect()
        self.addCleanup(busy.close)
        start = Stubs.consume.SubscribeStart(topics=[Stubs.consume.TopicSubscription(topic="t")])
        requests = queue.SimpleQueue()
        requests.put(Stubs.consume.SubscribeRequest(start=start))
        stream = Stubs.consume_grpc.ConsumeServiceStub(busy).Subscribe(iter(requests.get, None))
        for i in range(5):
            self.assertEqual(server.send("t", b"%d" % i), i)
            delivered = next(a for a in stream if a.WhichOneof("response") == "delivery")
            self.assertEqual(delivered.delivery.records[0].value, b"%d" % i)
            hub.wait_until(lambda: connections_to(server.address) == 1, "the end of the other connection")
        requests.put(None)
        stream.cancel()


if __name__ == "__main__":
    unittest.main()
