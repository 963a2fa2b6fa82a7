"""What happens to the processes of a cluster: killed, stopped, let go on, started again, by chance from a seed."""

import json
import os
import re
import shutil
import signal
import subprocess
import time

AT_ONCE_MAX = 2
CALM_SECONDS = (0.5, 4)    # between one fault and the next
DOWN_SECONDS = (0.05, 4)   # killed
SILENT_SECONDS = (0.3, 7)  # stopped

# What happens how often.
FAULTS = {"kill a leader": 6, "kill any broker": 2, "kill two brokers": 2, "kill all brokers": 1, "stop a leader": 5,
          "stop any broker": 2, "kill the active coordinator": 3, "stop the active coordinator": 3,
          "kill both coordinators": 1, "stop an etcd": 2, "kill an etcd": 1, "replace a disk": 1}


class Faults:
    """Call tick() again and again, then heal(). A process that ends by itself is a defect, and started again."""

    def __init__(self, cluster, topic, chance, tell):
        """topic: whose leaders are meant. tell(text): for the log of the run."""
        self.cluster, self.topic, self.chance, self.tell = cluster, topic, chance, tell
        self.down = {}    # name -> when to start it
        self.silent = {}  # name -> when it goes on
        self.next = time.monotonic() + 1
        self.counts = {}
        self.stops = []   # (monotonic_ns, name)
        self.defects = []

    def tick(self):
        self.watch()
        for name in [n for n, due in self.silent.items() if time.monotonic() >= due]:
            self.wake(name)
        for name in [n for n, due in self.down.items() if time.monotonic() >= due]:
            self.revive(name)
        if time.monotonic() >= self.next and len(self.down) + len(self.silent) < AT_ONCE_MAX:
            self.begin(self.chance.choices(list(FAULTS), list(FAULTS.values()))[0])
            self.next = time.monotonic() + self.chance.uniform(*CALM_SECONDS)

    def watch(self):
        for name, daemon in self.cluster.daemons.items():
            if name in self.down or daemon.state() != "gone":
                continue
            text = (f"{name} ended by itself with {daemon.exit_code()}; the end of {daemon.log}:\n"
                    f"{daemon.last_lines(15)}")
            self.tell(text)
            self.defects.append(text)
            self.down[name] = time.monotonic()
            self.silent.pop(name, None)

    def begin(self, fault):
        what, whom = fault.split(" ", 1)
        names = [name for name in self.targets(whom) if name not in self.down and name not in self.silent]
        if not names or (what == "replace" and not self.can_spare_a_copy()):
            return
        self.counts[fault] = self.counts.get(fault, 0) + 1
        self.tell(f"{fault}: {', '.join(names)}")
        for name in names:
            if what in ("kill", "replace"):
                self.cluster.daemons[name].kill()
                if what == "replace":
                    shutil.rmtree(self.cluster.data_of(name))
                self.down[name] = time.monotonic() + self.chance.uniform(*DOWN_SECONDS)
            else:
                self.stops.append((time.monotonic_ns(), name))
                self.cluster.daemons[name].signal(signal.SIGSTOP)
                self.silent[name] = time.monotonic() + self.chance.uniform(*SILENT_SECONDS)

    def can_spare_a_copy(self):
        return not self.down and not self.silent and all_in_sync(self.cluster, self.topic, "__consumer_offsets")

    def targets(self, whom):
        brokers = self.cluster.broker_names
        coordinators = [name for name in self.cluster.daemons if name.startswith("coordinator")]
        if whom == "a leader":
            # The choice does not depend on what the cluster answers, or the seed would not be the schedule.
            partition, other = self.chance.randrange(1 << 30), self.chance.choice(brokers)
            leaders = self.leaders()
            return [f"broker-{leaders[partition % len(leaders)]}" if leaders else other]
        if whom == "the active coordinator":
            return [active_coordinator(self.cluster)]
        if whom == "both coordinators":
            return coordinators
        if whom == "an etcd":
            return [self.chance.choice([name for name in self.cluster.daemons if name.startswith("etcd")])]
        count = {"any broker": 1, "a disk": 1, "two brokers": 2, "all brokers": len(brokers)}[whom]
        return self.chance.sample(brokers, count)

    def leaders(self):
        """Of the topic's partitions, those that have one; none when nobody says."""
        healthy = [name for name in self.cluster.broker_names if name not in self.down and name not in self.silent]
        if not healthy:
            return []
        partitions = describe_topic(self.cluster, self.topic, self.cluster.layout.address(healthy[0]), "1s")
        return [partition["leader"] for partition in partitions or [] if partition.get("leader", 0) > 0]

    def wake(self, name):
        del self.silent[name]
        self.tell(f"{name} goes on")
        self.cluster.daemons[name].signal(signal.SIGCONT)

    def revive(self, name):
        del self.down[name]
        self.tell(f"{name} starts")
        self.cluster.start(name)

    def heal(self):
        for name in list(self.silent):
            self.wake(name)
        for name in list(self.down):
            self.revive(name)


def describe_topic(cluster, topic, servers=None, timeout="3s"):
    """Its partitions as `naru topic describe` has them, or None."""
    made = subprocess.run([os.path.join(cluster.programs, "naru"), "--server", servers or cluster.servers, "--timeout",
                           timeout, "--output", "json", "topic", "describe", topic], capture_output=True, text=True,
                          check=False)
    return json.loads(made.stdout)["partitions"] if made.returncode == 0 else None


def all_in_sync(cluster, *topics):
    """Whether every replica of these topics is in sync, as every broker says."""
    for server in cluster.layout.addresses("broker"):
        for topic in topics:
            partitions = describe_topic(cluster, topic, server)
            if partitions is None or any(len(p["in_sync_replicas"]) < len(p["replicas"]) or p["leader"] < 1
                                         for p in partitions):
                return False
    return True


def active_coordinator(cluster):
    """Who was elected last, by the logs."""
    latest = (-1, "coordinator-1")
    for name, daemon in cluster.daemons.items():
        if name.startswith("coordinator"):
            with open(daemon.log, encoding="utf-8", errors="replace") as f:
                for term in re.findall(r" elected term=(\d+)", f.read()):
                    latest = max(latest, (int(term), name))
    return latest[1]


def write_backtraces(cluster):
    """Where every thread of every process stands, beside its log. For runs that came to no end."""
    if shutil.which("gdb") is None:
        return
    for name, daemon in cluster.daemons.items():
        if daemon.is_running() and not name.startswith("etcd"):
            with open(os.path.join(cluster.folder, name, "backtrace"), "w", encoding="utf-8") as f:
                subprocess.run(["gdb", "-p", str(daemon.pid), "-batch", "-ex", "thread apply all bt"], stdout=f,
                               stderr=subprocess.STDOUT, check=False, timeout=120)
