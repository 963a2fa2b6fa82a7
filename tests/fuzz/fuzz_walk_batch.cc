// The walk, the split and the splice against libprotobuf's parser: whatever the walk accepts, the parser must
// read in the same way, and so must it read what is made of it.
//
// Input: a byte of form, one of chunk size (0: one chunk), one of choices, and bytes. With form 1 to 4 the
// bytes are compressed here with the codec of that number and put into a batch, so that mutations get behind
// the compression; with any other form they are the batch.
#include <google/protobuf/stubs/logging.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/cord.h"
#include "naru/v1/consume.pb.h"
#include "naru/v1/types.pb.h"
#include "storage/base/check.h"
#include "storage/base/crc32c.h"
#include "storage/base/status.h"
#include "storage/base/strings.h"
#include "storage/batch/batch.h"
#include "storage/batch/compression.h"
#include "storage/batch/partitioner.h"
#include "storage/batch/producer_stamp.h"
#include "storage/batch/splice.h"
#include "storage/batch/wire.h"

namespace naru {
namespace {

constexpr BatchLimits kLimits = {.record_bytes_max = 4096, .batch_bytes_max = 64 << 10, .records_max = 1000};
constexpr int64_t kAppendTimeMs = 1'700'000'000'000;
constexpr uint32_t kBatchesField = 14;
constexpr uint32_t kRecordsField = 15;

// `bytes` in chunks of `chunk_bytes` (0: in one), each a heap block of its own, so that a read past its end
// is seen.
absl::Cord InChunks(std::string_view bytes, size_t chunk_bytes) {
  if (chunk_bytes == 0) chunk_bytes = std::max<size_t>(bytes.size(), 1);
  absl::Cord cord;
  for (; !bytes.empty(); bytes.remove_prefix(std::min(chunk_bytes, bytes.size()))) {
    const std::string_view piece = bytes.substr(0, chunk_bytes);
    auto block = std::shared_ptr<char[]>(new char[piece.size()]);
    std::copy(piece.begin(), piece.end(), block.get());
    cord.Append(absl::MakeCordFromExternal(absl::string_view(block.get(), piece.size()), [block] {}));
  }
  return cord;
}

// What a parser sees in the batch, decompressed. False: it refuses the bytes.
bool ParsePlain(std::string_view bytes, v1::RecordBatch& outer, v1::RecordBatch& plain) {
  if (!outer.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return false;
  plain = outer;
  if (outer.compression() == v1::COMPRESSION_UNSPECIFIED) return true;
  const auto decompressed =
      Decompress(static_cast<Codec>(outer.compression()), absl::Cord(outer.compressed()),
                 static_cast<size_t>(kLimits.batch_bytes_max));
  return decompressed.ok() && plain.ParseFromString(*decompressed);
}

void CheckSameRecord(const v1::Record& a, const v1::Record& b) {
  NARU_CHECK(a.has_key() == b.has_key() && a.key() == b.key());
  NARU_CHECK(a.has_value() == b.has_value() && a.value() == b.value());
  NARU_CHECK(a.headers_size() == b.headers_size());
  for (int i = 0; i < a.headers_size(); ++i) {
    NARU_CHECK(a.headers(i).key() == b.headers(i).key());
    NARU_CHECK(a.headers(i).value() == b.headers(i).value());
  }
}

// One accepted batch, beside what the parser sees in it.
class Accepted {
 public:
  Accepted(const absl::Cord& batch, const BatchInfo& info, const v1::RecordBatch& plain, uint8_t choices)
      : batch_(batch), info_(info), plain_(plain), choices_(choices) {
    stored_.base_offset = Offset(choices % 7 == 0 ? 0 : int64_t{1} << (choices % 60));
    stored_.next_offset = stored_.base_offset + info.record_count;
    stored_.leader_epoch = LeaderEpoch(choices % 3);
    stored_.append_time_ms = kAppendTimeMs;
    stored_.crc32c = info.crc32c;
    stored_.record_count = info.record_count;
    stored_.append_time_stamped = choices % 2 == 1;
    stored_.bytes = batch;
  }

  void Check(const v1::RecordBatch& outer) {
    CheckFindings(outer);
    CheckVisit();
    CheckSplice();
    CheckFindTimestamp();
    CheckWrap(outer);
    CheckSplit();
  }

 private:
  int64_t DeliveredTimestamp(int i) const {
    const int64_t own = plain_.records(i).timestamp_ms();
    return stored_.append_time_stamped || own == 0 ? kAppendTimeMs : own;
  }

  void CheckFindings(const v1::RecordBatch& outer) {
    NARU_CHECK(outer.GetReflection()->GetUnknownFields(outer).empty());
    NARU_CHECK(info_.size_bytes == static_cast<int64_t>(batch_.size()));
    NARU_CHECK(info_.crc32c == Crc32c(std::string(batch_)));
    NARU_CHECK(static_cast<int>(info_.codec) == static_cast<int>(outer.compression()));
    NARU_CHECK(info_.record_count == static_cast<uint32_t>(plain_.records_size()));
    NARU_CHECK(outer.record_count() == info_.record_count || outer.record_count() == 0);
    const auto codec = CodecOf(batch_);
    NARU_CHECK(codec.ok() && *codec == info_.codec);
    int64_t max_timestamp_ms = 0;
    bool needs_append_time = false, has_keyed = false, has_keyless = false;
    for (const v1::Record& record : plain_.records()) {
      NARU_CHECK(record.offset() == 0 && record.timestamp_ms() >= 0);
      max_timestamp_ms = std::max(max_timestamp_ms, record.timestamp_ms());
      needs_append_time |= record.timestamp_ms() == 0;
      (record.has_key() ? has_keyed : has_keyless) = true;
    }
    NARU_CHECK(info_.max_timestamp_ms == max_timestamp_ms);
    NARU_CHECK(outer.max_timestamp_ms() == 0 || outer.max_timestamp_ms() == max_timestamp_ms);
    NARU_CHECK(info_.needs_append_time == needs_append_time);
    NARU_CHECK(info_.has_keyed == has_keyed && info_.has_keyless == has_keyless);
    CheckStamp(outer);
  }

  void CheckStamp(const v1::RecordBatch& outer) {
    NARU_CHECK(info_.producer.has_value() == outer.has_producer());
    const auto read_back = StampOf(batch_);
    NARU_CHECK_OK(read_back.status());
    NARU_CHECK(*read_back == info_.producer);
    if (!info_.producer) return;
    const v1::ProducerStamp& stamp = outer.producer();
    NARU_CHECK(stamp.GetReflection()->GetUnknownFields(stamp).empty());
    NARU_CHECK(stamp.producer_id() == info_.producer->producer_id && stamp.producer_id() >= 1);
    NARU_CHECK(stamp.epoch() == info_.producer->epoch && stamp.epoch() >= 0);
    NARU_CHECK(stamp.base_sequence() == info_.producer->base_sequence);
    NARU_CHECK(stamp.base_sequence() >= 0 && stamp.base_sequence() <= kBaseSequenceMax);
  }

  void CheckVisit() {
    int i = 0;
    NARU_CHECK_OK(ForEachRecord(batch_, [&](const RecordView& view) {
      const v1::Record& expected = plain_.records(i++);
      NARU_CHECK(view.key.has_value() == expected.has_key() && view.key.value_or("") == expected.key());
      NARU_CHECK(view.value.has_value() == expected.has_value() &&
                 view.value.value_or("") == expected.value());
      NARU_CHECK(view.timestamp_ms == expected.timestamp_ms());
      v1::Record parsed;
      NARU_CHECK(parsed.ParseFromArray(view.raw.data(), static_cast<int>(view.raw.size())));
      CheckSameRecord(parsed, expected);
      return true;
    }));
    NARU_CHECK(i == plain_.records_size());
  }

  // Reads the batch from a record on, in answers of a few bytes, as a consumer does.
  void CheckSplice() {
    const int from = choices_ % plain_.records_size();
    const Offset end = stored_.next_offset - (choices_ % 5 == 4 ? 1 : 0);
    SpliceLimits limits{.from = stored_.base_offset + from, .end = end, .bytes_max = int64_t{4} * choices_};
    if (choices_ % 11 == 10) limits.records_max = 2;
    int i = from;
    while (limits.from < end) {
      std::string out;
      Spliced result;
      NARU_CHECK_OK(SpliceRecords(stored_, kRecordsField, limits, out, result));
      v1::FetchResponse answer;
      NARU_CHECK(answer.ParseFromString(out));
      NARU_CHECK(answer.records_size() > 0 && answer.records_size() == result.records);
      NARU_CHECK(answer.records_size() == 1 || static_cast<int64_t>(out.size()) <= limits.bytes_max);
      NARU_CHECK(result.limit_reached == (result.next_offset < end));
      for (const v1::Record& record : answer.records()) {
        CheckSameRecord(record, plain_.records(i));
        NARU_CHECK(record.offset() == (stored_.base_offset + i).value());
        NARU_CHECK(record.timestamp_ms() == DeliveredTimestamp(i));
        ++i;
      }
      NARU_CHECK(result.next_offset == stored_.base_offset + i);
      limits.from = result.next_offset;
    }
  }

  void CheckFindTimestamp() {
    const int from = choices_ % plain_.records_size();
    const int64_t wanted = plain_.records(from / 2).timestamp_ms();
    const auto found = FindTimestamp(stored_, wanted, stored_.base_offset + from);
    NARU_CHECK_OK(found.status());
    int i = from;
    while (i < plain_.records_size() && DeliveredTimestamp(i) < wanted) ++i;
    NARU_CHECK(found->has_value() == (i < plain_.records_size()));
    if (!found->has_value()) return;
    NARU_CHECK((*found)->offset == stored_.base_offset + i);
    NARU_CHECK((*found)->timestamp_ms == DeliveredTimestamp(i));
  }

  void CheckWrap(const v1::RecordBatch& outer) {
    absl::Cord out;
    WrapStored(stored_, kBatchesField, out);
    v1::FetchResponse answer;
    NARU_CHECK(answer.ParseFromString(std::string(out)));
    NARU_CHECK(answer.batches_size() == 1);
    const v1::StoredBatch& wrapped = answer.batches(0);
    NARU_CHECK(wrapped.base_offset() == stored_.base_offset.value());
    NARU_CHECK(wrapped.next_offset() == stored_.next_offset.value());
    NARU_CHECK(wrapped.leader_epoch() == stored_.leader_epoch.value());
    NARU_CHECK(wrapped.append_time_ms() == kAppendTimeMs && wrapped.crc32c() == info_.crc32c);
    NARU_CHECK((wrapped.timestamp_type() == v1::TIMESTAMP_TYPE_APPEND_TIME) == stored_.append_time_stamped);
    NARU_CHECK(wrapped.batch().SerializeAsString() == outer.SerializeAsString());
  }

  void CheckSplit() {
    const int32_t partition_count = 1 + choices_ % 9;
    const PartitionId keyless(choices_ % partition_count);
    const auto parts = SplitByKey(batch_, info_, partition_count, keyless);
    NARU_CHECK_OK(parts.status());
    NARU_CHECK(!parts->empty());
    std::vector<bool> seen(plain_.records_size());
    PartitionId last{-1};
    for (const BatchPart& part : *parts) {
      NARU_CHECK(part.partition > last);
      last = part.partition;
      const auto info = WalkBatch(part.batch, kLimits);
      NARU_CHECK_OK(info.status());
      NARU_CHECK(info->codec == info_.codec || info->codec == Codec::kNone);
      const bool whole = parts->size() == 1;
      if (whole) NARU_CHECK(part.batch == batch_ && part.record_indexes.empty());
      NARU_CHECK(info->record_count == (whole ? info_.record_count : part.record_indexes.size()));
      uint32_t i = 0;
      NARU_CHECK_OK(ForEachRecord(part.batch, [&](const RecordView& view) {
        const uint32_t index = whole ? i : part.record_indexes[i];
        ++i;
        NARU_CHECK(!seen[index]);
        seen[index] = true;
        const v1::Record& expected = plain_.records(static_cast<int>(index));
        NARU_CHECK(view.key.has_value() == expected.has_key() && view.key.value_or("") == expected.key());
        NARU_CHECK(view.value.value_or("") == expected.value());
        NARU_CHECK(part.partition == (view.key ? PartitionForKey(*view.key, partition_count) : keyless));
        return true;
      }));
    }
    NARU_CHECK(std::find(seen.begin(), seen.end(), false) == seen.end());
  }

  const absl::Cord& batch_;
  const BatchInfo& info_;
  const v1::RecordBatch& plain_;
  const uint8_t choices_;
  StoredBatchView stored_;
};

// What a parser reads is accepted once it is written anew with the rules kept.
void CheckRewritten(const v1::RecordBatch& parsed) {
  v1::RecordBatch rewritten;
  for (const v1::Record& record : parsed.records()) {
    v1::Record& copy = *rewritten.add_records();
    copy = record;
    copy.DiscardUnknownFields();
    copy.clear_offset();
    if (copy.timestamp_ms() < 0) copy.clear_timestamp_ms();
  }
  BatchLimits limits = kLimits;
  limits.batch_bytes_max *= 2;
  limits.record_bytes_max = limits.batch_bytes_max;
  limits.records_max = limits.batch_bytes_max;
  const auto info = WalkBatch(absl::Cord(rewritten.SerializeAsString()), limits);
  if (rewritten.records_size() == 0) {
    NARU_CHECK(MetadataValue(info.status(), "rule") == "no_records");
  } else {
    NARU_CHECK_OK(info.status());
    NARU_CHECK(info->record_count == static_cast<uint32_t>(rewritten.records_size()));
  }
}

// The batch that the input stands for.
std::string BatchOf(uint8_t form, std::string_view bytes) {
  if (form == 0 || form > static_cast<uint8_t>(Codec::kSnappy)) return std::string(bytes);
  v1::RecordBatch plain;
  const bool parsed = plain.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
  std::string batch;
  wire::AppendVarintField(batch, 2, form);
  wire::AppendVarintField(batch, 3, parsed ? static_cast<uint64_t>(plain.records_size()) : 1);
  wire::AppendBytesField(batch, 14, *Compress(static_cast<Codec>(form), bytes));
  return batch;
}

void Run(std::string_view input) {
  constexpr size_t kHeadBytes = 3;
  if (input.size() < kHeadBytes) return;
  const auto form = static_cast<uint8_t>(input[0]);
  const auto chunk_bytes = static_cast<uint8_t>(input[1]);
  const auto choices = static_cast<uint8_t>(input[2]);
  const std::string bytes = BatchOf(form, input.substr(kHeadBytes));

  const absl::Cord batch = InChunks(bytes, chunk_bytes);
  const auto info = WalkBatch(batch, kLimits);
  const auto info_in_one = WalkBatch(InChunks(bytes, 0), kLimits);
  NARU_CHECK(info.status() == info_in_one.status());
  if (!info.ok()) {
    NARU_CHECK(info.status().code() == absl::StatusCode::kInvalidArgument &&
               ReasonOf(info.status()).has_value());
    // Whoever reads such bytes from a log gets an answer or an error, not a crash.
    ForEachRecord(batch, [](const RecordView&) { return true; }).IgnoreError();
    StampOf(batch).IgnoreError();
  }
  v1::RecordBatch outer;
  v1::RecordBatch plain;
  const bool parsed = ParsePlain(bytes, outer, plain);
  if (parsed && static_cast<int64_t>(bytes.size()) <= kLimits.batch_bytes_max) CheckRewritten(plain);
  if (!info.ok()) return;
  NARU_CHECK(parsed);
  NARU_CHECK(info->record_count == info_in_one->record_count && info->crc32c == info_in_one->crc32c);
  Accepted(batch, *info, plain, choices).Check(outer);
}

}  // namespace
}  // namespace naru

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const google::protobuf::LogSilencer silence;
  (void)silence;
  naru::Run(std::string_view(reinterpret_cast<const char*>(data), size));
  return 0;
}
