#include "cluster/replication/replica.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/cluster/replication/scripted_log.h"

namespace naru::cluster {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Key;
using Kind = ReplicaFetchAnswer::Kind;

constexpr ReplicationOptions kOptions{.lag_ms_max = 1'000, .proposal_retry_ms = 100};
constexpr int64_t kVersion = 50;  // of the metadata; later than every registration

PartitionState StateOf(std::set<int32_t> isr, int64_t epoch, int32_t leader = 1, int32_t leader_epoch = 4) {
  PartitionState state;
  state.replicas = {BrokerId(1), BrokerId(2), BrokerId(3)};
  state.leader = BrokerId(leader);
  state.leader_epoch = LeaderEpoch(leader_epoch);
  state.epoch = PartitionEpoch(epoch);
  for (const int32_t member : isr) state.isr.insert(BrokerId(member));
  state.min_isr = 2;
  return state;
}

// Broker 1 leads in epoch 4, from offset 10 on; epoch 2 was before that.
class LeaderTest : public ::testing::Test {
 protected:
  void Lead(const std::set<int32_t>& isr) {
    EXPECT_EQ(replica_.OnAssigned(StateOf(isr, 7), kVersion, log_, now_ms_).size(), 1u);
    EXPECT_EQ(replica_.role(), Replica::Role::kStarting);
    Take(replica_.OnEpochBegun(LeaderEpoch(4), log_, now_ms_));
    ASSERT_EQ(replica_.role(), Replica::Role::kLeader);
  }
  ReplicaFetch FetchOf(int32_t follower, int64_t offset) {
    return {.follower = BrokerId(follower),
            .broker_epoch = BrokerEpoch(20 + follower),
            .leader_epoch = LeaderEpoch(4),
            .last_fetched_epoch = LeaderEpoch(offset > 10 ? 4 : 2),
            .offset = Offset(offset),
            .durable_end = Offset(offset),
            .durable_start = Offset(0)};
  }
  ReplicaFetchAnswer Fetch(const ReplicaFetch& fetch) {
    ReplicaEffects effects;
    const ReplicaFetchAnswer answer = replica_.OnFetch(fetch, log_, now_ms_, effects);
    Take(std::move(effects));
    return answer;
  }
  void Take(const ReplicaEffects& effects) {
    for (const ReplicaEffect& effect : effects) {
      if (const auto* propose = std::get_if<ProposeIsr>(&effect)) proposals_.push_back(propose->proposal);
    }
  }
  void PassTime(int64_t ms) {
    now_ms_ += ms;
    Take(replica_.Tick(log_, now_ms_));
  }
  int64_t high_watermark() { return replica_.high_watermark().value(); }

  ReplicationRules rules_;
  Replica replica_{BrokerId(1), BrokerEpoch(21), kOptions, rules_};
  ScriptedLog log_{{{2, 0}, {4, 10}}, 10};
  int64_t now_ms_ = 10'000;
  std::vector<IsrProposal> proposals_;
};

TEST_F(LeaderTest, CommittedIsWhatEveryMemberOfTheIsrHasOnItsDisk) {
  Lead({1, 2, 3});
  log_.MoveTo(20);
  Fetch(FetchOf(2, 20));
  EXPECT_EQ(high_watermark(), 0) << "3 has not fetched";
  ReplicaFetch behind = FetchOf(3, 18);
  behind.durable_end = Offset(15);
  EXPECT_EQ(Fetch(behind).high_watermark, Offset(15));
  log_.SetDurable(12);
  Fetch(FetchOf(3, 20));
  EXPECT_EQ(high_watermark(), 15) << "the leader's own disk counts, and what is committed stays so";
  log_.SetDurable(20);
  replica_.OnDurable(log_);
  EXPECT_EQ(high_watermark(), 20);
}

TEST_F(LeaderTest, AFetchOfAnotherEpochOrProcessClaimsNothing) {
  Lead({1, 2});
  ReplicaFetch fetch = FetchOf(2, 10);
  fetch.leader_epoch = LeaderEpoch(3);
  EXPECT_EQ(Fetch(fetch).kind, Kind::kRefused);
  fetch.leader_epoch = LeaderEpoch(5);
  EXPECT_EQ(Fetch(fetch).kind, Kind::kRefused);
  EXPECT_EQ(Fetch(FetchOf(9, 10)).kind, Kind::kRefused);
  EXPECT_EQ(high_watermark(), 0);
  EXPECT_EQ(Fetch(FetchOf(2, 10)).kind, Kind::kBatches);
  EXPECT_EQ(high_watermark(), 10);
  fetch = FetchOf(2, 10);
  fetch.broker_epoch = BrokerEpoch(1);
  EXPECT_EQ(Fetch(fetch).kind, Kind::kRefused) << "a process that has ended";
}

TEST_F(LeaderTest, AFollowerIsToldWhereItsLogParts) {
  Lead({1, 2});
  ReplicaFetch fetch = FetchOf(2, 14);
  fetch.last_fetched_epoch = LeaderEpoch(3);
  const ReplicaFetchAnswer diverging = Fetch(fetch);
  EXPECT_EQ(diverging.kind, Kind::kDiverging);
  EXPECT_EQ(diverging.epoch_end.epoch, LeaderEpoch(2));
  EXPECT_EQ(diverging.epoch_end.end, Offset(10));
  EXPECT_EQ(high_watermark(), 0) << "nothing is claimed by a log that does not fit";
  log_.SetStart(5);
  EXPECT_EQ(Fetch(FetchOf(2, 4)).kind, Kind::kOutOfRange);
}

TEST_F(LeaderTest, WhoBeginsAnewIsToldOfTheProducersOfWhatIsGone) {
  Lead({1, 2});
  log_.SetStart(5);
  log_.SetProducers(
      {{.producer_id = 7, .next_sequence = 4, .batches = {{0, 3, Offset(1)}, {3, 4, Offset(5)}}},
       {.producer_id = 8, .next_sequence = 2, .batches = {{0, 2, Offset(8)}}}});
  const ReplicaFetchAnswer answer = Fetch(FetchOf(2, 4));
  ASSERT_EQ(answer.kind, Kind::kOutOfRange);
  ASSERT_EQ(answer.producers.size(), 1u) << "all of 8's batches are to be copied";
  EXPECT_EQ(answer.producers[0].producer_id, 7);
  EXPECT_EQ(answer.producers[0].next_sequence, 3);
  EXPECT_EQ(answer.producers[0].batches.size(), 1u);
  EXPECT_TRUE(Fetch(FetchOf(2, 6)).producers.empty());
}

TEST_F(LeaderTest, WithTooFewInSyncNothingIsCommitted) {
  Lead({1});
  log_.MoveTo(20);
  replica_.OnDurable(log_);
  EXPECT_EQ(high_watermark(), 0);
  EXPECT_FALSE(replica_.leader()->may_commit());
}

TEST_F(LeaderTest, WhoIsProposedIsWaitedForUntilTheCoordinatorSaysNo) {
  Lead({1, 2});
  Fetch(FetchOf(2, 10));
  Fetch(FetchOf(3, 10));
  ASSERT_EQ(proposals_.size(), 1u);
  EXPECT_THAT(proposals_[0].isr, ElementsAre(Key(BrokerId(1)), Key(BrokerId(2)), Key(BrokerId(3))));
  EXPECT_EQ(proposals_[0].partition_epoch, PartitionEpoch(7));
  EXPECT_EQ(proposals_[0].isr.at(BrokerId(3)), BrokerEpoch(23));
  log_.MoveTo(20);
  Fetch(FetchOf(2, 20));
  EXPECT_EQ(high_watermark(), 10);
  replica_.OnIsrAnswer(proposals_[0].attempt, IsrOutcome::kRefused, now_ms_);
  Fetch(FetchOf(2, 20));
  EXPECT_EQ(high_watermark(), 20);
}

TEST_F(LeaderTest, AProposalThatIsSentAgainNamesTheProcessThatMayJoinAndNoLaterOne) {
  Lead({1, 2});
  Fetch(FetchOf(2, 10));
  Fetch(FetchOf(3, 10));
  ASSERT_EQ(proposals_.size(), 1u);
  EXPECT_EQ(proposals_[0].isr.at(BrokerId(3)), BrokerEpoch(23));
  // Its disk was replaced: it has nothing.
  ReplicaFetch another = FetchOf(3, 0);
  another.broker_epoch = BrokerEpoch(40);
  another.last_fetched_epoch = LeaderEpoch(-1);
  Fetch(another);
  PassTime(kOptions.proposal_retry_ms);
  ASSERT_EQ(proposals_.size(), 2u) << "it is sent again";
  EXPECT_EQ(proposals_[1].isr.at(BrokerId(3)), BrokerEpoch(23)) << "which the coordinator refuses by now";
}

TEST_F(LeaderTest, AProposalOfWhichACopyMayBeUnderWayCountsUntilThePartitionEpochMoves) {
  Lead({1, 2});
  Fetch(FetchOf(2, 10));
  Fetch(FetchOf(3, 10));
  ASSERT_EQ(proposals_.size(), 1u);
  PassTime(kOptions.proposal_retry_ms);
  ASSERT_EQ(proposals_.size(), 2u) << "it is sent again";
  replica_.OnIsrAnswer(proposals_[0].attempt, IsrOutcome::kRefused, now_ms_);
  EXPECT_THAT(replica_.leader()->MaximalIsr(), ElementsAre(BrokerId(1), BrokerId(2), BrokerId(3)));
  replica_.OnIsrAnswer(proposals_[1].attempt, IsrOutcome::kRefused, now_ms_);
  EXPECT_THAT(replica_.leader()->MaximalIsr(), ElementsAre(BrokerId(1), BrokerId(2), BrokerId(3)));
  replica_.OnAssigned(StateOf({1, 2}, 8), kVersion, log_, now_ms_);
  EXPECT_THAT(replica_.leader()->MaximalIsr(), ElementsAre(BrokerId(1), BrokerId(2)));
}

TEST_F(LeaderTest, WhoLagsLeavesTheIsrAfterTheLag) {
  Lead({1, 2, 3});
  Fetch(FetchOf(2, 10));
  Fetch(FetchOf(3, 10));
  log_.MoveTo(20);
  PassTime(kOptions.lag_ms_max);
  EXPECT_THAT(proposals_, IsEmpty());
  Fetch(FetchOf(2, 20));
  PassTime(1);
  ASSERT_EQ(proposals_.size(), 1u);
  EXPECT_THAT(proposals_[0].isr, ElementsAre(Key(BrokerId(1)), Key(BrokerId(2))));
}

TEST_F(LeaderTest, ANewProcessOfAFollowerClaimsAnew) {
  Lead({1, 2});
  Fetch(FetchOf(2, 10));
  log_.MoveTo(20);
  ReplicaFetch fresh = FetchOf(2, 10);
  fresh.broker_epoch = BrokerEpoch(40);
  fresh.durable_end = Offset(4);
  Fetch(fresh);
  EXPECT_EQ(replica_.leader()->followers().at(BrokerId(2)).durable_end, Offset(4));
  EXPECT_EQ(high_watermark(), 10);
}

TEST_F(LeaderTest, TheEndIsUnknownUntilWhatWasThereAtTheElectionIsCommitted) {
  Lead({1, 2});
  EXPECT_FALSE(replica_.leader()->knows_high_watermark());
  Fetch(FetchOf(2, 10));
  EXPECT_TRUE(replica_.leader()->knows_high_watermark());
}

TEST_F(LeaderTest, AStateFromBeforeTheRegistrationIsIgnored) {
  EXPECT_THAT(replica_.OnAssigned(StateOf({1, 2}, 7), 20, log_, now_ms_), IsEmpty());
  EXPECT_EQ(replica_.role(), Replica::Role::kIdle);
}

// Broker 2 follows broker 1 in epoch 4; its log has epoch 2 up to 10 and epoch 3 up to 14.
class FollowerTest : public ::testing::Test {
 protected:
  FollowerTest() { replica_.OnAssigned(StateOf({1, 2}, 7), kVersion, log_, 0); }

  ReplicaFetchAnswer AnswerOf(Kind kind, int64_t high_watermark = 0) {
    return {.kind = kind,
            .leader_epoch = LeaderEpoch(4),
            .offset = log_.Positions().end,
            .epoch_end = {LeaderEpoch(2), Offset(10)},
            .high_watermark = Offset(high_watermark),
            .log_start = Offset(0)};
  }

  ReplicationRules rules_;
  Replica replica_{BrokerId(2), BrokerEpoch(22), kOptions, rules_};
  ScriptedLog log_{{{2, 0}, {3, 10}}, 14};
};

TEST_F(FollowerTest, ADamagedCopyIsEmptiedOnlyWhenItCountsNoMore) {
  ReplicaEffects effects = replica_.OnDamaged(1'000);
  ASSERT_EQ(effects.size(), 1u);
  EXPECT_EQ(std::get<ReportDamage>(effects[0]).leader_epoch, LeaderEpoch(4));
  EXPECT_TRUE(replica_.OnDamaged(1'001).empty()) << "it is known";
  EXPECT_TRUE(replica_.NextFetch(log_)) << "it goes on meanwhile";
  EXPECT_TRUE(replica_.Tick(log_, 1'000 + kOptions.damage_report_ms - 1).empty());
  EXPECT_EQ(replica_.Tick(log_, 1'000 + kOptions.damage_report_ms).size(), 1u) << "it may have been lost";

  EXPECT_TRUE(replica_.OnAssigned(StateOf({1, 2, 3}, 8, 1, 5), kVersion, log_, 3'000).empty())
      << "an epoch that began for another reason, in which it still counts";
  PartitionState eligible = StateOf({3}, 9, 3, 6);
  eligible.elr = {BrokerId(2)};
  EXPECT_TRUE(replica_.OnAssigned(eligible, kVersion, log_, 3'000).empty()) << "it may still be elected";
  EXPECT_TRUE(replica_.damaged());

  effects = replica_.OnAssigned(StateOf({1, 3}, 10, 1, 7), kVersion, log_, 3'000);
  ASSERT_EQ(effects.size(), 1u);
  EXPECT_EQ(std::get<ResetLog>(effects[0]).start, Offset(0));
  EXPECT_FALSE(replica_.NextFetch(log_)) << "while it is emptied";
  EXPECT_TRUE(replica_.Tick(log_, 60'000).empty());
  log_ = ScriptedLog({}, 0);
  replica_.OnTruncated(LeaderEpoch(7), log_);
  EXPECT_FALSE(replica_.damaged());
  const auto fetch = replica_.NextFetch(log_);
  ASSERT_TRUE(fetch);
  EXPECT_EQ(fetch->offset, Offset(0));
  EXPECT_EQ(replica_.high_watermark(), Offset(0));
}

TEST_F(FollowerTest, ADamagedCopyThatIsToLeadStaysAsItIs) {
  (void)replica_.OnDamaged(0);
  const ReplicaEffects effects = replica_.OnAssigned(StateOf({2}, 8, 2, 5), kVersion, log_, 10);
  ASSERT_EQ(effects.size(), 1u);
  EXPECT_TRUE(std::holds_alternative<BeginEpoch>(effects[0])) << "it is the best there is";
  EXPECT_TRUE(replica_.damaged());
}

TEST_F(FollowerTest, ItAsksFromItsEndAndClaimsWhatIsOnItsDisk) {
  log_.SetDurable(12);
  const auto fetch = replica_.NextFetch(log_);
  ASSERT_TRUE(fetch);
  EXPECT_EQ(fetch->offset, Offset(14));
  EXPECT_EQ(fetch->durable_end, Offset(12));
  EXPECT_EQ(fetch->last_fetched_epoch, LeaderEpoch(3));
  EXPECT_EQ(fetch->broker_epoch, BrokerEpoch(22));
}

TEST_F(FollowerTest, ALogThatDivergesIsCutWhereBothAgree) {
  ReplicaFetchAnswer diverging = AnswerOf(Kind::kDiverging);
  diverging.epoch_end.end = Offset(12);  // the leader's epoch 2 is longer; here it ends at 10
  const ReplicaEffects effects = replica_.OnFetchAnswer(diverging, log_);
  ASSERT_EQ(effects.size(), 1u);
  EXPECT_EQ(std::get<TruncateLog>(effects[0]).end, Offset(10));
  EXPECT_FALSE(replica_.NextFetch(log_)) << "while it is being cut";
  replica_.OnTruncated(LeaderEpoch(4), log_);
  EXPECT_TRUE(replica_.NextFetch(log_));
}

TEST_F(FollowerTest, ALogThatHasNothingInCommonBeginsAnew) {
  ReplicaFetchAnswer diverging = AnswerOf(Kind::kDiverging);
  diverging.epoch_end = {LeaderEpoch(-1), Offset(30)};
  diverging.log_start = Offset(30);
  diverging.producers = {{.producer_id = 7, .next_sequence = 1, .batches = {{0, 1, Offset(29)}}}};
  const ReplicaEffects effects = replica_.OnFetchAnswer(diverging, log_);
  ASSERT_EQ(effects.size(), 1u);
  EXPECT_EQ(std::get<ResetLog>(effects[0]).start, Offset(30));
  EXPECT_EQ(std::get<ResetLog>(effects[0]).producers.size(), 1u);
}

TEST_F(FollowerTest, AnswersThatCameTooLateChangeNothing) {
  ReplicaFetchAnswer answer = AnswerOf(Kind::kBatches, 14);
  answer.leader_epoch = LeaderEpoch(3);
  EXPECT_THAT(replica_.OnFetchAnswer(answer, log_), IsEmpty());
  answer = AnswerOf(Kind::kBatches, 14);
  answer.offset = Offset(10);
  EXPECT_THAT(replica_.OnFetchAnswer(answer, log_), IsEmpty());
  EXPECT_EQ(replica_.OnFetchAnswer(AnswerOf(Kind::kBatches, 14), log_).size(), 1u);
  EXPECT_THAT(replica_.OnFetchAnswer(AnswerOf(Kind::kDiverging), log_), IsEmpty())
      << "it is known to be a prefix of the leader's";
}

TEST_F(FollowerTest, APrefixOfWhichTheLeaderHasDeletedEverythingBeginsAnewAtItsStart) {
  EXPECT_EQ(replica_.OnFetchAnswer(AnswerOf(Kind::kBatches, 14), log_).size(), 1u);
  // With its batches the leader has forgotten the epochs that this log ends in.
  ReplicaFetchAnswer deleted = AnswerOf(Kind::kDiverging, 14);
  deleted.epoch_end = {LeaderEpoch(-1), Offset(13)};
  deleted.log_start = Offset(13);
  EXPECT_THAT(replica_.OnFetchAnswer(deleted, log_), IsEmpty()) << "then it would know of 13";
  deleted.epoch_end.end = deleted.log_start = Offset(14);
  const ReplicaEffects effects = replica_.OnFetchAnswer(deleted, log_);
  ASSERT_EQ(effects.size(), 1u);
  EXPECT_EQ(std::get<ResetLog>(effects[0]).start, Offset(14));
}

TEST_F(FollowerTest, TheLeadersHighWatermarkCountsForWhatIsOnItsDisk) {
  log_.SetDurable(11);
  replica_.OnFetchAnswer(AnswerOf(Kind::kBatches, 13), log_);
  replica_.OnDurable(log_);
  EXPECT_EQ(replica_.high_watermark(), Offset(11));
  log_.SetDurable(14);
  replica_.OnDurable(log_);
  EXPECT_EQ(replica_.high_watermark(), Offset(13));
}

}  // namespace
}  // namespace naru::cluster
