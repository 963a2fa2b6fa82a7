"""Writes a history as tests/integration/crash/checker.py reads it, and makes records that carry a value of it."""

import gzip
import json
import threading
import time

KEYS = 97
_PADDING = bytes(97 + i * 31 % 26 for i in range(2048))


def now():
    """Monotonic, comparable between processes of one machine."""
    return time.monotonic_ns()


class History:
    """Thread-safe. Every event is in the file when its call returns."""

    def __init__(self, path):
        self._file = open(path, "a", buffering=1, encoding="utf-8")
        self._lock = threading.Lock()

    def write(self, **event):
        with self._lock:
            self._file.write(json.dumps(event, separators=(",", ":")) + "\n")

    def send(self, order, id_, partition, values):
        self.write(op="send", order=order, id=id_, t=now(), partition=partition, values=values)

    def ok(self, order, id_, partition, base, values):
        self.write(op="ok", order=order, id=id_, t=now(), partition=partition, base=base, values=values)

    def fail(self, order, id_, values, reason):
        self.write(op="fail", order=order, id=id_, t=now(), values=values, reason=reason)

    def unknown(self, order, id_, values, reason):
        self.write(op="unknown", order=order, id=id_, t=now(), values=values, reason=reason)

    def poll(self, client, begun, from_, answer, drain=False):
        """answer: a FetchResponse or a PartitionDelivery."""
        event = dict(op="poll", client=client, t0=begun, t=now(), partition=answer.partition,
                     next=answer.next_offset, hw=answer.high_watermark, start=answer.log_start_offset,
                     records=[[record.offset, value_of(record)] for record in answer.records])
        event["from"] = from_
        if drain:
            event["drain"] = True
        self.write(**event)

    def refused(self, client, partition, from_, reason, message):
        event = dict(op="refused", client=client, t=now(), partition=partition, reason=reason, message=message)
        event["from"] = from_
        self.write(**event)


def _body(value):
    return b"%d:" % value + _PADDING[value % 499:value % 499 + 20 + value * 7919 % 980]


def add_record(batch, value):
    record = batch.records.add(key=b"key-%d" % (value % KEYS), value=_body(value))
    record.headers.add(key="value", value=b"%d" % value)


def value_of(record):
    """The value; 0, which nobody sends, when the record is not exactly as it was made."""
    try:
        value = int(record.value.partition(b":")[0])
    except ValueError:
        return 0
    headers = [(header.key, header.value) for header in record.headers]
    same = (record.key == b"key-%d" % (value % KEYS) and record.value == _body(value) and
            headers == [("value", b"%d" % value)])
    return value if same else 0


def compress(batch, compressed_type):
    """The batch as its client compressed it, with gzip."""
    made = compressed_type(compression=1, record_count=len(batch.records))
    made.compressed = gzip.compress(batch.SerializeToString(), compresslevel=1)
    return made
