#include "services/produce/stream_order.h"

#include <utility>

#include "storage/base/strings.h"

namespace naru::services {

StreamOrder::Topic* StreamOrder::Find(std::string_view topic) {
  const auto it = topics_.find(Absl(topic));
  return it == topics_.end() ? nullptr : it->second.get();
}

bool StreamOrder::IsFailed(std::string_view topic, PartitionId partition) const {
  const auto it = topics_.find(Absl(topic));
  return it != topics_.end() && it->second->IsFailed(partition);
}

std::optional<StreamOrder::Ticket> StreamOrder::Admit(const std::string& topic, PartitionId partition) {
  std::unique_ptr<Topic>& state = topics_[topic];
  if (state == nullptr) state = std::make_unique<Topic>();
  if (state->IsFailed(partition)) return std::nullopt;
  Lane& lane = state->lanes[partition.value()];
  if (lane.fence == nullptr) lane.fence = std::make_shared<AppendFence>();
  ++lane.unanswered;
  return Ticket{lane.fence, lane.next_order++};
}

void StreamOrder::Done(const std::string& topic, PartitionId partition, const Ticket& ticket, bool failed) {
  Topic* const state = Find(topic);
  if (state == nullptr) return;
  const auto it = state->lanes.find(partition.value());
  // Another fence, or none: a failure of this lane was reported and the partition resumed.
  if (it == state->lanes.end() || it->second.fence != ticket.fence) return;
  if (failed) Mark(*state, partition, true);
  if (failed || --it->second.unanswered == 0) state->lanes.erase(it);
  ForgetIfIdle(topic);
}

void StreamOrder::Fail(const std::string& topic, PartitionId partition) {
  std::unique_ptr<Topic>& state = topics_[topic];
  if (state == nullptr) state = std::make_unique<Topic>();
  Mark(*state, partition, true);
}

void StreamOrder::FailTopic(const std::string& topic) {
  std::unique_ptr<Topic>& state = topics_[topic];
  if (state == nullptr) state = std::make_unique<Topic>();
  failed_count_ -= state->failed_count();
  state->others_failed = true;
  state->exceptions.clear();
  failed_count_ += state->failed_count();
}

void StreamOrder::Resume(std::string_view topic, std::span<const int32_t> partitions) {
  Topic* const state = Find(topic);
  if (state == nullptr) return;
  for (const int32_t partition : partitions) Mark(*state, PartitionId(partition), false);
  if (partitions.empty()) {
    failed_count_ -= state->failed_count();
    state->others_failed = false;
    state->exceptions.clear();
  }
  ForgetIfIdle(topic);
}

void StreamOrder::Mark(Topic& topic, PartitionId partition, bool failed) {
  if (topic.IsFailed(partition) == failed) return;
  failed_count_ -= topic.failed_count();
  if (failed != topic.others_failed) {
    topic.exceptions.insert(partition.value());
  } else {
    topic.exceptions.erase(partition.value());
  }
  failed_count_ += topic.failed_count();
}

void StreamOrder::ForgetIfIdle(std::string_view name) {
  const auto it = topics_.find(Absl(name));
  if (it != topics_.end() && it->second->failed_count() == 0 && it->second->lanes.empty()) topics_.erase(it);
}

}  // namespace naru::services
