"""NATS JetStream as a contestant: one nats-server with file storage, driven by nats_load (nats.go)."""

import os
import re
import subprocess

from processes import Failure, free_ports

VERSION = "v2.15.3"
GO_MIN = (1, 21)
HERE = os.path.dirname(os.path.abspath(__file__))
DURABILITY = {True: "`sync_interval: always`: each write fsynced before its ack",
              False: "acked from the page cache, fsync every 2 minutes (JetStream's default)"}
CONFIGURATION = """listen: 127.0.0.1:{port}
jetstream {{
  store_dir: "{data}"
  {sync}
}}
"""
# Records on the way: for JetStream there are no batches.
DEPTH = 4096


class Nats:
    name = "nats"
    extra_warmup_seconds = 0

    def __init__(self, children, bin_folder, build_folder):
        self._children = children
        self._folder = os.path.join(build_folder, "nats-" + VERSION)
        self._program, self._load = (os.path.join(self._folder, name) for name in ("nats-server", "nats_load"))
        self.server = self._process = None

    def fetch(self):
        """The server through the Go module proxy, once; the load generator is built when it changed."""
        os.makedirs(self._folder, exist_ok=True)
        try:
            go = subprocess.run(["go", "env", "GOVERSION"], capture_output=True, text=True, check=True).stdout.strip()
            if tuple(int(n) for n in re.findall(r"\d+", go)[:2]) < GO_MIN:
                raise Failure(f"nats-server {VERSION} needs Go 1.21 or later, which fetches the Go it is written for "
                              f"by itself; in the PATH is {go}")
            if not os.path.exists(self._program):
                subprocess.run(["go", "install", f"github.com/nats-io/nats-server/v2@{VERSION}"], check=True,
                               env={**os.environ, "GOBIN": self._folder})
            subprocess.run(["go", "build", "-o", self._load, "."], check=True, cwd=os.path.join(HERE, "nats_load"))
        except (subprocess.CalledProcessError, FileNotFoundError) as error:
            raise Failure(f"nats-server {VERSION} could not be built: {error}") from None

    def version(self):
        return f"nats-server {VERSION}"

    def durability(self, fsync):
        return DURABILITY[fsync]

    def start(self, folder, entry):
        """Starts it on an empty folder, and does not wait. Its processes."""
        port = free_ports(1)[0]
        self.server = f"127.0.0.1:{port}"
        configuration = os.path.join(folder, "server.conf")
        with open(configuration, "w", encoding="utf-8") as f:
            f.write(CONFIGURATION.format(port=port, data=os.path.join(folder, "data"),
                                         sync="sync_interval: always" if entry.fsync else ""))
        self._process = self._children.start([self._program, "-c", configuration], os.path.join(folder, "log"))
        return [self._process]

    def stop(self):
        if self._process is not None:
            self._children.stop(self._process)
            self._process = None

    def first_ack_command(self):
        return [self._load, "first-ack", "-server", self.server]

    def run_cell(self, cell, entry, seconds, warmup):
        common = ["-server", self.server, "-server-pid", self._process.pid, "-seconds", seconds, "-warmup", warmup,
                  "-record-bytes", cell.record_bytes]
        if cell.kind == "fetch":
            verb = ["fetch", *common, "-total-bytes", cell.total_bytes]
        elif cell.kind == "end-to-end":
            verb = ["end-to-end", *common, "-rate", cell.rate]
        elif cell.kind == "one":
            verb = ["produce", *common, "-depth", 1, "-connections", 1]
        else:
            verb = ["produce", *common, "-depth", DEPTH]
        return self._children.run_client([self._load, *verb], seconds_max=seconds + warmup + 240)
