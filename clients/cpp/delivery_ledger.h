// A producer's accounts: which bytes its records hold until they are answered, which flush waits for which
// records; and the thread on which the application's delivery callbacks run.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string_view>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "clients/cpp/partition_queue.h"

namespace naru::client {

// Thread-safe. Bytes come back only after a record's callback has run, so callbacks that are slow slow the
// producer down instead of piling up.
class DeliveryLedger {
 public:
  // `options` outlive the ledger.
  explicit DeliveryLedger(const ProducerOptions& options);
  ~DeliveryLedger();
  DeliveryLedger(const DeliveryLedger&) = delete;
  DeliveryLedger& operator=(const DeliveryLedger&) = delete;

  // Takes room for one record of `bytes` and gives the generation it belongs to. Waits for room for at most
  // block_timeout, not at all on the callback thread; then RESOURCE_EXHAUSTED. FAILED_PRECONDITION after
  // Close. A record larger than the whole buffer is taken when the buffer is empty.
  absl::StatusOr<int64_t> Reserve(int64_t bytes);

  // A batch is finished: runs its records' callbacks on the callback thread, in the order of the calls.
  // `topic` outlives the ledger.
  void Deliver(std::string_view topic, PartitionId partition, PartitionQueue::Batch batch);

  // Ends the current generation. Later records belong to the next.
  int64_t EndGeneration();
  // Waits until every record up to `generation` is finished and its callback has run. The first failure since
  // the last Wait; DEADLINE_EXCEEDED when `deadline` comes first.
  absl::Status Wait(int64_t generation, absl::Time deadline);

  // Refuses later records.
  void Close();
  bool OnCallbackThread() const { return std::this_thread::get_id() == thread_id_; }

 private:
  struct Finished {
    std::string_view topic;
    PartitionId partition;
    PartitionQueue::Batch batch;
  };

  void Run();
  static void RunCallbacks(Finished& finished);
  bool HasRoom(int64_t bytes) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return closed_ || used_bytes_ == 0 || used_bytes_ + bytes <= options_.buffer_bytes_max;
  }

  const ProducerOptions& options_;
  absl::Mutex mutex_;
  int64_t used_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t generation_ ABSL_GUARDED_BY(mutex_) = 0;
  // Records not finished, by generation; no zeros.
  std::map<int64_t, int64_t> unfinished_ ABSL_GUARDED_BY(mutex_);
  absl::Status first_failure_ ABSL_GUARDED_BY(mutex_);
  std::deque<Finished> finished_ ABSL_GUARDED_BY(mutex_);
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
  std::thread::id thread_id_;
};

}  // namespace naru::client
