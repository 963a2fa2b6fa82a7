#include "services/server/memory_plan.h"

#include <algorithm>
#include <string>
#include <string_view>

#include "services/server/call_limit.h"
#include "services/server/option_table.h"
#include "services/server/option_values.h"
#include "services/server/options.h"
#include "storage/base/status.h"
#include "storage/base/strings.h"
#include "storage/base/units.h"

namespace naru::services {
namespace {

constexpr int64_t kProcessFixedBytes = 39 * kMiB;

struct Share {
  std::string_view option;
  int64_t given;
  int64_t weight;  // among the shares that were not given
  int64_t min;
  int64_t* to;
};

// The queue must hold all of produce memory, or the store refuses what was let in already. A quarter of that
// is still being read and not in the queue, which leaves room for what the queue counts beside the requests.
int64_t StoreQueueGiven(const ServerOptions& options) {
  if (options.store.queue_bytes_max != kAuto || options.produce_memory_bytes == kAuto) {
    return options.store.queue_bytes_max;
  }
  return std::max(2 * options.max_batch_bytes, options.produce_memory_bytes);
}

absl::Status CheckStoreQueue(int64_t queue_bytes, int64_t produce_bytes) {
  if (queue_bytes >= produce_bytes) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("--store-queue: ", FormatSize(queue_bytes), " is not allowed with --produce-memory ",
                   FormatSize(produce_bytes), ", which it must hold; allowed: ", FormatSize(produce_bytes),
                   " and more, or a --produce-memory of at most ", FormatSize(queue_bytes)));
}

absl::Status TooSmall(std::string_view option, int64_t bytes, int64_t min, std::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat("--", option, ": ", FormatSize(bytes), " is not allowed; ",
                                                 why, " needs at least ", FormatSize(min)));
}

}  // namespace

int64_t MemoryPlan::GrpcQuotaBytes() const {
  return transport_bytes + calls_bytes + produce_bytes + store_queue_bytes + tail_cache_bytes;
}

int64_t MemoryPlan::StreamWindowBytes() const {
  constexpr int64_t kFreeWindowsFrom = 64 * kMiB;
  return transport_bytes >= kFreeWindowsFrom ? 0 : kMiB;
}

absl::StatusOr<MemoryPlan> PlanMemory(const ServerOptions& options) {
  MemoryPlan plan;
  plan.limit_bytes = options.memory_limit_bytes;
  plan.process_bytes = kProcessFixedBytes + options.memory_limit_bytes / 10;

  const StoreOptions& store = options.store;
  Share shares[] = {
      {"tail-cache", store.tail_cache_bytes, 6, 0, &plan.tail_cache_bytes},
      {"store-queue", StoreQueueGiven(options), 6, 2 * options.max_batch_bytes, &plan.store_queue_bytes},
      {"index-memory", store.index_memory_bytes, 6, 4 * kMiB, &plan.index_bytes},
      {"compaction-memory", store.compaction_memory_bytes, 2, kMiB, &plan.compaction_bytes},
      {"group-memory", options.group_memory_bytes, 1, kMiB, &plan.groups_bytes},
      {"produce-memory", options.produce_memory_bytes, 6, 2 * options.max_batch_bytes, &plan.produce_bytes},
      {"consume-memory", options.consume_memory_bytes, 8, 5 * options.max_message_bytes / 2,
       &plan.consume_bytes},
      {"max-streams", options.max_streams == kAuto ? kAuto : CallLimit::BytesOf(options.max_streams), 10,
       CallLimit::BytesOf(1), &plan.calls_bytes},
      {"transport-memory", options.transport_memory_bytes, 10, 8 * kMiB, &plan.transport_bytes},
  };
  int64_t left = plan.limit_bytes - plan.process_bytes;
  int64_t weights = 0;
  for (const Share& share : shares) {
    if (share.given == kAuto) {
      weights += share.weight;
    } else {
      *share.to = share.given;
      left -= share.given;
    }
  }
  if (left < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("--memory-limit: ", FormatSize(plan.limit_bytes),
                     " is not allowed; the shares given and ", FormatSize(plan.process_bytes),
                     " for the process itself need ", FormatSize(plan.limit_bytes - left)));
  }
  for (const Share& share : shares) {
    // Whole KiB, so that they print well.
    if (share.given == kAuto) *share.to = left / weights * share.weight / 1024 * 1024;
    if (*share.to >= share.min) continue;
    return share.given == kAuto ? TooSmall("memory-limit", plan.limit_bytes,
                                           plan.limit_bytes - left + share.min * weights / share.weight,
                                           absl::StrCat("with these message limits, ", share.option))
                                : TooSmall(share.option, share.given, share.min, "twice the largest message");
  }
  plan.calls_max = options.max_streams == kAuto ? CallLimit::CallsIn(plan.calls_bytes) : options.max_streams;
  if (options.produce_memory_bytes == kAuto) {
    plan.produce_bytes = std::min(plan.produce_bytes, plan.store_queue_bytes);
  }
  NARU_RETURN_IF_ERROR(CheckStoreQueue(plan.store_queue_bytes, plan.produce_bytes));
  return plan;
}

}  // namespace naru::services
