// A segment file: a header block and then entries, preallocated to its full size. See storage/FORMAT.md.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"
#include "storage/base/files.h"
#include "storage/base/ids.h"

namespace naru {

// Of the segments that are made. Version 1 has no thinned batches and no kRewrite entries; a program that
// knows nothing newer refuses a store that has a segment of version 2.
constexpr uint32_t kFormatVersion = 2;
constexpr uint32_t kFormatVersionMin = 1;
constexpr uint64_t kSegmentHeaderBytes = 4096;

struct SegmentHeader {
  uint32_t version = kFormatVersion;
  uint32_t salt = 0;  // the store's, the same in all its segments
  SegmentId id;
  Sequence first_sequence;
  int64_t created_ms = 0;
};

// The kSegmentHeaderBytes block.
std::string EncodeSegmentHeader(const SegmentHeader& header);

// INVALID_ARGUMENT for a version that this program does not read; DATA_LOSS when the block is damaged;
// nothing when it is all zeros (made ahead of time, and never used).
absl::StatusOr<std::optional<SegmentHeader>> DecodeSegmentHeader(std::string_view block);

// "0000000000000001.seg" and back.
std::string SegmentFileName(SegmentId id);
std::optional<SegmentId> SegmentIdFromFileName(std::string_view name);

// An open segment file. Shared by the set of segments and whoever reads it: the file stays readable while any
// of them holds it, also after it was unlinked. Thread-safe as File is.
class Segment {
 public:
  Segment(SegmentId id, std::string path, std::unique_ptr<File> file, uint64_t size_bytes)
      : id_(id), path_(std::move(path)), file_(std::move(file)), size_bytes_(size_bytes) {}

  SegmentId id() const { return id_; }
  const std::string& path() const { return path_; }
  File& file() { return *file_; }
  const File& file() const { return *file_; }
  // Of the file, preallocated space included.
  uint64_t size_bytes() const { return size_bytes_; }

 private:
  const SegmentId id_;
  const std::string path_;
  const std::unique_ptr<File> file_;
  const uint64_t size_bytes_;
};

}  // namespace naru
