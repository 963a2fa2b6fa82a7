#!/usr/bin/env python3
"""What instructions.py makes of callgrind's files, and when it says that something has changed."""

import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import instructions  # noqa: E402

# Two calls of Walk from main, which itself calls Checksum; and a self cost that is no call's.
CALLGRIND = """version: 1
events: Ir
fn=(1) main
10 7
cfn=(2) naru::Walk(int)
calls=3 0
11 100
cfn=(2)
calls=1 0
12 40
fn=(2)
20 90
cfn=(4) naru::Checksum(int)
calls=4 0
21 50

fn=(5) naru::WalkOther(int)
30 5
totals: 152
"""


def reference(**figures):
    return {"instructions": figures}


class InstructionsTest(unittest.TestCase):
    def test_the_cost_of_a_function_is_that_of_its_calls_with_what_they_call(self):
        costs = instructions.inclusive_costs(CALLGRIND)
        self.assertEqual(costs, {"naru::Walk(int)": 140, "naru::Checksum(int)": 50})

    def test_figures_are_for_each_unit(self):
        costs = instructions.inclusive_costs(CALLGRIND)
        self.assertEqual(instructions.figures_of_phase("walk\t4\trecord\tnaru::Walk\tnaru::Checksum", costs),
                         {"walk: naru::Walk, per record": 35.0, "walk: naru::Checksum, per record": 12.5})

    def test_a_function_that_is_not_called_any_more_is_no_improvement(self):
        with self.assertRaisesRegex(instructions.Broken, "no call of naru::Wal "):
            instructions.figures_of_phase("walk\t4\trecord\tnaru::Wal ", instructions.inclusive_costs(CALLGRIND))

    def test_a_change_within_the_tolerance_is_none(self):
        expected = {"instructions": {"walk a": 100, "walk b": 100, "append c": 100}}
        figures = {"walk a": 100.9, "walk b": 99.1, "append c": 102.9}
        self.assertEqual(instructions.differences(expected, figures), [])

    def test_more_and_fewer_are_said_with_before_and_after(self):
        expected = {"instructions": {"walk a": 100, "append b": 100}}
        more, fewer = instructions.differences(expected, {"walk a": 101.5, "append b": 90})
        self.assertEqual(more, "MORE   walk a: 100 before, 101.5 now (+1.5 %)")
        self.assertEqual(fewer, "FEWER  append b: 100 before, 90 now (-10.0 %)")

    def test_what_only_one_side_has_is_said(self):
        new, gone = instructions.differences(reference(a=100), {"b": 1})
        self.assertEqual((new, gone), ("NEW    b: 1", "GONE   a: 100 before"))

    def test_of_two_countings_the_nearer_figure_counts(self):
        self.assertEqual(instructions.nearer(reference(a=100, b=100), {"a": 104, "b": 99, "c": 5},
                                             {"a": 101, "b": 110, "c": 6}), {"a": 101, "b": 99, "c": 5})


if __name__ == "__main__":
    unittest.main()
