// Appends that wait together become a group: checked in the order in which they came, given their offsets,
// each log's batches laid side by side. The appender's thread only.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "storage/base/clock.h"
#include "storage/store/entry_writer.h"
#include "storage/store/ops.h"

namespace naru {

// What an op takes in the segments, at most.
uint64_t EntryBytesMax(const Op& op);

class BatchGroup {
 public:
  // `producer_expiry_ms`: see StoreOptions.
  BatchGroup(EntryWriter& writer, TailCache& cache, StoreCounters& counters, const Clock& clock,
             int64_t producer_expiry_ms)
      : writer_(writer),
        cache_(cache),
        counters_(counters),
        clock_(clock),
        producer_expiry_ms_(producer_expiry_ms) {}

  // Stages the batches of `ops`, all of them appends for which room was ensured. Those that are refused are
  // completed here; of the rest, `group` gets acks. The ops must live until the group is written.
  void Build(std::vector<Op>& ops, Group& group);
  // When the group is written: lets readers see what needs not be durable, and completes it. `fire` gets due
  // watches.
  void Written(Group& group, Watches::Due& due);
  // When it could not be: completes with Fatal::Error what was to be completed by Written.
  void Failed();

 private:
  struct Refusal {
    LogStore::AppendDone done;
    absl::Status status;
  };
  // Ops of one log, by their place in `ops`.
  struct Slot {
    std::shared_ptr<Log> log;
    std::vector<size_t> ops;
  };

  void BuildLog(Slot& slot, std::vector<Op>& ops, Group& group);
  void Append(const std::shared_ptr<Log>& log, AppendOp& op, Group& group, Group::LogEnd& end)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(log->mutex);
  void AppendAsReplica(const std::shared_ptr<Log>& log, ReplicaAppendOp& op, Group& group, Group::LogEnd& end)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(log->mutex);
  // A replica's batch, or what stands for one that is gone.
  void AddStored(const std::shared_ptr<Log>& log, const StoredBatchView& batch, Group& group,
                 Group::LogEnd& end) ABSL_EXCLUSIVE_LOCKS_REQUIRED(log->mutex);
  // `view`: what readers at the tail are given.
  void AddBatch(const std::shared_ptr<Log>& log, EntryHeader& header, const absl::Cord& body,
                StoredBatchView view, Group& group, Group::LogEnd& end)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(log->mutex);
  void Accept(LogStore::AppendDone done, Appended appended, Group& group, const Group::LogEnd& end);

  EntryWriter& writer_;
  TailCache& cache_;
  StoreCounters& counters_;
  const Clock& clock_;
  const int64_t producer_expiry_ms_;

  int64_t now_ms_ = 0;
  std::vector<Slot> slots_;
  std::vector<Refusal> refusals_;
  // Bodies of this group that are not the requests' own bytes.
  std::deque<absl::Cord> bodies_;
  // Appends to background logs: complete when written.
  std::vector<Group::Ack> early_acks_;
};

}  // namespace naru
