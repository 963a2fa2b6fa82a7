#include "services/produce/produce_session.h"

#include <utility>

namespace naru::services {
namespace {

// Messages of answers that may pile up before reading stops: a client that does not read its answers is not
// read.
constexpr int64_t kAnswerMessagesMax = 4;

}  // namespace

bool ProduceSession::MayRead() const {
  return inflight_items_ + unwritten_items_ < options_.stream_inflight_items_max &&
         inflight_bytes_ < options_.stream_inflight_bytes_max &&
         answer_bytes_ < kAnswerMessagesMax * options_.stream_answer_bytes_max;
}

ProduceSession::Step ProduceSession::Next() {
  if (finished_) return {};
  if (!writing_) {
    if (cancelled_) {
      finished_ = true;
      return {.what = Do::kFinish, .status = absl::CancelledError("the call was cancelled")};
    }
    if (!answers_.empty()) return NextWrite();
    if (end_ && inflight_items_ == 0 && reads_ != Reads::kHandling) {
      finished_ = true;
      return {.what = Do::kFinish, .status = *end_};
    }
  }
  if (end_ || cancelled_) return {};
  if (reads_ == Reads::kIdle && MayRead()) {
    reads_ = Reads::kAsking;
    return {.what = Do::kAsk};
  }
  if (reads_ == Reads::kMayRead) {
    reads_ = Reads::kReading;
    return {.what = Do::kRead};
  }
  return {};
}

ProduceSession::Step ProduceSession::NextWrite() {
  writing_ = true;
  Chunk chunk = std::move(answers_.front());
  answers_.pop_front();
  answer_bytes_ -= static_cast<int64_t>(chunk.bytes.size());
  writing_items_ = chunk.items;
  return {.what = Do::kWrite, .answers = std::move(chunk.bytes)};
}

void ProduceSession::OnMayRead() {
  if (reads_ == Reads::kAsking) reads_ = Reads::kMayRead;
}

bool ProduceSession::OnMessage() {
  if (ended()) return false;
  reads_ = Reads::kHandling;
  return true;
}

void ProduceSession::OnHandled() {
  if (reads_ == Reads::kHandling) reads_ = Reads::kIdle;
}

void ProduceSession::OnReadsEnd() {
  reads_ = Reads::kEnded;
  if (!end_) end_ = absl::OkStatus();
}

void ProduceSession::OnWritten(bool ok) {
  writing_ = false;
  unwritten_items_ -= std::exchange(writing_items_, 0);
  if (!ok) cancelled_ = true;
}

void ProduceSession::OnCancel() { cancelled_ = true; }

void ProduceSession::End(absl::Status status) {
  if (!end_) end_ = std::move(status);
}

void ProduceSession::OnAccepted(int64_t bytes) {
  ++inflight_items_;
  inflight_bytes_ += bytes;
}

void ProduceSession::OnCompleted(int64_t bytes) {
  --inflight_items_;
  inflight_bytes_ -= bytes;
}

void ProduceSession::Answer(int64_t id, const absl::Status& failure,
                            const std::vector<PartOutcome>& outcomes) {
  if (ended()) return;
  if (answers_.empty() ||
      static_cast<int64_t>(answers_.back().bytes.size()) >= options_.stream_answer_bytes_max) {
    answers_.emplace_back();
  }
  Chunk& chunk = answers_.back();
  const size_t before = chunk.bytes.size();
  AppendStreamResult(id, failure, outcomes, chunk.bytes);
  answer_bytes_ += static_cast<int64_t>(chunk.bytes.size() - before);
  ++chunk.items;
  ++unwritten_items_;
}

}  // namespace naru::services
