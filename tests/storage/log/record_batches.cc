#include "tests/storage/log/record_batches.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "storage/base/check.h"
#include "storage/base/crc32c.h"
#include "storage/batch/wire.h"

namespace naru::testing {
namespace {

constexpr uint32_t kValueField = 2;
constexpr uint32_t kTimestampField = 4;
constexpr uint32_t kRecordsField = 15;

}  // namespace

TestBatch MakeBatch(const std::vector<TestRecord>& records) {
  std::string bytes;
  for (const TestRecord& record : records) {
    std::string raw;
    wire::AppendBytesField(raw, kValueField, record.value);
    if (record.timestamp_ms != 0) {
      wire::AppendVarintField(raw, kTimestampField, static_cast<uint64_t>(record.timestamp_ms));
    }
    wire::AppendBytesField(bytes, kRecordsField, raw);
  }
  TestBatch batch;
  batch.bytes = absl::Cord(std::move(bytes));
  BatchLimits limits;
  limits.record_bytes_max = limits.batch_bytes_max = int64_t{64} << 20;
  absl::StatusOr<BatchInfo> info = WalkBatch(batch.bytes, limits);
  NARU_CHECK_OK(info.status());
  batch.info = *info;
  return batch;
}

TestBatch MakeLargeBatch(std::string value, size_t bytes) {
  value.append(bytes > value.size() ? bytes - value.size() : 0, '.');
  return MakeBatch({TestRecord(std::move(value))});
}

TestBatch MakeBatchOf(int count) {
  return MakeBatch(std::vector<TestRecord>(static_cast<size_t>(count), TestRecord("v")));
}

AppendRequest AppendOf(LogId log, TestBatch batch) {
  AppendRequest request;
  request.log = log;
  request.batch = std::move(batch.bytes);
  request.info = batch.info;
  return request;
}

StoredBatchView ViewOf(const TestBatch& batch, Offset base_offset, LeaderEpoch epoch,
                       int64_t append_time_ms) {
  StoredBatchView view;
  view.base_offset = base_offset;
  view.next_offset = base_offset + batch.info.record_count;
  view.leader_epoch = epoch;
  view.append_time_ms = append_time_ms;
  view.max_timestamp_ms = batch.info.needs_append_time ? std::max(batch.info.max_timestamp_ms, append_time_ms)
                                                       : batch.info.max_timestamp_ms;
  view.crc32c = batch.info.crc32c;
  view.record_count = batch.info.record_count;
  view.bytes = batch.bytes;
  return view;
}

std::vector<SeenRecord> RecordsOf(const std::vector<StoredBatchView>& batches, Offset from) {
  std::vector<SeenRecord> seen;
  for (const StoredBatchView& batch : batches) {
    EXPECT_EQ(Crc32c(batch.bytes), batch.crc32c) << "batch at " << batch.base_offset;
    uint32_t i = 0;
    const absl::Status status = ForEachRecord(batch.bytes, [&](const RecordView& record) {
      const Offset offset = batch.offset_of(i++);
      if (offset >= from) seen.push_back({offset.value(), std::string(record.value.value_or(""))});
      return i < batch.record_count;
    });
    EXPECT_TRUE(status.ok()) << status;
    EXPECT_EQ(i, batch.record_count);
    if (batch.offset_deltas.empty()) {
      EXPECT_EQ(batch.base_offset + batch.record_count, batch.next_offset);
    }
  }
  return seen;
}

}  // namespace naru::testing
