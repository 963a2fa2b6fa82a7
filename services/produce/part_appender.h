// Hands the parts of a batch to the store and gathers what becomes of them.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "cluster/metadata/topic_catalog.h"
#include "services/produce/produce_answer.h"
#include "services/produce/produce_plan.h"
#include "services/rpc/memory_gate.h"
#include "storage/log/log_store.h"

namespace naru::services {

// A part's place in a pipeline (AppendRequest::fence), or why it is not to be tried.
struct PartPlace {
  absl::Status refusal;
  std::shared_ptr<AppendFence> fence;
  int64_t order = 0;
};

// Bytes that `parts` keep beside the request they were cut from.
int64_t BookkeepingBytes(const std::vector<ProducePart>& parts);

// Appends every part that its place does not refuse to the target's topic and calls `done` once with the
// outcomes, in the order of `parts`, when all are known: on the store's thread, or inline. `places` is empty
// (no pipeline) or as long as `parts`. `hold` is given back just before `done`. `catalog` is still there
// then.
void AppendParts(LogStore& store, const cluster::CatalogSource& catalog, const ProduceTarget& target,
                 std::vector<ProducePart> parts, std::vector<PartPlace> places, MemoryGate::Hold hold,
                 absl::AnyInvocable<void(std::vector<PartOutcome>)> done);

}  // namespace naru::services
