// The rules of replication by name, to be taken away one at a time.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "cluster/replication/replication_rules.h"

namespace naru::sim {

struct NamedRule {
  std::string_view name;
  bool cluster::ReplicationRules::*rule;
  std::string_view number;  // in docs/replication.md
  // A seed from which on one soon notices that it is missing; to be found anew (naru-sim --without) when what
  // happens in the runs has changed. 0: another rule covers for it.
  uint64_t noticed_from = 1;
};

inline const std::vector<NamedRule>& NamedRules() {
  using Rules = cluster::ReplicationRules;
  static const auto* rules = new std::vector<NamedRule>{
      {"check_fetch_epochs", &Rules::check_fetch_epochs, "1"},
      {"check_broker_epoch", &Rules::check_broker_epoch, "1", 0},
      {"truncate_by_epoch", &Rules::truncate_by_epoch, "2"},
      {"truncate_to_common_epoch", &Rules::truncate_to_common_epoch, "2", 20},
      {"cut_before_agreement_only", &Rules::cut_before_agreement_only, "2", 1398},
      {"truncate_before_high_watermark", &Rules::truncate_before_high_watermark, "3"},
      {"reset_raises_high_watermark", &Rules::reset_raises_high_watermark, "5"},
      {"commit_with_min_isr_only", &Rules::commit_with_min_isr_only, "6"},
      {"wait_for_maximal_isr", &Rules::wait_for_maximal_isr, "7"},
      {"expand_from_high_watermark", &Rules::expand_from_high_watermark, "8"},
      {"expand_from_election_end", &Rules::expand_from_election_end, "8"},
      {"expand_after_fetch", &Rules::expand_after_fetch, "8"},
      {"compare_partition_epoch", &Rules::compare_partition_epoch, "9"},
      {"compare_broker_epochs", &Rules::compare_broker_epochs, "9", 1802},
      {"fence_before_new_epoch", &Rules::fence_before_new_epoch, "10"},
      {"ignore_states_before_registration", &Rules::ignore_states_before_registration, "10", 459},
      {"grace_after_election", &Rules::grace_after_election, "11"},
      {"hide_high_watermark_until_election_end", &Rules::hide_high_watermark_until_election_end, "11"},
      {"keep_eligible_replicas", &Rules::keep_eligible_replicas, "12"},
      {"bad_end_leaves_eligible", &Rules::bad_end_leaves_eligible, "12"},
      {"elect_in_sync_only", &Rules::elect_in_sync_only, "13"},
      {"delete_on_all_in_sync", &Rules::delete_on_all_in_sync, "17"},
      {"claim_durable_only", &Rules::claim_durable_only, "18"},
  };
  return *rules;
}

}  // namespace naru::sim
