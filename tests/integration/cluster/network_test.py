#!/usr/bin/env python3
"""Hosts that network.py makes reach each other exactly where it says. Skipped where namespaces cannot be made."""

import os
import socket
import subprocess
import sys
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "../../../deploy/local")]
from daemon import Failure, die_with_parent, wait_until  # noqa: E402
from network import Network  # noqa: E402
from program import SKIPPED  # noqa: E402

SECONDS_MAX = 10
PORT = 9000
# Sends every datagram back to where it came from.
ECHO = f"""
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("0.0.0.0", {PORT}))
print("bound", flush=True)
while True:
    s.sendto(*s.recvfrom(65536))
"""


class NetworkTest(unittest.TestCase):
    def setUp(self):
        self.network = Network(["here", "there", "elsewhere"], seed=1)
        self.addCleanup(self.network.close)
        for name in ("there", "elsewhere"):
            echo = subprocess.Popen([sys.executable, "-c", ECHO], stdout=subprocess.PIPE, text=True,
                                    preexec_fn=lambda n=name: (die_with_parent(), self.network.hosts[n].enter()))
            self.addCleanup(echo.stdout.close)
            self.addCleanup(echo.wait)
            self.addCleanup(echo.kill)
            self.assertEqual(echo.stdout.readline(), "bound\n")
        self.network.hosts["here"].enter()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.settimeout(0.2)
        self.addCleanup(self.socket.close)

    def echo(self, name, payload=b"x"):
        """The seconds until it is back; None: it is lost."""
        begun = time.monotonic()
        self.socket.sendto(payload, (self.network.hosts[name].address, PORT))
        try:
            while self.socket.recvfrom(65536)[0] != payload:
                pass
            return time.monotonic() - begun
        except TimeoutError:
            return None

    def test_hosts_reach_each_other_and_nothing_comes_where_a_host_is_cut_off(self):
        self.assertIsNotNone(self.echo("there", b"a" * 20_000))
        number = self.network.disturb(*self.network.around("there"))
        self.assertIsNone(self.echo("there", b"b"))
        self.assertIsNotNone(self.echo("elsewhere", b"c"))
        self.network.mend(number)
        self.assertIsNotNone(self.echo("there", b"d"))

    def test_of_a_link_that_is_cut_one_way_the_other_way_goes_on(self):
        self.network.disturb(("there", "here", 1, 0))
        self.assertIsNone(self.echo("there", b"lost on its way back"))
        self.network.hosts["there"].enter()
        listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(listener.close)
        listener.bind(("0.0.0.0", PORT + 1))
        listener.settimeout(SECONDS_MAX)
        self.socket.sendto(b"arrives", (self.network.hosts["there"].address, PORT + 1))
        self.assertEqual(listener.recv(100), b"arrives")

    def test_packets_are_late_and_lost_as_much_as_was_asked_for(self):
        number = self.network.disturb(*self.network.around("there", lost=0, late=0.05))
        self.assertGreaterEqual(wait_until(lambda: self.echo("there", b"late"), SECONDS_MAX, "an echo"), 0.1)
        self.network.mend(number)
        self.network.disturb(*self.network.outgoing("there", lost=0.5))
        self.socket.settimeout(0.02)
        came = sum(self.echo("there", b"%d" % i) is not None for i in range(100))
        self.assertTrue(20 < came < 80, f"{came} of 100 came back")


if __name__ == "__main__":
    try:
        Network(["one"], seed=1).close()
    except Failure as failure:
        print(f"skipped: {failure}")
        sys.exit(SKIPPED)
    unittest.main()
