// Where members begin, when they commit, and in which form they get records.
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/services/group/member_stream.h"

namespace naru::services {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class ConsumePositionsTest : public ::testing::Test {
 protected:
  ConsumePositionsTest() { hub_.catalog.SetTopic("t", 1); }

  static naru::v1::Join JoinWith(naru::v1::StartPolicy start,
                                 naru::v1::CommitMode mode = naru::v1::COMMIT_MODE_ON_ACK) {
    naru::v1::Join join = JoinGroup("g", "t");
    join.set_start(start);
    join.set_commit_mode(mode);
    return join;
  }

  GroupHub hub_;
};

TEST_F(ConsumePositionsTest, AMemberThatBeginsAtTheEndGetsOnlyWhatComesAndCommitsWhereItBegan) {
  hub_.Append("t", 0, {"before"});
  MemberStream member(hub_, JoinWith(naru::v1::START_POLICY_LATEST));
  member.NextJoined();
  member.NextAssigned();
  EXPECT_TRUE(WaitFor([&] { return hub_.Committed("g", "t", 0) == 1; }));
  hub_.Append("t", 0, {"after"});
  const naru::v1::GroupDelivery delivery = member.NextDelivery();
  EXPECT_THAT(Values(delivery.records()), ElementsAre("after"));
  EXPECT_EQ(delivery.records(0).offset(), 1);
}

TEST_F(ConsumePositionsTest, AMemberThatMustNotGuessFailsWithoutACommittedPosition) {
  MemberStream member(hub_, JoinWith(naru::v1::START_POLICY_FAIL));
  const CallEnd end = member.End();
  EXPECT_EQ(end.code, grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(end.reason, "NO_COMMITTED_OFFSET");
  EXPECT_EQ(end.metadata.at("topic"), "t");
  EXPECT_EQ(end.metadata.at("partition"), "0");
}

TEST_F(ConsumePositionsTest, AMemberThatMustNotGuessReadsFromACommittedPosition) {
  hub_.Append("t", 0, {"a", "b"});
  ASSERT_EQ(hub_.Commit("g", "t", 0, 1).code, grpc::StatusCode::OK);
  MemberStream member(hub_, JoinWith(naru::v1::START_POLICY_FAIL));
  member.NextJoined();
  member.NextAssigned();
  EXPECT_THAT(Values(member.NextDelivery().records()), ElementsAre("b"));
}

TEST_F(ConsumePositionsTest, RetentionThatPassedTheCommittedPositionIsForTheStartPolicyToDecide) {
  hub_.Append("t", 0, {"a"});
  hub_.Append("t", 0, {"b"});
  hub_.Append("t", 0, {"c"});
  ASSERT_EQ(hub_.Commit("g", "t", 0, 0).code, grpc::StatusCode::OK);
  hub_.MoveLogStart("t", 0, 1);
  {
    MemberStream member(hub_, JoinWith(naru::v1::START_POLICY_FAIL));
    const CallEnd end = member.End();
    EXPECT_EQ(end.code, grpc::StatusCode::OUT_OF_RANGE);
    EXPECT_EQ(end.reason, "OFFSET_OUT_OF_RANGE");
    EXPECT_EQ(end.metadata.at("log_start_offset"), "1");
  }
  {
    MemberStream member(hub_, JoinWith(naru::v1::START_POLICY_EARLIEST));
    member.NextJoined();
    member.NextAssigned();
    EXPECT_THAT(Values(member.NextDelivery().records()), ElementsAre("b", "c"));
    member.HalfClose();
    member.End();
  }
  MemberStream member(hub_, JoinWith(naru::v1::START_POLICY_LATEST));
  member.NextJoined();
  member.NextAssigned();
  EXPECT_TRUE(WaitFor([&] { return hub_.Committed("g", "t", 0) == 3; }));
  hub_.Append("t", 0, {"d"});
  EXPECT_THAT(Values(member.NextDelivery().records()), ElementsAre("d"));
}

TEST_F(ConsumePositionsTest, CommittedOnDeliveryIsWhatWasDelivered) {
  hub_.Append("t", 0, {"a", "b"});
  {
    MemberStream member(hub_, JoinWith(naru::v1::START_POLICY_EARLIEST, naru::v1::COMMIT_MODE_ON_DELIVERY));
    member.NextJoined();
    member.NextAssigned();
    EXPECT_EQ(member.NextDelivery().next_offset(), 2);
    EXPECT_EQ(hub_.Committed("g", "t", 0), 2);
    member.HalfClose();
    EXPECT_EQ(member.End().code, grpc::StatusCode::OK);
  }
  hub_.Append("t", 0, {"c"});
  MemberStream member(hub_, JoinGroup("g", "t"));
  member.NextJoined();
  member.NextAssigned();
  EXPECT_THAT(Values(member.NextDelivery().records()), ElementsAre("c")) << "at most once";
}

TEST_F(ConsumePositionsTest, AMemberThatCommitsItselfCommitsWhatItSaysWithItsWords) {
  hub_.Append("t", 0, {"a", "b"});
  MemberStream member(hub_, JoinWith(naru::v1::START_POLICY_EARLIEST, naru::v1::COMMIT_MODE_EXPLICIT));
  member.NextJoined();
  member.NextAssigned();
  member.Ack(member.NextDelivery().delivery_id());
  member.Commit(7, "t", 0, 1, "words");
  naru::v1::ConsumeResponse response = member.Next();
  EXPECT_EQ(response.commit_result().commit_id(), 7) << response.DebugString();
  EXPECT_FALSE(response.commit_result().has_error());
  EXPECT_EQ(hub_.Committed("g", "t", 0), 1) << "and not what was acknowledged";
  EXPECT_EQ(hub_.Describe("g").partitions(0).metadata(), "words");
  member.Commit(8, "t", 0, 3);
  response = member.Next();
  EXPECT_EQ(response.commit_result().commit_id(), 8);
  EXPECT_EQ(response.commit_result().error().reason(), "OFFSET_OUT_OF_RANGE");
  EXPECT_EQ(hub_.Committed("g", "t", 0), 1);
}

TEST_F(ConsumePositionsTest, APositionOfAPartitionThatIsAnothersIsNotCommittedNorAnyOther) {
  hub_.catalog.SetTopic("u", 1);
  MemberStream member(hub_, JoinGroup("g", "t"));
  member.NextJoined();
  member.NextAssigned();
  naru::v1::ConsumeRequest request;
  for (const char* topic : {"t", "u"}) request.mutable_commit()->add_offsets()->set_topic(topic);
  member.Send(request);
  EXPECT_EQ(member.Next().commit_result().error().reason(), "MEMBER_FENCED");
  EXPECT_EQ(hub_.Committed("g", "t", 0), -1);
  EXPECT_EQ(hub_.Committed("g", "u", 0), -1);
}

TEST_F(ConsumePositionsTest, OutOfOrderAcksCommitOnlyAPrefix) {
  std::vector<int64_t> ids;
  MemberStream member(hub_, JoinGroup("g", "t"));
  member.NextJoined();
  member.NextAssigned();
  for (const char* value : {"a", "b", "c"}) {
    hub_.Append("t", 0, {value});
    ids.push_back(member.NextDelivery().delivery_id());
  }
  EXPECT_THAT(ids, ElementsAre(1, 2, 3));
  member.Ack(1);
  member.Ack(3);
  member.HalfClose();
  EXPECT_EQ(member.End().code, grpc::StatusCode::OK);
  EXPECT_EQ(hub_.Committed("g", "t", 0), 1);
}

TEST_F(ConsumePositionsTest, StoredBatchesComeAsTheyWereStored) {
  hub_.Append("t", 0, {"a", "b"});
  naru::v1::Join join = JoinGroup("g", "t");
  join.set_delivery(naru::v1::DELIVERY_STORED_BATCHES);
  MemberStream member(hub_, join);
  member.NextJoined();
  member.NextAssigned();
  const naru::v1::GroupDelivery delivery = member.NextDelivery();
  EXPECT_THAT(delivery.records(), IsEmpty());
  ASSERT_THAT(delivery.batches(), SizeIs(1));
  EXPECT_EQ(delivery.batches(0).next_offset(), 2);
  EXPECT_THAT(Values(delivery.batches(0).batch().records()), ElementsAre("a", "b"));
  EXPECT_EQ(delivery.next_offset(), 2);
}

TEST_F(ConsumePositionsTest, DeliveriesAreNotLargerThanTheMemberWants) {
  hub_.Append("t", 0, std::vector<std::string>(10, std::string(1'000, 'v')));
  naru::v1::Join join = JoinGroup("g", "t");
  join.set_max_message_bytes(3'000);
  MemberStream member(hub_, join);
  member.NextJoined();
  member.NextAssigned();
  int64_t next = 0;
  while (next < 10) {
    const naru::v1::GroupDelivery delivery = member.NextDelivery();
    EXPECT_LE(delivery.ByteSizeLong(), 3'000u);
    ASSERT_EQ(delivery.records(0).offset(), next);
    next = delivery.next_offset();
  }
}

TEST_F(ConsumePositionsTest, NoMoreThanTheMemberWantsIsSentWithoutAnAck) {
  for (int i = 0; i < 3; ++i) hub_.Append("t", 0, {std::string(1'000, 'v')});
  naru::v1::Join join = JoinGroup("g", "t");
  join.set_max_message_bytes(1'100);
  join.set_unacked_bytes_max(1'024);
  MemberStream member(hub_, join);
  member.NextJoined();
  member.NextAssigned();
  const int64_t first = member.NextDelivery().delivery_id();
  member.NextDelivery();
  EXPECT_TRUE(member.OnlyIdleUntilIdle());
  member.Ack(first);
  EXPECT_EQ(member.NextDelivery().next_offset(), 3);
}

}  // namespace
}  // namespace naru::services
