"""What happens to the processes of a cluster, their network and their disks, by chance from a seed."""

import collections
import re
import shutil
import signal
import time

import corruption
from daemon import Failure
from state import active_coordinator, all_in_sync, describe_topic

AT_ONCE_MAX = 2
ENDS_MAX = 5  # of one process by itself; then it makes no sense to go on
CALM_SECONDS = (0.5, 4)    # between one fault and the next
DOWN_SECONDS = (0.05, 4)   # killed
SILENT_SECONDS = (0.3, 7)  # stopped
NETWORK_SECONDS = (0.3, 9)
FULL_SECONDS = (1, 9)
LOST_SHARE, LATE_SECONDS = (0.05, 0.2), (0.02, 0.2)

# How often, what, and to whom.
PROCESS_FAULTS = [
    (6, "kill", "a leader"), (2, "kill", "any broker"), (2, "kill", "two brokers"), (1, "kill", "all brokers"),
    (5, "stop", "a leader"), (2, "stop", "any broker"), (3, "kill", "the active coordinator"),
    (3, "stop", "the active coordinator"), (1, "kill", "both coordinators"), (2, "stop", "an etcd"),
    (1, "kill", "an etcd"), (1, "replace the disk of", "any broker")]
NETWORK_FAULTS = [
    (4, "cut off", "a leader"), (2, "cut off", "any broker"), (2, "cut off", "the active coordinator"),
    (1, "cut off", "an etcd"), (6, "cut the link between", "two hosts"),
    (6, "cut one way of the link between", "two hosts"), (2, "lose all packets from", "a leader"),
    (2, "lose all packets to", "a leader"), (3, "lose some packets of", "any host"),
    (3, "delay packets of", "any host")]
DISK_FAULTS = [
    (3, "fill the disk of", "a leader"), (2, "fill the disk of", "any broker"), (1, "fill the disk of", "all brokers"),
    (2, "exhaust the disk of", "a leader"), (1, "exhaust the disk of", "any broker")]
# A replica that finds its log damaged must neither serve nor replicate what fails its checksum: it stops leading and
# fetches again from the leader what it lost. The others' copies are untouched, so everything acknowledged is still read
# in the end, through each broker; and no process ends by itself. Flips hit one broker of a run alone, at moments when
# all replicas are in sync, so two copies of everything are always good.
CORRUPTION_FAULTS = [
    (2, "flip a bit in a sealed segment of", "the broker with bad luck"),
    (2, "flip a bit in the active segment of", "the broker with bad luck"),
    (2, "flip a bit in the index of", "the broker with bad luck")]

# The cluster's surroundings: network and disks are None where processes have no hosts or disks of their own. clients:
# the host of all clients. reserve_bytes: --disk-reserve of the brokers.
Places = collections.namedtuple("Places", "network clients disks reserve_bytes")
# A fault that ends without a process's doing. kind: "network" or "disk"; names: who suffers.
Passing = collections.namedtuple("Passing", "kind due text names heal")


def kind_of(action):
    if action in {action for _, action, _ in NETWORK_FAULTS}:
        return "network"
    return "disk" if action in {action for _, action, _ in DISK_FAULTS} else "process"


class Faults:
    """Call tick() again and again, then heal(). A process that ends by itself is a defect, and started again; but what
    ends for want of a byte on an exhausted disk is only counted, and started when there is room: a write that fails
    is the end of a process, by design."""

    def __init__(self, cluster, topic, chance, tell, places, corrupt):
        """topic: whose leaders are meant. tell(text): for the log of the run. corrupt: bits flip."""
        self.cluster, self.topic, self.chance, self.tell, self.places = cluster, topic, chance, tell, places
        self.unlucky = chance.choice(cluster.broker_names)
        self.faults = [*PROCESS_FAULTS, *(NETWORK_FAULTS if places.network else ()),
                       *(DISK_FAULTS if places.disks else ()), *(CORRUPTION_FAULTS if corrupt else ())]
        if corrupt:
            # Another copy that goes would be one too many.
            self.faults = [fault for fault in self.faults if fault[1] != "replace the disk of"]
        self.down = {}      # name -> when to start it
        self.silent = {}    # name -> when it goes on
        self.passing = []
        self.exhausted = set()
        self.next = time.monotonic() + 1
        self.counts = collections.Counter()
        self.ends = collections.Counter()
        self.doubts = []    # monotonic_ns of when a broker or the clients were stopped or hindered
        self.defects = []

    def tick(self):
        self.watch()
        now = time.monotonic()
        for name in [n for n, due in self.silent.items() if now >= due]:
            self.wake(name)
        for fault in [fault for fault in self.passing if now >= fault.due]:
            self.end(fault)
        for name in [n for n, due in self.down.items() if now >= due]:
            self.revive(name)
        if now >= self.next and len(self.down) + len(self.silent) + len(self.passing) < AT_ONCE_MAX:
            self.begin(*self.chance.choices(self.faults, [weight for weight, *_ in self.faults])[0][1:])
            self.next = time.monotonic() + self.chance.uniform(*CALM_SECONDS)

    def watch(self):
        for name, daemon in self.cluster.daemons.items():
            if name in self.down or daemon.state() != "gone":
                continue
            end = daemon.last_lines(8)
            text = f"{name} ended by itself with {daemon.exit_code()}; the end of {daemon.log}:\n{end}"
            self.tell(text)
            self.silent.pop(name, None)
            if name in self.exhausted and re.search("[Nn]o space left", end):
                self.counts["ended on an exhausted disk"] += 1
                self.down[name] = float("inf")
                continue
            self.defects.append(text)
            self.ends[name] += 1
            if self.ends[name] > ENDS_MAX:
                raise Failure(f"{name} ended by itself {ENDS_MAX} times")
            self.down[name] = time.monotonic() + 1

    # How a fault begins.
    def begin(self, action, whom):
        kind = kind_of(action)
        # A fault of one kind may come on top of one of another kind.
        names = [name for name in self.targets(whom) if not self.suffers(name, kind)]
        if not names or (whom == "two hosts" and len(names) < 2):
            return
        if ("flip" in action or "replace" in action) and not self.can_spare_a_copy():
            return
        fault = f"{action} {whom}"
        self.counts[fault] += 1
        self.tell(f"{fault}: {', '.join(names)}")
        if kind == "disk":
            self.fill(names, action == "exhaust the disk of")
        elif kind == "network":
            self.disturb(fault, names, self.links(action, names))
        elif action == "stop":
            self.stop(names)
        else:
            self.kill(names, action)

    def can_spare_a_copy(self):
        return (not self.down and not self.silent and not self.passing and
                all_in_sync(self.cluster, self.topic, "__consumer_offsets"))

    def suffers(self, name, kind):
        if kind == "process":
            return name in self.down or name in self.silent
        return any(name in fault.names and fault.kind == kind for fault in self.passing)

    def kill(self, names, action):
        for name in names:
            self.cluster.daemons[name].kill()
            if "replace" in action:
                shutil.rmtree(self.cluster.data_of(name))
            elif "flip" in action:
                where = re.search("in (.*) of", action)[1]
                try:
                    self.tell(corruption.flip(self.cluster.data_of(name), where, self.chance))
                except corruption.NothingToFlip:
                    self.tell("there is nothing to flip")
            self.down[name] = time.monotonic() + self.chance.uniform(*DOWN_SECONDS)

    def stop(self, names):
        for name in names:
            self.doubt([name])
            self.cluster.daemons[name].signal(signal.SIGSTOP)
            self.silent[name] = time.monotonic() + self.chance.uniform(*SILENT_SECONDS)

    def doubt(self, names):
        if any(name.startswith("broker") or name == self.places.clients for name in names):
            self.doubts.append(time.monotonic_ns())

    def links(self, action, names):
        """Which links are how much worse."""
        network, name = self.places.network, names[0]
        if action == "cut off":
            return network.around(name)
        if action == "cut the link between":
            return [(names[0], names[1], 1, 0), (names[1], names[0], 1, 0)]
        if action == "cut one way of the link between":
            return [(names[0], names[1], 1, 0)]
        if action == "lose all packets from":
            return network.outgoing(name)
        if action == "lose all packets to":
            return network.incoming(name)
        if action == "lose some packets of":
            return network.around(name, self.chance.uniform(*LOST_SHARE), 0)
        if action == "delay packets of":
            return network.around(name, 0, self.chance.uniform(*LATE_SECONDS))
        raise ValueError(action)

    def disturb(self, fault, names, links):
        self.doubt(names)
        number = self.places.network.disturb(*links)
        self.passing.append(Passing("network", time.monotonic() + self.chance.uniform(*NETWORK_SECONDS),
                                    f"no longer: {fault}: {', '.join(names)}", names,
                                    lambda: self.places.network.mend(number)))

    def fill(self, names, wholly):
        for name in names:
            if wholly:
                self.exhausted.add(name)
            self.places.disks.fill(name, 0 if wholly else self.places.reserve_bytes // 2)
            self.passing.append(Passing("disk", time.monotonic() + self.chance.uniform(*FULL_SECONDS),
                                        f"the disk of {name} has room again", [name], lambda n=name: self.free(n)))

    # How it ends.
    def free(self, name):
        self.places.disks.free(name)
        self.exhausted.discard(name)
        if self.down.get(name) == float("inf"):
            self.down[name] = time.monotonic()

    def end(self, fault):
        self.passing.remove(fault)
        self.tell(fault.text)
        fault.heal()

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
        for fault in list(self.passing):
            self.end(fault)
        for name in list(self.down):
            self.revive(name)

    # Whom it hits.
    def targets(self, whom):
        brokers = self.cluster.broker_names
        coordinators, etcds = self.named("coordinator"), self.named("etcd")
        if whom == "a leader":
            # The choice does not depend on what the cluster answers, or the seed would not be the schedule.
            partition, other = self.chance.randrange(1 << 30), self.chance.choice(brokers)
            leaders = self.leaders()
            return [f"broker-{leaders[partition % len(leaders)]}" if leaders else other]
        if whom == "two hosts":
            # Those that have to do with each other.
            clients = [self.places.clients]
            first, second = self.chance.choice([(brokers, brokers), (brokers, coordinators), (clients, brokers),
                                                (coordinators, etcds)] + [(etcds, etcds)] * (len(etcds) > 1))
            one = self.chance.choice(first)
            two = [one, self.chance.choice([name for name in second if name != one])]
            return two if self.chance.random() < 0.5 else two[::-1]
        if whom == "any host":
            return [self.chance.choice([*self.cluster.daemons, self.places.clients])]
        if whom == "the broker with bad luck":
            return [self.unlucky]
        if whom == "the active coordinator":
            return [active_coordinator(self.cluster)]
        if whom == "both coordinators":
            return coordinators
        if whom == "an etcd":
            return [self.chance.choice(etcds)]
        return self.chance.sample(brokers, {"any broker": 1, "two brokers": 2, "all brokers": len(brokers)}[whom])

    def named(self, kind):
        return [name for name in self.cluster.daemons if name.startswith(kind)]

    def leaders(self):
        """Of the topic's partitions, those that have one; none when nobody says."""
        healthy = [name for name in self.cluster.broker_names
                   if not self.suffers(name, "process") and not self.suffers(name, "network")]
        if not healthy:
            return []
        partitions = describe_topic(self.cluster, self.topic, self.cluster.layout.address(healthy[0]), "1s")
        return [partition["leader"] for partition in partitions or [] if partition.get("leader", 0) > 0]
