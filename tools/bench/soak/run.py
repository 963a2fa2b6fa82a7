#!/usr/bin/env python3
"""A hub under mixed load for a while, with retention at work: does it stall, grow, or fill the disk?

  run.py --bin build/release/bin --seconds 600

Loads, at once: large batches to 16 partitions, single records that a reader follows, updates of few keys to a compacted
topic, and a probe: 200 single records a second, whose latencies are taken every few seconds. Every topic of the first two
keeps --retain bytes a partition. Once a second the hub is asked for memory and disk. Writes soak.json and soak.svg to
--out, prints a summary, and exits 1 when a load failed, the hub took more memory than its limit, or its disk use was not
bounded. Needs only Python's standard library.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import threading
import time
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "peers"))
import plot  # noqa: E402
from processes import Children, Failure, free_ports  # noqa: E402

LARGE = {"partitions": 16, "record-bytes": 1000, "batch-bytes": 65536, "rate": 60_000}
SINGLE = {"partitions": 6, "record-bytes": 1000, "batch-bytes": 1000, "rate": 2_000}
PROBE = {"partitions": 1, "record-bytes": 1000, "batch-bytes": 1000, "rate": 200}
MIB = 1 << 20
# On a machine that does other things too.
RETENTION_TAKES_SECONDS = 5


def flags(load):
    return [part for name, value in load.items() for part in (f"--{name}", str(value))]


class Soak:
    def __init__(self, options, children):
        self.options = options
        self.children = children
        self.server, http = (f"127.0.0.1:{port}" for port in free_ports(2))
        self.metrics_url = f"http://{http}/metrics"
        self.began = None
        self.samples, self.probes, self.failures = [], [], []
        self.done = threading.Event()
        self.hub = children.start(
            [self.program("narud"), "--data-dir", os.path.join(children.folder, "data"), "--listen", self.server,
             "--http", http, "--log-level", "warning", "--memory-limit", f"{options.memory_limit_mib}MiB",
             "--segment-bytes", f"{options.segment_mib}MiB"], os.path.join(children.folder, "log"))

    def program(self, name):
        return os.path.join(self.options.bin, name)

    def naru(self, *arguments):
        made = subprocess.run([self.program("naru"), "--server", self.server, *arguments], capture_output=True, text=True,
                              check=False)
        if made.returncode:
            raise Failure(f"naru {' '.join(arguments)}: {made.stderr.strip()}")
        return made.stdout

    def wait_until_up(self):
        waited = subprocess.run([self.program("naru-bench"), "first-ack", "--server", self.server], capture_output=True,
                                text=True, check=False, timeout=60)
        if waited.returncode:
            raise Failure(f"narud did not start: {waited.stderr.strip()}")

    def bench(self, verb, load, seconds, warmup=0.2):
        """The figures of one run of naru-bench."""
        return self.children.run_client(
            [self.program("naru-bench"), verb, "--server", self.server, "--server-pid", self.hub.pid, "--seconds", seconds,
             "--warmup", warmup, "--json", "-", *flags(load)], seconds_max=seconds + 120)

    def load(self, name, verb, load):
        """In a thread: one load, all the time."""
        try:
            for figures in self.bench(verb, load, self.options.seconds):
                if figures.get("failures"):
                    self.failures.append(f"{name}: {figures['failures']} failed: {figures.get('first_failure')}")
        except Failure as failure:
            self.failures.append(f"{name}: {failure}")

    def update_keys(self):
        """In a thread: the values of a few keys, over and over, to a compacted topic."""
        self.naru("topic", "create", "soak-keys", "--partitions", "2", "--config", "cleanup_policy=compact",
                  "--config", "min_cleanable_dirty_ratio=0.3")
        lines = "".join(f"key{i % 500}:{'v' * 200}\n" for i in range(2_000))
        while not self.done.wait(0.5):
            made = subprocess.run([self.program("naru"), "--server", self.server, "produce", "soak-keys",
                                   "--key-separator", ":"], input=lines, capture_output=True, text=True, check=False)
            if made.returncode:
                self.failures.append(f"updates of keys: {made.stderr.strip()}")
                return

    def probe(self):
        """In a thread: what a client that writes little sees meanwhile."""
        while not self.done.is_set():
            at = time.monotonic() - self.began
            if at + self.options.probe_seconds > self.options.seconds:
                return
            try:
                figures = self.bench("produce", PROBE, self.options.probe_seconds)[0]
            except Failure as failure:
                self.failures.append(f"probe: {failure}")
                return
            latency = figures["latency_ms"]
            self.probes.append({"at": at + self.options.probe_seconds / 2, "p50_ms": latency["p50"],
                                "p99_ms": latency["p99"], "max_ms": latency["max"], "failures": figures["failures"]})

    def limit_topics(self):
        """Retention for every topic that a load made; they have names that nobody chose."""
        limited = set()
        while not self.done.wait(0.5):
            for name in self.naru("topic", "list", "--names", "--prefix", "bench-").splitlines():
                if name in limited:
                    continue
                try:
                    self.naru("topic", "alter", name, "--config", f"retention_bytes={self.options.retain_mib * MIB}")
                except Failure:
                    continue  # a probe's, which is gone already
                limited.add(name)

    def sample(self):
        wanted = {"process_resident_memory_bytes": "rss", "naru_store_segment_bytes": "disk", "naru_store_live_bytes": "live",
                  "naru_store_segments_removed_total": "segments_removed", "naru_store_appended_bytes_total": "appended"}
        with urllib.request.urlopen(self.metrics_url, timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        found = {"at": time.monotonic() - self.began}
        for line in lines:
            name, _, value = line.partition(" ")
            if name in wanted:
                found[wanted[name]] = float(value)
        return found

    def run(self):
        self.wait_until_up()
        self.began = time.monotonic()
        loads = [threading.Thread(target=self.load, args=("large batches", "produce", LARGE)),
                 threading.Thread(target=self.load, args=("single records", "end-to-end", SINGLE))]
        others = [threading.Thread(target=self.update_keys), threading.Thread(target=self.limit_topics),
                  threading.Thread(target=self.probe)]
        for thread in loads + others:
            thread.start()
        while any(thread.is_alive() for thread in loads):
            try:
                self.samples.append(self.sample())
            except OSError as error:
                self.failures.append(f"metrics: {error}")
                break
            if sys.stdout.isatty():
                print(f"\r{self.samples[-1]['at']:.0f} of {self.options.seconds:.0f} s", end="", flush=True)
            time.sleep(1)
        self.done.set()
        for thread in loads + others:
            thread.join()


def most_appended_within(seconds, samples):
    return max(later["appended"] - earlier["appended"] for earlier in samples for later in samples
               if 0 <= later["at"] - earlier["at"] <= seconds)


def bounds(soak):
    """What is wrong with the run, one line each."""
    wrong = list(soak.failures)
    if not soak.samples or not soak.probes:
        return wrong + ["nothing was measured"]
    limit = soak.options.memory_limit_mib * MIB
    rss = max(sample["rss"] for sample in soak.samples)
    if rss > limit:
        wrong.append(f"memory: {rss / MIB:.0f} MiB, more than the limit of {soak.options.memory_limit_mib} MiB")
    # What is retained, a third of it not given back yet, some segments that are being written or emptied, and what comes
    # until a topic's retention is set and until it has worked, for which other programs may take the processors.
    kept = (LARGE["partitions"] + SINGLE["partitions"]) * soak.options.retain_mib * MIB
    meanwhile = most_appended_within(RETENTION_TAKES_SECONDS, soak.samples)
    disk_max = 3 * kept + 8 * soak.options.segment_mib * MIB + meanwhile
    disk = max(sample["disk"] for sample in soak.samples)
    if disk > disk_max:
        wrong.append(f"disk: {disk / MIB:,.0f} MiB; with what is retained, at most {disk_max / MIB:,.0f}")
    if any(probe["failures"] for probe in soak.probes):
        wrong.append("appends of the probe failed")
    return wrong


def mean(samples, name):
    return statistics.mean(sample[name] for sample in samples) / MIB


def summary(soak):
    third = len(soak.samples) // 3 or 1
    early, late = soak.samples[third:2 * third] or soak.samples, soak.samples[2 * third:] or soak.samples
    p99 = [probe["p99_ms"] for probe in soak.probes]
    return [f"{soak.samples[-1]['at']:.0f} s, {soak.samples[-1]['appended'] / 1e9:.1f} GB appended, "
            f"{soak.samples[-1]['segments_removed']:.0f} segments removed",
            f"memory: {mean(early, 'rss'):.0f} MiB in the second third, {mean(late, 'rss'):.0f} in the last, at most "
            f"{max(s['rss'] for s in soak.samples) / MIB:.0f}",
            f"disk: {mean(early, 'disk'):,.0f} MiB in the second third, {mean(late, 'disk'):,.0f} in the last, at most "
            f"{max(s['disk'] for s in soak.samples) / MIB:,.0f}",
            f"a single record every 5 ms: p50 {statistics.median(p['p50_ms'] for p in soak.probes):.2f} ms; p99 of "
            f"{soak.options.probe_seconds:g} s: median {statistics.median(p99):.2f}, worst {max(p99):.2f} ms; slowest of all "
            f"{max(p['max_ms'] for p in soak.probes):.0f} ms"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--bin", default="build/release/bin", help="where narud, naru and naru-bench are")
    parser.add_argument("--seconds", type=float, default=600, help="how long (600)")
    parser.add_argument("--probe-seconds", type=float, default=5, help="that latencies are gathered over (5)")
    parser.add_argument("--memory-limit-mib", type=int, default=1024, help="the hub's (1024)")
    parser.add_argument("--segment-mib", type=int, default=256, help="of a segment file (256)")
    parser.add_argument("--retain-mib", type=int, default=64, help="that each partition keeps (64)")
    parser.add_argument("--folder", default=os.environ.get("TMPDIR", "/var/tmp"), help="on the disk that is measured")
    parser.add_argument("--out", default="build/soak", help="where the figures and the plot go")
    options = parser.parse_args()
    with Children(options.folder) as children:
        soak = Soak(options, children)
        soak.run()
    wrong = bounds(soak)
    os.makedirs(options.out, exist_ok=True)
    with open(os.path.join(options.out, "soak.json"), "w", encoding="utf-8") as out:
        json.dump({"options": vars(options), "samples": soak.samples, "probes": soak.probes, "wrong": wrong}, out, indent=1)
    if soak.samples and soak.probes:
        with open(os.path.join(options.out, "soak.svg"), "w", encoding="utf-8") as out:
            out.write(plot.over_time(soak.samples, soak.probes))
        print("\n".join(summary(soak)))
    print(f"written to {options.out}: soak.json" + (" and soak.svg" if soak.samples and soak.probes else ""))
    for line in wrong:
        print(f"WRONG: {line}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
