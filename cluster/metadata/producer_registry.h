// Who gives idempotent producers their ids (KIP-98).
#pragma once

#include <cstdint>
#include <optional>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace naru::cluster {

// Who stamps batches: see ProducerStamp.
struct ProducerIdentity {
  int64_t producer_id = 0;
  int64_t epoch = 0;
  friend bool operator==(const ProducerIdentity&, const ProducerIdentity&) = default;
};

// Thread-safe. Completions run on the registry's thread, or inline, and must not block.
class ProducerRegistry {
 public:
  using ProducerDone = absl::AnyInvocable<void(absl::StatusOr<ProducerIdentity>)>;

  virtual ~ProducerRegistry() = default;
  // A producer id that nobody had before, with epoch 0; or the next epoch of a `known` one. Also ids whose
  // answer was lost are not given out again.
  //   INVALID_FIELD  producer_id or epoch: an id that was not given out, an epoch below 0, or the last one
  virtual void InitProducer(std::optional<ProducerIdentity> known, ProducerDone done) = 0;
};

// INVALID_FIELD as above. `given`: whether the id was given out.
absl::StatusOr<ProducerIdentity> NextEpoch(const ProducerIdentity& producer, bool given);

}  // namespace naru::cluster
