// Where a cluster's metadata lives: one election, and one state that only the elected coordinator changes.
// etcd is one; tests have one in memory.
//
// Thread-safe. Callbacks run on the store's own thread, one at a time, and must not block; after Stop()
// returned none runs.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "cluster/coordinator/cluster_metadata.h"

namespace naru::cluster {

class ClusterStore {
 public:
  using Elected = std::function<void(int64_t term)>;
  using Deposed = std::function<void(int64_t term)>;
  using ReadDone = absl::AnyInvocable<void(absl::StatusOr<ClusterMetadata>)>;
  using WriteDone = absl::AnyInvocable<void(WriteOutcome)>;

  virtual ~ClusterStore() = default;

  // Stands for election until Stop(), under `address` (host:port of the coordinator's service, for those who
  // look for the elected one). `elected` when an election is won, with its term: each is greater than all
  // before. `deposed` when that term is over or can no longer be shown to last; then it stands again. Terms
  // are for liveness: what is safe is decided by Write alone. Once.
  virtual void Stand(std::string address, Elected elected, Deposed deposed) = 0;
  // The address of whoever is elected, as last seen; empty: nobody, or it is not known.
  virtual std::string ElectedAddress() const = 0;

  // What is stored now: linearizable, all of one moment. UNAVAILABLE when the store did not answer in time,
  // CORRUPT_DATA when what it holds cannot be what was written.
  virtual void Read(ReadDone done) = 0;
  // `before`: what the store holds as of write.head. One at a time.
  virtual void Write(const MetadataWrite& write, const ClusterMetadata& before, WriteDone done) = 0;

  // Gives the election up, so that another is elected at once, and ends. Blocks for at most a second.
  // Idempotent.
  virtual void Stop() = 0;
};

}  // namespace naru::cluster
