#include "cluster/replication/partition_state.h"

#include "storage/base/strings.h"

namespace naru::cluster {
namespace {

template <typename Brokers>
std::string List(const Brokers& brokers) {
  std::string text;
  for (const BrokerId broker : brokers) absl::StrAppend(&text, text.empty() ? "" : ",", broker.value());
  return text.empty() ? "-" : text;
}

}  // namespace

std::string ToText(const PartitionState& state) {
  std::string text = absl::StrCat(
      "leader ", state.leader == kNoBroker ? "-" : absl::StrCat(state.leader.value()), " epoch ",
      state.leader_epoch.value(), " partition epoch ", state.epoch.value(), " isr ", List(state.isr));
  if (!state.elr.empty()) absl::StrAppend(&text, " elr ", List(state.elr));
  if (!state.last_known_elr.empty()) absl::StrAppend(&text, " last known elr ", List(state.last_known_elr));
  return text;
}

}  // namespace naru::cluster
