#include "storage/store/maintainer.h"

#include <algorithm>
#include <utility>

#include "storage/base/status.h"
#include "storage/store/recovery.h"
#include "storage/store/snapshot.h"

namespace naru {
namespace {

// What the file system tells the disk of at once when a segment went, and how long it then gets to itself: a
// segment of 256 MiB in one piece held up every sync for 45 ms.
constexpr uint64_t kGiveBackBytes = uint64_t{2} << 20;
constexpr absl::Duration kGiveBackPause = absl::Milliseconds(5);

}  // namespace

Maintainer::Maintainer(Parts parts)
    : parts_(parts),
      compactor_({parts.options, parts.clock, parts.events, parts.index, parts.logs, parts.segment_writer,
                  parts.syncer, parts.appender, parts.cuts, parts.reader, parts.counters,
                  [this] { return KeepUp(); }, [this] { return Stopping(); }}) {
  WatchDisk();
  parts_.appender.SpareForSnapshot(SnapshotBytesMax(parts_.logs));
  thread_ = std::thread([this] { Loop(); });
}

Maintainer::~Maintainer() { Stop(); }

void Maintainer::Wake() {
  absl::MutexLock lock(&mutex_);
  woken_ = true;
  wake_.Signal();
}

void Maintainer::Stop() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
    wake_.Signal();
  }
  if (thread_.joinable()) thread_.join();
}

bool Maintainer::Stopping() const {
  absl::MutexLock lock(&mutex_);
  return stopping_;
}

void Maintainer::Loop() {
  absl::Time next_round = absl::Now() + absl::Milliseconds(parts_.options.maintenance_interval_ms);
  bool giving_back = false;
  for (;;) {
    bool idle = false;
    {
      absl::MutexLock lock(&mutex_);
      const absl::Time until = giving_back ? absl::Now() + kGiveBackPause : next_round;
      while (!woken_ && !stopping_ && absl::Now() < until) wake_.WaitWithDeadline(&mutex_, until);
      if (stopping_) return;
      idle = !woken_ && absl::Now() < next_round;
      woken_ = false;
    }
    if (idle) {
      giving_back = GiveBackSome();
      continue;
    }
    if (parts_.fatal.raised()) return;
    absl::Status status;
    if (absl::Now() >= next_round) {
      status = RunRound();
      giving_back = parts_.segments.HasRemoved();
      next_round = absl::Now() + absl::Milliseconds(parts_.options.maintenance_interval_ms);
    } else {
      status = KeepUp();
    }
    if (!status.ok() && !Stopping()) {
      parts_.events.Write(Severity::kWarning, "maintenance_failed", {{"error", status.ToString()}});
    }
  }
}

bool Maintainer::GiveBackSome() {
  absl::MutexLock lock(&round_mutex_);
  return parts_.segments.GiveBackSome(kGiveBackBytes);
}

absl::Status Maintainer::RunRound() {
  absl::MutexLock lock(&round_mutex_);
  if (parts_.fatal.raised()) return Fatal::Error();
  WatchIndex();
  WatchDisk();
  NARU_RETURN_IF_ERROR(PrepareSegment());
  NARU_RETURN_IF_ERROR(ApplyRetention());
  NARU_RETURN_IF_ERROR(ReclaimDead());
  // What is dead goes before anything is copied, which takes room.
  NARU_RETURN_IF_ERROR(RemoveDeadSegments());
  NARU_RETURN_IF_ERROR(Compact());
  NARU_RETURN_IF_ERROR(RelocateSparse());
  NARU_RETURN_IF_ERROR(RemoveDeadSegments());
  WatchDisk();
  return MaybeCheckpoint();
}

absl::Status Maintainer::Compact() {
  // Like relocation, it writes before it gives back.
  if (compactor_.LookAround() && !HasRoomToRelocate()) {
    Count(parts_.counters.compactions_held_off);
    return absl::OkStatus();
  }
  return compactor_.Run();
}

void Maintainer::WatchDisk() {
  const auto space = parts_.files.Space(parts_.options.directory);
  if (!space.ok()) {
    parts_.events.Write(Severity::kWarning, "disk_space_unknown", {{"error", space.status().ToString()}});
    return;
  }
  const auto available = static_cast<int64_t>(space->available_bytes);
  StoreCounters& counters = parts_.counters;
  counters.disk_available_bytes.store(available, std::memory_order_relaxed);
  counters.disk_total_bytes.store(static_cast<int64_t>(space->total_bytes), std::memory_order_relaxed);
  const int64_t reserve = parts_.options.disk_reserve_bytes;
  const bool full = counters.storage_full.load(std::memory_order_relaxed);
  if (!full && available < reserve) {
    counters.storage_full.store(true, std::memory_order_relaxed);
    parts_.events.Write(Severity::kError, "storage_full",
                        {{"available_bytes", available}, {"reserve_bytes", reserve}});
  } else if (full && available >= reserve + reserve / 4) {
    counters.storage_full.store(false, std::memory_order_relaxed);
    parts_.events.Write(Severity::kInfo, "storage_recovered", {{"available_bytes", available}});
  }
}

void Maintainer::WatchIndex() {
  if (index_damage_told_ || !parts_.index.damaged()) return;
  index_damage_told_ = true;
  parts_.events.Write(Severity::kError, "index_damaged",
                      {{"directory", IndexDirectory(parts_.options.directory)},
                       {"remedy", "the next start sets it aside and rebuilds it from the segments"}});
}

absl::Status Maintainer::PrepareSegment() {
  if (!parts_.segment_writer.wants_next()) return absl::OkStatus();
  // If it is the last that the disk has room for: segments go only when a snapshot is behind them.
  parts_.appender.SpareForSnapshot(SnapshotBytesMax(parts_.logs));
  const absl::Status prepared = parts_.segment_writer.PrepareNext();
  // The appender will say so to those whom it concerns.
  if (absl::IsResourceExhausted(prepared)) return absl::OkStatus();
  if (!prepared.ok()) parts_.fatal.Raise(prepared.ToString());
  return prepared;
}

absl::Status Maintainer::KeepUp() {
  NARU_RETURN_IF_ERROR(PrepareSegment());
  return MaybeCheckpoint();
}

absl::Status Maintainer::MaybeCheckpoint() {
  const int64_t since = parts_.counters.applied_bytes.load(std::memory_order_relaxed) -
                        parts_.counters.checkpointed_bytes.load(std::memory_order_relaxed);
  return since >= parts_.options.checkpoint_bytes ? Checkpoint() : absl::OkStatus();
}

absl::Status Maintainer::Checkpoint() {
  absl::MutexLock lock(&checkpoint_mutex_);
  parts_.syncer.Drain();
  if (parts_.fatal.raised()) return Fatal::Error();
  const int64_t applied = parts_.counters.applied_bytes.load(std::memory_order_relaxed);
  if (const absl::Status flushed = parts_.index.Flush(); !flushed.ok()) {
    parts_.fatal.Raise(flushed.ToString());
    return flushed;
  }
  parts_.counters.checkpointed_bytes.store(applied, std::memory_order_relaxed);
  Count(parts_.counters.checkpoints);
  parts_.events.Write(Severity::kDebug, "checkpoint", {{"applied_bytes", applied}});
  return absl::OkStatus();
}

}  // namespace naru
