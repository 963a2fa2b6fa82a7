#include "storage/store/fold.h"

#include <algorithm>

#include "storage/base/check.h"
#include "storage/base/status.h"

namespace naru {
namespace {

absl::Status CannotFollow(const EntryHeader& header, std::string_view why) {
  return MakeError(Reason::kCorruptData,
                   absl::StrCat("entry ", header.sequence.value(), " cannot follow those before it: ", why));
}

AppliedBatch AppliedOf(const EntryHeader& header) {
  AppliedBatch batch;
  batch.base_offset = header.base_offset;
  batch.next_offset = header.next_offset();
  batch.leader_epoch = header.leader_epoch;
  batch.append_time_ms = header.append_time_ms;
  batch.max_timestamp_ms = header.max_timestamp_ms;
  batch.producer = header.producer();
  return batch;
}

}  // namespace

void Fold::ApplyBatch(const std::shared_ptr<Log>& log, const EntryHeader& header, const EntryPlace& place) {
  if (header.Has(kRunStart)) {
    NARU_CHECK(!open_run_);
    open_log_ = log;
    open_run_ = RunOfEntry(header, place.segment, place.position);
  } else {
    NARU_CHECK(open_run_ && open_log_ == log);
    ExtendRun(*open_run_, header);
  }
  AppliedBatch batch = AppliedOf(header);
  batch.forget_producers_before_ms = header.append_time_ms - producer_expiry_ms_;
  // The rows of producers that are forgotten go with them.
  for (const int64_t id : log->state.Append(batch)) forgotten_producers_.emplace_back(log->id, id);
  if (batch.producer) changed_producers_.emplace(log, header.producer_id);
  log->bytes_end += header.bytes_appended();
  log->bytes_gone += header.bytes_appended() - header.batch_bytes();
  const auto entry_bytes = static_cast<int64_t>(header.entry_bytes());
  segments_.AddEntry(place.segment, header.sequence, entry_bytes);
  segments_.AddLive(place.segment, entry_bytes);
  NoteChanged(log);
}

Run Fold::CloseRun(IndexUpdate& update) {
  NARU_CHECK(open_run_);
  update.PutRun(open_log_->id, *open_run_);
  const Run run = *open_run_;
  open_run_.reset();
  open_log_.reset();
  return run;
}

absl::Status Fold::Replay(const EntryHeader& header, std::string_view body, const EntryPlace& place,
                          IndexUpdate& update) {
  if (header.type != EntryType::kBatch) {
    if (open_run_) CloseRun(update);
    return ApplyControl(header, body, place, update);
  }
  const auto log = logs_.Find(header.log);
  if (log == nullptr) return CannotFollow(header, absl::StrCat("there is no log ", header.log.value()));
  absl::MutexLock lock(&log->mutex);
  if (!log->state.Continues(header.base_offset, header.next_offset()) || header.record_count == 0) {
    return CannotFollow(header, absl::StrCat("log ", header.log.value(), " ends at ",
                                             log->state.end().value(), ", not ", header.base_offset.value()));
  }
  if (header.leader_epoch < log->state.epochs().of_last_batch())
    return CannotFollow(header, "the epoch falls");
  if (open_run_ && header.Has(kRunStart)) CloseRun(update);
  if (!header.Has(kRunStart) && (!open_run_ || open_log_ != log))
    return CannotFollow(header, "it continues no run");
  ApplyBatch(log, header, place);
  log->AllDurable();
  return absl::OkStatus();
}

void Fold::Finish(const AppliedPosition& applied, IndexUpdate& update) {
  NARU_CHECK(!open_run_);
  for (const auto& log : changed_) {
    absl::ReaderMutexLock lock(&log->mutex);
    if (!log->deleted) update.PutLog(log->id, EncodeLogRow(*log));
  }
  changed_.clear();
  for (const auto& [log, id] : forgotten_producers_) update.DeleteProducer(log, id);
  forgotten_producers_.clear();
  for (const auto& [log, id] : changed_producers_) {
    absl::ReaderMutexLock lock(&log->mutex);
    const std::string entry = log->deleted ? "" : log->state.EncodeProducer(id);
    if (entry.empty()) {
      update.DeleteProducer(log->id, id);
    } else {
      update.PutProducer(log->id, id, entry);
    }
  }
  changed_producers_.clear();
  segments_.PutChanged(update);
  update.SetApplied(applied);
}

std::vector<std::pair<LogId, Offset>> Fold::Doomed() const {
  absl::MutexLock lock(&doomed_mutex_);
  return {doomed_.begin(), doomed_.end()};
}

void Fold::AddDoomed(LogId log) {
  absl::MutexLock lock(&doomed_mutex_);
  doomed_[log] = Offset(INT64_MIN + 1);
}

}  // namespace naru
