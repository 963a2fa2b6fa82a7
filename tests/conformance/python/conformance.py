#!/usr/bin/env python3
"""What the API promises, to whoever has nothing but stubs generated from proto/.

  conformance.py --narud build/release/bin/narud [-v] [TestName...]

Makes stubs with protoc into a temporary directory, starts a hub of its own on a free port, and talks to it. Needs
protoc, grpc_python_plugin and Python's grpc and protobuf packages; nothing of naru but the .proto files.
"""

import argparse
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import grpc

HERE = os.path.dirname(os.path.abspath(__file__))
PROTO = os.path.join(HERE, "../../../proto")
EXAMPLES = os.path.join(HERE, "../../../clients/python")
DEADLINE = 20  # seconds, for every call

pb = None  # the generated modules: pb.types, pb.produce, ...
hub = None
STUBS = None  # their folder


def generate_stubs(folder):
    """Runs protoc on the public API, and imports what it made."""
    names = ["types", "produce", "consume", "admin", "cluster", "group", "transaction"]
    plugin = shutil.which("grpc_python_plugin")
    subprocess.run(["protoc", "-I", PROTO, "--python_out", folder, "--grpc_python_out", folder,
                    f"--plugin=protoc-gen-grpc_python={plugin}"] + [f"naru/v1/{name}.proto" for name in names],
                   check=True)
    sys.path.insert(0, folder)
    global pb, STUBS
    STUBS = folder
    pb = type("Stubs", (), {})()
    for name in names:
        setattr(pb, name, __import__(f"naru.v1.{name}_pb2", fromlist=["x"]))
        setattr(pb, name + "_grpc", __import__(f"naru.v1.{name}_pb2_grpc", fromlist=["x"]))


class Hub:
    """A narud on a fresh directory."""

    def __init__(self, narud, folder):
        port_file = os.path.join(folder, "ports")
        self.process = subprocess.Popen([narud, "--data-dir", os.path.join(folder, "data"), "--listen", "127.0.0.1:0",
                                         "--http", "off", "--port-file", port_file, "--log-level", "warning"])
        deadline = time.monotonic() + 30
        while not os.path.exists(port_file):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit("the hub did not start")
            time.sleep(0.01)
        with open(port_file, encoding="utf-8") as f:
            self.address = dict(line.strip().split("=", 1) for line in f)["listen"]
        self.channel = grpc.insecure_channel(self.address, options=[("grpc.enable_http_proxy", 0)])
        self.produce = pb.produce_grpc.ProduceServiceStub(self.channel)
        self.consume = pb.consume_grpc.ConsumeServiceStub(self.channel)
        self.admin = pb.admin_grpc.AdminServiceStub(self.channel)
        self.cluster = pb.cluster_grpc.ClusterServiceStub(self.channel)
        self.group = pb.group_grpc.GroupServiceStub(self.channel)
        self.transaction = pb.transaction_grpc.TransactionServiceStub(self.channel)

    def stop(self):
        self.channel.close()
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60)


class Requests:
    """The requests of a bidirectional stream: put() them, close() to half-close."""

    def __init__(self, *first):
        self.queue = queue.SimpleQueue()
        for request in first:
            self.put(request)

    def put(self, request):
        self.queue.put(request)

    def close(self):
        self.queue.put(None)

    def __iter__(self):
        return self

    def __next__(self):
        request = self.queue.get()
        if request is None:
            raise StopIteration
        return request


def record(value=b"v", **fields):
    return pb.types.Record(value=value, **fields)


def values(answer):
    return [r.value for r in answer.records]


class HubTest(unittest.TestCase):
    """A topic of its own for each test."""

    partitions = 1

    def setUp(self):
        self.topic = self.id().split(".")[-1]
        self.made = hub.admin.CreateTopic(
            pb.admin.CreateTopicRequest(name=self.topic, partition_count=self.partitions), timeout=DEADLINE).topic

    def produce(self, *records, **fields):
        request = pb.produce.ProduceRequest(topic=self.topic, batch=pb.types.RecordBatch(records=records), **fields)
        return hub.produce.Produce(request, timeout=DEADLINE).results

    def fetch(self, **fields):
        return hub.consume.Fetch(pb.consume.FetchRequest(topic=self.topic, **fields), timeout=DEADLINE)

    def fails(self, code, reason, call):
        """The call fails with this code and reason, also as plain trailers; returns the error."""
        with self.assertRaises(grpc.RpcError) as caught:
            call()
        error = caught.exception
        self.assertEqual(error.code(), code, error.details())
        trailers = dict(error.trailing_metadata())
        self.assertEqual(trailers.get("naru-reason"), reason, error.details())
        self.assertIn(b"type.googleapis.com/google.rpc.ErrorInfo", trailers["grpc-status-details-bin"])
        self.assertIn(reason.encode(), trailers["grpc-status-details-bin"])
        return error


class ProduceTest(HubTest):
    partitions = 3

    def test_offsets_of_a_partition_follow_each_other(self):
        first, = self.produce(record(b"a"), record(b"b"), partition=1)
        self.assertEqual((first.partition, first.base_offset, first.next_offset), (1, 0, 2))
        second, = self.produce(record(b"c"), partition=1)
        self.assertEqual((second.base_offset, second.next_offset), (2, 3))
        self.assertGreaterEqual(second.append_time_ms, first.append_time_ms)

    def test_records_of_a_key_go_to_one_partition_in_order(self):
        keys = [b"order-%d" % (i % 5) for i in range(50)]
        results = self.produce(*[record(b"%d" % i, key=key) for i, key in enumerate(keys)])
        partition_of = {}
        for result in results:
            for index in result.record_indexes or range(len(keys)):
                self.assertEqual(partition_of.setdefault(keys[index], result.partition), result.partition)
            self.assertEqual(list(result.record_indexes), sorted(result.record_indexes))
        self.assertEqual(sum(len(r.record_indexes) or len(keys) for r in results), len(keys))
        for result in results:
            self.assertEqual(values(self.fetch(partition=result.partition)),
                             [b"%d" % i for i in result.record_indexes or range(len(keys))])

    def test_keys_are_mapped_as_kafka_does(self):
        # murmur2 of Kafka's own test vectors: "21" -> -973932308, "foobar" -> -790332482, "abc" -> 479470107.
        for key, murmur2 in [(b"21", -973932308), (b"foobar", -790332482), (b"abc", 479470107)]:
            result, = self.produce(record(key=key))
            self.assertEqual(result.partition, (murmur2 & 0x7fffffff) % self.partitions)
            result, = self.produce(record(), partition_key=key)
            self.assertEqual(result.partition, (murmur2 & 0x7fffffff) % self.partitions)

    def test_batches_without_keys_take_turns(self):
        used = [self.produce(record())[0].partition for _ in range(7)]
        self.assertEqual(sorted(used.count(p) for p in range(3)), [2, 2, 3])

    def test_expected_offset_lets_one_of_two_writers_win(self):
        self.produce(record(), partition=0, expected_offset=0)
        error = self.fails(grpc.StatusCode.FAILED_PRECONDITION, "EXPECTED_OFFSET_MISMATCH",
                           lambda: self.produce(record(), partition=0, expected_offset=0))
        self.assertIn("expected_offset", error.details())
        self.produce(record(), partition=0, expected_offset=1)

    def test_acks_none_answers_without_offsets_and_the_record_comes(self):
        self.assertEqual(len(self.produce(record(b"quick"), partition=0, acks=pb.types.ACKS_NONE)), 0)
        self.assertEqual(values(self.fetch(partition=0, max_wait_ms=10_000)), [b"quick"])

    def test_a_stream_answers_every_item_and_keeps_order(self):
        requests = Requests()
        for i in range(200):
            requests.put(pb.produce.ProduceStreamRequest(id=i, produce=pb.produce.ProduceRequest(
                topic=self.topic, partition=i % 3, batch=pb.types.RecordBatch(records=[record(b"%d" % i)]))))
        requests.close()
        answered = [r for answer in hub.produce.ProduceStream(requests, timeout=DEADLINE) for r in answer.results]
        self.assertEqual(sorted(r.id for r in answered), list(range(200)))
        self.assertFalse([r for r in answered if r.HasField("error")])
        for partition in range(3):
            self.assertEqual(values(self.fetch(partition=partition)),
                             [b"%d" % i for i in range(200) if i % 3 == partition])

    def test_after_a_failed_item_its_partition_waits_for_resume(self):
        def item(number, partition, **fields):
            return pb.produce.ProduceStreamRequest(id=number, produce=pb.produce.ProduceRequest(
                topic=self.topic, partition=partition, batch=pb.types.RecordBatch(records=[record(b"%d" % number)]),
                **fields))

        def reasons(result):
            return [e.reason for e in [result.error] + [r.error for r in result.results] if e.reason]

        requests = Requests(item(1, 0, expected_offset=7), item(2, 0), item(3, 1))
        answers = hub.produce.ProduceStream(requests, timeout=DEADLINE)
        found = {}
        while len(found) < 3:
            found.update((r.id, r) for r in next(answers).results)
        self.assertEqual(reasons(found[1]), ["EXPECTED_OFFSET_MISMATCH"])
        self.assertEqual(reasons(found[2]), ["STREAM_ITEM_SKIPPED"])
        self.assertEqual(reasons(found[3]), [])
        requests.put(pb.produce.ProduceStreamRequest(id=4, resume=pb.produce.Resume(topic=self.topic)))
        requests.put(item(5, 0))
        requests.close()
        for answer in answers:
            found.update((r.id, r) for r in answer.results)
        self.assertEqual(reasons(found[4]) + reasons(found[5]), [])
        self.assertEqual(values(self.fetch(partition=0)), [b"5"])


class FetchTest(HubTest):
    def test_records_come_as_they_were_sent(self):
        sent = pb.types.Record(key=b"k", value=b'{"temperature": 21.5}', timestamp_ms=1_700_000_000_123, headers=[
            pb.types.Header(key="content-type", value=b"application/json"),
            pb.types.Header(key="trace", value=b"\x00\xff"), pb.types.Header(key="trace", value=b"again")])
        self.produce(sent, partition=0)
        received, = self.fetch(partition=0).records
        self.assertEqual(received.offset, 0)
        received.ClearField("offset")
        self.assertEqual(received, sent)

    def test_absent_and_empty_are_not_the_same(self):
        self.produce(pb.types.Record(), pb.types.Record(key=b"", value=b""), partition=0)
        absent, empty = self.fetch(partition=0).records
        self.assertFalse(absent.HasField("key") or absent.HasField("value"))
        self.assertTrue(empty.HasField("key") and empty.HasField("value"))

    def test_a_read_begins_in_the_middle_of_a_batch_and_stops_at_end_offset(self):
        self.produce(*[record(b"%d" % i) for i in range(10)], partition=0)
        answer = self.fetch(partition=0, offset=3, end_offset=7)
        self.assertEqual([(r.offset, r.value) for r in answer.records], [(i, b"%d" % i) for i in range(3, 7)])
        self.assertEqual((answer.next_offset, answer.high_watermark, answer.log_start_offset), (7, 10, 0))

    def test_reading_removes_nothing(self):
        self.produce(record(b"a"), partition=0)
        self.assertEqual(values(self.fetch(partition=0)), values(self.fetch(partition=0, offset=0)))

    def test_max_records_cuts_the_answer(self):
        self.produce(*[record() for _ in range(10)], partition=0)
        answer = self.fetch(partition=0, max_records=4)
        self.assertEqual((len(answer.records), answer.next_offset), (4, 4))

    def test_a_long_poll_wakes_when_a_record_comes(self):
        begin = time.monotonic()
        waiting = hub.consume.Fetch.future(
            pb.consume.FetchRequest(topic=self.topic, offset=0, max_wait_ms=15_000), timeout=DEADLINE)
        self.produce(record(b"now"), partition=0)
        self.assertEqual(values(waiting.result()), [b"now"])
        self.assertLess(time.monotonic() - begin, 10)

    def test_a_long_poll_without_records_ends_by_itself(self):
        answer = self.fetch(partition=0, max_wait_ms=50)
        self.assertEqual((len(answer.records), answer.next_offset), (0, 0))

    def test_a_compressed_batch_is_delivered_as_plain_records(self):
        import gzip
        plain = pb.types.RecordBatch(records=[record(b"%d" % i) for i in range(5)])
        batch = pb.types.RecordBatch(compression=pb.types.COMPRESSION_GZIP, record_count=5,
                                     compressed=gzip.compress(plain.SerializeToString()))
        hub.produce.Produce(pb.produce.ProduceRequest(topic=self.topic, partition=0, batch=batch), timeout=DEADLINE)
        self.assertEqual(values(self.fetch(partition=0, offset=2)), [b"2", b"3", b"4"])
        stored, = self.fetch(partition=0, offset=2, delivery=pb.types.DELIVERY_STORED_BATCHES).batches
        self.assertEqual((stored.base_offset, stored.next_offset), (0, 5))
        self.assertEqual(stored.batch, batch)

    def test_a_time_finds_the_first_record_at_or_after_it(self):
        self.produce(*[record(b"%d" % t, timestamp_ms=1000 * t) for t in range(1, 6)], partition=0)
        self.assertEqual(values(self.fetch(partition=0, timestamp_ms=2500)), [b"3", b"4", b"5"])

        def offset_at(**target):
            found, = hub.consume.ListOffsets(pb.consume.ListOffsetsRequest(topic=self.topic, **target),
                                             timeout=DEADLINE).offsets
            return found

        self.assertEqual((offset_at(timestamp_ms=3000).offset, offset_at(timestamp_ms=3000).timestamp_ms), (2, 3000))
        late = offset_at(timestamp_ms=9000)
        self.assertEqual((late.offset, late.HasField("timestamp_ms")), (5, False))
        self.assertEqual(offset_at(position=pb.types.POSITION_EARLIEST).offset, 0)
        self.assertEqual(offset_at(position=pb.types.POSITION_LATEST).offset, 5)

    def test_deleted_records_are_gone_and_offsets_stay(self):
        self.produce(*[record(b"%d" % i) for i in range(6)], partition=0)
        result, = hub.admin.DeleteRecords(pb.admin.DeleteRecordsRequest(topic=self.topic, partitions=[
            pb.admin.PartitionTruncation(partition=0, before_offset=4)]), timeout=DEADLINE).results
        self.assertEqual(result.log_start_offset, 4)
        self.assertEqual([(r.offset, r.value) for r in self.fetch(partition=0).records], [(4, b"4"), (5, b"5")])
        self.fails(grpc.StatusCode.OUT_OF_RANGE, "OFFSET_OUT_OF_RANGE", lambda: self.fetch(partition=0, offset=3))


class SubscribeTest(HubTest):
    partitions = 2

    def start(self, **fields):
        subscription = pb.consume.TopicSubscription(topic=self.topic, **fields.pop("subscription", {}))
        return pb.consume.SubscribeRequest(start=pb.consume.SubscribeStart(topics=[subscription], **fields))

    def test_a_stream_delivers_what_is_there_and_what_comes(self):
        self.produce(record(b"before"), partition=0)
        requests = Requests(self.start(idle_interval_ms=100))
        stream = hub.consume.Subscribe(requests, timeout=DEADLINE)
        seen = {}
        produced_more = False
        for answer in stream:
            if answer.WhichOneof("response") == "delivery":
                for r in answer.delivery.records:
                    seen[(answer.delivery.partition, r.offset)] = r.value
            if not produced_more and seen:
                self.produce(record(b"after"), partition=1)
                produced_more = True
            if len(seen) == 2:
                break
        requests.close()
        stream.cancel()
        self.assertEqual(seen, {(0, 0): b"before", (1, 0): b"after"})

    def test_without_credit_nothing_more_is_sent(self):
        for i in range(20):
            self.produce(record(b"x" * 1000), record(b"%d" % i), partition=0)
        requests = Requests(self.start(credit_bytes=1500, max_message_bytes=1100, idle_interval_ms=100))
        stream = hub.consume.Subscribe(requests, timeout=DEADLINE)
        position = 0
        # An Idle with no credit left says that the hub is waiting for us.
        for answer in stream:
            if answer.WhichOneof("response") == "delivery":
                self.assertEqual(answer.delivery.records[0].offset, position)
                position = answer.delivery.next_offset
            elif answer.idle.credit_bytes <= 0:
                break
        self.assertLess(position, 8)
        requests.put(pb.consume.SubscribeRequest(credit=pb.consume.Credit(bytes=1 << 20)))
        for answer in stream:
            if answer.WhichOneof("response") == "delivery":
                position = answer.delivery.next_offset
            if position == 40:
                break
        requests.close()
        stream.cancel()

    def test_a_stream_ends_when_every_end_offset_is_reached(self):
        for partition in range(2):
            self.produce(*[record(b"%d" % i) for i in range(5)], partition=partition)
        ends = [pb.consume.PartitionSubscription(partition=p, offset=1, end_offset=4) for p in range(2)]
        requests = Requests(self.start(subscription={"partitions": ends}))
        answers = list(hub.consume.Subscribe(requests, timeout=DEADLINE))
        requests.close()
        got = [(a.delivery.partition, r.offset) for a in answers if a.HasField("delivery") for r in a.delivery.records]
        self.assertEqual(sorted(got), [(p, o) for p in range(2) for o in range(1, 4)])
        self.assertEqual(sorted(a.end_reached.partition for a in answers if a.HasField("end_reached")), [0, 1])


class ErrorTest(HubTest):
    def test_an_unknown_topic_names_the_command_that_makes_it(self):
        request = pb.produce.ProduceRequest(topic="nowhere", batch=pb.types.RecordBatch(records=[record()]))
        error = self.fails(grpc.StatusCode.NOT_FOUND, "TOPIC_NOT_FOUND",
                           lambda: hub.produce.Produce(request, timeout=DEADLINE))
        self.assertIn("naru topic create nowhere", error.details())

    def test_errors_have_a_code_a_reason_and_name_the_field(self):
        invalid = grpc.StatusCode.INVALID_ARGUMENT
        for code, reason, call in [
            (invalid, "MALFORMED_BATCH", lambda: self.produce(partition=0)),
            (invalid, "MALFORMED_BATCH", lambda: self.produce(record(offset=1), partition=0)),
            (invalid, "MALFORMED_BATCH", lambda: self.produce(record(timestamp_ms=-1), partition=0)),
            (invalid, "RECORD_TOO_LARGE", lambda: self.produce(record(b"x" * (1 << 20)), partition=0)),
            (grpc.StatusCode.NOT_FOUND, "PARTITION_NOT_FOUND", lambda: self.fetch(partition=-1)),
            (invalid, "INVALID_FIELD", lambda: self.fetch(partition=0, max_wait_ms=60_001)),
            (grpc.StatusCode.NOT_FOUND, "PARTITION_NOT_FOUND", lambda: self.produce(record(), partition=1)),
            (grpc.StatusCode.NOT_FOUND, "PARTITION_NOT_FOUND", lambda: self.fetch(partition=1)),
            (grpc.StatusCode.OUT_OF_RANGE, "OFFSET_OUT_OF_RANGE", lambda: self.fetch(partition=0, offset=1)),
            (grpc.StatusCode.FAILED_PRECONDITION, "TOPIC_ID_MISMATCH",
             lambda: self.fetch(partition=0, topic_id=b"0123456789abcdef")),
            (grpc.StatusCode.ALREADY_EXISTS, "TOPIC_EXISTS",
             lambda: hub.admin.CreateTopic(pb.admin.CreateTopicRequest(name=self.topic), timeout=DEADLINE)),
        ]:
            with self.subTest(reason=reason):
                self.fails(code, reason, call)
        self.assertEqual(self.fetch(partition=0).high_watermark, 0)


class AdminTest(HubTest):
    def test_a_topic_is_described_changed_grown_listed_and_deleted(self):
        described = hub.admin.GetTopic(pb.admin.GetTopicRequest(name=self.topic), timeout=DEADLINE).topic
        self.assertEqual((described.topic_id, len(described.partitions)), (self.made.topic_id, 1))
        self.assertEqual(described.config.retention_ms, 604_800_000)

        changed = hub.admin.UpdateTopic(pb.admin.UpdateTopicRequest(
            name=self.topic, config=pb.admin.TopicConfig(retention_ms=60_000)), timeout=DEADLINE).topic
        self.assertEqual(changed.config.retention_ms, 60_000)
        grown = hub.admin.CreatePartitions(
            pb.admin.CreatePartitionsRequest(name=self.topic, partition_count=3), timeout=DEADLINE).topic
        self.assertEqual(grown.partition_count, 3)
        with self.assertRaises(grpc.RpcError):
            hub.admin.CreatePartitions(pb.admin.CreatePartitionsRequest(name=self.topic, partition_count=2),
                                       timeout=DEADLINE)
        listed = hub.admin.ListTopics(pb.admin.ListTopicsRequest(prefix=self.topic), timeout=DEADLINE).topics
        self.assertEqual([t.name for t in listed], [self.topic])

        hub.admin.DeleteTopic(pb.admin.DeleteTopicRequest(name=self.topic), timeout=DEADLINE)
        self.fails(grpc.StatusCode.NOT_FOUND, "TOPIC_NOT_FOUND",
                   lambda: hub.admin.GetTopic(pb.admin.GetTopicRequest(name=self.topic), timeout=DEADLINE))

    def test_metadata_says_who_leads_and_watching_it_shows_a_new_topic(self):
        metadata = hub.cluster.GetMetadata(pb.cluster.GetMetadataRequest(topics=[self.topic]), timeout=DEADLINE).metadata
        leader = metadata.topics[0].partitions[0].leader
        self.assertEqual({b.broker_id: b.address for b in metadata.brokers}[leader], hub.address)
        watch = hub.cluster.WatchMetadata(pb.cluster.WatchMetadataRequest(), timeout=DEADLINE)
        first = next(watch).metadata
        hub.admin.CreateTopic(pb.admin.CreateTopicRequest(name=self.topic + "-2"), timeout=DEADLINE)
        second = next(watch).metadata
        watch.cancel()
        self.assertGreater(second.version, first.version)
        self.assertIn(self.topic + "-2", [t.name for t in second.topics])


class Examples(unittest.TestCase):
    """The programs in clients/python, as their README says to use them."""

    def test_what_produce_writes_consume_prints(self):
        name = "examples"
        hub.admin.CreateTopic(pb.admin.CreateTopicRequest(name=name), timeout=DEADLINE)
        environment = dict(os.environ, PYTHONPATH=STUBS, PYTHONDONTWRITEBYTECODE="1", no_grpc_proxy="127.0.0.1")
        produced = subprocess.run([sys.executable, os.path.join(EXAMPLES, "produce.py"), name, hub.address],
                                  input="fr\tbonjour\nde\tguten Tag\nsalut\n", capture_output=True, text=True,
                                  env=environment, timeout=DEADLINE, check=False)
        self.assertEqual((produced.returncode, produced.stdout), (0, "3 records are on disk\n"), produced.stderr)
        once = subprocess.run([sys.executable, os.path.join(EXAMPLES, "produce_once.py"), name, hub.address],
                              input="ciao\n", capture_output=True, text=True, env=environment, timeout=DEADLINE,
                              check=False)
        self.assertEqual((once.returncode, once.stdout), (0, "1 records are on disk, each once\n"), once.stderr)
        reader = subprocess.Popen([sys.executable, os.path.join(EXAMPLES, "consume.py"), name, hub.address],
                                  stdout=subprocess.PIPE, text=True, env=environment)
        watchdog = threading.Timer(DEADLINE, reader.kill)
        watchdog.start()
        self.addCleanup(watchdog.cancel)
        self.addCleanup(reader.stdout.close)
        lines = [reader.stdout.readline() for _ in range(4)]
        reader.send_signal(signal.SIGINT)
        self.assertEqual(reader.wait(DEADLINE), 0)
        self.assertEqual(lines, ["0:0 fr bonjour\n", "0:1 de guten Tag\n", "0:2  salut\n", "0:3  ciao\n"])


def main(tests=__name__):
    """Runs the tests of a module against a hub that is made for them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--narud", required=True)
    parser.add_argument("-v", "--verbose", action="store_true")
    parser.add_argument("tests", nargs="*", help="all unless named, as Class or Class.test")
    options = parser.parse_args()
    global hub
    with tempfile.TemporaryDirectory(prefix="naru-conformance-") as folder:
        generate_stubs(folder)
        hub = Hub(options.narud, folder)
        try:
            program = unittest.main(module=tests, argv=[sys.argv[0]] + options.tests, exit=False,
                                    verbosity=2 if options.verbose else 1)
            passed = program.result.wasSuccessful()
        finally:
            status = hub.stop()
    if status != 0:
        print(f"the hub ended with {status} after SIGTERM")
    return 0 if passed and status == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
