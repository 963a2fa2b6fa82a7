"""Reads a topic as a member of a group, by unary calls: python3 group_poller.py GROUP TOPIC [HOST:PORT]

For where streams are awkward. Each call takes what was handled and brings what came since.
"""

import signal
import sys

import grpc

from naru.v1 import group_pb2 as pb
from naru.v1 import group_pb2_grpc

group, topic = sys.argv[1:3]
address = sys.argv[3] if len(sys.argv) > 3 else "127.0.0.1:9410"
stub = group_pb2_grpc.GroupServiceStub(grpc.insecure_channel(address))
running = True


def end(*_):
    global running
    running = False


def handle(offset, key, value):
    print(f"{offset} {key.decode(errors='replace')} {value.decode(errors='replace')}", flush=True)


for ending in (signal.SIGINT, signal.SIGTERM):
    signal.signal(ending, end)

# The first call joins; the others say which member this is, and acknowledge.
request = pb.PollRequest(join=pb.Join(group=group, topics=[topic]))
while running:
    answer = stub.Poll(request, timeout=30)
    request = pb.PollRequest(group=group, member_id=answer.member_id, member_epoch=answer.member_epoch, max_wait_ms=1000)
    for delivery in answer.deliveries:
        for record in delivery.records:
            handle(record.offset, record.key, record.value)
        request.acked_delivery_ids.append(delivery.delivery_id)

# A last call for what was handled last; what it brings goes to others, with the partitions.
request.max_wait_ms = 0
stub.Poll(request, timeout=30)
stub.LeaveGroup(pb.LeaveGroupRequest(group=group, member_id=request.member_id), timeout=30)
