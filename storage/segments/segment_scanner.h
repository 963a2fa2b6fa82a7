// Reads a segment's entries one after the other and checks them. Not thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "storage/segments/entry.h"
#include "storage/segments/segment.h"

namespace naru {

class SegmentScanner {
 public:
  enum class Found {
    kEntry,  // a good one; header(), body() and position() are its
    kEnd,    // zeros, or no room for an entry: nothing (more) was written from position() on
    kBad,    // something at position() that is no good entry; problem() says why
  };

  // Begins at `position`. `segment` outlives the scanner. With `check_bodies` off, batches' bodies are
  // neither read nor checked (body() is then empty).
  SegmentScanner(const Segment& segment, uint32_t salt, uint64_t position, bool check_bodies = true)
      : segment_(segment), salt_(salt), position_(position), next_(position), check_bodies_(check_bodies) {}

  // An error is the file system's.
  absl::StatusOr<Found> Next();

  const EntryHeader& header() const { return header_; }
  // Valid until the next call.
  std::string_view body() const { return body_; }
  // Of the entry found; where the next would begin is next_position().
  uint64_t position() const { return position_; }
  uint64_t next_position() const { return next_; }
  const std::string& problem() const { return problem_; }

 private:
  // [at, at + length) of the file, as much as there is, from the window.
  absl::StatusOr<std::string_view> Bytes(uint64_t at, size_t length);

  const Segment& segment_;
  const uint32_t salt_;
  uint64_t position_;
  uint64_t next_;
  const bool check_bodies_;
  EntryHeader header_;
  std::string_view body_;
  std::string problem_;
  std::string window_;
  uint64_t window_position_ = 0;
};

}  // namespace naru
