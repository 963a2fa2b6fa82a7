// Which partitions of a ProduceStream go on, and the fences that keep the items in the store's hands in
// order: after an item failed for a partition, no later one is appended until the client resumes it.
//
// An item is admitted before it goes to the store; its ticket carries a fence that the store looks at when
// the item's turn comes, so that items pipelined behind one that fails are not appended either.
// Thread-unsafe; its stream locks.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "storage/base/ids.h"
#include "storage/log/log_store.h"

namespace naru::services {

class StreamOrder {
 public:
  struct Ticket {
    std::shared_ptr<AppendFence> fence;
    int64_t order = 0;
  };

  bool IsFailed(std::string_view topic, PartitionId partition) const;
  // A ticket for an item that goes to the store next; nothing when the partition has failed.
  std::optional<Ticket> Admit(const std::string& topic, PartitionId partition);
  // What became of an admitted item. A failure fails the partition, unless it was resumed meanwhile.
  void Done(const std::string& topic, PartitionId partition, const Ticket& ticket, bool failed);

  // An item failed before it was admitted.
  void Fail(const std::string& topic, PartitionId partition);
  // An item failed whose partition is not known: any might have been meant.
  void FailTopic(const std::string& topic);
  // Lets items pass again; empty: all partitions of the topic.
  void Resume(std::string_view topic, std::span<const int32_t> partitions);

  // Topics and partitions that are kept in mind as failed.
  int64_t failed_count() const { return failed_count_; }

 private:
  // The items of one partition that the store has not answered.
  struct Lane {
    std::shared_ptr<AppendFence> fence;
    int64_t next_order = 0;
    int64_t unanswered = 0;
  };
  struct Topic {
    // The partitions in `exceptions` are failed, the others are not; or the reverse.
    bool others_failed = false;
    absl::flat_hash_set<int32_t> exceptions;
    absl::flat_hash_map<int32_t, Lane> lanes;

    bool IsFailed(PartitionId partition) const {
      return others_failed != exceptions.contains(partition.value());
    }
    int64_t failed_count() const { return static_cast<int64_t>(exceptions.size()) + (others_failed ? 1 : 0); }
  };
  Topic* Find(std::string_view topic);
  // Sets whether a partition is failed.
  void Mark(Topic& topic, PartitionId partition, bool failed);
  void ForgetIfIdle(std::string_view name);

  absl::flat_hash_map<std::string, std::unique_ptr<Topic>> topics_;
  int64_t failed_count_ = 0;
};

}  // namespace naru::services
