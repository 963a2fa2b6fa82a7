#include "tests/storage/faults/log_model.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "storage/base/status.h"

namespace naru::testing {
namespace {

void AddHead(std::string& text, const LogInfo& info) {
  absl::StrAppend(&text, "start ", info.log_start.value(), " end ", info.end.value(), " epoch ",
                  info.leader_epoch.value(), " bytes ", info.size_bytes, " last append ",
                  info.last_append_time_ms, "\n");
}

void AddBatch(std::string& text, const StoredBatchView& batch) {
  absl::StrAppend(&text, "[", batch.base_offset.value(), ",", batch.next_offset.value(), ") epoch ",
                  batch.leader_epoch.value(), " at ", batch.append_time_ms, " max ", batch.max_timestamp_ms,
                  " crc ", batch.crc32c, " ", RecordsOf({batch}).front().value.substr(0, 24), "\n");
}

void AddProducers(std::string& text, const std::vector<ProducerState>& producers) {
  for (const ProducerState& producer : producers) {
    absl::StrAppend(&text, "producer ", producer.producer_id, "/", producer.epoch, " next ",
                    producer.next_sequence);
    for (const auto& batch : producer.batches) {
      absl::StrAppend(&text, " ", batch.base_sequence, "@", batch.base_offset.value());
    }
    text += "\n";
  }
}

void AddEpochEnd(std::string& text, int32_t asked, const EpochEnd& end) {
  absl::StrAppend(&text, asked, "->", end.epoch.value(), ":", end.end.value(), " ");
}

absl::StatusOr<ReadResult> ReadFrom(LogStore& store, LogId log, Offset from) {
  ReadRequest request;
  request.log = log;
  request.from = from;
  request.bytes_max = 300'000;
  auto notification = std::make_shared<absl::Notification>();
  auto result = std::make_shared<absl::StatusOr<ReadResult>>(absl::UnknownError("no answer within a minute"));
  store.Read(request, [notification, result](absl::StatusOr<ReadResult> read) {
    *result = std::move(read);
    notification->Notify();
  });
  notification->WaitForNotificationWithTimeout(absl::Seconds(60));
  return *result;
}

}  // namespace

void Outcome::Set(const absl::Status& status) {
  if (status.ok()) {
    state_ = State::kDone;
  } else if (status.code() != absl::StatusCode::kInternal && ReasonOf(status) != Reason::kShuttingDown) {
    state_ = State::kRefused;
  }
}

void Outcome::Set(const absl::StatusOr<Appended>& appended) {
  if (appended.ok()) base_offset_ = appended->base_offset.value();
  Set(appended.status());
}

std::shared_ptr<Outcome> LogModel::Note(std::string what, std::function<int64_t(MemoryLog&)> apply,
                                        bool promise) {
  apply(expected_);
  auto outcome = std::make_shared<Outcome>();
  operations_.push_back({std::move(what), std::move(apply), outcome, promise});
  return outcome;
}

std::shared_ptr<Outcome> LogModel::Append(const TestBatch& batch, std::optional<ProducerStamp> producer,
                                          int64_t append_time_ms) {
  return Note(
      absl::StrCat("append of ", batch.info.record_count, " records, ", batch.info.size_bytes, " bytes"),
      [batch, producer, append_time_ms](MemoryLog& log) {
        const Offset base = log.state().end();
        StoredBatchView view = ViewOf(batch, base, log.state().epochs().current(), append_time_ms);
        view.producer = producer;
        log.Append(std::move(view));
        return base.value();
      },
      !background());
}

std::shared_ptr<Outcome> LogModel::Truncate(Offset end) {
  return Note(
      absl::StrCat("truncation to ", end.value()),
      [end](MemoryLog& log) {
        log.Truncate(end);
        return int64_t{-1};
      },
      true);
}

std::shared_ptr<Outcome> LogModel::MoveStart(Offset start) {
  return Note(
      absl::StrCat("start moved to ", start.value()),
      [start](MemoryLog& log) {
        log.MoveStart(start);
        return int64_t{-1};
      },
      true);
}

std::shared_ptr<Outcome> LogModel::BeginEpoch(LeaderEpoch epoch) {
  return Note(
      absl::StrCat("epoch ", epoch.value()),
      [epoch](MemoryLog& log) {
        log.BeginEpoch(epoch);
        return int64_t{-1};
      },
      true);
}

std::string LogModel::Settle(const std::string& portrait) {
  size_t promised = 0;  // operations that must be there
  for (size_t i = 0; i < operations_.size(); ++i) {
    if (operations_[i].promise && operations_[i].outcome->state() == Outcome::State::kDone) promised = i + 1;
  }
  MemoryLog log = base_;
  for (size_t i = 0;; ++i) {
    if (i >= promised && PortraitOf(log) == portrait) {
      base_ = log;
      expected_ = log;
      operations_.clear();
      return "";
    }
    if (i == operations_.size()) break;
    const Operation& operation = operations_[i];
    if (operation.outcome->state() == Outcome::State::kRefused) continue;
    const int64_t base_offset = operation.apply(log);
    const int64_t told = operation.outcome->base_offset();
    if (told >= 0 && told != base_offset) {
      return absl::StrCat(operation.what, " was told offset ", told, " and belongs at ", base_offset);
    }
  }
  std::string text = absl::StrCat("no prefix of the operations gives this log, of which ", promised, " of ",
                                  operations_.size(), " are promised:\n", portrait, "\nit was:\n",
                                  PortraitOf(base_), "and then:\n");
  for (size_t i = 0; i < operations_.size(); ++i) {
    static constexpr const char* kStates[] = {"unknown", "done", "refused"};
    absl::StrAppend(&text, "  ", i + 1, " ", operations_[i].what, ": ",
                    kStates[static_cast<int>(operations_[i].outcome->state())], "\n");
  }
  absl::StrAppend(&text, "which all together gives:\n", PortraitOf(expected_));
  return text;
}

std::string PortraitOf(const MemoryLog& log) {
  const LogState& state = log.state();
  LogInfo info;
  info.log_start = state.start();
  info.end = state.end();
  info.leader_epoch = state.epochs().current();
  info.size_bytes = log.size_bytes();
  info.last_append_time_ms = state.last_append_time_ms();
  std::string text;
  AddHead(text, info);
  ReadResult read;
  const ReadRequest all{.from = state.start(), .end = state.end(), .bytes_max = INT64_MAX};
  if (!log.Read(all, state.end(), read).ok()) return "cannot read the model";
  for (const StoredBatchView& batch : read.batches) AddBatch(text, batch);
  AddProducers(text, state.producers().States());
  for (int32_t epoch = -1; epoch <= info.leader_epoch.value(); ++epoch) {
    AddEpochEnd(text, epoch, state.EndOffsetForEpoch(LeaderEpoch(epoch)));
  }
  return text;
}

std::string PortraitOf(LogStore& store, LogId log) {
  const absl::StatusOr<LogInfo> info = store.Info(log);
  if (!info.ok()) return absl::StrCat("cannot ask: ", info.status().ToString());
  std::string text;
  AddHead(text, *info);
  for (Offset from = info->log_start; from < info->readable_end;) {
    const absl::StatusOr<ReadResult> read = ReadFrom(store, log, from);
    if (!read.ok()) return absl::StrCat("cannot read at ", from.value(), ": ", read.status().ToString());
    if (read->batches.empty()) return absl::StrCat("cannot go on at ", from.value());
    for (const StoredBatchView& batch : read->batches) {
      if (batch.base_offset > from || batch.next_offset <= from) {
        return absl::StrCat("cannot follow from ", from.value(), " to ", batch.base_offset.value());
      }
      AddBatch(text, batch);
      from = batch.next_offset;
    }
  }
  const auto producers = store.Producers(log);
  if (!producers.ok()) return absl::StrCat("cannot ask: ", producers.status().ToString());
  AddProducers(text, *producers);
  for (int32_t epoch = -1; epoch <= info->leader_epoch.value(); ++epoch) {
    const auto end = store.EndOffsetForEpoch(log, LeaderEpoch(epoch));
    if (!end.ok()) return absl::StrCat("cannot ask: ", end.status().ToString());
    AddEpochEnd(text, epoch, *end);
  }
  return text;
}

}  // namespace naru::testing
