#include "cluster/etcd/etcd_cluster_store.h"

#include <atomic>
#include <thread>

#include "storage/base/status.h"
#include "tests/cluster/etcd/etcd_fixture.h"

namespace naru::testing {
namespace {

using cluster::ClusterMetadata;
using cluster::MetadataWrite;
using cluster::WriteOutcome;
using ::testing::HasSubstr;

// One candidate that is elected, and what it wrote.
class EtcdClusterStoreTest : public EtcdTest {
 protected:
  void SetUp() override {
    EtcdTest::SetUp();
    if (HasFatalFailure()) return;
    elected_ = std::make_unique<Candidate>(options_);
    elected_->Stand("a:1");
    term_ = elected_->AwaitElected();
    ASSERT_GT(term_, 0);
  }
  MetadataWrite NextWrite() const { return {.term = term_, .head = written_.head}; }
  WriteOutcome Write(const MetadataWrite& write) {
    const WriteOutcome outcome = elected_->Write(write, written_);
    if (outcome == WriteOutcome::kWritten) ApplyWrite(write, written_);
    return outcome;
  }
  // What is different between what was written and what is read; empty: nothing.
  std::string Mismatch() {
    const auto stored = elected_->Read();
    return stored.ok() ? Difference(*stored, written_) : stored.status().ToString();
  }

  std::unique_ptr<Candidate> elected_;
  int64_t term_ = 0;
  ClusterMetadata written_;
};

TEST_F(EtcdClusterStoreTest, AnEmptyStoreReadsAsNothing) {
  EXPECT_EQ(Mismatch(), "");
  EXPECT_EQ(elected_->store().Stats().reads, 1);
}

TEST_F(EtcdClusterStoreTest, EverythingWrittenIsReadBack) {
  MetadataWrite write = NextWrite();
  write.cluster_id = "0123456789abcdef0123456789ABCDEF";
  write.next_log = LogId(301);
  write.brokers[BrokerId(1)] = SampleBroker(1);
  write.brokers[BrokerId(22)] = SampleBroker(2);
  write.topics["orders"] = SampleTopic("orders", 'o', 200);
  write.topics["a.b_c-d"] = SampleTopic("a.b_c-d", '\0', 1);
  AddStates('o', 200, write.partitions);
  AddStates('\0', 1, write.partitions);
  ASSERT_EQ(Write(write), WriteOutcome::kWritten);
  EXPECT_EQ(Mismatch(), "");

  // Again, some of it otherwise: one partition of a block leaves the others as they are.
  write = NextWrite();
  write.brokers[BrokerId(22)] = {};
  write.topics["orders"] = SampleTopic("orders", 'o', 201);
  write.partitions[{SampleTopicId('o'), 70}] = SampleState(71);
  write.partitions[{SampleTopicId('o'), 200}] = SampleState(200);
  ASSERT_EQ(Write(write), WriteOutcome::kWritten);
  EXPECT_EQ(Mismatch(), "");
  EXPECT_EQ(written_.head, 2);
}

TEST_F(EtcdClusterStoreTest, AnEmptyWriteMovesTheHead) {
  ASSERT_EQ(Write(NextWrite()), WriteOutcome::kWritten);
  ASSERT_EQ(Write(NextWrite()), WriteOutcome::kWritten);
  EXPECT_EQ(Mismatch(), "");
  EXPECT_EQ(written_.head, 2);
}

TEST_F(EtcdClusterStoreTest, ARemovedTopicTakesItsPartitionsAlong) {
  MetadataWrite write = NextWrite();
  write.topics["gone"] = SampleTopic("gone", 'g', 130);
  write.topics["kept"] = SampleTopic("kept", 'h', 130);
  AddStates('g', 130, write.partitions);
  AddStates('h', 130, write.partitions);
  ASSERT_EQ(Write(write), WriteOutcome::kWritten);
  write = NextWrite();
  write.topics["gone"] = nullptr;
  write.topics["never there"] = nullptr;
  ASSERT_EQ(Write(write), WriteOutcome::kWritten);
  EXPECT_EQ(written_.partitions.size(), 130U);
  EXPECT_EQ(Mismatch(), "");
  // And the name may be used again.
  write = NextWrite();
  write.topics["gone"] = SampleTopic("gone", 'i', 1);
  AddStates('i', 1, write.partitions);
  ASSERT_EQ(Write(write), WriteOutcome::kWritten);
  EXPECT_EQ(Mismatch(), "");
}

TEST_F(EtcdClusterStoreTest, FiveThousandPartitionsOfOneTopicAreOneWrite) {
  MetadataWrite write = NextWrite();
  write.next_log = LogId(5'001);
  write.topics["wide"] = SampleTopic("wide", 'w', 5'000);
  AddStates('w', 5'000, write.partitions);
  ASSERT_EQ(Write(write), WriteOutcome::kWritten);
  EXPECT_EQ(Mismatch(), "");
}

TEST_F(EtcdClusterStoreTest, OfTwoWritesForOneHeadTheSecondIsOvertaken) {
  MetadataWrite first = NextWrite();
  first.brokers[BrokerId(1)] = SampleBroker(1);
  MetadataWrite second = NextWrite();
  second.brokers[BrokerId(1)] = SampleBroker(2);
  ASSERT_EQ(Write(first), WriteOutcome::kWritten);
  EXPECT_EQ(Write(second), WriteOutcome::kOvertaken);
  EXPECT_EQ(Mismatch(), "");
  second.head = 1;
  EXPECT_EQ(Write(second), WriteOutcome::kWritten);
  MetadataWrite third = second;  // and for a head above 0
  EXPECT_EQ(Write(third), WriteOutcome::kOvertaken);
  EXPECT_EQ(Mismatch(), "");
  EXPECT_EQ(elected_->store().Stats().writes_overtaken, 2);
  EXPECT_EQ(elected_->store().Stats().writes_written, 2);
}

// Each write gives all brokers the epoch of its head, so a read that mixes two moments shows two epochs.
TEST_F(EtcdClusterStoreTest, AReadOfManyPagesIsOfOneMoment) {
  options_.page_keys_max = 3;
  Candidate reader(options_);
  std::atomic<bool> read_enough = false;
  std::thread writer([&] {
    while (!read_enough) {
      MetadataWrite write = NextWrite();
      for (int32_t broker = 1; broker <= 20; ++broker) {
        write.brokers[BrokerId(broker)] = SampleBroker(write.head + 1);
      }
      if (Write(write) != WriteOutcome::kWritten) return;
    }
  });
  int64_t heads = 0;
  int64_t last_head = 0;
  const absl::Time until = absl::Now() + kPatience;
  while (heads < 20 && absl::Now() < until) {
    const auto stored = reader.Read();
    ASSERT_TRUE(stored.ok()) << stored.status();
    for (const auto& [broker, record] : stored->brokers) {
      EXPECT_EQ(record.epoch, cluster::BrokerEpoch(stored->head)) << broker;
    }
    EXPECT_GE(stored->head, last_head);
    if (stored->head > last_head) ++heads;
    last_head = stored->head;
  }
  read_enough = true;
  writer.join();
  EXPECT_GE(heads, 20);
  EXPECT_EQ(Mismatch(), "");
}

TEST_F(EtcdClusterStoreTest, AWriteTooLargeForOneTransactionIsNotMadeAndGivesTheTermUp) {
  MetadataWrite write = NextWrite();
  for (int32_t broker = 1; broker <= 120; ++broker) write.brokers[BrokerId(broker)] = SampleBroker(1);
  ASSERT_EQ(cluster::OperationsOf(write, written_), cluster::kWriteOperationsMax + 1);
  EXPECT_EQ(Write(write), WriteOutcome::kDeposed);
  EXPECT_TRUE(elected_->AwaitDeposed(term_));
  EXPECT_GT(elected_->AwaitElected(term_), term_);
  EXPECT_EQ(elected_->events().Count("etcd_write_refused"), 1);
  EXPECT_EQ(elected_->store().Stats().writes_refused, 1);
  EXPECT_EQ(Mismatch(), "");
}

TEST_F(EtcdClusterStoreTest, TheLargestWriteIsTakenByEtcd) {
  MetadataWrite write = NextWrite();
  for (int32_t broker = 1; broker <= 119; ++broker) {
    write.brokers[BrokerId(broker)] = SampleBroker(1);
    write.brokers[BrokerId(broker)].incarnation = std::string(11'600, 'x');
  }
  ASSERT_EQ(cluster::OperationsOf(write, written_), cluster::kWriteOperationsMax);
  ASSERT_EQ(Write(write), WriteOutcome::kWritten);
  EXPECT_EQ(Mismatch(), "");
}

TEST_F(EtcdClusterStoreTest, KeysOfOthersAreNotLookedAt) {
  etcd_->Put(Key("/notes"), "hands off");
  etcd_->Put(Key("2/head"), "many");
  EXPECT_EQ(Mismatch(), "");
}

TEST_F(EtcdClusterStoreTest, WhatCannotHaveBeenWrittenIsCorruptAndItsKeyIsNamed) {
  ASSERT_EQ(Write(NextWrite()), WriteOutcome::kWritten);
  etcd_->Put(Key("/brokers/7"), "not a record \xff");
  const auto stored = elected_->Read();
  EXPECT_EQ(ReasonOf(stored.status()), Reason::kCorruptData);
  EXPECT_THAT(std::string(stored.status().message()), HasSubstr("/brokers/7"));
  EXPECT_EQ(elected_->store().Stats().reads_failed, 1);
}

}  // namespace
}  // namespace naru::testing
