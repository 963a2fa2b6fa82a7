#include "services/server/options.h"

#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "absl/strings/numbers.h"
#include "services/server/memory_plan.h"
#include "services/server/option_values.h"
#include "storage/base/status.h"
#include "storage/base/strings.h"
#include "storage/base/units.h"

namespace naru::services {
namespace {

// The least of the machine's memory and the bounds of the control groups that are set.
int64_t AvailableMemoryBytes() {
  int64_t bytes = int64_t{sysconf(_SC_PHYS_PAGES)} * sysconf(_SC_PAGE_SIZE);
  for (const char* path : {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}) {
    std::ifstream file(path);
    std::string text;
    int64_t bound = 0;
    if (file >> text && absl::SimpleAtoi(text, &bound) && bound > 0) bytes = std::min(bytes, bound);
  }
  return bytes;
}

}  // namespace

int64_t ServerOptions::DefaultMemoryLimitBytes() {
  const int64_t half = AvailableMemoryBytes() / 2 / kMiB * kMiB;
  return std::max(kMemoryLimitBytesMin, std::min(1024 * kMiB, half));
}

StoreOptions ServerOptions::AutoSizedStoreOptions() {
  StoreOptions store;
  store.tail_cache_bytes = kAuto;
  store.queue_bytes_max = kAuto;
  store.index_memory_bytes = kAuto;
  store.compaction_memory_bytes = kAuto;
  return store;
}

StoreOptions ServerOptions::StoreConfiguration() const {
  StoreOptions complete = store;
  complete.directory = absl::StrCat(data_dir, "/store");
  complete.reader_threads = static_cast<int>(reader_threads);
  if (const absl::StatusOr<MemoryPlan> plan = PlanMemory(*this); plan.ok()) {
    complete.tail_cache_bytes = plan->tail_cache_bytes;
    complete.queue_bytes_max = plan->store_queue_bytes;
    complete.index_memory_bytes = plan->index_bytes;
    complete.compaction_memory_bytes = plan->compaction_bytes;
  }
  return complete;
}

ProduceOptions ServerOptions::ProduceConfiguration() const {
  ProduceOptions complete = produce;
  complete.batch_bytes_max = max_batch_bytes;
  complete.batch_records_max = max_batch_records;
  if (const absl::StatusOr<MemoryPlan> plan = PlanMemory(*this); plan.ok()) {
    // Streams wait with what they have read already, so that counts too.
    complete.reading_bytes_max = plan->produce_bytes / 4;
    complete.memory_bytes = plan->produce_bytes - complete.reading_bytes_max;
    // What nobody expected to come stood in the transport's buffers otherwise.
    complete.waiting_bytes_max = complete.reading_bytes_max + plan->transport_bytes / 2;
  }
  complete.stream_inflight_bytes_max =
      std::min(complete.stream_inflight_bytes_max, complete.memory_bytes / 2);
  return complete;
}

ConsumeOptions ServerOptions::ConsumeConfiguration() const {
  ConsumeOptions complete = consume;
  complete.message_bytes_max = max_message_bytes;
  complete.batch_bytes_max = max_batch_bytes;
  complete.stream_first_message_bytes = std::min(complete.stream_first_message_bytes, max_message_bytes);
  if (const absl::StatusOr<MemoryPlan> plan = PlanMemory(*this); plan.ok()) {
    complete.memory_bytes = plan->consume_bytes - MetadataMemoryBytes();
  }
  return complete;
}

int64_t ServerOptions::MetadataMemoryBytes() const {
  const absl::StatusOr<MemoryPlan> plan = PlanMemory(*this);
  return plan.ok() ? plan->consume_bytes / 8 : 0;
}

absl::Status ServerOptions::Validate() const {
  if (data_dir.empty()) return absl::InvalidArgumentError("--data-dir: it is empty; name a directory");
  if (store.BatchBytesMax() < max_batch_bytes) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--segment-bytes: ", FormatSize(store.segment_bytes), " is not allowed; it takes batches of ",
        store.BatchBytesMax(), " bytes, and --max-batch-bytes is ", FormatSize(max_batch_bytes)));
  }
  NARU_RETURN_IF_ERROR(cluster.Validate());
  NARU_RETURN_IF_ERROR(PlanMemory(*this).status());
  NARU_RETURN_IF_ERROR(StoreConfiguration().Validate());
  NARU_RETURN_IF_ERROR(ProduceConfiguration().Validate());
  return ConsumeConfiguration().Validate();
}

}  // namespace naru::services
