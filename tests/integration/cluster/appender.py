#!/usr/bin/env python3
"""Appends single records to a partition, one after another through each broker, and says when each was acknowledged.

  appender.py --stubs DIR --servers A,B,C --topic T

One loop for each broker; what fails is tried again 20 ms later, so that what is measured is the cluster and not its
client.
A line "alter" on standard input changes the topic once, likewise. Ends with its standard input. On standard output,
in nanoseconds of CLOCK_MONOTONIC:

  ack BEGUN ACKED
  altered BEGUN DONE
"""

import argparse
import os
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
CALL_SECONDS = 0.5
EVERY_SECONDS = 0.02


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ["stubs", "servers", "topic"]:
        parser.add_argument("--" + name, required=True)
    args = parser.parse_args()
    import grpc
    import stubs as stub_folder
    from history import now
    from routes import open_channel
    pb = stub_folder.load(args.stubs)
    channels = [open_channel(server) for server in args.servers.split(",")]
    lock, stopping = threading.Lock(), threading.Event()

    def say(*words):
        with lock:
            print(*words, flush=True)

    def attempt(call, request):
        """(when it began, when it was done), or None."""
        begun = now()
        try:
            call(request, timeout=CALL_SECONDS)
            return begun, now()
        except grpc.RpcError:
            return None

    def append(channel):
        request = pb.produce.ProduceRequest(topic=args.topic, partition=0, acks=pb.types.ACKS_ALL)
        request.batch.records.add(value=b"x" * 100)
        call = pb.produce_grpc.ProduceServiceStub(channel).Produce
        while not stopping.wait(EVERY_SECONDS):
            if times := attempt(call, request):
                say("ack", *times)

    def alter(channel, done, retention_ms):
        request = pb.admin.UpdateTopicRequest(name=args.topic, config=pb.admin.TopicConfig(retention_ms=retention_ms))
        request.update_mask.paths.append("retention_ms")
        call = pb.admin_grpc.AdminServiceStub(channel).UpdateTopic
        while not done.is_set() and not stopping.is_set():
            times = attempt(call, request)
            with lock:
                if times and not done.is_set():
                    done.set()
                    print("altered", *times, flush=True)
            stopping.wait(EVERY_SECONDS)

    threads = [threading.Thread(target=append, args=[channel], daemon=True) for channel in channels]
    for thread in threads:
        thread.start()
    retention_ms = 3_600_000
    for line in sys.stdin:
        if line.strip() == "alter":
            done, retention_ms = threading.Event(), retention_ms + 1
            for channel in channels:
                threading.Thread(target=alter, args=[channel, done, retention_ms], daemon=True).start()
    stopping.set()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
