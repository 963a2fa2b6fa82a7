// Positions and groups, as those see them who are no members.
#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/services/group/member_stream.h"

namespace naru::services {
namespace {

using grpc::StatusCode;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using Stub = naru::v1::GroupService::Stub;

class GroupPositionsTest : public ::testing::Test {
 protected:
  GroupPositionsTest() {
    hub_.catalog.SetTopic("t", 3);
    for (int i = 0; i < 3; ++i) hub_.Append("t", i, {"a", "b", "c", "d"});
  }

  naru::v1::ListCommittedOffsetsResponse List(const std::string& group,
                                              const std::vector<std::string>& topics = {}) {
    naru::v1::ListCommittedOffsetsRequest request;
    request.set_group(group);
    for (const std::string& topic : topics) request.add_topics(topic);
    naru::v1::ListCommittedOffsetsResponse response;
    EXPECT_EQ(hub_.Call(&Stub::ListCommittedOffsets, request, &response).code, StatusCode::OK);
    return response;
  }
  CallEnd Leave(const naru::v1::LeaveGroupRequest& request) {
    naru::v1::LeaveGroupResponse response;
    return hub_.Call(&Stub::LeaveGroup, request, &response);
  }
  CallEnd Delete(const std::string& group) {
    naru::v1::DeleteGroupRequest request;
    request.set_group(group);
    naru::v1::DeleteGroupResponse response;
    return hub_.Call(&Stub::DeleteGroup, request, &response);
  }
  naru::v1::ListGroupsResponse Groups(int page_size, const std::string& token = "") {
    naru::v1::ListGroupsRequest request;
    request.set_page_size(page_size);
    request.set_page_token(token);
    naru::v1::ListGroupsResponse response;
    EXPECT_EQ(hub_.Call(&Stub::ListGroups, request, &response).code, StatusCode::OK);
    return response;
  }
  static std::vector<std::string> Names(const naru::v1::ListGroupsResponse& page) {
    std::vector<std::string> names;
    for (const naru::v1::GroupSummary& summary : page.groups()) names.push_back(summary.group());
    return names;
  }

  GroupHub hub_;
};

TEST_F(GroupPositionsTest, APositionIsCommittedForAGroupWithoutMembersAndListed) {
  const int64_t before_ms = hub_.clock.NowMs();
  hub_.catalog.SetTopic("a", 1);
  ASSERT_EQ(hub_.Commit("g", "t", 2, 3, "words").code, StatusCode::OK);
  ASSERT_EQ(hub_.Commit("g", "t", 0, 4).code, StatusCode::OK);
  ASSERT_EQ(hub_.Commit("g", "a", 0, 0).code, StatusCode::OK);
  const auto all = List("g");
  ASSERT_THAT(all.offsets(), SizeIs(3));
  EXPECT_EQ(all.offsets(0).topic(), "a");
  EXPECT_EQ(all.offsets(1).partition(), 0);
  EXPECT_EQ(all.offsets(2).topic(), "t");
  EXPECT_EQ(all.offsets(2).topic_id(), hub_.catalog.Topic("t")->topic_id);
  EXPECT_EQ(all.offsets(2).partition(), 2);
  EXPECT_EQ(all.offsets(2).offset(), 3);
  EXPECT_EQ(all.offsets(2).metadata(), "words");
  EXPECT_GE(all.offsets(2).commit_time_ms(), before_ms);
  EXPECT_THAT(List("g", {"a"}).offsets(), SizeIs(1));
  EXPECT_THAT(List("g", {"a", "t"}).offsets(), SizeIs(3));
  EXPECT_THAT(List("h").offsets(), IsEmpty());
}

TEST_F(GroupPositionsTest, NothingIsCommittedOfAListWithOneThatCannotBe) {
  naru::v1::CommitOffsetsRequest request;
  request.set_group("g");
  for (int i = 0; i < 2; ++i) {
    request.add_offsets()->set_topic("t");
    request.mutable_offsets(i)->set_partition(i);
    request.mutable_offsets(i)->set_offset(i == 0 ? 4 : 5);
  }
  naru::v1::CommitOffsetsResponse response;
  const CallEnd end = hub_.Call(&Stub::CommitOffsets, request, &response);
  EXPECT_EQ(end.code, StatusCode::OUT_OF_RANGE);
  EXPECT_EQ(end.reason, "OFFSET_OUT_OF_RANGE");
  EXPECT_EQ(end.metadata.at("high_watermark"), "4");
  EXPECT_THAT(List("g").offsets(), IsEmpty());
}

TEST_F(GroupPositionsTest, OnlyMembersCommitWhileThereAreSomeAndOnlyWhatIsTheirs) {
  MemberStream first(hub_, JoinGroup("g", "t"));
  naru::v1::Joined joined = first.NextJoined();
  first.NextAssigned();
  EXPECT_EQ(hub_.Commit("g", "t", 0, 1).reason, "GROUP_NOT_EMPTY");
  EXPECT_EQ(hub_.Commit("g", "t", 0, 1, "", joined).code, StatusCode::OK);
  EXPECT_EQ(hub_.Committed("g", "t", 0), 1);
  naru::v1::Joined stale = joined;
  stale.set_member_epoch(joined.member_epoch() - 1);
  EXPECT_EQ(hub_.Commit("g", "t", 0, 2, "", stale).reason, "MEMBER_FENCED");
  stale = joined;
  stale.set_member_id("other");
  EXPECT_EQ(hub_.Commit("g", "t", 0, 2, "", stale).reason, "MEMBER_FENCED");
  hub_.catalog.SetTopic("u", 1);
  EXPECT_EQ(hub_.Commit("g", "u", 0, 0, "", joined).reason, "MEMBER_FENCED");
  EXPECT_EQ(hub_.Committed("g", "t", 0), 1);
}

TEST_F(GroupPositionsTest, AMemberLeavesByItsIdOrItsInstanceAndAnybodyElseHasLeft) {
  naru::v1::Join join = JoinGroup("g", "t");
  join.set_member_id("a");
  join.set_session_timeout_ms(60'000);
  auto a = std::make_unique<MemberStream>(hub_, join);
  a->NextJoined();
  join.set_member_id("b");
  join.set_instance_id("i");
  auto b = std::make_unique<MemberStream>(hub_, join);
  b->NextJoined();
  naru::v1::LeaveGroupRequest request;
  request.set_group("g");
  request.set_member_id("nobody");
  EXPECT_EQ(Leave(request).code, StatusCode::OK);
  request.set_instance_id("nobody");
  EXPECT_EQ(Leave(request).code, StatusCode::OK);
  EXPECT_THAT(hub_.Members("g"), ElementsAre("a", "b"));
  request.set_instance_id("i");
  EXPECT_EQ(Leave(request).code, StatusCode::OK);
  EXPECT_THAT(hub_.Members("g"), ElementsAre("a"));
  EXPECT_EQ(b->End().reason, "MEMBER_FENCED");
  // Also one that is away.
  a->Break();
  request.set_member_id("a");
  EXPECT_EQ(Leave(request).code, StatusCode::OK);
  EXPECT_THAT(hub_.Members("g"), IsEmpty());
  request.set_group("none");
  EXPECT_EQ(Leave(request).code, StatusCode::OK);
}

TEST_F(GroupPositionsTest, GroupsAreListedByNameInPages) {
  for (const char* group : {"c", "a", "b", "e", "d"}) hub_.Commit(group, "t", 0, 1);
  MemberStream member(hub_, JoinGroup("d", "t"));
  member.NextJoined();
  member.NextAssigned();
  const auto all = Groups(0);
  EXPECT_THAT(Names(all), ElementsAre("a", "b", "c", "d", "e"));
  EXPECT_EQ(all.next_page_token(), "");
  EXPECT_EQ(all.groups(0).state(), naru::v1::GROUP_STATE_EMPTY);
  EXPECT_EQ(all.groups(3).state(), naru::v1::GROUP_STATE_STABLE);
  EXPECT_EQ(all.groups(3).member_count(), 1);
  const auto first = Groups(2);
  EXPECT_THAT(Names(first), ElementsAre("a", "b"));
  EXPECT_EQ(Delete("b").code, StatusCode::OK) << "the next page does not depend on it";
  const auto second = Groups(2, first.next_page_token());
  EXPECT_THAT(Names(second), ElementsAre("c", "d"));
  const auto third = Groups(2, second.next_page_token());
  EXPECT_THAT(Names(third), ElementsAre("e"));
  EXPECT_EQ(third.next_page_token(), "");
  EXPECT_THAT(Names(Groups(1'000'000)), SizeIs(4));
}

TEST_F(GroupPositionsTest, AGroupIsDescribedWithItsMembersAndTheirLag) {
  hub_.MoveLogStart("t", 1, 2);
  ASSERT_EQ(hub_.Commit("g", "t", 0, 3, "words").code, StatusCode::OK);
  ASSERT_EQ(hub_.Commit("g", "t", 1, 1).code, StatusCode::OK) << "below the log's start";
  naru::v1::Join join = JoinGroup("g", "t");
  join.set_client_id("reports");
  join.set_instance_id("i");
  join.set_unacked_bytes_max(1'024);
  MemberStream member(hub_, join);
  const naru::v1::Joined joined = member.NextJoined();
  member.NextAssigned();
  const naru::v1::Group group = hub_.Describe("g");
  EXPECT_EQ(group.group(), "g");
  EXPECT_EQ(group.state(), naru::v1::GROUP_STATE_STABLE);
  EXPECT_EQ(group.epoch(), joined.member_epoch());
  ASSERT_THAT(group.members(), SizeIs(1));
  const naru::v1::GroupMember& described = group.members(0);
  EXPECT_EQ(described.member_id(), joined.member_id());
  EXPECT_EQ(described.instance_id(), "i");
  EXPECT_THAT(described.client(), ::testing::StartsWith("reports ipv4:127.0.0.1:"));
  EXPECT_EQ(described.member_epoch(), joined.member_epoch());
  EXPECT_THAT(described.topics(), ElementsAre("t"));
  ASSERT_THAT(group.partitions(), SizeIs(3));
  std::vector<int64_t> lags;
  for (const naru::v1::GroupPartition& partition : group.partitions()) {
    EXPECT_EQ(partition.member_id(), joined.member_id());
    EXPECT_FALSE(partition.revoking());
    EXPECT_EQ(partition.high_watermark(), 4);
    lags.push_back(partition.lag());
  }
  EXPECT_THAT(lags, ElementsAre(1, 2, 4));
  EXPECT_EQ(group.partitions(0).committed_offset(), 3);
  EXPECT_EQ(group.partitions(0).metadata(), "words");
  EXPECT_GT(group.partitions(0).commit_time_ms(), 0);
  EXPECT_EQ(group.partitions(1).log_start_offset(), 2);
  EXPECT_FALSE(group.partitions(2).has_committed_offset());
}

TEST_F(GroupPositionsTest, WhatMovesIsShownAsReconciling) {
  naru::v1::Join join = JoinGroup("g", "t");
  join.set_member_id("a");
  MemberStream first(hub_, join);
  first.NextJoined();
  first.NextAssigned();
  for (int i = 0; i < 3; ++i) first.NextDelivery();
  join.set_member_id("b");
  MemberStream second(hub_, join);
  second.NextJoined();
  const std::set<int> moving = first.NextRevoking();
  const naru::v1::Group group = hub_.Describe("g");
  EXPECT_EQ(group.state(), naru::v1::GROUP_STATE_RECONCILING);
  for (const naru::v1::GroupPartition& partition : group.partitions()) {
    EXPECT_EQ(partition.member_id(), "a");
    EXPECT_EQ(partition.revoking(), moving.contains(partition.partition()));
  }
}

TEST_F(GroupPositionsTest, AGroupIsForgottenWithItsPositionsOnceItHasNoMembers) {
  EXPECT_EQ(Delete("g").reason, "GROUP_NOT_FOUND");
  {
    MemberStream member(hub_, JoinGroup("g", "t"));
    member.NextJoined();
    member.NextAssigned();
    member.Ack(member.NextDelivery().delivery_id());
    const CallEnd end = Delete("g");
    EXPECT_EQ(end.code, StatusCode::FAILED_PRECONDITION);
    EXPECT_EQ(end.reason, "GROUP_NOT_EMPTY");
    member.HalfClose();
    member.End();
  }
  ASSERT_TRUE(WaitFor([&] { return hub_.Members("g").empty(); }));
  EXPECT_THAT(List("g").offsets(), SizeIs(1));
  EXPECT_EQ(Delete("g").code, StatusCode::OK);
  EXPECT_THAT(List("g").offsets(), IsEmpty());
  EXPECT_THAT(Groups(0).groups(), IsEmpty());
  EXPECT_EQ(Delete("g").reason, "GROUP_NOT_FOUND");
  naru::v1::GetGroupRequest request;
  request.set_group("g");
  naru::v1::GetGroupResponse response;
  const CallEnd end = hub_.Call(&Stub::GetGroup, request, &response);
  EXPECT_EQ(end.code, StatusCode::NOT_FOUND);
  EXPECT_EQ(end.reason, "GROUP_NOT_FOUND");
}

}  // namespace
}  // namespace naru::services
