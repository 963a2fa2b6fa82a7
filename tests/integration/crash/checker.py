#!/usr/bin/env python3
"""Checks what clients saw of a log against what a log promises. Knows nothing of how the histories were made.

  checker.py [--keys N] [--cluster] HISTORY...

A history is a file of JSON lines, one event each; times are nanoseconds of one monotonic clock for all files.

  {"op":"send","order":O,"id":I,"t":T,"partition":P,"values":[V,...]}
      A batch of values began its way. Values are unique over the whole run. P is null when the broker chose the
      partition by key. Sends with the same O are in order: O's i-th send precedes its (i+1)-th, pipelined or not.
  {"op":"ok","order":O,"id":I,"t":T,"partition":P,"base":B,"values":[V,...]}
      These values of the send are on disk at offsets B, B+1, ...
  {"op":"fail","order":O,"id":I,"t":T,"values":[V,...]}     They are certainly not in the log.
  {"op":"unknown","order":O,"id":I,"t":T,"values":[V,...]}  They may be or not.
  {"op":"poll","client":C,"t0":T,"t":T,"partition":P,"from":F,"next":N,"hw":H,"start":S,"records":[[offset,V],...]}
      A read from offset F, begun at t0 and answered at t. With "drain":true it is part of the final drain of client C;
      there may be several, each of which reads everything.
  {"op":"refused","client":C,"t":T,"partition":P,"from":F,"reason":R,"message":M}
      A read from offset F, which was good before, was refused, and not for a passing reason.

The rules:
  L1  every acked value is read by the final drain, at its offset
  L2  acks and reads agree on one value per (partition, offset)
  L3  every value read was sent, and did not certainly fail
  L4  a value stands at one offset of one partition
  L5  a send acked before another began has the lower offset
  L6  one producer's values rise in offset, in the order sent
  L7  a read begins where it was asked to, and leaves nothing out up to its `next`
  L8  the high watermark never goes back, and a read that begins after an ack reaches it
  L9  no two reads disagree about an offset
  A1  a batch is in its partition whole and in one piece, or not at all
  L10 no read is refused an offset that was good before
  D1  the final drain has every offset from the log's start to its end once
  H1  the history itself makes sense (a defect of the workload, not of the log)

With --keys N the topic is compacted, and the key of value V is V modulo N. Then L1, L7, A1 and D1 let a record be
missing where a newer one of its key stands in the same partition, sent before the read that leaves it out was answered.

With --cluster the partition had several leaders. One that was cut off serves what was committed in its time, and a new one
does not know at once how far the old one had committed, so of L8 only this is left: no read goes past its watermark.
"""

import argparse
import bisect
import collections
import heapq
import json
import sys

EXAMPLES_MAX = 10  # reported for each rule
NEVER = float("inf")


class Send:
    """One batch: when it began, when it was known to be done, what became of its values."""

    __slots__ = ("order", "id", "place", "begin", "partition", "values", "end", "acked", "failed")

    def __init__(self, event, place):
        self.order, self.id, self.place = event["order"], event["id"], place
        self.begin, self.partition, self.values = event["t"], event["partition"], event["values"]
        self.end = NEVER
        self.acked = {}      # value -> (partition, offset)
        self.failed = set()


class Superseded:
    """What of one partition compaction may have removed, and since when."""

    BLOCK = 256

    def __init__(self, placed, keys):
        """placed: (offset, value, time its send began), by rising offset."""
        self.offsets = [offset for offset, _, _ in placed]
        self.since = [NEVER] * len(placed)  # the first newer record of the same key was on its way
        newer = {}
        for index in range(len(placed) - 1, -1, -1):
            _, value, begin = placed[index]
            self.since[index] = newer.get(value % keys, NEVER)
            newer[value % keys] = min(begin, self.since[index])
        self.latest = [max(self.since[at:at + self.BLOCK]) for at in range(0, len(placed), self.BLOCK)]

    def first_kept(self, begin, end, time):
        """The first offset known in [begin, end) that was not superseded at that time, or None."""
        index = bisect.bisect_left(self.offsets, begin)
        stop = bisect.bisect_left(self.offsets, end)
        while index < stop:
            if index % self.BLOCK == 0 and self.latest[index // self.BLOCK] < time:
                index += self.BLOCK
                continue
            if self.since[index] >= time:
                return self.offsets[index]
            index += 1
        return None


class Checker:
    """Holds what the events said. add() each event, then check(). keys: of a compacted topic, else None. cluster: the
    partitions had several leaders."""

    def __init__(self, keys=None, cluster=False):
        self.keys, self.cluster = keys, cluster
        self.breaches = collections.defaultdict(list)
        self.sends = {}        # (order, id) -> Send
        self.send_of = {}      # value -> Send
        self.polls = []
        self.counts = collections.Counter()
        self._places = collections.Counter()

    def breach(self, rule, text):
        self.counts["breaches"] += 1
        if len(self.breaches[rule]) < EXAMPLES_MAX:
            self.breaches[rule].append(text)

    def add(self, event):
        op = event["op"]
        self.counts[op] += 1
        if op == "send":
            self._add_send(event)
        elif op == "poll":
            self.polls.append(event)
        elif op in ("ok", "fail", "unknown"):
            self._add_outcome(op, event)
        elif op == "refused":
            self.breach("L10", f"{event['client']} was refused partition {event['partition']} from {event['from']}: "
                               f"{event['reason']}: {event['message']}")
        else:
            self.breach("H1", f"unknown op {op!r}")

    def _add_send(self, event):
        key = (event["order"], event["id"])
        if key in self.sends:
            self.breach("H1", f"send {key} twice")
        send = Send(event, self._places[event["order"]])
        self._places[event["order"]] += 1
        self.sends[key] = send
        for value in send.values:
            if value in self.send_of:
                self.breach("H1", f"value {value} was sent twice")
            self.send_of[value] = send

    def _add_outcome(self, op, event):
        send = self.sends.get((event["order"], event["id"]))
        if send is None:
            self.breach("H1", f"{op} of {event['order']} {event['id']}, which was not sent")
            return
        for index, value in enumerate(event["values"]):
            if self.send_of.get(value) is not send:
                self.breach("H1", f"{op} of {event['order']} {event['id']} names {value}, which is not of that send")
            elif op == "ok":
                send.acked[value] = (event["partition"], event["base"] + index)
            elif op == "fail":
                send.failed.add(value)
        if op == "ok":
            send.end = event["t"]
            if send.partition is not None and event["partition"] != send.partition:
                self.breach("H1", f"{event['order']} {event['id']} for partition {send.partition} acked in "
                                  f"{event['partition']}")

    def check(self):
        """Applies every rule. True when none is broken."""
        self._check_values_at_offsets()
        self._check_reads()
        self._check_drain()
        self._check_order()
        self._check_batches()
        if not self.cluster:
            self._check_watermarks()
        return not self.breaches

    # What stands where, by acks and by reads: self.at and self.place_of.
    def _check_values_at_offsets(self):
        self.at = {}
        read = {}
        for send in self.sends.values():
            for value, (partition, offset) in send.acked.items():
                other = self.at.setdefault((partition, offset), value)
                if other != value:
                    self.breach("L2", f"partition {partition} offset {offset} acked for {other} and for {value}")
        for poll in self.polls:
            for offset, value in poll["records"]:
                where = (poll["partition"], offset)
                self._check_read_value(where, value)
                if read.setdefault(where, value) != value:
                    self.breach("L9", f"partition {where[0]} offset {offset} read as {read[where]} and as {value}")
                elif self.at.setdefault(where, value) != value:
                    self.breach("L2", f"partition {where[0]} offset {offset} acked for {self.at[where]}, "
                                      f"read as {value}")
        self.place_of = {}
        for where, value in self.at.items():
            other = self.place_of.setdefault(value, where)
            if other != where:
                self.breach("L4", f"{value} stands at partition {other[0]} offset {other[1]} and at "
                                  f"partition {where[0]} offset {where[1]}")
        self.superseded = {}
        if self.keys:
            placed = collections.defaultdict(list)
            for (partition, offset), value in sorted(self.at.items()):
                if value in self.send_of:
                    placed[partition].append((offset, value, self.send_of[value].begin))
            self.superseded = {partition: Superseded(records, self.keys) for partition, records in placed.items()}

    def _kept(self, partition, begin, end, time):
        """The first of these offsets that a read answered at that time may not leave out, or None."""
        if begin >= end:
            return None
        if not self.keys:
            return begin
        superseded = self.superseded.get(partition)
        return superseded.first_kept(begin, end, time) if superseded else None

    def _check_read_value(self, where, value):
        send = self.send_of.get(value)
        if send is None:
            self.breach("L3", f"{value}, read at partition {where[0]} offset {where[1]}, was never sent")
        elif value in send.failed:
            self.breach("L3", f"{value}, read at partition {where[0]} offset {where[1]}, had certainly failed")
        elif send.partition is not None and send.partition != where[0]:
            self.breach("L3", f"{value}, sent to partition {send.partition}, was read in {where[0]}")

    def _check_reads(self):
        for poll in self.polls:
            expected = poll["from"]
            for offset, _ in poll["records"]:
                due = self._kept(poll["partition"], expected, offset, poll["t"])
                if offset < expected or due is not None:
                    self.breach("L7", f"{poll['client']} read partition {poll['partition']} from {poll['from']}: "
                                      f"offset {offset} where {expected if due is None else due} was due")
                expected = offset + 1
            due = self._kept(poll["partition"], expected, poll["next"], poll["t"])
            if poll["next"] < expected or due is not None:
                self.breach("L7", f"{poll['client']} read partition {poll['partition']} from {poll['from']} up to "
                                  f"{expected}, and was told to go on from {poll['next']}")
            # A reader may be further than a new leader knows to be committed; it must get nothing from there.
            if poll["next"] > poll["hw"] and (poll["records"] or not self.cluster):
                self.breach("L8", f"{poll['client']} read partition {poll['partition']} up to {poll['next']}, past "
                                  f"the high watermark {poll['hw']}")

    def _check_drain(self):
        drains = collections.defaultdict(list)
        for poll in self.polls:
            if poll.get("drain"):
                drains[poll["client"]].append(poll)
        found = {}
        for client, polls in drains.items() or [("", [])]:
            found = self._check_one_drain(client, polls)
        self.counts["drains"] = len(drains)
        self.counts["drained values"] = len(found)
        self.counts["acked values"] = sum(len(send.acked) for send in self.sends.values())
        for value in found:
            send = self.send_of.get(value)
            if send and value not in send.acked:
                self.counts["unacked values found"] += 1

    def _check_one_drain(self, client, polls):
        """value -> (partition, offset), as this drain has it."""
        drained = collections.defaultdict(list)
        bounds, found = {}, {}
        for poll in polls:
            partition = poll["partition"]
            drained[partition] += [offset for offset, _ in poll["records"]]
            bounds[partition] = (poll["start"], poll["hw"])
            for offset, value in poll["records"]:
                found[value] = (partition, offset)
        for partition, offsets in drained.items():
            start, end = bounds[partition]
            due = [offset for offset in range(start, end)
                   if not self.keys or self._kept(partition, offset, offset + 1, NEVER) is not None]
            once = offsets == sorted(set(offsets)) and all(start <= offset < end for offset in offsets)
            if not once or not set(due) <= set(offsets):
                missing = sorted(set(due) - set(offsets))[:5]
                self.breach("D1", f"the drain of partition {partition} by {client}, which holds [{start}, {end}), gave "
                                  f"{len(offsets)} records; missing: {missing}")
        self.counts["compacted values"] = 0
        for send in self.sends.values():
            for value, where in send.acked.items():
                if where[1] < bounds.get(where[0], (0, 0))[0]:
                    continue  # retention took it
                if value not in found and self._kept(*where, where[1] + 1, NEVER) is None:
                    self.counts["compacted values"] += 1
                elif found.get(value) != where:
                    self.breach("L1", f"{value}, acked at partition {where[0]} offset {where[1]}, is not there in "
                                      f"the final drain by {client} (found: {found.get(value)})")
        return found

    def _check_order(self):
        by_partition = collections.defaultdict(list)
        for value, (partition, offset) in self.place_of.items():
            send = self.send_of.get(value)
            if send:
                by_partition[partition].append((offset, value, send))
        for partition, placed in by_partition.items():
            placed.sort(key=lambda item: item[0])
            latest = None   # among lower offsets, the send that began last
            last_of = {}    # order -> (place, index in the batch, value) at the highest offset so far
            for offset, value, send in placed:
                if latest and send.end < latest.begin and value in send.acked:
                    self.breach("L5", f"partition {partition}: {value} at offset {offset} was acked before "
                                      f"{latest.values[0]}, at a lower offset, was sent")
                if latest is None or send.begin > latest.begin:
                    latest = send
                here = (send.place, send.values.index(value), value)
                before = last_of.get(send.order)
                if before and before[:2] > here[:2]:
                    self.breach("L6", f"partition {partition}: {send.order} sent {value} before {before[2]}, which "
                                      f"stands at a lower offset than {offset}")
                last_of[send.order] = here

    def _check_batches(self):
        for send in self.sends.values():
            places = collections.defaultdict(list)
            first = collections.defaultdict(set)  # where the batch begins, as each of its values has it
            for index, value in enumerate(send.values):
                if value in self.place_of:
                    partition, offset = self.place_of[value]
                    places[partition].append(offset)
                    first[partition].add(offset - index)
            for partition, offsets in places.items():
                # What nobody acked and nobody read may have been there and gone.
                complete = not self.keys or all(value in send.acked for value in send.values)
                torn = offsets != list(range(offsets[0], offsets[0] + len(offsets)))
                if not complete:
                    torn = offsets != sorted(set(offsets)) or (send.partition is not None and len(first[partition]) > 1)
                if torn or (complete and send.partition is not None and len(offsets) != len(send.values)):
                    self.breach("A1", f"{send.order} {send.id}: a batch of {len(send.values)} stands in partition "
                                      f"{partition} at offsets {offsets[:8]}")

    # Sweeps acks and polls in time: what was known to be committed when a poll began must be below its watermark.
    def _check_watermarks(self):
        known = []  # (time known, partition, watermark at least, by whom)
        for send in self.sends.values():
            for partition, offset in send.acked.values():
                known.append((send.end, partition, offset + 1, "an ack"))
        for poll in self.polls:
            known.append((poll["t"], poll["partition"], poll["hw"], "a read"))
        heapq.heapify(known)
        floor = {}
        for poll in sorted(self.polls, key=lambda p: p["t0"]):
            while known and known[0][0] < poll["t0"]:
                _, partition, least, source = heapq.heappop(known)
                if least > floor.get(partition, (0, ""))[0]:
                    floor[partition] = (least, source)
            least, source = floor.get(poll["partition"], (0, ""))
            if poll["hw"] < least:
                self.breach("L8", f"{poll['client']} was told a high watermark of {poll['hw']} in partition "
                                  f"{poll['partition']}, after {source} had it at {least}")


def check_files(paths, keys=None, cluster=False):
    """A Checker that has checked these histories. Events are taken in order of time, sends before outcomes."""
    checker = Checker(keys, cluster)
    late = []
    for path in paths:
        with open(path, encoding="utf-8") as lines:
            for line in lines:
                event = json.loads(line)
                if event["op"] == "send":
                    checker.add(event)
                else:
                    late.append(event)
    for event in late:
        checker.add(event)
    checker.check()
    return checker


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keys", type=int, default=None, help="of a compacted topic: value modulo this is its key")
    parser.add_argument("--cluster", action="store_true", help="partitions had several leaders: see above")
    parser.add_argument("histories", nargs="+", metavar="HISTORY")
    options = parser.parse_args()
    checker = check_files(options.histories, options.keys, options.cluster)
    for rule in sorted(checker.breaches):
        for text in checker.breaches[rule]:
            print(f"{rule}: {text}")
    counts = checker.counts
    print(f"checker: {counts['send']} batches sent, {counts['acked values']} values acked, "
          f"{counts['drained values']} drained ({counts['unacked values found']} of them never acked), "
          f"{counts['compacted values']} acked ones compacted away, "
          f"{counts['poll']} polls, {counts['fail']} failed, {counts['unknown']} unknown; "
          f"{counts['breaches']} breaches")
    if not counts["acked values"]:
        print("checker: nothing was acked, so nothing was checked")
        return 1
    if options.keys and not counts["compacted values"]:
        print("checker: nothing was compacted away, so compaction was not checked")
        return 1
    return 1 if checker.breaches else 0


if __name__ == "__main__":
    sys.exit(main())
