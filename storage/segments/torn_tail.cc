#include "storage/segments/torn_tail.h"

#include <algorithm>
#include <cstring>

#include "storage/base/status.h"
#include "storage/segments/entry.h"

namespace naru {
namespace {

constexpr size_t kChunkBytes = size_t{1} << 20;

// Where a file system does not tell what was written, every start looks through hundreds of megabytes of
// zeros; memcmp does so many times faster than a loop over bytes.
bool AllZero(std::string_view bytes) {
  return bytes.empty() ||
         (bytes.front() == 0 && std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0);
}

// The first position from there on that was written to, as far as is known; the size when none was.
absl::StatusOr<uint64_t> PassUnwritten(const Segment& segment, uint64_t position) {
  // What was read ahead, zeros too, would count as written.
  segment.file().DropCache(position, segment.size_bytes() - position);
  return segment.file().NextData(position);
}

// One past the last byte of [position, size) that is not zero; `position` when all are.
absl::StatusOr<uint64_t> EndOfBytes(const Segment& segment, uint64_t position) {
  uint64_t end = position;
  std::string chunk(kChunkBytes, '\0');
  for (uint64_t at = position; at < segment.size_bytes();) {
    NARU_ASSIGN_OR_RETURN(at, PassUnwritten(segment, at));
    NARU_ASSIGN_OR_RETURN(const size_t read, segment.file().Read(at, chunk.data(), chunk.size()));
    if (read == 0) break;
    const std::string_view bytes = std::string_view(chunk).substr(0, read);
    if (!AllZero(bytes)) end = at + bytes.find_last_not_of('\0') + 1;
    at += read;
  }
  return end;
}

// Up to `size_bytes`, as far as the disk has room.
absl::Status Extend(File& file, uint64_t size_bytes) {
  const absl::Status extended = file.Preallocate(size_bytes);
  return absl::IsResourceExhausted(extended) ? absl::OkStatus() : extended;
}

absl::Status CopyTo(FileSystem& files, const Segment& segment, uint64_t position, uint64_t end,
                    const std::string& path) {
  NARU_ASSIGN_OR_RETURN(auto copy, files.Open(path));
  std::string chunk(kChunkBytes, '\0');
  for (uint64_t at = position; at < end;) {
    NARU_ASSIGN_OR_RETURN(const size_t read,
                          segment.file().Read(at, chunk.data(), std::min<uint64_t>(chunk.size(), end - at)));
    if (read == 0) return absl::DataLossError(absl::StrCat(segment.path(), ": shorter than a moment ago"));
    const iovec piece{chunk.data(), read};
    NARU_RETURN_IF_ERROR(copy->Write(at - position, {&piece, 1}));
    at += read;
  }
  return copy->Sync();
}

absl::StatusOr<std::optional<DurabilityProof>> ProofInSegment(const Segment& segment, uint64_t position,
                                                              uint32_t salt, Sequence missing) {
  // Chunks overlap by a header, so that none is cut in two.
  std::string chunk(kChunkBytes + kHeaderBytesMax, '\0');
  EntryHeader header;
  for (uint64_t at = position; at < segment.size_bytes(); at += kChunkBytes) {
    // An entry has no byte in what was never written.
    NARU_ASSIGN_OR_RETURN(const uint64_t data, PassUnwritten(segment, at));
    at = data / kEntryAlignment * kEntryAlignment;
    NARU_ASSIGN_OR_RETURN(const size_t read, segment.file().Read(at, chunk.data(), chunk.size()));
    const std::string_view bytes = std::string_view(chunk).substr(0, read);
    if (AllZero(bytes)) continue;
    for (size_t i = 0; i < std::min(read, kChunkBytes); i += kEntryAlignment) {
      if (ParseEntryHeader(bytes.substr(i, kHeaderBytesMax), salt, header) != HeaderCheck::kGood) continue;
      if (header.sequence <= missing || header.durable_sequence < missing) continue;
      return DurabilityProof{segment.path(), at + i, header.sequence, header.durable_sequence};
    }
  }
  return std::nullopt;
}

}  // namespace

absl::StatusOr<std::optional<DurabilityProof>> FindDurabilityProof(
    const std::vector<std::shared_ptr<Segment>>& segments, uint64_t position, uint32_t salt,
    Sequence missing) {
  for (const auto& segment : segments) {
    NARU_ASSIGN_OR_RETURN(auto proof, ProofInSegment(*segment, position, salt, missing));
    if (proof) return proof;
    position = kSegmentHeaderBytes;
  }
  return std::nullopt;
}

absl::StatusOr<bool> IsZeroFrom(const Segment& segment, uint64_t position) {
  NARU_ASSIGN_OR_RETURN(const uint64_t end, EndOfBytes(segment, position));
  return end == position;
}

absl::StatusOr<uint64_t> CutTornTail(FileSystem& files, Segment& segment, uint64_t position,
                                     uint64_t size_bytes, const std::string& aside_path) {
  NARU_ASSIGN_OR_RETURN(const uint64_t end, EndOfBytes(segment, position));
  File& file = segment.file();
  if (end == position) {
    if (segment.size_bytes() >= size_bytes) return 0;
    NARU_RETURN_IF_ERROR(Extend(file, size_bytes));
    NARU_RETURN_IF_ERROR(file.Sync());
    return 0;
  }
  if (const absl::Status copied = CopyTo(files, segment, position, end, aside_path); !copied.ok()) {
    if (!absl::IsResourceExhausted(copied)) return copied;
    // Nobody was told that it was there; a start matters more than a copy.
    if (files.Exists(aside_path)) NARU_RETURN_IF_ERROR(files.Remove(aside_path));
  }
  NARU_RETURN_IF_ERROR(file.Truncate(position));
  NARU_RETURN_IF_ERROR(Extend(file, segment.size_bytes()));
  NARU_RETURN_IF_ERROR(Extend(file, size_bytes));
  NARU_RETURN_IF_ERROR(file.Sync());
  return end - position;
}

}  // namespace naru
