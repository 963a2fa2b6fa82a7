#include "tests/storage/log/keyed_batches.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "storage/base/check.h"
#include "storage/base/crc32c.h"
#include "storage/batch/wire.h"

namespace naru::testing {

KeyedRecord ParseKeyed(const std::string& text) {
  KeyedRecord record;
  const size_t equals = text.find('=');
  if (equals != 0) record.key = text.substr(0, equals);
  if (equals != std::string::npos) record.value = text.substr(equals + 1);
  return record;
}

TestBatch MakeKeyedBatch(const std::vector<KeyedRecord>& records, Codec codec) {
  BatchBuilder builder;
  for (const KeyedRecord& record : records) {
    std::string raw;
    if (record.key) wire::AppendBytesField(raw, 1, *record.key);
    if (record.value) wire::AppendBytesField(raw, 2, *record.value);
    if (record.timestamp_ms != 0) {
      wire::AppendVarintField(raw, 4, static_cast<uint64_t>(record.timestamp_ms));
    }
    builder.AddRaw(raw);
  }
  TestBatch batch;
  absl::StatusOr<absl::Cord> bytes = builder.Finish(codec);
  NARU_CHECK_OK(bytes.status());
  batch.bytes = *std::move(bytes);
  BatchLimits limits;
  limits.record_bytes_max = limits.batch_bytes_max = int64_t{64} << 20;
  absl::StatusOr<BatchInfo> info = WalkBatch(batch.bytes, limits);
  NARU_CHECK_OK(info.status());
  batch.info = *info;
  return batch;
}

TestBatch MakeKeyedBatch(const std::vector<std::string>& records, Codec codec) {
  std::vector<KeyedRecord> parsed;
  parsed.reserve(records.size());
  for (const std::string& record : records) parsed.push_back(ParseKeyed(record));
  return MakeKeyedBatch(parsed, codec);
}

std::vector<SeenKeyed> KeyedRecordsOf(const std::vector<StoredBatchView>& batches, Offset from) {
  std::vector<SeenKeyed> seen;
  for (const StoredBatchView& batch : batches) {
    EXPECT_EQ(Crc32c(batch.bytes), batch.crc32c);
    EXPECT_GT(batch.record_count, 0u) << "no reader is given an empty one";
    uint32_t i = 0;
    const absl::Status read = ForEachRecord(batch.bytes, [&](const RecordView& record) {
      EXPECT_LT(i, batch.record_count);
      const Offset offset = batch.offset_of(i++);
      EXPECT_LT(offset, batch.next_offset);
      if (offset < from) return true;
      SeenKeyed one{offset.value(), {}};
      if (record.key) one.record.key = std::string(*record.key);
      if (record.value) one.record.value = std::string(*record.value);
      one.record.timestamp_ms = record.timestamp_ms;
      seen.push_back(std::move(one));
      return true;
    });
    EXPECT_TRUE(read.ok()) << read;
    EXPECT_EQ(i, batch.record_count);
  }
  return seen;
}

std::string ToText(const SeenKeyed& seen) {
  return absl::StrCat(seen.offset, ":", seen.record.key.value_or(""), seen.record.value ? "=" : "",
                      seen.record.value.value_or(""));
}

}  // namespace naru::testing
