// A session asks until it is let in, and resumes where the group's coordinator moved: what it owns.
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/services/group/resuming_session.h"

namespace naru::services {
namespace {

using std::chrono::milliseconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::SizeIs;

TEST_F(ResumingSessionTest, AJoinThatIsRefusedWhileTheCoordinatorMovesIsTriedAgain) {
  session_.Join(plan_);
  LoseCoordinator();
  EXPECT_FALSE(effects_.finished);
  EXPECT_FALSE(session_.to_be_lost()) << "nobody knows it";
  EXPECT_EQ(session_.NextTick(), milliseconds(50));
  clock_.AdvanceMs(49);
  session_.OnTick();
  EXPECT_THAT(effects_.joins, SizeIs(1));
  clock_.AdvanceMs(1);
  session_.OnTick();
  session_.OnTick();
  ASSERT_THAT(effects_.joins, SizeIs(2));
  EXPECT_EQ(effects_.joins[1].member_id, "m");
  EXPECT_EQ(effects_.joins[1].resumes_epoch, 0) << "it was no member yet";
  EXPECT_EQ(effects_.joins[0].attempt, (cluster::JoinAttempt{.requester = 5, .number = 1}));
  EXPECT_EQ(effects_.joins[1].attempt, (cluster::JoinAttempt{.requester = 5, .number = 2}));
  EXPECT_TRUE(session_.to_be_lost());
  session_.OnJoined("m", 7);
  TakeAll();
  EXPECT_THAT(Written(), ElementsAre("joined"));
}

TEST_F(ResumingSessionTest, AJoinThatIsRefusedForTooLongEndsTheStreamWithThatError) {
  plan_.join.session_timeout_ms = 1'000;  // it is tried for 10 s all the same
  session_.Join(plan_);
  int tries = 1;
  for (; !effects_.finished && tries < 1'000; ++tries) {
    LoseCoordinator();
    clock_.AdvanceMs(50);
    session_.OnTick();
  }
  EXPECT_EQ(tries, 10'000 / 50 + 1);
  EXPECT_EQ(ReasonOf(Failure()), Reason::kCoordinatorLoading);
  EXPECT_FALSE(session_.leaves());
}

TEST_F(ResumingSessionTest, HalfCloseBeforeItIsLetInEndsTheTries) {
  session_.Join(plan_);
  LoseCoordinator();
  session_.OnHalfClose();
  ASSERT_TRUE(effects_.finished);
  EXPECT_TRUE(effects_.finished->ok());
}

TEST_F(ResumingSessionTest, TheClientNoticesNothingOfACoordinatorThatMoves) {
  for (const Reason reason :
       {Reason::kCoordinatorLoading, Reason::kNoLeader, Reason::kLeaderChanged, Reason::kNotEnoughReplicas}) {
    EXPECT_TRUE(Membership::WillPass(Moving(reason))) << ReasonName(reason);
  }
  plan_.join.instance_id = "i";
  JoinWith({{0, 0}});
  const int64_t first = Deliver(2);
  LoseCoordinator();
  EXPECT_TRUE(session_.joined());
  const int64_t second = Deliver(3);
  session_.Ack("ack", first);
  EXPECT_THAT(effects_.commits, IsEmpty()) << "nobody would take it";
  AskAgain();
  EXPECT_EQ(effects_.joins.back().member_id, "m");
  EXPECT_EQ(effects_.joins.back().instance_id, "i");
  EXPECT_EQ(effects_.joins.back().resumes_epoch, 7);
  EXPECT_EQ(effects_.joins.back().attempt, (cluster::JoinAttempt{.requester = 5, .number = 2}));
  const int64_t third = Deliver(1);
  session_.OnJoined("m", 7);
  EXPECT_THAT(effects_.commits, IsEmpty()) << "what it owns is not confirmed yet";
  Assign({{0, 0}});
  EXPECT_THAT(LastCommit(), ElementsAre(Pair(0, 2)));
  EXPECT_EQ(effects_.commits[0].commit.member_epoch, 7);
  const int64_t fourth = Deliver(1);
  EXPECT_THAT(Written(2), ElementsAre("delivery 0", "delivery 0", "delivery 0", "delivery 0"));
  EXPECT_EQ(last().delivery().next_offset(), 7) << "none is skipped, none comes twice";
  EXPECT_THAT((std::vector<int64_t>{first, second, third, fourth}), ElementsAre(1, 2, 3, 4));
  session_.Ack("ack", third);
  session_.Ack("ack", fourth);
  Committed();
  session_.Ack("ack", second);
  EXPECT_THAT(LastCommit(), ElementsAre(Pair(0, 7)));
}

TEST_F(ResumingSessionTest, AClientThatHasNotHeardThatItJoinedStillDoes) {
  session_.Join(plan_);
  Commit(1, 0, 4);  // refused, which is being written
  session_.OnJoined("m", 7);
  Assign({{0, 0}});
  LoseCoordinator();
  Resume({{0, 0}});
  TakeAll();
  EXPECT_THAT(Written(), ElementsAre("result 1", "joined", "assigned 0"));
}

TEST_F(ResumingSessionTest, TheIdOfAStaticMemberIsThatWhichItResumesWith) {
  session_.Join(plan_);
  session_.OnJoined("older", 9);
  LoseCoordinator();
  AskAgain();
  EXPECT_EQ(effects_.joins.back().member_id, "older");
  EXPECT_EQ(effects_.joins.back().resumes_epoch, 9);
}

TEST_F(ResumingSessionTest, ASessionTriesToResumeUntilItsSessionTimeoutIsOver) {
  JoinWith({{0, 0}});
  LoseCoordinator();
  for (int ms = 50; ms < 10'000; ms += 50) {
    AskAgain();
    TakeAll();
    ASSERT_FALSE(effects_.finished) << ms;
    LoseCoordinator();
  }
  EXPECT_EQ(ReasonOf(Failure()), Reason::kCoordinatorLoading) << "the next try would be too late";
  EXPECT_FALSE(session_.leaves());
  EXPECT_FALSE(session_.to_be_lost());
}

TEST_F(ResumingSessionTest, NothingIsDeliveredAfterTheSessionTimeoutWhereNobodyAnswers) {
  plan_.idle_interval = milliseconds(3'600'000);
  plan_.join.session_timeout_ms = 2'000;
  JoinWith({{0, 0}});
  LoseCoordinator();
  AskAgain();
  EXPECT_EQ(session_.NextTick(), milliseconds(1'950));
  clock_.AdvanceMs(1'949);
  session_.OnTick();
  EXPECT_FALSE(effects_.finished);
  clock_.AdvanceMs(1);
  session_.OnTick();
  EXPECT_EQ(ReasonOf(Failure()), Reason::kCoordinatorLoading) << "another may have its partitions";
  EXPECT_TRUE(session_.to_be_lost()) << "the coordinator may have heard of it";
}

TEST_F(ResumingSessionTest, TheSessionTimeoutBeginsAnewWithEachCoordinatorThatKnewTheMember) {
  JoinWith({{0, 0}});
  LoseCoordinator();
  clock_.AdvanceMs(9'000);
  Resume({{0, 0}});
  LoseCoordinator();
  clock_.AdvanceMs(9'000);
  session_.OnTick();
  EXPECT_FALSE(effects_.finished);
}

TEST_F(ResumingSessionTest, WhoWasShutOutMeanwhileEnds) {
  JoinWith({{0, 0}});
  LoseCoordinator();
  AskAgain();
  session_.OnEnded(MakeError(Reason::kMemberFenced, "a newer session"));
  EXPECT_EQ(ReasonOf(Failure()), Reason::kMemberFenced);
  EXPECT_FALSE(session_.to_be_lost());
}

TEST_F(ResumingSessionTest, AnotherEndOfAMembershipIsOne) {
  JoinWith({{0, 0}});
  session_.OnEnded(MakeError(Reason::kShuttingDown, "this broker stops"));
  EXPECT_EQ(ReasonOf(Failure()), Reason::kShuttingDown);
}

TEST_F(ResumingSessionTest, ASessionWhoseClientGoesWhileItIsAwayDoesNotComeBack) {
  JoinWith({{0, 0}});
  AnswerRead(1);  // being written
  session_.End(absl::CancelledError("the call was cancelled"));
  LoseCoordinator();
  clock_.AdvanceMs(50);
  session_.OnTick();
  EXPECT_THAT(effects_.joins, SizeIs(1));
  TakeAll();
  EXPECT_TRUE(effects_.finished);
  LoseCoordinator();
  EXPECT_EQ(effects_.effects.back(), "finish");
}

TEST_F(ResumingSessionTest, WhatTheMemberOwnsNoMoreIsGivenUpAtOnce) {
  JoinWith({{0, 0}, {1, 0}});
  const int64_t of_0 = Deliver(1);
  const int64_t more_of_0 = [&] {
    Deliver(1);  // of 1
    return Deliver(1);
  }();
  ASSERT_EQ(last().delivery().partition(), 0);
  LoseCoordinator();
  session_.Ack("ack", of_0);
  Resume({{1, 0}});
  TakeAll();
  EXPECT_EQ(Written().back(), "revoking 0");
  EXPECT_THAT(effects_.commits, IsEmpty()) << "of 0 nothing is committed any more";
  session_.Ack("ack", more_of_0);
  EXPECT_FALSE(effects_.finished);
  EXPECT_THAT(effects_.commits, IsEmpty());
  EXPECT_EQ(CountOf("release 0"), 0) << "it has nothing to give";
  const size_t before = writes();
  while (effects_.reading && writes() < before + 3) {
    AnswerRead(1);
    TakeAll();
  }
  EXPECT_THAT(Written(before), ElementsAre("delivery 1", "delivery 1", "delivery 1"));
}

TEST_F(ResumingSessionTest, WhoOwnsNothingAnyMoreGivesUpAll) {
  JoinWith({{0, 0}, {1, 0}});
  LoseCoordinator();
  Resume({});
  if (effects_.reading) AnswerRead(1);
  TakeAll();
  EXPECT_THAT(Written(2), ElementsAre("revoking 0 1"));
  EXPECT_FALSE(effects_.finished);
  Assign({{0, 9}});
  TakeAll();
  EXPECT_EQ(Written().back(), "assigned 0");
}

TEST_F(ResumingSessionTest, WhatIsNewBeginsAtItsCommittedPosition) {
  JoinWith({{0, 3}});
  AnswerRead(0);
  LoseCoordinator();
  Resume({{0, 3}, {1, 5}});
  TakeAll();
  EXPECT_THAT(Written(2), ElementsAre("assigned 1"));
  ASSERT_THAT(effects_.reads, SizeIs(2)) << "0 is watched as before";
  EXPECT_EQ(effects_.reads[1].request.log, Log(1));
  EXPECT_EQ(effects_.reads[1].request.from, Offset(5));
}

TEST_F(ResumingSessionTest, WhatIsToBeGivenBackIsNotLostMeanwhile) {
  JoinWith({{0, 0}, {1, 0}});
  const int64_t of_0 = Deliver(1);
  const int64_t of_1 = Deliver(1);
  LoseCoordinator();
  Resume({{0, 0}}, {1});
  AnswerRead(0);
  TakeAll();
  EXPECT_EQ(Written().back(), "revoking 1");
  EXPECT_EQ(CountOf("release 1"), 0) << "it is not acknowledged";
  session_.Ack("ack", of_1);
  EXPECT_THAT(LastCommit(), ElementsAre(Pair(1, 1)));
  EXPECT_EQ(effects_.effects.back(), "release 1");
  session_.Ack("ack", of_0);
  Committed();
  EXPECT_THAT(LastCommit(), ElementsAre(Pair(0, 1)));
}

TEST_F(ResumingSessionTest, NothingIsReleasedBeforeTheSessionHasResumed) {
  JoinWith({{0, 0}, {1, 0}});
  const int64_t of_0 = Deliver(1);
  Revoke({0});
  TakeAll();
  LoseCoordinator();
  session_.Ack("ack", of_0);
  EXPECT_EQ(CountOf("release 0"), 0);
  AskAgain();
  session_.OnJoined("m", 7);
  Revoke({0});
  EXPECT_EQ(CountOf("release 0"), 0);
  Assign({{1, 0}});
  EXPECT_THAT(LastCommit(), ElementsAre(Pair(0, 1)));
  EXPECT_EQ(effects_.effects.back(), "release 0");
  if (effects_.reading) AnswerRead(0);
  TakeAll();
  EXPECT_THAT(Written(2), ElementsAre("delivery 0", "revoking 0")) << "it is told once";
}

TEST_F(ResumingSessionTest, AReleaseThatWasNotHeardIsMadeAgain) {
  JoinWith({{0, 0}, {1, 0}});
  Revoke({1});
  TakeAll();
  EXPECT_EQ(CountOf("release 1"), 1);
  LoseCoordinator();
  Resume({{0, 0}}, {1});
  EXPECT_EQ(CountOf("release 1"), 2);
  AnswerRead(0);
  TakeAll();
  EXPECT_THAT(Written(2), ElementsAre("revoking 1"));
}

TEST_F(ResumingSessionTest, WhatWasReleasedAndStaysIsReadFromWhereItWasAcknowledged) {
  JoinWith({{0, 0}, {1, 0}});
  const int64_t of_0 = Deliver(4);
  Revoke({0});
  session_.Ack("ack", of_0);
  ASSERT_THAT(LastCommit(), ElementsAre(Pair(0, 4)));
  EXPECT_EQ(CountOf("release 0"), 1);
  Committed(Moving(Reason::kLeaderChanged));
  LoseCoordinator();
  AnswerRead(0);  // of 1
  TakeAll();
  Resume({{0, 0}, {1, 0}});
  EXPECT_THAT(LastCommit(), ElementsAre(Pair(0, 4)));
  TakeAll();
  EXPECT_THAT(Written(2), ElementsAre("delivery 0", "revoking 0", "assigned 0"));
  ASSERT_TRUE(effects_.reading);
  EXPECT_EQ(effects_.reads.back().request.log, Log(0));
  EXPECT_EQ(effects_.reads.back().request.from, Offset(4));
}

TEST_F(ResumingSessionTest, WhatWasBeingTakenAndStaysIsAssignedAnew) {
  JoinWith({{0, 0}, {1, 0}});
  const int64_t of_0 = Deliver(4);
  Revoke({0});
  AnswerRead(0);  // of 1
  TakeAll();
  LoseCoordinator();
  Resume({{0, 0}, {1, 0}});
  TakeAll();
  EXPECT_THAT(Written(2), ElementsAre("delivery 0", "revoking 0", "assigned 0"));
  ASSERT_TRUE(effects_.reading);
  EXPECT_EQ(effects_.reads.back().request.from, Offset(0)) << "it was not acknowledged";
  session_.Ack("ack", of_0);
  EXPECT_THAT(effects_.commits, IsEmpty()) << "it comes again";
  EXPECT_EQ(CountOf("release 0"), 0);
}

TEST_F(ResumingSessionTest, ACoordinatorThatMovesAgainBeforeItSaysWhatIsOwnedChangesNothing) {
  JoinWith({{0, 0}, {1, 0}});
  AnswerRead(0);
  AnswerRead(0);
  LoseCoordinator();
  AskAgain();
  session_.OnJoined("m", 7);
  Revoke({1});
  TakeAll();
  LoseCoordinator();
  Resume({{0, 0}, {1, 0}});
  TakeAll();
  EXPECT_THAT(Written(2), ElementsAre("revoking 1", "assigned 1"));
  EXPECT_THAT(effects_.effects, ElementsAre("join g", "join g", "join g"));
}

}  // namespace
}  // namespace naru::services
