// What is where: the fold of the segments, in one RocksDB without a write-ahead log of its own. Every commit
// carries the position up to which the segments are applied, so whatever the database holds after a crash is
// the state as of one moment, from which the segments are replayed. See storage/FORMAT.md for keys and
// values.
//
// Thread-safe. All of it blocks on disk, now and then for long (Flush): never call it from a gRPC thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "storage/base/event_log.h"
#include "storage/base/ids.h"
#include "storage/segments/run.h"

namespace rocksdb {
class DB;
class Status;
class WriteBatch;
}  // namespace rocksdb

namespace naru {

// Every entry up to `sequence` is in the index; the next one is at `position` of `segment`, or at the
// beginning of the segment after it.
struct AppliedPosition {
  Sequence sequence;
  SegmentId segment;
  uint64_t position = 0;
};

// What the index knows of one log besides runs and producers. `head` is the store's to encode.
struct LogRow {
  LogId log;
  std::string head;
};

struct SegmentRow {
  SegmentId id;
  Sequence first_sequence;
  Sequence last_sequence;
  // Of the file, in entries, and of them in entries that runs point to.
  int64_t used_bytes = 0;
  int64_t live_bytes = 0;
};

// Changes that belong together, in order. Not thread-safe; movable.
class IndexUpdate {
 public:
  IndexUpdate();
  ~IndexUpdate();
  IndexUpdate(IndexUpdate&&) noexcept;
  IndexUpdate& operator=(IndexUpdate&&) noexcept;

  void PutRun(LogId log, const Run& run);
  void DeleteRun(LogId log, Offset base);
  void PutLog(LogId log, std::string_view head);
  void DeleteLog(LogId log);
  void PutProducer(LogId log, int64_t producer_id, std::string_view entry);
  void DeleteProducer(LogId log, int64_t producer_id);
  void PutSegment(const SegmentRow& row);
  void DeleteSegment(SegmentId id);
  // Log ids from first to last are dead; replaces what was said of `first` before.
  void PutDead(LogId first, LogId last);
  void DeleteDead(LogId first);
  // Runs of this log, which was deleted, are still to be given up.
  void PutDoomed(LogId log);
  void DeleteDoomed(LogId log);
  // The newest complete snapshot entry's sequence.
  void PutSnapshot(Sequence sequence);
  void SetApplied(const AppliedPosition& position);

  size_t bytes() const;
  bool empty() const;

 private:
  friend class Index;
  std::unique_ptr<rocksdb::WriteBatch> batch_;
};

class Index {
 public:
  struct Options {
    std::string directory;
    // Block cache and memtables together.
    int64_t memory_bytes = int64_t{64} << 20;
    // The store's; an index of another store is refused.
    uint32_t store_salt = 0;
    // Takes any store's: to look at one whose segments are missing.
    bool any_store = false;
    // Up to this size all of it is read and checked when it is opened.
    int64_t verify_bytes_max = int64_t{256} << 20;
    // Called, on any thread, when a flush or compaction failed: nothing that the index says can be relied on
    // any more, and the process must end.
    std::function<void(std::string_view)> on_fatal;
    // Where the database's warnings and errors go ("rocksdb"); outlives the index. Null: nowhere.
    EventLog* events = nullptr;
  };

  // Opens or makes it. DATA_LOSS: damaged, found damaged when it was last in use, unfinished (see
  // SetRebuilding) or of another store, to be set aside and rebuilt. Other errors are the system's.
  static absl::StatusOr<std::unique_ptr<Index>> Open(const Options& options);
  ~Index();

  // In one piece. Not durable before Flush, or whenever the database sees fit.
  absl::Status Commit(IndexUpdate update);
  // Everything committed before the call is durable.
  absl::Status Flush();
  // While set (durable at once), Open says DATA_LOSS: a rebuild that did not finish is begun anew.
  absl::Status SetRebuilding(bool rebuilding);

  // Something in it could not be read: it goes on with what can be, and the next Open says DATA_LOSS.
  bool damaged() const { return damaged_.load(std::memory_order_relaxed); }
  // Notes that; for rows whose bytes are as they were written and make no sense.
  void NoteDamage(std::string_view what) const;

  // Zeros before the first commit.
  absl::StatusOr<AppliedPosition> Applied() const;
  absl::StatusOr<Sequence> Snapshot() const;

  // The log's run that begins there. Cheaper than FindRun, above all where much was deleted before it.
  absl::StatusOr<std::optional<Run>> RunAt(LogId log, Offset base) const;
  // The log's run with the greatest base ≤ offset.
  absl::StatusOr<std::optional<Run>> FindRun(LogId log, Offset offset) const;
  // Up to `count` runs in order: the one that holds `from`, if any does, and those behind it, which begin
  // below `end`.
  absl::StatusOr<std::vector<Run>> RunsFrom(LogId log, Offset from, Offset end, size_t count) const;
  // Visits the log's runs that begin below `offset`, newest first, until `visit` says false.
  absl::Status VisitRunsBackwards(LogId log, Offset offset,
                                  const std::function<bool(const Run&)>& visit) const;

  // Whole tables, in order of key; used at start.
  absl::Status VisitLogs(const std::function<absl::Status(LogId, std::string_view head)>& visit) const;
  absl::Status VisitProducers(const std::function<absl::Status(LogId, std::string_view entry)>& visit) const;
  absl::StatusOr<std::vector<SegmentRow>> Segments() const;
  absl::Status VisitDead(const std::function<void(LogId first, LogId last)>& visit) const;
  absl::StatusOr<std::vector<LogId>> Doomed() const;
  // Logs that have runs, each once: for checks after a rebuild.
  absl::Status VisitRuns(const std::function<absl::Status(LogId, const Run&)>& visit) const;

 private:
  Index(std::string directory, std::unique_ptr<rocksdb::DB> db);
  absl::Status Visit(char table,
                     const std::function<absl::Status(std::string_view key, std::string_view value)>&) const;
  absl::StatusOr<std::string> Get(std::string_view key) const;
  // What a read came to.
  absl::Status FromRead(const rocksdb::Status& status) const;
  absl::Status Malformed(std::string_view what) const;

  const std::string directory_;
  const std::unique_ptr<rocksdb::DB> db_;
  mutable std::atomic<bool> damaged_{false};
};

}  // namespace naru
