// A member that commits by itself, or before it is given anything.
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/services/group/session_recorder.h"

namespace naru::services {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::SizeIs;

class ExplicitCommitsTest : public GroupSessionTest {
 protected:
  ExplicitCommitsTest() { plan_.commit_mode = naru::v1::COMMIT_MODE_EXPLICIT; }
};

class CommitOnDeliveryTest : public GroupSessionTest {
 protected:
  CommitOnDeliveryTest() { plan_.commit_mode = naru::v1::COMMIT_MODE_ON_DELIVERY; }
};

TEST_F(ExplicitCommitsTest, AcksCommitNothing) {
  JoinWith({{0, 0}});
  session_.Ack("ack", Deliver(1));
  EXPECT_THAT(effects_.commits, IsEmpty());
}

TEST_F(ExplicitCommitsTest, ACommitIsAnsweredWhenItIsDurable) {
  JoinWith({{0, 0}});
  Commit(55, 0, 4);
  EXPECT_THAT(LastCommit(), ElementsAre(Pair(0, 4)));
  EXPECT_EQ(effects_.commits[0].commit.member_id, "m");
  EXPECT_EQ(effects_.commits[0].commit.member_epoch, 7);
  EXPECT_THAT(Written(2), IsEmpty());
  Committed();
  EXPECT_THAT(Written(2), ElementsAre("result 55"));
  EXPECT_FALSE(last().commit_result().has_error());
}

TEST_F(ExplicitCommitsTest, CommitsDoNotWaitForOneAnother) {
  JoinWith({{0, 0}});
  Commit(1, 0, 4);
  Commit(2, 0, 5);
  ASSERT_THAT(effects_.commits, SizeIs(2));
  session_.OnCommitted(effects_.commits[0].number, absl::OkStatus());
  session_.OnCommitted(effects_.commits[1].number, absl::OkStatus());
  TakeAll();
  EXPECT_THAT(Written(2), ElementsAre("result 1", "result 2"));
}

TEST_F(ExplicitCommitsTest, ACommitThatIsRefusedIsAResultAndTheStreamGoesOn) {
  JoinWith({{0, 0}});
  Commit(1, 0, 4);
  Committed(MakeError(Reason::kMemberFenced, "not yours"));
  EXPECT_EQ(last().commit_result().error().reason(), "MEMBER_FENCED");
  TakeAll();
  EXPECT_FALSE(effects_.finished);
  Deliver(1);
}

TEST_F(ExplicitCommitsTest, ACommitThatCannotBeIsAResultAndReachesNobody) {
  JoinWith({{0, 0}});
  Commit(1, 0, 101);
  EXPECT_EQ(last().commit_result().error().reason(), "OFFSET_OUT_OF_RANGE");
  TakeAll();
  Commit(2, 0, -1);
  EXPECT_EQ(last().commit_result().error().reason(), "INVALID_FIELD");
  TakeAll();
  Commit(3, 9, 1);
  EXPECT_EQ(last().commit_result().error().reason(), "PARTITION_NOT_FOUND");
  EXPECT_THAT(effects_.commits, IsEmpty());
}

TEST_F(ExplicitCommitsTest, ACommitBeforeTheMembershipBeginsIsRefused) {
  session_.Join(plan_);
  Commit(1, 0, 4);
  EXPECT_THAT(effects_.commits, IsEmpty());
  EXPECT_EQ(last().commit_result().error().reason(), "MEMBER_FENCED");
}

TEST_F(ExplicitCommitsTest, NoMoreIsTakenFromTheClientWhileTooManyCommitsAreUnderWay) {
  JoinWith({{0, 0}});
  for (size_t i = 0; i < GroupSession::kExplicitCommitsMax; ++i) {
    ASSERT_TRUE(session_.accepts_requests()) << i;
    Commit(1, 0, 1);
  }
  EXPECT_FALSE(session_.accepts_requests());
  session_.OnCommitted(effects_.commits[0].number, absl::OkStatus());
  EXPECT_TRUE(session_.accepts_requests());
  session_.OnCommitted(effects_.commits[1].number, absl::OkStatus());
  TakeAll();
  EXPECT_TRUE(session_.accepts_requests());
}

TEST_F(GroupSessionTest, PositionsAreCommittedInTheOrderThatTheClientAskedForThem) {
  JoinWith({{0, 0}});
  const int64_t first = Deliver(1);
  const int64_t second = Deliver(1);
  session_.Ack("ack", first);
  session_.Ack("ack", second);  // waits for the commit of the first
  Commit(1, 0, 50);
  std::map<int, int64_t> committed;
  for (size_t i = 0; i < effects_.commits.size(); ++i) {
    for (const auto& [partition, position] : effects_.commits[i].commit.offsets) {
      committed[partition.partition] = position.offset;
    }
    session_.OnCommitted(effects_.commits[i].number, absl::OkStatus());
  }
  EXPECT_EQ(committed[0], 50) << "the ack came before";
}

TEST_F(CommitOnDeliveryTest, WhatIsDeliveredIsCommittedBefore) {
  JoinWith({{0, 0}});
  AnswerRead(2);
  EXPECT_THAT(LastCommit(), ElementsAre(Pair(0, 2)));
  session_.OnTick();  // whatever else happens meanwhile
  EXPECT_THAT(Written(2), IsEmpty());
  EXPECT_FALSE(session_.settled());
  Committed();
  EXPECT_THAT(Written(2), ElementsAre("delivery 0"));
}

TEST_F(CommitOnDeliveryTest, AcksCommitNothingButMakeRoom) {
  plan_.unacked_bytes_max = 1'024;
  JoinWith({{0, 0}});
  AnswerRead(1, 2'000);
  AnswerRead(1, 2'000);  // ahead
  Committed();
  TakeAll();
  EXPECT_THAT(effects_.commits, SizeIs(1)) << "2,000 bytes are out";
  session_.Ack("ack", last().delivery().delivery_id());
  EXPECT_THAT(LastCommit(), ElementsAre(Pair(0, 2)));
  EXPECT_THAT(effects_.commits, SizeIs(2)) << "of the next delivery";
}

TEST_F(CommitOnDeliveryTest, WhatCannotBeCommittedIsNotDelivered) {
  JoinWith({{0, 0}});
  AnswerRead(2);
  Committed(MakeError(Reason::kMemberFenced, "newer"));
  EXPECT_THAT(Written(2), IsEmpty());
  EXPECT_EQ(ReasonOf(Failure()), Reason::kMemberFenced);
}

TEST_F(CommitOnDeliveryTest, APartitionThatIsTakenGoesAfterTheDeliveryThatWasCommittedForIt) {
  JoinWith({{0, 0}});
  AnswerRead(2);
  Revoke({0});
  EXPECT_THAT(effects_.effects, ElementsAre("join g", "commit"));
  Committed();
  TakeAll();
  EXPECT_THAT(effects_.effects, ElementsAre("join g", "commit")) << "it is not acknowledged";
  // Nothing comes of a partition that the client was told goes.
  EXPECT_THAT(Written(2), ElementsAre("delivery 0", "revoking 0"));
  session_.Ack("ack", 1);
  EXPECT_THAT(effects_.effects, ElementsAre("join g", "commit", "release 0"));
}

TEST_F(CommitOnDeliveryTest, HalfCloseStillDeliversWhatWasCommitted) {
  JoinWith({{0, 0}});
  AnswerRead(2);
  session_.OnHalfClose();
  EXPECT_FALSE(effects_.finished);
  Committed();
  EXPECT_THAT(Written(2), ElementsAre("delivery 0"));
  TakeAll();
  ASSERT_TRUE(effects_.finished);
  EXPECT_TRUE(effects_.finished->ok());
}

TEST_F(CommitOnDeliveryTest, OneDeliveryAtATimeIsCommitted) {
  JoinWith({{0, 0}});
  AnswerRead(1);
  AnswerRead(1);
  EXPECT_THAT(effects_.commits, SizeIs(1));
  Committed();
  TakeAll();
  EXPECT_THAT(Written(2), ElementsAre("delivery 0"));
  ASSERT_THAT(effects_.commits, SizeIs(2));
  EXPECT_THAT(LastCommit(), ElementsAre(Pair(0, 2)));
}

}  // namespace
}  // namespace naru::services
