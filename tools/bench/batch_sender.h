// How one connection sends batches.
#pragma once

#include <cstdint>

#include "tools/bench/batch_pool.h"
#include "tools/bench/load.h"
#include "tools/bench/produce_load.h"

namespace naru::bench {

struct SenderTask {
  const ProduceLoad& load;
  const BatchPool& pool;
  const Window window;
  // Batches on the way.
  int depth = 1;
  // Among the senders of a run; spreads their partitions.
  int number = 0;
  // Its own, to stamp batches with; 0: they are not stamped.
  int64_t producer_id = 0;
};

class BatchSender {
 public:
  explicit BatchSender(const SenderTask& task) : task_(task), turn_(static_cast<uint64_t>(task.number)) {}
  virtual ~BatchSender() = default;

  // Sends one batch, meant for `intended_ns`. In a closed loop its end sends the next until the window is
  // over. Called by one thread; does not block.
  virtual void Send(int64_t intended_ns) = 0;
  // Waits until all is answered. Called once, after the last Send.
  virtual Tally Finish() = 0;

 protected:
  bool all_begun() const { return task_.load.batches > 0 && begun_ >= task_.load.batches; }
  // Whether the end of one batch is the beginning of another.
  bool SendsMore(int64_t now_ns) const {
    if (task_.load.rate > 0) return false;
    return task_.load.batches > 0 ? !all_begun() : now_ns < task_.window.end_ns;
  }
  // Batches that may wait unsent in an open loop before they count as failed.
  size_t backlog_max() const { return 100'000; }
  ProduceTarget NextTarget() {
    ++turn_;
    const auto partition = static_cast<int32_t>(turn_ % static_cast<uint64_t>(task_.load.partitions));
    return {task_.load.topic, partition, task_.load.acks};
  }
  void Count(Tally& tally, int64_t intended_ns, int64_t now_ns) const {
    if (!task_.window.Contains(now_ns)) return;
    tally.records += task_.pool.records_per_batch();
    tally.payload_bytes += task_.pool.payload_bytes();
    tally.latency.Record(now_ns - intended_ns);
  }

  const SenderTask task_;
  uint64_t turn_;
  // Batches taken on, sent or not.
  int64_t begun_ = 0;
};

}  // namespace naru::bench
