// The history of a run, as JSON lines for checker.py, which describes the events.
#pragma once

#include <cstdint>
#include <cstdio>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace naru::crash {

// Unique over a run: which producer, and a number of its own.
using Value = uint64_t;

// Monotonic, comparable between processes of one machine.
int64_t NowNs();

// Thread-safe. Every event is in the file when its call returns, so a killed process leaves whole lines.
class History {
 public:
  // Dies when `path` cannot be written: without a history a run says nothing.
  explicit History(const std::string& path);
  ~History();
  History(const History&) = delete;
  History& operator=(const History&) = delete;

  // `partition` < 0: chosen by the broker. Call before the batch goes out.
  void Send(std::string_view order, int64_t id, int32_t partition, std::span<const Value> values);
  void Ok(std::string_view order, int64_t id, int32_t partition, int64_t base_offset,
          std::span<const Value> values);
  void Fail(std::string_view order, int64_t id, std::span<const Value> values);
  void Unknown(std::string_view order, int64_t id, std::span<const Value> values);

  struct Poll {
    std::string_view client;
    int64_t begin_ns = 0;
    int32_t partition = 0;
    int64_t from = 0;
    int64_t next = 0;
    int64_t high_watermark = 0;
    int64_t log_start = 0;
    bool drain = false;
    // (offset, value); a record that is not as it was made has value 0, which nobody sends.
    std::vector<std::pair<int64_t, Value>> records = {};
  };
  void Read(const Poll& poll);

 private:
  void Outcome(std::string_view op, std::string_view order, int64_t id, std::span<const Value> values);
  void Write(std::string line);

  absl::Mutex mutex_;
  std::FILE* const file_ ABSL_PT_GUARDED_BY(mutex_);
};

}  // namespace naru::crash
