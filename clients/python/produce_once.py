"""Writes lines from standard input to partition 0 of a topic, each once: python3 produce_once.py TOPIC [HOST:PORT]

What gets no answer is sent again as it was; the broker knows it by its stamp and answers as the first time.
"""

import sys
import time

import grpc

from naru.v1 import produce_pb2, produce_pb2_grpc, transaction_pb2, transaction_pb2_grpc, types_pb2

topic = sys.argv[1]
channel = grpc.insecure_channel(sys.argv[2] if len(sys.argv) > 2 else "127.0.0.1:9410")
stub = produce_pb2_grpc.ProduceServiceStub(channel)


def again_and_again(call, request):
    """Until there is an answer, or a refusal that another try does not change."""
    retried = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.RESOURCE_EXHAUSTED)
    while True:
        try:
            return call(request, timeout=10)
        except grpc.RpcError as error:
            if error.code() not in retried:
                sys.exit(error.details())
            time.sleep(0.1)


producer = again_and_again(transaction_pb2_grpc.TransactionServiceStub(channel).InitProducer,
                           transaction_pb2.InitProducerRequest())
sequence = 0  # counts records, for each partition from 0
for line in sys.stdin.buffer:
    batch = types_pb2.RecordBatch(
        producer=types_pb2.ProducerStamp(producer_id=producer.producer_id, epoch=producer.epoch,
                                         base_sequence=sequence),
        records=[types_pb2.Record(value=line.rstrip(b"\n"))])
    again_and_again(stub.Produce, produce_pb2.ProduceRequest(topic=topic, partition=0, batch=batch))
    sequence += len(batch.records)
print(f"{sequence} records are on disk, each once")
