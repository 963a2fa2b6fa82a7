#!/usr/bin/env python3
"""Kills, stops and starts the processes of a loaded cluster by chance, and checks what its clients saw.

  chaos.py --bin build/release/bin [--seconds 60] [--seed N] [--etcds 1|3] [--keep]

Three brokers, two coordinators, an etcd; a topic of which every record has three copies and none is acknowledged by one
broker alone. Producers, readers and a consumer group go on all the time, through any broker. Then everything heals: all
replicas must be in sync and every partition must take records again, the group must read all there is, and everything
is read through each broker, and again with each broker down in turn. tests/integration/crash/checker.py and
tests/integration/groups/checker.py look at all that the clients saw; they know nothing of this program.
"""

import argparse
import collections
import importlib.util
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, "../../..")
sys.path[:0] = [HERE, os.path.join(ROOT, "deploy/local")]
import stubs  # noqa: E402
from cluster import Cluster, Layout  # noqa: E402
from daemon import Daemon, Failure, wait_until  # noqa: E402
from faults import Faults, all_in_sync, describe_topic, write_backtraces  # noqa: E402

TOPIC, PARTITIONS, GROUP, MEMBERS = "chaos", 6, "g", 3
HEAL_SECONDS_MAX = 60
EXAMPLES_MAX = 5  # of each rule
# What a producer of this topic may be told while its cluster suffers.
REASONS = {"NO_LEADER", "LEADER_CHANGED", "COORDINATOR_LOADING", "NOT_ENOUGH_REPLICAS", "STALE_LEADER_EPOCH",
           "STREAM_ITEM_SKIPPED", "TOO_MANY_IN_FLIGHT", "UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED", "stopped"}
SKIPPED = 77  # exit code: SKIP_RETURN_CODE in CMakeLists.txt
# Small, so that segments fill up; leadership goes back soon, so that it changes more often.
BROKER_OPTIONS = ["--memory-limit", "256MiB", "--segment-bytes", "8MiB", "--checkpoint-bytes", "4MiB", "--disk-reserve",
                  "0", "--leader-rebalance-interval", "3s", "--offsets-partitions", "3"]
COORDINATOR_OPTIONS = ["--leader-rebalance-interval", "3s"]


def load_checker(folder):
    path = os.path.join(HERE, "..", folder, "checker.py")
    spec = importlib.util.spec_from_file_location(f"{folder}_checker", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Run:
    def __init__(self, args, folder):
        self.args, self.folder = args, folder
        self.begun = time.monotonic()
        self.chance = random.Random(args.seed)
        self.stubs = os.path.join(folder, "stubs")
        self.histories = os.path.join(folder, "histories")
        os.makedirs(self.histories)
        stubs.generate(self.stubs)
        self.cluster = Cluster(os.path.join(folder, "cluster"), args.bin, Layout.free(etcds=args.etcds),
                               broker_options=BROKER_OPTIONS, coordinator_options=COORDINATOR_OPTIONS)
        self.faults = Faults(self.cluster, TOPIC, self.chance, self.tell)
        self.clients = {}
        self.problems = []

    def tell(self, text):
        print(f"{time.monotonic() - self.begun:7.2f}  {text}", flush=True)

    def problem(self, text):
        self.tell(f"PROBLEM: {text}")
        self.problems.append(text)

    # The cluster's state, as its command line has it.
    def naru(self, *arguments):
        return subprocess.run([os.path.join(self.args.bin, "naru"), "--server", self.cluster.servers, "--output",
                               "json", *arguments], capture_output=True, text=True, check=False)

    def make_topic(self):
        made = self.naru("topic", "create", TOPIC, "--partitions", str(PARTITIONS), "--replication-factor", "3",
                         "--config", "min_in_sync_replicas=2")
        if made.returncode:
            raise Failure(f"the topic could not be made: {made.stderr}")

    # The clients.
    def start_client(self, name, program, *options):
        command = [sys.executable, program, "--stubs", self.stubs, *options]
        self.clients[name] = Daemon(name, command, os.path.join(self.folder, f"{name}.log"))
        self.clients[name].start(detached=False)

    def history(self, name):
        return os.path.join(self.histories, f"{name}.jsonl")

    def start_load(self, name, *options):
        self.start_client(name, os.path.join(HERE, "clients.py"), "--servers", self.cluster.servers, "--history",
                          self.history(name), "--topic", TOPIC, "--partitions", str(PARTITIONS), "--seed",
                          str(self.args.seed), *options)

    def start_clients(self):
        self.start_load("producers", "--unary-producers", "2", "--stream-producers", "2",
                        "--stamped-producers", "2", "--rate", str(self.args.rate))
        self.start_load("readers", "--fetch-readers", "2", "--subscribe-readers", "1")
        self.start_client("lookout", os.path.join(HERE, "lookout.py"), "--servers", self.cluster.servers, "--history",
                          self.history("lookout"), "--group", GROUP)
        addresses = os.path.join(self.folder, "addresses")
        with open(addresses, "w", encoding="ascii") as f:
            f.write(self.cluster.servers)
        for i in range(1, MEMBERS + 1):
            self.start_client(f"m{i}", os.path.join(HERE, "../groups/member.py"), "--address-file", addresses,
                              "--history", self.history(f"m{i}"), "--name", f"m{i}", "--group", GROUP, "--topic", TOPIC,
                              "--seed", str(self.chance.randrange(1 << 30)))

    def stop_clients(self, *names):
        for name in names:
            self.clients[name].signal(signal.SIGTERM)
        for name in names:
            if not self.clients[name].wait_gone(60):
                self.problem(f"client {name} did not end")
            elif self.clients[name].exit_code() != 0:
                self.problem(f"client {name} ended with {self.clients[name].exit_code()}:\n"
                             f"{self.clients[name].last_lines()}")

    def watch_clients(self):
        for name, client in self.clients.items():
            if client.state() == "gone":
                raise Failure(f"client {name} ended by itself with {client.exit_code()}:\n{client.last_lines()}")

    # The phases.
    def go(self):
        self.cluster.up()
        self.make_topic()
        self.start_clients()
        self.tell("loaded")
        self.await_acks(0)
        until = time.monotonic() + self.args.seconds
        while time.monotonic() < until:
            self.faults.tick()
            self.watch_clients()
            time.sleep(0.01)
        self.heal()
        self.stop_clients("producers")
        self.settle_group()
        self.stop_clients("readers", "lookout", *(f"m{i}" for i in range(1, MEMBERS + 1)))
        self.drain_all()
        self.problems += self.faults.defects
        self.check()

    def await_acks(self, position):
        """Until every partition has an ack in the producers' history behind this byte."""
        def acked():
            try:
                with open(self.history("producers"), "rb") as f:
                    f.seek(position)
                    lines = f.read().split(b"\n")[:-1]
            except FileNotFoundError:
                return False
            events = [json.loads(line) for line in lines if line.startswith(b'{"op":"ok"')]
            return len({event["partition"] for event in events}) == PARTITIONS
        self.await_healthy(acked, "every partition takes records")

    def await_healthy(self, condition, what):
        """Nobody disturbs while it is waited for; what does not come is a problem with a name."""
        def look():
            self.faults.watch()
            if self.faults.down:
                self.faults.heal()
            return condition()
        begun = time.monotonic()
        try:
            wait_until(look, HEAL_SECONDS_MAX, what)
        except Failure:
            write_backtraces(self.cluster)
            raise
        self.tell(f"{what}, after {time.monotonic() - begun:.1f} s")

    def in_sync(self):
        return all_in_sync(self.cluster, TOPIC, "__consumer_offsets")

    def heal(self):
        self.tell("heals")
        self.faults.heal()
        position = os.path.getsize(self.history("producers"))
        for name in self.cluster.broker_names:
            self.await_healthy(lambda n=name: self.cluster.is_ready(n), f"{name} serves")
        self.await_acks(position)
        self.await_healthy(self.in_sync, "all replicas are in sync")

    def settle_group(self):
        def lag():
            made = self.naru("group", "describe", GROUP)
            if made.returncode:
                return None
            partitions = json.loads(made.stdout)["partitions"]
            return sum(int(p.get("lag", -1)) for p in partitions) if len(partitions) == PARTITIONS else None
        self.await_healthy(lambda: lag() == 0, "the group's lag is 0")

    def drain(self, name, server):
        done = subprocess.run(
            [sys.executable, os.path.join(HERE, "clients.py"), "--stubs", self.stubs, "--servers", server, "--history",
             self.history("drains"), "--topic", TOPIC, "--partitions", str(PARTITIONS), "--drain", name],
            capture_output=True, text=True, check=False)
        if done.returncode:
            self.problem(done.stderr.strip())

    def drain_all(self):
        address = self.cluster.layout.address
        for name in self.cluster.broker_names:
            self.drain(f"drain through {name}", address(name))
        for name in self.cluster.broker_names:
            self.cluster.daemons[name].kill()
            self.faults.down[name] = float("inf")
            other = next(n for n in self.cluster.broker_names if n != name)
            self.drain(f"drain without {name}", address(other))
            del self.faults.down[name]
            self.cluster.start(name)
            self.await_healthy(self.in_sync, f"all replicas are in sync with {name} again")

    def check(self):
        self.check_log()
        self.check_answers()
        self.check_group()

    def note(self, found):
        """found: [(rule, text)]."""
        by_rule = collections.Counter()
        for rule, text in found:
            by_rule[rule] += 1
            if by_rule[rule] <= EXAMPLES_MAX:
                self.problem(f"{rule}: {text}")
        for rule, count in by_rule.items():
            if count > EXAMPLES_MAX:
                self.problem(f"{rule}: {count - EXAMPLES_MAX} more")

    def check_log(self):
        paths = [self.history(name) for name in ("producers", "readers", "drains")]
        checker = load_checker("crash").check_files(paths, cluster=True)
        self.note([(rule, text) for rule in sorted(checker.breaches) for text in checker.breaches[rule]])
        self.counts = checker.counts
        if not self.counts["acked values"]:
            self.problem("nothing was acked, so nothing was checked")
        if self.counts["drains"] != 2 * len(self.cluster.broker_names):
            self.problem(f"{self.counts['drains']} drains instead of {2 * len(self.cluster.broker_names)}")

    def check_answers(self):
        """What producers were told, and how long nobody was told that anything was acked."""
        self.reasons, acks = collections.Counter(), []
        with open(self.history("producers"), encoding="utf-8") as lines:
            for event in map(json.loads, lines):
                if event["op"] in ("fail", "unknown"):
                    self.reasons[event["reason"]] += 1
                elif event["op"] == "ok":
                    acks.append(event["t"])
        for reason in self.reasons.keys() - REASONS:
            self.problem(f"producers were told {reason} {self.reasons[reason]} times")
        acks.sort()
        self.longest_gap = max((b - a for a, b in zip(acks, acks[1:])), default=0) / 1e9

    def check_group(self):
        checker = load_checker("groups")
        with open(self.history("lookout"), encoding="utf-8") as f:
            looks = [json.loads(line) for line in f]
        looks = [(look["t"], {int(p): offset for p, offset in look["offsets"].items()}) for look in looks]
        ends = {p["partition"]: int(p["high_watermark"]) for p in describe_topic(self.cluster, TOPIC)}
        names = [f"m{i}" for i in range(1, MEMBERS + 1)]
        stops = [time for time, name in self.faults.stops if name.startswith("broker")]
        found = checker.check([checker.read_history(self.history(name)) for name in names], looks, ends,
                              {name: stops for name in names})
        self.note([(f"group {text.partition(':')[0]}", text.partition(": ")[2]) for text in found])
        self.looks = len(looks)

    def report(self):
        counts = self.counts
        print(", ".join(f"{n} × {fault}" for fault, n in sorted(self.faults.counts.items())))
        print(f"{counts['send']} batches sent, {counts['acked values']} values acked, at most {self.longest_gap:.1f} s "
              f"without an ack; {counts['drained values']} values drained {counts['drains']} times "
              f"({counts['unacked values found']} of them never acked); {counts['poll']} reads, {self.looks} looks at "
              "committed positions")
        print("not acked: " + ", ".join(f"{n} × {reason}" for reason, n in self.reasons.most_common()))

    def close(self):
        for client in self.clients.values():
            client.kill()
        self.cluster.kill_all()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", required=True, help="where narud and naru are")
    parser.add_argument("--seconds", type=float, default=60, help="of faults; the rest takes 15 seconds or more (60)")
    parser.add_argument("--seed", type=int, help="of what happens to whom, and for how long; printed. The clients' and "
                        "the processes' own timing is not repeated by it")
    parser.add_argument("--etcds", type=int, choices=[1, 3], default=1)
    parser.add_argument("--rate", type=float, default=20, help="batches a second of each of six producers (20)")
    parser.add_argument("--keep", action="store_true", help="keep the directory also when all is well")
    args = parser.parse_args()
    if args.seed is None:
        args.seed = random.SystemRandom().randrange(1 << 30)
    if shutil.which("etcd") is None:
        print("skipped: etcd is not installed (apt-get install etcd-server)")
        return SKIPPED
    folder = tempfile.mkdtemp(prefix="naru-chaos-")
    run = Run(args, folder)
    print(f"seed {args.seed}, in {folder}; second 0 is {run.begun:.2f} of the histories", flush=True)
    try:
        run.go()
        run.report()
    except Failure as failure:
        run.problem(str(failure))
        run.problems += run.faults.defects
    finally:
        run.close()
    if run.problems or args.keep:
        print(f"kept {folder}")
    else:
        shutil.rmtree(folder)
    print(f"{len(run.problems)} problems" if run.problems else "nothing that must not be")
    return 1 if run.problems else 0


if __name__ == "__main__":
    sys.exit(main())
