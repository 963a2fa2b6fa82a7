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

    def test_memory_budgets_stay_below_the_limit(self):
        server = self.start("--memory-limit", "256MiB")
        text = server.get("/metrics")[1]
        self.assertEqual(server.metric("naru_memory_limit_bytes"), 256 << 20)
        shares = re.findall(r'^naru_memory_budget_bytes\{part="(\w+)"\} (\S+)$', text, re.MULTILINE)
        self.assertEqual(len(shares), 9)
        self.assertLessEqual(sum(float(size) for _, size in shares), 256 << 20)


if __name__ == "__main__":
    unittest.main()
