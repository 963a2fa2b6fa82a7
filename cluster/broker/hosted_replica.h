// One replica on this broker, with everything that its drivers keep about it. Of the replicas' loop.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "cluster/broker/handed_log.h"
#include "cluster/metadata/topic_partition.h"
#include "cluster/replication/confirmations.h"
#include "cluster/replication/replica.h"
#include "storage/log/log_store.h"

namespace naru::cluster {

struct HostedReplica {
  // Done, and committed when the high watermark is past it.
  struct WaitingAppend {
    LeaderEpoch leader_epoch;
    Appended appended;
    LogStore::AppendDone done;
  };
  // Answered when what is below is gone for good (rule 17).
  struct WaitingMove {
    LeaderEpoch leader_epoch;
    Offset below;
    LogStore::Done done;
  };
  // A follower's fetch that is not answered yet.
  struct WaitingFetch {
    uint64_t session = 0;
    ReplicaFetch fetch;
    Offset told;          // the high watermark that the follower knows
    Offset log_start;     // and the log start
    bool early = false;   // of an epoch that has not begun here yet
    bool queued = false;  // its turn to be read comes
  };

  TopicPartition partition;
  LogId log;
  bool log_exists = false;
  // What was assigned last.
  PartitionState assigned;
  int64_t version = -1;

  std::unique_ptr<HandedLog> view;
  std::unique_ptr<Replica> replica;
  // Appends of older epochs are refused by the store once this one has begun there.
  LeaderEpoch epoch_begun{-1};
  LeaderEpoch epoch_asked{-1};

  // As leader.
  std::multimap<Offset, WaitingAppend> appends;  // by next offset
  std::vector<WaitingMove> moves;
  std::map<BrokerId, WaitingFetch> fetches;
  Confirmations confirmations;
  std::map<uint64_t, absl::AnyInvocable<void(bool leads)>> confirming;  // by question

  // As follower.
  bool fetch_sent = false;  // and not answered yet
  std::optional<ReplicaFetch> last_fetch;
  int64_t appends_in_flight = 0;
  bool append_failed = false;
  bool append_failure_told = false;  // to the log of events, and none has succeeded since
};

}  // namespace naru::cluster
