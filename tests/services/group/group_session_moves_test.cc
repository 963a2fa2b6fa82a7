// Partitions that are taken from a member, and positions that the log has moved past.
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/services/group/session_recorder.h"

namespace naru::services {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::SizeIs;

absl::Status OutOfRange() { return MakeError(Reason::kOffsetOutOfRange, "offset: gone"); }

TEST_F(GroupSessionTest, APartitionOfWhichNothingIsOutstandingIsReleasedAtOnce) {
  JoinWith({{0, 0}, {1, 0}});
  Revoke({1});
  TakeAll();
  EXPECT_THAT(Written(2), ElementsAre("revoking 1"));
  EXPECT_EQ(last().revoking().partitions(0).topic(), "t");
  EXPECT_EQ(last().revoking().partitions(0).topic_id(), kTopicId);
  EXPECT_THAT(effects_.effects, ElementsAre("join g", "release 1"));
}

TEST_F(GroupSessionTest, APartitionIsReleasedAfterItsLastAckAndItsCommit) {
  JoinWith({{0, 0}});
  const int64_t first = Deliver(1);
  const int64_t second = Deliver(1);
  Revoke({0});
  TakeAll();
  session_.Ack("ack", second);
  EXPECT_THAT(effects_.effects, ElementsAre("join g"));
  session_.Ack("ack", first);
  EXPECT_THAT(effects_.effects, ElementsAre("join g", "commit", "release 0"));
  EXPECT_THAT(LastCommit(), ElementsAre(Pair(0, 2)));
}

TEST_F(GroupSessionTest, TheLastCommitOfAPartitionDoesNotWaitForTheOneUnderWay) {
  JoinWith({{0, 0}});
  const int64_t first = Deliver(1);
  const int64_t second = Deliver(1);
  session_.Ack("ack", first);
  Revoke({0});
  session_.Ack("ack", second);
  EXPECT_THAT(effects_.effects, ElementsAre("join g", "commit", "commit", "release 0"));
  EXPECT_THAT(LastCommit(), ElementsAre(Pair(0, 2)));
}

TEST_F(GroupSessionTest, NothingMoreIsDeliveredOfWhatIsTaken) {
  JoinWith({{0, 0}, {1, 0}});
  AnswerRead(1);  // of 0, being written
  Take();
  const int64_t id = last().delivery().delivery_id();
  ASSERT_EQ(effects_.reads.back().request.log, Log(1));
  AnswerRead(1);  // of 1, being written
  AnswerRead(1);  // of 0, ready behind it
  Revoke({0});
  TakeAll();
  AnswerRead(1);
  TakeAll();
  EXPECT_THAT(Written(2), ElementsAre("delivery 0", "delivery 1", "revoking 0", "delivery 1"));
  session_.Ack("ack", id);
  EXPECT_EQ(effects_.effects.back(), "release 0");
}

TEST_F(GroupSessionTest, AReadThatComesBackAfterThePartitionWentIsDropped) {
  JoinWith({{0, 0}});
  Revoke({0});
  AnswerRead(2);
  TakeAll();
  EXPECT_THAT(Written(2), ElementsAre("revoking 0"));
  EXPECT_THAT(effects_.watches, IsEmpty());
}

TEST_F(GroupSessionTest, WhatIsTakenAgainBeforeTheClientHeardOfItIsNotToldAtAll) {
  session_.Join(plan_);
  session_.OnJoined("m", 7);
  Assign({{0, 0}, {1, 0}});
  Revoke({0});
  TakeAll();
  EXPECT_THAT(Written(), ElementsAre("joined", "assigned 1"));
  EXPECT_THAT(effects_.effects, ElementsAre("join g", "release 0"));
}

TEST_F(GroupSessionTest, APartitionThatGoesAndComesBackIsToldInThatOrder) {
  JoinWith({{0, 0}, {1, 0}});
  AnswerRead(1);  // being written
  Revoke({1});
  Assign({{1, 0}});
  TakeAll();
  EXPECT_THAT(Written(2), ElementsAre("delivery 0", "revoking 1", "assigned 1"));
}

TEST_F(GroupSessionTest, APartitionThatComesBackIsReadFromItsNewPositionAndOldAcksCountForNothing) {
  JoinWith({{0, 0}, {1, 0}});
  const int64_t first = Deliver(5);
  const int64_t of_other = Deliver(1);
  session_.Ack("ack", first);
  Committed();
  Revoke({0});
  TakeAll();
  Assign({{0, 20}});
  TakeAll();
  ASSERT_TRUE(effects_.reading);
  AnswerRead(1);
  TakeAll();
  while (effects_.reading && effects_.reads.back().request.log != Log(0)) AnswerRead(0);
  const size_t commits = effects_.commits.size();
  session_.Ack("ack", first);
  EXPECT_THAT(effects_.commits, SizeIs(commits));
  session_.Ack("ack", of_other);
  EXPECT_THAT(LastCommit(), ElementsAre(Pair(1, 1)));
}

TEST_F(GroupSessionTest, RetentionThatPassedTheCommittedPositionMovesItToTheLogsBeginning) {
  effects_.ends[Log(0)] = {Offset(40), Offset(90)};
  JoinWith({{0, 5}});
  FailRead(OutOfRange());
  ASSERT_TRUE(effects_.reading);
  EXPECT_EQ(effects_.reads.back().request.from, Offset(40));
  EXPECT_THAT(effects_.commits, IsEmpty());
  session_.Ack("ack", Deliver(2));
  EXPECT_THAT(LastCommit(), ElementsAre(Pair(0, 42)));
}

TEST_F(GroupSessionTest, RetentionThatPassedTheCommittedPositionMovesALatestMemberToTheEnd) {
  plan_.start = naru::v1::START_POLICY_LATEST;
  effects_.ends[Log(0)] = {Offset(40), Offset(90)};
  JoinWith({{0, 5}});
  EXPECT_THAT(effects_.commits, IsEmpty());
  FailRead(OutOfRange());
  ASSERT_TRUE(effects_.reading);
  EXPECT_EQ(effects_.reads.back().request.from, Offset(90));
  EXPECT_THAT(LastCommit(), ElementsAre(Pair(0, 90)));
}

TEST_F(GroupSessionTest, RetentionThatPassedTheCommittedPositionEndsAMemberThatMustNotSkip) {
  plan_.start = naru::v1::START_POLICY_FAIL;
  JoinWith({{0, 5}});
  FailRead(OutOfRange());
  EXPECT_EQ(ReasonOf(Failure()), Reason::kOffsetOutOfRange);
}

TEST_F(GroupSessionTest, AnAckOfBeforeTheLogMovedDoesNotTakeThePositionBack) {
  plan_.start = naru::v1::START_POLICY_LATEST;
  JoinWith({{0, 5}});
  const int64_t before = Deliver(2);
  effects_.ends[Log(0)] = {Offset(40), Offset(90)};
  FailRead(OutOfRange());
  EXPECT_THAT(LastCommit(), ElementsAre(Pair(0, 90)));
  Committed();
  session_.Ack("ack", before);
  EXPECT_THAT(LastCommit(), ElementsAre(Pair(0, 90))) << "else the next reader would skip to a later end";
  session_.Ack("ack", Deliver(3));
  EXPECT_THAT(LastCommit(), ElementsAre(Pair(0, 93)));
}

TEST_F(GroupSessionTest, AMemberThatBeginsAtTheEndCommitsWhereThatIs) {
  plan_.start = naru::v1::START_POLICY_LATEST;
  JoinWith({{0, -1}, {1, 7}});
  EXPECT_THAT(LastCommit(), ElementsAre(Pair(0, 100)));
  ASSERT_THAT(effects_.reads, SizeIs(1));
  EXPECT_EQ(effects_.reads[0].request.from, Offset(100));
}

TEST_F(GroupSessionTest, AMemberThatCommitsItselfIsNotCommittedForWhereItBegins) {
  plan_.start = naru::v1::START_POLICY_LATEST;
  plan_.commit_mode = naru::v1::COMMIT_MODE_EXPLICIT;
  JoinWith({{0, -1}});
  EXPECT_THAT(effects_.commits, IsEmpty());
}

TEST_F(GroupSessionTest, NoPositionIsCommittedOfALogWhoseEndIsNotKnown) {
  plan_.start = naru::v1::START_POLICY_LATEST;
  Join();
  effects_.info_error = MakeError(Reason::kShuttingDown, "the store stops");
  Assign({{0, -1}});
  EXPECT_THAT(effects_.commits, IsEmpty());
  EXPECT_EQ(ReasonOf(Failure()), Reason::kShuttingDown);
}

TEST_F(GroupSessionTest, WithoutACommittedPositionAMemberThatMustNotGuessEnds) {
  plan_.start = naru::v1::START_POLICY_FAIL;
  Join();
  Assign({{0, 3}, {1, -1}});
  EXPECT_EQ(ReasonOf(Failure()), Reason::kNoCommittedOffset);
  EXPECT_EQ(MetadataValue(Failure(), "topic"), "t");
  EXPECT_EQ(MetadataValue(Failure(), "partition"), "1");
}

TEST_F(GroupSessionTest, ManyPartitionsWithLongMetadataAreToldInMessagesThatFit) {
  SetPartitions(2'000);
  Join();
  Assignment assignment;
  for (int i = 0; i < 2'000; ++i) {
    assignment[Partition(i)] = cluster::CommittedOffset{.metadata = std::string(4'096, 'x')};
  }
  session_.OnAssigned(assignment);
  TakeAll();
  int told = 0;
  for (const naru::v1::ConsumeResponse& response : effects_.written) {
    told += response.assigned().partitions_size();
    EXPECT_LE(response.ByteSizeLong(), 4u << 20) << "what clients take by default";
  }
  EXPECT_EQ(told, 2'000);
}

}  // namespace
}  // namespace naru::services
