"""naru against a real narud, as somebody at a shell uses it. Usage: cli_test.py NARU NARUD [unittest arguments]"""

import base64
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
import unittest

from cli_case import DEADLINE, NARU, CliTest


class Topics(CliTest):
    def test_a_topic_is_created_listed_described_altered_grown_and_deleted(self):
        created = self.naru("topic", "create", "orders", "--partitions", "3", "--config", "retention_ms=1d")
        self.assertIn("created topic orders with 3 partitions", created.out)
        self.assertIn("orders", self.naru("topic", "list").out)
        self.assertEqual(self.naru("topic", "list", "--names", "--prefix", "ord").out, "orders\n")
        described = self.naru("topic", "describe", "orders").out
        self.assertRegex(described, r"(?m)^retention_ms +86400000 +1d$")
        self.assertEqual(len(re.findall(r"(?m)^ +[0-2] +1 ", described)), 3, described)
        altered = self.naru("topic", "alter", "orders", "--config", "retention_bytes=1GiB", "--reset", "retention_ms")
        self.assertIn("retention_bytes=1073741824", altered.out)
        config = json.loads(self.naru("topic", "describe", "orders", "--output", "json").out)["config"]
        self.assertEqual(config["retention_ms"], "604800000")
        self.assertEqual(config["retention_bytes"], "1073741824")
        self.assertIn("5 partitions", self.naru("topic", "add-partitions", "orders", "5").out)
        self.naru("topic", "add-partitions", "orders", "4", status=2)
        self.assertIn("deleted", self.naru("topic", "delete", "orders", "--yes").out)
        self.naru("topic", "describe", "orders", status=3)

    def test_settings_may_stand_behind_the_topic_too(self):
        self.naru("topic", "create", "settings", "--config", "retention_ms=1d", "retention_bytes=5MB")
        config = json.loads(self.naru("--output", "json", "topic", "describe", "settings").out)["config"]
        self.assertEqual((config["retention_ms"], config["retention_bytes"]), ("86400000", "5000000"))

    def test_a_bad_setting_is_named_wherever_it_stands(self):
        for arguments in (["--config", "cleanup_policy=x"], ["--config", "retention_ms=1d", "cleanup_policy=x"]):
            refused = self.naru("topic", "create", "settings-2", *arguments, status=2)
            self.assertRegex(refused.err, r"\Anaru: (--config|KEY=VALUE): cleanup_policy: ")

    def test_validate_only_creates_nothing(self):
        self.naru("topic", "create", "maybe", "--validate-only")
        self.naru("topic", "describe", "maybe", status=3)

    def test_deleting_needs_consent(self):
        topic = self.topic()
        refused = self.naru("topic", "delete", topic, status=2)
        self.assertIn("--yes", refused.err)
        self.naru("topic", "describe", topic)

    def test_errors_have_a_reason_and_an_exit_code(self):
        topic = self.topic()
        self.assertIn("TOPIC_EXISTS", self.naru("topic", "create", topic, status=1).err)
        missing = self.naru("topic", "describe", "nowhere", status=3)
        self.assertIn("TOPIC_NOT_FOUND", missing.err)
        self.assertEqual(len(missing.err.strip().splitlines()), 1)
        self.naru("topic", "create", "bad name", status=2)
        self.naru("consume", "nowhere", status=3)
        self.naru("produce", "nowhere", status=3)
        self.naru("offsets", "nowhere", status=3)
        for wrong in ([], ["topic"], ["topic", "create"], ["nonsense"], ["consume", topic, "--from", "yesterday"],
                      ["consume", topic, "--format", "{nothing}"], ["produce", topic, "--acks", "some"],
                      ["consume", topic, "--follow", "--until", "earliest"], ["offsets", topic, "--at", "5"]):
            self.naru(*wrong, status=2)

    def test_without_a_server_it_says_where_it_looked(self):
        missing = self.naru("--server", "127.0.0.1:1", "--timeout", "300ms", "topic", "list", status=4)
        self.assertIn("127.0.0.1:1", missing.err)
        self.naru("--server", f"127.0.0.1:1,{self.hub.listen}", "topic", "list")

    def test_records_before_an_offset_are_deleted(self):
        topic = self.topic()
        self.naru("produce", topic, stdin="a\nb\nc\n")
        self.assertIn("now begins at offset 2",
                      self.naru("topic", "delete-records", topic, "--partition", "0", "--before", "2").out)
        self.assertEqual(self.read(topic), ["c"])
        self.naru("consume", topic, "--partition", "0", "--from", "0", status=1)
        self.naru("topic", "delete-records", topic, "--partition", "0", "--before", "-1")
        self.assertEqual(self.read(topic), [])
        self.naru("topic", "delete-records", topic, "--partition", "7", "--before", "1", status=3)

    def test_the_cluster_is_described(self):
        self.assertIn(self.hub.listen, self.naru("cluster", "describe").out)
        cluster = json.loads(self.naru("cluster", "describe", "--output", "json").out)
        self.assertEqual(len(cluster["cluster_id"]), 32)
        self.assertEqual(cluster["brokers"][0]["broker"]["broker_id"], 1)

    def test_leaders_are_elected(self):
        topic = self.topic(partitions=2)
        elected = json.loads(self.naru("cluster", "elect", topic, "--output", "json").out)
        self.assertEqual([p["leader"] for p in elected["partitions"]], [1, 1])
        self.assertRegex(self.naru("cluster", "elect", topic, "--partitions", "1", "--leader", "1").out,
                         r"(?m)^ +1 +1 +0$")
        self.assertIn("leader: 2", self.naru("cluster", "elect", topic, "--leader", "2", status=2).err)


class Records(CliTest):
    def test_lines_come_back_as_they_went(self):
        topic = self.topic()
        lines = ["first", "", "with spaces ", "ünïcödé 😀", "last without a newline"]
        produced = self.naru("produce", topic, stdin="\n".join(lines))
        self.assertRegex(produced.err, r"^5 records, .* in .* s \(.* records/s, .*\); ack latency p50 .* ms, p99 ")
        self.assertEqual(self.read(topic), lines)

    def test_seven_keyless_records_over_three_partitions_land_three_two_two(self):
        topic = self.topic(3)
        self.naru("produce", topic, stdin="0\n1\n2\n3\n4\n5\n6\n")
        self.assertEqual(sorted(self.read(topic, "--format", "{partition}:{value}")),
                         ["0:0", "0:3", "0:6", "1:1", "1:4", "2:2", "2:5"])

    def test_seven_commands_of_one_record_land_three_two_two_as_well(self):
        topic = self.topic(3)
        for i in range(7):
            self.naru("produce", topic, stdin=f"{i}\n")
        partitions = self.read(topic, "--format", "{partition}")
        self.assertEqual([partitions.count(p) for p in "012"], [3, 2, 2])

    def test_records_of_a_key_keep_their_order_in_one_partition(self):
        topic = self.topic(4)
        self.naru("produce", topic, "--key-separator", "\t",
                  stdin="".join(f"key{i % 10}\t{i}\n" for i in range(500)))
        where, values = {}, {}
        for line in self.read(topic, "--format", "{partition} {key} {value}"):
            partition, key, value = line.split()
            self.assertEqual(where.setdefault(key, partition), partition)
            values.setdefault(key, []).append(int(value))
        self.assertEqual(len(values), 10)
        self.assertGreater(len(set(where.values())), 1)
        for of_key in values.values():
            self.assertEqual(of_key, sorted(of_key))
            self.assertEqual(len(of_key), 50)

    def test_a_field_of_the_line_is_the_key(self):
        topic = self.topic()
        self.naru("produce", topic, "--key-field", "2", stdin="a b c\nonly\n")
        self.assertEqual(self.read(topic, "--format", "[{key}] {value}", "--null", "none"),
                         ["[b] a b c", "[none] only"])

    def test_json_goes_in_and_out_unchanged(self):
        topic, copy = self.topic(2), self.topic(2)
        records = [
            {"key": "k", "value": "v", "headers": {"a": "1"}, "timestamp_ms": 1700000000000, "partition": 1},
            {"key_base64": base64.b64encode(b"\xff\x00").decode(), "value": None, "partition": 0},
            {"value_base64": base64.b64encode(b"\xfe").decode(), "partition": 0,
             "headers": [{"key": "h", "value_base64": base64.b64encode(b"\xfd").decode()}]},
        ]
        self.naru("produce", topic, "--format", "json", stdin="".join(json.dumps(r) + "\n" for r in records))
        out = self.naru("consume", topic, "--format", "json").out
        read = sorted((json.loads(line) for line in out.splitlines()), key=lambda r: (r["partition"], r["offset"]))
        self.assertEqual(read[0]["key_base64"], records[1]["key_base64"])
        self.assertIsNone(read[0]["value"])
        self.assertGreater(read[0]["timestamp_ms"], 1700000000000)
        self.assertEqual(read[1]["headers"], records[2]["headers"])
        self.assertEqual(read[2], {"topic": topic, "partition": 1, "offset": 0, "timestamp_ms": 1700000000000,
                                   "key": "k", "value": "v", "headers": [{"key": "a", "value": "1"}]})
        self.naru("produce", copy, "--format", "json", stdin=out)
        again = self.naru("consume", copy, "--format", "json").out
        self.assertEqual(sorted(again.replace(copy, topic).splitlines()), sorted(out.splitlines()))

    def test_a_line_that_is_not_json_is_named_and_what_came_before_is_written(self):
        topic = self.topic()
        failed = self.naru("produce", topic, "--format", "json", stdin='{"value":"good"}\n\n{oops\n', status=2)
        self.assertIn("line 3", failed.err)
        self.assertEqual(self.read(topic), ["good"])

    def test_every_codec_and_every_kind_of_ack_works(self):
        topic = self.topic()
        expected = []
        for codec in ["none", "gzip", "lz4", "zstd", "snappy"]:
            for acks in ["none", "leader", "all"]:
                lines = [f"{codec} {acks} {i}" for i in range(100)]
                self.naru("produce", topic, "--compression", codec, "--acks", acks, "--batch-bytes", "1KiB",
                          stdin="\n".join(lines))
                expected += lines
                # With acks none the command ends before the records are there.
                self.wait(lambda: len(self.read(topic)) == len(expected))
        self.assertEqual(self.read(topic), expected)

    def wait(self, condition):
        deadline = time.monotonic() + DEADLINE
        while not condition():
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)

    def test_a_record_that_is_too_large_is_told_of_and_the_others_are_written(self):
        topic = self.topic(1, "--config", "max_record_bytes=1000")
        failed = self.naru("produce", topic, "--batch-bytes", "1", stdin="a\n" + "x" * 5000 + "\nb\n", status=2)
        self.assertIn("RECORD_TOO_LARGE", failed.err)
        self.assertIn("line 2", failed.err)
        self.assertIn("1 FAILED", failed.err)
        self.assertEqual(self.read(topic), ["a", "b"])

    def test_a_record_that_the_client_does_not_send_is_told_of_and_the_others_are_written(self):
        topic = self.topic()
        for large in ("x" * (5 << 20), "x" * (65 << 20)):
            failed = self.naru("produce", topic, stdin="a\n" + large + "\nb\n", status=2)
            self.assertIn("RECORD_TOO_LARGE", failed.err)
            self.assertIn("[line 2]", failed.err)
            self.assertRegex(failed.err, r"(?m)^2 records, .*; 1 FAILED$")
        self.assertEqual(self.read(topic), ["a", "b"] * 2)

    def test_json_nested_too_deep_is_an_error_and_what_came_before_is_written(self):
        topic = self.topic()
        deep = '{"value":' + "[" * 200_000 + "]" * 200_000 + "}"
        failed = self.naru("produce", topic, "--format", "json", stdin='{"value":"good"}\n' + deep + "\n", status=2)
        self.assertIn("line 2", failed.err)
        self.assertIn("100 levels", failed.err)
        self.assertEqual(self.read(topic), ["good"])

    def test_the_summary_is_json_when_asked_for(self):
        topic = self.topic()
        summary = json.loads(self.naru("produce", topic, "--output", "json", stdin="a\nbb\n").out)
        self.assertEqual((summary["records"], summary["failed"], summary["bytes"]), (2, 0, 3))
        self.assertGreaterEqual(summary["ack_latency_ms"]["max"], summary["ack_latency_ms"]["p50"])
        self.assertEqual(self.naru("produce", topic, "--quiet", stdin="c\n").err, "")

    def test_headers_partition_and_file_are_taken(self):
        topic = self.topic(3)
        with tempfile.NamedTemporaryFile("w") as file:
            file.write("from a file\n")
            file.flush()
            self.naru("produce", topic, "--file", file.name, "--header", "a=1", "--header", "b=x=y", "--partition", "2")
        self.assertEqual(self.read(topic, "--format", "{partition} {headers} {value}"), ["2 a=1,b=x=y from a file"])
        self.naru("produce", topic, "--partition", "3", stdin="x\n", status=3)
        self.naru("produce", topic, "--file", "/nonexistent", status=2)

    def test_a_terminal_gets_a_progress_bar(self):
        topic = self.topic()
        with tempfile.NamedTemporaryFile("w") as file:
            file.writelines(f"{i}\n" for i in range(1000))
            file.flush()
            master, slave = pty.openpty()
            done = subprocess.run([NARU, "produce", topic, "--file", file.name], stderr=slave, timeout=DEADLINE,
                                  env=self.environment(), check=False)
            os.close(slave)
            shown = os.read(master, 65536).decode()
            os.close(master)
        self.assertEqual(done.returncode, 0)
        self.assertIn("acknowledged", shown)
        self.assertIn("1000 records,", shown)


class Reading(CliTest):
    def setUp(self):
        self.name = self.topic()
        self.naru("produce", self.name, "--format", "json", stdin="".join(
            json.dumps({"value": str(i), "timestamp_ms": 1704067200000 + i * 3600000}) + "\n" for i in range(10)))

    def test_from_and_until_take_offsets_and_times(self):
        for arguments, expected in [([], range(10)),
                                    (["--from", "earliest", "--until", "end"], range(10)),
                                    (["--from", "latest"], []),
                                    (["--from", "7"], range(7, 10)),
                                    (["--from", "2", "--until", "5"], range(2, 5)),
                                    (["--until", "500"], range(10)),
                                    (["--from", "5", "--until", "2"], []),
                                    (["--from", "2024-01-01T03:00:00Z", "--until", "2024-01-01T05:30:00Z"], range(3, 6)),
                                    (["--from", "@1704067200001"], range(1, 10)),
                                    (["--from", "-1h"], []),
                                    (["--from", "3", "--max", "2"], range(3, 5)),
                                    (["--partition", "0", "--max", "1"], range(1))]:
            self.assertEqual(self.read(self.name, *arguments), [str(i) for i in expected], arguments)
        self.naru("consume", self.name, "--partition", "0", "--from", "11", status=1)
        self.naru("consume", self.name, "--partition", "4", status=3)

    def test_offsets_are_found_by_position_and_time(self):
        def found(*at):
            out = json.loads(self.naru("offsets", self.name, *at, "--output", "json").out)
            return int(out["offsets"][0]["offset"])
        self.assertEqual(found(), 10)
        self.assertEqual(found("--at", "earliest"), 0)
        self.assertEqual(found("--at", "2024-01-01T03:30:00Z"), 4)
        self.assertEqual(found("--at", "-1m"), 10)
        table = self.naru("offsets", self.name, "--at", "2024-01-01T03:30:00Z").out.splitlines()
        self.assertEqual(table[0].split(), ["PARTITION", "OFFSET", "TIMESTAMP", "START", "END"])
        self.assertEqual(table[1].split(), ["0", "4", "2024-01-01T04:00:00.000Z", "0", "10"])

    def test_templates_write_fields_and_escapes(self):
        out = self.naru("consume", self.name, "--max", "1", "--format",
                        r"{topic}\t{partition}:{offset} {timestamp} [{key}]\n").out
        self.assertEqual(out, f"{self.name}\t0:0 2024-01-01T00:00:00.000Z []\n")
        self.assertEqual(self.naru("consume", self.name, "--max", "2", "--format", r"{value}\0\c").out, "0\x001\x00")

    def test_a_pipe_that_closes_ends_it_quietly(self):
        big = self.topic()
        self.naru("produce", big, stdin="".join(f"{i} {'x' * 500}\n" for i in range(5000)))
        for follow in ([], ["--follow"]):
            done = subprocess.run(["bash", "-c", '"$0" consume "$@" | head -n 1; echo "${PIPESTATUS[0]}"', NARU, big,
                                   *follow], capture_output=True, timeout=DEADLINE, env=self.environment(), text=True,
                                  check=False)
            self.assertEqual(done.stderr, "")
            self.assertEqual(done.stdout.splitlines()[-1], "0")

    def follow(self, *arguments):
        return self.begin("consume", self.name, "--follow", *arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def test_follow_goes_on_and_ctrl_c_says_where_to_go_on(self):
        process = self.follow("--from", "8")
        self.assertEqual([process.stdout.readline() for _ in range(2)], ["8\n", "9\n"])
        self.naru("produce", self.name, stdin="new\n")
        self.assertEqual(process.stdout.readline(), "new\n")
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(DEADLINE), 0)
        self.assertEqual(process.stderr.read(), f"naru: stopped; next offsets of {self.name}: 0:11\n")

    def test_follow_ends_at_an_offset_and_at_a_maximum(self):
        for end in (["--until", "12"], ["--max", "3"]):
            process = self.follow("--from", "9", *end)
            self.assertEqual(process.stdout.readline(), "9\n")
            self.naru("produce", self.name, stdin="a\nb\nc\n")
            self.assertEqual(process.stdout.read(), "a\nb\n")
            self.assertEqual(process.wait(DEADLINE), 0)
            self.setUp()

    def test_follow_ends_at_a_time_or_an_end_as_found_at_its_start(self):
        for until, expected in (("end", range(10)), ("2024-01-01T05:30:00Z", range(6)), ("2199-01-01", range(10))):
            process = self.follow("--until", until)
            self.assertEqual(process.stdout.read().splitlines(), [str(i) for i in expected], until)
            self.assertEqual(process.wait(DEADLINE), 0)

    def test_follow_finds_partitions_that_are_added(self):
        for where in ("latest", "10"):
            process = self.follow("--from", where)
            # The new partition must not be there when it begins; it shows what comes after that.
            while not select.select([process.stdout], [], [], 0.05)[0]:
                self.naru("produce", self.name, "--partition", "0", stdin="probe\n")
            self.naru("topic", "add-partitions", self.name, "2")
            self.naru("produce", self.name, "--partition", "1", stdin="in the new partition\n")
            lines = iter(process.stdout.readline, "")
            self.assertEqual(next(line for line in lines if line != "probe\n"), "in the new partition\n")
            process.send_signal(signal.SIGTERM)
            self.assertEqual(process.wait(DEADLINE), 0)
            self.setUp()


class Restarts(CliTest):
    def test_follow_goes_on_after_a_restart_without_gaps_or_repeats(self):
        topic = self.topic()
        self.naru("produce", topic, stdin="before\n")
        process = self.begin("consume", topic, "--follow", "--format", "{offset} {value}", stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL)
        self.assertEqual(process.stdout.readline(), "0 before\n")
        self.hub.stop(signal.SIGKILL)
        self.hub.start()
        self.naru("produce", topic, stdin="after\nlast\n")
        self.assertEqual([process.stdout.readline() for _ in range(2)], ["1 after\n", "2 last\n"])
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(DEADLINE), 0)

    def test_follow_does_not_go_on_in_a_topic_that_was_made_anew_meanwhile(self):
        topic = self.topic()
        self.naru("produce", topic, stdin="0\n1\n2\n")
        process = self.begin("consume", topic, "--follow", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.assertEqual([process.stdout.readline() for _ in range(3)], ["0\n", "1\n", "2\n"])
        # Stopped, it cannot reconnect before the new topic is there.
        process.send_signal(signal.SIGSTOP)
        self.hub.stop(signal.SIGKILL)
        self.hub.start()
        self.naru("topic", "delete", topic, "--yes")
        self.naru("topic", "create", topic)
        self.naru("produce", topic, stdin="".join(f"new {i}\n" for i in range(8)))
        process.send_signal(signal.SIGCONT)
        self.assertEqual(process.wait(DEADLINE), 3)
        self.assertEqual(process.stdout.read(), "")
        self.assertIn("TOPIC_NOT_FOUND", process.stderr.read())

    def test_what_is_produced_across_a_crash_is_all_there_once_and_in_order(self):
        topic = self.topic()
        process = self.begin("produce", topic, "--batch-bytes", "200", "--linger", "0", stdin=subprocess.PIPE,
                             stderr=subprocess.PIPE)
        process.stdin.writelines(f"{i}\n" for i in range(1000))
        process.stdin.flush()
        # A hub that dies before its first answer is one that was never there.
        while not self.read(topic):
            self.assertIsNone(process.poll())
        process.stdin.writelines(f"{i}\n" for i in range(1000, 2000))
        process.stdin.flush()
        self.hub.stop(signal.SIGKILL)
        self.hub.start()
        process.stdin.writelines(f"{i}\n" for i in range(2000, 3000))
        process.stdin.close()
        self.assertEqual(process.wait(DEADLINE), 0, process.stderr.read())
        self.assertEqual(self.read(topic), [str(i) for i in range(3000)])


class Shell(CliTest):
    def test_version_and_help_need_no_server(self):
        self.assertRegex(self.naru("--version").out, r"^naru \d+\.\d+\.\d+\n$")
        for command in ([], ["topic"], ["topic", "create"], ["topic", "list"], ["topic", "describe"],
                        ["topic", "alter"], ["topic", "add-partitions"], ["topic", "delete"],
                        ["topic", "delete-records"], ["produce"], ["consume"], ["offsets"], ["cluster"],
                        ["cluster", "describe"], ["completion"]):
            self.assertIn("Examples:\n  ", self.naru(*command, "--help").out)

    def test_bash_completes_commands_options_values_and_topics(self):
        topic = self.topic()

        def complete(*words):
            script = (f'PATH="{os.path.dirname(os.path.abspath(NARU))}:$PATH"; source <(naru completion bash); '
                      'COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _naru; printf "%s\\n" "${COMPREPLY[@]}"')
            done = subprocess.run(["bash", "-c", script, "bash", "naru", *words], capture_output=True, text=True,
                                  timeout=DEADLINE, env=self.environment(), check=True)
            return done.stdout.split()
        self.assertEqual(complete("top"), ["topic"])
        self.assertIn("add-partitions", complete("topic", ""))
        self.assertEqual(complete("topic", "create", "--part"), ["--partitions"])
        self.assertEqual(complete("produce", "--compression", "z"), ["zstd"])
        self.assertEqual(complete("--output", "j"), ["json"])
        self.assertEqual(complete("--output", "json", "clus"), ["cluster"])
        self.assertIn(topic, complete("consume", "topic-"))

    def test_the_other_shells_take_their_scripts(self):
        for shell in ("zsh", "fish"):
            script = self.naru("completion", shell).out
            self.assertIn("delete-records", script)
            if any(os.access(os.path.join(p, shell), os.X_OK) for p in os.environ["PATH"].split(":")):
                subprocess.run([shell, "-n"], input=script, text=True, check=True, timeout=DEADLINE)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])
