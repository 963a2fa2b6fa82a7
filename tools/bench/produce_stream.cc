#include "tools/bench/produce_stream.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "tools/bench/process_stats.h"

namespace naru::bench {
namespace {

// Items count from 1.
constexpr int64_t kResumeId = 0;

}  // namespace

ProduceStream::ProduceStream(const SenderTask& task, std::shared_ptr<grpc::Channel> channel)
    : BatchSender(task), stub_(std::move(channel)), sequences_(task.producer_id) {
  stub_.PrepareBidiStreamingCall(&context_, "/naru.v1.ProduceService/ProduceStream", {}, this);
  StartRead(&incoming_);
  AddHold();  // Finish() may write after every operation under way has ended
  StartCall();
}

void ProduceStream::Send(int64_t intended_ns) {
  absl::MutexLock lock(&mutex_);
  if (!all_begun()) Enqueue(intended_ns);
}

void ProduceStream::Enqueue(int64_t intended_ns) {
  if (broken_) return tally_.Fail("the stream has ended");
  if (waiting_.size() >= backlog_max()) return tally_.Fail("overloaded: the hub is slower than the rate");
  ++begun_;
  waiting_.push_back(intended_ns);
  WriteNext();
}

void ProduceStream::WriteNext() {
  if (writing_ || broken_ || half_closed_) return;
  if (resume_) {
    resume_ = false;
    naru::v1::ProduceStreamRequest request;
    request.set_id(kResumeId);
    request.mutable_resume()->set_topic(task_.load.topic);
    const grpc::Slice bytes(request.SerializeAsString());
    outgoing_ = grpc::ByteBuffer(&bytes, 1);
    writing_ = true;
    return StartWrite(&outgoing_);
  }
  if (waiting_.empty()) {
    // In a closed loop what is on the way may still send more.
    if (!finishing_ || !in_flight_.empty()) return;
    half_closed_ = true;
    StartWritesDone();
    RemoveHold();
    return;
  }
  const int64_t intended_ns = waiting_.front();
  waiting_.pop_front();
  in_flight_.emplace(++last_id_, intended_ns);
  ProduceTarget target = NextTarget();
  if (task_.producer_id != 0) {
    target.producer = sequences_.Take(target.partition, task_.pool.records_per_batch());
  }
  outgoing_ = task_.load.stamped ? task_.pool.StampedStreamRequest(last_id_, target, turn_, intended_ns)
                                 : task_.pool.StreamRequest(last_id_, target, turn_);
  writing_ = true;
  StartWrite(&outgoing_);
}

void ProduceStream::OnWriteDone(bool ok) {
  absl::MutexLock lock(&mutex_);
  writing_ = false;
  if (!ok && !broken_ && !half_closed_) {
    broken_ = true;
    RemoveHold();
  }
  if (ok) WriteNext();
}

void ProduceStream::OnReadDone(bool ok) {
  absl::MutexLock lock(&mutex_);
  if (!ok) {
    if (!broken_ && !half_closed_) RemoveHold();
    broken_ = true;
    return;
  }
  TakeAnswers();
  StartRead(&incoming_);
}

void ProduceStream::TakeAnswers() {
  const int64_t now = NowNs();
  naru::v1::ProduceStreamResponse response;
  grpc::Slice bytes;
  if (!incoming_.DumpToSingleSlice(&bytes).ok() ||
      !response.ParseFromArray(bytes.begin(), static_cast<int>(bytes.size()))) {
    context_.TryCancel();  // what it was for will never be known
    return tally_.Fail("an answer that is no ProduceStreamResponse");
  }
  for (const auto& result : response.results()) TakeResult(result, now);
  if (finishing_) WriteNext();
}

void ProduceStream::TakeResult(const naru::v1::ProduceStreamResult& result, int64_t now_ns) {
  if (result.id() == kResumeId) return;
  auto found = in_flight_.find(result.id());
  if (found == in_flight_.end()) {
    context_.TryCancel();
    return tally_.Fail(absl::StrCat("an answer for item ", result.id(), ", which was not on the way"));
  }
  const int64_t intended_ns = found->second;
  in_flight_.erase(found);
  const naru::v1::Error* error = result.has_error() ? &result.error() : nullptr;
  if (result.results_size() > 0 && result.results(0).has_error()) error = &result.results(0).error();
  if (error == nullptr) {
    Count(tally_, intended_ns, now_ns);
  } else {
    tally_.Fail(error->message());
    if (error->reason() != "STREAM_ITEM_SKIPPED") {
      resume_ = true;
      sequences_.BeginAnew();
    }
  }
  if (SendsMore(now_ns)) Enqueue(now_ns);
  WriteNext();
}

Tally ProduceStream::Finish() {
  absl::MutexLock lock(&mutex_);
  finishing_ = true;
  WriteNext();
  mutex_.Await(absl::Condition(&done_));
  return std::move(tally_);
}

void ProduceStream::OnDone(const grpc::Status& status) {
  absl::MutexLock lock(&mutex_);
  if (!status.ok()) tally_.Fail(status.error_message());
  for (size_t i = 0; i < in_flight_.size() + waiting_.size(); ++i)
    tally_.Fail("the stream ended without an answer");
  done_ = true;
}

}  // namespace naru::bench
