#!/usr/bin/env python3
"""Each rule of checker.py finds a history that breaks it; a good history passes."""

import copy
import json
import os
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import checker  # noqa: E402


def send(order, id_, t, values, partition=0):
    return {"op": "send", "order": order, "id": id_, "t": t, "partition": partition, "values": values}


def ok(order, id_, t, base, values, partition=0):
    return {"op": "ok", "order": order, "id": id_, "t": t, "partition": partition, "base": base, "values": values}


def outcome(op, order, id_, t, values):
    return {"op": op, "order": order, "id": id_, "t": t, "values": values}


def poll(t0, t, from_, records, hw, client="c", partition=0, start=0, drain=False):
    event = {"op": "poll", "client": client, "t0": t0, "t": t, "partition": partition, "from": from_,
             "next": records[-1][0] + 1 if records else from_, "hw": hw, "start": start, "records": records}
    return event | ({"drain": True} if drain else {})


# Two producers, one lost ack that had been appended, one that had not, one refusal, polls in between, a drain.
GOOD = [
    send("a", 1, 10, [101, 102]), ok("a", 1, 20, 0, [101, 102]),
    send("b", 1, 25, [201]), send("a", 2, 26, [103]),
    ok("b", 1, 40, 2, [201]), outcome("unknown", "a", 2, 50, [103]),
    poll(30, 45, 0, [[0, 101], [1, 102], [2, 201]], 3),
    send("a", 3, 60, [104]), outcome("fail", "a", 3, 61, [104]),
    send("a", 4, 62, [105, 106]), outcome("unknown", "a", 4, 70, [105, 106]),
    send("b", 2, 80, [202]), ok("b", 2, 90, 4, [202]),
    poll(85, 95, 3, [[3, 103], [4, 202]], 5),
    poll(100, 110, 0, [[0, 101], [1, 102], [2, 201]], 5, "drain", drain=True),
    poll(111, 120, 3, [[3, 103], [4, 202]], 5, "drain", drain=True),
]


# A compacted topic of ten keys: 101 and 103 were superseded by 111 and 113, 111 is read before it is by 121.
KEYS = 10
COMPACTED = [
    send("a", 1, 10, [101, 102]), ok("a", 1, 20, 0, [101, 102]),
    send("a", 2, 21, [103, 104]), ok("a", 2, 25, 2, [103, 104]),
    send("a", 3, 50, [113, 111]), ok("a", 3, 60, 4, [113, 111]),
    poll(65, 70, 0, [[0, 101], [1, 102], [2, 103], [3, 104], [4, 113], [5, 111]], 6),
    poll(100, 110, 0, [[1, 102], [3, 104], [4, 113], [5, 111]], 6, "drain", drain=True),
]


class CheckerTest(unittest.TestCase):
    def run_checker(self, events, keys=None, cluster=False):
        with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as f:
            f.writelines(json.dumps(event) + "\n" for event in events)
            f.flush()
            return checker.check_files([f.name], keys, cluster)

    def expect(self, rule, events, keys=None):
        found = self.run_checker(events, keys)
        self.assertIn(rule, found.breaches, dict(found.breaches))

    def changed(self, index, **fields):
        events = copy.deepcopy(GOOD)
        events[index].update(fields)
        return events

    def test_a_good_history_passes(self):
        found = self.run_checker(GOOD)
        self.assertEqual(dict(found.breaches), {})
        self.assertEqual(found.counts["acked values"], 4)
        self.assertEqual(found.counts["unacked values found"], 1)

    def test_L1_an_acked_value_missing_from_the_drain(self):
        events = copy.deepcopy(GOOD)
        events[-1] = poll(111, 120, 3, [[3, 103]], 4, "drain", drain=True)
        self.expect("L1", events)

    def test_L1_everything_lost(self):
        self.expect("L1", GOOD[:-2] + [poll(100, 110, 0, [], 0, "drain", drain=True)])

    def test_L2_an_ack_and_a_read_disagree(self):
        events = copy.deepcopy(GOOD)
        for index in (6, -2):
            events[index]["records"] = [[0, 102], [1, 101], [2, 201]]
        self.expect("L2", events)

    def test_L2_two_acks_for_one_offset(self):
        self.expect("L2", self.changed(4, base=1))

    def test_L3_a_value_that_was_never_sent(self):
        self.expect("L3", self.changed(13, records=[[3, 999], [4, 202]]))

    def test_L3_a_value_that_had_certainly_failed(self):
        self.expect("L3", self.changed(13, records=[[3, 104], [4, 202]]))

    def test_L3_a_value_in_a_partition_it_was_not_sent_to(self):
        self.expect("L3", GOOD + [poll(130, 140, 0, [[0, 105], [1, 106]], 2, partition=1)])

    def test_L4_a_value_at_two_offsets(self):
        events = copy.deepcopy(GOOD)
        events[-1] = poll(111, 120, 3, [[3, 103], [4, 202], [5, 103]], 6, "drain", drain=True)
        self.expect("L4", events)

    def test_L5_a_later_send_with_a_lower_offset(self):
        self.expect("L5", [
            send("a", 1, 10, [1]), ok("a", 1, 20, 1, [1]), send("b", 1, 30, [2]), ok("b", 1, 40, 0, [2]),
            poll(50, 60, 0, [[0, 2], [1, 1]], 2, drain=True)])

    def test_L5_concurrent_sends_may_take_either_order(self):
        found = self.run_checker([
            send("a", 1, 10, [1]), send("b", 1, 19, [2]), ok("a", 1, 20, 1, [1]), ok("b", 1, 40, 0, [2]),
            poll(50, 60, 0, [[0, 2], [1, 1]], 2, drain=True)])
        self.assertEqual(dict(found.breaches), {})

    def test_L6_pipelined_sends_out_of_order(self):
        self.expect("L6", [
            send("a", 1, 10, [1]), send("a", 2, 11, [2]), ok("a", 2, 20, 0, [2]), ok("a", 1, 21, 1, [1]),
            poll(50, 60, 0, [[0, 2], [1, 1]], 2, drain=True)])

    def test_L6_an_unacked_value_behind_a_later_one(self):
        self.expect("L6", [
            send("a", 1, 10, [1]), send("a", 2, 11, [2]), outcome("unknown", "a", 1, 15, [1]),
            ok("a", 2, 20, 0, [2]), poll(50, 60, 0, [[0, 2], [1, 1]], 2, drain=True)])

    def test_L7_a_read_that_leaves_a_record_out(self):
        self.expect("L7", self.changed(6, records=[[0, 101], [2, 201]]))

    def test_L7_a_read_that_begins_elsewhere(self):
        self.expect("L7", self.changed(6, records=[[1, 102], [2, 201]]))

    def test_L7_a_next_offset_that_skips(self):
        self.expect("L7", self.changed(6, next=4, hw=4))

    def test_L8_a_watermark_may_go_back_in_a_cluster_but_nothing_is_read_past_it(self):
        back = GOOD + [poll(130, 140, 5, [], 3)]
        self.expect("L8", back)
        self.assertEqual(dict(self.run_checker(back, cluster=True).breaches), {})
        past = GOOD + [poll(130, 140, 3, [[3, 103], [4, 202]], 4)]
        self.assertIn("L8", self.run_checker(past, cluster=True).breaches)

    def test_L10_a_read_that_was_refused(self):
        self.expect("L10", GOOD + [{"op": "refused", "client": "c", "t": 50, "partition": 0, "from": 2,
                                    "reason": "OFFSET_OUT_OF_RANGE", "message": "the log has 0 to 1"}])

    def test_every_drain_must_have_everything(self):
        good = poll(130, 140, 0, [[0, 101], [1, 102], [2, 201], [3, 103], [4, 202]], 5, "another drain", drain=True)
        found = self.run_checker(GOOD + [good])
        self.assertEqual(dict(found.breaches), {})
        self.assertEqual((found.counts["drains"], found.counts["acked values"]), (2, 4))
        for records, end in ((good["records"][:-1], 4), (good["records"][:-1], 5)):
            self.expect("L1", GOOD + [good | {"records": records, "hw": end, "next": end}])

    def test_L8_a_watermark_that_goes_back(self):
        self.expect("L8", GOOD + [poll(130, 140, 3, [[3, 103]], 4)])

    def test_L8_a_read_after_an_ack_that_does_not_reach_it(self):
        events = copy.deepcopy(GOOD)
        events[6] = poll(41, 45, 0, [[0, 101], [1, 102]], 2)
        self.expect("L8", events)

    def test_L8_records_past_the_watermark(self):
        self.expect("L8", self.changed(6, hw=2))

    def test_L9_an_offset_that_changes_its_value(self):
        events = copy.deepcopy(GOOD)
        events[13]["records"] = [[3, 105], [4, 202]]
        self.expect("L9", events)

    def test_A1_half_a_batch(self):
        events = copy.deepcopy(GOOD)
        events[-1] = poll(111, 120, 3, [[3, 103], [4, 202], [5, 105]], 6, "drain", drain=True)
        self.expect("A1", events)

    def test_A1_a_batch_with_another_value_inside(self):
        self.expect("A1", [
            send("a", 1, 10, [1, 2]), send("b", 1, 10, [3]), outcome("unknown", "a", 1, 20, [1, 2]),
            ok("b", 1, 40, 1, [3]), poll(50, 60, 0, [[0, 1], [1, 3], [2, 2]], 3, drain=True)])

    def test_D1_a_hole_in_the_drain(self):
        events = copy.deepcopy(GOOD)
        events[-1]["records"] = [[4, 202]]
        self.expect("D1", events)

    def test_D1_a_drain_that_repeats(self):
        self.expect("D1", GOOD + [GOOD[-1]])

    def test_H1_an_outcome_without_a_send(self):
        self.expect("H1", GOOD + [ok("z", 1, 130, 9, [900])])

    def test_retention_may_take_acked_values(self):
        events = copy.deepcopy(GOOD)[:-2]
        events.append(poll(100, 120, 3, [[3, 103], [4, 202]], 5, "drain", start=3, drain=True))
        self.assertEqual(dict(self.run_checker(events).breaches), {})

    def test_a_compacted_topic_without_its_superseded_records_passes(self):
        found = self.run_checker(COMPACTED, KEYS)
        self.assertEqual(dict(found.breaches), {})
        self.assertEqual(found.counts["acked values"], 6)
        self.assertEqual(found.counts["compacted values"], 2)
        self.expect("L1", COMPACTED)

    def test_L1_the_newest_of_a_key_missing_from_the_drain(self):
        for offset in (1, 4, 5):
            events = copy.deepcopy(COMPACTED)
            events[-1]["records"] = [r for r in events[-1]["records"] if r[0] != offset]
            events[-1]["next"] = 6
            self.expect("L1", events, KEYS)
            self.expect("D1", events, KEYS)
            self.expect("L7", events, KEYS)

    def test_L7_a_record_left_out_before_its_successor_was_sent(self):
        events = copy.deepcopy(COMPACTED)
        events.insert(4, poll(30, 40, 0, [[1, 102], [3, 104]], 4))
        self.expect("L7", events, KEYS)
        events[4] = poll(30, 46, 0, [[1, 102], [3, 104]], 4)
        self.expect("L7", events, KEYS)
        events[4] = poll(30, 51, 0, [[1, 102], [3, 104]], 4)
        self.assertEqual(dict(self.run_checker(events, KEYS).breaches), {})

    def test_D1_a_drain_of_a_compacted_topic_that_repeats(self):
        self.expect("D1", COMPACTED + [COMPACTED[-1]], KEYS)

    def test_A1_half_a_batch_in_a_compacted_topic(self):
        sends = COMPACTED[:5] + [outcome("unknown", "a", 3, 60, [113, 111]), send("b", 1, 50, [125]),
                                 ok("b", 1, 60, 5, [125])]
        self.expect("A1", sends + [poll(100, 110, 0, [[1, 102], [3, 104], [4, 113], [5, 125], [6, 111]], 7,
                                        drain=True)], KEYS)
        # Without 113, which a newer one may have superseded, the batch may have been whole.
        whole = self.run_checker(sends + [send("b", 2, 70, [123]), ok("b", 2, 80, 6, [123]), poll(
            100, 110, 0, [[1, 102], [3, 104], [4, 111], [5, 125], [6, 123]], 7, drain=True)], KEYS)
        self.assertEqual(dict(whole.breaches), {})

    def test_long_gaps_are_looked_through_whole(self):
        count = 5 * checker.Superseded.BLOCK
        placed = [(offset, offset, offset) for offset in range(count)]
        superseded = checker.Superseded(placed, 10)
        self.assertIsNone(superseded.first_kept(0, count - 10, count))
        self.assertEqual(superseded.first_kept(0, count, count), count - 10)
        # What came at offset + 10 was sent at that time.
        self.assertEqual(superseded.first_kept(0, count, 700), 690)
        self.assertIsNone(superseded.first_kept(3, 690, 700))
        self.assertIsNone(superseded.first_kept(count, count + 5, 1))

    def test_the_program_fails_on_a_bad_history_and_on_an_empty_one(self):
        with tempfile.TemporaryDirectory() as folder:
            for name, events, status in [("good", GOOD, 0), ("bad", GOOD[:-1], 1), ("empty", [], 1)]:
                path = os.path.join(folder, name)
                with open(path, "w", encoding="utf-8") as f:
                    f.writelines(json.dumps(event) + "\n" for event in events)
                done = subprocess.run([sys.executable, os.path.join(HERE, "checker.py"), path],
                                      stdout=subprocess.PIPE, check=False)
                self.assertEqual(done.returncode, status, done.stdout)

    def test_the_program_fails_when_nothing_was_compacted(self):
        with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as f:
            f.writelines(json.dumps(event) + "\n" for event in GOOD)
            f.flush()
            done = subprocess.run([sys.executable, os.path.join(HERE, "checker.py"), "--keys", "1000", f.name],
                                  stdout=subprocess.PIPE, check=False)
            self.assertEqual(done.returncode, 1, done.stdout)


if __name__ == "__main__":
    unittest.main()
