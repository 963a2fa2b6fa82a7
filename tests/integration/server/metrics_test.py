#!/usr/bin/env python3
"""What /metrics says."""

import re
import unittest

import grpc

import hub


class Metrics(hub.HubTest):

    def test_names_keep_to_the_conventions(self):
        text = self.start().get("/metrics")[1]
        families = re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE)
        self.assertGreater(len(families), 40)
        for name, kind in families:
            self.assertRegex(name, r"^(naru|process)_[a-z0-9_]+$")
            self.assertEqual(name.endswith("_total"), kind == "counter", name)
            self.assertRegex(text, rf"(?m)^# HELP {name} .*\.$")

    def test_counters_count(self):
        server = self.start()
        server.create_topic("t")
        before = server.metric("naru_store_appended_records_total")
        server.send("t", b"a", b"b", b"c")
        self.assertEqual(server.metric("naru_store_appended_records_total"), before + 3)
        with self.assertRaises(grpc.RpcError):
            server.send("nowhere", b"v")
        labels = 'service="naru.v1.ProduceService",method="Produce"'
        self.assertIn(f"naru_grpc_calls_started_total{{{labels}}} 2\n", server.get("/metrics")[1])
        # The client may hear of a call's end before the server has counted it.
        finished = f'naru_grpc_calls_finished_total{{{labels},code="NOT_FOUND"}} 1\n'
        hub.wait_until(lambda: finished in server.get("/metrics")[1], "the call to be counted")

    def test_groups_show_how_far_they_are_behind(self):
        server = self.start("--lag-interval", "100ms", "--max-lag-partitions", "1")
        server.create_topic("t", partitions=2)
        server.send("t", b"a", b"b", b"c")
        server.send("t", b"d", partition=1)
        group = hub.Stubs.group
        poll = server.group.Poll(group.PollRequest(
            join=group.Join(group="g", topics=["t"], client_id="test"), max_wait_ms=1000), timeout=hub.DEADLINE)
        self.assertEqual(sorted(len(delivery.records) for delivery in poll.deliveries), [1, 3])

        def shows(*lines):
            hub.wait_until(lambda: all(f"\n{line}" in server.get("/metrics")[1] for line in lines), lines)

        # Of one partition by itself, as --max-lag-partitions says; of the group all.
        shows('naru_group_lag_records{group="g"} 4\n', 'naru_groups{state="stable"} 1\n', 'naru_group_members{group="g"} 1\n',
              'naru_group_partition_lag_records{group="g",topic="t",partition="0"} 3\n',
              "naru_group_lag_partitions_left_out 1\n")
        behind = re.search(r'(?m)^naru_group_lag_seconds\{group="g"\} (\S+)$', server.get("/metrics")[1])
        self.assertGreater(float(behind.group(1)), 0)
        acks = [delivery.delivery_id for delivery in poll.deliveries]
        server.group.Poll(group.PollRequest(group="g", member_id=poll.member_id, member_epoch=poll.member_epoch,
                                            acked_delivery_ids=acks), timeout=hub.DEADLINE)
        shows('naru_group_lag_records{group="g"} 0\n', 'naru_group_lag_seconds{group="g"} 0\n')
        self.assertEqual(server.metric("naru_group_acks_total"), 2)
        self.assertGreaterEqual(server.metric("naru_group_committed_positions_total"), 2)
        self.assertGreaterEqual(server.metric("naru_group_rebalances_total"), 1)

    def test_memory_budgets_stay_below_the_limit(self):
        server = self.start("--memory-limit", "256MiB")
        text = server.get("/metrics")[1]
        self.assertEqual(server.metric("naru_memory_limit_bytes"), 256 << 20)
        shares = re.findall(r'^naru_memory_budget_bytes\{part="(\w+)"\} (\S+)$', text, re.MULTILINE)
        self.assertEqual(len(shares), 10)
        self.assertLessEqual(sum(float(size) for _, size in shares), 256 << 20)


if __name__ == "__main__":
    unittest.main()
