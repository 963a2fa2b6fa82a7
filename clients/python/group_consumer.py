"""Reads a topic as a member of a group: python3 group_consumer.py GROUP TOPIC [HOST:PORT]

Start it several times: the members share the partitions, and where one goes the others take over.
"""

import queue
import signal
import sys

import grpc

from naru.v1 import group_pb2 as pb
from naru.v1 import group_pb2_grpc

group, topic = sys.argv[1:3]
address = sys.argv[3] if len(sys.argv) > 3 else "127.0.0.1:9410"
stub = group_pb2_grpc.GroupServiceStub(grpc.insecure_channel(address))


def handle(offset, key, value):
    print(f"{offset} {key.decode(errors='replace')} {value.decode(errors='replace')}", flush=True)


# Half-closing leaves the group: the stream ends by itself when everything acknowledged is committed.
for ending in (signal.SIGINT, signal.SIGTERM):
    signal.signal(ending, lambda *_: q.put(None))

q = queue.SimpleQueue(); q.put(pb.ConsumeRequest(join=pb.Join(group=group, topics=[topic])))
try:
    for r in stub.Consume(iter(q.get, None)):
        if r.WhichOneof("response") == "delivery":
            for rec in r.delivery.records: handle(rec.offset, rec.key, rec.value)
            q.put(pb.ConsumeRequest(ack=pb.Ack(delivery_id=r.delivery.delivery_id)))
finally: q.put(None)
