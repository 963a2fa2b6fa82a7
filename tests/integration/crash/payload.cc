#include "tests/integration/crash/payload.h"

#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "storage/base/check.h"
#include "storage/batch/compression.h"

namespace naru::crash {
namespace {

std::string BodyOf(Value value) {
  std::mt19937_64 random(value);
  std::string body = absl::StrCat(value, ":");
  const size_t size = 20 + random() % 980;
  while (body.size() < size) body += static_cast<char>('a' + random() % 26);
  return body;
}

}  // namespace

naru::v1::Record MakeRecord(Value value) {
  naru::v1::Record record;
  record.set_key(absl::StrCat("key-", value % 97));
  record.set_value(BodyOf(value));
  auto* header = record.add_headers();
  header->set_key("value");
  header->set_value(absl::StrCat(value));
  return record;
}

Value ValueOf(const naru::v1::Record& record) {
  Value value = 0;
  if (!absl::SimpleAtoi(record.value().substr(0, record.value().find(':')), &value)) return 0;
  naru::v1::Record plain = record;
  plain.clear_offset();
  plain.clear_timestamp_ms();
  return plain.SerializeAsString() == MakeRecord(value).SerializeAsString() ? value : 0;
}

naru::v1::RecordBatch MakeBatch(std::span<const Value> values, std::mt19937_64& random) {
  naru::v1::RecordBatch batch;
  for (Value value : values) *batch.add_records() = MakeRecord(value);
  const auto codec = static_cast<Codec>(random() % 12);
  if (codec == Codec::kNone || codec > Codec::kSnappy) return batch;
  auto compressed = Compress(codec, batch.SerializeAsString());
  NARU_CHECK(compressed.ok());
  batch.clear_records();
  batch.set_compression(static_cast<naru::v1::Compression>(codec));
  batch.set_record_count(static_cast<uint32_t>(values.size()));
  batch.set_compressed(*std::move(compressed));
  return batch;
}

}  // namespace naru::crash
