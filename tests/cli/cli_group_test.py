"""Consumer groups at a shell: naru consume --group and naru group, against a real narud.
Usage: cli_group_test.py NARU NARUD [unittest arguments]"""

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
import unittest

from cli_case import DEADLINE, NARU, CliTest


class GroupTest(CliTest):
    groups = 0

    def setUp(self):
        GroupTest.groups += 1
        self.group = f"group-{GroupTest.groups}"

    def produce(self, topic, *values, partition=0):
        self.naru("produce", topic, "--partition", str(partition), stdin="".join(f"{v}\n" for v in values))

    def member(self, *arguments, stdout=subprocess.PIPE):
        """A member that goes on."""
        return self.begin("consume", "--group", self.group, *arguments, stdout=stdout, stderr=subprocess.PIPE)

    def joined(self, *arguments):
        """A member that goes on and has joined, and its id."""
        process = self.member(*arguments, "--verbose")
        told = process.stderr.readline()
        self.assertRegex(told, rf"^naru: joined group {self.group} as member \S+$")
        return process, told.split()[-1]

    def read_on(self, topic, *more):
        """What the group has not read yet."""
        return self.naru("consume", topic, "--group", self.group, "--until-idle", "500ms", *more).out.splitlines()

    def described(self, group=None):
        return json.loads(self.naru("group", "describe", group or self.group, "--output", "json").out)

    def wait(self, condition):
        deadline = time.monotonic() + DEADLINE
        while not condition():
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.05)

    def positions(self):
        return {(p["topic"], p["partition"]): int(p["committed_offset"]) for p in self.described()["partitions"]
                if "committed_offset" in p}


class Members(GroupTest):
    def test_a_group_goes_on_where_it_was(self):
        topic = self.topic(2)
        self.produce(topic, "a", "b")
        self.produce(topic, "c", partition=1)
        self.assertEqual(sorted(self.read_on(topic)), ["a", "b", "c"])
        self.assertEqual(self.read_on(topic), [])
        self.produce(topic, "d")
        self.assertEqual(self.read_on(topic, "--format", "{topic}/{partition}@{offset} {value}"), [f"{topic}/0@2 d"])
        self.assertEqual(self.positions(), {(topic, 0): 3, (topic, 1): 1})

    def test_max_commits_what_was_printed_and_nothing_more(self):
        for commit in ("ack", "delivery"):
            self.setUp()
            topic = self.topic()
            self.produce(topic, *range(10))
            args = ["consume", topic, "--group", self.group, "--commit", commit]
            self.assertEqual(self.naru(*args, "--max", "3").out, "0\n1\n2\n")
            self.assertEqual(self.positions(), {(topic, 0): 3})
            self.assertEqual(self.naru(*args, "--max", "4").out, "3\n4\n5\n6\n")
            self.assertEqual(self.read_on(topic, "--commit", commit), ["7", "8", "9"])

    def test_ctrl_c_and_sigterm_leave_the_group_with_everything_printed_committed(self):
        topic = self.topic()
        for how in (signal.SIGINT, signal.SIGTERM):
            self.produce(topic, "x", "y")
            process = self.member(topic)
            self.assertEqual([process.stdout.readline() for _ in range(2)], ["x\n", "y\n"])
            process.send_signal(how)
            self.assertEqual(process.wait(DEADLINE), 0)
            self.assertEqual(process.stderr.read(), f"naru: stopped after 2 records; left group {self.group}\n")
            self.assertEqual(self.described()["members"], [])
            self.assertEqual(self.read_on(topic), [])

    def test_it_follows_what_is_appended(self):
        topic = self.topic()
        process, _ = self.joined(topic)
        self.assertEqual(process.stderr.readline(), f"naru: assigned {topic}/0\n")
        for value in ("now", "and then"):
            self.produce(topic, value)
            self.assertEqual(process.stdout.readline(), value + "\n")

    def test_members_share_the_partitions_and_take_over_from_who_leaves(self):
        topic = self.topic(4)
        (first, _), (second, _) = self.joined(topic), self.joined(topic)

        def shares():
            owners = [p["member_id"] for p in self.described()["partitions"]]
            return sorted(owners.count(owner) for owner in set(owners))
        self.wait(lambda: shares() == [2, 2])
        for partition in range(4):
            self.produce(topic, partition, partition=partition)
        lines = sorted(process.stdout.readline() for process in (first, second) for _ in range(2))
        self.assertEqual(lines, ["0\n", "1\n", "2\n", "3\n"])
        first.send_signal(signal.SIGTERM)
        self.assertEqual(first.wait(DEADLINE), 0)
        for partition in range(4):
            self.produce(topic, 4 + partition, partition=partition)
        self.assertEqual(sorted(second.stdout.readline() for _ in range(4)), ["4\n", "5\n", "6\n", "7\n"])

    def test_several_topics_and_a_pattern_are_read(self):
        one, other = self.topic(), self.topic()
        self.produce(one, "one")
        self.produce(other, "other")
        self.assertEqual(sorted(self.read_on(one, other)), ["one", "other"])
        self.setUp()
        found = self.naru("consume", "--group", self.group, "--pattern", f"({one}|{other})", "--max", "2").out
        self.assertEqual(sorted(found.splitlines()), ["one", "other"])

    def test_start_says_where_a_new_group_begins(self):
        topic = self.topic()
        self.produce(topic, "old")
        failed = self.naru("consume", topic, "--group", self.group, "--start", "fail", status=1)
        self.assertIn("NO_COMMITTED_OFFSET", failed.err)
        process, _ = self.joined(topic, "--start", "latest")
        self.assertIn("assigned", process.stderr.readline())
        # The end is looked up behind the assignment: what comes now may be before it or not.
        self.wait(lambda: self.produce(topic, "new") or select.select([process.stdout], [], [], 0.1)[0])
        self.assertEqual(process.stdout.readline(), "new\n")

    def test_a_reader_that_goes_takes_what_it_read_and_the_rest_comes_again(self):
        topic = self.topic()
        self.produce(topic, *range(3))
        with subprocess.Popen(["head", "-n", "1"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as head:
            process = self.member(topic, stdout=head.stdin)
            head.stdin.close()
            self.assertEqual(head.stdout.read(), b"0\n")
        # It is noticed by the next look or write.
        self.produce(topic, "more")
        self.assertEqual(process.wait(DEADLINE), 0)
        self.assertIn("more", self.read_on(topic))

    def test_an_instance_keeps_its_place_and_a_second_of_its_name_fences_the_first(self):
        topic = self.topic()
        first, member = self.joined(topic, "--instance-id", "one")
        first.send_signal(signal.SIGINT)
        self.assertEqual(first.wait(DEADLINE), 0)
        self.assertIn(f"kept its place in group {self.group}", first.stderr.read())
        self.assertEqual([(m["member_id"], m["away"]) for m in self.described()["members"]], [(member, True)])
        second, again = self.joined(topic, "--instance-id", "one")
        self.assertEqual(again, member)
        third = self.member(topic, "--instance-id", "one")
        self.assertEqual(second.wait(DEADLINE), 1)
        self.assertIn("MEMBER_FENCED", second.stderr.read())
        third.kill()

    def test_a_member_goes_on_after_the_hub_was_killed(self):
        topic = self.topic()
        process = self.member(topic)
        self.produce(topic, "before")
        self.assertEqual(process.stdout.readline(), "before\n")
        self.wait(lambda: self.positions() == {(topic, 0): 1})
        self.hub.stop(signal.SIGKILL)
        self.hub.start()
        self.produce(topic, "after")
        self.assertEqual(process.stdout.readline(), "after\n")
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(DEADLINE), 0)
        self.assertEqual(self.positions(), {(topic, 0): 2})

    def test_wrong_command_lines_are_refused(self):
        topic = self.topic()
        for wrong in (["consume", topic, "--group", ""], ["consume", "--group", "g"], ["consume", topic, "other"],
                      ["consume", topic, "--group", "g", "--from", "0"], ["consume", topic, "--commit", "ack"],
                      ["consume", topic, "--group", "g", "--start", "5"], ["group"], ["group", "describe"],
                      ["group", "reset", "g"], ["group", "reset", "g", "--to", "nowhere"],
                      ["group", "reset", "g", "--topic", "t:x", "--to", "0"], ["group", "leave", "g"],
                      ["group", "leave", "g", "--member", "m", "--instance-id", "i"]):
            self.naru(*wrong, status=2)
        self.naru("consume", "nowhere", "--group", self.group, status=3)
        self.naru("--server", "127.0.0.1:1", "--timeout", "300ms", "consume", topic, "--group", "g", status=4)


class Groups(GroupTest):
    def test_groups_are_listed_and_described(self):
        topic = self.topic(2)
        self.produce(topic, "a", "b", "c")
        self.read_on(topic)
        self.produce(topic, "d")
        self.assertRegex(self.naru("group", "list").out, rf"(?m)^{self.group} +empty +0$")
        self.assertIn(self.group, self.naru("group", "list", "--names").out.splitlines())
        listed = json.loads(self.naru("group", "list", "--output", "json").out)["groups"]
        self.assertIn({"group": self.group, "state": "GROUP_STATE_EMPTY", "member_count": 0}, listed)
        described = self.naru("group", "describe", self.group).out
        self.assertRegex(described, r"(?m)^total lag  1$")
        self.assertRegex(described, rf"(?m)^{topic} +0 +3 +0 +4 +1 +\d{{4}}-\S+ +-$")
        missing = self.naru("group", "describe", "nowhere", status=3)
        self.assertIn("GROUP_NOT_FOUND", missing.err)

    def test_following_a_group_gives_a_line_each_second_and_paints_on_a_terminal(self):
        topic = self.topic()
        self.joined(topic)
        process = self.begin("group", "describe", self.group, "--follow", stdout=subprocess.PIPE)
        for _ in range(2):
            self.assertRegex(process.stdout.readline(), rf"^\S+Z {self.group} \w+, 1 member, \d partitions?, lag 0$")
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(DEADLINE), 0)
        master, slave = pty.openpty()
        process = self.begin("group", "describe", self.group, "--follow", stdout=slave)
        os.close(slave)
        shown = ""
        while shown.count("Ctrl-C ends") < 2:
            shown += os.read(master, 65536).decode()
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(DEADLINE), 0)
        os.close(master)
        self.assertRegex(shown, r"(?s)\x1b\[H.*total lag  0.*\x1b\[H.*total lag  0")
        self.naru("group", "describe", "nowhere", "--follow", status=3)

    def test_positions_are_reset(self):
        topic = self.topic(2)
        self.naru("produce", topic, "--format", "json", "--partition", "0", stdin="".join(
            json.dumps({"value": str(i), "timestamp_ms": 1704067200000 + i * 3600000}) + "\n" for i in range(10)))
        self.read_on(topic)

        def reset(*arguments):
            out = json.loads(self.naru("group", "reset", self.group, *arguments, "--output", "json").out)
            return [(o["partition"], int(o["after_offset"])) for o in out["offsets"]]
        self.assertEqual(reset("--to", "earliest", "--dry-run"), [(0, 0)])
        self.assertEqual(self.positions(), {(topic, 0): 10})
        for to, offset in (("4", 4), ("+3", 7), ("-2", 5), ("2024-01-01T08:30:00Z", 9), ("@1704067200000", 0),
                           ("latest", 10), ("-1h", 10), ("500", 10), ("-100", 0)):
            self.assertEqual(reset("--topic", f"{topic}:0", "--to", to), [(0, offset)], to)
            self.assertEqual(self.positions(), {(topic, 0): offset})
        self.assertEqual(reset("--topic", topic, "--to", "earliest"), [(0, 0), (1, 0)])
        self.assertRegex(self.naru("group", "reset", self.group, "--to", "2").out,
                         rf"(?m)\Areset group {self.group}:\n.*\n{topic} +0 +0 +2$")
        self.assertEqual(self.read_on(topic), [str(i) for i in range(2, 10)])

    def test_a_group_with_members_is_neither_reset_nor_deleted_until_they_leave(self):
        topic = self.topic()
        process, member = self.joined(topic)
        self.assertIn("assigned", process.stderr.readline())
        self.assertIn("GROUP_NOT_EMPTY", self.naru("group", "reset", self.group, "--topic", topic, "--to", "0",
                                                   status=1).err)
        self.assertIn("GROUP_NOT_EMPTY", self.naru("group", "delete", self.group, "--yes", status=1).err)
        self.assertIn("no member", self.naru("group", "leave", self.group, "--member", member).out)
        self.assertEqual(process.wait(DEADLINE), 1)
        self.assertIn("MEMBER_FENCED", process.stderr.read())
        self.naru("group", "leave", self.group, "--instance-id", "nobody")
        self.naru("group", "reset", self.group, "--topic", topic, "--to", "0")
        self.assertIn("--yes", self.naru("group", "delete", self.group, status=2).err)
        self.assertEqual(self.naru("group", "delete", self.group, "--yes").out, f"deleted group {self.group}\n")
        self.naru("group", "describe", self.group, status=3)

    def test_what_is_kept_of_groups_can_be_read(self):
        topic = self.topic()
        self.produce(topic, "a", "b")
        self.read_on(topic)
        lines = [line for line in self.naru("consume", "__consumer_offsets").out.splitlines()
                 if line.startswith(f"group {self.group}")]
        self.assertTrue(any(re.fullmatch(rf"group {self.group}, {topic}/0: offset 2, committed \S+Z", line)
                            for line in lines), lines)
        self.assertTrue(any(re.match(rf"group {self.group}, member \S+: epoch 1, .*topics {topic}", line)
                            for line in lines), lines)
        self.assertTrue(any(re.fullmatch(rf"group {self.group}, member \S+: gone", line) for line in lines), lines)
        raw = self.naru("consume", "__consumer_offsets", "--decode", "none", "--format", "{key}").out
        self.assertNotIn(f"group {self.group},", raw)
        as_json = self.naru("consume", "__consumer_offsets", "--format", "json").out.splitlines()
        self.assertIn(f"group {self.group}, {topic}/0", [json.loads(line).get("key") for line in as_json])

    def test_help_has_examples_and_completion_knows_groups(self):
        for command in ([], ["list"], ["describe"], ["reset"], ["delete"], ["leave"]):
            self.assertIn("Examples:\n  ", self.naru("group", *command, "--help").out)
        topic = self.topic()
        self.read_on(topic)

        def complete(*words):
            script = (f'PATH="{os.path.dirname(os.path.abspath(NARU))}:$PATH"; source <(naru completion bash); '
                      'COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _naru; printf "%s\\n" "${COMPREPLY[@]}"')
            done = subprocess.run(["bash", "-c", script, "bash", "naru", *words], capture_output=True, text=True,
                                  timeout=DEADLINE, env=self.environment(), check=True)
            return done.stdout.split()
        self.assertEqual(complete("group", "desc"), ["describe"])
        self.assertIn(self.group, complete("group", "describe", "group-"))
        self.assertIn(self.group, complete("consume", topic, "--group", "group-"))
        self.assertEqual(complete("consume", "--commit", "d"), ["delivery"])
        self.assertEqual(complete("group", "reset", "--dry"), ["--dry-run"])


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])
