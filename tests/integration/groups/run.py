#!/usr/bin/env python3
"""Lets members of one group come, go, hang and die under load, kills the hub in the middle, and checks what they saw.

  run.py --bin build/release/bin [--events 40] [--hub-kills 2] [--seed N] [--keep]

Members are processes of member.py; see there and in checker.py what they write down and what must hold. At the end
everybody goes on undisturbed, and the group's lag must be 0 within seconds.
"""

import argparse
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, "../../..")
sys.path.insert(0, HERE)
from checker import check, read_history  # noqa: E402

GROUP, TOPIC, PARTITIONS = "g", "t", 12
MEMBERS_MAX = 8
START_SECONDS_MAX = 60
QUIET_SECONDS_MAX = 30
RECORDS_A_SECOND = 2000
BATCH = 20
HUB_OPTIONS = ["--segment-bytes", "8MiB", "--checkpoint-bytes", "4MiB", "--disk-reserve", "0", "--http", "off",
               "--log-level", "warning"]


class Failure(Exception):
    """The run cannot go on; what is wrong is in the text."""


def wait_until(condition, seconds, what):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise Failure(f"{what}: not within {seconds} s")
        time.sleep(0.01)


def generate_stubs(folder):
    plugin = shutil.which("grpc_python_plugin")
    names = ["types", "produce", "consume", "admin", "group"]
    subprocess.run(["protoc", "-I", os.path.join(ROOT, "proto"), "--python_out", folder, "--grpc_python_out", folder,
                    f"--plugin=protoc-gen-grpc_python={plugin}"] + [f"naru/v1/{name}.proto" for name in names],
                   check=True)


class Hub:
    """A narud on one port and one directory, through any number of processes."""

    def __init__(self, narud, folder):
        self.narud, self.folder = narud, folder
        self.address_file = os.path.join(folder, "address")
        self.log = open(os.path.join(folder, "hub.log"), "ab")
        self.process = None

    def start(self):
        ports = os.path.join(self.folder, "ports")
        if os.path.exists(ports):
            os.unlink(ports)
        self.process = subprocess.Popen(
            [self.narud, "--data-dir", os.path.join(self.folder, "data"), "--listen", "127.0.0.1:0", "--port-file",
             ports] + HUB_OPTIONS, stdout=self.log, stderr=self.log)
        wait_until(lambda: self.alive() and os.path.exists(ports), START_SECONDS_MAX, "the hub's start")
        with open(ports, encoding="utf-8") as f:
            address = dict(line.strip().split("=", 1) for line in f)["listen"]
        with open(self.address_file + ".new", "w", encoding="utf-8") as f:
            f.write(address)
        os.rename(self.address_file + ".new", self.address_file)

    def alive(self):
        if self.process.poll() is not None:
            raise Failure(f"the hub ended by itself with {self.process.returncode}; see hub.log")
        return True

    def kill(self):
        self.alive()
        self.process.kill()
        self.process.wait()

    def channel(self):
        with open(self.address_file, encoding="utf-8") as f:
            return grpc.insecure_channel(f.read(), options=[("grpc.use_local_subchannel_pool", 1)])


class Loop(threading.Thread):
    """Does one step again and again over a channel that it makes anew after a failure."""

    def __init__(self, hub):
        super().__init__(daemon=True)
        self.hub, self.stopping, self.failure = hub, threading.Event(), None

    def run(self):
        while not self.stopping.is_set():
            try:
                with self.hub.channel() as channel:
                    self.steps(channel)
            except grpc.RpcError as error:
                if error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
                    self.failure = error
                    return
                time.sleep(0.05)

    def stop(self):
        self.stopping.set()
        self.join()
        if self.failure is not None:
            raise Failure(f"{type(self).__name__}: {self.failure}")


class Producer(Loop):
    """Writes to all partitions in turn, at a steady pace."""

    records = 0

    def steps(self, channel):
        stub = produce_pb2_grpc.ProduceServiceStub(channel)
        while not self.stopping.is_set():
            begun = time.monotonic()
            request = produce_pb2.ProduceRequest(topic=TOPIC, partition=(self.records // BATCH) % PARTITIONS)
            for i in range(BATCH):
                request.batch.records.add(value=b"%d" % (self.records + i))
            stub.Produce(request, timeout=10)
            self.records += BATCH
            time.sleep(max(0, BATCH / RECORDS_A_SECOND - (time.monotonic() - begun)))


class Lookout(Loop):
    """Looks at the committed positions."""

    def __init__(self, hub):
        super().__init__(hub)
        self.looks = []

    def steps(self, channel):
        stub = group_pb2_grpc.GroupServiceStub(channel)
        while not self.stopping.is_set():
            answer = stub.ListCommittedOffsets(group_pb2.ListCommittedOffsetsRequest(group=GROUP), timeout=10)
            self.looks.append((time.monotonic_ns(), {o.partition: o.offset for o in answer.offsets}))
            time.sleep(0.05)


class Members:
    """The processes of the group."""

    def __init__(self, hub, folder, stubs, rng):
        self.hub, self.folder, self.stubs, self.rng = hub, folder, stubs, rng
        self.running = {}  # name -> process
        self.stopped = {}  # name -> when it is to go on
        self.stops = {}    # name -> when it was stopped, by the clock of the histories
        self.count = 0
        self.log = open(os.path.join(folder, "members.log"), "ab")

    def start(self):
        self.count += 1
        name = f"m{self.count}"
        # Every third is static, of three names: one that begins under the name of another fences it.
        instance = f"i{self.count % 3}" if self.rng.random() < 0.33 else ""
        self.running[name] = subprocess.Popen(
            [sys.executable, os.path.join(HERE, "member.py"), "--stubs", self.stubs, "--address-file",
             self.hub.address_file, "--history", self.history(name), "--name", name, "--group", GROUP, "--topic", TOPIC,
             "--instance-id", instance, "--seed", str(self.rng.randrange(1 << 30))],
            stdout=self.log, stderr=self.log)

    def history(self, name):
        return os.path.join(self.folder, f"{name}.jsonl")

    def any(self):
        return self.rng.choice(sorted(self.running))

    def leave(self, name):
        process = self.running.pop(name)
        self.wake(name, process)
        wait_until(lambda: os.path.exists(self.history(name)), START_SECONDS_MAX, f"member {name}'s start")
        process.send_signal(signal.SIGTERM)
        status = process.wait(timeout=60)
        if status != 0:
            raise Failure(f"member {name} left with {status}; see members.log")

    def kill(self, name):
        process = self.running.pop(name)
        self.stopped.pop(name, None)
        process.kill()
        process.wait()

    def hang(self, name):
        self.stops.setdefault(name, []).append(time.monotonic_ns())
        self.running[name].send_signal(signal.SIGSTOP)
        self.stopped[name] = time.monotonic() + self.rng.uniform(0.2, 4)

    def wake(self, name, process):
        if self.stopped.pop(name, None) is not None:
            process.send_signal(signal.SIGCONT)

    def tend(self, all_of_them=False):
        for name in [n for n, due in self.stopped.items() if all_of_them or time.monotonic() >= due]:
            self.wake(name, self.running[name])
        for name, process in self.running.items():
            if process.poll() is not None:
                raise Failure(f"member {name} ended by itself with {process.returncode}; see members.log")

    def close(self):
        for process in self.running.values():
            process.kill()
            process.wait()
        self.log.close()


class Run:
    def __init__(self, args, folder, stubs):
        self.args = args
        self.rng = random.Random(args.seed)
        self.hub = Hub(os.path.join(args.bin, "narud"), folder)
        self.members = Members(self.hub, folder, stubs, self.rng)
        self.counts = {}

    def event(self, what):
        self.counts[what] = self.counts.get(what, 0) + 1

    def disturb(self):
        awake = [name for name in self.members.running if name not in self.members.stopped]
        what = self.rng.choice(["join", "join", "leave", "kill", "hang"])
        if len(self.members.running) >= MEMBERS_MAX and what == "join":
            what = "leave"
        if what != "join" and len(awake) < 2:
            what = "join"
        if what == "join":
            self.members.start()
        elif what == "leave":
            self.members.leave(self.rng.choice(awake))
        elif what == "kill":
            self.members.kill(self.members.any())
        else:
            self.members.hang(self.rng.choice(awake))
        self.event(what)

    def go(self):
        self.hub.start()
        with self.hub.channel() as channel:
            admin_pb2_grpc.AdminServiceStub(channel).CreateTopic(
                admin_pb2.CreateTopicRequest(name=TOPIC, partition_count=PARTITIONS))
        producer, lookout = Producer(self.hub), Lookout(self.hub)
        producer.start()
        lookout.start()
        for _ in range(3):
            self.members.start()
        kills = set(self.rng.sample(range(self.args.events), min(self.args.hub_kills, self.args.events)))
        for number in range(self.args.events):
            if number in kills:
                self.hub.kill()
                self.hub.start()
                self.event("hub kill")
            self.disturb()
            until = time.monotonic() + self.rng.uniform(0.05, 0.7)
            while time.monotonic() < until:
                self.members.tend()
                self.hub.alive()
                time.sleep(0.02)
        quiet = self.settle(producer)
        lookout.stop()
        problems = check([read_history(self.members.history(f"m{i + 1}")) for i in range(self.members.count)
                          if os.path.exists(self.members.history(f"m{i + 1}"))], lookout.looks, self.ends(),
                         self.members.stops)
        self.report(producer, lookout, quiet)
        return problems

    def settle(self, producer):
        """Nothing disturbs any more: how long until the lag is 0, in seconds."""
        self.members.tend(all_of_them=True)
        producer.stop()
        begun = time.monotonic()
        wait_until(lambda: self.lag() == 0, QUIET_SECONDS_MAX, "lag 0 in quiet")
        quiet = time.monotonic() - begun
        for name in list(self.members.running):
            self.members.leave(name)
        wait_until(lambda: self.group().state == group_pb2.GROUP_STATE_EMPTY, QUIET_SECONDS_MAX, "an empty group")
        return quiet

    def group(self):
        with self.hub.channel() as channel:
            return group_pb2_grpc.GroupServiceStub(channel).GetGroup(group_pb2.GetGroupRequest(group=GROUP),
                                                                     timeout=10).group

    def lag(self):
        self.members.tend()
        group = self.group()
        if group.state != group_pb2.GROUP_STATE_STABLE or len(group.partitions) < PARTITIONS:
            return -1
        return sum(partition.lag for partition in group.partitions)

    def ends(self):
        with self.hub.channel() as channel:
            answer = consume_pb2_grpc.ConsumeServiceStub(channel).ListOffsets(
                consume_pb2.ListOffsetsRequest(topic=TOPIC, position=types_pb2.POSITION_LATEST), timeout=10)
        return {offset.partition: offset.offset for offset in answer.offsets}

    def report(self, producer, lookout, quiet):
        gaps = [(b[0] - a[0]) / 1e9 for a, b in zip(lookout.looks, lookout.looks[1:])]
        print(f"{self.members.count} members came; " + ", ".join(f"{n} × {what}" for what, n in
                                                                sorted(self.counts.items())))
        print(f"{producer.records} records acknowledged to the producer; {len(lookout.looks)} looks at the committed "
              f"positions, {statistics.median(gaps):.3f} s apart in the median")
        print(f"lag 0 after {quiet:.1f} s of quiet")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", required=True, help="where narud is")
    parser.add_argument("--events", type=int, default=40, help="joins, leaves, kills and stops")
    parser.add_argument("--hub-kills", type=int, default=2)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    parser.add_argument("--keep", action="store_true", help="keep the histories")
    args = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="naru-groups-")
    stubs = os.path.join(folder, "stubs")
    os.mkdir(stubs)
    generate_stubs(stubs)
    sys.path.insert(0, stubs)
    for name in ["types_pb2", "produce_pb2", "produce_pb2_grpc", "consume_pb2", "consume_pb2_grpc", "admin_pb2",
                 "admin_pb2_grpc", "group_pb2", "group_pb2_grpc"]:
        globals()[name] = __import__(f"naru.v1.{name}", fromlist=["x"])
    print(f"seed {args.seed}, in {folder}", flush=True)
    run = Run(args, folder, stubs)
    problems = ["it did not come to an end"]
    try:
        problems = run.go()
    except Failure as failure:
        problems = [str(failure)]
    finally:
        run.members.close()
        if run.hub.process is not None and run.hub.process.poll() is None:
            run.hub.process.kill()
            run.hub.process.wait()
        if not problems and not args.keep:
            shutil.rmtree(folder)
    for problem in problems[:20]:
        print(problem)
    print(f"{len(problems)} problems" if problems else "nothing that must not be")
    return 1 if problems else 0


if __name__ == "__main__":
    import grpc
    sys.exit(main())
