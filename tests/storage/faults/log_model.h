// What a log should hold, from what was asked of it: the operations in the order of the calls and what came
// of each. After a crash a log must be as some prefix of them left it, and no promise may lie beyond that
// prefix. Not thread-safe but for the completions.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "storage/log/log_store.h"
#include "storage/log/memory_log.h"
#include "tests/storage/log/record_batches.h"

namespace naru::testing {

// What came of one operation; set by a completion, on whatever thread.
class Outcome {
 public:
  enum class State { kUnknown, kDone, kRefused };
  State state() const { return state_.load(); }
  // The base offset of an append that was done.
  int64_t base_offset() const { return base_offset_.load(); }

  // INTERNAL and SHUTTING_DOWN say nothing about what is in the log; other errors say that nothing is.
  void Set(const absl::Status& status);
  void Set(const absl::StatusOr<Appended>& appended);

 private:
  std::atomic<State> state_ = State::kUnknown;
  std::atomic<int64_t> base_offset_ = -1;
};

class LogModel {
 public:
  // `settings.durability` says whether a completed append is a promise.
  explicit LogModel(LogSettings settings = {}) : settings_(settings) {}

  const LogSettings& settings() const { return settings_; }
  bool background() const { return settings_.durability == Durability::kBackground; }

  // As the log is if everything asked of it is done.
  const MemoryLog& expected() const { return expected_; }

  // Notes an operation that is about to be sent.
  std::shared_ptr<Outcome> Append(const TestBatch& batch, std::optional<ProducerStamp> producer,
                                  int64_t append_time_ms);
  std::shared_ptr<Outcome> Truncate(Offset end);
  std::shared_ptr<Outcome> MoveStart(Offset start);
  std::shared_ptr<Outcome> BeginEpoch(LeaderEpoch epoch);

  // Finds the prefix of the operations that left the log as `portrait` shows it. "": found, and from now on
  // that is where the log stands; else what is wrong.
  std::string Settle(const std::string& portrait);

 private:
  struct Operation {
    std::string what;
    // Returns an append's base offset, else -1.
    std::function<int64_t(MemoryLog&)> apply;
    std::shared_ptr<Outcome> outcome;
    bool promise = true;  // when it is done, it is durable
  };
  std::shared_ptr<Outcome> Note(std::string what, std::function<int64_t(MemoryLog&)> apply, bool promise);

  LogSettings settings_;
  MemoryLog base_;
  MemoryLog expected_;
  std::vector<Operation> operations_;
};

// Everything that can be seen of a log, as text.
std::string PortraitOf(const MemoryLog& log);
// The same of a log in a store, read from beginning to end. Begins with "cannot" when that fails.
std::string PortraitOf(LogStore& store, LogId log);

}  // namespace naru::testing
