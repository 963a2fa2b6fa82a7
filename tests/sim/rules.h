// The rules of replication, and of those who drive it, by name, to be taken away one at a time.
#pragma once

#include <cstdint>
#include <string_view>
#include <variant>
#include <vector>

#include "cluster/replication/replication_rules.h"

namespace naru::sim {

// What drivers of replicas have to see to, as switches.
struct DriverRules {
  // Of an epoch whose batches are all cut off nothing is left. Here it is the driver that spoils what the
  // store says: what shows is whether the cluster would be seen to suffer, not that the store obeys.
  bool cut_epochs_with_log = true;
  // Retention moves a log's start only up to its replica's high watermark.
  bool retain_committed_only = true;
  // Compaction leaves alone what is not committed: what has made an older record go must stay.
  bool compact_committed_only = true;
  // The logs of topics that are gone go, too; by what the newest metadata says.
  bool delete_orphans = true;
  bool delete_by_newest_metadata_only = true;
  // A coordinator of groups that cannot be sure that it still is one lets its members go.
  bool confirm_coordinator = true;
  // What a member owns that nobody hears is not taken from it before it must have noticed that.
  bool grace_for_the_unheard = true;
};

struct Rules {
  cluster::ReplicationRules replication;
  DriverRules driver;
};

struct NamedRule {
  std::string_view name;
  std::variant<bool cluster::ReplicationRules::*, bool DriverRules::*> rule;
  std::string_view number;  // in docs/replication.md
  // A seed from which on one soon notices that it is missing; to be found anew (naru-sim --without) when what
  // happens in the runs has changed. 0: no seed is known.
  uint64_t noticed_from = 1;
};

inline void TakeAway(const NamedRule& named, Rules& rules) {
  if (const auto* of_replication = std::get_if<bool cluster::ReplicationRules::*>(&named.rule)) {
    rules.replication.** of_replication = false;
  } else {
    rules.driver.*std::get<bool DriverRules::*>(named.rule) = false;
  }
}

inline const std::vector<NamedRule>& NamedRules() {
  using Rules = cluster::ReplicationRules;
  using Driver = DriverRules;
  static const auto* rules = new std::vector<NamedRule>{
      {"check_fetch_epochs", &Rules::check_fetch_epochs, "1"},
      {"check_broker_epoch", &Rules::check_broker_epoch, "1"},
      {"truncate_by_epoch", &Rules::truncate_by_epoch, "2"},
      {"truncate_to_common_epoch", &Rules::truncate_to_common_epoch, "2"},
      {"cut_before_agreement_only", &Rules::cut_before_agreement_only, "2"},
      {"truncate_before_high_watermark", &Rules::truncate_before_high_watermark, "3"},
      {"cut_epochs_with_log", &Driver::cut_epochs_with_log, "4"},
      {"reset_raises_high_watermark", &Rules::reset_raises_high_watermark, "5"},
      {"commit_with_min_isr_only", &Rules::commit_with_min_isr_only, "6"},
      {"wait_for_maximal_isr", &Rules::wait_for_maximal_isr, "7"},
      {"expand_from_high_watermark", &Rules::expand_from_high_watermark, "8"},
      {"expand_from_election_end", &Rules::expand_from_election_end, "8"},
      {"compare_partition_epoch", &Rules::compare_partition_epoch, "9"},
      {"compare_broker_epochs", &Rules::compare_broker_epochs, "9"},
      {"fence_before_new_epoch", &Rules::fence_before_new_epoch, "10"},
      {"ignore_states_before_registration", &Rules::ignore_states_before_registration, "10", 650},
      {"grace_after_election", &Rules::grace_after_election, "11"},
      {"hide_high_watermark_until_election_end", &Rules::hide_high_watermark_until_election_end, "11"},
      {"keep_eligible_replicas", &Rules::keep_eligible_replicas, "12"},
      {"bad_end_leaves_eligible", &Rules::bad_end_leaves_eligible, "12"},
      {"elect_in_sync_only", &Rules::elect_in_sync_only, "13"},
      {"delete_on_all_in_sync", &Rules::delete_on_all_in_sync, "17"},
      {"claim_durable_only", &Rules::claim_durable_only, "18"},
      {"give_up_damaged_copy", &Rules::give_up_damaged_copy, "21"},
      {"empty_damaged_copy_when_out", &Rules::empty_damaged_copy_when_out, "21"},
      {"hand_over_producers", &Rules::hand_over_producers, "22"},
      {"confirm_before_refusing", &Rules::confirm_before_refusing, "20"},
      {"retain_committed_only", &Driver::retain_committed_only, "-"},
      {"compact_committed_only", &Driver::compact_committed_only, "-"},
      {"delete_orphans", &Driver::delete_orphans, "-"},
      {"delete_by_newest_metadata_only", &Driver::delete_by_newest_metadata_only, "-"},
      {"confirm_coordinator", &Driver::confirm_coordinator, "23"},
      {"grace_for_the_unheard", &Driver::grace_for_the_unheard, "23", 80},
  };
  return *rules;
}

}  // namespace naru::sim
