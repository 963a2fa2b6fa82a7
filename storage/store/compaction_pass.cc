#include "storage/store/compaction_pass.h"

#include <algorithm>
#include <string>
#include <utility>

#include "storage/base/status.h"

namespace naru {
namespace {

constexpr size_t kRunsAtOnce = 64;
// Runs that one takes the place of, at most: an entry names them all.
constexpr size_t kPackedRunsMax = 1'024;
// A run as large as this from which nothing goes is left where it is, and nothing is packed across it.
constexpr uint32_t kLargeRunBytes = uint32_t{256} << 10;
// So many small runs are joined although nothing goes from them.
constexpr size_t kJoinedRunsMin = 8;

}  // namespace

bool CompactionChoice::Keeps(Offset offset, const RecordView& record) {
  // What has no key was appended before the topic was compacted, and nothing ever supersedes it.
  if (!record.key || offset >= end_) return true;
  const std::optional<Offset> newest = keys_.Find(*record.key);
  if (newest && *newest > offset) {
    ++records_left_out_;
    return false;
  }
  if (record.value) return true;
  if (offset < tombstones_due_below_) {
    ++records_left_out_;
    ++tombstones_left_out_;
    return false;
  }
  ++tombstones_left_;
  return true;
}

CompactionPass::CompactionPass(CompactionPlan plan, Parts parts, KeyMap keys)
    : plan_(std::move(plan)),
      parts_(parts),
      keys_(std::move(keys)),
      end_(plan_.bound),
      at_(std::max(plan_.start, plan_.before.clean_to)) {}

absl::StatusOr<bool> CompactionPass::Step(int64_t& budget, absl::FunctionRef<absl::Status(RunPack&)> take) {
  if (choice_ == nullptr) {
    NARU_RETURN_IF_ERROR(Collect(budget));
    if (at_ < end_) return false;
    choice_ = std::make_unique<CompactionChoice>(keys_, end_, plan_.tombstones_due_below);
    at_ = plan_.start;
  }
  NARU_RETURN_IF_ERROR(Rewrite(budget, take));
  return at_ >= end_;
}

absl::StatusOr<std::vector<Run>> CompactionPass::NextRuns(Offset end) const {
  Offset from = at_;
  {
    absl::ReaderMutexLock lock(&plan_.log->mutex);
    from = std::max(from, plan_.log->state.start());
  }
  std::vector<Run> runs;
  if (from >= end) return runs;
  NARU_ASSIGN_OR_RETURN(runs, parts_.index.RunsFrom(plan_.log->id, from, end, kRunsAtOnce));
  // Only a truncation or a deletion takes them away, after which nothing of the pass takes effect.
  if (runs.empty()) return absl::AbortedError("the log changed since its compaction began");
  return runs;
}

absl::StatusOr<std::vector<RunEntry>> CompactionPass::ReadRun(const Run& run, std::string& bytes) {
  NARU_ASSIGN_OR_RETURN(bytes, parts_.reader.ReadBytes(run));
  read_bytes_ += run.length;
  return ParseRun(plan_.log->id, run, bytes, parts_.salt);
}

absl::Status CompactionPass::Collect(int64_t& budget) {
  while (at_ < end_ && budget > 0) {
    NARU_ASSIGN_OR_RETURN(const auto runs, NextRuns(end_));
    if (runs.empty()) at_ = end_;
    for (const Run& run : runs) {
      if (at_ >= end_ || budget <= 0) break;
      NARU_RETURN_IF_ERROR(CollectRun(run));
      budget -= run.length;
    }
  }
  return absl::OkStatus();
}

absl::Status CompactionPass::CollectRun(const Run& run) {
  std::string bytes;
  NARU_ASSIGN_OR_RETURN(const auto entries, ReadRun(run, bytes));
  for (const RunEntry& entry : entries) {
    if (entry.header.base_offset >= end_) break;
    if (entry.header.next_offset() <= at_) continue;
    NARU_RETURN_IF_ERROR(ForEachRecordOf(entry, [&](Offset offset, const RecordView& record) {
      if (offset < at_ || !record.key) return true;
      // The rest is for another pass.
      if (!keys_.Put(*record.key, offset)) end_ = offset;
      return end_ > offset;
    }));
  }
  at_ = std::min(run.next, end_);
  return absl::OkStatus();
}

absl::Status CompactionPass::Rewrite(int64_t& budget, absl::FunctionRef<absl::Status(RunPack&)> take) {
  RunPack pack(plan_.log->id, parts_.salt);
  while (at_ < end_ && budget > 0) {
    NARU_ASSIGN_OR_RETURN(const auto runs, NextRuns(end_));
    if (runs.empty()) at_ = end_;
    for (const Run& run : runs) {
      if (budget <= 0) break;
      NARU_RETURN_IF_ERROR(RewriteRun(run, pack, take));
      budget -= run.length;
      at_ = run.next;
    }
  }
  return FlushPack(pack, take);
}

absl::Status CompactionPass::RewriteRun(const Run& run, RunPack& pack,
                                        absl::FunctionRef<absl::Status(RunPack&)> take) {
  std::string bytes;
  NARU_ASSIGN_OR_RETURN(const auto entries, ReadRun(run, bytes));
  NARU_ASSIGN_OR_RETURN(
      ThinnedRun thinned,
      ThinRun(entries, {.keep = [this](Offset offset,
                                       const RecordView& record) { return choice_->Keeps(offset, record); },
                        .remembers =
                            [this](const ProducerStamp& stamp, Offset base_offset) {
                              absl::ReaderMutexLock lock(&plan_.log->mutex);
                              return plan_.log->state.producers().Remembers(stamp.producer_id, base_offset);
                            }}));
  if (thinned.records_left_out > 0 && thinned.entry_bytes > parts_.run_bytes_max) {
    // Compressed anew it may be larger than it was. Nothing may be passed over: who reads the log's state
    // takes what lies below for clean.
    return MakeError(
        Reason::kBatchTooLarge,
        absl::StrCat("what is left of the run at offset ", run.base.value(), " has ", thinned.entry_bytes,
                     " bytes; at most ", parts_.run_bytes_max, " fit into a segment"));
  }
  const bool left_alone = thinned.records_left_out == 0 && run.length >= kLargeRunBytes;
  const bool full = pack.entry_bytes() + thinned.entry_bytes > parts_.pack_bytes_max ||
                    pack.runs() >= kPackedRunsMax || !pack.Continues(run);
  if (!pack.empty() && (left_alone || full)) NARU_RETURN_IF_ERROR(FlushPack(pack, take));
  if (!left_alone) pack.Add(run, std::move(thinned));
  return absl::OkStatus();
}

absl::Status CompactionPass::FlushPack(RunPack& pack, absl::FunctionRef<absl::Status(RunPack&)> take) const {
  if (pack.records_left_out() > 0 || pack.runs() >= kJoinedRunsMin) return take(pack);
  pack.Drop();
  return absl::OkStatus();
}

}  // namespace naru
