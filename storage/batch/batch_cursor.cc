#include "storage/batch/batch_cursor.h"

#include <algorithm>
#include <cstring>

namespace naru {

void BatchCursor::EnterChunk() {
  at_ = end_ = nullptr;
  while (behind_ > 0 && chunk_->empty()) ++chunk_;
  if (behind_ == 0) return;
  at_ = chunk_->data();
  end_ = at_ + chunk_->size();
  behind_ -= chunk_->size();
}

size_t BatchCursor::Peek(char* to, size_t n) const {
  n = std::min(n, remaining());
  size_t copied = std::min(n, static_cast<size_t>(end_ - at_));
  std::memcpy(to, at_, copied);
  absl::Cord::ChunkIterator chunk = chunk_;
  while (copied < n) {
    ++chunk;
    const size_t piece = std::min(n - copied, chunk->size());
    std::memcpy(to + copied, chunk->data(), piece);
    copied += piece;
  }
  return n;
}

bool BatchCursor::ReadVarintAcross(uint64_t& value) {
  char raw[wire::kVarintBytesMax];
  const char* at = raw;
  const char* const end = raw + Peek(raw, sizeof raw);
  if (!wire::ReadVarint(at, end, value)) return false;
  Skip(static_cast<size_t>(at - raw));
  return true;
}

bool BatchCursor::ReadLengthAcross(uint64_t& length) {
  char raw[wire::kVarintBytesMax];
  const char* at = raw;
  const char* const end = raw + Peek(raw, sizeof raw);
  if (!wire::ReadVarint(at, end, length) || at - raw > wire::kLengthBytesMax) return false;
  const auto used = static_cast<size_t>(at - raw);
  if (length > remaining() - used) return false;
  Skip(used);
  return true;
}

std::string_view BatchCursor::TakeAcross(size_t n) {
  if (n == static_cast<size_t>(end_ - at_)) {
    const std::string_view taken(at_, n);
    NextChunk();
    return taken;
  }
  scratch_.clear();
  scratch_.reserve(n);
  while (scratch_.size() < n) {
    const size_t piece = std::min(n - scratch_.size(), static_cast<size_t>(end_ - at_));
    scratch_.append(at_, piece);
    Advance(piece);
  }
  return scratch_;
}

}  // namespace naru
