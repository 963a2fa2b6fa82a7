#include "clients/cpp/partition_queue.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "clients/cpp/errors.h"
#include "storage/base/check.h"

namespace naru::client {
namespace {

// Brokers take 100,000 by default.
constexpr uint32_t kBatchRecordsMax = 50'000;

BatchStamps::Loss LossOf(const ProducerBatch& batch, const absl::Status& status) {
  const std::optional<Reason> reason = ReasonOf(status);
  if (reason == Reason::kProducerFenced) return BatchStamps::Loss::kFenced;
  if (reason == Reason::kOutOfOrderSequence) return BatchStamps::Loss::kOutOfOrder;
  return batch.maybe_appended ? BatchStamps::Loss::kUnknown : BatchStamps::Loss::kNotAppended;
}

// The broker knows nothing of the producer, and the batch was in nobody's hands before: so it may begin the
// next epoch, as those behind it.
bool WasForgotten(const ProducerBatch& batch, const absl::Status& status) {
  return ReasonOf(status) == Reason::kOutOfOrderSequence &&
         MetadataValue(status, "expected_sequence") == "0" && batch.stamp &&
         batch.stamp->base_sequence != 0 && !batch.maybe_appended;
}

}  // namespace

PartitionQueue::PartitionQueue(std::string topic, PartitionId partition, const ProducerOptions& options,
                               uint32_t seed)
    : topic_(std::move(topic)), partition_(partition), options_(options), backoff_(options.backoff, seed) {}

void PartitionQueue::Append(std::string_view raw_record, PendingRecord record, int64_t charged_bytes,
                            int64_t generation, absl::Time now, int64_t* next_id) {
  if (open_ != nullptr &&
      (open_->generation != generation ||
       static_cast<int64_t>(open_->builder.size_bytes() + raw_record.size()) > options_.batch_bytes)) {
    Seal();
  }
  if (open_ == nullptr) {
    open_ = std::make_unique<ProducerBatch>();
    open_->id = (*next_id)++;
    open_->opened_at = now;
    open_->generation = generation;
  }
  open_->builder.AddRaw(raw_record);
  open_->records.push_back(std::move(record));
  open_->charged_bytes += charged_bytes;
  if (static_cast<int64_t>(open_->builder.size_bytes()) >= options_.batch_bytes ||
      open_->builder.record_count() >= kBatchRecordsMax) {
    Seal();
  }
}

void PartitionQueue::Seal() {
  if (open_ != nullptr) ready_.push_back(std::move(open_));
}

bool PartitionQueue::IsOpenDue(absl::Time now) const {
  return open_ != nullptr && open_->opened_at + options_.linger <= now;
}

bool PartitionQueue::IsSendable(absl::Time now) const {
  if (MustDrain() || now < blocked_until_) return false;
  if (static_cast<int>(in_flight_.size()) >= options_.in_flight_batches_max) return false;
  return !ready_.empty() || IsOpenDue(now);
}

absl::Time PartitionQueue::NextActionAt() const {
  const ProducerBatch* oldest = !again_.empty()   ? again_.begin()->second.get()
                                : !ready_.empty() ? ready_.front().get()
                                                  : open_.get();
  if (oldest == nullptr) return absl::InfiniteFuture();
  const absl::Time expiry = ExpiryOf(*oldest);
  if (MustDrain() || static_cast<int>(in_flight_.size()) >= options_.in_flight_batches_max) return expiry;
  const absl::Time due = !ready_.empty() ? absl::InfinitePast() : open_->opened_at + options_.linger;
  return std::min(expiry, std::max(due, blocked_until_));
}

ProducerBatch* PartitionQueue::Send(int64_t stream, absl::Time now) {
  NARU_CHECK(IsSendable(now));
  NARU_CHECK(in_flight_.empty() || in_flight_stream_ == stream);
  if (stamps_ && stamps_->unsettled()) SettleStamps();
  if (ready_.empty()) Seal();
  Batch batch = std::move(ready_.front());
  ready_.pop_front();
  ProducerBatch* sent = batch.get();
  if (stamps_ && !sent->stamp) sent->stamp = stamps_->Take(static_cast<int64_t>(sent->records.size()));
  in_flight_.emplace(sent->id, std::move(batch));
  in_flight_stream_ = stream;
  return sent;
}

PartitionQueue::Batch PartitionQueue::Finish(Batch batch, absl::Status status) {
  batch->status = std::move(status);
  if (stamps_ && batch->stamp && !batch->status.ok()) {
    stamps_->GiveUp(*batch->stamp, LossOf(*batch, batch->status));
  }
  return batch;
}

bool PartitionQueue::MayTryAgain(const ProducerBatch& batch, const absl::Status& status) const {
  if (IsTransient(status)) return true;
  if (!options_.retry_unknown) return false;
  return ReasonOf(status) == Reason::kLeaderChanged || (batch.stamp && IsOutcomeUnknown(status));
}

void PartitionQueue::SettleStamps() {
  bool unknown_behind = false;
  for (const Batch& batch : ready_) {
    if (!stamps_->NeedsNewStamp({batch->stamp, batch->maybe_appended})) continue;
    unknown_behind |= batch->maybe_appended;
    batch->stamp.reset();
    batch->encoded = false;
  }
  stamps_->Settle(unknown_behind);
}

PartitionQueue::Batch PartitionQueue::OnAppended(int64_t id, int64_t base_offset, int64_t append_time_ms,
                                                 absl::Time now) {
  auto node = in_flight_.extract(id);
  if (node.empty()) return nullptr;
  Batch batch = std::move(node.mapped());
  batch->base_offset = base_offset;
  batch->append_time_ms = append_time_ms;
  backoff_.Reset();
  if (!draining_) last_error_ = absl::OkStatus();
  // Batches before the failed one may be answered after it.
  SettleIfDrained(now);
  return Finish(std::move(batch), absl::OkStatus());
}

PartitionQueue::Batch PartitionQueue::OnFailed(int64_t id, const absl::Status& status, absl::Time now) {
  auto node = in_flight_.extract(id);
  if (node.empty()) return nullptr;
  Batch batch = std::move(node.mapped());
  draining_ = true;
  needs_resume_on_ = in_flight_stream_;
  const bool skipped = ReasonOf(status) == Reason::kStreamItemSkipped;
  const bool unknown = IsOutcomeUnknown(status);
  batch->maybe_appended |= unknown;
  if (!skipped) last_error_ = status;

  Batch finished;
  if (MayTryAgain(*batch, status)) {
    wait_before_retry_ |= !skipped;
    again_.emplace(id, std::move(batch));
  } else if (WasForgotten(*batch, status)) {
    stamps_->GiveUp(*batch->stamp, BatchStamps::Loss::kOutOfOrder);
    wait_before_retry_ = true;
    again_.emplace(id, std::move(batch));
  } else {
    failed_for_good_ = true;
    finished = Finish(std::move(batch), status);
  }
  SettleIfDrained(now);
  return finished;
}

void PartitionQueue::SettleIfDrained(absl::Time now) {
  if (!draining_ || !in_flight_.empty()) return;
  // Skipped without a cause that was seen: do not spin.
  const bool wait = wait_before_retry_ || !failed_for_good_;
  if (wait && !again_.empty()) blocked_until_ = now + backoff_.Next();
  for (auto batch = again_.rbegin(); batch != again_.rend(); ++batch) {
    ready_.push_front(std::move(batch->second));
  }
  again_.clear();
  draining_ = wait_before_retry_ = failed_for_good_ = false;
}

std::vector<PartitionQueue::Batch> PartitionQueue::OnStreamBroken(const absl::Status& status,
                                                                  absl::Time now) {
  std::vector<Batch> finished;
  last_error_ = status;
  draining_ = true;
  wait_before_retry_ = true;
  const bool refused = IsMessageRefused(status);
  for (auto& [id, batch] : in_flight_) {
    if (refused && batch->suspect) {
      // No broker has ever taken it.
      if (batch->only_refused) batch->maybe_appended = false;
      finished.push_back(Finish(std::move(batch), status));
      continue;
    }
    batch->suspect |= refused;
    batch->only_refused = refused && (batch->only_refused || !batch->maybe_appended);
    batch->maybe_appended = true;
    if (options_.retry_unknown) {
      again_.emplace(id, std::move(batch));
    } else {
      finished.push_back(Finish(std::move(batch), status));
    }
  }
  in_flight_.clear();
  needs_resume_on_ = 0;
  SettleIfDrained(now);
  return finished;
}

std::vector<PartitionQueue::Batch> PartitionQueue::Expire(absl::Time now) {
  std::vector<Batch> finished;
  const auto expired = [this](const ProducerBatch& batch) {
    return absl::DeadlineExceededError(absl::StrCat(
        "not acknowledged within delivery_timeout (", absl::FormatDuration(options_.delivery_timeout), "); ",
        batch.maybe_appended ? "it may have been appended" : "it was not appended",
        last_error_.ok() ? "" : absl::StrCat("; last error: ", last_error_.message())));
  };
  while (!again_.empty() && ExpiryOf(*again_.begin()->second) <= now) {
    Batch batch = std::move(again_.begin()->second);
    again_.erase(again_.begin());
    absl::Status status = expired(*batch);
    finished.push_back(Finish(std::move(batch), std::move(status)));
  }
  while (!ready_.empty() && ExpiryOf(*ready_.front()) <= now) {
    Batch batch = std::move(ready_.front());
    ready_.pop_front();
    absl::Status status = expired(*batch);
    finished.push_back(Finish(std::move(batch), std::move(status)));
  }
  if (again_.empty() && ready_.empty() && open_ != nullptr && ExpiryOf(*open_) <= now) {
    absl::Status status = expired(*open_);
    finished.push_back(Finish(std::move(open_), std::move(status)));
  }
  return finished;
}

std::vector<PartitionQueue::Batch> PartitionQueue::FailWaiting(const absl::Status& status) {
  std::vector<Batch> finished;
  for (auto& [id, batch] : again_) finished.push_back(Finish(std::move(batch), status));
  again_.clear();
  Seal();
  for (Batch& batch : ready_) finished.push_back(Finish(std::move(batch), status));
  ready_.clear();
  return finished;
}

}  // namespace naru::client
