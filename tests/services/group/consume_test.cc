// Members of groups as streams, over gRPC.
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/services/group/member_stream.h"

namespace naru::services {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(ConsumeTest, AMemberReadsWhatIsThereAndCommitsWhatItAcknowledges) {
  GroupHub hub;
  hub.catalog.SetTopic("t", 1);
  hub.Append("t", 0, {"a", "b"});
  MemberStream member(hub, JoinGroup("g", "t"));
  EXPECT_NE(member.NextJoined().member_id(), "");
  EXPECT_THAT(member.NextAssigned(), ElementsAre(0));
  const naru::v1::GroupDelivery delivery = member.NextDelivery();
  EXPECT_EQ(delivery.delivery_id(), 1);
  EXPECT_EQ(delivery.topic(), "t");
  EXPECT_THAT(Values(delivery.records()), ElementsAre("a", "b"));
  EXPECT_EQ(delivery.next_offset(), 2);
  EXPECT_EQ(hub.Committed("g", "t", 0), -1);
  member.Ack(1);
  member.HalfClose();
  EXPECT_EQ(member.End().code, grpc::StatusCode::OK);
  EXPECT_EQ(hub.Committed("g", "t", 0), 2);
}

TEST(ConsumeTest, WhereCompactionLeftNothingTheCommittedPositionGetsOn) {
  GroupHub hub;
  hub.catalog.SetTopic("t", 1);
  hub.Append("t", 0, {"a", "b"});
  MemberStream member(hub, JoinGroup("g", "t"));
  member.NextJoined();
  member.NextAssigned();
  EXPECT_EQ(member.NextDelivery().next_offset(), 2);
  const auto append_nothing = [&](int64_t to) {
    const LogId log = hub.catalog.Log("t", 0);
    const LogInfo info = *hub.store.Info(log);
    StoredBatchView nothing;
    nothing.base_offset = info.end;
    nothing.next_offset = Offset(to);
    nothing.leader_epoch = info.leader_epoch;
    nothing.append_time_ms = info.last_append_time_ms;
    absl::Notification appended;
    hub.store.AppendAsReplica({.log = log, .batches = {nothing}, .gaps = true}, [&](const auto& done) {
      EXPECT_TRUE(done.ok()) << done.status();
      appended.Notify();
    });
    appended.WaitForNotification();
  };
  const auto await_commit = [&](int64_t offset) {
    for (const absl::Time end = absl::Now() + absl::Seconds(30); absl::Now() < end;) {
      if (hub.Committed("g", "t", 0) == offset) return;
    }
    ADD_FAILURE() << "committed is " << hub.Committed("g", "t", 0) << ", not " << offset;
  };
  append_nothing(50);
  member.AwaitIdle();
  EXPECT_EQ(hub.Committed("g", "t", 0), -1) << "a and b are not acknowledged";
  member.Ack(1);
  await_commit(50);
  append_nothing(70);
  await_commit(70);
  hub.Append("t", 0, {"c"});
  const naru::v1::GroupDelivery delivery = member.NextDelivery();
  EXPECT_EQ(delivery.delivery_id(), 2);
  EXPECT_THAT(Values(delivery.records()), ElementsAre("c"));
}

TEST(ConsumeTest, WhoComesNextGoesOnWhereTheLastOneCommitted) {
  GroupHub hub;
  hub.catalog.SetTopic("t", 1);
  hub.Append("t", 0, {"a"});
  {
    MemberStream member(hub, JoinGroup("g", "t"));
    member.NextJoined();
    member.NextAssigned();
    member.NextDelivery();
    member.Ack(1);
    member.HalfClose();
    member.End();
  }
  hub.Append("t", 0, {"b"});
  MemberStream member(hub, JoinGroup("g", "t"));
  member.NextJoined();
  EXPECT_THAT(member.NextAssigned(), ElementsAre(0));
  EXPECT_THAT(Values(member.NextDelivery().records()), ElementsAre("b"));
}

TEST(ConsumeTest, APartitionMovesOnlyWhenItsDeliveriesAreAcknowledged) {
  GroupHub hub;
  hub.catalog.SetTopic("t", 2);
  hub.Append("t", 0, {"a"});
  hub.Append("t", 1, {"b"});
  MemberStream first(hub, JoinGroup("g", "t"));
  first.NextJoined();
  EXPECT_THAT(first.NextAssigned(), ElementsAre(0, 1));
  std::map<int, int64_t> ids;
  for (int i = 0; i < 2; ++i) {
    const naru::v1::GroupDelivery delivery = first.NextDelivery();
    ids[delivery.partition()] = delivery.delivery_id();
  }
  MemberStream second(hub, JoinGroup("g", "t"));
  second.NextJoined();
  const std::set<int> moving = first.NextRevoking();
  ASSERT_EQ(moving.size(), 1u);
  second.AwaitIdle();
  first.Ack(ids[*moving.begin()]);
  EXPECT_EQ(second.NextAssigned(), moving);
  // What was acknowledged before it moved is not delivered again.
  hub.Append("t", *moving.begin(), {"c"});
  EXPECT_THAT(Values(second.NextDelivery().records()), ElementsAre("c"));
}

}  // namespace
}  // namespace naru::services
