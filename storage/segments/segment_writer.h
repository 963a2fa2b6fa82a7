// Lays entries behind each other in the newest segment, and goes on to the next when one is full. Entries are
// staged first and then written together, as few large writes.
//
// One thread (the appender) calls everything but PrepareNext, which is for another, ahead of need.
#pragma once

#include <sys/uio.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/cord.h"
#include "absl/synchronization/mutex.h"
#include "storage/base/clock.h"
#include "storage/segments/entry.h"
#include "storage/segments/segment_set.h"

namespace naru {

class SegmentWriter {
 public:
  static constexpr uint64_t kZeroStepBytes = uint64_t{128} << 10;
  // What is more than this is written without zeros behind it: its sync takes its time anyway.
  static constexpr uint64_t kZerosBehindMax = kZeroStepBytes / 4;

  // `segment_bytes`: size of the segments made from now on.
  SegmentWriter(SegmentSet& segments, const Clock& clock, uint32_t salt, uint64_t segment_bytes)
      : segments_(segments), clock_(clock), salt_(salt), segment_bytes_(segment_bytes) {}

  // Goes on in `segment` (already in the set, of format `version`) at `position`; further segments get ids
  // above it.
  void Resume(std::shared_ptr<Segment> segment, uint32_t version, uint64_t position);
  // Sees to it that what is staged next goes into a segment of kFormatVersion: RESOURCE_EXHAUSTED when that
  // takes another file and the disk is full.
  absl::Status EnsureNewestFormat();

  // Entry bytes that an empty segment holds.
  uint64_t capacity() const { return segment_bytes_ - kSegmentHeaderBytes; }
  SegmentId segment() const { return current_ ? current_->id() : SegmentId(0); }
  // Where the next entry goes if it fits.
  uint64_t position() const { return position_; }
  bool FitsInCurrent(uint64_t entry_bytes) const {
    return current_ != nullptr && position_ + entry_bytes <= current_->size_bytes();
  }

  // The segment is half full, and the next is not there. Any thread.
  bool wants_next() const { return wants_next_.load(std::memory_order_relaxed); }
  uint32_t salt() const { return salt_; }

  // Makes the next segment's file unless it is there. Any thread.
  absl::Status PrepareNext() ABSL_LOCKS_EXCLUDED(next_mutex_);
  // Makes sure that entries of `bytes` together (≤ capacity()) can be staged: RESOURCE_EXHAUSTED when that
  // takes another file and the disk is full. Staging what was made sure of cannot fail. The last `spared`
  // bytes of the current file do not count as room while the next is not there.
  absl::Status EnsureRoom(uint64_t bytes, uint64_t spared = 0);

  struct Place {
    SegmentId segment;
    uint64_t position = 0;
  };
  // The next entry's place. Room was ensured. Changes to the next segment where the current one is full.
  // `header.body_length` is `body.size()`; the chunks of `body` stay put until Write.
  Place Stage(const EntryHeader& header, const absl::Cord& body);
  uint64_t staged_bytes() const { return staged_bytes_; }

  // Writes what is staged. After an error nothing is known about the file: the process must end. `sync_soon`:
  // a sync that someone waits for comes next, so a little that ends in space never written to is written with
  // zeros behind it, up to the next multiple of kZeroStepBytes. The blocks that follow then are as the file
  // system wants them, and the syncs of what goes there change no metadata: they take half the time.
  absl::Status Write(bool sync_soon = false);
  // Zeros written for that so far.
  int64_t zeroed_bytes() const { return zeroed_bytes_; }
  // The segments written to since the last call, oldest first.
  std::vector<std::shared_ptr<Segment>> TakeWritten();

 private:
  // Bytes at an address of someone else, or (address nullptr) the next `length` bytes of the arena.
  struct Piece {
    const char* address = nullptr;
    size_t length = 0;
  };
  // What goes into one segment, contiguous from `position`.
  struct Stretch {
    std::shared_ptr<Segment> segment;
    uint64_t position = 0;
    std::vector<Piece> pieces;
  };

  void Roll(Sequence first_sequence);
  void StageOwn(std::string_view bytes);
  // `length` more bytes at the end of the arena belong to the stretch.
  void NoteOwn(size_t length);
  absl::Status WriteStretch(const Stretch& stretch, const char*& arena);
  // To be written behind what is staged; 0: none.
  size_t ZerosBehind(bool sync_soon) const;
  void StartWriteback(Segment& segment, uint64_t begin, uint64_t end);

  SegmentSet& segments_;
  const Clock& clock_;
  const uint32_t salt_;
  const uint64_t segment_bytes_;

  std::shared_ptr<Segment> current_;
  uint32_t version_ = kFormatVersion;  // of current_
  uint64_t position_ = 0;
  uint64_t staged_bytes_ = 0;
  uint64_t written_to_ =
      0;  // of current_, zeros included: what is behind it was never written, as far as is known
  int64_t zeroed_bytes_ = 0;
  SegmentId wanted_for_;  // the segment for which the next was asked for
  std::vector<Stretch> stretches_;
  std::string arena_;  // headers and padding, in the order of the pieces that use it
  std::vector<iovec> iovecs_;
  std::vector<std::shared_ptr<Segment>> written_;

  std::atomic<bool> wants_next_{false};
  absl::Mutex next_mutex_;
  std::shared_ptr<Segment> next_ ABSL_GUARDED_BY(next_mutex_);
  SegmentId next_id_ ABSL_GUARDED_BY(next_mutex_) = SegmentId(1);
};

}  // namespace naru
