// The replay of a start: Recovery's second half.
#include <algorithm>
#include <utility>

#include "storage/base/status.h"
#include "storage/segments/torn_tail.h"
#include "storage/store/recovery.h"

namespace naru {
namespace {

// How much is collected between commits.
constexpr size_t kCommitBytes = size_t{4} << 20;

}  // namespace

bool Recovery::GapBefore(size_t i) const {
  const uint64_t before = i == 0 ? 0 : files_[i - 1].segment->id().value();
  return files_[i].segment->id().value() != before + 1;
}

absl::Status Recovery::Replay() {
  size_t i = 0;
  uint64_t position = kSegmentHeaderBytes;
  if (applied_.sequence.value() > 0) {
    while (files_[i].segment->id() != applied_.segment) ++i;
    position = applied_.position;
  } else {
    for (size_t k = 0; k < files_.size(); ++k)
      rebuilding_ = rebuilding_ || (files_[k].header && GapBefore(k));
    if (rebuilding_) NARU_RETURN_IF_ERROR(index->SetRebuilding(true));
  }
  for (const SegmentFile& file : files_) {
    if (file.header) parts_.segments.Add(file.segment);
  }
  const size_t first = i;
  for (; i < files_.size() && !ended_; ++i) {
    if (i > first || applied_.sequence.value() == 0) {
      const Sequence expected(applied_.sequence.value() + 1);
      const SegmentFile& file = files_[i];
      const bool follows = file.header && file.header->first_sequence == expected;
      if (!follows && rebuilding_ && file.header && file.header->first_sequence > expected && GapBefore(i)) {
        NARU_RETURN_IF_ERROR(CommitUpdate());
        if (rebuild_ == nullptr) {
          rebuild_ = std::make_unique<Rebuild>(parts_.logs, parts_.segment_table, *index, *reader_);
        }
        rebuild_->BeginGap();
        in_gap_ = true;
        applied_.sequence = Sequence(file.header->first_sequence.value() - 1);
      } else if (!follows) {
        // The entries ended in the segment before; this one was made for entries that never came to be,
        // unless something proves otherwise.
        const size_t last = i == 0 ? 0 : i - 1;
        return EndAt(last, i == 0 ? kSegmentHeaderBytes : end_position_,
                     "the segments do not follow each other");
      }
      position = kSegmentHeaderBytes;
    }
    NARU_RETURN_IF_ERROR(ReplaySegment(i, position));
  }
  if (ended_) return absl::OkStatus();
  return EndAt(files_.size() - 1, end_position_, "the entry is missing");
}

absl::Status Recovery::ReplaySegment(size_t i, uint64_t position) {
  Segment& segment = *files_[i].segment;
  // After a kill, what was written and not synced is still in the page cache: it is about to become state, of
  // which a power cut must not take anything back.
  NARU_RETURN_IF_ERROR(segment.file().SyncData());
  SegmentScanner scanner(segment, salt, position);
  for (;;) {
    NARU_ASSIGN_OR_RETURN(const auto found, scanner.Next());
    end_position_ = scanner.position();
    if (found == SegmentScanner::Found::kEnd) return absl::OkStatus();
    if (found == SegmentScanner::Found::kBad) {
      ended_ = true;
      return EndAt(i, scanner.position(), scanner.problem());
    }
    const Sequence expected(applied_.sequence.value() + 1);
    if (scanner.header().sequence != expected) {
      ended_ = true;
      return EndAt(i, scanner.position(),
                   absl::StrCat("the entry is number ", scanner.header().sequence.value(), ", not ",
                                expected.value()));
    }
    const absl::Status applied = ApplyEntry(scanner, segment);
    if (absl::IsDataLoss(applied))
      return Hole(segment.path(), scanner.position(), std::string(applied.message()));
    NARU_RETURN_IF_ERROR(applied);
    end_position_ = scanner.next_position();
  }
}

absl::Status Recovery::ApplyEntry(const SegmentScanner& scanner, const Segment& segment) {
  const EntryHeader& header = scanner.header();
  const EntryPlace place{segment.id(), scanner.position()};
  ++parts_.counters.replayed_entries;
  parts_.counters.replayed_bytes += static_cast<int64_t>(header.entry_bytes());
  const AppliedPosition next{header.sequence, segment.id(), scanner.next_position()};
  if (in_gap_) {
    NARU_RETURN_IF_ERROR(rebuild_->Apply(header, scanner.body(), place));
    applied_ = next;
    if (!rebuild_->complete()) return absl::OkStatus();
    in_gap_ = false;
    fold->set_snapshot_sequence(rebuild_->snapshot_sequence());
    update_.PutSnapshot(rebuild_->snapshot_sequence());
    return CommitUpdate();
  }
  if (rebuild_ != nullptr && (header.type == EntryType::kMove || header.type == EntryType::kRewrite)) {
    NARU_RETURN_IF_ERROR(CommitUpdate());
    applied_ = next;
    NARU_RETURN_IF_ERROR(rebuild_->ApplyMove(header, scanner.body(), place));
    return CommitUpdate();
  }
  const bool reads_index = Fold::ReadsIndex(header.type);
  const bool run_ends = header.type != EntryType::kBatch || header.Has(kRunStart);
  if (reads_index || (run_ends && update_.bytes() >= kCommitBytes)) NARU_RETURN_IF_ERROR(CommitUpdate());
  NARU_RETURN_IF_ERROR(fold->Replay(header, scanner.body(), place, update_));
  applied_ = next;
  return reads_index ? CommitUpdate() : absl::OkStatus();
}

absl::Status Recovery::CommitUpdate() {
  if (fold->run_open()) fold->CloseRun(update_);
  fold->Finish(applied_, update_);
  return index->Commit(std::exchange(update_, IndexUpdate()));
}

absl::Status Recovery::EndAt(size_t i, uint64_t position, const std::string& problem) {
  const Sequence missing(applied_.sequence.value() + 1);
  std::vector<std::shared_ptr<Segment>> rest;
  for (size_t k = i; k < files_.size(); ++k) rest.push_back(files_[k].segment);
  NARU_ASSIGN_OR_RETURN(const auto proof, FindDurabilityProof(rest, position, salt, missing));
  if (proof) {
    return Hole(
        rest.front()->path(), position,
        absl::StrCat("entry ", missing.value(), " was durable and cannot be read (", problem, "): entry ",
                     proof->sequence.value(), " in ", proof->path, " at ", proof->position,
                     " vouches for everything up to ", proof->durable_sequence.value()));
  }
  if (in_gap_) {
    return Hole(rest.front()->path(), position,
                "segments are missing, and no snapshot behind them says what was in them");
  }
  NARU_RETURN_IF_ERROR(CommitUpdate());
  return CutTail(i, position);
}

absl::Status Recovery::CutTail(size_t i, uint64_t position) {
  const auto wanted = static_cast<uint64_t>(parts_.options.segment_bytes);
  const std::string aside_directory = AsideDirectory(parts_.options.directory);
  for (size_t k = files_.size(); --k > i;) NARU_RETURN_IF_ERROR(SetAside(files_[k]));
  Segment& segment = *files_[i].segment;
  NARU_ASSIGN_OR_RETURN(const bool clean, IsZeroFrom(segment, position));
  std::string aside;
  if (!clean) {
    NARU_RETURN_IF_ERROR(parts_.files.MakeDirectory(aside_directory));
    aside = AsidePath(absl::StrCat(SegmentFileName(segment.id()), ".", position));
  }
  NARU_ASSIGN_OR_RETURN(const uint64_t torn, CutTornTail(parts_.files, segment, position, wanted, aside));
  if (torn > 0) {
    NARU_RETURN_IF_ERROR(parts_.files.SyncDirectory(aside_directory));
    const bool kept = parts_.files.Exists(aside);
    parts_.events.Write(Severity::kWarning, "torn_tail_cut",
                        {{"file", segment.path()},
                         {"position", position},
                         {"bytes", torn},
                         {"set_aside_as", kept ? aside : "nothing: the disk is full"}});
    parts_.counters.torn_tail_bytes += static_cast<int64_t>(torn);
  }
  // Opened again: its size may have changed.
  NARU_ASSIGN_OR_RETURN(tail, parts_.segments.Open(segment.id()));
  parts_.segments.Add(tail);
  tail_position = position;
  tail_version = files_[i].header ? files_[i].header->version : kFormatVersion;
  return parts_.files.SyncDirectory(SegmentsDirectory(parts_.options.directory));
}

absl::Status Recovery::SetAside(const SegmentFile& file) {
  const std::string& path = file.segment->path();
  NARU_ASSIGN_OR_RETURN(const bool blank, IsZeroFrom(*file.segment, 0));
  parts_.segments.Forget(file.segment->id());
  // Made ahead of time and never used.
  if (blank) return parts_.files.Remove(path);
  const std::string directory = AsideDirectory(parts_.options.directory);
  NARU_RETURN_IF_ERROR(parts_.files.MakeDirectory(directory));
  const std::string aside = AsidePath(SegmentFileName(file.segment->id()) + ".whole");
  NARU_RETURN_IF_ERROR(parts_.files.Rename(path, aside));
  NARU_RETURN_IF_ERROR(parts_.files.SyncDirectory(directory));
  parts_.events.Write(Severity::kWarning, "torn_segment_set_aside",
                      {{"file", path}, {"set_aside_as", aside}});
  parts_.counters.torn_tail_bytes += static_cast<int64_t>(file.segment->size_bytes());
  return absl::OkStatus();
}

}  // namespace naru
