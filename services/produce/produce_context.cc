#include "services/produce/produce_context.h"

#include "storage/base/status.h"

namespace naru::services {

absl::Status ProduceContext::CheckOpen() const {
  if (!stopping.load(std::memory_order_relaxed)) return absl::OkStatus();
  return MakeError(Reason::kShuttingDown, "the broker is shutting down; nothing was appended, try again");
}

void ProduceContext::CountOutcomes(const std::vector<PartOutcome>& outcomes, int64_t begun_ns) {
  int64_t records = 0;
  int64_t bytes = 0;
  int64_t duplicates = 0;
  for (const PartOutcome& outcome : outcomes) {
    if (!outcome.appended.ok()) {
      counters.errors.Count(outcome.appended.status());
    } else if (outcome.appended->duplicate) {
      ++duplicates;
    } else {
      records += outcome.appended->next_offset - outcome.appended->base_offset;
      bytes += outcome.batch_bytes;
    }
  }
  counters.records.fetch_add(records, std::memory_order_relaxed);
  counters.bytes.fetch_add(bytes, std::memory_order_relaxed);
  if (duplicates > 0) counters.duplicates.fetch_add(duplicates, std::memory_order_relaxed);
  if (records > 0) counters.ack.Add(clock.MonotonicNs() - begun_ns);
}

}  // namespace naru::services
