// What the store counts while it runs; StoreStats is made of them. Relaxed: each is right by itself.
#pragma once

#include <atomic>
#include <cstdint>

namespace naru {

struct StoreCounters {
  std::atomic<int64_t> appended_batches{0}, appended_records{0}, appended_bytes{0}, append_groups{0};
  std::atomic<int64_t> producers{0};  // as the last round of maintenance found them
  std::atomic<int64_t> zeroed_bytes{0}, syncs{0}, sync_ns{0};
  std::atomic<int64_t> read_batches{0}, read_bytes{0}, tail_cache_hits{0}, tail_cache_misses{0};
  std::atomic<int64_t> storage_full_refusals{0};
  std::atomic<bool> storage_full{false};
  std::atomic<int64_t> disk_available_bytes{0}, disk_total_bytes{0};
  std::atomic<int64_t> checkpoints{0};
  // Entries' bytes in the index's applied position and in its last checkpoint; since the start.
  std::atomic<int64_t> applied_bytes{0}, checkpointed_bytes{0};
  std::atomic<int64_t> retention_moves{0}, segments_removed{0}, relocated_bytes{0}, relocations_held_off{0};
  std::atomic<int64_t> compaction_logs{0}, compaction_due_logs{0};
  std::atomic<double> compaction_dirty_ratio_max{0};
  std::atomic<int64_t> compaction_passes{0}, compaction_passes_failed{0}, compaction_passes_cut{0};
  std::atomic<int64_t> compactions_held_off{0};
  std::atomic<int64_t> compaction_read_bytes{0}, compaction_written_bytes{0}, compaction_given_back_bytes{0};
  std::atomic<int64_t> compaction_records_left_out{0}, compaction_tombstones_left_out{0};
  std::atomic<int64_t> compaction_last_pass_ms{0}, compaction_last_duration_ms{0};
  int64_t replayed_entries = 0, replayed_bytes = 0, torn_tail_bytes = 0;
};

inline void Count(std::atomic<int64_t>& counter, int64_t by = 1) {
  counter.fetch_add(by, std::memory_order_relaxed);
}

}  // namespace naru
