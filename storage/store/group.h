// A group: entries written together, on their way from the appender through the syncer into the index.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "storage/index/index.h"
#include "storage/log/log_store.h"
#include "storage/segments/segment.h"
#include "storage/store/log.h"

namespace naru {

struct Group {
  // What the entries change in the index, for when they are durable.
  IndexUpdate update;
  // Segments written to, oldest first. None: nothing was written, only acks wait for what was written before.
  std::vector<std::shared_ptr<Segment>> written;
  // Of the last entry; 0: none.
  Sequence last_sequence;
  int64_t bytes = 0;
  // Of the queue's budget, given back when the group is durable.
  int64_t queue_bytes = 0;
  // Someone waits for it to be durable.
  bool urgent = false;
  // Need not be synced for its own sake at all.
  bool lazy = false;

  struct LogEnd {
    std::shared_ptr<Log> log;
    Offset end;
    // How many of its tail runs are in `update`.
    size_t runs = 0;
    bool background = false;
  };
  std::vector<LogEnd> ends;
  // Logs whose watchers are to be looked at when it is durable, beside those in `ends`.
  std::vector<std::shared_ptr<Log>> touched;

  struct Ack {
    LogStore::AppendDone done;
    Appended appended;
  };
  std::vector<Ack> acks;
  struct Finished {
    LogStore::Done done;
    absl::Status status;
  };
  std::vector<Finished> finished;

  bool has_waiters() const { return !acks.empty() || !finished.empty(); }
};

}  // namespace naru
