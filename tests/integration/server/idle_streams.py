#!/usr/bin/env python3
"""Opens Subscribe streams that have nothing to read: idle_streams.py ADDRESS TOPIC COUNT

Says on standard output how many are open and how the others ended, as JSON, a line whenever that changes, and holds
them until standard input ends. A process of its own: one interpreter's threads are not made for ten thousand streams beside a test.
"""

import asyncio
import collections
import json
import os
import sys

import grpc

from hub import Stubs

CONNECTIONS = 10


async def hold(address, topic, count):
    start = Stubs.consume.SubscribeRequest(start=Stubs.consume.SubscribeStart(
        topics=[Stubs.consume.TopicSubscription(topic=topic)], idle_interval_ms=600_000))
    channels, calls = [], []
    for _ in range(CONNECTIONS):
        channel = grpc.aio.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)])
        channels.append(channel)
        stub = Stubs.consume_grpc.ConsumeServiceStub(channel)
        opened = [stub.Subscribe(timeout=300) for _ in range(count // CONNECTIONS)]
        await asyncio.gather(*(call.write(start) for call in opened), return_exceptions=True)
        calls += opened
    # A stream that is served has nothing to say; one that is not ends in its time.
    ended = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    told = None
    while not ended.done():
        outcomes = collections.Counter()
        for call in calls:
            outcomes["open" if not call.done() else (await call.code()).name] += 1
        if outcomes != told:
            print(json.dumps(outcomes), flush=True)
        told = outcomes
        await asyncio.wait([ended], timeout=0.2)


async def hold_and_exit(address, topic, count):
    try:
        await hold(address, topic, count)
    finally:
        os._exit(0)  # the loop would end the streams one by one, and join threads that wait for them


if __name__ == "__main__":
    asyncio.run(hold_and_exit(sys.argv[1], sys.argv[2], int(sys.argv[3])))
