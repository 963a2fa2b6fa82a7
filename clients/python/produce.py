"""Writes lines from standard input to a topic: python3 produce.py TOPIC [HOST:PORT]

A line "key<tab>value" has a key: lines of one key keep their order.
"""

import sys

import grpc

from naru.v1 import produce_pb2, produce_pb2_grpc, types_pb2

topic = sys.argv[1]
address = sys.argv[2] if len(sys.argv) > 2 else "127.0.0.1:9410"


def record(line):
    key, tab, value = line.rstrip(b"\n").partition(b"\t")
    return types_pb2.Record(key=key, value=value) if tab else types_pb2.Record(value=key)


def batches(lines, size=500):
    """One request for every so many lines."""
    records = []
    for line in lines:
        records.append(record(line))
        if len(records) == size:
            yield records
            records = []
    if records:
        yield records


def requests():
    for number, records in enumerate(batches(sys.stdin.buffer)):
        batch = types_pb2.RecordBatch(records=records)
        yield produce_pb2.ProduceStreamRequest(id=number, produce=produce_pb2.ProduceRequest(topic=topic, batch=batch))


# The stream keeps many batches on their way and keeps their order. An answer means: it is on disk.
stub = produce_pb2_grpc.ProduceServiceStub(grpc.insecure_channel(address))
acked = 0
for answer in stub.ProduceStream(requests()):
    for item in answer.results:
        if item.HasField("error"):
            sys.exit(f"batch {item.id}: {item.error.message}")
        for result in item.results:
            if result.HasField("error"):
                sys.exit(f"batch {item.id}, partition {result.partition}: {result.error.message}")
            acked += result.next_offset - result.base_offset
print(f"{acked} records are on disk")
