#include "cluster/coordinator/leadership.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "storage/base/status.h"

namespace naru::cluster {
namespace {

std::set<BrokerId> Ids(const std::set<int32_t>& ids) {
  std::set<BrokerId> brokers;
  for (const int32_t id : ids) brokers.insert(BrokerId(id));
  return brokers;
}

PartitionState Start(const std::set<int32_t>& isr, int32_t leader = 1) {
  PartitionState state;
  state.replicas = {BrokerId(1), BrokerId(2), BrokerId(3)};
  state.leader = BrokerId(leader);
  state.leader_epoch = LeaderEpoch(5);
  state.epoch = PartitionEpoch(8);
  state.isr = Ids(isr);
  state.min_isr = 2;
  return state;
}

BrokerRecords AllBut(const std::set<int32_t>& fenced, const std::set<int32_t>& lost = {}) {
  BrokerRecords brokers;
  for (const int32_t id : {1, 2, 3}) {
    brokers[BrokerId(id)] = {.epoch = BrokerEpoch(10 + id),
                             .fenced = fenced.contains(id),
                             .incarnation = "disk",
                             .lost = lost.contains(id)};
  }
  return brokers;
}

std::string After(const PartitionState& state, const BrokerRecords& brokers) {
  const auto next = Reconcile(state, brokers);
  return next ? ToText(*next) : "the same";
}

TEST(Leadership, NothingChangesWhileTheLeaderIsThere) {
  EXPECT_EQ(After(Start({1, 2, 3}), AllBut({})), "the same");
  EXPECT_EQ(After(Start({1, 2}), AllBut({3})), "the same");
}

TEST(Leadership, TheFirstReplicaInTheIsrFollowsALeaderThatIsFenced) {
  EXPECT_EQ(After(Start({1, 2, 3}), AllBut({1})), "leader 2 epoch 6 partition epoch 9 isr 2,3");
  EXPECT_EQ(After(Start({1, 3}), AllBut({1})), "leader 3 epoch 6 partition epoch 9 isr 3 elr 1");
}

TEST(Leadership, AFencedFollowerLeavesTheIsrAndTheLeaderStays) {
  EXPECT_EQ(After(Start({1, 2, 3}), AllBut({2})), "leader 1 epoch 5 partition epoch 9 isr 1,3");
  EXPECT_EQ(After(Start({1, 2}), AllBut({2, 3})), "leader 1 epoch 5 partition epoch 9 isr 1 elr 2");
}

std::string AfterDamage(const PartitionState& state, int32_t broker, const BrokerRecords& brokers,
                        int32_t leader_epoch = 5) {
  const auto next = GiveUpCopy(state, BrokerId(broker), LeaderEpoch(leader_epoch), brokers);
  return next ? ToText(*next) : "the same";
}

TEST(Leadership, ADamagedLeaderIsFollowedByTheNextInTheIsr) {
  EXPECT_EQ(AfterDamage(Start({1, 2, 3}), 1, AllBut({})), "leader 2 epoch 6 partition epoch 9 isr 2,3");
  EXPECT_EQ(AfterDamage(Start({1, 3}), 1, AllBut({2})), "leader 3 epoch 6 partition epoch 9 isr 3")
      << "unlike one that is gone it is not eligible";
}

TEST(Leadership, ADamagedFollowerGoesAndWhatItClaimedCountsNoMore) {
  EXPECT_EQ(AfterDamage(Start({1, 2, 3}), 3, AllBut({})), "leader 1 epoch 6 partition epoch 9 isr 1,2");
  EXPECT_EQ(AfterDamage(Start({1, 2}), 3, AllBut({})), "leader 1 epoch 6 partition epoch 9 isr 1,2")
      << "it may just be joining";
  PartitionState state = Start({1});
  state.elr = Ids({2, 3});
  EXPECT_EQ(AfterDamage(state, 3, AllBut({3})), "leader 1 epoch 6 partition epoch 9 isr 1 elr 2");
}

TEST(Leadership, ADamagedCopyIsTakenFromTheEligible) {
  PartitionState state = Start({1});
  state.elr = Ids({3});
  EXPECT_EQ(AfterDamage(state, 1, AllBut({})), "leader 3 epoch 6 partition epoch 9 isr 3");
  EXPECT_EQ(AfterDamage(state, 1, AllBut({3})), "the same") << "the other one is not there";
}

TEST(Leadership, TheOnlyCopyIsTheBestThereIsAlsoWhenItIsDamaged) {
  EXPECT_EQ(AfterDamage(Start({1}), 1, AllBut({})), "the same") << "2 and 3 lack what was committed";
}

TEST(Leadership, DamageOfAnotherEpochOrOfNoReplicaChangesNothing) {
  EXPECT_EQ(AfterDamage(Start({1, 2, 3}), 1, AllBut({}), 4), "the same");
  EXPECT_EQ(AfterDamage(Start({1, 2, 3}), 4, AllBut({})), "the same");
}

TEST(Leadership, WhoLeftATooSmallIsrMayLead) {
  PartitionState state = Start({1});
  state.elr = Ids({2});
  EXPECT_EQ(After(state, AllBut({1})), "leader 2 epoch 6 partition epoch 9 isr 2 elr 1");
}

TEST(Leadership, WithoutAnyoneEligibleThereIsNoLeader) {
  EXPECT_EQ(After(Start({1, 2}), AllBut({1, 2})), "leader - epoch 6 partition epoch 9 isr - elr 1,2");
  PartitionState state = Start({}, 0);
  state.elr = Ids({1, 2});
  EXPECT_EQ(After(state, AllBut({1, 2})), "the same") << "3 is there, and does not have everything";
  EXPECT_EQ(After(state, AllBut({1})), "leader 2 epoch 6 partition epoch 9 isr 2 elr 1");
}

TEST(Leadership, ALostDiskIsNotEligible) {
  EXPECT_EQ(After(Start({1, 2}), AllBut({1, 2}, {2})),
            "leader - epoch 6 partition epoch 9 isr - elr 1 last known elr 2");
}

TEST(Leadership, ALargeEnoughIsrForgetsWhoWasEligible) {
  PartitionState state = Start({1});
  state.elr = Ids({3});
  const IsrProposal proposal{.attempt = 1,
                             .leader_epoch = LeaderEpoch(5),
                             .partition_epoch = PartitionEpoch(8),
                             .isr = {{BrokerId(1), BrokerEpoch(11)}, {BrokerId(2), BrokerEpoch(12)}}};
  const auto next = ChangeIsr(state, BrokerId(1), proposal, AllBut({}));
  ASSERT_TRUE(next.ok()) << next.status();
  EXPECT_EQ(ToText(*next), "leader 1 epoch 5 partition epoch 9 isr 1,2");
}

TEST(Leadership, AnIsrIsChangedByCompareAndSwap) {
  const PartitionState state = Start({1, 2});
  IsrProposal proposal{.attempt = 1,
                       .leader_epoch = LeaderEpoch(5),
                       .partition_epoch = PartitionEpoch(8),
                       .isr = {{BrokerId(1), BrokerEpoch(-1)}, {BrokerId(3), BrokerEpoch(13)}}};
  EXPECT_TRUE(ChangeIsr(state, BrokerId(1), proposal, AllBut({})).ok())
      << "of members that stay nothing is asked";
  const auto reason = [&](BrokerId leader, const IsrProposal& of, const BrokerRecords& brokers) {
    return ReasonOf(ChangeIsr(state, leader, of, brokers).status());
  };
  EXPECT_EQ(reason(BrokerId(2), proposal, AllBut({})), Reason::kStaleLeaderEpoch);
  EXPECT_EQ(reason(BrokerId(1), proposal, AllBut({3})), Reason::kInvalidTopicState) << "fenced";
  IsrProposal other = proposal;
  other.partition_epoch = PartitionEpoch(7);
  EXPECT_EQ(reason(BrokerId(1), other, AllBut({})), Reason::kStaleLeaderEpoch);
  other = proposal;
  other.leader_epoch = LeaderEpoch(4);
  EXPECT_EQ(reason(BrokerId(1), other, AllBut({})), Reason::kStaleLeaderEpoch);
  other = proposal;
  other.isr[BrokerId(3)] = BrokerEpoch(9);
  EXPECT_EQ(reason(BrokerId(1), other, AllBut({})), Reason::kInvalidTopicState) << "another process of it";
  other = proposal;
  other.isr[BrokerId(7)] = BrokerEpoch(17);
  EXPECT_EQ(reason(BrokerId(1), other, AllBut({})), Reason::kInvalidTopicState) << "it holds no copy";
  other = proposal;
  other.isr.erase(BrokerId(1));
  EXPECT_EQ(reason(BrokerId(1), other, AllBut({})), Reason::kInvalidTopicState) << "without the leader";
}

TEST(Leadership, ThePreferredLeaderLeadsAgainWhenItIsInSync) {
  EXPECT_FALSE(PreferLeader(Start({1, 2, 3})));
  EXPECT_FALSE(PreferLeader(Start({2, 3}, 2)));
  const auto next = PreferLeader(Start({1, 2, 3}, 2));
  ASSERT_TRUE(next);
  EXPECT_EQ(ToText(*next), "leader 1 epoch 6 partition epoch 9 isr 1,2,3");
}

}  // namespace
}  // namespace naru::cluster
