#!/usr/bin/env python3
"""Carries IPv4 packets between TUN devices, one for each host, and loses or delays what it is told to.

  switch.py [--seed N] ADDRESS=FD...

FD is a device that was opened before this program began. A line on standard input says what holds from then on: a JSON
list of [from, to, share lost, seconds late], addresses as above; packets of all others arrive at once. Each line is
answered with "ok" on standard output. Ends with its standard input. No sender hears of a packet that was lost.
"""

import argparse
import heapq
import itertools
import json
import os
import random
import select
import socket
import sys
import time

PACKET_BYTES_MAX = 65536
PACKETS_AT_ONCE = 64   # of one device, before the others have their turn
LATE_PACKETS_MAX = 10_000


class Switch:
    def __init__(self, devices, seed):
        """devices: address, as four bytes -> file descriptor."""
        self.devices = devices
        self.chance = random.Random(seed)
        self.links = {}  # source and destination, as eight bytes -> (share lost, seconds late)
        self.late = []   # heap of (when, number, fd, packet)
        self.numbers = itertools.count()

    def set_links(self, links):
        self.links = {socket.inet_aton(source) + socket.inet_aton(destination): (lost, late)
                      for source, destination, lost, late in links}

    def carry_from(self, device):
        for _ in range(PACKETS_AT_ONCE):
            try:
                packet = os.read(device, PACKET_BYTES_MAX)
            except BlockingIOError:
                return
            to = self.devices.get(packet[16:20])
            if to is None or packet[0] >> 4 != 4:
                continue
            lost, late = self.links.get(packet[12:20], (0, 0))
            if lost and self.chance.random() < lost:
                continue
            if not late:
                self.deliver(to, packet)
            elif len(self.late) < LATE_PACKETS_MAX:
                heapq.heappush(self.late, (time.monotonic() + late, next(self.numbers), to, packet))

    @staticmethod
    def deliver(device, packet):
        try:
            os.write(device, packet)
        except OSError:
            pass  # its queue is full: lost, as in any switch

    def deliver_late(self):
        """The seconds until the next one is due, or None."""
        while self.late:
            wait = self.late[0][0] - time.monotonic()
            if wait > 0:
                return wait
            self.deliver(*heapq.heappop(self.late)[2:])
        return None

    def run(self):
        poll = select.poll()
        for device in [sys.stdin.fileno(), *self.devices.values()]:
            poll.register(device, select.POLLIN)
        while True:
            wait = self.deliver_late()
            for device, _ in poll.poll(None if wait is None else wait * 1000):
                if device != sys.stdin.fileno():
                    self.carry_from(device)
                    continue
                line = sys.stdin.readline()
                if not line:
                    return
                self.set_links(json.loads(line))
                print("ok", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0, help="of which packets are lost")
    parser.add_argument("devices", nargs="+", metavar="ADDRESS=FD")
    args = parser.parse_args()
    pairs = [device.split("=") for device in args.devices]
    Switch({socket.inet_aton(address): int(fd) for address, fd in pairs}, args.seed).run()


if __name__ == "__main__":
    main()
