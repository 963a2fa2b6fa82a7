// What is to be committed while the group's coordinator moves.
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/services/group/resuming_session.h"

namespace naru::services {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::SizeIs;

TEST_F(ResumingSessionTest, ACommitThatFailsSinceTheCoordinatorMovesGoesOutAgain) {
  JoinWith({{0, 0}});
  for (const Reason reason : {Reason::kCoordinatorLoading, Reason::kNoLeader, Reason::kLeaderChanged}) {
    SCOPED_TRACE(ReasonName(reason));
    session_.Ack("ack", Deliver(2));
    const std::map<int, int64_t> wanted = LastCommit();
    const size_t commits = effects_.commits.size();
    Committed(Moving(reason));
    session_.OnEnded(Moving(reason));
    EXPECT_FALSE(effects_.finished);
    EXPECT_THAT(effects_.commits, SizeIs(commits));
    Resume({{0, 0}});
    ASSERT_THAT(effects_.commits, SizeIs(commits + 1));
    EXPECT_EQ(LastCommit(), wanted);
    Committed();
  }
  EXPECT_THAT(effects_.commits, SizeIs(6));
}

TEST_F(ResumingSessionTest, ACommitThatIsAnsweredWhenTheSessionHasResumedGoesOutAgainToo) {
  JoinWith({{0, 0}});
  session_.Ack("ack", Deliver(2));
  LoseCoordinator();
  Resume({{0, 0}});
  EXPECT_THAT(effects_.commits, SizeIs(1));
  Committed(Moving(Reason::kLeaderChanged));
  clock_.AdvanceMs(50);
  session_.OnTick();
  EXPECT_THAT(effects_.commits, SizeIs(2));
  EXPECT_THAT(LastCommit(), ElementsAre(Pair(0, 2)));
}

TEST_F(ResumingSessionTest, ACommitThatFailsWhileTheMembershipStandsGoesOutAgainInAMoment) {
  JoinWith({{0, 0}});
  session_.Ack("ack", Deliver(2));
  Committed(Moving());
  EXPECT_EQ(session_.NextTick(), std::chrono::milliseconds(50));
  session_.OnTick();
  EXPECT_THAT(effects_.commits, SizeIs(1));
  clock_.AdvanceMs(50);
  session_.OnTick();
  EXPECT_THAT(effects_.commits, SizeIs(2));
  EXPECT_THAT(LastCommit(), ElementsAre(Pair(0, 2)));
}

TEST_F(ResumingSessionTest, CommitsThatFailForTheSessionTimeoutEndTheStream) {
  JoinWith({{0, 0}});
  session_.Ack("ack", Deliver(2));
  for (int ms = 0; ms < 10'000; ms += 50) {
    ASSERT_FALSE(effects_.finished) << ms;
    Committed(Moving(Reason::kNoLeader));
    clock_.AdvanceMs(50);
    session_.OnTick();
    TakeAll();
  }
  EXPECT_EQ(ReasonOf(Failure()), Reason::kNoLeader);
  EXPECT_FALSE(session_.leaves());
}

TEST_F(ResumingSessionTest, WhatIsAcknowledgedWhileAwayIsCommittedAfterwards) {
  JoinWith({{0, 0}, {1, 0}});
  session_.Ack("ack", Deliver(1));
  Committed(Moving());
  LoseCoordinator();
  session_.Ack("ack", Deliver(1));
  session_.Ack("ack", Deliver(1));
  Resume({{0, 0}, {1, 0}});
  std::map<int, int64_t> committed;
  for (size_t i = 1; i < effects_.commits.size(); ++i) {
    for (const auto& [partition, position] : effects_.commits[i].commit.offsets) {
      EXPECT_LE(committed[partition.partition], position.offset) << "never back";
      committed[partition.partition] = position.offset;
    }
    session_.OnCommitted(effects_.commits[i].number, absl::OkStatus());
  }
  EXPECT_THAT(committed, ElementsAre(Pair(0, 2), Pair(1, 1)));
}

TEST_F(ResumingSessionTest, ACommitThatIsFencedWhileAwayIsSortedOutAfterwards) {
  JoinWith({{0, 0}, {1, 0}});
  session_.Ack("ack", Deliver(1));
  LoseCoordinator();
  Committed(MakeError(Reason::kMemberFenced, "0 is not assigned"));
  EXPECT_FALSE(effects_.finished);
  Resume({{1, 0}});
  EXPECT_THAT(effects_.commits, SizeIs(1)) << "nothing of what it lost";
  EXPECT_FALSE(effects_.finished);
}

TEST_F(ResumingSessionTest, HalfCloseWhileAwayWaitsUntilWhatWasAcknowledgedIsCommitted) {
  JoinWith({{0, 0}});
  const int64_t id = Deliver(1);
  LoseCoordinator();
  session_.Ack("ack", id);
  session_.OnHalfClose();
  EXPECT_FALSE(effects_.finished);
  Resume({{0, 0}});
  TakeAll();
  EXPECT_FALSE(effects_.finished);
  Committed();
  ASSERT_TRUE(effects_.finished);
  EXPECT_TRUE(effects_.finished->ok());
  EXPECT_TRUE(session_.leaves());
}

TEST_F(ResumingSessionTest, APartitionIsReleasedAfterItsCommitThatCameBack) {
  JoinWith({{0, 0}, {1, 0}});
  session_.Ack("ack", Deliver(1));
  const int64_t of_1 = Deliver(1);
  ASSERT_EQ(last().delivery().partition(), 1);
  Committed(Moving());
  session_.Ack("ack", of_1);
  Revoke({1});
  TakeAll();
  EXPECT_EQ(CountOf("release 1"), 0) << "its commit stands in line";
  clock_.AdvanceMs(50);
  session_.OnTick();
  EXPECT_THAT(effects_.effects, ElementsAre("join g", "commit", "commit", "commit", "release 1"));
  EXPECT_THAT(LastCommit(), ElementsAre(Pair(1, 1)));
}

class ExplicitResumingTest : public ResumingSessionTest {
 protected:
  ExplicitResumingTest() { plan_.commit_mode = naru::v1::COMMIT_MODE_EXPLICIT; }
};

TEST_F(ExplicitResumingTest, ACommitIsAnsweredOnceWhateverHappensToTheCoordinator) {
  JoinWith({{0, 0}});
  Commit(55, 0, 4);
  Committed(Moving(Reason::kLeaderChanged));
  LoseCoordinator();
  Resume({{0, 0}});
  ASSERT_THAT(effects_.commits, SizeIs(2));
  EXPECT_THAT(LastCommit(), ElementsAre(Pair(0, 4)));
  EXPECT_THAT(Written(2), IsEmpty());
  Committed();
  TakeAll();
  EXPECT_THAT(Written(2), ElementsAre("result 55"));
  EXPECT_FALSE(last().commit_result().has_error());
}

TEST_F(ExplicitResumingTest, ACommitWhileAwayGoesOutAfterwards) {
  JoinWith({{0, 0}});
  LoseCoordinator();
  Commit(1, 0, 4);
  EXPECT_THAT(effects_.commits, IsEmpty());
  Resume({{0, 0}});
  EXPECT_THAT(LastCommit(), ElementsAre(Pair(0, 4)));
}

TEST_F(ExplicitResumingTest, ACommitOfWhatItLostIsAnsweredAsTheCoordinatorDoes) {
  JoinWith({{0, 0}});
  Commit(1, 0, 4);
  Committed(Moving());
  LoseCoordinator();
  Resume({});
  ASSERT_THAT(effects_.commits, SizeIs(2));
  Committed(MakeError(Reason::kMemberFenced, "not yours"));
  if (effects_.reading) AnswerRead(0);
  TakeAll();
  EXPECT_EQ(Written().back(), "result 1");
  EXPECT_EQ(last().commit_result().error().reason(), "MEMBER_FENCED");
  EXPECT_FALSE(effects_.finished);
}

TEST_F(ExplicitResumingTest, AnOlderCommitDoesNotOvertakeANewerOne) {
  JoinWith({{0, 0}});
  Commit(1, 0, 4);
  Commit(2, 0, 5);
  session_.OnCommitted(effects_.commits[0].number, Moving());
  clock_.AdvanceMs(50);
  session_.OnTick();
  EXPECT_THAT(effects_.commits, SizeIs(2)) << "the second may be durable already";
  session_.OnCommitted(effects_.commits[1].number, Moving(Reason::kLeaderChanged));
  clock_.AdvanceMs(50);
  session_.OnTick();
  ASSERT_THAT(effects_.commits, SizeIs(4));
  EXPECT_EQ(effects_.commits[2].commit.offsets.at(Partition(0)).offset, 4);
  EXPECT_EQ(effects_.commits[3].commit.offsets.at(Partition(0)).offset, 5);
}

TEST_F(ExplicitResumingTest, APositionThatANewerCommitHasPassedIsNotCommittedAgain) {
  JoinWith({{0, 0}, {1, 0}});
  Commit(1, 0, 4);
  Commit(2, 0, 5);
  session_.OnCommitted(effects_.commits[0].number, Moving());
  session_.OnCommitted(effects_.commits[1].number, absl::OkStatus());
  clock_.AdvanceMs(50);
  session_.OnTick();
  TakeAll();
  EXPECT_THAT(effects_.commits, SizeIs(2));
  EXPECT_THAT(Written(2), ElementsAre("result 2", "result 1"));
  EXPECT_FALSE(last().commit_result().has_error()) << "what is durable covers it";
}

TEST_F(ResumingSessionTest, AtMostOnceADeliveryWaitsForItsCommitThatCameBackAndComesOnce) {
  plan_.commit_mode = naru::v1::COMMIT_MODE_ON_DELIVERY;
  JoinWith({{0, 0}});
  AnswerRead(2);
  EXPECT_THAT(LastCommit(), ElementsAre(Pair(0, 2)));
  Committed(Moving(Reason::kLeaderChanged));
  LoseCoordinator();
  EXPECT_THAT(Written(2), IsEmpty());
  Resume({{0, 0}});
  EXPECT_THAT(effects_.commits, SizeIs(2));
  EXPECT_THAT(LastCommit(), ElementsAre(Pair(0, 2)));
  EXPECT_THAT(Written(2), IsEmpty());
  Committed();
  TakeAll();
  EXPECT_THAT(Written(2), ElementsAre("delivery 0"));
}

TEST_F(ResumingSessionTest, AtMostOnceADeliveryOfWhatTheMemberLostDoesNotCome) {
  plan_.commit_mode = naru::v1::COMMIT_MODE_ON_DELIVERY;
  JoinWith({{0, 0}});
  AnswerRead(2);
  LoseCoordinator();
  Committed(Moving());
  Resume({});
  TakeAll();
  EXPECT_THAT(Written(2), ElementsAre("revoking 0"));
  EXPECT_THAT(effects_.commits, SizeIs(1));
  if (effects_.reading) AnswerRead(1);  // of before
  Assign({{0, 0}});
  TakeAll();
  AnswerRead(1);
  Committed();
  TakeAll();
  EXPECT_THAT(Written(3), ElementsAre("assigned 0", "delivery 0"));
}

}  // namespace
}  // namespace naru::services
