"""The clients of a cluster under test, each kind in a process, and what must be true of all that they saw.

tests/integration/crash/checker.py and tests/integration/groups/checker.py say what that is.
"""

import collections
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time

import stubs
from daemon import Daemon, Failure, wait_until
from state import all_in_sync, describe_topic

HERE = os.path.dirname(os.path.abspath(__file__))
TOPIC, PARTITIONS, GROUP, MEMBERS = "chaos", 6, "g", 3
HEAL_SECONDS_MAX = 60
EXAMPLES_MAX = 5  # of each rule
MEMBER_NAMES = [f"m{i}" for i in range(1, MEMBERS + 1)]


def load_checker(folder):
    path = os.path.join(HERE, "..", folder, "checker.py")
    spec = importlib.util.spec_from_file_location(f"{folder}_checker", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Load:
    """One topic of which every record has three copies and none is acknowledged by one broker alone. What must not be
    is collected in `problems`. Not thread-safe; the clients end with the thread that started them."""

    def __init__(self, cluster, folder, seed, tell, reasons):
        """tell(text): for the log of the run. reasons: what producers may be told while their cluster suffers."""
        self.cluster, self.folder, self.seed, self.tell, self.reasons_allowed = cluster, folder, seed, tell, reasons
        self.stubs = os.path.join(folder, "stubs")
        self.histories = os.path.join(folder, "histories")
        os.makedirs(self.histories)
        stubs.generate(self.stubs)
        self.clients = {}
        self.problems = []
        self.before_look = lambda: None  # called again and again while something is waited for

    def problem(self, text):
        self.tell(f"PROBLEM: {text}")
        self.problems.append(text)

    # The cluster's state, as its command line has it.
    def naru(self, *arguments):
        return subprocess.run([os.path.join(self.cluster.programs, "naru"), "--server", self.cluster.servers,
                               "--output", "json", *arguments], capture_output=True, text=True, check=False)

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
                          str(self.seed), *options)

    def start(self, rate, unary=2, stream=2, stamped=2):
        """So many producers of each kind, each with `rate` batches a second, and readers, and members of a group."""
        self.start_load("producers", "--unary-producers", str(unary), "--stream-producers", str(stream),
                        "--stamped-producers", str(stamped), "--rate", str(rate))
        self.start_load("readers", "--fetch-readers", "2", "--subscribe-readers", "1")
        self.start_client("lookout", os.path.join(HERE, "lookout.py"), "--servers", self.cluster.servers, "--history",
                          self.history("lookout"), "--group", GROUP)
        addresses = os.path.join(self.folder, "addresses")
        with open(addresses, "w", encoding="ascii") as f:
            f.write(self.cluster.servers)
        for i, name in enumerate(MEMBER_NAMES):
            self.start_client(name, os.path.join(HERE, "../groups/member.py"), "--address-file", addresses, "--history",
                              self.history(name), "--name", name, "--group", GROUP, "--topic", TOPIC, "--seed",
                              str(self.seed + i))
        self.await_acks(0)

    def stop(self, *names):
        for name in names:
            self.clients[name].signal(signal.SIGTERM)
        for name in names:
            client = self.clients.pop(name)
            if not client.wait_gone(60):
                self.problem(f"client {name} did not end")
                client.kill()
            elif client.exit_code() != 0:
                self.problem(f"client {name} ended with {client.exit_code()}:\n{client.last_lines()}")

    def watch(self):
        for name, client in self.clients.items():
            if client.state() == "gone":
                raise Failure(f"client {name} ended by itself with {client.exit_code()}:\n{client.last_lines()}")

    def close(self):
        for client in self.clients.values():
            client.kill()

    # Waiting. Nobody disturbs meanwhile.
    def await_healthy(self, condition, what, seconds=HEAL_SECONDS_MAX):
        def look():
            self.before_look()
            return condition()
        begun = time.monotonic()
        wait_until(look, seconds, what)
        self.tell(f"{what}, after {time.monotonic() - begun:.1f} s")

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

    def in_sync(self):
        return all_in_sync(self.cluster, TOPIC, "__consumer_offsets")

    def await_recovery(self):
        """Everybody serves, takes records again, and is in sync."""
        position = os.path.getsize(self.history("producers"))
        for name in self.cluster.broker_names:
            self.await_healthy(lambda n=name: self.cluster.is_ready(n), f"{name} serves")
        self.await_acks(position)
        self.await_healthy(self.in_sync, "all replicas are in sync")

    def lag(self):
        made = self.naru("group", "describe", GROUP)
        if made.returncode:
            return None
        partitions = json.loads(made.stdout)["partitions"]
        return sum(int(p.get("lag", -1)) for p in partitions) if len(partitions) == PARTITIONS else None

    def finish(self):
        """The producers end, the group reads all there is, then everybody ends."""
        self.stop("producers")
        self.await_healthy(lambda: self.lag() == 0, "the group's lag is 0")
        self.stop("readers", "lookout", *MEMBER_NAMES)

    def drain(self, name, server):
        done = subprocess.run(
            [sys.executable, os.path.join(HERE, "clients.py"), "--stubs", self.stubs, "--servers", server, "--history",
             self.history("drains"), "--topic", TOPIC, "--partitions", str(PARTITIONS), "--drain", name],
            capture_output=True, text=True, check=False)
        if done.returncode:
            self.problem(done.stderr.strip())

    # What must be true.
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

    def check(self, drains, doubts):
        """drains: how often everything was read. doubts: when a member of the group may have been cut off from it."""
        self.check_log(drains)
        self.check_answers()
        self.check_group(doubts)

    def check_log(self, drains):
        paths = [self.history(name) for name in ("producers", "readers", "drains")]
        checker = load_checker("crash").check_files(paths, cluster=True)
        self.note([(rule, text) for rule in sorted(checker.breaches) for text in checker.breaches[rule]])
        self.counts = checker.counts
        if not self.counts["acked values"]:
            self.problem("nothing was acked, so nothing was checked")
        if self.counts["drains"] != drains:
            self.problem(f"{self.counts['drains']} drains instead of {drains}")

    def check_answers(self):
        """What producers were told, and how long nobody was told that anything was acked, and how long one batch took
        from its first attempt on."""
        self.reasons, acks, sent = collections.Counter(), [], {}
        self.slowest = 0
        with open(self.history("producers"), encoding="utf-8") as lines:
            for event in map(json.loads, lines):
                if event["op"] in ("fail", "unknown"):
                    self.reasons[event["reason"]] += 1
                elif event["op"] == "send":
                    sent[event["order"], event["id"]] = event["t"]
                elif event["op"] == "ok":
                    acks.append(event["t"])
                    self.slowest = max(self.slowest, (event["t"] - sent[event["order"], event["id"]]) / 1e9)
        for reason in self.reasons.keys() - self.reasons_allowed:
            self.problem(f"producers were told {reason} {self.reasons[reason]} times")
        acks.sort()
        self.longest_gap = max((b - a for a, b in zip(acks, acks[1:])), default=0) / 1e9

    def check_group(self, doubts):
        checker = load_checker("groups")
        with open(self.history("lookout"), encoding="utf-8") as f:
            looks = [json.loads(line) for line in f]
        looks = [(look["t"], {int(p): offset for p, offset in look["offsets"].items()}) for look in looks]
        ends = {p["partition"]: int(p["high_watermark"]) for p in describe_topic(self.cluster, TOPIC)}
        found = checker.check([checker.read_history(self.history(name)) for name in MEMBER_NAMES], looks, ends,
                              {name: doubts for name in MEMBER_NAMES})
        self.note([(f"group {text.partition(':')[0]}", text.partition(": ")[2]) for text in found])
        self.looks = len(looks)

    def report(self):
        counts = self.counts
        print(f"{counts['send']} batches sent, {counts['acked values']} values acked, at most {self.longest_gap:.1f} s "
              f"without an ack; {counts['drained values']} values drained {counts['drains']} times "
              f"({counts['unacked values found']} of them never acked); {counts['poll']} reads, {self.looks} looks at "
              "committed positions")
        print("not acked: " + (", ".join(f"{n} × {reason}" for reason, n in self.reasons.most_common()) or "nothing"))
