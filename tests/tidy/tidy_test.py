#!/usr/bin/env python3
"""Each rule of tidy.py finds a sample that breaks it, and says nothing about one that does not."""

import os
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tidy  # noqa: E402


class TidyTest(unittest.TestCase):
    def breaches(self, tree):
        """What tidy says about a tree given as {path: text}."""
        with tempfile.TemporaryDirectory() as root:
            for path, text in tree.items():
                os.makedirs(os.path.dirname(os.path.join(root, path)) or root, exist_ok=True)
                with open(os.path.join(root, path), "w", encoding="utf-8") as f:
                    f.write(text)
            return tidy.check_tree(root)

    def expect(self, tree, words):
        found = self.breaches(tree)
        self.assertEqual(len(found), 1, found)
        self.assertIn(words, found[0])

    def expect_clean(self, tree):
        self.assertEqual(self.breaches(tree), [])

    def include(self, path, name):
        return {path: f'#include "{name}"\n'}

    def test_dependencies_run_downwards_only(self):
        for path, name in [
            ("storage/base/a.cc", "storage/batch/batch.h"),
            ("storage/batch/a.cc", "storage/log/log_store.h"),
            ("storage/batch/a.cc", "naru/v1/types.pb.h"),
            ("storage/log/a.cc", "storage/index/index.h"),
            ("storage/segments/a.cc", "storage/index/index.h"),
            ("storage/index/a.cc", "storage/store/store.h"),
            ("storage/store/a.cc", "cluster/metadata/catalog.h"),
            ("cluster/metadata/a.cc", "storage/store/store.h"),
            ("cluster/metadata/a.cc", "services/rpc/status.h"),
            ("services/produce/a.cc", "storage/store/store.h"),
            ("services/produce/a.cc", "services/server/options.h"),
            ("services/cluster/a.cc", "cluster/etcd/etcd_cluster_store.h"),
            ("cluster/coordinator/a.cc", "cluster/etcd/etcd_cluster_store.h"),
            ("cluster/coordinator/a.cc", "etcd/rpc.pb.h"),
            ("services/server/a.cc", "etcd/rpc.pb.h"),
            ("clients/cpp/a.cc", "storage/log/log_store.h"),
            ("clients/cpp/a.cc", "services/rpc/status.h"),
            ("tools/cli/a.cc", "storage/store/store.h"),
            ("tools/bench/a.cc", "storage/segments/entry.h"),
            ("tools/micro/a.cc", "clients/cpp/client.h"),
        ]:
            with self.subTest(path=path, name=name):
                self.expect(self.include(path, name), "must not include")

    def test_what_stands_below_may_be_included(self):
        for path, name in [
            ("storage/batch/a.cc", "storage/base/ids.h"),
            ("storage/index/a.cc", "storage/segments/run.h"),
            ("storage/store/a.cc", "storage/index/index.h"),
            ("cluster/metadata/a.cc", "storage/log/log_store.h"),
            ("services/produce/a.cc", "cluster/metadata/catalog.h"),
            ("services/produce/a.cc", "naru/v1/produce.pb.h"),
            ("services/server/a.cc", "storage/store/store.h"),
            ("services/server/a.cc", "cluster/etcd/etcd_cluster_store.h"),
            ("cluster/etcd/a.cc", "cluster/coordinator/cluster_store.h"),
            ("cluster/etcd/a.cc", "etcd/rpc.grpc.pb.h"),
            ("clients/cpp/a.cc", "storage/batch/batch.h"),
            ("tools/cli/a.cc", "clients/cpp/client.h"),
            ("tools/micro/a.cc", "storage/store/store.h"),
            ("tests/services/a.cc", "storage/store/store.h"),
            ("storage/base/a.cc", "absl/status/status.h"),
        ]:
            with self.subTest(path=path, name=name):
                self.expect_clean(self.include(path, name))

    def test_rocksdb_is_included_by_the_index_alone(self):
        self.expect({"storage/store/a.cc": "#include <rocksdb/db.h>\n"}, "storage/index alone")
        self.expect({"tests/storage/store/a.cc": "#include <rocksdb/db.h>\n"}, "storage/index alone")
        self.expect_clean({"storage/index/a.cc": "#include <rocksdb/db.h>\n"})
        self.expect_clean({"tests/storage/index/a.cc": "#include <rocksdb/db.h>\n"})

    def test_the_store_knows_nothing_of_grpc(self):
        self.expect({"storage/log/a.cc": "#include <grpcpp/grpcpp.h>\n"}, "alone")
        self.expect({"cluster/metadata/a.cc": "#include <grpcpp/grpcpp.h>\n"}, "alone")
        self.expect_clean({"services/rpc/a.cc": "#include <grpcpp/grpcpp.h>\n"})
        self.expect_clean({"cluster/etcd/a.cc": "#include <grpcpp/grpcpp.h>\n"})

    def test_state_machines_have_no_threads_clocks_chance_or_hash_order(self):
        self.expect({"cluster/replication/replica.cc": "#include <thread>\n"}, "state machine")
        self.expect({"cluster/group/group_machine.cc": '#include "absl/synchronization/mutex.h"\n'}, "state machine")
        self.expect({"cluster/coordinator/coordinator_machine.h": '#pragma once\n#include "storage/base/clock.h"\n'},
                    "state machine")
        self.expect({"services/group/membership.cc": "#include <random>\n"}, "state machine")
        self.expect({"cluster/group/group_shard.cc": '#include "absl/container/flat_hash_map.h"\n'}, "state machine")
        self.expect_clean({"cluster/group/group_shard.cc": "#include <map>\n"})
        self.expect_clean({"cluster/group/group_coordinator.cc": '#include "absl/synchronization/mutex.h"\n'})

    def test_link_lines_follow_the_same_direction(self):
        store = "naru_library(naru_store SOURCES a.cc)\n"
        self.expect({"storage/store/CMakeLists.txt": store,
                     "services/produce/CMakeLists.txt": "naru_library(naru_produce PUBLIC naru_store)\n"},
                    "must not link to naru_store")
        self.expect({"storage/store/CMakeLists.txt": store,
                     "tools/cli/CMakeLists.txt": "target_link_libraries(naru PRIVATE naru_store)\n"},
                    "must not link to naru_store")
        self.expect({"storage/store/CMakeLists.txt": "naru_library(naru_store PRIVATE ${NARU_ROCKSDB})\n"},
                    "NARU_ROCKSDB belongs to storage/index")
        self.expect_clean({"storage/store/CMakeLists.txt": store,
                           "services/server/CMakeLists.txt":
                               "add_executable(narud main.cc)\ntarget_link_libraries(narud PRIVATE naru_store)\n"})

    def test_long_files_are_refused(self):
        self.expect({"storage/base/a.cc": "int x;\n" * 701}, "the most is 700")
        self.expect_clean({"storage/base/a.cc": "int x;\n" * 700})

    def test_names_that_say_nothing_are_refused(self):
        for path in ["storage/util/a.txt", "storage/base/string_helpers.txt", "tools/common.txt",
                     "cluster/topic_manager.txt", "tests/misc/a.txt"]:
            with self.subTest(path=path):
                self.expect({path: "x\n"}, "says nothing")
        self.expect_clean({"storage/base/utility_belt.txt": "x\n"})

    def test_headers_have_a_guard(self):
        self.expect({"storage/base/a.h": "int x;\n"}, "#pragma once")
        self.expect_clean({"storage/base/a.h": "// A number.\n#pragma once\n"})

    def test_unfinished_work_is_found(self):
        for word in ["TO" + "DO", "FIX" + "ME", "XX" + "X"]:
            with self.subTest(word=word):
                self.expect({"storage/base/a.cc": f"// {word}: later\n"}, "unfinished")

    def test_links_in_documents_lead_somewhere(self):
        self.expect({"README.md": "See [the design](ARCHITECTURE.md).\n"}, "which is not there")
        self.expect({"README.md": "See [here](#no-such-part).\n# Start\n"}, "no such heading")
        self.expect_clean({"README.md": "See [the design](docs/a.md#the-parts), [web](https://naru.dev/x).\n",
                           "docs/a.md": "# A\n## The `parts`\n"})
        self.expect_clean({"README.md": "```\n[not a link](nowhere.md)\n```\n"})


if __name__ == "__main__":
    unittest.main()
