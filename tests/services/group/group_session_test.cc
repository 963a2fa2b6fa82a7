// One member's protocol: what it is told, what it is given, and what is committed.
#include "services/group/group_session.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/services/group/session_recorder.h"

namespace naru::services {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::SizeIs;

TEST_F(GroupSessionTest, TheClientIsToldThatItJoinedThenOfItsPartitionsThenGetsRecords) {
  session_.Join(plan_);
  ASSERT_THAT(effects_.joins, SizeIs(1));
  EXPECT_EQ(effects_.joins[0].member_id, "m");
  EXPECT_FALSE(session_.joined());
  EXPECT_THAT(effects_.written, IsEmpty());
  session_.OnJoined("m", 7);
  EXPECT_TRUE(session_.joined());
  Assign({{0, -1}, {1, 5}});
  EXPECT_THAT(Written(), ElementsAre("joined")) << "one write at a time";
  Take();
  EXPECT_THAT(Written(), ElementsAre("joined", "assigned 0 1"));
  AnswerRead(2);
  EXPECT_THAT(Written(), ElementsAre("joined", "assigned 0 1"));
  TakeAll();
  ASSERT_THAT(Written(), ElementsAre("joined", "assigned 0 1", "delivery 0"));
  EXPECT_EQ(effects_.written[0].joined().member_id(), "m");
  EXPECT_EQ(effects_.written[0].joined().member_epoch(), 7);
  const naru::v1::Assigned& assigned = effects_.written[1].assigned();
  EXPECT_EQ(assigned.partitions(0).topic(), "t");
  EXPECT_EQ(assigned.partitions(0).topic_id(), kTopicId);
  EXPECT_FALSE(assigned.partitions(0).has_committed_offset());
  EXPECT_EQ(assigned.partitions(1).committed_offset(), 5);
  EXPECT_EQ(assigned.partitions(1).metadata(), "mine");
  const naru::v1::GroupDelivery& delivery = effects_.written[2].delivery();
  EXPECT_EQ(delivery.delivery_id(), 1);
  EXPECT_EQ(delivery.topic(), "t");
  EXPECT_EQ(delivery.topic_id(), kTopicId);
  EXPECT_EQ(delivery.next_offset(), 2);
  EXPECT_EQ(delivery.high_watermark(), 100);
  EXPECT_EQ(delivery.log_start_offset(), 0);
  ASSERT_EQ(delivery.records_size(), 2);
  EXPECT_EQ(delivery.records(1).offset(), 1);
}

TEST_F(GroupSessionTest, TheIdOfAStaticMemberIsThatWhichTheGroupKnows) {
  session_.Join(plan_);
  session_.OnJoined("older", 9);
  EXPECT_EQ(last().joined().member_id(), "older");
  EXPECT_EQ(session_.member_id(), "older");
  TakeAll();
  Assign({{0, -1}});
  TakeAll();
  session_.Ack("ack", Deliver(1));
  EXPECT_EQ(effects_.commits.at(0).commit.member_id, "older");
  EXPECT_EQ(effects_.commits.at(0).commit.member_epoch, 9);
}

TEST_F(GroupSessionTest, ReadingBeginsAtTheCommittedPositionElseWhereTheLogBegins) {
  effects_.ends[Log(0)] = {Offset(3), Offset(9)};
  JoinWith({{0, -1}, {1, 5}});
  ASSERT_THAT(effects_.reads, SizeIs(1));
  EXPECT_EQ(effects_.reads[0].request.from, Offset(3));
  AnswerRead(0);
  ASSERT_THAT(effects_.reads, SizeIs(2));
  EXPECT_EQ(effects_.reads[1].request.log, Log(1));
  EXPECT_EQ(effects_.reads[1].request.from, Offset(5));
}

TEST_F(GroupSessionTest, AnAckCommitsTheDeliverysEndForTheMember) {
  JoinWith({{0, 10}});
  const int64_t id = Deliver(3);
  EXPECT_THAT(effects_.commits, IsEmpty());
  session_.Ack("ack", id);
  EXPECT_THAT(LastCommit(), ElementsAre(Pair(0, 13)));
  EXPECT_EQ(effects_.commits[0].commit.member_id, "m");
  EXPECT_EQ(effects_.commits[0].commit.member_epoch, 7);
}

TEST_F(GroupSessionTest, AnAckAheadOfAnEarlierOneCommitsNothingUntilThatComes) {
  JoinWith({{0, 0}});
  const int64_t first = Deliver(1);
  const int64_t second = Deliver(1);
  const int64_t third = Deliver(1);
  session_.Ack("ack", third);
  session_.Ack("ack", second);
  EXPECT_THAT(effects_.commits, IsEmpty());
  session_.Ack("ack", first);
  EXPECT_THAT(LastCommit(), ElementsAre(Pair(0, 3)));
  EXPECT_THAT(effects_.commits, SizeIs(1));
}

TEST_F(GroupSessionTest, WhatIsAcknowledgedWhileACommitIsUnderWayGathersInOneMore) {
  JoinWith({{0, 0}, {1, 0}});
  std::vector<int64_t> ids;
  for (int i = 0; i < 6; ++i) ids.push_back(Deliver(1));
  for (const int64_t id : ids) session_.Ack("ack", id);
  ASSERT_THAT(effects_.commits, SizeIs(1));
  EXPECT_THAT(LastCommit(), ElementsAre(Pair(0, 1)));
  Committed();
  ASSERT_THAT(effects_.commits, SizeIs(2));
  EXPECT_THAT(LastCommit(), ElementsAre(Pair(0, 3), Pair(1, 3)));
  Committed();
  EXPECT_THAT(effects_.commits, SizeIs(2)) << "all is committed";
}

TEST_F(GroupSessionTest, ASecondAckCommitsNothingAgain) {
  JoinWith({{0, 0}});
  const int64_t id = Deliver(1);
  session_.Ack("ack", id);
  Committed();
  session_.Ack("ack", id);
  EXPECT_THAT(effects_.commits, SizeIs(1));
  EXPECT_FALSE(effects_.finished);
}

TEST_F(GroupSessionTest, AnAckOfWhatWasNeverDeliveredEndsTheStream) {
  JoinWith({{0, 0}});
  const int64_t id = Deliver(1);
  session_.Ack("ack", id + 1);
  EXPECT_EQ(ReasonOf(Failure()), Reason::kInvalidField);
  EXPECT_TRUE(effects_.finished);
}

TEST_F(GroupSessionTest, NothingHappensAfterTheEnd) {
  JoinWith({{0, 0}, {1, 0}});
  const int64_t id = Deliver(1);
  Revoke({0});
  TakeAll();
  session_.Ack("ack", id + 100);
  ASSERT_TRUE(effects_.finished);
  session_.Ack("ack", id);  // of one message with several acks
  session_.OnTick();
  session_.OnEnded(MakeError(Reason::kMemberFenced, "newer"));
  EXPECT_EQ(effects_.effects.back(), "finish");
}

TEST_F(GroupSessionTest, DeliveriesStopWhenTooMuchIsNotAcknowledgedAndGoOnWithAnAck) {
  plan_.unacked_bytes_max = 1'500;
  JoinWith({{0, 0}});
  const int64_t first = Deliver(1, 1'000);
  Deliver(1, 1'000);
  EXPECT_FALSE(effects_.reading) << "2,000 bytes are out";
  EXPECT_TRUE(session_.settled());
  session_.Ack("ack", first);
  EXPECT_TRUE(effects_.reading);
  EXPECT_FALSE(session_.settled());
}

TEST_F(GroupSessionTest, OutOfOrderAcksGiveTheirBytesBackAtOnce) {
  plan_.unacked_bytes_max = 1'500;
  JoinWith({{0, 0}});
  Deliver(1, 1'000);
  const int64_t second = Deliver(1, 1'000);
  session_.Ack("ack", second);
  EXPECT_TRUE(effects_.reading);
  EXPECT_THAT(effects_.commits, IsEmpty());
}

TEST_F(GroupSessionTest, WhoNeverAcknowledgesTheFirstGetsOnlySoManyMore) {
  JoinWith({{0, 0}});
  Deliver(1);
  size_t delivered = 1;
  while (effects_.reading) {
    session_.Ack("ack", Deliver(1));
    ASSERT_LE(++delivered, GroupSession::kDeliveriesMax);
  }
  EXPECT_EQ(delivered, GroupSession::kDeliveriesMax);
  session_.Ack("ack", 1);
  EXPECT_TRUE(effects_.reading);
}

TEST_F(GroupSessionTest, ACommitThatIsRefusedEndsTheStream) {
  JoinWith({{0, 0}});
  session_.Ack("ack", Deliver(1));
  Committed(MakeError(Reason::kMemberFenced, "newer"));
  EXPECT_EQ(ReasonOf(Failure()), Reason::kMemberFenced);
}

TEST_F(GroupSessionTest, WithoutMemoryForAPartitionTheStreamEnds) {
  Join();
  effects_.memory_ok = false;
  Assign({{0, 0}});
  EXPECT_EQ(ReasonOf(Failure()), Reason::kTooManyInFlight);
}

TEST_F(GroupSessionTest, MemoryIsSetAsideOnceForAPartitionThatComesAndGoes) {
  JoinWith({{0, 0}});
  for (int i = 0; i < 3; ++i) {
    Revoke({0});
    TakeAll();
    Assign({{0, 0}});
    TakeAll();
  }
  EXPECT_EQ(effects_.set_aside, 1);
}

TEST_F(GroupSessionTest, WhileNothingMayBeDeliveredNothingIsAndNothingIsSkipped) {
  JoinWith({{0, 0}});
  session_.SetDelivering(false);
  AnswerRead(2);
  EXPECT_THAT(Written(), ElementsAre("joined", "assigned 0"));
  EXPECT_FALSE(effects_.reading);
  session_.SetDelivering(true);
  ASSERT_TRUE(effects_.reading);
  EXPECT_EQ(effects_.reads.back().request.from, Offset(0)) << "read again";
  Deliver(2);
  EXPECT_EQ(last().delivery().next_offset(), 2);
}

TEST_F(GroupSessionTest, WhatIsReadyWhenDeliveringStopsIsReadAgainLater) {
  JoinWith({{0, 0}});
  AnswerRead(1);  // being written
  AnswerRead(1);  // ready behind it
  session_.SetDelivering(false);
  TakeAll();
  EXPECT_THAT(Written(), ElementsAre("joined", "assigned 0", "delivery 0"));
  session_.SetDelivering(true);
  ASSERT_TRUE(effects_.reading);
  EXPECT_EQ(effects_.reads.back().request.from, Offset(1));
}

TEST_F(GroupSessionTest, APartitionThatCannotBeReadIsToldOfAndTheOthersGoOn) {
  JoinWith({{0, 3}, {1, 0}});
  FailRead(MakeError(Reason::kCorruptData, "bad"));
  ASSERT_EQ(last().failure().error().reason(), "CORRUPT_DATA");
  EXPECT_EQ(last().failure().topic(), "t");
  EXPECT_EQ(last().failure().partition(), 0);
  EXPECT_EQ(last().failure().next_offset(), 3);
  TakeAll();
  Deliver(1);
  EXPECT_EQ(last().delivery().partition(), 1);
  // It stays assigned: it is revoked and released as any other.
  Revoke({0});
  TakeAll();
  EXPECT_EQ(last().revoking().partitions(0).partition(), 0);
  EXPECT_THAT(effects_.effects, ElementsAre("join g", "release 0"));
}

TEST_F(GroupSessionTest, ATopicThatIsGoneIsNoFailureSinceItWillBeRevoked) {
  JoinWith({{0, 0}});
  FailRead(MakeError(Reason::kPartitionNotFound, "log: 1 is not in this store"));
  TakeAll();
  EXPECT_THAT(Written(), ElementsAre("joined", "assigned 0"));
  EXPECT_FALSE(effects_.finished);
}

TEST_F(GroupSessionTest, AnAssignmentOfAnUnknownPartitionIsNotToldAndReleasedWhenItIsTaken) {
  Join();
  Assign({{9, 0}});
  EXPECT_THAT(Written(), ElementsAre("joined"));
  Revoke({9});
  EXPECT_THAT(Written(), ElementsAre("joined"));
  EXPECT_THAT(effects_.effects, ElementsAre("join g", "release 9"));
}

}  // namespace
}  // namespace naru::services
