"""naru as a contestant: narud, one or a cluster of them, driven by naru-bench."""

import os
import subprocess
import sys

from processes import Failure, free_ports

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.append(os.path.join(HERE, "../../../deploy/local"))
import daemon  # noqa: E402
from cluster import Cluster, Layout  # noqa: E402

DURABILITY = {True: "every batch fsynced before its ack (the default)",
              False: "acked from the system's memory (topic option `durability: background`)"}


class Naru:
    name = "naru"
    extra_warmup_seconds = 0

    def __init__(self, children, bin_folder, build_folder):
        self._children = children
        self._narud, self._naru, self._bench = (os.path.join(bin_folder, program)
                                                for program in ("narud", "naru", "naru-bench"))
        self.server = self._process = self._cluster = None

    def fetch(self):
        """Nothing: it is what was built."""

    def version(self):
        return subprocess.run([self._narud, "--version"], capture_output=True, text=True, check=False).stdout.strip()

    def durability(self, fsync):
        return DURABILITY[fsync]

    def start(self, folder, entry):
        """Starts it on an empty folder, and does not wait. Its processes."""
        if entry.brokers > 1:
            return self._start_cluster(folder, entry.brokers)
        limit = dict(entry.changes).get("memory_limit")
        self.server = f"127.0.0.1:{free_ports(1)[0]}"
        self._process = self._children.start(
            [self._narud, "--data-dir", os.path.join(folder, "data"), "--listen", self.server, "--http", "off",
             "--log-level", "warning"] + (["--memory-limit", limit] if limit else []), os.path.join(folder, "log"))
        return [self._process]

    def _start_cluster(self, folder, brokers):
        """With two coordinators and an etcd, all of it."""
        try:
            self._cluster = Cluster(os.path.join(folder, "cluster"), os.path.dirname(self._narud), Layout.free(brokers),
                                    broker_options=["--log-level", "warning"])
            self._cluster.up()
        except daemon.Failure as failure:
            raise Failure(str(failure)) from None
        self.server = self._cluster.layout.address("broker-1")
        return list(self._cluster.daemons.values())

    def stop(self):
        if self._cluster is not None:
            cluster, self._cluster = self._cluster, None
            try:
                cluster.down()
            except daemon.Failure:
                cluster.kill_all()
        if self._process is not None:
            self._children.stop(self._process)
            self._process = None

    def create_topic(self, partitions):
        """One of so many partitions."""
        made = subprocess.run([self._naru, "--server", self.server, "topic", "create", "idle", "--partitions",
                               str(partitions)], capture_output=True, text=True, check=False)
        if made.returncode:
            raise Failure(f"naru topic create: {made.stderr.strip()}")

    def first_ack_command(self):
        """A program that waits for the server and ends with 0 when a record is acknowledged."""
        return [self._bench, "first-ack", "--server", self.server]

    def run_cell(self, cell, entry, seconds, warmup):
        """The load generator's figures: one, or for end-to-end those of the acks and of the arrivals."""
        common = ["--server", self.server, "--seconds", seconds, "--warmup", warmup, "--json", "-", "--partitions",
                  cell.partitions, "--record-bytes", cell.record_bytes]
        if self._process is not None:
            common += ["--server-pid", self._process.pid]
        if cell.kind == "fetch":
            decode = ["--decode"] if dict(entry.changes).get("decode") else []
            return self._run(["fetch", *common, "--total-bytes", cell.total_bytes, "--depth", 4, *decode],
                             seconds + warmup)
        load = ["--batch-bytes", cell.batch_bytes, "--depth", cell.depth,
                "--durability", "fsync" if entry.fsync else "background", "--acks", "all" if entry.fsync else "leader"]
        if cell.kind == "end-to-end":
            return self._run(["end-to-end", *common, *load, "--rate", cell.rate], seconds + warmup)
        if cell.rate:
            load += ["--rate", cell.rate]
        return self._run(["produce", *common, *load], seconds + warmup)

    def limits(self, folder, seconds):
        """What this machine does without any server, name -> figure: its disk in `folder`, and gRPC alone."""
        measured = {}
        for name, verb in (("append of 1 MiB", ["disk", "--piece-bytes", 1 << 20, "--sync-every", 0]),
                           ("append of 64 KiB with fdatasync", ["disk", "--piece-bytes", 64 << 10]),
                           ("append of 1 MiB with fdatasync", ["disk", "--piece-bytes", 1 << 20]),
                           ("append of 4 KiB with fdatasync", ["disk", "--piece-bytes", 4 << 10]),
                           ("gRPC echo of 64 KiB", ["echo", "--batch-bytes", 64 << 10, "--record-bytes", 1024]),
                           ("gRPC echo of one 1 KiB record at a time",
                            ["echo", "--batch-bytes", 1024, "--record-bytes", 1024, "--depth", 1])):
            try:
                measured[name] = self._run([*verb, "--folder", folder, "--seconds", seconds, "--warmup", 1, "--json",
                                            "-"], seconds)[0]
            except Failure:
                continue  # it is not in the table, then
        return measured

    def _run(self, arguments, seconds):
        figures = self._children.run_client([self._bench, *arguments], seconds_max=seconds + 180)
        if not figures:
            raise Failure("naru-bench gave no figures")
        return figures
