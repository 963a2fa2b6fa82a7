// Reads a batch's bytes from front to back where they lie, in one piece or in a Cord's chunks. What straddles
// two chunks is copied; everything else is seen in place. Not thread-safe; copies nothing it does not say.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/strings/cord.h"
#include "storage/batch/wire.h"

namespace naru {

class BatchCursor {
 public:
  // `bytes` must outlive the cursor.
  explicit BatchCursor(std::string_view bytes)
      : at_(bytes.data()), end_(bytes.data() + bytes.size()), size_(bytes.size()) {}
  // `bytes` must outlive the cursor and stay unchanged.
  explicit BatchCursor(const absl::Cord& bytes)
      : chunk_(bytes.chunk_begin()), behind_(bytes.size()), size_(bytes.size()) {
    EnterChunk();
  }

  bool done() const { return at_ == end_; }
  // Bytes not yet read.
  size_t remaining() const { return static_cast<size_t>(end_ - at_) + behind_; }
  // Bytes read.
  size_t position() const { return size_ - remaining(); }

  // Reads one byte if it is `wanted`.
  bool TakeByteIf(char wanted) {
    if (at_ == end_ || *at_ != wanted) return false;
    Advance(1);
    return true;
  }

  // Reads a varint of at most 10 bytes and 64 bits; false, with nothing read, when there is none.
  bool ReadVarint(uint64_t& value) {
    if (end_ - at_ > wire::kVarintBytesMax || behind_ == 0) [[likely]] {
      return wire::ReadVarint(at_, end_, value);
    }
    return ReadVarintAcross(value);
  }

  // Reads a length of at most 5 bytes that has as many bytes behind it; false, with nothing read, when there
  // is none.
  bool ReadLength(uint64_t& length) {
    if (end_ - at_ > wire::kVarintBytesMax || behind_ == 0) [[likely]] {
      const char* at = at_;
      if (!wire::ReadVarint(at, end_, length) || at - at_ > wire::kLengthBytesMax) [[unlikely]]
        return false;
      if (length > static_cast<uint64_t>(end_ - at) + behind_) [[unlikely]]
        return false;
      at_ = at;
      return true;
    }
    return ReadLengthAcross(length);
  }

  // Whether Take(n) would see them where they lie, and its view stay valid as long as the bytes do.
  bool InOnePiece(size_t n) const { return n <= static_cast<size_t>(end_ - at_); }

  // Reads `n` bytes, of which there must be as many. The view is valid until the next Take.
  std::string_view Take(size_t n) {
    if (n < static_cast<size_t>(end_ - at_) || behind_ == 0) [[likely]] {
      const std::string_view taken(at_, n);
      at_ += n;
      return taken;
    }
    return TakeAcross(n);
  }

  // Passes over `n` bytes, of which there must be as many.
  void Skip(size_t n) {
    while (n >= static_cast<size_t>(end_ - at_) && behind_ > 0) {
      n -= static_cast<size_t>(end_ - at_);
      NextChunk();
    }
    at_ += n;
  }

  // Copies the next bytes, at most `n`, without reading them, and returns how many there were.
  size_t Peek(char* to, size_t n) const;

 private:
  void Advance(size_t n) {
    at_ += n;
    if (at_ == end_ && behind_ > 0) NextChunk();
  }
  void NextChunk() {
    ++chunk_;
    EnterChunk();
  }
  // Stands at the first byte of chunk_, or of the next that is not empty.
  void EnterChunk();
  bool ReadVarintAcross(uint64_t& value);
  bool ReadLengthAcross(uint64_t& length);
  std::string_view TakeAcross(size_t n);

  // The unread part of the current chunk; empty only at the very end.
  const char* at_ = nullptr;
  const char* end_ = nullptr;
  absl::Cord::ChunkIterator chunk_;
  // Bytes in the chunks behind the current one; before the first chunk is entered, in all of them.
  size_t behind_ = 0;
  size_t size_ = 0;
  std::string scratch_;
};

}  // namespace naru
