#include "services/produce/produce_session.h"

#include "gtest/gtest.h"
#include "naru/v1/produce.pb.h"

namespace naru::services {
namespace {

using Do = ProduceSession::Do;

ProduceOptions SmallOptions() {
  ProduceOptions options;
  options.stream_inflight_bytes_max = 1000;
  options.stream_inflight_items_max = 4;
  options.stream_answer_bytes_max = 1024;
  return options;
}

class ProduceSessionTest : public ::testing::Test {
 protected:
  // What to do, where asking to read is answered at once.
  ProduceSession::Step Next() {
    ProduceSession::Step step = session_.Next();
    if (step.what != Do::kAsk) return step;
    session_.OnMayRead();
    return session_.Next();
  }
  // One message was read, and its item of `bytes` given to the store.
  void TakeItem(int64_t bytes) {
    ASSERT_TRUE(session_.OnMessage());
    session_.OnAccepted(bytes);
    session_.OnHandled();
  }
  void Complete(int64_t id, int64_t bytes) {
    session_.OnCompleted(bytes);
    session_.Answer(id, absl::OkStatus(), {});
  }

  const ProduceOptions options_ = SmallOptions();
  ProduceSession session_{options_};
};

TEST_F(ProduceSessionTest, ReadingStopsAtTheBoundOfBytesAndGoesOnWhenTheyComeBack) {
  ASSERT_EQ(Next().what, Do::kRead);
  EXPECT_EQ(Next().what, Do::kNone);
  TakeItem(999);
  ASSERT_EQ(Next().what, Do::kRead);
  TakeItem(1);
  EXPECT_EQ(Next().what, Do::kNone);
  Complete(1, 999);
  ASSERT_EQ(Next().what, Do::kWrite);
  EXPECT_EQ(Next().what, Do::kRead);
}

TEST_F(ProduceSessionTest, AnswersThatAreNotTakenCountAsInFlight) {
  for (int i = 0; i < 4; ++i) {
    ASSERT_EQ(Next().what, i == 1 ? Do::kWrite : Do::kRead) << i;
    if (i == 1) {
      ASSERT_EQ(Next().what, Do::kRead);
    }
    TakeItem(10);
    Complete(i, 10);
  }
  EXPECT_EQ(Next().what, Do::kNone) << "four answers wait, the first of them for OnWritten";
  session_.OnWritten(true);
  const ProduceSession::Step step = Next();
  ASSERT_EQ(step.what, Do::kWrite);
  naru::v1::ProduceStreamResponse response;
  ASSERT_TRUE(response.ParseFromString(step.answers));
  EXPECT_EQ(response.results_size(), 3) << "what came meanwhile goes out together";
  EXPECT_EQ(Next().what, Do::kRead);
}

TEST_F(ProduceSessionTest, AMessageOfAnswersStaysNearItsBound) {
  ASSERT_EQ(Next().what, Do::kRead);
  const absl::Status failure = absl::InternalError(std::string(300, 'x'));
  for (int i = 0; i < 50; ++i) session_.Answer(i, failure, {});
  int answers = 0;
  for (ProduceSession::Step step = Next(); step.what == Do::kWrite; step = Next()) {
    EXPECT_LT(step.answers.size(), 2048u);
    naru::v1::ProduceStreamResponse response;
    ASSERT_TRUE(response.ParseFromString(step.answers));
    answers += response.results_size();
    session_.OnWritten(true);
  }
  EXPECT_EQ(answers, 50);
}

TEST_F(ProduceSessionTest, AStreamThatMayNotReadYetGoesOnWithEverythingElse) {
  ASSERT_EQ(session_.Next().what, Do::kAsk);
  EXPECT_EQ(session_.Next().what, Do::kNone);
  session_.Answer(7, absl::OkStatus(), {});
  ASSERT_EQ(session_.Next().what, Do::kWrite);
  session_.OnWritten(true);
  session_.OnMayRead();
  EXPECT_EQ(session_.Next().what, Do::kRead);
}

TEST_F(ProduceSessionTest, AStreamThatEndsWhileItAsksDoesNotReadAnyMore) {
  ASSERT_EQ(session_.Next().what, Do::kAsk);
  session_.End(absl::UnavailableError("stopping"));
  EXPECT_EQ(session_.Next().what, Do::kFinish);
  session_.OnMayRead();
  EXPECT_EQ(session_.Next().what, Do::kNone);
}

TEST_F(ProduceSessionTest, AHalfClosedStreamEndsOnlyWhenEverythingIsAnsweredAndWritten) {
  ASSERT_EQ(Next().what, Do::kRead);
  TakeItem(10);
  ASSERT_EQ(Next().what, Do::kRead);
  session_.OnReadsEnd();
  EXPECT_EQ(Next().what, Do::kNone);
  Complete(1, 10);
  ASSERT_EQ(Next().what, Do::kWrite);
  EXPECT_EQ(Next().what, Do::kNone);
  session_.OnWritten(true);
  const ProduceSession::Step step = Next();
  EXPECT_EQ(step.what, Do::kFinish);
  EXPECT_TRUE(step.status.ok());
  EXPECT_EQ(Next().what, Do::kNone);
}

TEST_F(ProduceSessionTest, ACancelledStreamFinishesOnceItsWriteIsBackAndDropsTheRest) {
  ASSERT_EQ(Next().what, Do::kRead);
  TakeItem(10);
  session_.Answer(7, absl::OkStatus(), {});
  ASSERT_EQ(Next().what, Do::kWrite);
  session_.OnCancel();
  EXPECT_EQ(Next().what, Do::kNone);
  session_.OnWritten(false);
  EXPECT_EQ(Next().what, Do::kFinish);
  Complete(1, 10);
  EXPECT_EQ(Next().what, Do::kNone);
  EXPECT_FALSE(session_.OnMessage());
}

}  // namespace
}  // namespace naru::services
