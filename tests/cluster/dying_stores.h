// Stores of a process that dies: after a given number of durable effects nothing has an effect any more, and
// every call fails. What the stores below hold is what a disk would hold then.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "storage/base/ordered_map_store.h"
#include "storage/base/status.h"
#include "storage/log/log_store.h"

namespace naru::cluster {

// How the last effect ends.
enum class Death {
  kBefore,   // it has no effect
  kHalfway,  // of a change of several logs, half take effect; otherwise as kBefore
  kAfter,    // it has its effect, and nobody learns of it
};

// Thread-safe.
class Lifetime {
 public:
  Lifetime(int64_t effects, Death death) : effects_left_(effects), death_(death) {}

  enum class Fate { kAlive, kDying, kDead };
  // Counts one effect.
  Fate Next() {
    absl::MutexLock lock(&mutex_);
    ++effects_;
    if (effects_left_-- > 0) return Fate::kAlive;
    return effects_left_ == -1 ? Fate::kDying : Fate::kDead;
  }
  bool dead() const {
    absl::MutexLock lock(&mutex_);
    return effects_left_ < 0;
  }
  int64_t effects() const {
    absl::MutexLock lock(&mutex_);
    return effects_;
  }
  Death death() const { return death_; }

 private:
  mutable absl::Mutex mutex_;
  int64_t effects_left_;
  int64_t effects_ = 0;
  const Death death_;
};

inline absl::Status Dead() { return MakeError(Reason::kShuttingDown, "the process is dead"); }

class DyingMapStore final : public OrderedMapStore {
 public:
  DyingMapStore(OrderedMapStore& map, Lifetime& life) : map_(map), life_(life) {}

  absl::Status Write(const std::vector<Change>& changes) override {
    const Lifetime::Fate fate = life_.Next();
    if (fate == Lifetime::Fate::kAlive) return map_.Write(changes);
    if (fate == Lifetime::Fate::kDying && life_.death() == Death::kAfter) (void)map_.Write(changes);
    return Dead();
  }
  absl::StatusOr<std::optional<std::string>> Get(std::string_view key) const override {
    return map_.Get(key);
  }
  absl::Status Scan(std::string_view prefix,
                    const std::function<void(std::string_view, std::string_view)>& visit) const override {
    return map_.Scan(prefix, visit);
  }

 private:
  OrderedMapStore& map_;
  Lifetime& life_;
};

// Remembers settings too, which a LogStore does not tell.
class DyingLogStore final : public LogStore {
 public:
  DyingLogStore(LogStore& logs, Lifetime& life) : logs_(logs), life_(life) {}

  std::map<LogId, LogSettings> settings() const {
    absl::MutexLock lock(&mutex_);
    return settings_;
  }

  // The next CreateLogs makes only half of its logs, and fails; the process lives on.
  void RefuseNextCreate() {
    absl::MutexLock lock(&mutex_);
    refuse_create_ = true;
  }

  void CreateLogs(std::vector<LogId> logs, Done done) override {
    if (TakeRefusal()) {
      logs.resize(logs.size() / 2);
      logs_.CreateLogs(std::move(logs), [](absl::Status) {});
      return done(MakeError(Reason::kStorageFull, "no room for logs"));
    }
    ChangeLogs(&LogStore::CreateLogs, std::move(logs), std::move(done));
  }
  void DeleteLogs(std::vector<LogId> logs, Done done) override {
    ChangeLogs(&LogStore::DeleteLogs, std::move(logs), std::move(done));
  }
  void BeginEpoch(LogId log, LeaderEpoch epoch, Done done) override {
    const Lifetime::Fate fate = life_.Next();
    if (fate == Lifetime::Fate::kAlive) return logs_.BeginEpoch(log, epoch, std::move(done));
    if (fate == Lifetime::Fate::kDying && life_.death() == Death::kAfter)
      logs_.BeginEpoch(log, epoch, [](absl::Status) {});
    done(Dead());
  }
  absl::Status Configure(LogId log, const LogSettings& settings) override {
    if (life_.dead()) return Dead();
    NARU_RETURN_IF_ERROR(logs_.Configure(log, settings));
    absl::MutexLock lock(&mutex_);
    settings_[log] = settings;
    return absl::OkStatus();
  }
  std::vector<LogId> Logs() const override { return logs_.Logs(); }
  absl::StatusOr<LogInfo> Info(LogId log) const override { return logs_.Info(log); }

  // The coordinator leaves the rest to others.
  void Append(AppendRequest, AppendDone done) override { done(Dead()); }
  void AppendAsReplica(ReplicaAppendRequest, AppendDone done) override { done(Dead()); }
  void Read(ReadRequest, ReadDone done) override { done(Dead()); }
  void FindByTime(LogId, int64_t, TimeDone done) override { done(Dead()); }
  WatchId Watch(LogId, Offset, absl::AnyInvocable<void()>) override { return 0; }
  bool CancelWatch(WatchId) override { return true; }
  void MoveLogStart(LogId, Offset, Done done) override { done(Dead()); }
  void Truncate(LogId, Offset, Done done) override { done(Dead()); }
  void Reset(LogId, Offset, std::vector<ProducerState>, Done done) override { done(Dead()); }
  absl::StatusOr<EpochEnd> EndOffsetForEpoch(LogId, LeaderEpoch) const override { return Dead(); }
  absl::StatusOr<std::vector<ProducerState>> Producers(LogId) const override { return Dead(); }
  void Stop() override {}

 private:
  bool TakeRefusal() {
    absl::MutexLock lock(&mutex_);
    return std::exchange(refuse_create_, false);
  }

  void ChangeLogs(void (LogStore::*change)(std::vector<LogId>, Done), std::vector<LogId> logs, Done done) {
    const Lifetime::Fate fate = life_.Next();
    if (fate == Lifetime::Fate::kAlive) return (logs_.*change)(std::move(logs), std::move(done));
    if (fate == Lifetime::Fate::kDying && life_.death() == Death::kHalfway) logs.resize(logs.size() / 2);
    if (fate == Lifetime::Fate::kDying && life_.death() != Death::kBefore) {
      (logs_.*change)(std::move(logs), [](absl::Status) {});
    }
    done(Dead());
  }

  LogStore& logs_;
  Lifetime& life_;
  mutable absl::Mutex mutex_;
  std::map<LogId, LogSettings> settings_;
  bool refuse_create_ = false;
};

}  // namespace naru::cluster
