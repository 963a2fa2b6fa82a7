#include "storage/segments/segment_scanner.h"

#include <algorithm>

#include "storage/base/crc32c.h"
#include "storage/base/status.h"

namespace naru {
namespace {

constexpr size_t kWindowBytes = size_t{512} << 10;

}  // namespace

absl::StatusOr<std::string_view> SegmentScanner::Bytes(uint64_t at, size_t length) {
  if (at >= segment_.size_bytes()) return std::string_view();
  length = std::min<uint64_t>(length, segment_.size_bytes() - at);
  if (at < window_position_ || at + length > window_position_ + window_.size()) {
    window_.resize(std::min<uint64_t>(std::max(length, kWindowBytes), segment_.size_bytes() - at));
    window_position_ = at;
    NARU_ASSIGN_OR_RETURN(const size_t read, segment_.file().Read(at, window_.data(), window_.size()));
    window_.resize(read);
    length = std::min(length, read);
  }
  return std::string_view(window_).substr(at - window_position_, length);
}

absl::StatusOr<SegmentScanner::Found> SegmentScanner::Next() {
  position_ = next_;
  body_ = {};
  if (position_ + kFixedHeaderBytes > segment_.size_bytes()) return Found::kEnd;
  NARU_ASSIGN_OR_RETURN(std::string_view raw, Bytes(position_, kHeaderBytesMax));
  if (raw.size() < kFixedHeaderBytes) return Found::kEnd;
  switch (ParseEntryHeader(raw, salt_, header_)) {
    case HeaderCheck::kZero:
      return Found::kEnd;
    case HeaderCheck::kBad:
      problem_ = "the entry header fails its checksum";
      return Found::kBad;
    case HeaderCheck::kGood:
      break;
  }
  const size_t length = header_.header_bytes() + header_.body_length;
  if (position_ + length > segment_.size_bytes()) {
    problem_ = "the entry runs past the end of the file";
    return Found::kBad;
  }
  if (check_bodies_ || header_.type != EntryType::kBatch) {
    NARU_ASSIGN_OR_RETURN(raw, Bytes(position_, length));
    if (raw.size() < length) {
      problem_ = "the entry runs past the end of the file";
      return Found::kBad;
    }
    body_ = raw.substr(header_.header_bytes());
    if (Crc32c(body_) != header_.body_crc) {
      problem_ = "the entry body fails its checksum";
      return Found::kBad;
    }
  }
  next_ = position_ + header_.entry_bytes();
  return Found::kEntry;
}

}  // namespace naru
