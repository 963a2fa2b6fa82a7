#!/usr/bin/env python3
"""Kills a loaded hub again and again and checks what it kept.

  run.py --bin build/release/bin --rounds 20 [--seed N] [--keep]

Each round lets clients write and read for a moment, kills the hub with SIGKILL, starts it again on the same directory
(now and then killing it once more while it recovers), and waits for the clients to get on. One topic keeps everything,
another is compacted by key, at another rate in each life of the hub. At the end everything is read once and checker.py
looks at all that the clients saw.
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
import time

HERE = os.path.dirname(os.path.abspath(__file__))
START_SECONDS_MAX = 60
PROGRESS_SECONDS_MAX = 60
KEYS = 97  # of payload.cc
COMPACTION_RATES = ["1MiB", "4MiB", "32MiB", "1GiB"]
# Small, so that segments fill up and checkpoints happen between two kills.
HUB_OPTIONS = ["--compaction-min-dirty", "0", "--segment-bytes", "8MiB", "--checkpoint-bytes", "4MiB", "--retention-check-interval", "200ms",
               "--background-sync-interval", "20ms", "--disk-reserve", "0", "--http", "off", "--log-level", "warning"]


class Failure(Exception):
    """The run cannot go on; what is wrong is in the text."""


def wait_until(condition, seconds, what):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise Failure(f"{what}: not within {seconds} s")
        time.sleep(0.002)


class Hub:
    """A narud process on a directory that outlives it."""

    def __init__(self, narud, folder, chance):
        self.narud, self.folder, self.chance = narud, folder, chance
        self.address_file = os.path.join(folder, "address")
        self.port_file = os.path.join(folder, "ports")
        self.log = open(os.path.join(folder, "hub.log"), "ab")
        self.process = None
        self.start_seconds = []

    def spawn(self):
        if os.path.exists(self.port_file):
            os.unlink(self.port_file)
        self.process = subprocess.Popen(
            [self.narud, "--data-dir", os.path.join(self.folder, "data"), "--listen", "127.0.0.1:0",
             "--port-file", self.port_file, "--compaction-rate", self.chance.choice(COMPACTION_RATES),
             "--tail-cache", self.chance.choice(["0", "auto"])] + HUB_OPTIONS, stdout=self.log, stderr=self.log)

    def start(self):
        begin = time.monotonic()
        self.spawn()
        wait_until(self._ready, START_SECONDS_MAX, "the hub's start")
        self.start_seconds.append(time.monotonic() - begin)
        with open(self.port_file, encoding="utf-8") as f:
            ports = dict(line.strip().split("=", 1) for line in f if "=" in line)
        with open(self.address_file + ".new", "w", encoding="utf-8") as f:
            f.write(ports["listen"] + "\n")
        os.rename(self.address_file + ".new", self.address_file)

    def _ready(self):
        if self.process.poll() is not None:
            raise Failure(f"the hub ended with {self.process.returncode} instead of starting; see hub.log")
        return os.path.exists(self.port_file)

    def kill(self):
        if self.process.poll() is not None:
            raise Failure(f"the hub ended by itself with {self.process.returncode}; see hub.log")
        self.process.kill()
        self.process.wait()

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60)

    def close(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.log.close()


def acks(path, offset):
    """How many acks stand in a history from a byte on, and where it ends."""
    with open(path, "rb") as f:
        f.seek(offset)
        data = f.read()
    return data.count(b'"op":"ok"'), offset + len(data)


class Workload:
    """The clients of one topic, and the history of what they saw."""

    def __init__(self, bin_folder, folder, hub, topic, partitions, clients=(), keys=None):
        self.history = os.path.join(folder, f"{topic}.jsonl")
        self.keys = keys
        self.clients = None
        self._client_options = list(clients)
        self._command = [os.path.join(bin_folder, "naru-crash-workload"), "--address-file", hub.address_file,
                         "--history", self.history, "--topic", topic, "--partitions", str(partitions)]

    def create(self):
        options = ["--compacted"] if self.keys else []
        subprocess.run(self._command + ["create"] + options, check=True, timeout=60)

    def start(self):
        with open(self.history, "w", encoding="utf-8"):
            pass
        self.clients = subprocess.Popen(self._command + self._client_options + ["run"])

    def stop(self):
        self.clients.send_signal(signal.SIGTERM)
        if self.clients.wait(timeout=60) != 0:
            raise Failure(f"the clients ended with {self.clients.returncode}")

    def drain(self):
        subprocess.run(self._command + ["drain"], check=True, timeout=600)

    def close(self):
        if self.clients and self.clients.poll() is None:
            self.clients.kill()
            self.clients.wait()

    def check(self):
        """The checker's exit code."""
        options = ["--keys", str(self.keys)] if self.keys else []
        print(f"{os.path.basename(self.history)}:", flush=True)
        return subprocess.run([sys.executable, os.path.join(HERE, "checker.py"), *options, self.history],
                              check=False).returncode


def run_rounds(hub, history, rounds, chance):
    kills = 0
    position = 0
    for number in range(1, rounds + 1):
        acked = 0

        def progress():
            nonlocal acked, position
            more, position = acks(history, position)
            acked += more
            return acked >= 20

        wait_until(progress, PROGRESS_SECONDS_MAX, f"acks in round {number}")
        time.sleep(chance.uniform(0, 1.5))
        hub.kill()
        kills += 1
        while chance.random() < 0.25:
            hub.spawn()
            time.sleep(chance.uniform(0, 0.15))
            hub.kill()
            kills += 1
        hub.start()
        print(f"round {number}/{rounds}: killed, back after {hub.start_seconds[-1] * 1000:.0f} ms", flush=True)
    return kills


def run(options, folder):
    chance = random.Random(options.seed)
    hub = Hub(os.path.join(options.bin, "narud"), folder, chance)
    plain = Workload(options.bin, folder, hub, "crash", partitions=6)
    compacted = Workload(options.bin, folder, hub, "compacted", partitions=2, keys=KEYS,
                         clients=["--stream-producers", "1", "--unary-producers", "1", "--fetch-readers", "1"])
    workloads = [plain, compacted]
    try:
        hub.start()
        for workload in workloads:
            workload.create()
        for workload in workloads:
            workload.start()
        kills = run_rounds(hub, plain.history, options.rounds, chance)
        for workload in workloads:
            workload.stop()
        hub.kill()
        hub.start()
        for workload in workloads:
            workload.drain()
        status = hub.terminate()
        if status != 0:
            raise Failure(f"the hub ended with {status} after SIGTERM; see hub.log")
        starts = sorted(hub.start_seconds)
        print(f"{kills + 1} kills, {len(starts)} starts: median {statistics.median(starts) * 1000:.0f} ms, "
              f"longest {starts[-1] * 1000:.0f} ms", flush=True)
    finally:
        for workload in workloads:
            workload.close()
        hub.close()
    return max(workload.check() for workload in workloads)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bin", required=True, help="folder of narud and naru-crash-workload")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--keep", action="store_true", help="keep the directory also when all is well")
    options = parser.parse_args()
    if options.seed is None:
        options.seed = random.SystemRandom().randrange(1 << 32)
    folder = tempfile.mkdtemp(prefix="naru-crash-")
    print(f"crash test: {options.rounds} rounds, seed {options.seed}, in {folder}", flush=True)
    try:
        status = run(options, folder)
    except (Failure, subprocess.SubprocessError) as failure:
        print(f"crash test: {failure}")
        status = 1
    if status == 0 and not options.keep:
        shutil.rmtree(folder)
    else:
        print(f"crash test: kept {folder}")
    return status


if __name__ == "__main__":
    sys.exit(main())
