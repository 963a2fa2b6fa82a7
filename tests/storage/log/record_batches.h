// Batches for tests of stores: made of values and timestamps, and read back as such.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <ostream>
#include <string>
#include <vector>

#include "storage/batch/batch.h"
#include "storage/batch/splice.h"
#include "storage/log/log_store.h"

namespace naru::testing {

struct TestRecord {
  TestRecord(const char* value) : value(value) {}                   // NOLINT: tests list literals
  TestRecord(std::string value) : value(std::move(value)) {}        // NOLINT
  TestRecord(int64_t timestamp_ms) : timestamp_ms(timestamp_ms) {}  // NOLINT
  TestRecord(std::string value, int64_t timestamp_ms) : value(std::move(value)), timestamp_ms(timestamp_ms) {}
  std::string value;
  int64_t timestamp_ms = 0;  // 0: left to the broker
};

struct TestBatch {
  absl::Cord bytes;
  BatchInfo info;
};

// A RecordBatch, walked. Dies when it is no valid one.
TestBatch MakeBatch(const std::vector<TestRecord>& records);
// One record whose batch is about `bytes` large.
TestBatch MakeLargeBatch(std::string value, size_t bytes);
// `count` records of the same short value.
TestBatch MakeBatchOf(int count);

AppendRequest AppendOf(LogId log, TestBatch batch);
// As a leader would send it.
StoredBatchView ViewOf(const TestBatch& batch, Offset base_offset, LeaderEpoch epoch, int64_t append_time_ms);

// A record as read back.
struct SeenRecord {
  int64_t offset = 0;
  std::string value;
  friend bool operator==(const SeenRecord&, const SeenRecord&) = default;
  friend std::ostream& operator<<(std::ostream& os, const SeenRecord& seen) {
    return os << seen.offset << "=" << seen.value.substr(0, 40);
  }
};
// The records of stored batches from offset `from` on. Fails the test when a batch cannot be read.
std::vector<SeenRecord> RecordsOf(const std::vector<StoredBatchView>& batches, Offset from = Offset(0));

}  // namespace naru::testing
