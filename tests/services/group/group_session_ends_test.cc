// Time, and how a membership ends.
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/services/group/session_recorder.h"

namespace naru::services {
namespace {

using std::chrono::milliseconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

TEST_F(GroupSessionTest, AMemberThatHalfClosesLeavesWithOk) {
  JoinWith({{0, 0}});
  Deliver(1);
  session_.OnHalfClose();
  ASSERT_TRUE(effects_.finished);
  EXPECT_TRUE(effects_.finished->ok());
  EXPECT_TRUE(session_.leaves());
  EXPECT_TRUE(session_.to_be_lost());
}

TEST_F(GroupSessionTest, AStaticMemberThatHalfClosesKeepsItsPlace) {
  plan_.join.instance_id = "i";
  JoinWith({{0, 0}});
  session_.OnHalfClose();
  ASSERT_TRUE(effects_.finished);
  EXPECT_TRUE(effects_.finished->ok());
  EXPECT_FALSE(session_.leaves());
  EXPECT_TRUE(session_.to_be_lost());
}

TEST_F(GroupSessionTest, HalfCloseWaitsUntilEverythingAcknowledgedIsCommitted) {
  JoinWith({{0, 0}});
  const int64_t first = Deliver(1);
  const int64_t second = Deliver(1);
  session_.Ack("ack", first);
  session_.Ack("ack", second);
  session_.OnHalfClose();
  EXPECT_FALSE(effects_.finished);
  Committed();
  EXPECT_FALSE(effects_.finished) << "the second is under way";
  EXPECT_THAT(effects_.commits, SizeIs(2));
  Committed();
  ASSERT_TRUE(effects_.finished);
  EXPECT_TRUE(effects_.finished->ok());
}

TEST_F(GroupSessionTest, HalfCloseWaitsForExplicitCommitsAndTellsTheirResults) {
  JoinWith({{0, 0}});
  Commit(9, 0, 1);
  session_.OnHalfClose();
  EXPECT_FALSE(effects_.finished);
  Committed();
  EXPECT_THAT(Written(2), ElementsAre("result 9"));
  EXPECT_FALSE(effects_.finished);
  TakeAll();
  EXPECT_TRUE(effects_.finished);
}

TEST_F(GroupSessionTest, NothingIsDeliveredAfterHalfClose) {
  JoinWith({{0, 0}});
  session_.Ack("ack", Deliver(1));
  session_.OnHalfClose();
  AnswerRead(1);
  Committed();
  EXPECT_THAT(Written(2), ElementsAre("delivery 0"));
  EXPECT_TRUE(effects_.finished);
}

TEST_F(GroupSessionTest, HalfCloseBeforeJoiningIsAnError) {
  session_.OnHalfClose();
  EXPECT_EQ(ReasonOf(Failure()), Reason::kInvalidField);
  EXPECT_FALSE(session_.leaves());
  EXPECT_FALSE(session_.to_be_lost());
}

TEST_F(GroupSessionTest, AStreamThatBreaksIsLostAndDoesNotLeave) {
  JoinWith({{0, 0}});
  session_.End(absl::CancelledError("the call was cancelled"));
  EXPECT_TRUE(effects_.finished);
  EXPECT_FALSE(session_.leaves());
  EXPECT_TRUE(session_.to_be_lost());
}

TEST_F(GroupSessionTest, AWriteThatFailsIsABrokenStream) {
  JoinWith({{0, 0}});
  AnswerRead(1);
  effects_.writing = false;
  session_.OnWritten(false);
  ASSERT_TRUE(effects_.finished);
  EXPECT_TRUE(absl::IsCancelled(*effects_.finished));
  EXPECT_FALSE(session_.leaves());
}

TEST_F(GroupSessionTest, WhatWasAcknowledgedBeforeTheStreamBreaksIsCommitted) {
  JoinWith({{0, 0}});
  const int64_t first = Deliver(1);
  const int64_t second = Deliver(1);
  session_.Ack("ack", first);
  session_.Ack("ack", second);  // waits for the first commit
  session_.End(absl::CancelledError("the call was cancelled"));
  EXPECT_THAT(LastCommit(), ElementsAre(::testing::Pair(0, 2)));
  EXPECT_THAT(effects_.effects, ElementsAre("join g", "commit", "commit", "finish"));
}

TEST_F(GroupSessionTest, AtShutdownTheMemberIsAwayNotGone) {
  JoinWith({{0, 0}});
  session_.End(MakeError(Reason::kShuttingDown, "stopping"));
  EXPECT_EQ(ReasonOf(Failure()), Reason::kShuttingDown);
  EXPECT_FALSE(session_.leaves());
  EXPECT_TRUE(session_.to_be_lost());
}

TEST_F(GroupSessionTest, AStoreThatStopsEndsTheStreamAsAShutdown) {
  JoinWith({{0, 0}});
  FailRead(MakeError(Reason::kShuttingDown, "stopping"));
  EXPECT_EQ(ReasonOf(Failure()), Reason::kShuttingDown);
  EXPECT_FALSE(session_.leaves());
}

TEST_F(GroupSessionTest, AMemberThatWasFencedNeitherLeavesNorIsLost) {
  JoinWith({{0, 0}});
  session_.OnEnded(MakeError(Reason::kMemberFenced, "newer"));
  EXPECT_EQ(ReasonOf(Failure()), Reason::kMemberFenced);
  EXPECT_FALSE(session_.leaves());
  EXPECT_FALSE(session_.to_be_lost());
}

TEST_F(GroupSessionTest, AGroupThatRefusesAMemberEndsItsStream) {
  session_.Join(plan_);
  EXPECT_TRUE(session_.to_be_lost());
  session_.OnEnded(MakeError(Reason::kTooManyMembers, "full"));
  EXPECT_EQ(ReasonOf(Failure()), Reason::kTooManyMembers);
  EXPECT_FALSE(session_.to_be_lost());
}

TEST_F(GroupSessionTest, TheEndWaitsForTheWriteThatIsOut) {
  JoinWith({{0, 0}});
  AnswerRead(1);
  session_.End(MakeError(Reason::kShuttingDown, "stopping"));
  EXPECT_FALSE(effects_.finished);
  Take();
  EXPECT_TRUE(effects_.finished);
}

TEST_F(GroupSessionTest, AClientThatDoesNotTakeTheEndIsCutOffAfterAWhile) {
  for (const bool member : {true, false}) {
    SCOPED_TRACE(member);
    SessionRecorder effects;
    effects.catalog = effects_.catalog;
    GroupSession session(options_, clock_, effects);
    session.Join(plan_);
    session.OnJoined("m", 7);  // its notice is not taken
    if (member) {
      session.End(InvalidField("join", "a second one", "once"));
    } else {
      session.OnEnded(MakeError(Reason::kMemberFenced, "newer"));
    }
    EXPECT_LE(session.NextTick(), std::chrono::seconds(5));
    clock_.AdvanceMs(9'999);
    session.OnTick();
    EXPECT_THAT(effects.effects, ElementsAre("join g"));
    clock_.AdvanceMs(1);
    session.OnTick();
    EXPECT_THAT(effects.effects, ElementsAre("join g", "cut off"));
  }
}

TEST_F(GroupSessionTest, AMemberThatAcknowledgesNothingForTooLongIsFenced) {
  plan_.progress_timeout = milliseconds(1'000);
  JoinWith({{0, 0}});
  clock_.AdvanceMs(60'000);
  session_.OnTick();
  TakeAll();
  EXPECT_FALSE(effects_.finished) << "it had nothing to acknowledge";
  Deliver(1);
  clock_.AdvanceMs(999);
  session_.OnTick();
  TakeAll();
  EXPECT_FALSE(effects_.finished);
  clock_.AdvanceMs(1);
  session_.OnTick();
  EXPECT_EQ(ReasonOf(Failure()), Reason::kMemberFenced);
  EXPECT_THAT(effects_.effects, ElementsAre("join g", "leave", "finish"));
  EXPECT_FALSE(session_.leaves()) << "it has left already";
  EXPECT_FALSE(session_.to_be_lost());
}

TEST_F(GroupSessionTest, TheProgressTimeoutFreesThePartitionsOfAClientThatDoesNotReadEither) {
  plan_.progress_timeout = milliseconds(1'000);
  JoinWith({{0, 0}});
  AnswerRead(1);  // not taken
  clock_.AdvanceMs(1'000);
  session_.OnTick();
  EXPECT_THAT(effects_.effects, ElementsAre("join g", "leave"));
  clock_.AdvanceMs(10'000);
  session_.OnTick();
  EXPECT_THAT(effects_.effects, ElementsAre("join g", "leave", "cut off"));
}

TEST_F(GroupSessionTest, AcksAndProgressBeginTheProgressTimeoutAnew) {
  plan_.progress_timeout = milliseconds(1'000);
  JoinWith({{0, 0}});
  Deliver(1);
  const int64_t second = Deliver(1);
  clock_.AdvanceMs(900);
  session_.Ack("ack", second);
  clock_.AdvanceMs(900);
  session_.OnTick();
  TakeAll();
  session_.Progress();
  clock_.AdvanceMs(900);
  session_.OnTick();
  TakeAll();
  EXPECT_FALSE(effects_.finished);
  clock_.AdvanceMs(100);
  session_.OnTick();
  EXPECT_EQ(ReasonOf(Failure()), Reason::kMemberFenced);
}

TEST_F(GroupSessionTest, FurtherDeliveriesDoNotBeginTheProgressTimeoutAnew) {
  plan_.progress_timeout = milliseconds(1'000);
  JoinWith({{0, 0}});
  Deliver(1);
  clock_.AdvanceMs(900);
  Deliver(1);
  clock_.AdvanceMs(100);
  session_.OnTick();
  EXPECT_EQ(ReasonOf(Failure()), Reason::kMemberFenced);
}

TEST_F(GroupSessionTest, IdleIsSentOnlyWhenNothingElseWas) {
  plan_.idle_interval = milliseconds(1'000);
  JoinWith({{0, 0}});
  EXPECT_EQ(session_.NextTick(), milliseconds(1'000));
  clock_.AdvanceMs(600);
  Deliver(1);
  EXPECT_EQ(session_.NextTick(), milliseconds(1'000));
  clock_.AdvanceMs(999);
  session_.OnTick();
  EXPECT_THAT(Written(3), IsEmpty());
  clock_.AdvanceMs(1);
  session_.OnTick();
  EXPECT_THAT(Written(3), ElementsAre("idle"));
  EXPECT_EQ(last().idle().time_ms(), clock_.NowMs());
  clock_.AdvanceMs(5'000);
  session_.OnTick();
  EXPECT_THAT(Written(3), ElementsAre("idle")) << "a write is out";
}

TEST_F(GroupSessionTest, TheNextTickIsNeitherNowNorLongFromNow) {
  plan_.idle_interval = milliseconds(3'600'000);
  plan_.progress_timeout = milliseconds(2'000);
  EXPECT_EQ(session_.NextTick(), std::chrono::seconds(5));
  session_.Join(plan_);
  EXPECT_EQ(session_.NextTick(), std::chrono::seconds(5));
  session_.OnJoined("m", 7);
  TakeAll();
  Assign({{0, 0}});
  TakeAll();
  EXPECT_EQ(session_.NextTick(), std::chrono::seconds(5));
  Deliver(1);
  clock_.AdvanceMs(500);
  EXPECT_EQ(session_.NextTick(), milliseconds(1'500));
  clock_.AdvanceMs(10'000);
  EXPECT_EQ(session_.NextTick(), milliseconds(1)) << "overdue";
}

TEST_F(GroupSessionTest, ASessionIsSettledOnceNothingIsAboutToCome) {
  session_.Join(plan_);
  EXPECT_FALSE(session_.settled()) << "joining";
  session_.OnJoined("m", 7);
  EXPECT_FALSE(session_.settled()) << "being written";
  TakeAll();
  EXPECT_TRUE(session_.settled());
  Assign({{0, 0}});
  TakeAll();
  EXPECT_FALSE(session_.settled()) << "a read is out";
  AnswerRead(0);
  EXPECT_TRUE(session_.settled()) << "an empty partition is watched";
  session_.OnReadable(effects_.reads.back().lane);
  EXPECT_FALSE(session_.settled());
}

}  // namespace
}  // namespace naru::services
