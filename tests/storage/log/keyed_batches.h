// Batches of keyed records for tests of compaction, and what is left of them, as text.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "storage/batch/batch.h"
#include "storage/batch/splice.h"
#include "tests/storage/log/record_batches.h"

namespace naru::testing {

struct KeyedRecord {
  std::optional<std::string> key;
  std::optional<std::string> value;  // nothing: a tombstone
  int64_t timestamp_ms = 0;
};

// "k=v", a tombstone as "k", a record without key as "=v".
KeyedRecord ParseKeyed(const std::string& text);
// A RecordBatch, walked.
TestBatch MakeKeyedBatch(const std::vector<KeyedRecord>& records, Codec codec = Codec::kNone);
TestBatch MakeKeyedBatch(const std::vector<std::string>& records, Codec codec = Codec::kNone);

struct SeenKeyed {
  int64_t offset = 0;
  KeyedRecord record;
};
// The records of the batches from `from` on, with their offsets. Fails the test when one cannot be read.
std::vector<SeenKeyed> KeyedRecordsOf(const std::vector<StoredBatchView>& batches, Offset from = Offset(0));
// "3:k=v".
std::string ToText(const SeenKeyed& seen);

}  // namespace naru::testing
