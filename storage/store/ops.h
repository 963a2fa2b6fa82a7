// What is asked of the appender.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "storage/log/log_store.h"
#include "storage/segments/control_bodies.h"
#include "storage/store/log.h"

namespace naru {

struct AppendOp {
  std::shared_ptr<Log> log;
  AppendRequest request;
  LogStore::AppendDone done;
  int64_t queue_bytes = 0;
};
struct ReplicaAppendOp {
  std::shared_ptr<Log> log;
  ReplicaAppendRequest request;
  LogStore::AppendDone done;
  int64_t queue_bytes = 0;
};
struct CreateOp {
  std::vector<LogId> logs;
  LogStore::Done done;
};
struct DeleteOp {
  std::vector<LogId> logs;
  LogStore::Done done;
};
struct EpochOp {
  std::shared_ptr<Log> log;
  LeaderEpoch epoch;
  LogStore::Done done;
};
struct StartOp {
  std::shared_ptr<Log> log;
  Offset start;
  LogStore::Done done;
  // The maintainer's: worked out already, for a start below what was durable. ABORTED when it does not hold
  // any more, because the log was truncated since, or moves nothing.
  std::optional<LogStartMove> planned = std::nullopt;
  int64_t truncations = 0;  // the log's when it was planned
};
struct TruncateOp {
  std::shared_ptr<Log> log;
  Offset end;
  // As LogStore::Reset, at `end`, with these.
  std::optional<std::vector<ProducerState>> reset;
  LogStore::Done done;
};
// The maintainer's.
struct ReclaimOp {
  std::vector<Reclaim> reclaims;
  LogStore::Done done;
};
struct MoveOp {
  std::vector<MovedRun> runs;  // positions from the beginning of `entries`
  std::string entries;
  LogStore::Done done;
};
// The compactor's.
struct RewriteOp {
  // Of one log, all or nothing: it takes effect only if the log was not truncated since it was planned, since
  // what stands at the end is why older records were left out, and if all the runs are where they were.
  struct Part {
    std::shared_ptr<Log> log;
    int64_t truncations = 0;     // the log's when it was planned
    std::vector<MovedRun> runs;  // positions from the beginning of `entries`
    std::optional<CompactionState> compacted;
  };
  std::vector<Part> parts;
  std::string entries;
  // Logs whose part came too late, for whoever asks; filled before `done`.
  std::shared_ptr<std::vector<LogId>> late;
  LogStore::Done done;
};
struct SnapshotOp {
  std::shared_ptr<int64_t> bytes;  // what it took, for whoever asks
  LogStore::Done done;
};
// Of these segments, those that nothing needs any more are struck off; their ids go to `removed` before
// `done`.
struct RemoveOp {
  std::vector<SegmentId> segments;
  std::shared_ptr<std::vector<SegmentId>> removed;
  LogStore::Done done;
};

using Op = std::variant<AppendOp, ReplicaAppendOp, CreateOp, DeleteOp, EpochOp, StartOp, TruncateOp,
                        ReclaimOp, MoveOp, RewriteOp, SnapshotOp, RemoveOp>;

// The append failed: later ones of its pipeline must.
void FailFence(const AppendRequest& request);

inline bool IsAppend(const Op& op) {
  return std::holds_alternative<AppendOp>(op) || std::holds_alternative<ReplicaAppendOp>(op);
}

}  // namespace naru
