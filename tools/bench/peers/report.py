#!/usr/bin/env python3
"""Results of run.py as JSON, as a Markdown document and as plots.

  report.py results.json    writes the others anew beside it
"""

import json
import math
import os
import statistics
import sys
import xml.sax.saxutils

# Column title, figure, digits after the point. Columns that no row has are left out.
COLUMNS = (("records/s", "records_per_second", 0), ("MB/s", "mb_per_second", 1), ("p50 ms", "p50_ms", 2),
           ("p99 ms", "p99_ms", 2), ("p99.9 ms", "p999_ms", 2), ("p99.99 ms", "p9999_ms", 2),
           ("first ack ms", "first_ack_ms", 0), ("CPU s until then", "start_cpu_seconds", 2),
           ("client cores", "client_cores", 2), ("server cores", "server_cores", 2),
           ("peak RSS MB", "server_rss_max_mb", 0), ("RSS at rest MB", "idle_rss_mb", 0),
           ("cores at rest", "idle_cores", 4), ("disk bytes per byte", "disk_bytes_per_byte", 2))
UNITS = {"records_per_second": "records/s", "mb_per_second": "MB/s", "first_ack_ms": "ms to the first ack",
         "p50_ms": "p50 ms", "p99_ms": "p99 ms", "p999_ms": "p99.9 ms"}
# An open loop that finished less than this share of its rate did not keep up.
KEPT_UP = 0.99
COLORS = {"naru": "#1f6f8b", "kafka": "#99a8b2", "nats": "#d9a441"}


def number(value, digits=0):
    return "–" if value is None else f"{value:,.{digits}f}"


def good(row):
    return [run for run in row["runs"] if "error" not in run]


def median(row, name):
    """Of the runs that gave the figure; None when none did."""
    values = [run[name] for run in good(row) if run.get(name) is not None]
    return statistics.median(values) if values else None


def spread(row, name):
    """(least, greatest), None when there are fewer than two."""
    values = [run[name] for run in good(row) if run.get(name) is not None]
    return (min(values), max(values)) if len(values) > 1 else None


def digits_of(name):
    return next((digits for _, figure, digits in COLUMNS if figure == name), 2)


def headline(name, figures):
    """One run in a line, for people who wait."""
    if "error" in figures:
        return "FAILED: " + figures["error"]
    unit = UNITS.get(name, name)
    text = f"{number(figures.get(name), digits_of(name))} {unit}" if name in figures else f"no {unit}"
    return text + (f", {figures['failures']} failed: {figures['first_failure']}" if figures.get("failures") else "")


def kept_up(cell, row):
    """Whether an open loop reached its rate; true of what has no rate."""
    reached = median(row, "records_per_second")
    return not cell.get("rate") or reached is None or reached >= KEPT_UP * cell["rate"]


def ratio(cell, row):
    """How many times better naru is than this row, by the cell's headline; None where that cannot be said."""
    ours = next((median(r, cell["headline"]) for r in cell["rows"] if r["peer"] == "naru"), None)
    theirs = median(row, cell["headline"])
    if row["peer"] == "naru" or not ours or not theirs or not kept_up(cell, row):
        return None
    return theirs / ours if cell["lower_is_better"] else ours / theirs


def remarks(cell, row):
    """What a reader must know beside the figures of a row."""
    said = []
    failed = len(row["runs"]) - len(good(row))
    if failed:
        why = next(run["error"] for run in row["runs"] if "error" in run)
        said.append(f"{failed} of {len(row['runs'])} runs failed: {why}")
    refused = sum(run.get("failures", 0) for run in good(row))
    if refused:
        why = next(run["first_failure"] for run in good(row) if run.get("failures"))
        said.append(f"{number(refused)} records failed: {why}")
    if not kept_up(cell, row):
        reached = number(median(row, "records_per_second"))
        said.append(f"did not keep up: {reached} of {number(cell['rate'])} records/s")
    return "; ".join(said).replace("\n", " ").replace("|", "/")


def table(cell):
    """The cell's rows as a Markdown table."""
    columns = [c for c in COLUMNS if any(median(row, c[1]) is not None for row in cell["rows"])]
    head = ["", "durability"] + [title for title, _, _ in columns] + ["least – greatest " + UNITS[cell["headline"]],
                                                                      "naru is better by"]
    lines = ["| " + " | ".join(head) + " |", "|---|---|" + "---:|" * (len(head) - 2)]
    for row in cell["rows"]:
        around, times = spread(row, cell["headline"]), ratio(cell, row)
        digits = digits_of(cell["headline"])
        values = [row["name"], row["durability"]]
        values += [number(median(row, name), places) for _, name, places in columns]
        values.append("–" if around is None else f"{number(around[0], digits)} – {number(around[1], digits)}")
        values.append("" if times is None else f"×{times:.2g}" if times < 10 else f"×{times:,.0f}")
        lines.append("| " + " | ".join(values) + " |")
    said = [f"- {row['name']}: {remarks(cell, row)}" for row in cell["rows"] if remarks(cell, row)]
    return "\n".join(lines + ([""] + said if said else []))


def limits(results):
    """What the machine did alone in the same run, as a Markdown table; no lines where that was not measured."""
    measured = results.get("limits")
    if not measured:
        return []
    lines = ["", "### What the machine did alone", "", "| | MB/s | a second | p50 ms | p99 ms |",
             "|---|---:|---:|---:|---:|"]
    for name, figure in measured.items():
        latency = figure.get("latency_ms", {})
        lines.append(f"| {name} | {number(figure['bytes_per_second'] / 1e6, 1)} | "
                     f"{number(figure['records_per_second'])} | {number(latency.get('p50'), 2)} | "
                     f"{number(latency.get('p99'), 2)} |")
    return lines


def markdown(results):
    about = results["about"]
    box = about["machine"]
    rounds = "One round" if about["rounds"] == 1 else f"Medians of {about['rounds']} rounds"
    lines = [f"Measured on {about['date']}: {box['cores']} cores of {box['processor']}, {box['memory_gib']} GiB, Linux "
             f"{box['kernel']}; clients and servers on the same cores, over loopback. {rounds} "
             f"of {about['seconds']:g} s after {about['warmup']:g} s of warm-up, contestants alternating, each "
             "on an empty folder for each run. "
             + "; ".join(f"{name}: {version}" for name, version in about["versions"].items()) + "."]
    lines += limits(results)
    for cell in results["cells"]:
        lines += ["", f"### {cell['id']}. {cell['title']}", ""]
        lines += [cell["note"], ""] if cell["note"] else []
        lines.append(table(cell))
    return "\n".join(lines) + "\n"


def bars(title, groups, unit, log=False):
    """Horizontal bars as SVG. `groups` are (title, [(label, value or None, color)]); `log`: bars by magnitude."""
    left, width, right, height, gap, top = 250, 480, 110, 18, 16, 48
    values = [value for _, rows in groups for _, value, _ in rows if value]
    greatest = max(values, default=1)
    least = 10 ** math.floor(math.log10(min(values, default=1) / 2)) if log else 0

    def length(value):
        if not log:
            return width * value / greatest
        return width * math.log(value / least) / math.log(greatest / least)

    def text(x, y, content, anchor="start", weight="normal", size=12):
        escaped = xml.sax.saxutils.escape(content)
        return (f'<text x="{x}" y="{y}" text-anchor="{anchor}" font-size="{size}" font-weight="{weight}" '
                f'fill="#333">{escaped}</text>')

    shapes, y = [], top
    for name, rows in groups:
        shapes.append(text(16, y + 12, name, weight="bold"))
        y += height + 2
        for label, value, color in rows:
            shapes.append(text(left - 8, y + 13, label, anchor="end"))
            if value:
                shapes.append(f'<rect x="{left}" y="{y}" width="{max(1, length(value)):.1f}" height="{height - 3}" '
                              f'fill="{color}"/>')
                shown = number(value, 0 if value >= 100 else 2)
            else:
                shown = "no figure"
            shapes.append(text(left + (length(value) if value else 0) + 6, y + 13, shown))
            y += height
        y += gap
    scale = ", logarithmic" if log else ""
    head = text(16, 26, f"{title} ({unit}{scale})", weight="bold", size=15)
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + width + right}" height="{y}" '
            f'font-family="sans-serif">\n<rect width="100%" height="100%" fill="#fff"/>\n{head}\n'
            + "\n".join(shapes) + "\n</svg>\n")


def plots(results):
    """File name → SVG, of what was measured."""
    def rows(cell, name):
        return [(row["name"], median(row, name), COLORS.get(row["peer"], "#777")) for row in cell["rows"]]

    made = {}
    throughput = [(f"{c['id']}. {c['title']}", rows(c, "mb_per_second")) for c in results["cells"]
                  if c["kind"] in ("produce", "fetch")]
    if throughput:
        made["throughput.svg"] = bars("Throughput, more is better", throughput, "MB of values a second")
    tails = [(f"{c['id']}. {c['title']}: {title}", rows(c, name)) for c in results["cells"]
             if c["kind"] in ("one", "end-to-end")
             for title, name in (("p50", "p50_ms"), ("p99", "p99_ms"), ("p99.9", "p999_ms"))]
    if tails:
        made["latency.svg"] = bars("Latency, less is better", tails, "ms", log=True)
    return made


def write(folder, results):
    """results.json, results.md and the plots."""
    os.makedirs(folder, exist_ok=True)
    files = {"results.json": json.dumps(results, indent=1) + "\n", "results.md": markdown(results), **plots(results)}
    for name, content in files.items():
        with open(os.path.join(folder, name), "w", encoding="utf-8") as f:
            f.write(content)


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as results_file:
        write(os.path.dirname(os.path.abspath(sys.argv[1])), json.load(results_file))
