"""Readers of the cluster test: by single fetches, by subscription, and the final drain."""

import queue
import threading
import time

import grpc

from history import now
from routes import PASSING, Routes, open_channel, reason_of

CALL_SECONDS = 4
DRAIN_SECONDS_MAX = 60  # without reading anything


def fetch(stubs, stub, topic, partition, from_, wait_ms):
    return stub.Fetch(stubs.consume.FetchRequest(topic=topic, partition=partition, offset=from_, max_wait_ms=wait_ms,
                                                 max_bytes=1 << 20), timeout=CALL_SECONDS)


class Reader(threading.Thread):
    def __init__(self, name, stubs, history, topic, partitions, servers, stopping):
        super().__init__(daemon=True)
        self.reader, self.stubs, self.history = name, stubs, history
        self.topic, self.partitions, self.stopping = topic, partitions, stopping
        self.routes = Routes(servers, name)
        self.positions = [0] * partitions


class FetchReader(Reader):
    """From the beginning on, partition by partition; now and then it reads again what it has read."""

    def run(self):
        partition, chance = 0, self.routes.random
        while channel := self.routes.connect(self.stopping):
            stub = self.stubs.consume_grpc.ConsumeServiceStub(channel)
            for _ in range(100):
                if self.stopping.is_set():
                    break
                partition = (partition + 1) % self.partitions
                position = self.positions[partition]
                again = position > 0 and chance.random() < 0.05
                if not self.read(stub, partition, chance.randrange(position) if again else position, again):
                    self.stopping.wait(0.02)
                    break
            channel.close()

    def read(self, stub, partition, from_, again):
        begun = now()
        try:
            answer = fetch(self.stubs, stub, self.topic, partition, from_, 50)
        except grpc.RpcError as error:
            if error.code() not in PASSING:
                self.history.refused(self.reader, partition, from_, reason_of(error), error.details())
            return False
        self.history.poll(self.reader, begun, from_, answer)
        if not again:
            self.positions[partition] = answer.next_offset
        return True


class SubscribeReader(Reader):
    """All partitions by one stream, through one broker after another."""

    def run(self):
        while channel := self.routes.connect(self.stopping):
            self.stream(self.stubs.consume_grpc.ConsumeServiceStub(channel))
            channel.close()
            self.stopping.wait(0.02)

    def stream(self, stub):
        pb = self.stubs.consume
        requests = queue.SimpleQueue()
        start = pb.SubscribeStart(credit_bytes=256 << 10, max_message_bytes=64 << 10, idle_interval_ms=100)
        topic = start.topics.add(topic=self.topic)
        for partition, position in enumerate(self.positions):
            topic.partitions.add(partition=partition, offset=position)
        requests.put(pb.SubscribeRequest(start=start))
        begun, self.heard = now(), time.monotonic()
        call = stub.Subscribe(iter(requests.get, None))
        ended = threading.Event()
        seconds = self.routes.random.uniform(3, 15)
        watchdog = threading.Thread(target=self.watch, args=[call, ended, seconds], daemon=True)
        watchdog.start()
        try:
            for response in call:
                self.heard = time.monotonic()
                self.on_response(response, begun, requests)
        except grpc.RpcError as error:
            if error.code() not in PASSING:
                self.history.refused(self.reader, None, None, reason_of(error), error.details())
        ended.set()
        requests.put(None)
        watchdog.join()

    def on_response(self, response, begun, requests):
        kind = response.WhichOneof("response")
        if kind == "failure":
            failure = response.failure
            self.history.refused(self.reader, failure.partition, failure.next_offset, failure.error.reason,
                                 failure.error.message)
        elif kind == "delivery":
            delivery = response.delivery
            self.history.poll(self.reader, begun, self.positions[delivery.partition], delivery)
            self.positions[delivery.partition] = delivery.next_offset
            requests.put(self.stubs.consume.SubscribeRequest(
                credit=self.stubs.consume.Credit(bytes=delivery.credit_bytes)))

    def watch(self, call, ended, seconds):
        """Ends the stream when it is silent, when it is over, and after a while."""
        until = time.monotonic() + seconds
        while not ended.wait(0.1):
            if self.stopping.is_set() or time.monotonic() > until or time.monotonic() - self.heard > CALL_SECONDS:
                call.cancel()
                return


class Drain:
    """Reads everything once through one broker. `wrong` says what went wrong, or None."""

    def __init__(self, name, stubs, history, topic, partitions, server):
        self.name, self.stubs, self.history, self.topic, self.server = name, stubs, history, topic, server
        self.deadline = time.monotonic() + DRAIN_SECONDS_MAX
        self.wrong = None
        with open_channel(server) as channel:
            self.stub = stubs.consume_grpc.ConsumeServiceStub(channel)
            for partition in range(partitions):
                self.wrong = self.wrong or self.read(partition)

    def insist(self, call):
        """What it returns, however often it takes; None when it is refused, or time is up."""
        while True:
            try:
                return call()
            except grpc.RpcError as error:
                if error.code() not in PASSING or time.monotonic() > self.deadline:
                    self.wrong = f"{self.name}, through {self.server}: {reason_of(error)}: {error.details()}"
                    return None
            time.sleep(0.05)

    def end_of(self, partition):
        """A leader that was just elected may serve less than is committed; it says where the end is when it knows."""
        pb = self.stubs.consume
        request = pb.ListOffsetsRequest(topic=self.topic, partitions=[partition],
                                        position=self.stubs.types.POSITION_LATEST)
        while time.monotonic() < self.deadline:
            answer = self.insist(lambda: self.stub.ListOffsets(request, timeout=CALL_SECONDS))
            if answer is None:
                return None
            if not answer.offsets[0].HasField("error"):
                return answer.offsets[0].offset
            time.sleep(0.05)
        self.wrong = f"{self.name}: nobody knows where partition {partition} ends: {answer.offsets[0].error.message}"
        return None

    def read(self, partition):
        end, from_ = self.end_of(partition), 0
        while end is not None and from_ < end:
            begun = now()
            answer = self.insist(lambda: fetch(self.stubs, self.stub, self.topic, partition, from_, 50))
            if answer is None:
                break
            if answer.next_offset > from_:
                self.history.poll(self.name, begun, from_, answer, drain=True)
                from_, self.deadline = answer.next_offset, time.monotonic() + DRAIN_SECONDS_MAX
            elif time.monotonic() > self.deadline:
                return f"{self.name} stands still at {from_} of partition {partition}, which ends at {end}"
        return self.wrong
