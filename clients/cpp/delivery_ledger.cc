#include "clients/cpp/delivery_ledger.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "storage/base/check.h"

namespace naru::client {

DeliveryLedger::DeliveryLedger(const ProducerOptions& options) : options_(options) {
  absl::MutexLock lock(&mutex_);
  thread_ = std::thread([this] { Run(); });
  thread_id_ = thread_.get_id();
}

DeliveryLedger::~DeliveryLedger() {
  {
    absl::MutexLock lock(&mutex_);
    closed_ = stopping_ = true;
  }
  thread_.join();
}

absl::StatusOr<int64_t> DeliveryLedger::Reserve(int64_t bytes) {
  absl::MutexLock lock(&mutex_);
  if (!HasRoom(bytes)) {
    const absl::Duration wait = OnCallbackThread() ? absl::ZeroDuration() : options_.block_timeout;
    const auto has_room = [this, bytes] {
      mutex_.AssertHeld();
      return HasRoom(bytes);
    };
    if (!mutex_.AwaitWithTimeout(absl::Condition(&has_room), wait)) {
      return absl::ResourceExhaustedError(absl::StrCat("buffer_bytes_max: ", options_.buffer_bytes_max,
                                                       " bytes of records wait for answers"));
    }
  }
  if (closed_) return absl::FailedPreconditionError("the producer is closed");
  used_bytes_ += bytes;
  ++unfinished_[generation_];
  return generation_;
}

void DeliveryLedger::Deliver(std::string_view topic, PartitionId partition, PartitionQueue::Batch batch) {
  absl::MutexLock lock(&mutex_);
  if (!batch->status.ok() && first_failure_.ok()) first_failure_ = batch->status;
  finished_.push_back({topic, partition, std::move(batch)});
}

int64_t DeliveryLedger::EndGeneration() {
  absl::MutexLock lock(&mutex_);
  return generation_++;
}

absl::Status DeliveryLedger::Wait(int64_t generation, absl::Time deadline) {
  absl::MutexLock lock(&mutex_);
  const auto done = [this, generation] {
    mutex_.AssertHeld();
    return unfinished_.empty() || unfinished_.begin()->first > generation;
  };
  if (!mutex_.AwaitWithDeadline(absl::Condition(&done), deadline)) {
    int64_t left = 0;
    for (const auto& [of, count] : unfinished_) left += of <= generation ? count : 0;
    return absl::DeadlineExceededError(absl::StrCat(left, " records are not answered yet"));
  }
  return std::exchange(first_failure_, absl::OkStatus());
}

void DeliveryLedger::Close() {
  absl::MutexLock lock(&mutex_);
  closed_ = true;
}

void DeliveryLedger::RunCallbacks(Finished& finished) {
  ProducerBatch& batch = *finished.batch;
  Delivery delivery{.topic = finished.topic, .partition = finished.partition, .status = batch.status};
  delivery.maybe_appended = !batch.status.ok() && batch.maybe_appended;
  int64_t index = 0;
  for (PendingRecord& record : batch.records) {
    if (record.done) {
      delivery.offset = batch.base_offset < 0 ? -1 : batch.base_offset + index;
      delivery.timestamp_ms = record.timestamp_ms != 0 ? record.timestamp_ms : batch.append_time_ms;
      record.done(delivery);
    }
    ++index;
  }
}

void DeliveryLedger::Run() {
  absl::MutexLock lock(&mutex_);
  const auto has_work = [this] {
    mutex_.AssertHeld();
    return stopping_ || !finished_.empty();
  };
  while (true) {
    mutex_.Await(absl::Condition(&has_work));
    if (finished_.empty()) return;
    Finished finished = std::move(finished_.front());
    finished_.pop_front();
    const int64_t bytes = finished.batch->charged_bytes;
    const int64_t generation = finished.batch->generation;
    const auto count = static_cast<int64_t>(finished.batch->records.size());
    mutex_.Unlock();
    RunCallbacks(finished);
    finished.batch.reset();
    mutex_.Lock();
    used_bytes_ -= bytes;
    const auto unfinished = unfinished_.find(generation);
    NARU_CHECK(unfinished != unfinished_.end() && unfinished->second >= count);
    if ((unfinished->second -= count) == 0) unfinished_.erase(unfinished);
  }
}

}  // namespace naru::client
