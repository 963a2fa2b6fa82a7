"""What a cluster says of itself: by its command line, and in its logs."""

import json
import os
import re
import shutil
import subprocess


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
    latest = (-1, cluster.layout.coordinating[0])
    for name in cluster.layout.coordinating:
        with open(cluster.daemons[name].log, encoding="utf-8", errors="replace") as f:
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
