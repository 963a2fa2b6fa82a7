// Whether a leader still leads, before it says for good that something is not there (rule 20): all who may
// lead next have to fetch once more in its epoch, after they were asked. A state machine without IO, clocks
// or threads.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <vector>

#include "cluster/replication/partition_leader.h"
#include "cluster/replication/partition_state.h"

namespace naru::cluster {

class Confirmations {
 public:
  // How long those who may lead next have to say that they still follow.
  static constexpr int64_t kWaitMs = 1'000;

  struct Settled {
    uint64_t question = 0;
    bool leads = false;
  };

  // The number of a question, to be looked for in Settle(). `answer_now` has a fetch of the follower that
  // waits answered, so that the next one is sent after the question was asked; false: none waits, and what
  // comes next may have been sent before.
  uint64_t Ask(const PartitionLeader& leader, const std::function<bool(BrokerId)>& answer_now,
               int64_t now_ms);
  // A fetch of this leader epoch came from the follower, over the connection of those before it. True: answer
  // it at once, somebody waits for the next.
  bool OnFetch(BrokerId follower);
  // What is decided by now. `leader`: null when there is none here any more.
  std::vector<Settled> Settle(const PartitionLeader* leader, int64_t now_ms);

  bool empty() const { return asked_.empty(); }

 private:
  struct Question {
    uint64_t number = 0;
    LeaderEpoch leader_epoch;
    // Who has not answered; true: what it says next, it says after it was asked.
    std::map<BrokerId, bool> missing;
    int64_t until_ms = 0;
  };

  std::vector<Question> asked_;
  uint64_t last_ = 0;
};

}  // namespace naru::cluster
