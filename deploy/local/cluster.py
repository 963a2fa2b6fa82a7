"""A cluster of naru on one machine: etcds, coordinators, brokers, each a process, on loopback or on hosts of their own.

For trying out (run.py) and for tests. A cluster's folder holds what its processes keep and write, and cluster.json: the
ports and which processes there are, so that a later program finds them again.
"""

import json
import os
import random
import shutil
import socket
import urllib.error
import urllib.request

from daemon import Daemon, Failure, boot_id, wait_until

HOST = "127.0.0.1"
START_SECONDS_MAX = 60
# Below where the kernel takes ports of outgoing connections from: one of those could sit where a broker was.
FREE_PORTS = range(12_000, 32_000)


def is_free(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def free_ports(count):
    found = []
    for port in random.SystemRandom().sample(FREE_PORTS, len(FREE_PORTS)):
        if is_free(port):
            found.append(port)
        if len(found) == count:
            return found
    raise Failure(f"no {count} free ports from {FREE_PORTS.start} to {FREE_PORTS.stop - 1}")


class Layout:
    """How many of what, and at which addresses. A value."""

    def __init__(self, brokers, coordinators, etcds, ports, hosts=None):
        """ports: name -> port, for every name of `port_names`. hosts: process -> address of the host that it has to
        itself; None: all are on HOST. Without coordinators each broker is one, too."""
        self.brokers, self.coordinators, self.etcds, self.ports = brokers, coordinators, etcds, ports
        self.hosts = hosts or {}

    @staticmethod
    def process_names(brokers, coordinators, etcds):
        counts = {"etcd": etcds, "coordinator": coordinators, "broker": brokers}
        return [f"{kind}-{i}" for kind, count in counts.items() for i in range(1, count + 1)]

    @staticmethod
    def port_names(brokers, coordinators, etcds):
        return ([f"broker-{i}{what}" for i in range(1, brokers + 1) for what in ("", "-http", "-peer")] +
                [f"coordinator-{i}" for i in range(1, coordinators + 1)] +
                [f"etcd-{i}{what}" for i in range(1, etcds + 1) for what in ("", "-peer")])

    @classmethod
    def free(cls, brokers=3, coordinators=2, etcds=1):
        """On ports that nobody has."""
        names = cls.port_names(brokers, coordinators, etcds)
        return cls(brokers, coordinators, etcds, dict(zip(names, free_ports(len(names)))))

    @classmethod
    def fixed(cls, first, brokers=3, coordinators=2, etcds=1, hosts=None):
        """Brokers' client ports are `first`, `first` + 10, …; the two after each are /metrics and the peers'."""
        ports = {}
        for i in range(brokers):
            for step, what in enumerate(("", "-http", "-peer")):
                ports[f"broker-{i + 1}{what}"] = first + 10 * i + step
        after = first + 10 * brokers
        for i in range(coordinators):
            ports[f"coordinator-{i + 1}"] = after + i
        for i in range(etcds):
            ports[f"etcd-{i + 1}"], ports[f"etcd-{i + 1}-peer"] = after + 10 + 2 * i, after + 11 + 2 * i
        return cls(brokers, coordinators, etcds, ports, hosts)

    def address(self, name):
        return f"{self.hosts.get(self.owner(name), HOST)}:{self.ports[name]}"

    @property
    def coordinating(self):
        """The processes that are coordinators."""
        kind, count = ("coordinator", self.coordinators) if self.coordinators else ("broker", self.brokers)
        return [f"{kind}-{i}" for i in range(1, count + 1)]

    def peer_address(self, name):
        """Of a coordinator or a broker, for others of the cluster."""
        return self.address(name if name.startswith("coordinator") else f"{name}-peer")

    def addresses(self, kind):
        return [self.address(f"{kind}-{i}") for i in range(1, getattr(self, kind + "s") + 1)]

    def owner(self, port_name):
        """The process that has this port."""
        return "-".join(port_name.split("-")[:2])


class Cluster:
    """Starts, finds again and ends the processes. Not thread-safe: one thread calls it, and where they are not detached
    they end with that thread."""

    STOP_SECONDS_MAX = 30

    def __init__(self, folder, programs, layout, detached=False, broker_options=(), coordinator_options=(), enter=None,
                 data_folder="data"):
        """programs: the folder of narud and naru. enter: process -> what brings a process to its host (see Daemon).
        data_folder: below a process's folder, where it keeps what outlives it."""
        self.folder, self.programs = os.path.abspath(folder), os.path.abspath(programs)
        self.layout, self.detached, self.data_folder = layout, detached, data_folder
        os.makedirs(self.folder, exist_ok=True)
        known = self._known_processes()
        self.daemons = {}  # in the order in which they are started
        for name, arguments in self._commands(list(broker_options), list(coordinator_options)):
            os.makedirs(os.path.join(self.folder, name), exist_ok=True)
            log = os.path.join(self.folder, name, "log")
            self.daemons[name] = Daemon(name, arguments, log, known.get(name), (enter or {}).get(name))

    @property
    def servers(self):
        """The brokers' addresses, as `naru --server` takes them."""
        return ",".join(self.layout.addresses("broker"))

    @property
    def broker_names(self):
        return [f"broker-{i}" for i in range(1, self.layout.brokers + 1)]

    def data_of(self, name):
        """Where a process keeps what outlives it."""
        return os.path.join(self.folder, name, self.data_folder)

    def _commands(self, broker_options, coordinator_options):
        layout, narud = self.layout, os.path.join(self.programs, "narud")
        members = ",".join(f"etcd-{i}=http://{layout.address(f'etcd-{i}-peer')}" for i in range(1, layout.etcds + 1))
        for i in range(1, layout.etcds + 1):
            name = f"etcd-{i}"
            client, peer = f"http://{layout.address(name)}", f"http://{layout.address(name + '-peer')}"
            yield name, [shutil.which("etcd") or "etcd", "--name", name,
                         "--data-dir", self.data_of(name),
                         "--listen-client-urls", client, "--advertise-client-urls", client, "--listen-peer-urls", peer,
                         "--initial-advertise-peer-urls", peer, "--initial-cluster", members, "--logger", "zap",
                         "--log-level", "warn"]
        metadata = ["--metadata", f"etcd://{','.join(layout.addresses('etcd'))}/naru"]
        for i in range(1, layout.coordinators + 1):
            yield f"coordinator-{i}", [
                narud, "--roles", "coordinator", *metadata, "--peer-listen", layout.peer_address(f"coordinator-{i}"),
                "--http", "off", *coordinator_options]
        coordinators = ",".join(map(layout.peer_address, layout.coordinating))
        roles = (["--roles", "broker"] if layout.coordinators
                 else ["--roles", "broker,coordinator", *metadata, *coordinator_options])
        for i in range(1, layout.brokers + 1):
            name = f"broker-{i}"
            yield name, [
                narud, *roles, "--broker-id", i, "--data-dir", self.data_of(name),
                "--coordinators", coordinators, "--listen", layout.address(name),
                "--http", layout.address(name + "-http"), "--peer-listen", layout.peer_address(name),
                *broker_options]

    # The state of an earlier program.
    def _state_path(self):
        return os.path.join(self.folder, "cluster.json")

    def _known_processes(self):
        state = read_state(self.folder)
        if state is None or state["boot"] != boot_id():
            return {}
        return {name: tuple(identity) for name, identity in state["processes"].items()}

    def _save(self):
        state = {"boot": boot_id(), "brokers": self.layout.brokers, "coordinators": self.layout.coordinators,
                 "etcds": self.layout.etcds, "ports": self.layout.ports,
                 "processes": {name: daemon.identity for name, daemon in self.daemons.items() if daemon.identity}}
        with open(self._state_path() + ".new", "w", encoding="utf-8") as f:
            json.dump(state, f, indent=1)
        os.rename(self._state_path() + ".new", self._state_path())

    def _check_ports(self, names):
        for port_name, port in self.layout.ports.items():
            owner = self.layout.owner(port_name)
            if owner in names and owner not in self.layout.hosts and not is_free(port):
                raise Failure(f"{owner} cannot have port {port} of {HOST}: another process listens there "
                              f"(`ss -ltnp 'sport = :{port}'` says which)")

    def start(self, name):
        """Its process. Refused when somebody else has one of its ports."""
        self._check_ports([name])
        daemon = self.daemons[name]
        try:
            daemon.start(self.detached)
        except FileNotFoundError:
            raise Failure(f"{daemon.arguments[0]} is not there") from None
        self._save()

    def up(self):
        """Starts what does not run, in order, and waits until every broker serves. The names of what was started."""
        states = {name: daemon.state() for name, daemon in self.daemons.items()}
        for name in (name for name, state in states.items() if state == "stopped"):
            raise Failure(f"{name} is stopped; `kill -CONT {self.daemons[name].pid}` lets it go on")
        self._check_ports([name for name, state in states.items() if state == "gone"])
        started = []
        for kind in ("etcd", "coordinator", "broker"):
            for name, daemon in self.daemons.items():
                if name.startswith(kind) and daemon.state() == "gone":
                    self.start(name)
                    started.append(name)
            if kind == "etcd":
                for name in self.daemons:
                    if name.startswith("etcd"):
                        wait_until(lambda n=name: self._answers(n, self.layout.address(n), "/health"),
                                   START_SECONDS_MAX, f"{name} is healthy; see {self.daemons[name].log}")
        for name in self.broker_names:
            self.wait_ready(name)
        return started

    def _answers(self, name, address, path):
        daemon = self.daemons[name]
        if daemon.state() == "gone":
            raise Failure(f"{name} ended instead of serving; the end of {daemon.log}:\n{daemon.last_lines()}")
        return http_get(address, path)[0] == 200

    def is_ready(self, name):
        """Whether this broker serves. Fails when it ended."""
        return self._answers(name, self.layout.address(name + "-http"), "/readyz")

    def wait_ready(self, name, seconds=START_SECONDS_MAX):
        wait_until(lambda: self.is_ready(name), seconds, f"{name} serves; see {self.daemons[name].log}")

    def down(self):
        """Ends everything, clients' side first. The names of what had to be killed."""
        stubborn = []
        for kind in ("broker", "coordinator", "etcd"):
            names = [name for name in self.daemons if name.startswith(kind)]
            stubborn += [name for name in names if not self.daemons[name].terminate(self.STOP_SECONDS_MAX)]
        return stubborn

    def kill_all(self):
        for daemon in self.daemons.values():
            daemon.kill()


def read_state(folder):
    """What cluster.json says, or None."""
    try:
        with open(os.path.join(folder, "cluster.json"), encoding="utf-8") as f:
            return json.load(f)
    except FileNotFoundError:
        return None


def http_get(address, path, seconds=2):
    """(status, body); (0, "") when nobody answers."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://{address}{path}", timeout=seconds) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""
