#!/usr/bin/env python3
"""Looks at what members of one group saw, and at what was committed meanwhile, and says what must not have been.

  G1  one owner: nothing of a partition is delivered to anybody while another member reads it. A member reads a
      partition from the first delivery to the last acknowledgement before it gives it up, or leaves. (One that has
      nothing of it in hand need not have heard yet that the partition is another's.) What a session that ends otherwise still had is not looked at: it was killed, or fenced for being slow. And
      whoever is fenced hears of it late, after what was sent to it before: of such a session nothing counts from
      when it was stopped, or from a moment before it heard of its end.
  G3  committed positions never go back.
  G4  everything below a committed position had been delivered before it was seen committed.
  L7  within one assignment a partition's offsets come in order, without a gap and without a repetition.
  L1  in the end every offset was delivered.

Times are those of one clock. The checker knows nothing of how the histories were made.
"""

import bisect
import heapq
import itertools
import json

FENCED_NS = 2_000_000_000  # how late one that was not stopped may hear that it was fenced


def read_history(path):
    """The events of one process. The last line of one that was killed may be torn."""
    events = []
    with open(path, encoding="utf-8") as f:
        for line in f:
            if line.endswith("\n"):
                events.append(json.loads(line))
    return events


class Assignment:
    """One partition in one session."""

    def __init__(self, member, session, partition, begin):
        self.member, self.session, self.partition, self.assigned = member, session, partition, begin
        self.begin = None     # of the first delivery
        self.last_ack = None
        self.end = None       # None: not known, or never begun
        self.revoking = False
        self.outstanding = set()
        self.next = None
        self.trusted_until = float("inf")

    def __str__(self):
        return f"{self.member} (session {self.session}, partition {self.partition})"


class Owners:
    """Who had one partition, and when."""

    def __init__(self, assignments):
        self.assignments = sorted(assignments, key=lambda assignment: assignment.begin)
        self.begins = [assignment.begin for assignment in self.assignments]
        # Up to each of them the latest end.
        self.ends = list(itertools.accumulate((assignment.end for assignment in self.assignments), max))

    def at(self, time):
        index = bisect.bisect_right(self.begins, time) - 1
        while index >= 0 and self.ends[index] > time:
            if self.assignments[index].end > time:
                yield self.assignments[index]
            index -= 1


class Covered:
    """Offsets of one partition from 0 on that were delivered, without a gap, up to a time that only rises."""

    def __init__(self, deliveries):
        """deliveries: [(time, first, next)]."""
        self.deliveries = sorted(deliveries, reverse=True)  # those to come, the next one last
        self.apart = []  # heap of (first, next): there is a gap before them
        self.reached = 0

    def up_to(self, time):
        while self.deliveries and self.deliveries[-1][0] <= time:
            heapq.heappush(self.apart, self.deliveries.pop()[1:])
        while self.apart and self.apart[0][0] <= self.reached:
            self.reached = max(self.reached, heapq.heappop(self.apart)[1])
        return self.reached


class Checker:
    def __init__(self):
        self.problems = []
        self.assignments = []
        self.deliveries = []  # (time, assignment, first, next)
        self.delivered = {}   # partition -> [(time, first, next)]

    def problem(self, text):
        self.problems.append(text)

    def add_member(self, events, stops=()):
        """stops: when the process was stopped."""
        held = {}  # partition -> Assignment, of the present session
        first = len(self.assignments)
        for event in events:
            self._add(event, held)
        own = self.assignments[first:]
        for session in {assignment.session for assignment in own}:
            self._doubt([event for event in events if event["s"] == session],
                        [assignment for assignment in own if assignment.session == session], stops)

    @staticmethod
    def _doubt(events, assignments, stops):
        """From when on a session may have been fenced without knowing."""
        last = events[-1]
        if last["op"] == "left":
            return
        doubts = [time for time in stops if events[0]["t"] <= time <= last["t"]]
        if last["op"] == "ended" and last["reason"] == "MEMBER_FENCED":
            doubts.append(last["t"] - FENCED_NS)
        for assignment in assignments:
            assignment.trusted_until = min(doubts, default=float("inf"))
            if assignment.end is not None and assignment.end > assignment.trusted_until:
                assignment.end = None

    def _add(self, event, held):
        op, time = event["op"], event["t"]
        if op == "joined":
            held.clear()
        elif op == "assigned":
            for partition in event["p"]:
                if partition in held:
                    self.problem(f"G1: {held[partition]} is assigned to it again")
                held[partition] = Assignment(event["m"], event["s"], partition, time)
                self.assignments.append(held[partition])
        elif op == "revoking":
            for partition in event["p"]:
                if partition not in held:
                    self.problem(f"G1: {event['m']} is to give up partition {partition}, which it does not have")
                    continue
                held[partition].revoking = True
                self._end_if_done(held, partition)
        elif op == "delivery":
            self._add_delivery(event, held)
        elif op == "ack":
            if event["p"] in held:
                held[event["p"]].outstanding.discard(event["id"])
                held[event["p"]].last_ack = time
                self._end_if_done(held, event["p"])
        elif op == "left":
            for assignment in held.values():
                assignment.end = assignment.last_ack
            held.clear()
        elif op == "ended":
            held.clear()

    @staticmethod
    def _end_if_done(held, partition):
        assignment = held[partition]
        if assignment.revoking and not assignment.outstanding:
            assignment.end = assignment.last_ack
            del held[partition]

    def _add_delivery(self, event, held):
        partition, offsets = event["p"], event["offsets"]
        assignment = held.get(partition)
        if assignment is None or assignment.revoking:
            self.problem(f"G1: {event['m']} got offsets {offsets[0]} to {offsets[-1]} of partition {partition}, which "
                         "it does not have, or was to give up")
            return
        if offsets != list(range(offsets[0], event["next"])):
            self.problem(f"L7: {assignment} got offsets {offsets}, and next is {event['next']}")
        if assignment.next is not None and offsets[0] != assignment.next:
            self.problem(f"L7: {assignment} got offset {offsets[0]} after {assignment.next - 1}")
        assignment.next = event["next"]
        assignment.begin = assignment.begin or event["t"]
        assignment.outstanding.add(event["id"])
        self.deliveries.append((event["t"], assignment, offsets[0], event["next"]))
        self.delivered.setdefault(partition, []).append((event["t"], offsets[0], event["next"]))

    def check_owners(self):
        by_partition = {}
        for assignment in self.assignments:
            if assignment.end is not None:
                by_partition.setdefault(assignment.partition, []).append(assignment)
        owners = {partition: Owners(assignments) for partition, assignments in by_partition.items()}
        for time, assignment, first, _ in self.deliveries:
            if time > assignment.trusted_until or assignment.partition not in owners:
                continue
            for other in owners[assignment.partition].at(time):
                if other is not assignment:
                    self.problem(f"G1: {assignment} got offset {first} while {other} had the partition")

    def check_commits(self, looks):
        """looks: [(time after the look, {partition: committed})], in the order they were made."""
        before = {}
        covered = {partition: Covered(deliveries) for partition, deliveries in self.delivered.items()}
        for time, committed in looks:
            for partition, offset in committed.items():
                if offset < before.get(partition, 0):
                    self.problem(f"G3: partition {partition} was committed at {before[partition]}, later at {offset}")
                if offset != before.get(partition):
                    reached = covered[partition].up_to(time) if partition in covered else 0
                    if offset > reached:
                        self.problem(f"G4: partition {partition} was committed at {offset}, but offset {reached} had "
                                     "not been delivered")
                before[partition] = offset
            for partition in before:
                if partition not in committed:
                    self.problem(f"G3: partition {partition} was committed at {before[partition]}, later not at all")

    def check_complete(self, ends):
        for partition, end in ends.items():
            reached = Covered(self.delivered.get(partition, [])).up_to(float("inf"))
            if reached < end:
                self.problem(f"L1: offset {reached} of partition {partition} was never delivered; it ends at {end}")


def check(histories, looks, ends, stops=None):
    """What is wrong, as texts. stops: member -> when it was stopped."""
    checker = Checker()
    for events in histories:
        if events:
            checker.add_member(events, (stops or {}).get(events[0]["m"], ()))
    checker.check_owners()
    checker.check_commits(looks)
    checker.check_complete(ends)
    return checker.problems
