// Producer ids, which are given out once in a cluster and never again, also across restarts: they are
// reserved in blocks, durably, and given out of the block in memory, so that most producers cost no write.
// What is left of a block when the process ends is lost, and nobody misses it.
#pragma once

#include <cstdint>
#include <optional>

namespace naru::cluster {

// Ids that were reserved and not given out yet. No IO; not thread-safe: belongs to the coordinator's thread.
class ProducerIds {
 public:
  static constexpr int64_t kBlockIds = 1'000;

  // `unreserved`: the first id that was never reserved, at least 1.
  explicit ProducerIds(int64_t unreserved) : next_(unreserved), end_(unreserved) {}

  // Where the next block ends: the first id that is not reserved once the block is.
  int64_t NextBlockEnd() const { return end_ + kBlockIds; }
  // The block up to `end` is reserved, durably, for whoever owns this.
  void BlockReserved(int64_t end);

  // The next id; nothing: a block must be reserved first.
  std::optional<int64_t> Take();
  // An id that was given out, before this process or by it. (Or one that a process took with it when it
  // ended.)
  bool WasGiven(int64_t producer_id) const { return producer_id >= 1 && producer_id < next_; }

 private:
  int64_t next_;
  int64_t end_;
};

}  // namespace naru::cluster
