#!/usr/bin/env python3
"""What the API promises about batches that are sent more than once.

  idempotence.py --narud build/release/bin/narud [-v] [TestName...]
"""

import sys

import grpc

import conformance
from conformance import record, values


class IdempotentTest(conformance.HubTest):
    def init_producer(self, **fields):
        request = conformance.pb.transaction.InitProducerRequest(**fields)
        return conformance.hub.transaction.InitProducer(request, timeout=conformance.DEADLINE)

    def send(self, producer, sequence, *records, **fields):
        pb = conformance.pb
        stamp = pb.types.ProducerStamp(producer_id=producer.producer_id, epoch=producer.epoch, base_sequence=sequence)
        batch = pb.types.RecordBatch(producer=stamp, records=records)
        request = pb.produce.ProduceRequest(topic=self.topic, batch=batch, **fields)
        return conformance.hub.produce.Produce(request, timeout=conformance.DEADLINE).results[0]

    def test_a_batch_that_is_sent_again_stands_once_and_is_answered_as_the_first_time(self):
        producer = self.init_producer()
        self.assertFalse(self.send(producer, 0, record(b"a"), record(b"b"), partition=0).duplicate)
        self.send(producer, 2, record(b"c"), partition=0)
        again = self.send(producer, 0, record(b"a"), record(b"b"), partition=0)
        self.assertEqual((again.duplicate, again.base_offset, again.next_offset), (True, 0, 2))
        self.assertEqual(values(self.fetch()), [b"a", b"b", b"c"])

    def test_gaps_and_older_epochs_are_refused_and_the_next_epoch_begins_at_zero(self):
        producer = self.init_producer()
        self.send(producer, 0, record(), partition=0)
        error = self.fails(grpc.StatusCode.FAILED_PRECONDITION, "OUT_OF_ORDER_SEQUENCE",
                           lambda: self.send(producer, 5, record(), partition=0))
        self.assertIn("1 is expected", error.details())
        later = self.init_producer(producer_id=producer.producer_id, epoch=producer.epoch)
        self.assertEqual((later.producer_id, later.epoch), (producer.producer_id, producer.epoch + 1))
        self.send(later, 0, record(), partition=0)
        self.fails(grpc.StatusCode.FAILED_PRECONDITION, "PRODUCER_FENCED",
                   lambda: self.send(producer, 1, record(), partition=0))

    def test_a_stamped_batch_names_its_partition(self):
        error = self.fails(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD",
                           lambda: self.send(self.init_producer(), 0, record()))
        self.assertIn("partition: absent", error.details())


if __name__ == "__main__":
    sys.exit(conformance.main(__name__))
