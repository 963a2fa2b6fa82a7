// The rules of replication as switches.
#pragma once

namespace naru::cluster {

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
  bool confirm_before_refusing = true;                 // 20
  bool give_up_damaged_copy = true;                    // 21, at the coordinator
  bool empty_damaged_copy_when_out = true;             // 21; false: as soon as the damage is found
  bool hand_over_producers = true;                     // 22
};

}  // namespace naru::cluster
