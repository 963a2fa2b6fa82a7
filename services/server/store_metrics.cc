#include "services/server/store_metrics.h"

namespace naru::services {
namespace {

void AddAppends(const StoreStats& s, MetricPage& page) {
  page.Counter("naru_store_appended_batches_total", "Batches appended.", s.appended_batches);
  page.Counter("naru_store_appended_records_total", "Records appended.", s.appended_records);
  page.Counter("naru_store_appended_bytes_total", "Bytes of the batches appended.", s.appended_bytes);
  page.Counter("naru_store_append_groups_total", "Writes that appended batches; each holds all that waited.",
               s.append_groups);
  page.Counter("naru_store_zeroed_bytes_total",
               "Bytes of zeros written ahead of small groups of batches, so that their fdatasync is short.",
               s.zeroed_bytes);
  page.Counter("naru_store_syncs_total", "Calls of fdatasync.", s.syncs);
  page.Counter("naru_store_sync_seconds_total", "Time in fdatasync.", s.sync_ns / 1e9);
  page.Gauge("naru_store_queue_used_bytes", "Bytes of batches that wait for the disk.", s.queue_used_bytes);
  page.Counter("naru_store_queue_refusals_total", "Appends refused because the store's queue was full.",
               s.queue_refusals);
  page.Counter("naru_store_full_refusals_total", "Appends refused because the disk was nearly full.",
               s.storage_full_refusals);
}

void AddReads(const StoreStats& s, MetricPage& page) {
  page.Counter("naru_store_read_batches_total", "Batches read.", s.read_batches);
  page.Counter("naru_store_read_bytes_total", "Bytes of the batches read.", s.read_bytes);
  page.Counter("naru_store_tail_cache_hits_total", "Reads answered from the tail cache.", s.tail_cache_hits);
  page.Counter("naru_store_tail_cache_misses_total", "Reads that needed index and segments.",
               s.tail_cache_misses);
  page.Gauge("naru_store_tail_cache_used_bytes", "Bytes of batches in the tail cache.",
             s.tail_cache_used_bytes);
}

void AddSpace(const StoreStats& s, const StoreOptions& options, MetricPage& page) {
  page.Gauge("naru_store_logs", "Partition logs in the store.", s.logs);
  page.Gauge("naru_store_producers",
             "Idempotent producers that partitions remember, each once per partition.", s.producers);
  page.Gauge("naru_store_segments", "Segment files.", s.segments);
  page.Gauge("naru_store_segment_bytes", "Bytes of segment files on disk.", s.segment_bytes);
  page.Gauge("naru_store_live_bytes", "Bytes of segment files that still count.", s.live_bytes);
  page.Gauge("naru_store_segment_size_bytes", "Size of a new segment file (--segment-bytes).",
             options.segment_bytes);
  page.Counter("naru_store_retention_moves_total", "Log starts moved by retention.", s.retention_moves);
  page.Counter("naru_store_segments_removed_total", "Segment files deleted.", s.segments_removed);
  page.Counter("naru_store_relocated_bytes_total", "Bytes copied to give space back.", s.relocated_bytes);
  page.Counter("naru_store_relocations_held_off_total",
               "Rounds that copied no (more) to give space back, because two further segments did not fit.",
               s.relocations_held_off);
  page.Gauge("naru_disk_available_bytes", "Bytes free on the data directory's disk.", s.disk_available_bytes);
  page.Gauge("naru_disk_size_bytes", "Size of the data directory's disk.", s.disk_total_bytes);
  page.Gauge("naru_disk_reserve_bytes", "Free bytes below which produces are refused (--disk-reserve).",
             options.disk_reserve_bytes);
  page.Gauge("naru_store_full", "1 while produces are refused because the disk is nearly full.",
             s.storage_full ? 1 : 0);
}

void AddCompaction(const CompactionStats& s, MetricPage& page) {
  page.Gauge("naru_compaction_logs", "Partition logs that are compacted by key.", s.logs);
  page.Gauge("naru_compaction_due_logs", "Of them, those dirty enough for a pass.", s.due_logs);
  page.Gauge("naru_compaction_dirty_ratio_max", "The greatest share of a log's bytes that is not compacted.",
             s.dirty_ratio_max);
  page.Counter("naru_compaction_passes_total", "Passes over a log that came to their end.", s.passes);
  page.Counter(
      "naru_compaction_passes_failed_total",
      "Passes given up because something could not be read; the log is left alone until the next start.",
      s.passes_failed);
  page.Counter("naru_compaction_passes_cut_total",
               "Passes that ended early because the keys' memory was full (--compaction-memory).",
               s.passes_cut_by_memory);
  page.Counter("naru_compaction_held_off_total",
               "Rounds without compaction, because two further segments did not fit on the disk.",
               s.rounds_held_off);
  page.Counter("naru_compaction_read_bytes_total", "Bytes that passes read.", s.read_bytes);
  page.Counter("naru_compaction_written_bytes_total", "Bytes written in place of others.", s.written_bytes);
  page.Counter("naru_compaction_given_back_bytes_total", "Bytes by which those others were larger.",
               s.given_back_bytes);
  page.Counter("naru_compaction_removed_records_total", "Records that were superseded, or tombstones.",
               s.records_left_out);
  page.Counter("naru_compaction_removed_tombstones_total", "Tombstones whose time was over.",
               s.tombstones_left_out);
  page.Gauge("naru_compaction_last_pass_timestamp_seconds", "When the last pass ended; 0: none has.",
             s.last_pass_ms / 1e3);
  page.Gauge("naru_compaction_last_pass_seconds", "How long it took.", s.last_pass_duration_ms / 1e3);
}

void AddCheckpoints(const StoreStats& s, const StoreOptions& options, MetricPage& page) {
  page.Counter("naru_store_checkpoints_total", "Flushes of the index.", s.checkpoints);
  page.Gauge("naru_store_since_checkpoint_bytes", "Bytes that a start after a crash would replay.",
             s.bytes_since_checkpoint);
  page.Gauge("naru_store_checkpoint_limit_bytes", "Bound of the bytes to replay (--checkpoint-bytes).",
             options.checkpoint_bytes);
  page.Gauge("naru_store_index_damaged",
             "1 when something in the index could not be read: the next start rebuilds it.",
             s.index_damaged ? 1 : 0);
  page.Gauge("naru_store_replayed_entries", "Entries replayed by the last start.", s.replayed_entries);
  page.Gauge("naru_store_replayed_bytes", "Bytes replayed by the last start.", s.replayed_bytes);
  page.Gauge("naru_store_torn_tail_bytes", "Bytes cut off the end by the last start.", s.torn_tail_bytes);
}

}  // namespace

void AddStoreMetrics(const StoreStats& stats, const StoreOptions& options, MetricPage& page) {
  AddAppends(stats, page);
  AddReads(stats, page);
  AddSpace(stats, options, page);
  AddCompaction(stats.compaction, page);
  AddCheckpoints(stats, options, page);
}

}  // namespace naru::services
