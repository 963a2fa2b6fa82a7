#include "cluster/replication/confirmations.h"

namespace naru::cluster {

uint64_t Confirmations::Ask(const PartitionLeader& leader, const std::function<bool(BrokerId)>& answer_now,
                            int64_t now_ms) {
  Question question{.number = ++last_,
                    .leader_epoch = leader.state().leader_epoch,
                    .missing = {},
                    .until_ms = now_ms + kWaitMs};
  for (const BrokerId follower : leader.MayLeadNext()) question.missing[follower] = answer_now(follower);
  asked_.push_back(std::move(question));
  return last_;
}

bool Confirmations::OnFetch(BrokerId follower) {
  bool ask = false;
  for (Question& question : asked_) {
    const auto missing = question.missing.find(follower);
    if (missing == question.missing.end()) continue;
    if (missing->second) {
      question.missing.erase(missing);
    } else {
      // It may have been sent before; the next one is not.
      missing->second = ask = true;
    }
  }
  return ask;
}

std::vector<Confirmations::Settled> Confirmations::Settle(const PartitionLeader* leader, int64_t now_ms) {
  std::vector<Settled> settled;
  std::erase_if(asked_, [&](const Question& question) {
    const bool leads = leader != nullptr && question.leader_epoch == leader->state().leader_epoch;
    const bool over = !leads || question.missing.empty() || now_ms >= question.until_ms;
    if (over) settled.push_back({question.number, leads && question.missing.empty()});
    return over;
  });
  return settled;
}

}  // namespace naru::cluster
