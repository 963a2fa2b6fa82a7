#!/usr/bin/env python3
"""How long nobody can write when a process of a cluster dies or falls silent, as a client sees it.

  failover.py --bin build/release/bin [--kills 20] [--partitions 1] [--cases ...] [--network] [--json FILE]

Three brokers, two coordinators, an etcd, defaults throughout (but for memory, and leadership stays where it is). The
client (appender.py) writes single records with acks=all to a partition of three replicas and min_in_sync_replicas 2,
through every broker at once. Cases:

  leader killed           kill -9 of the leader: from there to the next ack
  leader silent           SIGSTOP of the leader: the same
  coordinator killed      kill -9 of the active coordinator: the longest time without an ack until topics can be changed
                          again; and for comparison, undisturbed: the longest in about two seconds before
  topics after that       the same kill: from there to the next change of a topic
  leader and coordinator  both killed at once: from there to the next ack
  follower killed         kill -9 of a broker that follows, and that the leader waits for: from there to the next ack
  follower silent         SIGSTOP of one: the same
  etcd killed             kill -9 of etcd, which is away for ten seconds: the longest time without an ack in them
  leader cut off          nothing reaches the leader's host or leaves it: from there to the next ack
  follower cut off        the same of one that follows

For the last two, and only with --network, each process has a host of its own (see network.py).
An ack counts when its call began after the kill. Before the next kill everybody is there again and in sync.
"""

import argparse
import collections
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "../../../deploy/local")]
import stubs  # noqa: E402
from cluster import Cluster, Layout  # noqa: E402
from daemon import Failure, die_with_parent, wait_until  # noqa: E402
from network import Network  # noqa: E402
from program import SKIPPED  # noqa: E402
from state import active_coordinator, describe_topic  # noqa: E402

TOPIC = "failover"
SECONDS_MAX = 60
CALM_SECONDS = 2
WITHOUT_ETCD_SECONDS = 10
STAYS = ["--leader-rebalance-interval", "1h"]
CLIENTS, FIRST_PORT = "clients", 9000  # with --network
CUT = "cut"
# What happens to whom.
Case = collections.namedtuple("Case", "who how")
CASES = {
    "leader killed": Case(["leader"], signal.SIGKILL),
    "leader silent": Case(["leader"], signal.SIGSTOP),
    "coordinator killed": Case(["coordinator"], signal.SIGKILL),
    "leader and coordinator": Case(["leader", "coordinator"], signal.SIGKILL),
    "follower killed": Case(["follower"], signal.SIGKILL),
    "follower silent": Case(["follower"], signal.SIGSTOP),
    "etcd killed": Case(["etcd"], signal.SIGKILL),
    "leader cut off": Case(["leader"], CUT),
    "follower cut off": Case(["follower"], CUT),
}


class Client:
    """appender.py and what it said."""

    def __init__(self, cluster, stub_folder):
        self.acks = []     # (begun, acked)
        self.altered = []  # (begun, done)
        self.process = subprocess.Popen(
            [sys.executable, os.path.join(HERE, "appender.py"), "--stubs", stub_folder, "--servers", cluster.servers,
             "--topic", TOPIC], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, preexec_fn=die_with_parent)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            kind, *times = line.split()
            (self.acks if kind == "ack" else self.altered).append(tuple(map(int, times)))

    def alter(self):
        self.process.stdin.write("alter\n")
        self.process.stdin.flush()

    def first(self, events, begun):
        """Of those that began after a moment, the one that was done first; waits for it."""
        def found():
            if self.process.poll() is not None:
                raise Failure(f"the client ended with {self.process.returncode}")
            return min((done for start, done in list(events)[-2000:] if start >= begun), default=None)
        return wait_until(found, SECONDS_MAX, "an answer after the kill")

    def longest_pause(self, begin, end):
        """Without an ack."""
        times = [begin] + sorted(acked for _, acked in self.acks if begin < acked < end) + [end]
        return max(b - a for a, b in zip(times, times[1:]))

    def close(self):
        self.process.kill()
        self.process.wait()


class Measurement:
    def __init__(self, args, folder, network):
        self.args, self.network = args, network
        layout = Layout.fixed(FIRST_PORT, hosts=network.addresses) if network else Layout.free()
        self.cluster = Cluster(os.path.join(folder, "cluster"), args.bin, layout, enter=network and network.ways_in,
                               coordinator_options=STAYS, broker_options=["--memory-limit", "256MiB", *STAYS])
        self.stubs = os.path.join(folder, "stubs")
        stubs.generate(self.stubs)
        self.client = None
        self.gaps = {}  # what -> [seconds]

    def prepare(self):
        self.cluster.up()
        self.make_topic(TOPIC, 1)
        # The others are there to be led elsewhere too, and say nothing.
        if self.args.partitions > 1:
            self.make_topic(f"{TOPIC}-others", self.args.partitions - 1)
        self.client = Client(self.cluster, self.stubs)

    def make_topic(self, name, partitions):
        made = subprocess.run([os.path.join(self.args.bin, "naru"), "--server", self.cluster.servers, "topic", "create",
                               name, "--partitions", str(partitions), "--replication-factor", "3", "--config",
                               "min_in_sync_replicas=2"], capture_output=True, text=True, check=False)
        if made.returncode:
            raise Failure(f"the topic {name} could not be made: {made.stderr}")

    def agreed(self):
        """The partition when all replicas are in sync and every broker knows the same of it, else None."""
        said = [describe_topic(self.cluster, TOPIC, server) for server in self.cluster.servers.split(",")]
        if not all(said) or any(partitions[0]["leader_epoch"] != said[0][0]["leader_epoch"] or
                                len(partitions[0]["in_sync_replicas"]) < 3 for partitions in said):
            return None
        return said[0][0]

    def await_sync(self):
        """Until nothing tells of the kill before; the partition."""
        for name, daemon in self.cluster.daemons.items():
            if daemon.state() == "gone":
                self.cluster.start(name)
        partition = wait_until(self.agreed, SECONDS_MAX, "all replicas are in sync")
        now = time.monotonic_ns()
        self.client.alter()
        self.client.first(self.client.altered, now)
        self.client.first(self.client.acks, now)
        return partition

    def note(self, what, nanoseconds):
        self.gaps.setdefault(what, []).append(nanoseconds / 1e9)

    def measure(self, case):
        before = self.await_sync()
        # At another moment of everybody's periods each time; and the first seconds are what it is compared with.
        calm = time.monotonic_ns()
        time.sleep(random.uniform(0, 0.5) + (CALM_SECONDS if case == "coordinator killed" else 0))
        names = {
            "leader": f"broker-{before['leader']}",
            "follower": f"broker-{random.choice([b for b in (1, 2, 3) if b != before['leader']])}",
            "coordinator": active_coordinator(self.cluster),
            "etcd": "etcd-1"}
        victims = [names[who] for who in CASES[case].who]
        begun = time.monotonic_ns()
        undo = [self.harm(name, CASES[case].how) for name in victims]
        if CASES[case].how == CUT:
            begun = time.monotonic_ns()  # before the switch had heard of it packets went through
        if case == "coordinator killed":
            self.note("undisturbed", self.client.longest_pause(calm, begun))
            self.client.alter()
            altered = self.client.first(self.client.altered, begun)
            self.note(case, self.client.longest_pause(begun, altered))
            self.note("topics after that", altered - begun)
        elif case == "etcd killed":
            time.sleep(WITHOUT_ETCD_SECONDS)
            self.note(case, self.client.longest_pause(begun, time.monotonic_ns()))
        else:
            self.note(case, self.client.first(self.client.acks, begun) - begun)
            self.check_missed(names["follower"], case)
        for mend in undo:
            mend()
        if self.args.verbose:
            print(f"{case}: {self.gaps[case][-1] * 1000:.0f} ms", flush=True)
        if case.startswith("leader") and self.await_sync()["leader_epoch"] == before["leader_epoch"]:
            raise Failure(f"{case}: the leader is the same as before, so nothing was measured")

    def check_missed(self, follower, case):
        """Who follows and was harmed is out of sync, or nobody waited for it."""
        if CASES[case].who != ["follower"]:
            return
        others = [self.cluster.layout.address(name) for name in self.cluster.broker_names if name != follower]
        partition = describe_topic(self.cluster, TOPIC, ",".join(others))[0]
        if int(follower.removeprefix("broker-")) in partition["in_sync_replicas"]:
            raise Failure(f"{case}: {follower} is in sync all the same, so nothing was measured")

    def harm(self, name, how):
        """What mends it, or waits until its end is complete."""
        daemon = self.cluster.daemons[name]
        if how == CUT:
            disturbance = self.network.disturb(*self.network.around(name))
            return lambda: self.network.mend(disturbance)
        daemon.signal(how)
        if how == signal.SIGSTOP:
            return lambda: daemon.signal(signal.SIGCONT)
        return lambda: daemon.wait_gone(SECONDS_MAX)

    def close(self):
        if self.client:
            self.client.close()
        self.cluster.kill_all()
        if self.network:
            self.network.close()


def quantile(sorted_values, share):
    return sorted_values[min(len(sorted_values) - 1, int(share * len(sorted_values)))]


def figures(gaps):
    made = {}
    for what, seconds in gaps.items():
        ordered = sorted(seconds)
        made[what] = {"kills": len(ordered), "p50_ms": quantile(ordered, 0.5) * 1000,
                      "p99_ms": quantile(ordered, 0.99) * 1000, "worst_ms": ordered[-1] * 1000,
                      "all_ms": [round(gap * 1000, 1) for gap in seconds]}
    return made


def print_table(made):
    print(f"\n{'CASE':<24}{'KILLS':>6}{'P50':>10}{'P99':>10}{'WORST':>10}")
    for what, row in made.items():
        print(f"{what:<24}{row['kills']:>6}" + "".join(f"{row[q]:>7.0f} ms" for q in ("p50_ms", "p99_ms", "worst_ms")))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", required=True, help="where narud and naru are")
    parser.add_argument("--partitions", type=int, default=1,
                        help="of the cluster, on which nothing happens but for the one that is written to (1)")
    parser.add_argument("--kills", type=int, default=20, help="of each case (20)")
    parser.add_argument("--cases", help=f"some of: {', '.join(CASES)}, with commas between (all that can be had)")
    parser.add_argument("--network", action="store_true",
                        help="a host for each process, so that hosts can be cut off (needs namespaces: root)")
    parser.add_argument("--json", help="write the figures here too")
    parser.add_argument("--verbose", action="store_true", help="each gap as it is measured")
    parser.add_argument("--keep", action="store_true", help="keep the directory, with everybody's logs")
    args = parser.parse_args()
    here = [case for case, what in CASES.items() if args.network or what.how != CUT]
    cases = args.cases.split(",") if args.cases else here
    for case in cases:
        if case not in here:
            parser.error(f"--cases: {case} is not allowed{' without --network' if case in CASES else ''}; "
                         f"{', '.join(here)}")
    if shutil.which("etcd") is None:
        print("skipped: etcd is not installed (apt-get install etcd-server)")
        return SKIPPED
    folder = tempfile.mkdtemp(prefix="naru-failover-")
    try:
        network = Network.around_clients(Layout.process_names(3, 2, 1), CLIENTS, 0) if args.network else None
    except Failure as failure:
        print(f"skipped: {failure}")
        shutil.rmtree(folder)
        return SKIPPED
    measurement, status = Measurement(args, folder, network), 0
    try:
        measurement.prepare()
        for case in cases:
            for _ in range(args.kills):
                measurement.measure(case)
    except Failure as failure:
        print(f"failover: {failure}")
        status = 1
    finally:
        measurement.close()
    made = figures(measurement.gaps)
    print_table(made)
    if args.json:
        with open(args.json, "w", encoding="utf-8") as f:
            json.dump(made, f, indent=1)
    if status == 0 and not args.keep:
        shutil.rmtree(folder)
    else:
        print(f"kept {folder}")
    return status


if __name__ == "__main__":
    sys.exit(main())
