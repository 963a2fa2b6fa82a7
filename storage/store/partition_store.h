// The partition store: segments that are the write-ahead log, and a RocksDB index that is their fold, behind
// the LogStore interface. One per data directory. See storage/FORMAT.md for the bytes and ARCHITECTURE.md for
// the life of a record.
//
// Threads it owns: the appender (assigns offsets, writes), the syncer (fdatasync, acks, index), the
// maintainer (retention, space, checkpoints, disk watch) and a few readers (index look-ups and cold reads).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "storage/base/clock.h"
#include "storage/base/event_log.h"
#include "storage/base/files.h"
#include "storage/log/log_store.h"

namespace naru {

struct StoreOptions {
  static constexpr int64_t kSegmentBytesMin = int64_t{1} << 20;
  static constexpr int64_t kSegmentBytesMax = int64_t{4} << 30;

  // Holds `segments/`, `index/`, `lock` and, after damage, `aside/`. Made when missing.
  std::string directory;
  // Size of a segment file, preallocated. 1 MiB to 4 GiB. A batch larger than BatchBytesMax is refused.
  int64_t segment_bytes = int64_t{256} << 20;
  // Bytes of the newest batches kept in memory for readers at the tail. 0 and more.
  int64_t tail_cache_bytes = int64_t{64} << 20;
  // Bytes of batches that wait for the appender, or are written and whose ack waits for them to be durable.
  // Those of logs with Durability::kBackground stop counting when they are written. At least 4 MiB.
  int64_t queue_bytes_max = int64_t{128} << 20;
  // A start after a crash replays at most about this many bytes: the index is flushed that often, and at once
  // by a start that replayed half of it. At least 1 MiB.
  int64_t checkpoint_bytes = int64_t{512} << 20;
  // Produces are refused (STORAGE_FULL) while the disk has less than this available, and taken again
  // above 1.25 times this. 0: never refuse.
  int64_t disk_reserve_bytes = int64_t{1} << 30;
  // How often retention, space and disk are looked at, milliseconds. At least 10.
  int64_t maintenance_interval_ms = 1'000;
  // Logs with Durability::kBackground are on disk after about this long, milliseconds. At least 1.
  int64_t background_sync_interval_ms = 200;
  // Small groups of batches are synced by the thread that wrote them, up to this many bytes, when nothing
  // else is: that saves waking another, and what comes meanwhile is written when the sync is through. 0:
  // never, so that writing goes on beside every sync.
  int64_t inline_sync_bytes_max = int64_t{64} << 10;
  // Written pages are dropped from the page cache when they are about this far behind the head, bytes: it
  // would otherwise grow until the kernel reclaims in the middle of appends. Readers that lag less find them.
  // 0 and more.
  int64_t kept_page_cache_bytes = int64_t{256} << 20;
  // A sealed segment with less than this share of its bytes alive has the rest copied to the head. 0 to 0.9.
  double compact_below_live_share = 0.34;
  // What a pass of compaction by key takes to remember keys in, bytes: 24 for each slot, of which three in
  // four are used. A log with more keys is compacted in several passes. At least 1,024.
  int64_t compaction_memory_bytes = int64_t{64} << 20;
  // What compaction reads, at most, on average, bytes per second. At least 1 MiB.
  int64_t compaction_bytes_per_second = int64_t{32} << 20;
  // A log with fewer bytes that are not compacted is, but only once a minute. 0 and more.
  int64_t compaction_dirty_bytes_min = int64_t{1} << 20;
  // Up to where a log may be compacted, and its oldest batches given up: below what is committed, so that
  // nothing that a truncation takes away has made anything else go, and no log begins above what others hold.
  // Called on the maintainer's thread, without locks. Empty: up to the durable end.
  std::function<Offset(LogId)> committed_end;
  // A producer that appended nothing to a log for so long, milliseconds, is not known there any more. At
  // least 1,000. May differ from one start to the next: what a replay forgets otherwise than the first time
  // is forgotten a little earlier or later.
  int64_t producer_expiry_ms = kDefaultProducerExpiryMs;
  // Readers of cold data. 1 to 64.
  int reader_threads = 2;
  // RocksDB's block cache and memtables together, bytes.
  int64_t index_memory_bytes = int64_t{64} << 20;
  // An index up to this size is read whole at a start, and rebuilt when a checksum is wrong; of a larger one,
  // what nobody needs to start is only found damaged when it is read. 0: none is.
  int64_t index_verify_bytes_max = int64_t{256} << 20;
  // Called when durability is lost (a write or a sync failed, the index broke); null: the process ends. If it
  // returns, as in tests of crashes, the store is dead: it touches no file any more, and whatever is
  // unfinished or comes later completes with INTERNAL.
  std::function<void(std::string_view)> on_fatal;

  absl::Status Validate() const;
  // A segment less what is kept free in it for entries that give space back.
  int64_t BatchBytesMax() const;
};

// Compaction by key.
struct CompactionStats {
  // As the last round found them: logs that ask for it; of them, those that are dirty enough; the greatest
  // share of a log's bytes that is not compacted.
  int64_t logs = 0, due_logs = 0;
  double dirty_ratio_max = 0;
  int64_t passes = 0, passes_failed = 0;
  int64_t passes_cut_by_memory = 0;  // of `passes`: the keys' map was full before the end
  int64_t rounds_held_off = 0;       // for want of free disk
  int64_t read_bytes = 0;            // entries that passes looked through
  int64_t written_bytes = 0;         // entries written in place of others
  int64_t given_back_bytes = 0;      // by which those others were larger
  int64_t records_left_out = 0;      // tombstones included
  int64_t tombstones_left_out = 0;
  int64_t last_pass_ms = 0;  // when it ended; 0: never
  int64_t last_pass_duration_ms = 0;
};

// Counters since the start and gauges of now. Plain values: a snapshot.
struct StoreStats {
  int64_t logs = 0;
  int64_t producers = 0;  // known, summed over logs, as of the last round of maintenance
  int64_t segments = 0;
  int64_t segment_bytes = 0;  // on disk
  int64_t live_bytes = 0;     // of them, entries that the index still points to
  int64_t appended_batches = 0, appended_records = 0, appended_bytes = 0;
  int64_t append_groups = 0;  // batches per group = appended_batches / append_groups
  int64_t zeroed_bytes = 0;   // written behind small groups, so that their syncs are short
  int64_t syncs = 0;
  int64_t sync_ns = 0;  // time in fdatasync
  int64_t read_batches = 0, read_bytes = 0, tail_cache_hits = 0, tail_cache_misses = 0;
  int64_t tail_cache_used_bytes = 0;
  int64_t queue_used_bytes = 0, queue_refusals = 0;
  int64_t storage_full_refusals = 0;
  bool storage_full = false;
  int64_t disk_available_bytes = 0, disk_total_bytes = 0;
  int64_t checkpoints = 0;
  int64_t bytes_since_checkpoint = 0;
  bool index_damaged = false;        // rebuilt by the next start; until then reads may say CORRUPT_DATA
  int64_t retention_moves = 0;       // log starts moved by retention
  int64_t segments_removed = 0;      // unlinked
  int64_t relocated_bytes = 0;       // copied to give space back
  int64_t relocations_held_off = 0;  // rounds that copied no (more) for want of free disk
  CompactionStats compaction;
  int64_t replayed_entries = 0, replayed_bytes = 0;  // by the last start
  int64_t torn_tail_bytes = 0;                       // cut off by the last start
};

class PartitionStore : public LogStore {
 public:
  // Opens or makes the store in `options.directory` and recovers it: what was acknowledged is there.
  //   FAILED_PRECONDITION  another process holds the directory (the message names it)
  //   DATA_LOSS            a hole: something that was durable cannot be read. Nothing was changed; the
  //   message
  //                        says where, and that `narud salvage` copies out what still checks
  //   UNAVAILABLE          STORAGE_FULL: the disk has no room to open the index
  //   INVALID_ARGUMENT     options, or a format version that this program does not read
  // `files`, `clock` and `events` outlive the store.
  static absl::StatusOr<std::unique_ptr<PartitionStore>> Open(const StoreOptions& options, FileSystem& files,
                                                              const Clock& clock, EventLog& events);

  virtual StoreStats Stats() const = 0;
  // Flushes the index, so that a start replays nothing before this moment. Blocks.
  virtual absl::Status Checkpoint() = 0;
  // Does one round of retention and of giving space back now, and waits for it. For tests and tools.
  virtual absl::Status RunMaintenance() = 0;
};

// What a salvage found and saved.
struct SalvageReport {
  int64_t segments_read = 0;
  int64_t batches_saved = 0;
  int64_t records_saved = 0;
  int64_t batches_damaged = 0;
  int64_t bytes_skipped = 0;
  std::vector<std::string> damage;  // one line for each place: file, position, what is wrong
};

// Reads a damaged store's segments, without its index, and writes every batch that still checks to a fresh
// store in `to`, log by log in offset order with its offsets kept (a hole becomes a moved log start:
// everything before the last hole of a log is left in the report). `from` is not changed. For `narud
// salvage`.
absl::StatusOr<SalvageReport> Salvage(const std::string& from, const std::string& to, FileSystem& files,
                                      const Clock& clock, EventLog& events);

}  // namespace naru
