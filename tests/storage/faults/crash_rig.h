// A PartitionStore on faulty files, the models of its logs, and crashes: the power goes, the store dies, what
// survived is opened again and compared with the models. Driven by one thread.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "storage/base/clock.h"
#include "storage/base/event_log.h"
#include "storage/store/partition_store.h"
#include "tests/storage/faults/faulty_files.h"
#include "tests/storage/faults/log_model.h"

namespace naru::testing {

// What a crash does to the index, which lives on the real disk: it holds durable entries only, so whatever it
// had when the store died is what it might have had at the crash.
enum class IndexFate {
  kKept,
  kLost,   // to be rebuilt
  kOlder,  // as it was when the store was opened, unless segments were removed since
};

class CrashRig {
 public:
  // Small segments; maintenance only when asked for.
  explicit CrashRig(StoreOptions options = SmallOptions());
  ~CrashRig();
  static StoreOptions SmallOptions();

  FaultyFiles& files() { return files_; }
  ManualClock& clock() { return clock_; }
  PartitionStore& store() { return *store_; }
  bool is_open() const { return store_ != nullptr; }
  // Changed between Close and Open, at most.
  StoreOptions& options() { return options_; }
  // The store has lost its disk, or was told so.
  bool dead() const { return dead_ || files_.power_is_off(); }
  std::string SegmentsDirectory() const { return options_.directory + "/segments"; }
  // Paths, in order of id.
  std::vector<std::string> Segments();

  // --- Operations; none waits. Logs must be there (Live) but for Create.
  void Create(LogId log, LogSettings settings = {});
  void Delete(LogId log);
  void Append(LogId log, const TestBatch& batch, std::optional<ProducerStamp> producer = std::nullopt);
  void Truncate(LogId log, Offset end);
  void MoveStart(LogId log, Offset start);
  void BeginEpoch(LogId log, LeaderEpoch epoch);
  // Until nothing is under way. Dies after a minute.
  void Wait();
  // What a log that was created and not deleted should be.
  std::vector<LogId> Live() const;
  // An id that was never used.
  LogId UnusedLog() const { return LogId(last_log_.value() + 1); }
  LogModel& Model(LogId log) { return logs_.at(log).model; }

  // --- Ends and beginnings.
  absl::Status Open();
  // Stops in order.
  void Close();
  // The power goes unless it has, the store dies, what survived comes back. Not open afterwards.
  void Crash(const Survival& survival, IndexFate fate);
  // The store dies as a process does, at the point where the power was to go: the system keeps what was
  // written, in memory as before. Not open afterwards.
  void Kill(IndexFate fate);
  // Compares the open store with the models. "": all is as it may be. Else what is wrong, which is nothing
  // when the power went meanwhile.
  std::string Check();
  // The entries in the segments, a line for each, for messages.
  std::string Describe();

 private:
  struct ModeledLog {
    LogModel model;
    std::shared_ptr<Outcome> created;
    std::shared_ptr<Outcome> deleted;  // nullptr: nobody asked for it
  };
  // Counts what is under way.
  struct Pending {
    absl::Mutex mutex;
    int count ABSL_GUARDED_BY(mutex) = 0;
  };

  // A completion that notes the outcome.
  template <typename Result>
  absl::AnyInvocable<void(Result)> Noting(std::shared_ptr<Outcome> outcome);
  void DecideIndex(IndexFate fate);
  void CopyIndex();
  void RestoreOlderIndex();
  std::string CheckLog(LogId id, ModeledLog& log, bool there);

  StoreOptions options_;
  std::string older_index_;
  std::vector<std::string> segments_when_opened_;
  FaultyFiles files_;
  ManualClock clock_;
  NullEventLog events_;
  std::atomic<bool> dead_ = false;
  std::shared_ptr<Pending> pending_ = std::make_shared<Pending>();
  std::map<LogId, ModeledLog> logs_;
  LogId last_log_;
  std::unique_ptr<PartitionStore> store_;
};

}  // namespace naru::testing
