#include "cluster/replication/confirmations.h"

#include <gtest/gtest.h>

#include "tests/cluster/replication/scripted_log.h"

namespace naru::cluster {
namespace {

// Broker 1 leads in epoch 4; 2 is in sync, 3 eligible.
class ConfirmationsTest : public ::testing::Test {
 protected:
  static PartitionState StateOf(int32_t leader_epoch) {
    PartitionState state;
    state.replicas = {BrokerId(1), BrokerId(2), BrokerId(3)};
    state.leader = BrokerId(1);
    state.leader_epoch = LeaderEpoch(leader_epoch);
    state.isr = {BrokerId(1), BrokerId(2)};
    state.elr = {BrokerId(3)};
    state.min_isr = 3;
    return state;
  }
  PartitionLeader Leader(int32_t leader_epoch = 4) {
    return {BrokerId(1),           BrokerEpoch(11), options_,         rules_,
            StateOf(leader_epoch), Offset(10),      log_.Positions(), /*now_ms=*/1'000};
  }
  // Whether it leads, as of `question`; nothing: that is open.
  std::optional<bool> Settle(uint64_t question, const PartitionLeader* leader, int64_t now_ms = 1'000) {
    for (const auto& settled : confirmations_.Settle(leader, now_ms)) {
      if (settled.question == question) return settled.leads;
    }
    return std::nullopt;
  }

  const ReplicationOptions options_;
  ReplicationRules rules_;
  ScriptedLog log_{{{4, 0}}, 10};
  Confirmations confirmations_;
};

constexpr auto kWaits = [](BrokerId) { return true; };
constexpr auto kOnItsWay = [](BrokerId) { return false; };

TEST_F(ConfirmationsTest, ALeaderLeadsWhenAllWhoMayLeadNextHaveFetchedOnceMore) {
  const PartitionLeader leader = Leader();
  const uint64_t question = confirmations_.Ask(leader, kWaits, 1'000);
  EXPECT_EQ(Settle(question, &leader), std::nullopt);
  EXPECT_FALSE(confirmations_.OnFetch(BrokerId(2)));
  EXPECT_EQ(Settle(question, &leader), std::nullopt) << "the eligible one may be next";
  EXPECT_FALSE(confirmations_.OnFetch(BrokerId(3)));
  EXPECT_EQ(Settle(question, &leader), true);
  EXPECT_TRUE(confirmations_.empty());
}

TEST_F(ConfirmationsTest, AFetchThatWasOnItsWaySaysNothing) {
  const PartitionLeader leader = Leader();
  const uint64_t question = confirmations_.Ask(leader, kOnItsWay, 1'000);
  EXPECT_TRUE(confirmations_.OnFetch(BrokerId(2))) << "it is to be answered at once";
  EXPECT_TRUE(confirmations_.OnFetch(BrokerId(3)));
  EXPECT_EQ(Settle(question, &leader), std::nullopt);
  EXPECT_FALSE(confirmations_.OnFetch(BrokerId(2)));
  EXPECT_FALSE(confirmations_.OnFetch(BrokerId(3)));
  EXPECT_EQ(Settle(question, &leader), true);
}

TEST_F(ConfirmationsTest, ALeaderThatIsNotAnsweredInTimeMayNotLead) {
  const PartitionLeader leader = Leader();
  const uint64_t question = confirmations_.Ask(leader, kWaits, 1'000);
  confirmations_.OnFetch(BrokerId(2));
  EXPECT_EQ(Settle(question, &leader, 1'999), std::nullopt);
  EXPECT_EQ(Settle(question, &leader, 1'000 + Confirmations::kWaitMs), false);
}

TEST_F(ConfirmationsTest, WhatWasAskedInAnotherEpochIsNotConfirmed) {
  const PartitionLeader before = Leader();
  const uint64_t question = confirmations_.Ask(before, kWaits, 1'000);
  const uint64_t other = confirmations_.Ask(before, kWaits, 1'000);
  const PartitionLeader now = Leader(5);
  EXPECT_EQ(Settle(question, &now), false);
  EXPECT_TRUE(confirmations_.empty());
  EXPECT_NE(question, other);
  const uint64_t third = confirmations_.Ask(before, kWaits, 1'000);
  EXPECT_EQ(Settle(third, nullptr), false) << "it leads no more";
}

TEST_F(ConfirmationsTest, ALeaderWithNobodyBesideItIsSureAtOnce) {
  PartitionState state = StateOf(4);
  state.isr = {BrokerId(1)};
  state.elr.clear();
  const PartitionLeader leader(BrokerId(1), BrokerEpoch(11), options_, rules_, state, Offset(10),
                               log_.Positions(), 1'000);
  const uint64_t question = confirmations_.Ask(leader, kWaits, 1'000);
  EXPECT_EQ(Settle(question, &leader), true);
}

}  // namespace
}  // namespace naru::cluster
