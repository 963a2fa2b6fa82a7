"""Hosts on one machine: each has a network namespace and an address of its own, and switch.py carries packets between
them, except for those that it is told to lose or to delay.

Needs /dev/net/tun and the right to make namespaces: root's, or that of `unshare --map-root-user PROGRAM`. Nothing of it
has a name outside this program and what it starts, so two networks never meet, and the kernel removes all of it when
the last of these processes ends, however it ends.
"""

import ctypes
import fcntl
import json
import os
import socket
import struct
import subprocess
import sys
import threading

from daemon import Failure, die_with_parent

HERE = os.path.dirname(os.path.abspath(__file__))
CLONE_NEWNET = 0x40000000
DEVICE = b"net0"
MTU = 16_000  # fewer packets, each of which costs switch.py the same
FIRST_ADDRESS, NETMASK = "10.0.0.1", "255.255.255.0"
# From linux/if_tun.h and linux/sockios.h.
TUNSETIFF, IFF_TUN, IFF_NO_PI, IFF_UP = 0x400454CA, 0x0001, 0x1000, 0x1
SIOCGIFFLAGS, SIOCSIFFLAGS, SIOCSIFADDR, SIOCSIFNETMASK, SIOCSIFMTU, SIOCSIFTXQLEN = (
    0x8913, 0x8914, 0x8916, 0x891C, 0x8922, 0x8943)
QUEUE_PACKETS = 2000

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result, what):
    if result:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error), what)


class Host:
    """A network namespace, and a device in it that leads to the switch."""

    def __init__(self, address):
        """Fails with OSError where that is not allowed."""
        self.address = address
        self.namespace = self.device = None
        self._error = None
        # A thread that has moved to another namespace is of no other use.
        maker = threading.Thread(target=self._make)
        maker.start()
        maker.join()
        if self._error:
            raise self._error

    def _make(self):
        try:
            _check(_libc.unshare(CLONE_NEWNET), "unshare(CLONE_NEWNET)")
            self.namespace = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
            self.device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
            fcntl.ioctl(self.device, TUNSETIFF, struct.pack("16sH22x", DEVICE, IFF_TUN | IFF_NO_PI))
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
                for request, address in ((SIOCSIFADDR, self.address), (SIOCSIFNETMASK, NETMASK)):
                    fcntl.ioctl(any_socket, request, struct.pack("16sHH4s16x", DEVICE, socket.AF_INET, 0,
                                                                 socket.inet_aton(address)))
                for request, number in ((SIOCSIFMTU, MTU), (SIOCSIFTXQLEN, QUEUE_PACKETS)):
                    fcntl.ioctl(any_socket, request, struct.pack("16si20x", DEVICE, number))
                for device in (b"lo", DEVICE):
                    asked = fcntl.ioctl(any_socket, SIOCGIFFLAGS, struct.pack("16sH22x", device, 0))
                    flags, = struct.unpack_from("H", asked, 16)
                    fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sH22x", device, flags | IFF_UP))
        except OSError as error:
            self._error = error

    def enter(self):
        """The thread that calls it, and every process that it starts from now on, are on this host."""
        _check(_libc.setns(self.namespace, CLONE_NEWNET), "setns(CLONE_NEWNET)")


class Network:
    """All hosts reach each other, but for what disturb() says. Not thread-safe; ends with the thread that made it."""

    def __init__(self, names, seed):
        """seed: of which packets are lost. Fails where namespaces cannot be made."""
        self._disturbances = {}  # number -> [(from, to, share lost, seconds late)], by name
        self._last = 0
        first, = struct.unpack("!I", socket.inet_aton(FIRST_ADDRESS))
        try:
            self.hosts = {name: Host(socket.inet_ntoa(struct.pack("!I", first + i))) for i, name in enumerate(names)}
        except OSError as error:
            raise Failure(f"a network of namespaces cannot be made here: {error}") from None
        devices = [host.device for host in self.hosts.values()]
        self.switch = subprocess.Popen(
            [sys.executable, os.path.join(HERE, "switch.py"), "--seed", str(seed),
             *(f"{host.address}={host.device}" for host in self.hosts.values())],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, pass_fds=devices, preexec_fn=die_with_parent,
            start_new_session=True)
        self._tell()

    @classmethod
    def around_clients(cls, processes, clients, seed):
        """With a host for each process, and one for the calling program and the clients that it starts."""
        network = cls([*processes, clients], seed)
        network.hosts[clients].enter()
        return network

    @property
    def addresses(self):
        return {name: host.address for name, host in self.hosts.items()}

    @property
    def ways_in(self):
        """What Cluster takes to start each process on its host."""
        return {name: host.enter for name, host in self.hosts.items()}

    def disturb(self, *links):
        """From now on these links, (from, to, share lost, seconds late), are worse by that. A number for mend()."""
        self._last += 1
        self._disturbances[self._last] = links
        self._tell()
        return self._last

    def mend(self, number):
        del self._disturbances[number]
        self._tell()

    def _tell(self):
        links = {}
        for disturbance in self._disturbances.values():
            for source, destination, lost, late in disturbance:
                before = links.get((source, destination), (0, 0))
                links[source, destination] = (1 - (1 - before[0]) * (1 - lost), before[1] + late)
        try:
            self.switch.stdin.write(json.dumps([[self.hosts[source].address, self.hosts[destination].address, *what]
                                                for (source, destination), what in links.items()]) + "\n")
            self.switch.stdin.flush()
        except BrokenPipeError:
            pass
        if self.switch.stdout.readline() != "ok\n":
            raise Failure(f"switch.py ended with {self.switch.wait()}")

    # What disturb() takes.
    def outgoing(self, name, lost=1, late=0):
        return [(name, other, lost, late) for other in self.hosts if other != name]

    def incoming(self, name, lost=1, late=0):
        return [(other, name, lost, late) for other in self.hosts if other != name]

    def around(self, name, lost=1, late=0):
        return self.outgoing(name, lost, late) + self.incoming(name, lost, late)

    def close(self):
        self.switch.kill()
        self.switch.wait()
        self.switch.stdin.close()
        self.switch.stdout.close()
        for host in self.hosts.values():
            os.close(host.device)
            os.close(host.namespace)
