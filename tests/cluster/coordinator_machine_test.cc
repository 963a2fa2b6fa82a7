#include "cluster/coordinator/coordinator_machine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

namespace naru::cluster {
namespace {

constexpr BrokerId kOne{1};
constexpr BrokerId kTwo{2};
const TopicPartition kPartition{};

// One partition on brokers 1 and 2, both in sync; what it writes is written when the test says so.
class CoordinatorMachineTest : public ::testing::Test {
 protected:
  CoordinatorMachineTest() {
    stored_.head = 10;
    stored_.brokers[kOne] = {.epoch = BrokerEpoch(3), .fenced = false, .incarnation = "a"};
    stored_.brokers[kTwo] = {.epoch = BrokerEpoch(4), .fenced = false, .incarnation = "b"};
    PartitionState state;
    state.replicas = {kOne, kTwo};
    state.leader = kOne;
    state.leader_epoch = LeaderEpoch(0);
    state.isr = {kOne, kTwo};
    state.min_isr = 1;
    stored_.partitions[kPartition] = state;
    machine_.emplace(CoordinatorMachineOptions{}, rules_, /*term=*/1, stored_, /*now_ms=*/0);
    Take(machine_->Start());
  }

  void Take(const CoordinatorEffects& effects) {
    for (const CoordinatorEffect& effect : effects) {
      if (const auto* write = std::get_if<WriteMetadata>(&effect)) writes_.push_back(write->write);
      if (const auto* read = std::get_if<ReadMetadata>(&effect)) reads_.push_back(read->id);
      if (const auto* registered = std::get_if<AnswerRegistration>(&effect)) registered_ = registered->epoch;
      if (const auto* proposed = std::get_if<AnswerProposal>(&effect)) proposed_ = proposed->outcome;
      if (const auto* topic = std::get_if<AnswerTopicRequest>(&effect)) topics_.push_back(*topic);
      if (std::holds_alternative<StepDown>(effect)) stepped_down_ = true;
    }
  }
  // Carries out the newest write as the store would, and every one that follows from it.
  void Settle() {
    while (done_ < writes_.size()) {
      const MetadataWrite& write = writes_[done_++];
      ASSERT_EQ(write.head, stored_.head);
      ApplyWrite(write, stored_);
      Take(machine_->OnWritten(write.id, WriteOutcome::kWritten));
    }
  }
  static TopicRequest TopicOf(const std::string& name, bool internal = false) {
    naru::v1::CreateTopicRequest request;
    request.set_name(name);
    return {.change = request, .internal = internal, .new_topic_id = std::string(16, name[0])};
  }
  std::string partition() const { return ToText(stored_.partitions.at(kPartition)); }
  IsrProposal ProposalOf(std::map<BrokerId, BrokerEpoch> isr) const {
    const PartitionState& state = stored_.partitions.at(kPartition);
    return {1, state.leader_epoch, state.epoch, std::move(isr)};
  }

  ReplicationRules rules_;
  ClusterMetadata stored_;
  std::optional<CoordinatorMachine> machine_;
  std::vector<MetadataWrite> writes_;
  size_t done_ = 0;
  std::vector<int64_t> reads_;
  std::optional<BrokerEpoch> registered_;
  std::optional<IsrOutcome> proposed_;
  std::vector<AnswerTopicRequest> topics_;
  bool stepped_down_ = false;
};

TEST_F(CoordinatorMachineTest, ATopicIsAnsweredWhenItIsWritten) {
  Take(machine_->OnTopicRequest(1, TopicOf("events")));
  ASSERT_EQ(writes_.size(), 1u);
  EXPECT_TRUE(topics_.empty());
  Settle();
  ASSERT_EQ(topics_.size(), 1u);
  ASSERT_TRUE(topics_[0].topic.ok()) << topics_[0].topic.status();
  EXPECT_EQ((*topics_[0].topic)->name, "events");
  EXPECT_EQ(topics_[0].version, stored_.head);
  EXPECT_EQ(machine_->metadata().topics.size(), 1u);
}

TEST_F(CoordinatorMachineTest, ARequestThatChangesNothingIsAnsweredWithoutAWrite) {
  Take(machine_->OnTopicRequest(1, TopicOf("__events", true)));
  Settle();
  const size_t before = writes_.size();
  Take(machine_->OnTopicRequest(2, TopicOf("__events", true)));
  EXPECT_EQ(writes_.size(), before);
  ASSERT_EQ(topics_.size(), 2u);
  EXPECT_TRUE(topics_[1].topic.ok()) << "it is there";
  Take(machine_->OnTopicRequest(3, TopicOf("__events")));
  ASSERT_EQ(topics_.size(), 3u);
  EXPECT_FALSE(topics_[2].topic.ok()) << "a client may not ask for it";
}

TEST_F(CoordinatorMachineTest, ATopicWhoseWriteWasNotAnsweredIsMadeOnce) {
  Take(machine_->OnTopicRequest(1, TopicOf("events")));
  ASSERT_EQ(writes_.size(), 1u);
  ApplyWrite(writes_[0], stored_);  // it was written, and nobody hears of it
  Take(machine_->OnWritten(writes_[0].id, WriteOutcome::kUnknown));
  ASSERT_EQ(writes_.size(), 2u) << "an empty one, to settle it";
  Take(machine_->OnWritten(writes_[1].id, WriteOutcome::kOvertaken));
  ASSERT_EQ(reads_.size(), 1u);
  Take(machine_->OnRead(reads_[0], stored_));
  ASSERT_EQ(topics_.size(), 1u);
  ASSERT_TRUE(topics_[0].topic.ok()) << topics_[0].topic.status();
  EXPECT_EQ(writes_.size(), 2u);
}

TEST_F(CoordinatorMachineTest, ABrokerThatIsNotHeardOfIsFencedAndItsPartitionsLedElsewhere) {
  CoordinatorEffects effects;
  machine_->OnHeartbeat(kTwo, BrokerEpoch(4), 10, 1'900, effects);
  Take(machine_->Tick(2'000));
  EXPECT_TRUE(writes_.empty());
  Take(machine_->Tick(2'001));
  ASSERT_EQ(writes_.size(), 1u);
  EXPECT_TRUE(writes_[0].partitions.empty()) << "first the broker is marked, then its partitions are seen to";
  Settle();
  EXPECT_TRUE(stored_.brokers[kOne].fenced);
  EXPECT_EQ(partition(), "leader 2 epoch 1 partition epoch 1 isr 2");
}

TEST_F(CoordinatorMachineTest, AProcessIsRegisteredWhenTheOneBeforeItLeadsNothing) {
  Take(machine_->OnRegister(1, kOne, "a", true));
  ASSERT_EQ(writes_.size(), 1u);
  EXPECT_TRUE(writes_[0].brokers.at(kOne).fenced);
  EXPECT_EQ(writes_[0].brokers.at(kOne).epoch, BrokerEpoch(3));
  Settle();
  EXPECT_EQ(partition(), "leader 2 epoch 1 partition epoch 1 isr 2");
  EXPECT_EQ(registered_, BrokerEpoch(stored_.head)) << "the version that has its registration";
  EXPECT_TRUE(stored_.brokers[kOne].fenced) << "until it knows what was published";
  CoordinatorEffects effects;
  EXPECT_TRUE(machine_->OnHeartbeat(kOne, *registered_, registered_->value() - 1, 5, effects).fenced);
  Take(effects);
  EXPECT_EQ(done_, writes_.size());
  machine_->OnHeartbeat(kOne, *registered_, registered_->value(), 6, effects);
  Take(effects);
  Settle();
  EXPECT_FALSE(stored_.brokers[kOne].fenced);
}

TEST_F(CoordinatorMachineTest, AReplacedDiskIsNoLongerEligible) {
  Take(machine_->OnGone(kTwo, BrokerEpoch(4)));
  Settle();
  Take(machine_->OnGone(kOne, BrokerEpoch(3)));
  Settle();
  EXPECT_EQ(partition(), "leader - epoch 1 partition epoch 2 isr - elr 1");
  Take(machine_->OnRegister(1, kOne, "another disk", true));
  Settle();
  EXPECT_EQ(partition(), "leader - epoch 1 partition epoch 3 isr - last known elr 1");
  EXPECT_TRUE(registered_);
  EXPECT_EQ(stored_.brokers[kOne].incarnation, "another disk");
}

TEST_F(CoordinatorMachineTest, AProposalIsAnsweredWhenItIsWritten) {
  Take(machine_->OnProposal(1, kOne, kPartition, ProposalOf({{kOne, BrokerEpoch(3)}})));
  EXPECT_FALSE(proposed_);
  Settle();
  EXPECT_EQ(proposed_, IsrOutcome::kApplied);
  EXPECT_EQ(partition(), "leader 1 epoch 0 partition epoch 1 isr 1");
  Take(machine_->OnProposal(2, kOne, kPartition,
                            ProposalOf({{kOne, BrokerEpoch(3)}, {kTwo, BrokerEpoch(9)}})));
  EXPECT_EQ(proposed_, IsrOutcome::kRefused) << "another process of broker 2";
}

TEST_F(CoordinatorMachineTest, ADamagedCopyIsGivenUpOnceForEachLeaderEpoch) {
  Take(machine_->OnDamage(kOne, kPartition, LeaderEpoch(0)));
  Take(machine_->OnDamage(kOne, kPartition, LeaderEpoch(0)));
  Settle();
  EXPECT_EQ(partition(), "leader 2 epoch 1 partition epoch 1 isr 2");
  EXPECT_EQ(writes_.size(), 1u) << "said again it changes nothing";
  Take(machine_->OnDamage(kTwo, kPartition, LeaderEpoch(1)));
  TopicPartition unknown;
  unknown.partition = 7;
  Take(machine_->OnDamage(kTwo, unknown, LeaderEpoch(0)));
  EXPECT_EQ(writes_.size(), 1u) << "nobody else may lead; and nobody holds a copy";
}

TEST_F(CoordinatorMachineTest, AWriteWithoutAnAnswerIsSettledBeforeAnythingElseIsWritten) {
  Take(machine_->OnGone(kTwo, BrokerEpoch(4)));
  ASSERT_EQ(writes_.size(), 1u);
  Take(machine_->OnWritten(writes_[0].id, WriteOutcome::kUnknown));
  ASSERT_EQ(writes_.size(), 2u);
  EXPECT_TRUE(writes_[1].brokers.empty() && writes_[1].partitions.empty());
  EXPECT_EQ(writes_[1].head, writes_[0].head) << "only one of the two can be written";
  // It was the first.
  stored_.head = 11;
  stored_.brokers[kTwo].fenced = true;
  Take(machine_->OnWritten(writes_[1].id, WriteOutcome::kOvertaken));
  ASSERT_EQ(reads_.size(), 1u);
  done_ = writes_.size();
  Take(machine_->OnRead(reads_[0], stored_));
  Settle();
  EXPECT_EQ(partition(), "leader 1 epoch 0 partition epoch 1 isr 1");
}

TEST_F(CoordinatorMachineTest, ABrokerThatIsGoneIsFencedAlsoWhenTheWriteThatSaidSoWasLost) {
  Take(machine_->OnGone(kTwo, BrokerEpoch(4)));
  Take(machine_->OnWritten(writes_[0].id, WriteOutcome::kOvertaken));
  ASSERT_EQ(reads_.size(), 1u);
  done_ = writes_.size();
  stored_.head = 11;  // somebody else's write
  Take(machine_->OnRead(reads_[0], stored_));
  Settle();
  EXPECT_TRUE(stored_.brokers[kTwo].fenced);
  EXPECT_EQ(partition(), "leader 1 epoch 0 partition epoch 1 isr 1");
}

TEST_F(CoordinatorMachineTest, ADeposedCoordinatorWritesNothingMore) {
  Take(machine_->OnGone(kTwo, BrokerEpoch(4)));
  Take(machine_->OnWritten(writes_[0].id, WriteOutcome::kDeposed));
  EXPECT_TRUE(stepped_down_);
  Take(machine_->OnGone(kOne, BrokerEpoch(3)));
  EXPECT_EQ(writes_.size(), 1u);
}

TEST_F(CoordinatorMachineTest, ACoordinatorThatTakesOverFinishesWhatWasBegun) {
  stored_.brokers[kOne].fenced = true;
  machine_.emplace(CoordinatorMachineOptions{}, rules_, /*term=*/2, stored_, /*now_ms=*/0);
  Take(machine_->Start());
  Settle();
  EXPECT_EQ(partition(), "leader 2 epoch 1 partition epoch 1 isr 2");
}

TEST_F(CoordinatorMachineTest, LeadershipGoesBackToThePreferredLeader) {
  Take(machine_->OnProposal(1, kOne, kPartition,
                            ProposalOf({{kOne, BrokerEpoch(3)}, {kTwo, BrokerEpoch(4)}})));
  Settle();
  stored_.partitions[kPartition].leader = kTwo;
  machine_.emplace(CoordinatorMachineOptions{}, rules_, /*term=*/2, stored_, /*now_ms=*/0);
  Take(machine_->Start());
  CoordinatorEffects effects;
  machine_->OnHeartbeat(kOne, BrokerEpoch(3), 100, 9'999, effects);
  machine_->OnHeartbeat(kTwo, BrokerEpoch(4), 100, 9'999, effects);
  Take(machine_->Tick(10'000));
  Settle();
  EXPECT_EQ(stored_.partitions[kPartition].leader, kOne);
}

}  // namespace
}  // namespace naru::cluster
