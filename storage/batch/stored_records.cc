#include "storage/batch/stored_records.h"

#include "absl/strings/str_cat.h"
#include "storage/base/status.h"
#include "storage/batch/compression.h"

namespace naru {
namespace {

constexpr uint64_t kProducerTag = wire::Tag(1, wire::Type::kLength);
constexpr uint64_t kCompressionTag = wire::Tag(2, wire::Type::kVarint);
constexpr uint64_t kCompressedTag = wire::Tag(14, wire::Type::kLength);
constexpr uint64_t kRecordsTag = wire::Tag(15, wire::Type::kLength);

// Where a batch has its records, as far as its outermost fields say.
struct Outline {
  uint64_t compression = 0;
  bool has_compressed = false;
  size_t compressed_at = 0;
  size_t compressed_size = 0;
};

bool ReadOutline(const absl::Cord& batch, Outline& outline) {
  BatchCursor cursor(batch);
  while (!cursor.done()) {
    uint64_t tag;
    uint64_t value;
    if (!cursor.ReadVarint(tag)) return false;
    // A batch with records is not compressed.
    if (tag == kRecordsTag) return true;
    if (!cursor.ReadVarint(value)) return false;
    if (tag == kCompressionTag) outline.compression = value;
    if (tag == kCompressedTag) {
      if (value > cursor.remaining()) return false;
      outline.has_compressed = true;
      outline.compressed_at = cursor.position();
      outline.compressed_size = value;
      cursor.Skip(value);
    } else if (tag == kProducerTag) {
      if (value > cursor.remaining()) return false;
      cursor.Skip(value);
    } else if ((tag & 7) != static_cast<uint64_t>(wire::Type::kVarint)) {
      return false;
    }
  }
  return true;
}

}  // namespace

absl::Status CorruptBatch(std::string_view what) {
  return MakeError(Reason::kCorruptData, absl::StrCat("stored batch: ", what));
}

absl::StatusOr<StoredRecords> StoredRecords::Of(const absl::Cord& batch) {
  StoredRecords records;
  records.batch_ = &batch;
  Outline outline;
  if (!ReadOutline(batch, outline)) return CorruptBatch("its fields cannot be read");
  if (!outline.has_compressed) return records;
  if (outline.compression == 0 || outline.compression > static_cast<uint64_t>(Codec::kSnappy)) {
    return CorruptBatch(absl::StrCat("compression ", outline.compression, " is no codec"));
  }
  records.codec_ = static_cast<Codec>(outline.compression);
  absl::StatusOr<std::string> plain =
      Decompress(records.codec_, batch.Subcord(outline.compressed_at, outline.compressed_size),
                 static_cast<size_t>(kBatchBytesCeiling));
  if (!plain.ok()) return CorruptBatch("its records cannot be decompressed");
  records.plain_ = *std::move(plain);
  return records;
}

absl::Status StoredRecords::Reader::status() const {
  return ok_ ? absl::OkStatus() : CorruptBatch("its records cannot be read");
}

bool StoredRecords::Reader::SkipToRecord() {
  while (!cursor_.done()) {
    uint64_t tag;
    uint64_t value;
    if (!cursor_.ReadVarint(tag)) return Fail();
    if (tag == kRecordsTag) return true;
    if (!cursor_.ReadVarint(value)) return Fail();
    // Every other field of a batch with records is a varint, or the producer's stamp.
    if (tag == kProducerTag) {
      if (value > cursor_.remaining()) return Fail();
      cursor_.Skip(value);
    } else if ((tag & 7) != static_cast<uint64_t>(wire::Type::kVarint)) {
      return Fail();
    }
  }
  return false;
}

absl::StatusOr<Codec> CodecOf(const absl::Cord& batch) {
  Outline outline;
  if (!ReadOutline(batch, outline) || outline.compression > static_cast<uint64_t>(Codec::kSnappy)) {
    return CorruptBatch("its fields cannot be read");
  }
  return outline.has_compressed ? static_cast<Codec>(outline.compression) : Codec::kNone;
}

}  // namespace naru
