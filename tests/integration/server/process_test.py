#!/usr/bin/env python3
"""How the process starts, stops and comes back."""

import glob
import os
import queue
import signal
import threading
import time
import unittest

import grpc

import hub
from hub import Stubs


class StartUp(hub.HubTest):

    def test_the_port_file_has_the_real_addresses(self):
        path = os.path.join(self.folder, "ports")
        with open(path, "w", encoding="utf-8") as f:
            f.write("listen=of:1\n")
        server = self.start("--port-file", path)
        with open(path, encoding="utf-8") as f:
            self.assertEqual(f.read(), f"listen={server.address}\nhttp={server.http}\n")

    def test_a_port_that_was_free_is_printed_whatever_the_log_level(self):
        ports = os.path.join(self.folder, "ports")
        process = hub.Narud("--data-dir", self.data, "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0",
                            "--log-level", "error", "--port-file", ports)
        self.addCleanup(lambda: process.process.poll() is None and process.process.kill())
        printed = process.process.stdout.readline() + process.process.stdout.readline()
        self.assertRegex(printed, r"\Alisten=127\.0\.0\.1:[1-9]\d*\nhttp=127\.0\.0\.1:[1-9]\d*\n\Z")
        with open(ports, encoding="utf-8") as f:
            self.assertEqual(f.read(), printed)
        process.process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait_exit(), 0)

    def test_a_second_process_on_the_directory_is_refused_and_the_first_is_named(self):
        ports = os.path.join(self.folder, "ports")
        server = self.start("--port-file", ports)
        status, _, errors = self.run_narud("--data-dir", self.data, "--listen", "127.0.0.1:0", "--http", "off",
                                           "--log-level", "error", "--port-file", ports)
        self.assertEqual(status, 1)
        self.assertEqual(errors.count("\n"), 1, errors)
        self.assertIn(str(server.process.pid), errors)
        self.assertIn(self.data, errors)
        self.assertTrue(os.path.exists(ports), "the first one's port file is not the second one's to remove")
        server.create_topic("unharmed")

    def test_an_address_in_use_is_refused(self):
        server = self.start()
        other = os.path.join(self.folder, "other")
        for flag, address in (("--listen", server.address), ("--http", server.http)):
            options = {"--listen": "127.0.0.1:0", "--http": "127.0.0.1:0", flag: address}
            status, _, errors = self.run_narud("--data-dir", other, "--log-level", "warning",
                                               *[word for pair in options.items() for word in pair])
            self.assertEqual(status, 1)
            self.assertEqual(errors.count("\n"), 1, errors)
            self.assertIn(f"{flag}: cannot listen on {address}: Address already in use", errors)

    def test_wrong_usage_is_refused_in_one_line(self):
        for options in (["--no-such-option"], ["--memory-limit", "1KiB"], ["stray"], ["--config", "/nowhere.yaml"]):
            status, output, errors = self.run_narud("--data-dir", self.data, *options)
            self.assertEqual((status, output, errors.count("\n")), (2, "", 1), errors)
        self.assertFalse(os.path.exists(self.data))

    def test_a_directory_of_something_else_is_refused(self):
        os.mkdir(self.data)
        open(os.path.join(self.data, "thesis.txt"), "w", encoding="utf-8").close()
        status, _, errors = self.run_narud("--data-dir", self.data, "--listen", "127.0.0.1:0", "--http", "off")
        self.assertEqual(status, 2)
        self.assertIn("thesis.txt", errors)

    def test_sources_are_flags_then_file_then_environment(self):
        config = os.path.join(self.folder, "narud.yaml")
        with open(config, "w", encoding="utf-8") as f:
            f.write("log_level: error\ndrain_timeout: 3s\n")
        os.environ.update(NARU_DRAIN_TIMEOUT="4s", NARU_LOG_LEVEL="debug", NARU_TAIL_CACHE="17MiB")
        self.addCleanup(lambda: [os.environ.pop(n) for n in ("NARU_DRAIN_TIMEOUT", "NARU_LOG_LEVEL", "NARU_TAIL_CACHE")])
        status, output, _ = self.run_narud("--config", config, "--log-level", "warning", "--print-config")
        self.assertEqual(status, 0)
        self.assertIn("log_level: warning  # from --log-level", output)
        self.assertIn(f"drain_timeout: 3s  # from {config}:2", output)
        self.assertIn("tail_cache: 17MiB  # from NARU_TAIL_CACHE", output)

    def test_help_and_version_print_and_exit(self):
        self.assertEqual(self.run_narud("--help")[0], 0)
        status, output, _ = self.run_narud("--version")
        self.assertEqual(status, 0)
        self.assertRegex(output, r"^narud \d+\.\d+\.\d+\n$")


class ShutDown(hub.HubTest):

    def test_sigterm_ends_calls_in_flight_and_exits_0(self):
        server = self.start("--drain-timeout", "20s")
        server.create_topic("t")
        server.send("t", b"first")
        poll = server.consume.Fetch.future(Stubs.consume.FetchRequest(topic="t", offset=1, max_wait_ms=60_000),
                                           timeout=120)
        requests = queue.SimpleQueue()
        requests.put(Stubs.consume.SubscribeRequest(start=Stubs.consume.SubscribeStart(
            topics=[Stubs.consume.TopicSubscription(topic="t")])))
        subscription = server.consume.Subscribe(iter(requests.get, None))
        self.assertEqual(next(subscription).delivery.records[0].value, b"first")
        items = queue.SimpleQueue()
        results = server.produce.ProduceStream(iter(items.get, None))
        batch = Stubs.types.RecordBatch(records=[Stubs.types.Record(value=b"streamed")])
        items.put(Stubs.produce.ProduceStreamRequest(
            id=7, produce=Stubs.produce.ProduceRequest(topic="t", partition=0, batch=batch)))
        self.assertEqual(next(results).results[0].id, 7)

        begun = time.monotonic()
        self.assertEqual(server.terminate(), 0)
        self.assertLess(time.monotonic() - begun, 15, "streams must not hold the drain up")
        for call in (poll, subscription, results):
            wait_for_end(call)
            self.assertIn(call.code(), (grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE), call)
        requests.put(None)
        items.put(None)
        self.assertEqual(self.start().values("t"), [b"first", b"streamed"])

    def test_produces_that_are_answered_while_it_stops_are_there_after_the_next_start(self):
        server = self.start()
        server.create_topic("t")
        acked = []
        stop = threading.Event()

        def produce():
            while not stop.is_set():
                value = b"%d" % len(acked)
                try:
                    server.send("t", value)
                except grpc.RpcError:
                    return
                acked.append(value)

        thread = threading.Thread(target=produce)
        thread.start()
        hub.wait_until(lambda: len(acked) > 100, "acks")
        self.assertEqual(server.terminate(), 0)
        stop.set()
        thread.join()
        kept = self.start().values("t")
        self.assertEqual(kept[:len(acked)], acked)
        self.assertLessEqual(len(kept), len(acked) + 1)

    def test_a_second_signal_ends_it_at_once(self):
        server = self.start("--drain-timeout", "1h")
        server.create_topic("t", max_record_bytes=1 << 20)
        for _ in range(16):
            server.send("t", os.urandom(1 << 19))
        # A reader that does not read keeps its stream from ending.
        requests = queue.SimpleQueue()
        requests.put(Stubs.consume.SubscribeRequest(start=Stubs.consume.SubscribeStart(
            topics=[Stubs.consume.TopicSubscription(topic="t")])))
        held = server.consume.Subscribe(iter(requests.get, None))
        next(held)
        server.process.send_signal(signal.SIGTERM)
        hub.wait_until(lambda: server.get("/readyz")[0] == 503, "the drain")
        self.assertEqual(server.get("/readyz")[1], "draining\n")
        server.process.send_signal(signal.SIGTERM)
        self.assertEqual(server.wait_exit(), 128 + signal.SIGTERM)
        requests.put(None)
        held.cancel()

    def test_health_watches_and_calls_without_an_end_do_not_hold_it_up(self):
        server = self.start("--drain-timeout", "1h")
        watch = server.channel.unary_stream("/grpc.health.v1.Health/Watch")(b"")
        next(watch)
        never = queue.SimpleQueue()
        call = server.channel.stream_unary("/naru.v1.AdminService/ListTopics").future(iter(never.get, None))
        self.assertEqual(server.terminate(), 0)
        never.put(None)
        call.cancel()

    def test_health_follows_the_life_of_the_server(self):
        server = self.start()
        self.assertEqual(server.get("/healthz")[0], 200)
        self.assertEqual(server.get("/readyz"), (200, "ready\n"))
        for service in ["", *hub.SERVICES]:
            self.assertEqual(server.serving(service), 1, service)


class Restart(hub.HubTest):

    def test_acked_records_survive_kill_9(self):
        server = self.start()
        server.create_topic("t", partitions=2)
        for i in range(200):
            server.send("t", b"%d" % i, partition=i % 2)
        server.kill()
        again = self.start()
        for partition in (0, 1):
            self.assertEqual(again.values("t", partition), [b"%d" % i for i in range(partition, 200, 2)])
        again.send("t", b"more")

    def test_topics_and_their_ids_survive(self):
        server = self.start()
        made = server.create_topic("t", partitions=5, retention_ms=12345)
        self.assertEqual(server.terminate(), 0)
        found = self.start().admin.GetTopic(Stubs.admin.GetTopicRequest(name="t"), timeout=hub.DEADLINE).topic
        self.assertEqual((found.topic_id, found.partition_count, found.config.retention_ms), (made.topic_id, 5, 12345))

    def test_damage_is_refused_and_salvage_saves_the_rest(self):
        server = self.start()
        server.create_topic("whole")
        server.create_topic("hit")
        server.send("whole", b"before")
        server.send("hit", b"lost" * 5000)
        for i in range(20):
            server.send("whole", b"%d" % i * 1000)
            server.send("hit", b"%d" % i * 1000)
        whole = server.values("whole")
        server.kill()
        undamaged = os.path.join(self.folder, "undamaged")
        status, output, errors = self.run_narud("salvage", "--from", self.data, "--to", undamaged)
        self.assertEqual(status, 0, output + errors)
        self.assertNotIn("damage: ", output)

        self._damage(b"lost" * 5000)
        for index in glob.glob(os.path.join(self.data, "store", "index", "*")):
            os.unlink(index)

        status, _, errors = self.run_narud("--data-dir", self.data, "--listen", "127.0.0.1:0", "--http", "off",
                                           "--log-level", "error")
        self.assertEqual(status, 1)
        self.assertIn("narud salvage", errors)

        saved = os.path.join(self.folder, "saved")
        status, output, errors = self.run_narud("salvage", "--from", self.data, "--to", saved)
        self.assertEqual(status, 3, errors)
        self.assertIn("damage: ", output)
        again = self.start(data=saved)
        self.assertEqual(again.values("whole"), whole)
        self.assertEqual(again.values("hit"), [b"%d" % i * 1000 for i in range(20)])
        again.send("hit", b"new")

    def _damage(self, value):
        """Flips one bit in the middle of a value, wherever a segment has it."""
        hit = 0
        for path in glob.glob(os.path.join(self.data, "store", "segments", "*")):
            with open(path, "r+b") as f:
                data = f.read()
                at = data.find(value)
                if at >= 0:
                    f.seek(at + len(value) // 2)
                    f.write(bytes([data[at + len(value) // 2] ^ 1]))
                    hit += 1
        self.assertEqual(hit, 1)


def wait_for_end(call):
    try:
        if hasattr(call, "result") and not hasattr(call, "__next__"):
            call.result()
        else:
            for _ in call:
                pass
    except grpc.RpcError:
        pass


if __name__ == "__main__":
    unittest.main()
