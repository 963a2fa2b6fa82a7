#!/usr/bin/env python3
"""Kills, stops, cuts off and starts the processes of a loaded cluster by chance, and checks what its clients saw.

  chaos.py --bin build/release/bin [--seconds 60] [--seed N] [--etcds 1|3] [--network] [--disks] [--corrupt] [--keep]

Three brokers, two coordinators, an etcd; a topic of which every record has three copies and none is acknowledged by one
broker alone. Producers, readers and a consumer group go on all the time, through any broker. Then everything heals: all
replicas must be in sync and every partition must take records again, the group must read all there is, and everything
is read through each broker, and again with each broker down in turn. tests/integration/crash/checker.py and
tests/integration/groups/checker.py look at all that the clients saw; they know nothing of this program.

With --network each process has a host of its own (see network.py), the clients have another, and hosts are cut off,
parted, heard by nobody or deaf, or lose or delay packets. With --disks each broker has a disk of its own (disks.py),
and they fill up: to below --disk-reserve, and to the last byte. Where that is not possible the run is skipped with exit
code 77; with --network=if-possible and --disks=if-possible it goes on without. See faults.py for what may happen then,
and for --corrupt.
"""

import argparse
import os
import random
import shutil
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, "../../..")
sys.path[:0] = [HERE, os.path.join(ROOT, "deploy/local")]
import disks  # noqa: E402
import faults  # noqa: E402
from cluster import Cluster, Layout  # noqa: E402
from daemon import Failure  # noqa: E402
from load import TOPIC, Load  # noqa: E402
from network import Network  # noqa: E402
from program import SKIPPED  # noqa: E402
from state import write_backtraces  # noqa: E402

# What a producer of this topic may be told while its cluster suffers.
REASONS = {"NO_LEADER", "LEADER_CHANGED", "COORDINATOR_LOADING", "NOT_ENOUGH_REPLICAS", "STALE_LEADER_EPOCH",
           "STREAM_ITEM_SKIPPED", "TOO_MANY_IN_FLIGHT", "UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED", "stopped"}
REQUIRED = "required"
CLIENTS = "clients"  # the host of all of them
BROKERS, COORDINATORS, FIRST_PORT = 3, 2, 9410
# Small, so that segments fill up; leadership goes back soon, so that it changes more often.
BROKER_OPTIONS = ["--memory-limit", "256MiB", "--leader-rebalance-interval", "3s", "--offsets-partitions", "3"]
STORE_OPTIONS = ["--segment-bytes", "8MiB", "--checkpoint-bytes", "4MiB"]
# Smaller still, so that there soon is something in every kind of file.
STORE_OPTIONS_TO_CORRUPT = ["--segment-bytes", "3MiB", "--checkpoint-bytes", "1MiB"]
COORDINATOR_OPTIONS = ["--leader-rebalance-interval", "3s"]
DISK_RESERVE_BYTES = 64 << 20
# A disk has room for all of a run: for each batch of six producers, for segments made ahead, and for the reserve.
DISK_BYTES_MIN, DISK_BYTES_A_BATCH = 512 << 20, 8 << 10


class Run:
    def __init__(self, args, folder, network, own_disks):
        self.args, self.network, self.disks = args, network, own_disks
        self.begun = time.monotonic()
        self.cluster = Cluster(os.path.join(folder, "cluster"), args.bin, self.layout(), enter=network and network.ways_in,
                               broker_options=self.broker_options(),
                               coordinator_options=COORDINATOR_OPTIONS,
                               data_folder=disks.DATA if own_disks else "data")
        self.load = Load(self.cluster, folder, args.seed, self.tell,
                         REASONS | {"STORAGE_FULL"} if own_disks else REASONS)
        self.load.before_look = self.calm
        places = faults.Places(network, CLIENTS, own_disks, DISK_RESERVE_BYTES)
        self.faults = faults.Faults(self.cluster, TOPIC, random.Random(args.seed), self.tell, places, args.corrupt)

    def broker_options(self):
        store = STORE_OPTIONS_TO_CORRUPT if self.args.corrupt else STORE_OPTIONS
        return [*BROKER_OPTIONS, *store, "--disk-reserve", str(DISK_RESERVE_BYTES if self.disks else 0)]

    def layout(self):
        if self.network is None:
            return Layout.free(BROKERS, COORDINATORS, self.args.etcds)
        return Layout.fixed(FIRST_PORT, BROKERS, COORDINATORS, self.args.etcds, self.network.addresses)

    def tell(self, text):
        print(f"{time.monotonic() - self.begun:7.2f}  {text}", flush=True)

    def calm(self):
        """Nobody disturbs while something is waited for."""
        self.faults.watch()
        self.faults.heal()

    def go(self):
        self.cluster.up()
        self.load.make_topic()
        self.load.start(self.args.rate)
        self.tell("loaded")
        until = time.monotonic() + self.args.seconds
        while time.monotonic() < until:
            self.faults.tick()
            self.load.watch()
            time.sleep(0.01)
        self.tell("heals")
        self.faults.heal()
        self.load.await_recovery()
        self.load.finish()
        self.drain_all()
        self.load.problems += self.faults.defects
        self.load.check(2 * BROKERS, self.faults.doubts)

    def drain_all(self):
        address = self.cluster.layout.address
        for name in self.cluster.broker_names:
            self.load.drain(f"drain through {name}", address(name))
        for name in self.cluster.broker_names:
            self.cluster.daemons[name].kill()
            self.faults.down[name] = float("inf")
            other = next(n for n in self.cluster.broker_names if n != name)
            self.load.drain(f"drain without {name}", address(other))
            del self.faults.down[name]
            self.cluster.start(name)
            self.load.await_healthy(self.load.in_sync, f"all replicas are in sync with {name} again")

    def report(self):
        print(", ".join(f"{n} × {fault}" for fault, n in sorted(self.faults.counts.items())))
        self.load.report()

    def close(self):
        self.load.close()
        self.cluster.kill_all()
        if self.disks:
            self.disks.close()


def if_wanted(wanted, make, without):
    """What is made, or None; fails where it is required and cannot be."""
    if not wanted:
        return None
    try:
        return make()
    except Failure as failure:
        if wanted == REQUIRED:
            raise
        print(f"{failure}; so {without}")
        return None


def make_disks(args, folder):
    names = [name for name in Layout.process_names(BROKERS, COORDINATORS, args.etcds) if name.startswith("broker")]
    size_bytes = DISK_BYTES_MIN + int(args.seconds * args.rate * 6 * DISK_BYTES_A_BATCH)
    return disks.Disks(folder, names, size_bytes)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", required=True, help="where narud and naru are")
    parser.add_argument("--seconds", type=float, default=60, help="of faults; the rest takes 15 seconds or more (60)")
    parser.add_argument("--seed", type=int, help="of what happens to whom, and for how long; printed. The clients' and "
                        "the processes' own timing is not repeated by it")
    parser.add_argument("--etcds", type=int, choices=[1, 3], default=1)
    where_possible = {"nargs": "?", "const": REQUIRED, "choices": [REQUIRED, "if-possible"]}
    parser.add_argument("--network", **where_possible,
                        help="a host for each process, and faults of the network between them (needs namespaces: root)")
    parser.add_argument("--disks", **where_possible, help="a disk for each broker, and they fill up (needs root)")
    parser.add_argument("--corrupt", action="store_true", help="bits flip on the disks of brokers that are killed")
    parser.add_argument("--rate", type=float, default=20, help="batches a second of each of six producers (20)")
    parser.add_argument("--keep", action="store_true", help="keep the directory also when all is well")
    args = parser.parse_args()
    if args.seed is None:
        args.seed = random.SystemRandom().randrange(1 << 30)
    if shutil.which("etcd") is None:
        print("skipped: etcd is not installed (apt-get install etcd-server)")
        return SKIPPED
    folder = tempfile.mkdtemp(prefix="naru-chaos-")
    try:
        network = if_wanted(args.network, lambda: Network.around_clients(
                                Layout.process_names(BROKERS, COORDINATORS, args.etcds), CLIENTS, args.seed),
                            "all is on loopback, and the network does not suffer")
        own_disks = if_wanted(args.disks, lambda: make_disks(args, os.path.join(folder, "cluster")),
                              "all is on one disk, which does not fill up")
    except Failure as failure:
        print(f"skipped: {failure}")
        shutil.rmtree(folder)
        return SKIPPED
    run = Run(args, folder, network, own_disks)
    print(f"seed {args.seed}, in {folder}; second 0 is {run.begun:.2f} of the histories", flush=True)
    problems = run.load.problems
    try:
        run.go()
        run.report()
    except Failure as failure:
        write_backtraces(run.cluster)
        run.load.problem(str(failure))
        problems += run.faults.defects
    finally:
        run.close()
    if problems or args.keep:
        print(f"kept {folder}")
    else:
        shutil.rmtree(folder)
    print(f"{len(problems)} problems" if problems else "nothing that must not be")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
