#include "storage/segments/segment_writer.h"

#include <algorithm>
#include <array>
#include <utility>

#include "storage/base/check.h"
#include "storage/base/status.h"

namespace naru {
namespace {

// One write call: larger ones are slower, and the system takes no more than 1,024 pieces.
constexpr size_t kWriteBytesMax = size_t{256} << 10;
constexpr size_t kWritePiecesMax = 512;
// The kernel is asked to begin writing this often, so that a sync finds little left to do.
constexpr uint64_t kWritebackBytes = uint64_t{8} << 20;
constexpr std::array<char, SegmentWriter::kZeroStepBytes> kZeros = {};

}  // namespace

void SegmentWriter::Resume(std::shared_ptr<Segment> segment, uint32_t version, uint64_t position) {
  current_ = std::move(segment);
  version_ = version;
  position_ = position;
  written_to_ = position;
  absl::MutexLock lock(&next_mutex_);
  next_id_ = SegmentId(current_->id().value() + 1);
}

absl::Status SegmentWriter::PrepareNext() {
  absl::MutexLock lock(&next_mutex_);
  if (next_ != nullptr) return absl::OkStatus();
  NARU_ASSIGN_OR_RETURN(next_, segments_.Create(next_id_, segment_bytes_));
  wants_next_.store(false, std::memory_order_relaxed);
  return absl::OkStatus();
}

absl::Status SegmentWriter::EnsureRoom(uint64_t bytes, uint64_t spared) {
  NARU_CHECK(bytes <= capacity());
  return FitsInCurrent(bytes + spared) ? absl::OkStatus() : PrepareNext();
}

absl::Status SegmentWriter::EnsureNewestFormat() {
  if (version_ == kFormatVersion) return absl::OkStatus();
  NARU_RETURN_IF_ERROR(PrepareNext());
  // It is full, then.
  position_ = current_->size_bytes();
  return absl::OkStatus();
}

void SegmentWriter::Roll(Sequence first_sequence) {
  {
    absl::MutexLock lock(&next_mutex_);
    NARU_CHECK(next_ != nullptr);
    current_ = std::move(next_);
    next_ = nullptr;
    ++next_id_;
  }
  version_ = kFormatVersion;
  segments_.Add(current_);
  position_ = 0;
  written_to_ = 0;
  stretches_.push_back({current_, 0, {}});
  SegmentHeader header;
  header.salt = salt_;
  header.id = current_->id();
  header.first_sequence = first_sequence;
  header.created_ms = clock_.NowMs();
  StageOwn(EncodeSegmentHeader(header));
}

void SegmentWriter::StageOwn(std::string_view bytes) {
  arena_.append(bytes);
  NoteOwn(bytes.size());
}

void SegmentWriter::NoteOwn(size_t length) {
  auto& pieces = stretches_.back().pieces;
  if (!pieces.empty() && pieces.back().address == nullptr) {
    pieces.back().length += length;
  } else {
    pieces.push_back({nullptr, length});
  }
  position_ += length;
  staged_bytes_ += length;
}

SegmentWriter::Place SegmentWriter::Stage(const EntryHeader& header, const absl::Cord& body) {
  NARU_CHECK(header.body_length == body.size());
  if (!FitsInCurrent(header.entry_bytes())) {
    Roll(header.sequence);
  } else if (stretches_.empty() || stretches_.back().segment != current_) {
    stretches_.push_back({current_, position_, {}});
  }
  const Place place{current_->id(), position_};
  AppendEntryHeader(header, salt_, arena_);
  NoteOwn(header.header_bytes());
  auto& pieces = stretches_.back().pieces;
  for (const absl::string_view chunk : body.Chunks()) pieces.push_back({chunk.data(), chunk.size()});
  position_ += body.size();
  staged_bytes_ += body.size();
  const size_t padding = header.entry_bytes() - header.header_bytes() - body.size();
  if (padding > 0) StageOwn({kZeros.data(), padding});
  return place;
}

size_t SegmentWriter::ZerosBehind(bool sync_soon) const {
  if (!sync_soon || staged_bytes_ == 0 || staged_bytes_ > kZerosBehindMax || position_ <= written_to_)
    return 0;
  const uint64_t end = (position_ / kZeroStepBytes + 1) * kZeroStepBytes;
  return std::min(end, current_->size_bytes()) - position_;
}

absl::Status SegmentWriter::Write(bool sync_soon) {
  if (position_ > current_->size_bytes() / 2 && wanted_for_ != current_->id()) {
    wanted_for_ = current_->id();
    absl::MutexLock lock(&next_mutex_);
    if (next_ == nullptr) wants_next_.store(true, std::memory_order_relaxed);
  }
  if (const size_t zeros = ZerosBehind(sync_soon); zeros > 0) {
    // They are no entry: nothing is where they are.
    stretches_.back().pieces.push_back({kZeros.data(), zeros});
    written_to_ = position_ + zeros;
    zeroed_bytes_ += static_cast<int64_t>(zeros);
  }
  written_to_ = std::max(written_to_, position_);
  const char* arena = arena_.data();
  for (const Stretch& stretch : stretches_) {
    NARU_RETURN_IF_ERROR(WriteStretch(stretch, arena));
    if (written_.empty() || written_.back() != stretch.segment) written_.push_back(stretch.segment);
  }
  stretches_.clear();
  arena_.clear();
  staged_bytes_ = 0;
  return absl::OkStatus();
}

absl::Status SegmentWriter::WriteStretch(const Stretch& stretch, const char*& arena) {
  uint64_t position = stretch.position;
  size_t bytes = 0;
  iovecs_.clear();
  auto flush = [&]() -> absl::Status {
    if (bytes == 0) return absl::OkStatus();
    NARU_RETURN_IF_ERROR(stretch.segment->file().Write(position, iovecs_));
    position += bytes;
    bytes = 0;
    iovecs_.clear();
    return absl::OkStatus();
  };
  for (const Piece& piece : stretch.pieces) {
    const char* from = piece.address;
    if (from == nullptr) {
      from = arena;
      arena += piece.length;
    }
    for (size_t left = piece.length; left > 0;) {
      const size_t taken = std::min(left, kWriteBytesMax - bytes);
      iovecs_.push_back({const_cast<char*>(from), taken});
      from += taken;
      left -= taken;
      bytes += taken;
      if (bytes == kWriteBytesMax || iovecs_.size() == kWritePiecesMax) NARU_RETURN_IF_ERROR(flush());
    }
  }
  NARU_RETURN_IF_ERROR(flush());
  StartWriteback(*stretch.segment, stretch.position, position);
  return absl::OkStatus();
}

void SegmentWriter::StartWriteback(Segment& segment, uint64_t begin, uint64_t end) {
  const uint64_t from = begin / kWritebackBytes * kWritebackBytes;
  const uint64_t to = end / kWritebackBytes * kWritebackBytes;
  if (to > from) segment.file().StartWriteback(from, to - from);
}

std::vector<std::shared_ptr<Segment>> SegmentWriter::TakeWritten() { return std::exchange(written_, {}); }

}  // namespace naru
