// A store in front of another whose appends wait until they are let through: a long queue before the
// appender. Also lets something happen between two of a reader's steps.
#pragma once

#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "storage/log/log_store.h"

namespace naru::services {

class HeldAppends final : public LogStore {
 public:
  // `store` outlives it.
  explicit HeldAppends(LogStore& store) : store_(store) {}

  void Hold() {
    absl::MutexLock lock(&mutex_);
    held_ = true;
  }
  // Waits until so many wait; false after half a minute.
  bool AwaitWaiting(size_t count) const {
    absl::MutexLock lock(&mutex_);
    const auto so = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return waiting_.size() == count; };
    return mutex_.AwaitWithTimeout(absl::Condition(&so), kPatience);
  }
  // Lets those that wait through in order, and from then on all others at once.
  void LetThrough() {
    while (true) {
      std::pair<AppendRequest, AppendDone> next;
      {
        absl::MutexLock lock(&mutex_);
        held_ = !waiting_.empty();
        if (!held_) return;
        next = std::move(waiting_.front());
        waiting_.pop_front();
      }
      store_.Append(std::move(next.first), std::move(next.second));
    }
  }

  // `happen` is called once, before the next read, or search by time, is begun.
  void BeforeRead(absl::AnyInvocable<void()> happen) {
    absl::MutexLock lock(&mutex_);
    before_read_ = std::move(happen);
  }
  void BeforeFind(absl::AnyInvocable<void()> happen) {
    absl::MutexLock lock(&mutex_);
    before_find_ = std::move(happen);
  }
  int64_t reads() const {
    absl::MutexLock lock(&mutex_);
    return reads_;
  }
  // Waits until there were at least so many; false after half a minute.
  bool AwaitReads(int64_t count) const {
    absl::MutexLock lock(&mutex_);
    const auto so = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return reads_ >= count; };
    return mutex_.AwaitWithTimeout(absl::Condition(&so), kPatience);
  }

  void Append(AppendRequest request, AppendDone done) override {
    {
      absl::MutexLock lock(&mutex_);
      if (held_) {
        waiting_.emplace_back(std::move(request), std::move(done));
        return;
      }
    }
    store_.Append(std::move(request), std::move(done));
  }

  void CreateLogs(std::vector<LogId> logs, Done done) override {
    store_.CreateLogs(std::move(logs), std::move(done));
  }
  void DeleteLogs(std::vector<LogId> logs, Done done) override {
    store_.DeleteLogs(std::move(logs), std::move(done));
  }
  absl::Status Configure(LogId log, const LogSettings& settings) override {
    return store_.Configure(log, settings);
  }
  std::vector<LogId> Logs() const override { return store_.Logs(); }
  void AppendAsReplica(ReplicaAppendRequest request, AppendDone done) override {
    store_.AppendAsReplica(std::move(request), std::move(done));
  }
  void Read(ReadRequest request, ReadDone done) override {
    Happen(before_read_);
    store_.Read(request, std::move(done));
    absl::MutexLock lock(&mutex_);
    ++reads_;
  }
  void FindByTime(LogId log, int64_t timestamp_ms, TimeDone done) override {
    Happen(before_find_);
    store_.FindByTime(log, timestamp_ms, std::move(done));
  }
  WatchId Watch(LogId log, Offset offset, absl::AnyInvocable<void()> fire) override {
    return store_.Watch(log, offset, std::move(fire));
  }
  bool CancelWatch(WatchId watch) override { return store_.CancelWatch(watch); }
  void MoveLogStart(LogId log, Offset start, Done done) override {
    store_.MoveLogStart(log, start, std::move(done));
  }
  void Truncate(LogId log, Offset end, Done done) override { store_.Truncate(log, end, std::move(done)); }
  void Reset(LogId log, Offset start, std::vector<ProducerState> producers, Done done) override {
    store_.Reset(log, start, std::move(producers), std::move(done));
  }
  void BeginEpoch(LogId log, LeaderEpoch epoch, Done done) override {
    store_.BeginEpoch(log, epoch, std::move(done));
  }
  absl::StatusOr<LogInfo> Info(LogId log) const override { return store_.Info(log); }
  absl::StatusOr<EpochEnd> EndOffsetForEpoch(LogId log, LeaderEpoch epoch) const override {
    return store_.EndOffsetForEpoch(log, epoch);
  }
  absl::StatusOr<std::vector<ProducerState>> Producers(LogId log) const override {
    return store_.Producers(log);
  }
  void Stop() override { store_.Stop(); }

 private:
  static constexpr absl::Duration kPatience = absl::Seconds(30);

  void Happen(absl::AnyInvocable<void()>& once) {
    absl::AnyInvocable<void()> happen;
    {
      absl::MutexLock lock(&mutex_);
      happen = std::exchange(once, nullptr);
    }
    if (happen) happen();
  }

  LogStore& store_;
  mutable absl::Mutex mutex_;
  bool held_ ABSL_GUARDED_BY(mutex_) = false;
  std::deque<std::pair<AppendRequest, AppendDone>> waiting_ ABSL_GUARDED_BY(mutex_);
  absl::AnyInvocable<void()> before_read_;
  absl::AnyInvocable<void()> before_find_;
  int64_t reads_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace naru::services
