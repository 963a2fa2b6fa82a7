#include "services/produce/part_appender.h"

#include <atomic>
#include <utility>

#include "absl/status/status.h"
#include "storage/base/status.h"

namespace naru::services {
namespace {

// About what a part's structures take in this service and in the store.
constexpr int64_t kPartBytes = 512;

const cluster::PartitionPlacement& PlacementOf(const ProduceTarget& target, const ProducePart& part) {
  return target.topic->partitions[static_cast<size_t>(part.partition.value())];
}

struct Gathering {
  Gathering(const cluster::CatalogSource& catalog, std::shared_ptr<const cluster::TopicInfo> topic)
      : catalog(catalog), topic(std::move(topic)) {}

  const cluster::CatalogSource& catalog;
  const std::shared_ptr<const cluster::TopicInfo> topic;
  std::atomic<size_t> left{0};
  std::vector<PartOutcome> outcomes;
  MemoryGate::Hold hold;
  absl::AnyInvocable<void(std::vector<PartOutcome>)> done;

  void Finish(size_t index, absl::StatusOr<Appended> appended) {
    // Only the last of them moves the outcomes. NOLINTNEXTLINE(clang-analyzer-cplusplus.Move)
    PartOutcome& outcome = outcomes[index];
    outcome.appended = std::move(appended);
    if (ReasonOf(outcome.appended.status()) == Reason::kPartitionNotFound) {
      outcome.appended = cluster::LogStatusForClient(*catalog.Current(), *topic, outcome.partition.value(),
                                                     outcome.appended.status());
    }
    if (left.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    hold.Release();
    done(std::move(outcomes));
  }
};

}  // namespace

int64_t BookkeepingBytes(const std::vector<ProducePart>& parts) {
  int64_t bytes = 0;
  for (const ProducePart& part : parts) {
    bytes += kPartBytes + static_cast<int64_t>(part.record_indexes.size() * sizeof(uint32_t));
  }
  // A split batch stands in memory a second time.
  if (parts.size() > 1) {
    for (const ProducePart& part : parts) bytes += part.info.size_bytes;
  }
  return bytes;
}

void AppendParts(LogStore& store, const cluster::CatalogSource& catalog, const ProduceTarget& target,
                 std::vector<ProducePart> parts, std::vector<PartPlace> places, MemoryGate::Hold hold,
                 absl::AnyInvocable<void(std::vector<PartOutcome>)> done) {
  const auto gathering = std::make_shared<Gathering>(catalog, target.topic);
  const std::shared_ptr<const cluster::TopicCatalog> now = catalog.Current();
  gathering->left.store(parts.size(), std::memory_order_relaxed);
  gathering->outcomes.reserve(parts.size());
  for (ProducePart& part : parts) {
    gathering->outcomes.push_back({part.partition, absl::UnknownError("not finished"),
                                   std::move(part.record_indexes), part.info.size_bytes,
                                   LeaderElsewhere(*now, PlacementOf(target, part))});
  }
  gathering->hold = std::move(hold);
  gathering->done = std::move(done);
  for (size_t i = 0; i < parts.size(); ++i) {
    AppendRequest request{.log = parts[i].log,
                          .batch = std::move(parts[i].batch),
                          .info = parts[i].info,
                          .expected_offset = target.expected_offset,
                          .on_all_in_sync = target.on_all_in_sync,
                          .producer = parts[i].info.producer};
    if (!places.empty()) {
      if (!places[i].refusal.ok()) {
        gathering->Finish(i, std::move(places[i].refusal));
        continue;
      }
      request.fence = std::move(places[i].fence);
      request.fence_order = places[i].order;
    }
    if (target.leader_epoch) {
      request.here_in_epoch = target.leader_epoch;
      absl::Status led = CheckLedHere(*now, *target.topic, parts[i].partition.value(), *target.leader_epoch);
      if (!led.ok()) {
        if (request.fence != nullptr) request.fence->Fail(request.fence_order);
        gathering->outcomes[i].leader = BrokerId(0);  // it was not handed on
        gathering->Finish(i, std::move(led));
        continue;
      }
    }
    store.Append(std::move(request), [gathering, i](absl::StatusOr<Appended> appended) {
      gathering->Finish(i, std::move(appended));
    });
  }
}

}  // namespace naru::services
