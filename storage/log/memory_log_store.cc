#include "storage/log/memory_log_store.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "storage/base/check.h"
#include "storage/base/status.h"

namespace naru {
namespace {

template <typename DoneType, typename Result>
absl::AnyInvocable<void()> Completion(DoneType done, Result result) {
  return [done = std::move(done), result = std::move(result)]() mutable { done(std::move(result)); };
}

}  // namespace

MemoryLogStore::MemoryLogStore(const Clock& clock, MemoryLogStoreOptions options)
    : clock_(clock), options_(options) {}

void MemoryLogStore::Run(After after) {
  for (auto& complete : after.completions) complete();
  for (const auto& [log, reached] : after.reached) watches_.Fire(log, reached);
  for (const LogId log : after.deleted) watches_.FireAll(log);
}

absl::Status MemoryLogStore::CheckRunning() const {
  if (stopped_) return MakeError(Reason::kShuttingDown, "the store has stopped");
  return absl::OkStatus();
}

absl::Status MemoryLogStore::CheckLog(LogId log) const {
  NARU_RETURN_IF_ERROR(CheckRunning());
  if (!contents_.logs.contains(log)) return LogNotFound(log);
  return absl::OkStatus();
}

absl::Status MemoryLogStore::CheckRoom(LogId log, int64_t bytes) const {
  NARU_RETURN_IF_ERROR(CheckLog(log));
  if (storage_full_) return MakeError(Reason::kStorageFull, "the disk is full; appends are refused");
  if (durable_ && waiting_bytes_ + bytes > options_.pending_bytes_max) {
    return MakeError(Reason::kTooManyInFlight,
                     absl::StrCat("batches that wait to be durable: ", waiting_bytes_, " bytes and ", bytes,
                                  " more; at most ", options_.pending_bytes_max, " are taken"));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::optional<Appended>> MemoryLogStore::CheckAppend(const AppendRequest& request) const {
  NARU_RETURN_IF_ERROR(CheckRunning());
  NARU_RETURN_IF_ERROR(CheckFence(request));
  NARU_RETURN_IF_ERROR(CheckRoom(request.log, request.info.size_bytes));
  return contents_.logs.at(request.log)
      .state()
      .CheckAppend(request, clock_.NowMs() - options_.producer_expiry_ms);
}

void MemoryLogStore::Make(Waiting made, After& after) {
  made.number = ++last_change_;
  made.change(contents_);
  waiting_bytes_ += made.bytes;
  waiting_.push_back(std::move(made));
  if (!durable_) MakeOldestDurable(after);
}

void MemoryLogStore::MakeOldestDurable(After& after) {
  Waiting oldest = std::move(waiting_.front());
  waiting_.pop_front();
  waiting_bytes_ -= oldest.bytes;
  if (durable_) oldest.change(*durable_);
  const auto live = live_.find(oldest.log);
  if (live != live_.end() && oldest.number >= live->second.truncated_by) {
    RaiseEnds(oldest.log, oldest.durable_end, after);
  }
  if (oldest.complete) after.completions.push_back(std::move(oldest.complete));
}

void MemoryLogStore::RaiseEnds(LogId log, Offset durable_end, After& after) {
  Live& live = live_[log];
  live.durable_end = std::max(live.durable_end, durable_end);
  const bool background = live.settings.durability == Durability::kBackground;
  const Offset readable = background ? contents_.logs[log].state().end() : live.durable_end;
  if (readable <= live.readable_end) return;
  live.readable_end = readable;
  after.reached[log] = std::max(after.reached[log], readable);
}

void MemoryLogStore::CreateLogs(std::vector<LogId> logs, Done done) {
  After after;
  {
    absl::MutexLock lock(&mutex_);
    absl::Status status = CheckRunning();
    for (const LogId log : logs) {
      if (!status.ok()) break;
      if (log == LogId(0)) status = InvalidField("log", "0", "ids are positive");
      if (contents_.deleted.contains(log)) {
        status = MakeError(Reason::kInvalidTopicState,
                           absl::StrCat("log: ", log.value(), " was deleted; ids are not used again"));
      }
    }
    if (!status.ok()) {
      after.completions.push_back(Completion(std::move(done), status));
    } else {
      Make({.change =
                [logs](Contents& contents) {
                  for (const LogId log : logs) contents.logs.try_emplace(log);
                },
            .complete = Completion(std::move(done), absl::OkStatus())},
           after);
      for (const LogId log : logs) live_.try_emplace(log);
    }
  }
  Run(std::move(after));
}

void MemoryLogStore::DeleteLogs(std::vector<LogId> logs, Done done) {
  After after;
  {
    absl::MutexLock lock(&mutex_);
    if (absl::Status status = CheckRunning(); !status.ok()) {
      after.completions.push_back(Completion(std::move(done), status));
    } else {
      for (const LogId log : logs) {
        if (live_.erase(log) > 0) after.deleted.push_back(log);
      }
      Make({.change =
                [logs](Contents& contents) {
                  for (const LogId log : logs) {
                    if (contents.logs.erase(log) > 0) contents.deleted.insert(log);
                  }
                },
            .complete = Completion(std::move(done), absl::OkStatus())},
           after);
    }
  }
  Run(std::move(after));
}

absl::Status MemoryLogStore::Configure(LogId log, const LogSettings& settings) {
  After after;
  {
    absl::MutexLock lock(&mutex_);
    NARU_RETURN_IF_ERROR(CheckLog(log));
    live_[log].settings = settings;
    RaiseEnds(log, live_[log].durable_end, after);
  }
  Run(std::move(after));
  return absl::OkStatus();
}

std::vector<LogId> MemoryLogStore::Logs() const {
  absl::MutexLock lock(&mutex_);
  std::vector<LogId> logs;
  for (const auto& [log, contents] : contents_.logs) logs.push_back(log);
  return logs;
}

void MemoryLogStore::AppendTo(MemoryLog& log, const std::vector<StoredBatchView>& batches,
                              size_t count) const {
  for (size_t i = 0; i < count; ++i) {
    log.Append(batches[i], batches[i].append_time_ms - options_.producer_expiry_ms);
  }
}

void MemoryLogStore::MakeAppend(LogId log, std::vector<StoredBatchView> batches, Appended appended,
                                AppendDone done, After& after) {
  int64_t bytes = 0;
  for (const StoredBatchView& batch : batches) bytes += static_cast<int64_t>(batch.bytes.size());
  auto complete = Completion(std::move(done), absl::StatusOr<Appended>(appended));
  if (live_[log].settings.durability == Durability::kBackground) {
    after.completions.push_back(std::exchange(complete, nullptr));
  }
  const auto shared = std::make_shared<const std::vector<StoredBatchView>>(std::move(batches));
  Make({.change = [this, log,
                   shared](Contents& contents) { AppendTo(contents.logs[log], *shared, shared->size()); },
        .complete = std::move(complete),
        .log = log,
        .durable_end = appended.next_offset,
        .bytes = bytes,
        .batches = shared},
       after);
  RaiseEnds(log, live_[log].durable_end, after);
}

void MemoryLogStore::Append(AppendRequest request, AppendDone done) {
  NARU_CHECK(request.info.record_count > 0);
  After after;
  {
    absl::MutexLock lock(&mutex_);
    const absl::StatusOr<std::optional<Appended>> checked = CheckAppend(request);
    if (!checked.ok()) {
      if (request.fence != nullptr) request.fence->Fail(request.fence_order);
      after.completions.push_back(Completion(std::move(done), absl::StatusOr<Appended>(checked.status())));
    } else if (const std::optional<Appended>& repeated = *checked) {
      auto complete = Completion(std::move(done), absl::StatusOr<Appended>(*repeated));
      if (repeated->next_offset <= live_[request.log].readable_end) {
        after.completions.push_back(std::move(complete));
      } else {
        Make({.change = [](Contents&) {}, .complete = std::move(complete)},
             after);  // behind the one that it repeats
      }
    } else {
      const LogState& state = contents_.logs[request.log].state();
      const bool stamped = live_[request.log].settings.append_time_stamped;
      StoredBatchView view;
      view.base_offset = state.end();
      view.next_offset = state.end() + request.info.record_count;
      view.leader_epoch = state.epochs().current();
      view.append_time_ms = clock_.NowMs();
      view.max_timestamp_ms = MaxTimestampMs(request.info, stamped, view.append_time_ms);
      view.crc32c = request.info.crc32c;
      view.record_count = request.info.record_count;
      view.append_time_stamped = stamped;
      view.bytes = std::move(request.batch);
      view.producer = request.producer;
      const Appended appended{view.base_offset, view.next_offset, view.append_time_ms, state.start()};
      MakeAppend(request.log, {std::move(view)}, appended, std::move(done), after);
    }
  }
  Run(std::move(after));
}

void MemoryLogStore::AppendAsReplica(ReplicaAppendRequest request, AppendDone done) {
  const absl::Status sound = CheckReplicaBatches(request);
  After after;
  {
    absl::MutexLock lock(&mutex_);
    int64_t bytes = 0;
    for (const StoredBatchView& batch : request.batches) bytes += static_cast<int64_t>(batch.bytes.size());
    absl::Status status = CheckRoom(request.log, bytes);
    if (status.ok()) status = sound;
    if (status.ok()) status = contents_.logs[request.log].state().CheckReplicaAppend(request);
    if (!status.ok()) {
      after.completions.push_back(Completion(std::move(done), absl::StatusOr<Appended>(status)));
    } else {
      Appended appended{request.batches.front().base_offset, request.batches.back().next_offset,
                        request.batches.back().append_time_ms, contents_.logs[request.log].state().start()};
      std::vector<StoredBatchView> batches;
      Offset at = contents_.logs[request.log].state().end();
      for (size_t i = 0; i < request.batches.size(); ++i) {
        const StoredBatchView& next = request.batches[i];
        for (StoredBatchView& empty :
             EmptyStretch(contents_.logs[request.log].state(), at, next.base_offset, next.leader_epoch)) {
          batches.push_back(std::move(empty));
        }
        at = next.next_offset;
        batches.push_back(std::move(request.batches[i]));
      }
      MakeAppend(request.log, std::move(batches), appended, std::move(done), after);
    }
  }
  Run(std::move(after));
}

void MemoryLogStore::Read(ReadRequest request, ReadDone done) {
  const auto read = [&]() -> absl::StatusOr<ReadResult> {
    absl::MutexLock lock(&mutex_);
    NARU_RETURN_IF_ERROR(CheckLog(request.log));
    const MemoryLog& log = contents_.logs[request.log];
    const Offset readable = live_[request.log].readable_end;
    const Offset limit = request.include_undurable ? log.state().end() : readable;
    if (request.from < log.state().start() || request.from > limit) {
      return OffsetOutOfRange("offset", request.from, log.state().start(), limit);
    }
    ReadResult result;
    result.log_start = log.state().start();
    result.readable_end = readable;
    NARU_RETURN_IF_ERROR(log.Read(request, limit, result));
    if (result.batches.empty()) return result;
    const auto first_bytes = static_cast<int64_t>(result.batches.front().bytes.size());
    if (first_bytes > request.first_bytes_max) {
      result.first_batch_bytes = first_bytes;
      result.batches.clear();
      result.next_offset = request.from;
    }
    return result;
  };
  done(read());
}

void MemoryLogStore::FindByTime(LogId log, int64_t timestamp_ms, TimeDone done) {
  const auto find = [&]() -> absl::StatusOr<std::optional<TimedOffset>> {
    absl::MutexLock lock(&mutex_);
    NARU_RETURN_IF_ERROR(CheckLog(log));
    return contents_.logs[log].FindByTime(timestamp_ms, live_[log].readable_end);
  };
  done(find());
}

LogStore::WatchId MemoryLogStore::Watch(LogId log, Offset offset, absl::AnyInvocable<void()> fire) {
  {
    absl::MutexLock lock(&mutex_);
    const auto live = live_.find(log);
    if (live != live_.end() && live->second.readable_end <= offset &&
        contents_.logs[log].state().start() <= offset) {
      return watches_.Add(log, offset, std::move(fire));
    }
  }
  const WatchId id = watches_.NextId();
  fire();
  return id;
}

bool MemoryLogStore::CancelWatch(WatchId watch) { return watches_.Cancel(watch); }

void MemoryLogStore::MoveStartTo(LogId log, Offset start, absl::AnyInvocable<void()> complete, After& after) {
  Make({.change = [log, start](Contents& contents) { contents.logs[log].MoveStart(start); },
        .complete = std::move(complete)},
       after);
  after.reached[log] = std::max(after.reached[log], contents_.logs[log].state().start());
}

void MemoryLogStore::MoveLogStart(LogId log, Offset start, Done done) {
  After after;
  {
    absl::MutexLock lock(&mutex_);
    absl::Status status = CheckLog(log);
    if (status.ok()) status = contents_.logs[log].state().CheckMoveStart(start, live_[log].readable_end);
    auto complete = Completion(std::move(done), status);
    if (status.ok()) {
      MoveStartTo(log, start, std::move(complete), after);
    } else {
      after.completions.push_back(std::move(complete));
    }
  }
  Run(std::move(after));
}

void MemoryLogStore::Cut(LogId log, absl::Status status, Change change, Done done, After& after) {
  auto complete = Completion(std::move(done), status);
  if (!status.ok()) return after.completions.push_back(std::move(complete));
  Make({.change = std::move(change), .complete = std::move(complete)}, after);
  Live& live = live_[log];
  const LogState& state = contents_.logs[log].state();
  for (Offset* end : {&live.durable_end, &live.readable_end}) {
    *end = std::clamp(*end, state.start(), state.end());
  }
  live.truncated_by = last_change_;
  // What was left becomes durable with it at the latest.
  if (durable_) {
    waiting_.back().log = log;
    waiting_.back().durable_end = state.end();
  }
}

void MemoryLogStore::Truncate(LogId log, Offset end, Done done) {
  After after;
  {
    absl::MutexLock lock(&mutex_);
    absl::Status status = CheckLog(log);
    if (status.ok() && end < Offset(0)) status = InvalidField("end", absl::StrCat(end.value()), "0 and more");
    Cut(
        log, std::move(status), [log, end](Contents& contents) { contents.logs[log].Truncate(end); },
        std::move(done), after);
  }
  Run(std::move(after));
}

void MemoryLogStore::Reset(LogId log, Offset start, std::vector<ProducerState> producers, Done done) {
  After after;
  {
    absl::MutexLock lock(&mutex_);
    absl::Status status = CheckLog(log);
    if (status.ok()) status = LogState::CheckReset(start, producers);
    Cut(
        log, std::move(status),
        [log, start, producers = std::move(producers)](Contents& contents) {
          contents.logs[log].Reset(start, producers);
        },
        std::move(done), after);
    if (const auto live = live_.find(log); live != live_.end())
      after.reached[log] = live->second.readable_end;
  }
  Run(std::move(after));
}

void MemoryLogStore::BeginEpoch(LogId log, LeaderEpoch epoch, Done done) {
  After after;
  {
    absl::MutexLock lock(&mutex_);
    absl::Status status = CheckLog(log);
    if (status.ok()) status = contents_.logs[log].state().CheckBeginEpoch(epoch);
    auto complete = Completion(std::move(done), status);
    if (status.ok()) {
      Make({.change = [log, epoch](Contents& contents) { contents.logs[log].BeginEpoch(epoch); },
            .complete = std::move(complete)},
           after);
    } else {
      after.completions.push_back(std::move(complete));
    }
  }
  Run(std::move(after));
}

absl::StatusOr<LogInfo> MemoryLogStore::Info(LogId log) const {
  absl::MutexLock lock(&mutex_);
  NARU_RETURN_IF_ERROR(CheckLog(log));
  const MemoryLog& contents = contents_.logs.at(log);
  const Live& live = live_.at(log);
  const LogState& state = contents.state();
  return LogInfo{state.start(),
                 state.end(),
                 live.durable_end,
                 live.readable_end,
                 state.epochs().current(),
                 contents.size_bytes(),
                 state.last_append_time_ms()};
}

absl::StatusOr<EpochEnd> MemoryLogStore::EndOffsetForEpoch(LogId log, LeaderEpoch epoch) const {
  absl::MutexLock lock(&mutex_);
  NARU_RETURN_IF_ERROR(CheckLog(log));
  return contents_.logs.at(log).state().EndOffsetForEpoch(epoch);
}

absl::StatusOr<std::vector<ProducerState>> MemoryLogStore::Producers(LogId log) const {
  absl::MutexLock lock(&mutex_);
  NARU_RETURN_IF_ERROR(CheckLog(log));
  return contents_.logs.at(log).state().producers().States();
}

void MemoryLogStore::Stop() {
  After after;
  {
    absl::MutexLock lock(&mutex_);
    while (!waiting_.empty()) MakeOldestDurable(after);
    stopped_ = true;
  }
  Run(std::move(after));
}

}  // namespace naru
