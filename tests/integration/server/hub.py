"""Starts real narud processes for the tests beside this file, and speaks to them by stubs made from proto/.

Needs protoc, grpc_python_plugin and Python's grpc and protobuf packages.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.error
import urllib.request

import grpc

HERE = os.path.dirname(os.path.abspath(__file__))
PROTO = os.path.join(HERE, "../../../proto")
NARUD = os.environ.get("NARUD", os.path.join(HERE, "../../../build/release/bin/narud"))
SERVICES = ["naru.v1.ProduceService", "naru.v1.ConsumeService", "naru.v1.AdminService", "naru.v1.ClusterService",
            "naru.v1.GroupService", "naru.v1.TransactionService"]
SKIPPED = 77  # exit code: SKIP_RETURN_CODE in CMakeLists.txt
DEADLINE = 30  # seconds, for every call and every wait

# Small files, so that a test needs little disk; every event, as JSON.
OPTIONS = ["--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--segment-bytes", "4MiB", "--checkpoint-bytes", "4MiB",
           "--disk-reserve", "0", "--retention-check-interval", "50ms", "--log-format", "json"]


class Stubs:
    """The generated modules: Stubs.types, Stubs.produce, …"""


def _generate():
    folder = tempfile.mkdtemp(prefix="naru-stubs-")
    try:
        names = ["types", "produce", "consume", "admin", "cluster", "group", "transaction"]
        plugin = shutil.which("grpc_python_plugin")
        subprocess.run(["protoc", "-I", PROTO, "--python_out", folder, "--grpc_python_out", folder,
                        f"--plugin=protoc-gen-grpc_python={plugin}"] + [f"naru/v1/{name}.proto" for name in names],
                       check=True)
        sys.path.insert(0, folder)
        for name in names:
            setattr(Stubs, name, __import__(f"naru.v1.{name}_pb2", fromlist=["x"]))
            setattr(Stubs, name + "_grpc", __import__(f"naru.v1.{name}_pb2_grpc", fromlist=["x"]))
    finally:
        shutil.rmtree(folder)


_generate()


def wait_until(condition, what, seconds=DEADLINE):
    """Looks at the condition until it is true, and returns what it said."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.005)


class Narud:
    """One process. Its events are collected as they come."""

    def __init__(self, *options):
        self.process = subprocess.Popen([NARUD, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.lines = []
        self.events = []
        self.listening = threading.Event()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stderr:
            self.lines.append(line)
            if line.startswith("{"):
                event = json.loads(line)
                self.events.append(event)
                if event["event"] == "listening":
                    self.ready = event
                    self.listening.set()
        self.listening.set()

    def wait_exit(self, seconds=DEADLINE):
        status = self.process.wait(timeout=seconds)
        self.reader.join()
        self.process.stdout.close()
        self.process.stderr.close()
        return status

    def output(self):
        return "".join(self.lines)

    def resident_peak_bytes(self):
        with open(f"/proc/{self.process.pid}/status", encoding="utf-8") as f:
            for line in f:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
        raise AssertionError("no VmHWM")


class Hub(Narud):
    """A process that serves, and stubs for it."""

    def __init__(self, data_dir, *options):
        super().__init__("--data-dir", data_dir, *OPTIONS, *options)
        if not self.listening.wait(DEADLINE) or not hasattr(self, "ready"):
            self.kill()
            raise AssertionError("narud did not start:\n" + self.output())
        self.address = self.ready["address"]
        self.http = self.ready["http"]
        self.channel = self.connect()
        self.produce = Stubs.produce_grpc.ProduceServiceStub(self.channel)
        self.consume = Stubs.consume_grpc.ConsumeServiceStub(self.channel)
        self.admin = Stubs.admin_grpc.AdminServiceStub(self.channel)
        self.cluster = Stubs.cluster_grpc.ClusterServiceStub(self.channel)
        self.group = Stubs.group_grpc.GroupServiceStub(self.channel)
        self.transaction = Stubs.transaction_grpc.TransactionServiceStub(self.channel)

    def connect(self):
        """A connection of its own."""
        return grpc.insecure_channel(self.address, options=[("grpc.use_local_subchannel_pool", 1),
                                                            ("grpc.enable_http_proxy", 0)])

    def terminate(self):
        """SIGTERM, and the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.wait_exit()

    def kill(self):
        if hasattr(self, "channel"):
            self.channel.close()
        if self.process.poll() is None:
            self.process.kill()
        self.wait_exit()

    def get(self, path):
        """(status, body) of a page."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(f"http://{self.http}{path}", timeout=DEADLINE) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def metric(self, name):
        """The value of a metric that has no labels."""
        for line in self.get("/metrics")[1].splitlines():
            if line.split(" ")[0] == name:
                return float(line.split(" ")[1])
        raise AssertionError(f"no metric {name}")

    def metric_of(self, name, method):
        """The value of a metric of one gRPC method."""
        for line in self.get("/metrics")[1].splitlines():
            if line.startswith(name + "{") and f'method="{method}"' in line:
                return float(line.rsplit(" ", 1)[1])
        raise AssertionError(f"no metric {name} of {method}")

    def serving(self, service):
        """What grpc.health.v1 says: 1 is SERVING, 2 NOT_SERVING."""
        check = self.channel.unary_unary("/grpc.health.v1.Health/Check")
        name = service.encode()
        answer = check(b"\x0a" + bytes([len(name)]) + name if name else b"", timeout=DEADLINE)
        return answer[1] if answer else 0

    def create_topic(self, name, partitions=1, **config):
        request = Stubs.admin.CreateTopicRequest(name=name, partition_count=partitions,
                                                 config=Stubs.admin.TopicConfig(**config))
        return self.admin.CreateTopic(request, timeout=DEADLINE).topic

    def send(self, topic, *values, partition=0):
        """Appends one batch and returns its base offset."""
        records = [Stubs.types.Record(value=value) for value in values]
        request = Stubs.produce.ProduceRequest(topic=topic, partition=partition,
                                               batch=Stubs.types.RecordBatch(records=records))
        return self.produce.Produce(request, timeout=DEADLINE).results[0].base_offset

    def fetch(self, topic, offset=0, partition=0, **fields):
        request = Stubs.consume.FetchRequest(topic=topic, partition=partition, offset=offset, **fields)
        return self.consume.Fetch(request, timeout=DEADLINE)

    def values(self, topic, partition=0):
        """All values of a partition, from its start."""
        values = []
        start = Stubs.consume.FetchRequest(topic=topic, partition=partition)
        answer = self.consume.Fetch(start, timeout=DEADLINE)
        while answer.records:
            values += [record.value for record in answer.records]
            answer = self.fetch(topic, answer.next_offset, partition)
        return values


def main():
    """As unittest.main, for tests that a machine may not be able to run: ctest shows them as skipped."""
    result = unittest.main(module="__main__", exit=False).result
    sys.exit(1 if not result.wasSuccessful() else SKIPPED if result.skipped else 0)


def reason_of(error):
    """naru-reason of a failed call."""
    return dict(error.trailing_metadata()).get("naru-reason")


class HubTest(unittest.TestCase):
    """A directory of its own for each test; hubs started in it end with it."""

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="naru-server-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.data = os.path.join(self.folder, "data")

    def start(self, *options, data=None):
        hub = Hub(data or self.data, *options)
        self.addCleanup(hub.kill)
        return hub

    def run_narud(self, *options):
        """Runs it to its end: (exit code, standard output, standard error)."""
        done = subprocess.run([NARUD, *options], capture_output=True, text=True, timeout=DEADLINE, check=False)
        return done.returncode, done.stdout, done.stderr
