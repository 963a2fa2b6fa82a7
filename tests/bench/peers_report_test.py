#!/usr/bin/env python3
"""The document and the plots of ./dev bench --peers say what was measured, and what was not."""

import copy
import json
import os
import statistics
import sys
import tempfile
import unittest
import xml.etree.ElementTree

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../../tools/bench/peers"))
import cells  # noqa: E402
import report  # noqa: E402
import run  # noqa: E402


def figures(mb, p50=1.0, p99=4.0, **more):
    return {"mb_per_second": mb, "records_per_second": mb * 1e6 / 1024, "p50_ms": p50, "p99_ms": p99,
            "failures": 0} | more


def row(peer, *runs, durability="synced", name=None):
    return {"name": name or peer, "peer": peer, "fsync": True, "durability": durability, "runs": list(runs)}


def cell(*rows, **more):
    return {"id": "4", "title": "a <cell> & more", "kind": "produce", "headline": "mb_per_second",
            "lower_is_better": False, "rate": 0, "note": "", "rows": list(rows)} | more


def results(*all_cells):
    machine = {"cores": 2, "memory_gib": 8, "kernel": "6", "processor": "some"}
    return {"about": {"date": "2030-01-02", "rounds": 3, "seconds": 10.0, "warmup": 3.0, "machine": machine,
                      "versions": {"kafka": "Kafka 4"}},
            "cells": list(all_cells)}


THREE = cell(row("naru", figures(800), figures(900), figures(400)), row("kafka", figures(50), figures(40), figures(60)))
FAILED = {"error": "it | did\nnot start", "server_log": "why"}


def lines_of(text):
    """The cells of each line of a Markdown table."""
    return [[one.strip() for one in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]


def column(text, title):
    lines = lines_of(text)
    at = lines[0].index(title)
    return [line[at] for line in lines[2:]]


class Median(unittest.TestCase):
    def test_it_is_the_middle_of_the_runs(self):
        self.assertEqual(report.median(THREE["rows"][0], "mb_per_second"), 800)

    def test_runs_that_failed_do_not_count(self):
        self.assertEqual(report.median(row("naru", FAILED, figures(10), figures(30)), "mb_per_second"),
                         statistics.median([10, 30]))

    def test_there_is_none_of_what_no_run_gave(self):
        self.assertIsNone(report.median(row("naru", figures(1)), "first_ack_ms"))
        self.assertIsNone(report.median(row("naru", FAILED), "mb_per_second"))
        self.assertIsNone(report.median(row("naru"), "mb_per_second"))

    def test_a_figure_of_zero_is_a_figure(self):
        self.assertEqual(report.median(row("naru", figures(0)), "mb_per_second"), 0)


class Ratio(unittest.TestCase):
    def test_more_throughput_is_better(self):
        self.assertAlmostEqual(report.ratio(THREE, THREE["rows"][1]), 16)

    def test_less_latency_is_better(self):
        less = cell(row("naru", figures(1, p99=2)), row("nats", figures(1, p99=6)), headline="p99_ms",
                    lower_is_better=True)
        self.assertAlmostEqual(report.ratio(less, less["rows"][1]), 3)

    def test_there_is_none_beside_what_did_not_keep_up(self):
        late = cell(row("naru", figures(20.48)), row("nats", figures(1)), rate=20_000)
        self.assertIsNone(report.ratio(late, late["rows"][1]))

    def test_there_is_none_beside_a_failure(self):
        broken = cell(row("naru", FAILED), row("kafka", figures(5)))
        self.assertIsNone(report.ratio(broken, broken["rows"][1]))
        self.assertIsNone(report.ratio(THREE, THREE["rows"][0]))


class Table(unittest.TestCase):
    def test_each_row_has_as_many_cells_as_the_head(self):
        lines = lines_of(report.table(THREE))
        self.assertEqual({len(line) for line in lines}, {len(lines[0])})

    def test_it_shows_medians_spread_and_ratio(self):
        text = report.table(THREE)
        self.assertEqual(column(text, "MB/s"), ["800.0", "50.0"])
        self.assertEqual(column(text, "least – greatest MB/s"), ["400.0 – 900.0", "40.0 – 60.0"])
        self.assertEqual(column(text, "naru is better by"), ["", "×16"])

    def test_it_states_the_durability_of_each_row(self):
        text = report.table(cell(row("naru", figures(1), durability="on disk"),
                                 row("kafka", figures(1), durability="in memory")))
        self.assertEqual(column(text, "durability"), ["on disk", "in memory"])

    def test_columns_that_nobody_has_are_left_out(self):
        self.assertNotIn("first ack ms", lines_of(report.table(THREE))[0])

    def test_a_failed_run_is_told_and_breaks_no_line(self):
        text = report.table(cell(row("naru", figures(1)), row("kafka", FAILED, figures(2))))
        self.assertIn("- kafka: 1 of 2 runs failed: it / did not start", text)

    def test_a_row_of_nothing_but_failures_has_no_figures(self):
        text = report.table(cell(row("naru", figures(1)), row("kafka", FAILED)))
        self.assertEqual(column(text, "MB/s"), ["1.0", "–"])

    def test_a_peer_that_did_not_keep_up_is_named(self):
        text = report.table(cell(row("nats", figures(1)), rate=20_000))
        self.assertIn("did not keep up: 977 of 20,000 records/s", text)

    def test_one_that_kept_up_is_not(self):
        self.assertNotIn("keep up", report.table(cell(row("nats", figures(20.48)), rate=20_000)))

    def test_refused_records_are_told(self):
        self.assertIn("7 records failed: overloaded",
                      report.table(cell(row("nats", figures(1, failures=7, first_failure="overloaded")))))


class Document(unittest.TestCase):
    def test_it_says_where_how_and_what(self):
        text = report.markdown(results(THREE))
        for part in ("2030-01-02", "2 cores of some", "Medians of 3 rounds of 10 s", "kafka: Kafka 4",
                     "### 4. a <cell>"):
            self.assertIn(part, text)

    def test_all_files_are_written_and_the_json_is_whole(self):
        with tempfile.TemporaryDirectory() as folder:
            given = results(copy.deepcopy(THREE))
            report.write(folder, given)
            self.assertEqual(sorted(os.listdir(folder)), ["results.json", "results.md", "throughput.svg"])
            with open(os.path.join(folder, "results.json"), encoding="utf-8") as f:
                self.assertEqual(json.load(f), given)

    def test_what_the_machine_does_alone_stands_in_front(self):
        alone = {"append": {"bytes_per_second": 2e9, "records_per_second": 2000.0},
                 "echo": {"bytes_per_second": 5e6, "records_per_second": 5000.0, "latency_ms": {"p50": 0.2, "p99": 0.4}}}
        text = report.markdown(results(THREE) | {"limits": alone})
        self.assertIn("| append | 2,000.0 | 2,000 | – | – |", text)
        self.assertIn("| echo | 5.0 | 5,000 | 0.20 | 0.40 |", text)
        self.assertLess(text.index("| echo |"), text.index("### 4."))
        self.assertNotIn("alone", report.markdown(results(THREE)))


class Copies(unittest.TestCase):
    def test_three_brokers_are_compared_with_three(self):
        for one in cells.chosen(["copies"]):
            self.assertEqual([(e.peer, e.brokers) for e in one.entries], [("naru", 3), ("kafka", 3), ("naru", 1)])
        self.assertEqual(len(cells.chosen(["copies"])), 4)

    def test_it_is_the_first_of_narus_rows_that_is_compared(self):
        of_cluster = cell(row("naru", figures(50), name="naru three brokers"),
                          row("kafka", figures(10), name="kafka three brokers"),
                          row("naru", figures(200), name="naru one broker"))
        self.assertEqual(report.ratio(of_cluster, of_cluster["rows"][1]), 5)


class Plots(unittest.TestCase):
    def rects(self, svg):
        root = xml.etree.ElementTree.fromstring(svg)
        return [r for r in root.iter("{http://www.w3.org/2000/svg}rect") if r.get("width") != "100%"]

    def test_titles_with_markup_leave_it_well_formed(self):
        svg = report.plots(results(THREE))["throughput.svg"]
        texts = [t.text for t in xml.etree.ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]
        self.assertIn("4. a <cell> & more", texts)

    def test_bars_are_as_long_as_their_values(self):
        first, second = self.rects(report.plots(results(THREE))["throughput.svg"])
        self.assertAlmostEqual(float(first.get("width")) / float(second.get("width")), 16, places=1)

    def test_a_logarithmic_bar_is_longer_for_more(self):
        latencies = cell(row("naru", figures(1, p50=0.5, p99=3)), row("kafka", figures(1, p50=5, p99=800)), kind="one")
        widths = [float(r.get("width")) for r in self.rects(report.plots(results(latencies))["latency.svg"])]
        self.assertEqual(len(widths), 4)
        self.assertLess(widths[0], widths[1])
        self.assertLess(widths[2], widths[3])

    def test_what_has_no_figure_has_no_bar_and_is_well_formed(self):
        svg = report.plots(results(cell(row("naru", figures(1)), row("kafka", FAILED))))["throughput.svg"]
        self.assertEqual(len(self.rects(svg)), 1)
        self.assertIn("no figure", svg)
        for kind in ("one", "produce"):
            for made in report.plots(results(cell(row("naru", FAILED), kind=kind))).values():
                self.assertEqual(self.rects(made), [])


class Figures(unittest.TestCase):
    ACK = {"records_per_second": 90.0, "latency_ms": {"p50": 1.0, "p99.9": 3.0}, "client_cores": 0.5, "failures": 1,
           "first_failure": "slow"}
    ARRIVAL = {"records_per_second": 80.0, "latency_ms": {"p50": 2.0}, "failures": 0}

    def test_end_to_end_is_the_arrivals_beside_the_acks(self):
        flat = run.flat([self.ACK, self.ARRIVAL], cells.chosen(["8"])[0])
        self.assertEqual((flat["p50_ms"], flat["ack_p50_ms"], flat["ack_p999_ms"]), (2.0, 1.0, 3.0))
        self.assertEqual((flat["records_per_second"], flat["client_cores"]), (90.0, 0.5))
        self.assertEqual((flat["failures"], flat["first_failure"]), (1, "slow"))

    def test_megabytes_are_of_values_alone(self):
        flat = run.flat([self.ARRIVAL], cells.chosen(["9a"])[0])
        self.assertAlmostEqual(flat["mb_per_second"], 0.008)
        self.assertNotIn("first_failure", flat)


class Cells(unittest.TestCase):
    def test_each_has_an_id_of_its_own_and_naru_first(self):
        every = cells.CELLS + cells.MORE_CELLS
        self.assertEqual(len({c.id for c in every}), len(every))
        for one in cells.CELLS:
            self.assertEqual(one.entries[0].peer, "naru")
            self.assertIn(one.headline, report.UNITS)

    def test_nine_is_both_of_its_parts(self):
        self.assertEqual([c.id for c in cells.chosen(["9", "2", "9a"])], ["9a", "9b", "2"])

    def test_an_unknown_one_is_refused_by_name(self):
        with self.assertRaisesRegex(ValueError, "cell 77"):
            cells.chosen(["77"])


if __name__ == "__main__":
    unittest.main()
