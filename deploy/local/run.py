#!/usr/bin/env python3
"""A cluster of three brokers on this machine, to try out.

  run.py up|down|status --bin FOLDER [--folder FOLDER] [--port N]

  up      starts what does not run yet, waits until every broker serves, and says what to type next
  status  the processes, the brokers as the cluster has them, and what to type next; exits with 1 when some do not run
  down    ends the processes that up started, and no others; the data stays

One etcd, two coordinators and three brokers, all on 127.0.0.1, stay after this program and the terminal. Brokers'
client ports are N, N + 10 and N + 20; ports up to N + 41 are taken by the rest.
"""

import argparse
import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from cluster import Cluster, Layout, read_state  # noqa: E402
from daemon import Failure  # noqa: E402

PORT = 9410
# Three of them on one machine, beside everything else.
BROKER_OPTIONS = ["--memory-limit", "256MiB", "--segment-bytes", "64MiB"]


def shown(path):
    """As one would type it."""
    relative = os.path.relpath(path)
    return relative if not relative.startswith("..") else os.path.abspath(path)


@contextlib.contextmanager
def alone(folder):
    """Nobody else starts or ends this cluster meanwhile."""
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "lock"), "w", encoding="ascii") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Failure(f"another program starts or ends the cluster in {folder} at this moment") from None
        yield


def open_cluster(options):
    """The cluster as it was started last, or on the ports asked for."""
    state = read_state(options.folder)
    port = options.port or (state["ports"]["broker-1"] if state else PORT)
    cluster = Cluster(options.folder, options.bin, Layout.fixed(port), detached=True, broker_options=BROKER_OPTIONS)
    running = [name for name, daemon in cluster.daemons.items() if daemon.state() != "gone"]
    if running and state["ports"] != cluster.layout.ports:
        raise Failure(f"the cluster in {shown(options.folder)} runs with port {state['ports']['broker-1']}, not "
                      f"{port}: end it first, with down")
    return cluster


def print_next(cluster, options):
    naru = shown(os.path.join(options.bin, "naru"))
    print(f"""
To talk to it, through any of its brokers:
  export NARU_SERVER={cluster.servers}
  {naru} topic create events --partitions 3 --replication-factor 3 --config min_in_sync_replicas=2
  echo hello | {naru} produce events
  {naru} consume events""")


def up(options):
    if shutil.which("etcd") is None:
        raise Failure("etcd is not installed: apt-get install etcd-server")
    with alone(options.folder):
        cluster = open_cluster(options)
        started = cluster.up()
    print(f"started {', '.join(started)}" if started else "everything runs already")
    print(f"three brokers serve: {cluster.servers}; data and logs are in {shown(options.folder)}")
    print_next(cluster, options)
    return 0


def memory_mib(pid):
    with contextlib.suppress(OSError):
        with open(f"/proc/{pid}/statm", encoding="ascii") as f:
            return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") >> 20
    return 0


def print_processes(cluster):
    print(f"{'PROCESS':<15}{'ID':>8}  {'STATE':<9}{'MEMORY':>8}  ADDRESS")
    for name, daemon in cluster.daemons.items():
        state = daemon.state()
        pid, memory = ("", "") if state == "gone" else (daemon.pid, f"{memory_mib(daemon.pid)} MiB")
        print(f"{name:<15}{pid:>8}  {state:<9}{memory:>8}  {cluster.layout.address(name)}")


def status(options):
    if read_state(options.folder) is None:
        print(f"there is no cluster in {shown(options.folder)}; `up` makes one")
        return 1
    cluster = open_cluster(options)
    print_processes(cluster)
    running = [name for name, daemon in cluster.daemons.items() if daemon.is_running()]
    if any(name in running for name in cluster.broker_names):
        print(flush=True)
        subprocess.run([os.path.join(options.bin, "naru"), "--server", cluster.servers, "cluster", "describe"],
                       check=False)
    if len(running) == len(cluster.daemons):
        print_next(cluster, options)
        return 0
    print(f"\n{len(cluster.daemons) - len(running)} of {len(cluster.daemons)} processes do not run; `up` starts what "
          f"is gone; logs are in {shown(options.folder)}/*/log")
    return 1


def down(options):
    if read_state(options.folder) is None:
        print(f"there is no cluster in {shown(options.folder)}")
        return 0
    with alone(options.folder):
        cluster = open_cluster(options)
        names = [name for name, daemon in cluster.daemons.items() if daemon.state() != "gone"]
        stubborn = cluster.down()
    print(f"ended {', '.join(names)}" if names else "nothing runs")
    for name in stubborn:
        print(f"{name} did not end within {Cluster.STOP_SECONDS_MAX} s of SIGTERM and was killed", file=sys.stderr)
    print(f"the data is still in {shown(options.folder)}: `up` goes on with it, and removing the folder forgets it")
    return 0


def main():
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # as other commands in front of `head`
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=["up", "down", "status"])
    parser.add_argument("--bin", required=True, help="where narud and naru are")
    parser.add_argument("--folder", default=os.path.join(HERE, "../../build/cluster"),
                        help="data and logs (build/cluster)")
    parser.add_argument("--port", type=int, help=f"client port of the first broker ({PORT})")
    options = parser.parse_args()
    if options.port is not None and not 1024 <= options.port <= 65_000:
        parser.error(f"--port: {options.port} is not allowed; 1024 to 65000")
    try:
        return {"up": up, "down": down, "status": status}[options.verb](options)
    except Failure as failure:
        print(f"cluster: {failure}\n`status` shows what runs, `down` ends it", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
