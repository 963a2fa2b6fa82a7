#!/usr/bin/env python3
"""Measures naru beside its peers on this machine: ./dev bench --peers kafka,nats

  run.py --bin build/release/bin --peers kafka,nats [--rounds 3] [--seconds 10] [--cells 2,6] [--out FOLDER]

Every contestant is started on an empty folder for every run, takes the same load from a client in the same machine over
loopback, and is stopped again. Contestants alternate within each cell of each round, and each round begins with another
one. The medians of the rounds go to results.json, results.md and two plots.
"""

import argparse
import datetime
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import time

import cells
import kafka
import naru
import nats
import processes
import report

PEERS = {"kafka": kafka.Kafka, "nats": nats.Nats}
SETTLE_SECONDS = 1
START_SECONDS_MAX = 60
PERCENTILES = {"p50": "p50_ms", "p99": "p99_ms", "p99.9": "p999_ms", "p99.99": "p9999_ms", "max": "max_ms"}


def say(text):
    print(text, file=sys.stderr, flush=True)


def latencies(figure, prefix=""):
    of = figure.get("latency_ms", {})
    return {prefix + name: of[key] for key, name in PERCENTILES.items() if key in of}


def flat(figures, cell):
    """The figures of a load generator under the names that report.py knows."""
    load, seen = figures[0], figures[-1]  # end-to-end: of the acks, and of the arrivals
    result = {"records_per_second": load["records_per_second"],
              # Of values, for every contestant in the same way.
              "mb_per_second": load["records_per_second"] * cell.record_bytes / 1e6,
              "failures": sum(f.get("failures", 0) for f in figures)}
    if cell.kind != "fetch":  # there it would be that of one call, which not everybody has
        result |= latencies(seen)
    if seen is not load:
        result |= latencies(load, "ack_")
    result |= {name: load[name] for name in ("client_cores", "server_cores") if name in load}
    for figure in figures:
        result.setdefault("first_failure", figure.get("first_failure"))
    if not result["first_failure"]:
        del result["first_failure"]
    return result


class Runs:
    def __init__(self, options, children, contestants):
        self._options, self._children, self._contestants = options, children, contestants

    def run(self, cell, entry):
        """One run's figures, or {"error": …}."""
        contestant = self._contestants[entry.peer]
        folder = os.path.join(self._children.folder, f"{entry.peer}-{cell.id}")
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        try:
            return self._measured(cell, entry, contestant, folder)
        except (processes.Failure, subprocess.TimeoutExpired, OSError) as error:
            return {"error": str(error), "server_log": self._tail(os.path.join(folder, "log"))}
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    @staticmethod
    def _tail(path):
        if not os.path.exists(path):
            return ""
        with open(path, encoding="utf-8", errors="replace") as f:
            return f.read()[-1000:].strip()

    def _measured(self, cell, entry, contestant, folder):
        processes.settle_disk(folder)
        processes.touch_memory(self._options.touch_gib)
        begin = time.monotonic()
        try:
            servers = contestant.start(folder, entry)
            if cell.kind == "start":
                return self._start(cell, contestant, servers[0], folder)
            self._wait(contestant, folder)
            say(f"    {entry.name()}: up after {time.monotonic() - begin:.1f} s")
            warmup = self._options.warmup + cell.more_warmup + contestant.extra_warmup_seconds
            before = processes.disk_written_mb(folder)
            result = flat(contestant.run_cell(cell, entry, self._options.seconds, warmup), cell)
            after = processes.stats_of(servers)
            # What was written in a run that read, or failed, says nothing of its payload.
            if before is not None and cell.kind != "fetch" and not result["failures"]:
                payload_mb = result["mb_per_second"] * (warmup + self._options.seconds)
                result["disk_bytes_per_byte"] = (processes.disk_written_mb(folder) - before) / payload_mb
            return result | {"server_rss_mb": after["rss_mb"], "server_rss_max_mb": after["rss_max_mb"]}
        finally:
            contestant.stop()

    def _wait(self, contestant, folder):
        """Until the server has acknowledged a record."""
        log = os.path.join(folder, "first-ack")
        deadline = time.monotonic() + START_SECONDS_MAX
        while True:
            program = self._children.start(contestant.first_ack_command(), log)
            try:
                # It gives up by itself after a minute; a wait with a limit of its own would look only now and then.
                if program.wait() == 0:
                    return
            finally:
                self._children.stop(program, seconds_max=1)
            # Brokers that have just found each other may not take everything at once.
            if time.monotonic() > deadline:
                raise processes.Failure(f"{contestant.name} did not start: {self._tail(log)}")
            say(f"    {contestant.name}: not yet: {self._tail(log)}")

    def _start(self, cell, contestant, server, folder):
        self._wait(contestant, folder)
        acked = time.monotonic()
        if cell.idle_topic:
            contestant.create_topic(cell.partitions)
        time.sleep(SETTLE_SECONDS)
        before, idle_begin = processes.stats(server.pid), time.monotonic()
        time.sleep(self._options.seconds)
        after, seconds = processes.stats(server.pid), time.monotonic() - idle_begin
        return {"first_ack_ms": (acked - server.began) * 1e3, "idle_rss_mb": after["rss_mb"],
                "idle_cores": (after["cpu_seconds"] - before["cpu_seconds"]) / seconds,
                "start_cpu_seconds": before["cpu_seconds"]}


def machine():
    with open("/proc/meminfo", encoding="utf-8") as f:
        memory = int(f.readline().split()[1]) * 1024
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        models = [line.split(":", 1)[1].strip() for line in f if line.startswith("model name")]
    return {"cores": os.cpu_count(), "memory_gib": round(memory / (1 << 30), 1), "kernel": platform.release(),
            "processor": models[0] if models else platform.machine()}


def measure(options, chosen, children, contestants):
    """All rounds; the results as report.py takes them. Written after each cell, so that a long run leaves something."""
    runs = Runs(options, children, contestants)
    rows = {cell.id: [{"name": e.name(), "peer": e.peer, "fsync": e.fsync,
                       "durability": "–" if cell.kind == "fetch" else contestants[e.peer].durability(e.fsync),
                       "runs": []}
                      for e in cell.entries if e.peer in contestants] for cell in chosen}
    results = {
        "about": {"date": datetime.date.today().isoformat(), "machine": machine(), "rounds": options.rounds,
                  "seconds": options.seconds, "warmup": options.warmup,
                  "versions": {name: one.version() for name, one in contestants.items()},
                  "extra_warmup": {name: one.extra_warmup_seconds for name, one in contestants.items()}},
        "cells": [{"id": cell.id, "title": cell.title, "kind": cell.kind, "headline": cell.headline,
                   "lower_is_better": cell.lower_is_better, "rate": cell.rate, "note": cell.note, "rows": rows[cell.id]}
                  for cell in chosen]}
    say("what the machine does alone")
    processes.settle_disk(children.folder)
    processes.touch_memory(options.touch_gib)
    results["limits"] = contestants["naru"].limits(children.folder, min(options.seconds, 5))
    for number in range(options.rounds):
        for cell in chosen:
            say(f"round {number + 1} of {options.rounds}, cell {cell.id}: {cell.title}")
            entries = [(e, row) for e, row in zip((e for e in cell.entries if e.peer in contestants), rows[cell.id])]
            turn = number % len(entries)
            for entry, row in entries[turn:] + entries[:turn]:
                figures = runs.run(cell, entry)
                row["runs"].append(figures)
                say(f"    {entry.name()}: {report.headline(cell.headline, figures)}")
            report.write(options.out, results)
    return results


def options_of(arguments):
    parser = argparse.ArgumentParser(prog="./dev bench", description="naru beside its peers, on this machine")
    parser.add_argument("--peers", default="kafka,nats", help="of kafka and nats, with commas (default: both)")
    parser.add_argument("--rounds", type=int, default=3, help="of which the medians are taken (3)")
    parser.add_argument("--seconds", type=float, default=10, help="that each run measures (10)")
    parser.add_argument("--warmup", type=float, default=3, help="seconds before (3; Kafka has 5 more)")
    parser.add_argument("--cells", default=None, help="with commas (default: 1 to 10); see cells.py for more")
    parser.add_argument("--touch-gib", type=float, default=4, help="memory written to before each run (4)")
    parser.add_argument("--folder", default=os.environ.get("TMPDIR", "/var/tmp"), help="on the disk that is measured")
    parser.add_argument("--bin", default="build/release/bin", help="where narud and the load generators are")
    parser.add_argument("--build", default="build/peers", help="where the peers are kept once fetched")
    parser.add_argument("--out", default="build/peers/results", help="where the results go")
    options = parser.parse_args(arguments)
    options.bin, options.build, options.out = (os.path.abspath(p) for p in (options.bin, options.build, options.out))
    try:
        options.peers = [p for p in options.peers.split(",") if p]
        unknown = [p for p in options.peers if p not in PEERS]
        if unknown:
            raise ValueError(f"--peers: {unknown[0]} is not allowed; {', '.join(PEERS)} are")
        if options.rounds < 1:
            raise ValueError(f"--rounds: {options.rounds} is not allowed; at least 1")
        options.cells = cells.chosen(options.cells.split(",")) if options.cells else list(cells.CELLS)
    except ValueError as error:
        parser.error(str(error))
    return options


def end_on_signal(number, _):
    sys.exit(128 + number)


def main():
    options = options_of(sys.argv[1:])
    # As Ctrl-C does: by way of every "finally".
    signal.signal(signal.SIGTERM, end_on_signal)
    signal.signal(signal.SIGHUP, end_on_signal)
    with processes.Children(options.folder) as children:
        contestants = {"naru": naru.Naru(children, options.bin, options.build)}
        contestants |= {name: PEERS[name](children, options.bin, options.build) for name in options.peers}
        try:
            for contestant in contestants.values():
                say(f"fetching {contestant.name}")
                contestant.fetch()
        except processes.Failure as error:
            sys.exit(f"dev bench: {error}")
        results = measure(options, options.cells, children, contestants)
    print(report.markdown(results))
    failed = [row["name"] for cell in results["cells"] for row in cell["rows"] for r in row["runs"] if "error" in r]
    say(f"written to {options.out}: results.json, results.md and the plots")
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
