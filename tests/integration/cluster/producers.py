"""Producers of the cluster test: batches with acks=all, single calls or pipelined on streams. Only stamped batches are
sent again when nobody knows what became of them."""

import collections
import threading
import time

import grpc

from history import add_record, compress
from routes import CERTAIN, PASSING, Routes, reason_of

BATCH_RECORDS_MAX = 12
CALL_SECONDS = 4
IN_FLIGHT_MAX = 32
BACK_OFF_SECONDS = 0.03  # after an answer that something failed
LAST_SECONDS_MAX = 20    # for a stamped batch under way when its producer is told to stop


class Source:
    """Makes one producer's batches at a steady pace, and notes what became of them. Not thread-safe."""

    def __init__(self, number, stubs, history, topic, partitions, rate, chance):
        self.number, self.stubs, self.history = number, stubs, history
        self.topic, self.partitions, self.rate, self.chance = topic, partitions, rate, chance
        self.next_value = (number << 32) + 1
        self.last_id = 0
        self.orders = 0
        self.due = time.monotonic()
        self.new_order()

    def new_order(self):
        """What is sent from now on is not ordered with what was sent before: that may still be on its way."""
        self.orders += 1
        self.order = f"p{self.number}.{self.orders}"

    def wait(self, stopping):
        """Until the next batch is due."""
        stopping.wait(max(0, self.due - time.monotonic()))
        self.due = max(self.due + 1 / self.rate, time.monotonic() - 0.1)

    def next(self, by_key=False):
        """(id, partition, values, request), noted as sent."""
        self.last_id += 1
        values = [self.next_value + i for i in range(1 + self.chance.randrange(BATCH_RECORDS_MAX))]
        self.next_value += len(values)
        request = self.stubs.produce.ProduceRequest(topic=self.topic, acks=self.stubs.types.ACKS_ALL)
        partition = None
        if not by_key:
            partition = self.chance.randrange(self.partitions)
            request.partition = partition
        for value in values:
            add_record(request.batch, value)
        if self.chance.random() < 0.2:
            request.batch.CopyFrom(compress(request.batch, self.stubs.types.RecordBatch))
        self.history.send(self.order, self.last_id, partition, values)
        return self.last_id, partition, values, request

    def settle(self, id_, values, results, order):
        """The partitions that failed, with their reasons."""
        failed = {}
        for result in results:
            its = [values[index] for index in result.record_indexes] or values
            if result.HasField("error"):
                failed[result.partition] = result.error.reason
                self.note_failure(id_, its, result.error.reason, order)
            else:
                self.history.ok(order, id_, result.partition, result.base_offset, its)
        return failed

    def note_failure(self, id_, values, reason, order):
        note = self.history.fail if reason in CERTAIN else self.history.unknown
        note(order, id_, values, reason)


class UnaryProducer(threading.Thread):
    """One call at a time, now and then through another broker."""

    def __init__(self, source, servers, stopping):
        super().__init__(daemon=True)
        self.source, self.stopping = source, stopping
        self.routes = Routes(servers, source.chance.random())

    def run(self):
        by_key = False
        while channel := self.routes.connect(self.stopping):
            stub = self.source.stubs.produce_grpc.ProduceServiceStub(channel)
            calls = 0
            while not self.stopping.is_set() and calls < 200:
                by_key, calls = not by_key, calls + 1
                self.source.wait(self.stopping)
                if not self.call(stub, by_key):
                    self.stopping.wait(BACK_OFF_SECONDS)
                    break
            channel.close()

    def call(self, stub, by_key):
        source = self.source
        id_, _, values, request = source.next(by_key)
        try:
            failed = source.settle(id_, values, stub.Produce(request, timeout=CALL_SECONDS).results, source.order)
            reasons = list(failed.values())
        except grpc.RpcError as error:
            reasons = [reason_of(error)]
            source.note_failure(id_, values, reasons[0], source.order)
        if any(reason not in CERTAIN for reason in reasons):
            source.new_order()
        return not reasons


class StreamProducer(threading.Thread):
    """Pipelines over one stream after another."""

    def __init__(self, source, servers, stopping):
        super().__init__(daemon=True)
        self.source, self.stopping = source, stopping
        self.routes = Routes(servers, source.chance.random())

    def run(self):
        while channel := self.routes.connect(self.stopping):
            _Stream(self.source, self.stopping).run(channel)
            channel.close()
            self.stopping.wait(BACK_OFF_SECONDS)


class _Patience:
    """Stands for an event, and is set some time after it."""

    def __init__(self, event, seconds):
        self.event, self.seconds, self.due = event, seconds, None

    def is_set(self):
        if self.due is None and self.event.is_set():
            self.due = time.monotonic() + self.seconds
        return self.due is not None and time.monotonic() >= self.due


class StampedProducer(threading.Thread):
    """Batches that carry a ProducerStamp, each sent again, through any broker, until it is acknowledged."""

    def __init__(self, source, servers, stopping):
        super().__init__(daemon=True)
        self.source, self.stopping, self.giving_up = source, stopping, _Patience(stopping, LAST_SECONDS_MAX)
        self.routes = Routes(servers, source.chance.random())
        self.channel, self.refusal = None, ""

    def run(self):
        pb = self.source.stubs
        producer = self.insist(lambda channel: pb.transaction_grpc.TransactionServiceStub(channel).InitProducer,
                               pb.transaction.InitProducerRequest())
        sequences = [0] * self.source.partitions
        while producer and not self.stopping.is_set():
            self.source.wait(self.stopping)
            id_, partition, values, request = self.source.next()
            request.batch.producer.producer_id = producer.producer_id
            request.batch.producer.epoch = producer.epoch
            request.batch.producer.base_sequence = sequences[partition]
            sequences[partition] += len(values)
            answer = self.insist(lambda channel: pb.produce_grpc.ProduceServiceStub(channel).Produce, request)
            if answer:
                self.source.settle(id_, values, answer.results, self.source.order)
            else:
                self.source.history.unknown(self.source.order, id_, values, self.refusal or "stopped")
                break
        if self.channel:
            self.channel.close()

    def insist(self, method, request):
        """The answer; None when refused for good, or a while after being told to stop."""
        while not self.giving_up.is_set():
            if self.channel is None:
                self.channel = self.routes.connect(self.giving_up)
                continue
            try:
                return method(self.channel)(request, timeout=CALL_SECONDS)
            except grpc.RpcError as error:
                if error.code() not in PASSING:
                    self.refusal = reason_of(error)
                    return None
            self.channel.close()
            self.channel = None
            time.sleep(BACK_OFF_SECONDS)
        return None


class _Stream:
    """One ProduceStream from its opening to its end. After a failed item it goes on with Resume."""

    def __init__(self, source, stopping):
        self.source, self.stopping = source, stopping
        self.changed = threading.Condition()        # guards what follows, and the source
        self.in_flight = collections.OrderedDict()  # id -> (values, when it was sent)
        self.resumes = []                           # partitions
        self.ended = False

    def run(self, channel):
        call = self.source.stubs.produce_grpc.ProduceServiceStub(channel).ProduceStream(
            self.requests(self.source.chance.randrange(100, 600)))
        watchdog = threading.Thread(target=self.watch, args=[call], daemon=True)
        watchdog.start()
        reason = "ended in good order, without an answer"
        try:
            for response in call:
                self.on_response(response)
        except grpc.RpcError as error:
            reason = reason_of(error)
        with self.changed:
            self.ended = True
            self.changed.notify_all()
            for id_, (values, _) in self.in_flight.items():
                self.source.history.unknown(self.source.order, id_, values, reason)
            self.source.new_order()
        watchdog.join()

    def requests(self, count):
        """Called by the stream's sender."""
        pb = self.source.stubs.produce
        for _ in range(count):
            self.source.wait(self.stopping)
            with self.changed:
                self.changed.wait_for(lambda: self.ended or self.stopping.is_set() or
                                      len(self.in_flight) < IN_FLIGHT_MAX)
                if self.ended or self.stopping.is_set():
                    return
                resumes, self.resumes = self.resumes, []
                id_, _, values, request = self.source.next()
                self.in_flight[id_] = (values, time.monotonic())
            if resumes:
                resume = pb.Resume(topic=self.source.topic, partitions=sorted(set(resumes)))
                yield pb.ProduceStreamRequest(resume=resume)
            yield pb.ProduceStreamRequest(id=id_, produce=request)

    def on_response(self, response):
        with self.changed:
            for result in response.results:
                if result.id not in self.in_flight:
                    continue  # of a Resume
                values, _ = self.in_flight.pop(result.id)
                if result.HasField("error"):
                    self.source.note_failure(result.id, values, result.error.reason, self.source.order)
                else:
                    self.resumes += self.source.settle(result.id, values, result.results, self.source.order)
            self.changed.notify_all()

    def watch(self, call):
        """Gives up a stream whose broker is silent."""
        while True:
            with self.changed:
                if self.changed.wait_for(lambda: self.ended, timeout=0.2):
                    return
                oldest = next(iter(self.in_flight.values()), None)
                silent = oldest is not None and time.monotonic() - oldest[1] > CALL_SECONDS
            if silent:
                call.cancel()
