// Consumer groups of a cluster, asked for through any broker.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <set>
#include <string>

#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "storage/base/status.h"
#include "tests/cluster/broker/test_cluster.h"

namespace naru::cluster {
namespace {

// Remembers what a session heard.
class Member final : public GroupListener {
 public:
  void OnJoined(const std::string& member_id, int64_t member_epoch) override {
    absl::MutexLock lock(&mutex_);
    joined_ = true;
    epoch_ = member_epoch;
  }
  void OnAssigned(const std::map<GroupPartition, std::optional<CommittedOffset>>& partitions) override {
    absl::MutexLock lock(&mutex_);
    for (const auto& [partition, committed] : partitions) {
      owned_[partition] = committed ? committed->offset : -1;
    }
  }
  void OnRevoking(const std::set<GroupPartition>& partitions) override {
    absl::MutexLock lock(&mutex_);
    for (const GroupPartition& partition : partitions) {
      owned_.erase(partition);
      revoking_.insert(partition);
    }
  }
  void OnEnded(const absl::Status& why) override {
    absl::MutexLock lock(&mutex_);
    ended_ = why;
  }

  // It has joined, or it has ended.
  void WaitForAnswer() {
    absl::MutexLock lock(&mutex_);
    const auto so = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return epoch_ != 0 || ended_; };
    mutex_.AwaitWithTimeout(absl::Condition(&so), kPatience);
  }
  bool WaitForPartitions(size_t count) {
    absl::MutexLock lock(&mutex_);
    const auto so = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return owned_.size() == count || ended_; };
    return mutex_.AwaitWithTimeout(absl::Condition(&so), kPatience) && owned_.size() == count;
  }
  std::set<GroupPartition> TakeRevoking() {
    absl::MutexLock lock(&mutex_);
    const auto so = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return !revoking_.empty() || ended_; };
    mutex_.AwaitWithTimeout(absl::Condition(&so), kPatience);
    return std::exchange(revoking_, {});
  }
  absl::Status WaitForEnd() {
    absl::MutexLock lock(&mutex_);
    const auto so = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return ended_.has_value(); };
    if (!mutex_.AwaitWithTimeout(absl::Condition(&so), kPatience))
      return absl::DeadlineExceededError("still there");
    return *ended_;
  }
  std::map<GroupPartition, int64_t> owned() const {
    absl::MutexLock lock(&mutex_);
    return owned_;
  }
  int64_t epoch() const {
    absl::MutexLock lock(&mutex_);
    return epoch_;
  }
  bool ended() const {
    absl::MutexLock lock(&mutex_);
    return ended_.has_value();
  }

 private:
  mutable absl::Mutex mutex_;
  bool joined_ ABSL_GUARDED_BY(mutex_) = false;
  int64_t epoch_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<GroupPartition, int64_t> owned_ ABSL_GUARDED_BY(mutex_);
  std::set<GroupPartition> revoking_ ABSL_GUARDED_BY(mutex_);
  std::optional<absl::Status> ended_ ABSL_GUARDED_BY(mutex_);
};

JoinGroup JoinOf(const std::string& id) {
  return {.member_id = id,
          .subscription = {{"events"}, ""},
          .session_timeout_ms = 10'000,
          .rebalance_timeout_ms = 10'000,
          .client = "test"};
}

class ClusterGroupsTest : public ::testing::Test {
 protected:
  ClusterGroupsTest() : cluster_(1, 3) {
    const auto topic = cluster_.CreateTopic(1, "events", 4, 3, 2);
    EXPECT_TRUE(topic.ok()) << topic.status();
  }

  // Joins through that broker, again while the coordinator is being found.
  std::pair<std::shared_ptr<Member>, uint64_t> Join(int through, const std::string& id) {
    const absl::Time until = absl::Now() + kPatience;
    while (true) {
      auto member = std::make_shared<Member>();
      const uint64_t session = cluster_.groups(through).Join("g", JoinOf(id), member);
      member->WaitForAnswer();
      if (!member->ended() || absl::Now() > until) return {member, session};
    }
  }
  absl::Status Commit(int through, const Member& member, const std::string& id, CommittedOffsets offsets) {
    absl::Status result;
    const absl::Time until = absl::Now() + kPatience;
    do {
      absl::Notification done;
      CommitOffsets commit{.member_id = id, .member_epoch = member.epoch(), .offsets = offsets};
      cluster_.groups(through).Commit("g", std::move(commit), [&](absl::Status status) {
        result = std::move(status);
        done.Notify();
      });
      done.WaitForNotification();
    } while (ReasonOf(result) == Reason::kCoordinatorLoading && absl::Now() < until);
    return result;
  }
  absl::StatusOr<GroupSnapshot> Describe(int through) {
    absl::Notification done;
    absl::StatusOr<GroupSnapshot> result;
    cluster_.groups(through).Describe("g", [&](absl::StatusOr<GroupSnapshot> snapshot) {
      result = std::move(snapshot);
      done.Notify();
    });
    done.WaitForNotification();
    return result;
  }
  // The broker that leads the group's partition of the internal topic.
  int CoordinatorOfGroup() {
    for (int id = 1; id <= 3; ++id) {
      absl::Notification done;
      bool here = false;
      // It lists its own groups alone.
      cluster_.coordinator(id).List([&](const absl::StatusOr<std::vector<GroupListing>>& all) {
        here = all.ok() && !all->empty();
        done.Notify();
      });
      done.WaitForNotification();
      if (here) return id;
    }
    return 0;
  }

  TestCluster cluster_;
};

TEST_F(ClusterGroupsTest, MembersOnDifferentBrokersShareTheTopic) {
  const auto [first, first_session] = Join(1, "first");
  ASSERT_TRUE(first->WaitForPartitions(4));
  const auto [second, second_session] = Join(2, "second");
  cluster_.groups(1).Release(first_session, first->TakeRevoking());
  ASSERT_TRUE(second->WaitForPartitions(2));
  EXPECT_EQ(first->owned().size(), 2u);
  cluster_.groups(1).Leave(first_session);
  EXPECT_TRUE(second->WaitForPartitions(4)) << "who is left takes over";
}

TEST_F(ClusterGroupsTest, PositionsOutliveTheirCoordinator) {
  const auto [member, session] = Join(1, "member");
  ASSERT_TRUE(member->WaitForPartitions(4));
  const GroupPartition partition = member->owned().begin()->first;
  const absl::Status committed = Commit(1, *member, "member", {{partition, {.offset = 17}}});
  ASSERT_TRUE(committed.ok()) << committed;

  const int coordinator = CoordinatorOfGroup();
  ASSERT_NE(coordinator, 0);
  const int other = coordinator % 3 + 1;
  cluster_.StopBroker(coordinator);
  if (coordinator != 1) {
    const absl::Status why = member->WaitForEnd();
    EXPECT_EQ(ReasonOf(why), Reason::kCoordinatorLoading) << why;
  }
  // The same member comes again, through another broker, and is told where it was.
  const auto [again, again_session] = Join(other, "member");
  ASSERT_TRUE(again->WaitForPartitions(4));
  EXPECT_EQ(again->owned().at(partition), 17);
}

TEST_F(ClusterGroupsTest, PositionsAreToldOnlyByACoordinatorThatIsSureToBeOne) {
  const auto [member, session] = Join(1, "member");
  ASSERT_TRUE(member->WaitForPartitions(4));
  const GroupPartition partition = member->owned().begin()->first;
  ASSERT_TRUE(Commit(1, *member, "member", {{partition, {.offset = 17}}}).ok());
  for (int through = 1; through <= 3; ++through) {
    const auto told = Describe(through);
    ASSERT_TRUE(told.ok()) << told.status();
    EXPECT_EQ(told->offsets.at(partition).offset, 17);
  }
  // Those who may lead the group's partition next are not there to say that they still follow: one of them
  // may have taken commits that this one has not heard of.
  const int coordinator = CoordinatorOfGroup();
  cluster_.StopCoordinator(0);
  for (int id = 1; id <= 3; ++id) {
    if (id != coordinator) cluster_.StopBroker(id);
  }
  EXPECT_EQ(ReasonOf(Describe(coordinator).status()), Reason::kCoordinatorLoading);
}

TEST_F(ClusterGroupsTest, AStaleMemberCommitsNothingThroughAnyBroker) {
  const auto [member, session] = Join(1, "member");
  ASSERT_TRUE(member->WaitForPartitions(4));
  const GroupPartition partition = member->owned().begin()->first;
  const auto [newer, newer_session] = Join(2, "member");
  ASSERT_TRUE(newer->WaitForPartitions(4));
  EXPECT_EQ(ReasonOf(member->WaitForEnd()), Reason::kMemberFenced);
  EXPECT_EQ(ReasonOf(Commit(3, *member, "member", {{partition, {.offset = 1}}})), Reason::kMemberFenced);
  EXPECT_TRUE(Commit(3, *newer, "member", {{partition, {.offset = 2}}}).ok());
}

}  // namespace
}  // namespace naru::cluster
