// A group's member on a living broker, while the broker that coordinates the group is stopped.
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "absl/synchronization/notification.h"
#include "storage/base/status.h"
#include "tests/cluster/broker/test_cluster.h"

namespace naru::cluster {
namespace {

// What one session hears.
class Session final : public GroupListener {
 public:
  using Assignment = std::map<GroupPartition, std::optional<CommittedOffset>>;

  void OnJoined(const std::string&, int64_t member_epoch) override { epoch = member_epoch; }
  void OnAssigned(const Assignment& partitions) override {
    assigned = partitions;
    told_.Notify();
  }
  void OnRevoking(const std::set<GroupPartition>&) override {}
  void OnEnded(const absl::Status& why) override {
    ended = why;
    if (!told_.HasBeenNotified()) told_.Notify();
    over_.Notify();
  }
  // Assigned, or ended.
  bool WaitUntilTold() { return told_.WaitForNotificationWithTimeout(absl::Seconds(20)); }
  bool WaitUntilOver(absl::Duration timeout) { return over_.WaitForNotificationWithTimeout(timeout); }

  int64_t epoch = 0;
  Assignment assigned;
  absl::Status ended;

 private:
  absl::Notification told_;
  absl::Notification over_;
};

// Until it is let in, or refused for good.
std::shared_ptr<Session> Join(Groups& groups, int64_t resumes_epoch) {
  JoinGroup join{.member_id = "m",
                 .session_timeout_ms = 30'000,
                 .rebalance_timeout_ms = 30'000,
                 .resumes_epoch = resumes_epoch};
  join.subscription.topics.insert("events");
  const absl::Time deadline = absl::Now() + absl::Seconds(20);
  while (true) {
    auto session = std::make_shared<Session>();
    groups.Join("g", join, session);
    const bool passes = session->WaitUntilTold() && session->assigned.empty() &&
                        ReasonOf(session->ended) != Reason::kMemberFenced;
    if (!passes || absl::Now() > deadline) return session;
    absl::Notification never;
    never.WaitForNotificationWithTimeout(absl::Milliseconds(20));
  }
}

absl::Status Commit(Groups& groups, const Session& session, int64_t offset) {
  CommitOffsets commit{.member_id = "m", .member_epoch = session.epoch};
  commit.offsets[session.assigned.begin()->first] = {.offset = offset, .metadata = {}};
  absl::Status outcome;
  absl::Notification done;
  groups.Commit("g", commit, [&](absl::Status status) {
    outcome = std::move(status);
    done.Notify();
  });
  done.WaitForNotification();
  return outcome;
}

// Of one partition: broker 1 leads it.
void MakeTopicOfOnePartition(BrokerProcess& broker) {
  naru::v1::CreateTopicRequest request;
  request.set_name(std::string(kOffsetsTopic));
  request.set_partition_count(1);
  request.set_replication_factor(3);
  absl::Notification made;
  broker.CreateInternalTopic(request, [&](const absl::Status& status) {
    EXPECT_TRUE(status.ok()) << status;
    made.Notify();
  });
  made.WaitForNotification();
}

TEST(GroupMoves, ASessionGoesOnWithTheNextCoordinatorUnderItsEpochWithWhatItsMemberOwned) {
  TestCluster cluster(1, 3);
  MakeTopicOfOnePartition(cluster.broker(1));
  cluster.WaitForLeader(std::string(kOffsetsTopic), 0, 1);
  ASSERT_TRUE(cluster.CreateTopic(1, "events", 4, 3, 2).ok());
  Groups& groups = cluster.groups(3);
  const std::shared_ptr<Session> before = Join(groups, 0);
  ASSERT_EQ(before->assigned.size(), 4u) << before->ended;
  const absl::Status committed = Commit(groups, *before, 0);
  ASSERT_TRUE(committed.ok()) << committed;

  cluster.StopBroker(1);
  ASSERT_TRUE(before->WaitUntilOver(absl::Seconds(20)));
  EXPECT_EQ(ReasonOf(before->ended), Reason::kCoordinatorLoading) << before->ended;
  const std::shared_ptr<Session> after = Join(groups, before->epoch);
  ASSERT_EQ(after->assigned.size(), 4u) << after->ended;
  EXPECT_EQ(after->epoch, before->epoch);
  EXPECT_TRUE(after->assigned.begin()->second.has_value()) << "what was committed is there";
  EXPECT_FALSE(after->assigned.rbegin()->second.has_value());
  const absl::Status again = Commit(groups, *before, 0);
  EXPECT_TRUE(again.ok()) << again << ": what it had under way still counts";

  const std::shared_ptr<Session> stale = Join(groups, before->epoch + 1);
  EXPECT_EQ(ReasonOf(stale->ended), Reason::kMemberFenced) << stale->ended;
  EXPECT_FALSE(after->WaitUntilOver(absl::ZeroDuration()));
}

}  // namespace
}  // namespace naru::cluster
