// The metadata store of a simulated cluster, as etcd would be: one linearizable state, an election with a
// lease. Leases end early and late; safety must not need them.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <utility>

#include "cluster/coordinator/coordinator_machine.h"
#include "tests/sim/loop.h"

namespace naru::sim {

class MetadataStore {
 public:
  MetadataStore(Loop& loop, cluster::ClusterMetadata initial) : loop_(loop), stored_(std::move(initial)) {}

  // Called after each write that changed something.
  void set_on_change(std::function<void()> on_change) { on_change_ = std::move(on_change); }

  const cluster::ClusterMetadata& stored() const { return stored_; }
  int64_t term() const { return term_; }

  // The term won, or nothing while somebody else holds one.
  std::optional<int64_t> Campaign(int64_t lease_us);
  // False: the term is over.
  bool KeepAlive(int64_t term, int64_t lease_us);
  // As if the lease had run out.
  void EndLease() { lease_until_us_ = 0; }
  // Whatever happens to who holds one: for so long nobody is elected.
  void ProlongLease(int64_t longer_us) { late_until_us_ = loop_.now_us() + longer_us; }
  cluster::WriteOutcome Write(const cluster::MetadataWrite& write);

 private:
  Loop& loop_;
  cluster::ClusterMetadata stored_;
  std::function<void()> on_change_;
  int64_t term_ = 0;
  int64_t lease_until_us_ = 0;
  int64_t late_until_us_ = 0;
};

}  // namespace naru::sim
