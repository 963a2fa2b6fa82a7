// The records of a batch that WalkBatch accepted, one after the other, as raw slices. Internal to
// storage/batch.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/cord.h"
#include "storage/batch/batch.h"
#include "storage/batch/batch_cursor.h"

namespace naru {

// DATA_LOSS/CORRUPT_DATA: what was accepted once is no valid batch any more.
absl::Status CorruptBatch(std::string_view what);

// Owns the decompressed bytes where there are any; refers to the batch, which must outlive it.
class StoredRecords {
 public:
  // DATA_LOSS when the batch is not valid after all.
  static absl::StatusOr<StoredRecords> Of(const absl::Cord& batch);

  Codec codec() const { return codec_; }

  // Goes over the records, which must outlive it. Not thread-safe.
  class Reader {
   public:
    explicit Reader(const StoredRecords& records)
        : cursor_(records.plain_ ? BatchCursor(*records.plain_) : BatchCursor(*records.batch_)) {}
    // The next record's bytes, valid until the next call. False: no more, or status() is not OK.
    bool Next(std::string_view& raw) {
      if (!cursor_.TakeByteIf(kRecordTag) && !SkipToRecord()) return false;
      uint64_t length;
      if (!cursor_.ReadLength(length)) [[unlikely]]
        return Fail();
      raw = cursor_.Take(length);
      return true;
    }
    bool ok() const { return ok_; }
    absl::Status status() const;

   private:
    static constexpr char kRecordTag = static_cast<char>(wire::Tag(15, wire::Type::kLength));
    bool SkipToRecord();
    bool Fail() {
      ok_ = false;
      return false;
    }
    BatchCursor cursor_;
    bool ok_ = true;
  };

 private:
  const absl::Cord* batch_ = nullptr;
  std::optional<std::string> plain_;
  Codec codec_ = Codec::kNone;
};

}  // namespace naru
