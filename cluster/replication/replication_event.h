// What passes between the replicas of a partition, and between its leader and the coordinator. Values; their
// wire forms are in proto/naru/internal/v1.
#pragma once

#include <cstdint>
#include <map>
#include <variant>
#include <vector>

#include "cluster/replication/partition_state.h"
#include "storage/base/ids.h"
#include "storage/log/log_store.h"

namespace naru::cluster {

// Where a log is. durable start ≤ start ≤ durable end ≤ end.
struct LogPositions {
  Offset start;
  Offset end;            // everything handed to the store included
  Offset durable_end;    // what it vouches for: on stable storage, or written for Durability::kBackground
  Offset durable_start;  // what is below does not come back
};

// The reading side of one log, as it is now.
class LogView {
 public:
  virtual ~LogView() = default;
  virtual LogPositions Positions() const = 0;
  // As LogStore::EndOffsetForEpoch.
  virtual EpochEnd EndOffsetForEpoch(LeaderEpoch epoch) const = 0;

  // Of the last batch; -1: there was none.
  LeaderEpoch LastEpoch() const { return EndOffsetForEpoch(LeaderEpoch(INT32_MAX)).epoch; }
};

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
};
struct MoveLogStart {  // LogStore::MoveLogStart
  Offset start;
};
struct AppendFetched {  // LogStore::AppendAsReplica of the batches that came with the answer
};
struct ProposeIsr {
  IsrProposal proposal;
};
using ReplicaEffect =
    std::variant<BeginEpoch, TruncateLog, ResetLog, MoveLogStart, AppendFetched, ProposeIsr>;
using ReplicaEffects = std::vector<ReplicaEffect>;

// All true, but in tests of what goes wrong without one. The numbers are those of the rules in
// docs/replication.md.
struct ReplicationRules {
  bool check_fetch_epochs = true;              // 1
  bool check_broker_epoch = true;              // 1
  bool truncate_by_epoch = true;               // 2; false: by high watermark
  bool truncate_to_common_epoch = true;        // 2 (KIP-279); false: to the leader's end of the epoch alone
  bool cut_before_agreement_only = true;       // 2
  bool truncate_before_high_watermark = true;  // 3
  bool reset_raises_high_watermark = true;     // 5
  bool wait_for_maximal_isr = true;            // 6, 7; false: for the committed one
  bool commit_with_min_isr_only = true;        // 6
  bool expand_from_high_watermark = true;      // 8
  bool expand_from_election_end = true;        // 8
  bool expand_after_fetch = true;              // 8
  bool compare_partition_epoch = true;         // 9, at the coordinator
  bool compare_broker_epochs = true;           // 9, at the coordinator
  bool fence_before_new_epoch = true;          // 10, at the coordinator
  bool ignore_states_before_registration = true;       // 10
  bool grace_after_election = true;                    // 11
  bool hide_high_watermark_until_election_end = true;  // 11
  bool keep_eligible_replicas = true;                  // 12, at the coordinator
  bool bad_end_leaves_eligible = true;                 // 12, at the coordinator
  bool elect_in_sync_only = true;                      // 13, at the coordinator
  bool delete_on_all_in_sync = true;                   // 17
  bool claim_durable_only = true;                      // 18
};

}  // namespace naru::cluster
