// What passes between the replicas of a partition, and between its leader and the coordinator. Values.
#pragma once

#include <cstdint>
#include <map>
#include <variant>
#include <vector>

#include "cluster/replication/partition_state.h"
#include "storage/base/ids.h"
#include "storage/log/log_store.h"

namespace naru::cluster {

// What a follower asks its leader for, and at once what it claims to hold (KIP-320, KIP-903).
struct ReplicaFetch {
  BrokerId follower;
  BrokerEpoch broker_epoch;
  LeaderEpoch leader_epoch;            // the one in which it follows
  LeaderEpoch last_fetched_epoch{-1};  // of its batch before `offset`; -1: it has none
  Offset offset;                       // the next it wants; it has written everything before
  Offset durable_end;                  // ≤ offset: below it everything is on its disk
  Offset durable_start;                // below it everything is gone for good
};

// What the leader says to that.
struct ReplicaFetchAnswer {
  enum class Kind {
    kBatches,     // from `offset` on; perhaps none
    kDiverging,   // the follower's log is not a prefix: `epoch_end` is where they can have parted
    kOutOfRange,  // `offset` is not in the leader's log: begin anew at `log_start`
    kRefused,     // of another epoch, or not of a replica: the coordinator's assignments will tell
  };
  Kind kind = Kind::kRefused;
  LeaderEpoch leader_epoch;
  Offset offset;  // the one asked for
  EpochEnd epoch_end;
  Offset high_watermark;
  Offset log_start;
  // It is diverging from the first batch on.
  bool nothing_common() const { return kind == Kind::kDiverging && epoch_end.epoch < LeaderEpoch(0); }
  // Where the follower is to begin anew: of what came before `log_start` (ProducersBefore).
  std::vector<ProducerState> producers;
};

// A leader's wish to change the ISR: a compare-and-swap on what the coordinator has (KIP-497, KIP-903).
struct IsrProposal {
  int64_t attempt = 0;  // the leader's number of it; in answers
  LeaderEpoch leader_epoch;
  PartitionEpoch partition_epoch;
  std::map<BrokerId, BrokerEpoch> isr;  // all of it, the leader included
};

enum class IsrOutcome {
  kApplied,  // or something newer was: the new state says what
  kRefused,  // this copy of the proposal changes nothing, now or later
  kUnknown,  // no answer: it may yet be carried out
};

// What a replica wants done, in this order.
struct BeginEpoch {  // LogStore::BeginEpoch; then Replica::OnEpochBegun
  LeaderEpoch epoch;
};
struct TruncateLog {  // LogStore::Truncate; then Replica::OnTruncated
  Offset end;
};
struct ResetLog {  // LogStore::Reset: empty, from `start` on; then Replica::OnTruncated
  Offset start;
  std::vector<ProducerState> producers;
};
struct MoveLogStart {  // LogStore::MoveLogStart
  Offset start;
};
struct AppendFetched {  // LogStore::AppendAsReplica of the batches that came with the answer
};
struct ProposeIsr {
  IsrProposal proposal;
};
struct ReportDamage {  // to the coordinator: this copy is damaged; the partition's next state is the answer
  LeaderEpoch leader_epoch;
};
using ReplicaEffect =
    std::variant<BeginEpoch, TruncateLog, ResetLog, MoveLogStart, AppendFetched, ProposeIsr, ReportDamage>;
using ReplicaEffects = std::vector<ReplicaEffect>;

}  // namespace naru::cluster
