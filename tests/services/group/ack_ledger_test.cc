#include "services/group/ack_ledger.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <vector>

#include "storage/base/status.h"

namespace naru::services {
namespace {

AckLedger::Acked Ack(AckLedger& ledger, int64_t id) {
  const auto acked = ledger.Ack("ack", id);
  EXPECT_TRUE(acked.ok()) << acked.status();
  return acked.value_or(AckLedger::Acked{});
}

TEST(AckLedgerTest, AcksInOrderCommitOneAfterAnother) {
  AckLedger ledger;
  EXPECT_EQ(ledger.Deliver(0, Offset(5), 100), 1);
  EXPECT_EQ(ledger.Deliver(0, Offset(9), 50), 2);
  EXPECT_EQ(ledger.outstanding_bytes(), 150);
  EXPECT_EQ(Ack(ledger, 1).commit, Offset(5));
  EXPECT_EQ(Ack(ledger, 2).commit, Offset(9));
  EXPECT_EQ(ledger.outstanding(), 0u);
}

TEST(AckLedgerTest, WhatIsEmptyBehindTheLastDeliveryIsCommittedWithIt) {
  AckLedger ledger;
  EXPECT_EQ(ledger.Pass(0, Offset(3)), Offset(3)) << "nothing is outstanding";
  ledger.Deliver(0, Offset(5), 10);
  ledger.Deliver(1, Offset(6), 10);
  ledger.Deliver(0, Offset(9), 10);
  EXPECT_EQ(ledger.Pass(0, Offset(20)), std::nullopt);
  EXPECT_EQ(Ack(ledger, 3).commit, std::nullopt);
  EXPECT_EQ(ledger.Pass(0, Offset(22)), std::nullopt) << "the first is outstanding";
  EXPECT_EQ(Ack(ledger, 1).commit, Offset(22));
  EXPECT_EQ(Ack(ledger, 2).commit, Offset(6));
  EXPECT_EQ(ledger.Pass(0, Offset(30)), Offset(30));
}

TEST(AckLedgerTest, AnAckBeforeAnEarlierOneGivesCreditAndCommitsNothing) {
  AckLedger ledger;
  ledger.Deliver(0, Offset(4), 10);
  ledger.Deliver(0, Offset(5), 20);
  const AckLedger::Acked later = Ack(ledger, 2);
  EXPECT_EQ(later.credit_bytes, 20);
  EXPECT_EQ(later.commit, std::nullopt);
  EXPECT_EQ(ledger.outstanding(0), 1u);
  EXPECT_EQ(Ack(ledger, 1).commit, Offset(5));
}

TEST(AckLedgerTest, PartitionsDoNotWaitForOneAnother) {
  AckLedger ledger;
  ledger.Deliver(0, Offset(4), 10);
  ledger.Deliver(1, Offset(7), 10);
  const AckLedger::Acked acked = Ack(ledger, 2);
  EXPECT_EQ(acked.lane, 1u);
  EXPECT_EQ(acked.commit, Offset(7));
}

TEST(AckLedgerTest, ASecondAckOfTheSameDeliveryChangesNothing) {
  AckLedger ledger;
  ledger.Deliver(0, Offset(4), 10);
  ledger.Deliver(0, Offset(6), 10);
  Ack(ledger, 2);
  EXPECT_EQ(Ack(ledger, 2).credit_bytes, 0);
  Ack(ledger, 1);
  EXPECT_EQ(Ack(ledger, 1).credit_bytes, 0);
  EXPECT_EQ(Ack(ledger, 2).commit, std::nullopt);
  EXPECT_EQ(ledger.outstanding_bytes(), 0);
}

TEST(AckLedgerTest, AnIdThatWasNotGivenOutIsRefused) {
  AckLedger ledger;
  EXPECT_EQ(ReasonOf(ledger.Ack("ack", 1).status()), Reason::kInvalidField);
  ledger.Deliver(0, Offset(4), 10);
  EXPECT_EQ(ReasonOf(ledger.Ack("ack", 0).status()), Reason::kInvalidField);
  EXPECT_EQ(ReasonOf(ledger.Ack("ack", 2).status()), Reason::kInvalidField);
}

TEST(AckLedgerTest, ADroppedPartitionGivesItsCreditAndCommitsNothing) {
  AckLedger ledger;
  ledger.Deliver(0, Offset(4), 10);
  ledger.Drop(0);
  EXPECT_EQ(ledger.outstanding(0), 0u);
  const AckLedger::Acked acked = Ack(ledger, 1);
  EXPECT_EQ(acked.credit_bytes, 10);
  EXPECT_EQ(acked.commit, std::nullopt);
}

TEST(AckLedgerTest, WhatIsBehindTheOldestIsRememberedAndThenForgotten) {
  AckLedger ledger;
  for (int64_t next = 1; next <= 10; ++next) ledger.Deliver(0, Offset(next), 1);
  for (int64_t id = 2; id <= 10; ++id) Ack(ledger, id);
  EXPECT_EQ(ledger.remembered(), 10u);
  EXPECT_EQ(Ack(ledger, 1).commit, Offset(10));
  EXPECT_EQ(ledger.remembered(), 0u);
}

// Any order of acks, over several partitions: what is committed of each is the longest acked prefix at any
// time.
TEST(AckLedgerTest, WhatIsCommittedIsAlwaysThePrefix) {
  std::mt19937 random(3);
  for (int round = 0; round < 300; ++round) {
    AckLedger ledger;
    std::map<AckLedger::Lane, std::vector<std::pair<int64_t, bool>>>
        model;  // of each lane: next offset, acked
    std::map<AckLedger::Lane, int64_t> committed;
    std::vector<std::pair<int64_t, std::pair<AckLedger::Lane, size_t>>> open;
    for (int step = 0; step < 200; ++step) {
      if (open.empty() || random() % 2 == 0) {
        const AckLedger::Lane lane = random() % 3;
        const int64_t next = static_cast<int64_t>(model[lane].size()) + 1;
        model[lane].emplace_back(next, false);
        open.push_back({ledger.Deliver(lane, Offset(next), 1), {lane, model[lane].size() - 1}});
        continue;
      }
      const size_t pick = random() % open.size();
      const auto [id, place] = open[pick];
      open.erase(open.begin() + static_cast<ptrdiff_t>(pick));
      model[place.first][place.second].second = true;
      const AckLedger::Acked acked = Ack(ledger, id);
      EXPECT_EQ(acked.lane, place.first);
      if (acked.commit) committed[place.first] = acked.commit->value();
      int64_t prefix = 0;
      for (const auto& [next, done] : model[place.first]) {
        if (!done) break;
        prefix = next;
      }
      ASSERT_EQ(committed[place.first], prefix) << "round " << round;
      ASSERT_EQ(ledger.outstanding(), open.size());
    }
  }
}

}  // namespace
}  // namespace naru::services
