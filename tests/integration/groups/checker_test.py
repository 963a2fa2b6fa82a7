#!/usr/bin/env python3
"""The checker says nothing about a history as it should be, and finds each thing that should not."""

import unittest

from checker import check


class History:
    """What one member sees."""

    def __init__(self, name):
        self.name, self.events, self.session, self.ids = name, [], 0, 0

    def add(self, t, op, **facts):
        self.events.append({"t": t, "m": self.name, "s": self.session, "op": op, **facts})
        return self

    def joined(self, t):
        self.session += 1
        self.ids = 0
        return self.add(t, "joined", id=self.name, epoch=1)

    def assigned(self, t, *partitions):
        return self.add(t, "assigned", p=list(partitions))

    def revoking(self, t, *partitions):
        return self.add(t, "revoking", p=list(partitions))

    def got(self, t, partition, first, end):
        self.ids += 1
        return self.add(t, "delivery", id=self.ids, p=partition, next=end, offsets=list(range(first, end)))

    def acked(self, t, delivery, partition, end):
        return self.add(t, "ack", id=delivery, p=partition, next=end)


def passing():
    """a reads 0 to 4, gives the partition up, and b goes on."""
    a = History("a").joined(1).assigned(2, 0).got(3, 0, 0, 5).revoking(4, 0).acked(5, 1, 0, 5)
    b = History("b").joined(1).assigned(6, 0).got(7, 0, 5, 8).acked(8, 1, 0, 8).add(9, "left")
    return [a, b]


class CheckerTest(unittest.TestCase):
    def problems(self, members, looks=(), ends=None, stops=None):
        return check([member.events for member in members], list(looks), ends or {}, stops)

    def expect(self, rule, members, looks=(), ends=None, stops=None):
        problems = self.problems(members, looks, ends, stops)
        self.assertTrue(problems and all(problem.startswith(rule) for problem in problems), problems)

    def test_a_history_as_it_should_be_passes(self):
        looks = [(4, {}), (6, {0: 5}), (6, {0: 5}), (9, {0: 8})]
        self.assertEqual(self.problems(passing(), looks, {0: 8}), [])

    def test_who_died_is_not_held_against_whoever_came_next(self):
        a = History("a").joined(1).assigned(2, 0).got(3, 0, 0, 5)
        b = History("b").joined(1).assigned(4, 0).got(5, 0, 0, 5)
        fenced = History("c").joined(1).assigned(2, 0).got(3, 0, 0, 5).add(9, "ended", code="X", reason="MEMBER_FENCED")
        self.assertEqual(self.problems([a, b, fenced]), [])

    def test_who_has_nothing_in_hand_may_hear_late_that_another_reads(self):
        a = History("a").joined(1).assigned(2, 0).revoking(5, 0)
        b = History("b").joined(1).assigned(3, 0).got(4, 0, 0, 5)
        self.assertEqual(self.problems([a, b]), [])

    def test_two_owners_are_found(self):
        a = History("a").joined(1).assigned(2, 0).got(3, 0, 0, 5).revoking(4, 0).acked(8, 1, 0, 5)
        b = History("b").joined(1).assigned(6, 0).got(7, 0, 0, 5)
        self.expect("G1", [a, b])

    def test_who_was_stopped_and_fenced_may_read_late_what_was_sent_to_it_early(self):
        a = History("a").joined(1).assigned(2, 0).got(3, 0, 0, 5).got(20, 0, 5, 9).revoking(21, 0).acked(
            22, 1, 0, 5).acked(23, 2, 0, 9).add(24, "ended", code="X", reason="MEMBER_FENCED")
        b = History("b").joined(1).assigned(10, 0).got(11, 0, 0, 5).revoking(25, 0).acked(26, 1, 0, 5)
        self.assertEqual(self.problems([a, b], stops={"a": [4]}), [])
        unharmed = History("a")
        unharmed.events = a.events[:-1] + [{**a.events[-1], "op": "left"}]
        self.expect("G1", [unharmed, b], stops={"a": [4]})

    def test_a_delivery_of_what_is_being_given_up_is_found(self):
        self.expect("G1", [History("a").joined(1).assigned(2, 0).got(3, 0, 0, 5).revoking(4, 0).got(5, 0, 5, 6)])

    def test_a_delivery_of_what_was_never_assigned_is_found(self):
        self.expect("G1", [History("a").joined(1).assigned(2, 0).got(3, 1, 0, 5)])

    def test_an_assignment_of_what_one_has_is_found(self):
        self.expect("G1", [History("a").joined(1).assigned(2, 0).assigned(3, 0)])

    def test_a_new_session_begins_with_nothing(self):
        a = History("a").joined(1).assigned(2, 0).got(3, 0, 0, 5).joined(4).assigned(5, 0).got(6, 0, 0, 5)
        self.assertEqual(self.problems([a]), [])

    def test_a_gap_a_repetition_and_a_false_next_are_found(self):
        self.expect("L7", [History("a").joined(1).assigned(2, 0).got(3, 0, 0, 5).got(4, 0, 6, 8)])
        self.expect("L7", [History("a").joined(1).assigned(2, 0).got(3, 0, 0, 5).got(4, 0, 4, 8)])
        self.expect("L7", [History("a").joined(1).assigned(2, 0).add(3, "delivery", id=1, p=0, next=9, offsets=[0, 1])])

    def test_a_position_that_goes_back_or_away_is_found(self):
        self.expect("G3", passing(), [(6, {0: 5}), (7, {0: 4})])
        self.expect("G3", passing(), [(6, {0: 5}), (7, {})])

    def test_a_position_ahead_of_what_was_delivered_is_found(self):
        self.expect("G4", passing(), [(6, {0: 6})])
        self.expect("G4", [History("a").joined(1).assigned(2, 0).got(3, 0, 3, 5)], [(4, {0: 5})])

    def test_what_was_never_delivered_is_found(self):
        self.expect("L1", passing(), ends={0: 9})
        self.expect("L1", passing(), ends={0: 8, 1: 1})


if __name__ == "__main__":
    unittest.main()
