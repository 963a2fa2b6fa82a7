// Who reads what: members that come, go, break off and come back.
#include <future>
#include <memory>
#include <set>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/services/group/member_stream.h"

namespace naru::services {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

naru::v1::Join JoinAs(const std::string& member_id) {
  naru::v1::Join join = JoinGroup("g", "t");
  join.set_member_id(member_id);
  return join;
}
naru::v1::Join JoinAsInstance(const std::string& instance_id) {
  naru::v1::Join join = JoinGroup("g", "t");
  join.set_instance_id(instance_id);
  return join;
}

class ConsumeMembersTest : public ::testing::Test {
 protected:
  ConsumeMembersTest() { hub_.catalog.SetTopic("t", 2); }

  GroupHub hub_;
};

TEST_F(ConsumeMembersTest, AMemberTooManyWaitsAndTakesOverWhenAnotherLeaves) {
  MemberStream first(hub_, JoinAs("a"));
  first.NextJoined();
  first.NextAssigned();
  MemberStream second(hub_, JoinAs("b"));
  second.NextJoined();
  EXPECT_THAT(second.NextAssigned(), SizeIs(1));
  EXPECT_THAT(first.NextRevoking(), SizeIs(1));
  MemberStream third(hub_, JoinAs("c"));
  third.NextJoined();
  third.AwaitIdle();
  EXPECT_EQ(hub_.Describe("g").state(), naru::v1::GROUP_STATE_STABLE);
  EXPECT_THAT(hub_.Members("g"), ElementsAre("a", "b", "c"));
  first.HalfClose();
  EXPECT_EQ(first.End().code, grpc::StatusCode::OK);
  EXPECT_THAT(third.NextAssigned(), SizeIs(1));
  EXPECT_THAT(hub_.Members("g"), ElementsAre("b", "c"));
}

TEST_F(ConsumeMembersTest, EpochsRiseWithEveryJoin) {
  MemberStream first(hub_, JoinAs("a"));
  const naru::v1::Joined before = first.NextJoined();
  EXPECT_EQ(before.member_id(), "a");
  MemberStream second(hub_, JoinAs("b"));
  EXPECT_GT(second.NextJoined().member_epoch(), before.member_epoch());
}

TEST_F(ConsumeMembersTest, ABrokenMemberComesBackToItsPartitionsAndToWhatItDidNotAcknowledge) {
  hub_.Append("t", 0, {"done"});
  auto first = std::make_unique<MemberStream>(hub_, JoinAs("a"));
  first->NextJoined();
  EXPECT_THAT(first->NextAssigned(), ElementsAre(0, 1));
  first->Ack(first->NextDelivery().delivery_id());
  hub_.Append("t", 0, {"open"});
  EXPECT_THAT(Values(first->NextDelivery().records()), ElementsAre("open"));
  ASSERT_TRUE(WaitFor([&] { return hub_.Committed("g", "t", 0) == 1; }));
  first->Break();
  ASSERT_TRUE(WaitFor([&] { return hub_.Members("g") == std::vector<std::string>{"a away"}; }));
  EXPECT_EQ(hub_.Describe("g").partitions(0).member_id(), "a") << "it keeps its place";
  MemberStream again(hub_, JoinAs("a"));
  again.NextJoined();
  const naru::v1::ConsumeResponse assigned = again.Next();
  ASSERT_EQ(assigned.assigned().partitions_size(), 2) << assigned.DebugString();
  EXPECT_EQ(assigned.assigned().partitions(0).committed_offset(), 1);
  EXPECT_THAT(Values(again.NextDelivery().records()), ElementsAre("open"));
  EXPECT_THAT(hub_.Members("g"), ElementsAre("a"));
}

TEST_F(ConsumeMembersTest, ABrokenMemberIsForgottenAfterItsSessionTimeoutAndItsRecordsComeAgain) {
  hub_.Append("t", 0, {"open"});
  naru::v1::Join join = JoinAs("a");
  join.set_session_timeout_ms(1'000);
  MemberStream first(hub_, join);
  first.NextJoined();
  first.NextAssigned();
  first.NextDelivery();
  first.Break();
  ASSERT_TRUE(WaitFor([&] { return hub_.Members("g") == std::vector<std::string>{"a away"}; }));
  MemberStream second(hub_, JoinAs("b"));
  second.NextJoined();
  int assigned = 0;
  std::vector<std::string> values;
  for (int i = 0; i < 3 && (assigned < 2 || values.empty()); ++i) {
    const naru::v1::ConsumeResponse response = second.Next();
    assigned += response.assigned().partitions_size();
    if (response.has_delivery()) values = Values(response.delivery().records());
  }
  EXPECT_EQ(assigned, 2);
  EXPECT_THAT(values, ElementsAre("open"));
  EXPECT_THAT(hub_.Members("g"), ElementsAre("b"));
}

TEST_F(ConsumeMembersTest, ANewerSessionOfAMemberFencesTheOlder) {
  MemberStream older(hub_, JoinAs("a"));
  older.NextJoined();
  MemberStream newer(hub_, JoinAs("a"));
  newer.NextJoined();
  const CallEnd end = older.End();
  EXPECT_EQ(end.code, grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(end.reason, "MEMBER_FENCED");
  EXPECT_THAT(newer.NextAssigned(), ElementsAre(0, 1));
  EXPECT_THAT(hub_.Members("g"), ElementsAre("a")) << "the older one's end is not the newer one's";
}

TEST_F(ConsumeMembersTest, AStaticMemberThatRestartsFindsItsPlaceAndNothingMoves) {
  auto first = std::make_unique<MemberStream>(hub_, JoinAsInstance("i"));
  const std::string id = first->NextJoined().member_id();
  first->NextAssigned();
  MemberStream other(hub_, JoinAsInstance("j"));
  other.NextJoined();
  const std::set<int> moved = other.NextAssigned();
  EXPECT_EQ(first->NextRevoking(), moved);
  first->HalfClose();
  EXPECT_EQ(first->End().code, grpc::StatusCode::OK);
  ASSERT_TRUE(WaitFor([&] {
    const naru::v1::Group group = hub_.Describe("g");
    for (const naru::v1::GroupMember& member : group.members()) {
      if (member.instance_id() == "i" && member.away()) return true;
    }
    return false;
  }));
  MemberStream again(hub_, JoinAsInstance("i"));
  EXPECT_EQ(again.NextJoined().member_id(), id);
  EXPECT_EQ(again.NextAssigned(), (std::set<int>{*moved.begin() == 0 ? 1 : 0}));
  EXPECT_TRUE(other.OnlyIdleUntilIdle()) << "nothing moved";
}

TEST_F(ConsumeMembersTest, ASecondInstanceOfTheSameNameFencesTheFirst) {
  MemberStream first(hub_, JoinAsInstance("i"));
  first.NextJoined();
  MemberStream second(hub_, JoinAsInstance("i"));
  second.NextJoined();
  EXPECT_EQ(first.End().reason, "MEMBER_FENCED");
  EXPECT_THAT(second.NextAssigned(), ElementsAre(0, 1));
  EXPECT_THAT(hub_.Describe("g").members(), SizeIs(1));
}

TEST_F(ConsumeMembersTest, WhoDoesNotGiveUpAPartitionInTimeIsFencedAndTheOtherReadsItsRecords) {
  hub_.Append("t", 0, {"a"});
  hub_.Append("t", 1, {"b"});
  naru::v1::Join join = JoinAs("a");
  join.set_rebalance_timeout_ms(1'000);
  MemberStream slow(hub_, join);
  slow.NextJoined();
  slow.NextAssigned();
  slow.NextDelivery();
  slow.NextDelivery();
  MemberStream second(hub_, JoinAs("b"));
  second.NextJoined();
  EXPECT_THAT(slow.NextRevoking(), SizeIs(1));
  EXPECT_EQ(slow.End().reason, "MEMBER_FENCED");
  std::set<std::string> values;
  for (int i = 0; i < 4 && values.size() < 2; ++i) {
    const naru::v1::ConsumeResponse response = second.Next();
    if (response.has_delivery()) values.insert(response.delivery().records(0).value());
  }
  EXPECT_THAT(values, ElementsAre("a", "b"));
  EXPECT_THAT(hub_.Members("g"), ElementsAre("b"));
}

TEST_F(ConsumeMembersTest, AMemberThatAcknowledgesNothingForTooLongIsFencedAndGone) {
  hub_.Append("t", 0, {"a"});
  naru::v1::Join join = JoinAs("a");
  join.set_progress_timeout_ms(1'000);
  MemberStream hung(hub_, join);
  hung.NextJoined();
  hung.NextAssigned();
  hung.NextDelivery();
  const CallEnd end = hung.End();
  EXPECT_EQ(end.reason, "MEMBER_FENCED");
  EXPECT_THAT(end.message, ::testing::HasSubstr("progress_timeout_ms"));
  EXPECT_THAT(hub_.Members("g"), IsEmpty());
  EXPECT_EQ(hub_.Committed("g", "t", 0), -1);
}

TEST_F(ConsumeMembersTest, AMemberThatIsToldToLeaveIsFenced) {
  MemberStream first(hub_, JoinAs("a"));
  first.NextJoined();
  naru::v1::LeaveGroupRequest request;
  request.set_group("g");
  request.set_member_id("a");
  naru::v1::LeaveGroupResponse response;
  EXPECT_EQ(hub_.Call(&naru::v1::GroupService::Stub::LeaveGroup, request, &response).code,
            grpc::StatusCode::OK);
  EXPECT_EQ(first.End().reason, "MEMBER_FENCED");
  EXPECT_THAT(hub_.Members("g"), IsEmpty());
}

TEST_F(ConsumeMembersTest, APatternPicksUpTopicsThatAreMadeLaterAndNoInternalOnes) {
  naru::v1::Join join;
  join.set_group("g");
  join.set_topic_pattern("t|later.*|__.*");
  join.set_idle_interval_ms(100);
  MemberStream member(hub_, join);
  member.NextJoined();
  EXPECT_THAT(member.NextAssigned(), ElementsAre(0, 1));
  hub_.catalog.SetTopic("not.later", 1);
  hub_.catalog.SetTopic("later.1", 1);
  const naru::v1::ConsumeResponse response = member.Next();
  ASSERT_EQ(response.assigned().partitions_size(), 1) << response.DebugString();
  EXPECT_EQ(response.assigned().partitions(0).topic(), "later.1");
  hub_.Append("later.1", 0, {"v"});
  EXPECT_EQ(member.NextDelivery().topic(), "later.1");
  EXPECT_TRUE(member.OnlyIdleUntilIdle());
}

TEST_F(ConsumeMembersTest, PartitionsThatAreAddedAreAssigned) {
  MemberStream member(hub_, JoinAs("a"));
  member.NextJoined();
  member.NextAssigned();
  hub_.catalog.Grow("t", 3);
  EXPECT_THAT(member.NextAssigned(), ElementsAre(2));
  hub_.Append("t", 2, {"v"});
  EXPECT_THAT(Values(member.NextDelivery().records()), ElementsAre("v"));
}

TEST_F(ConsumeMembersTest, ATopicThatIsDeletedIsTakenAndTheOthersGoOn) {
  hub_.catalog.SetTopic("u", 1);
  hub_.Append("u", 0, {"v"});
  naru::v1::Join join = JoinAs("a");
  join.add_topics("u");
  MemberStream member(hub_, join);
  member.NextJoined();
  member.NextAssigned();
  const naru::v1::GroupDelivery delivery = member.NextDelivery();
  EXPECT_EQ(delivery.topic(), "u");
  hub_.catalog.Delete("u");
  EXPECT_THAT(member.NextRevoking(), ElementsAre(0));
  member.Ack(delivery.delivery_id());
  hub_.Append("t", 0, {"on"});
  EXPECT_THAT(Values(member.NextDelivery().records()), ElementsAre("on"));
  const naru::v1::Group group = hub_.Describe("g");
  for (const naru::v1::GroupPartition& partition : group.partitions()) {
    EXPECT_EQ(partition.topic(), "t");
  }
}

TEST_F(ConsumeMembersTest, AMemberThatComesBackNeedNotFindATopicThatWasDeletedMeanwhile) {
  hub_.catalog.SetTopic("u", 1);
  naru::v1::Join join = JoinGroup("g", "t");
  join.add_topics("u");
  MemberStream member(hub_, join);
  join.set_member_id(member.NextJoined().member_id());
  member.Break();
  hub_.catalog.Delete("u");
  MemberStream again(hub_, join);
  EXPECT_EQ(again.NextJoined().member_id(), join.member_id());
  join.clear_member_id();
  EXPECT_EQ(MemberStream(hub_, join).End().reason, "TOPIC_NOT_FOUND");
}

TEST_F(ConsumeMembersTest, ATopicThatIsMadeAgainIsReadFromItsBeginning) {
  hub_.Append("t", 0, {"old"});
  MemberStream member(hub_, JoinAs("a"));
  member.NextJoined();
  member.NextAssigned();
  member.Ack(member.NextDelivery().delivery_id());
  ASSERT_TRUE(WaitFor([&] { return hub_.Committed("g", "t", 0) == 1; }));
  hub_.catalog.Delete("t");
  EXPECT_THAT(member.NextRevoking(), ElementsAre(0, 1));
  hub_.catalog.SetTopic("t", 1);
  const naru::v1::ConsumeResponse assigned = member.Next();
  ASSERT_EQ(assigned.assigned().partitions_size(), 1) << assigned.DebugString();
  EXPECT_FALSE(assigned.assigned().partitions(0).has_committed_offset());
  hub_.Append("t", 0, {"new"});
  EXPECT_THAT(Values(member.NextDelivery().records()), ElementsAre("new"));
}

TEST_F(ConsumeMembersTest, GroupsDoNotKnowOfOneAnother) {
  hub_.Append("t", 0, {"v"});
  for (const char* group : {"g", "h"}) {
    MemberStream member(hub_, JoinGroup(group, "t"));
    member.NextJoined();
    EXPECT_THAT(member.NextAssigned(), ElementsAre(0, 1));
    EXPECT_THAT(Values(member.NextDelivery().records()), ElementsAre("v"));
    member.Ack(1);
    member.HalfClose();
    EXPECT_EQ(member.End().code, grpc::StatusCode::OK);
    EXPECT_EQ(hub_.Committed(group, "t", 0), 1);
    EXPECT_EQ(hub_.Committed("h", "t", 0), std::string(group) == "h" ? 1 : -1);
  }
}

TEST(ConsumeLimitsTest, AGroupThatIsFullTakesNobodyElse) {
  GroupHub hub({}, {.members_max = 1});
  hub.catalog.SetTopic("t", 1);
  MemberStream first(hub, JoinAs("a"));
  first.NextJoined();
  MemberStream second(hub, JoinAs("b"));
  const CallEnd end = second.End();
  EXPECT_EQ(end.code, grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(end.reason, "TOO_MANY_MEMBERS");
  EXPECT_EQ(end.metadata.at("limit"), "1");
  MemberStream again(hub, JoinAs("a"));
  again.NextJoined();
}

TEST(ConsumeShutdownTest, StreamsEndAndTheirMembersAreAwayNotGone) {
  GroupHub hub;
  hub.catalog.SetTopic("t", 1);
  MemberStream member(hub, JoinAs("a"));
  member.NextJoined();
  member.NextAssigned();
  hub.consume.Shutdown();
  hub.group.Shutdown();
  const CallEnd end = member.End();
  EXPECT_EQ(end.code, grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(end.reason, "SHUTTING_DOWN");
  const auto away = [&hub] {
    std::promise<int> promise;
    hub.groups.Describe("g", [&promise](absl::StatusOr<cluster::GroupSnapshot> snapshot) {
      EXPECT_TRUE(snapshot.ok());
      EXPECT_EQ(snapshot->members.size(), 1u) << "it is gone";
      promise.set_value(snapshot->members.empty() || snapshot->members[0].away ? 1 : 0);
    });
    return promise.get_future().get() == 1;
  };
  EXPECT_TRUE(WaitFor(away));
  EXPECT_EQ(MemberStream(hub, JoinAs("b")).End().reason, "SHUTTING_DOWN");
}

}  // namespace
}  // namespace naru::services
