"""Prints a topic from its beginning, and what comes after: python3 consume.py TOPIC [HOST:PORT]"""

import queue
import sys

import grpc

from naru.v1 import consume_pb2 as pb
from naru.v1 import consume_pb2_grpc

topic = sys.argv[1]
address = sys.argv[2] if len(sys.argv) > 2 else "127.0.0.1:9410"

# Allow a megabyte on its way, and give back what was handled: a slow reader is never flooded.
requests = queue.SimpleQueue()
start = pb.SubscribeStart(topics=[pb.TopicSubscription(topic=topic)], credit_bytes=1 << 20)
requests.put(pb.SubscribeRequest(start=start))

stub = consume_pb2_grpc.ConsumeServiceStub(grpc.insecure_channel(address))
try:
    for answer in stub.Subscribe(iter(requests.get, None)):
        kind = answer.WhichOneof("response")
        if kind == "delivery":
            delivery = answer.delivery
            for record in delivery.records:
                print(f"{delivery.partition}:{record.offset} {record.key.decode(errors='replace')} "
                      f"{record.value.decode(errors='replace')}", flush=True)
            requests.put(pb.SubscribeRequest(credit=pb.Credit(bytes=delivery.credit_bytes)))
        elif kind == "failure":
            sys.exit(f"partition {answer.failure.partition}: {answer.failure.error.message}")
except KeyboardInterrupt:
    pass
finally:
    requests.put(None)
