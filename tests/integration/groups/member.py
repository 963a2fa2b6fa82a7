#!/usr/bin/env python3
"""One member of a consumer group, as an application would be, that writes down what it sees.

  member.py --stubs DIR --address-file FILE --history FILE --name NAME --group G --topic T [--instance-id I] [--seed N]

Each line of the history is a JSON object with "t" (CLOCK_MONOTONIC, ns, the same for all processes of the machine), "m"
(the name), "s" (which of its sessions) and "op": joined, assigned, revoking, delivery, ack, ended, left. A line stands
there before what it tells of can have an effect: an ack is written down before it is sent.

The address file names a hub, or the brokers of a cluster with commas between; each session takes one of them.

It acknowledges in any order, and with a delay. When its session ends it joins again: as the same member, but after
MEMBER_FENCED as a new one. It gives up a session of which it hears nothing for a while: its broker may be out of reach,
and nobody says so. SIGTERM makes it acknowledge what it has, leave, and end with 0; it does so from when the
history is there.
"""

import argparse
import json
import os
import queue
import random
import signal
import sys
import threading
import time

SILENCE_SECONDS_MAX = 4
PENDING_MAX = 4  # deliveries that are handled at a time
SETTINGS = dict(session_timeout_ms=1000, rebalance_timeout_ms=1500, progress_timeout_ms=1500, idle_interval_ms=100,
                max_message_bytes=4096)


class Member:
    def __init__(self, args):
        self.args = args
        self.leaving = False
        signal.signal(signal.SIGTERM, self.leave)
        self.random = random.Random(args.seed)
        self.history = open(args.history, "a", buffering=1, encoding="utf-8")
        self.session = 0
        self.member_id = ""
        self.requests = None
        self.pending = []

    def note(self, op, **facts):
        self.history.write(json.dumps({"t": time.monotonic_ns(), "m": self.args.name, "s": self.session, "op": op,
                                       **facts}) + "\n")

    def leave(self, *_):
        self.leaving = True

    def acknowledge(self, keep):
        """Acknowledges what is handled, in any order, but for so many."""
        while len(self.pending) > keep:
            delivery = self.pending.pop(self.random.randrange(len(self.pending)))
            self.note("ack", id=delivery.delivery_id, p=delivery.partition, next=delivery.next_offset)
            self.requests.put(pb.ConsumeRequest(ack=pb.Ack(delivery_id=delivery.delivery_id)))

    def on_response(self, response):
        kind = response.WhichOneof("response")
        if kind == "joined":
            self.member_id = response.joined.member_id
            self.note("joined", id=self.member_id, epoch=response.joined.member_epoch)
        elif kind == "assigned":
            self.note("assigned", p=[partition.partition for partition in response.assigned.partitions])
        elif kind == "revoking":
            self.note("revoking", p=[partition.partition for partition in response.revoking.partitions])
            self.acknowledge(0)
        elif kind == "delivery":
            delivery = response.delivery
            self.note("delivery", id=delivery.delivery_id, p=delivery.partition, next=delivery.next_offset,
                      offsets=[record.offset for record in delivery.records])
            self.pending.append(delivery)
            self.acknowledge(self.random.randrange(PENDING_MAX))
        elif kind == "idle":
            self.acknowledge(0)
        if self.leaving and self.requests is not None:
            self.acknowledge(0)
            self.requests.put(None)
            self.requests = None

    def run_session(self):
        with open(self.args.address_file, encoding="utf-8") as f:
            address = self.random.choice(f.read().strip().split(","))
        self.session += 1
        self.pending = []
        self.requests = queue.SimpleQueue()
        self.requests.put(pb.ConsumeRequest(join=pb.Join(
            group=self.args.group, topics=[self.args.topic], member_id=self.member_id,
            instance_id=self.args.instance_id, client_id=self.args.name, **SETTINGS)))
        requests = self.requests
        with grpc.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
            call = group_pb2_grpc.GroupServiceStub(channel).Consume(iter(requests.get, None))
            self.heard, ended = time.monotonic(), threading.Event()
            threading.Thread(target=self.watch, args=[call, ended], daemon=True).start()
            try:
                for response in call:
                    self.heard = time.monotonic()
                    if self.requests is not None:
                        self.on_response(response)
                self.note("left")
                return True
            except grpc.RpcError as error:
                reason = dict(error.trailing_metadata() or ()).get("naru-reason", "")
                self.note("ended", code=error.code().name, reason=reason)
                if reason == "MEMBER_FENCED":
                    self.member_id = ""
            finally:
                ended.set()
                requests.put(None)
        return False

    def watch(self, call, ended):
        """Of one session. Idle messages come far more often."""
        while not ended.wait(0.1):
            if time.monotonic() - self.heard > SILENCE_SECONDS_MAX:
                call.cancel()
                return

    def run(self):
        while not self.run_session():
            if self.leaving:
                return
            time.sleep(0.05)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for name in ["stubs", "address-file", "history", "name", "group", "topic"]:
        parser.add_argument("--" + name, required=True)
    parser.add_argument("--instance-id", default="")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    sys.path.insert(0, os.path.abspath(arguments.stubs))
    import grpc  # noqa: E402
    from naru.v1 import group_pb2 as pb  # noqa: E402
    from naru.v1 import group_pb2_grpc  # noqa: E402
    Member(arguments).run()
