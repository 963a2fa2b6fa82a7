// A store's life: opened, recovered, started, stopped.
#include "storage/store/partition_store.h"

#include <utility>

#include "storage/base/status.h"
#include "storage/store/segment_store.h"

namespace naru {
namespace {

std::string ParentOf(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

// Makes a store's directory and those above it that are missing, and their names durable: a power cut would
// take the store with them otherwise.
absl::Status MakeStoreDirectory(FileSystem& files, const std::string& directory) {
  // Made last, so that it says that the rest was done.
  if (files.Exists(SegmentsDirectory(directory))) return absl::OkStatus();
  std::vector<std::string> holders = {ParentOf(directory)};
  while (!files.Exists(holders.back()) && ParentOf(holders.back()) != holders.back()) {
    holders.push_back(ParentOf(holders.back()));
  }
  const bool made = !files.Exists(directory);
  NARU_RETURN_IF_ERROR(files.MakeDirectory(directory));
  for (const std::string& holder : holders) {
    const absl::Status synced = files.SyncDirectory(holder);
    // Someone else made the directory and lets nobody look at where: that it lasts was theirs to see to.
    if (!synced.ok() && (made || !absl::IsPermissionDenied(synced))) return synced;
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<PartitionStore>> PartitionStore::Open(const StoreOptions& options,
                                                                     FileSystem& files, const Clock& clock,
                                                                     EventLog& events) {
  return SegmentStore::Open(options, files, clock, events);
}

SegmentStore::SegmentStore(const StoreOptions& options, FileSystem& files, const Clock& clock,
                           EventLog& events, std::unique_ptr<DirectoryLock> lock)
    : options_(options),
      files_(files),
      clock_(clock),
      events_(events),
      lock_(std::move(lock)),
      fatal_(options.on_fatal),
      queue_(options.queue_bytes_max),
      segments_(files, SegmentsDirectory(options.directory)),
      cache_(options.tail_cache_bytes) {}

absl::StatusOr<std::unique_ptr<SegmentStore>> SegmentStore::Open(const StoreOptions& options,
                                                                 FileSystem& files, const Clock& clock,
                                                                 EventLog& events) {
  NARU_RETURN_IF_ERROR(options.Validate());
  NARU_RETURN_IF_ERROR(MakeStoreDirectory(files, options.directory));
  NARU_ASSIGN_OR_RETURN(auto lock, files.LockDirectory(options.directory));
  NARU_RETURN_IF_ERROR(files.MakeDirectory(SegmentsDirectory(options.directory)));
  NARU_RETURN_IF_ERROR(files.SyncDirectory(options.directory));
  std::unique_ptr<SegmentStore> store(new SegmentStore(options, files, clock, events, std::move(lock)));
  NARU_RETURN_IF_ERROR(store->Recover());
  return store;
}

absl::Status SegmentStore::Recover() {
  const int64_t begin = clock_.MonotonicNs();
  Recovery recovery({options_, files_, clock_, events_, fatal_, segments_, segment_table_, logs_, counters_});
  NARU_RETURN_IF_ERROR(recovery.Run());
  index_ = std::move(recovery.index);
  fold_ = std::move(recovery.fold);
  reader_ = std::make_unique<RunReader>(segments_, recovery.salt);
  cuts_ = std::make_unique<LogCuts>(*index_, *reader_);
  segment_writer_ = std::make_unique<SegmentWriter>(segments_, clock_, recovery.salt,
                                                    static_cast<uint64_t>(options_.segment_bytes));
  Start(recovery);
  events_.Write(Severity::kInfo, "store_opened",
                {{"directory", options_.directory},
                 {"logs", logs_.size()},
                 {"segments", segments_.Ids().size()},
                 {"replayed_entries", counters_.replayed_entries},
                 {"replayed_bytes", counters_.replayed_bytes},
                 {"ms", (clock_.MonotonicNs() - begin) / 1'000'000}});
  return absl::OkStatus();
}

void SegmentStore::Start(const Recovery& recovery) {
  const Sequence durable = recovery.last_sequence;
  segment_writer_->Resume(recovery.tail, recovery.tail_version, recovery.tail_position);
  syncer_ = std::make_unique<Syncer>(
      Syncer::Parts{*index_, watches_, queue_, counters_, fatal_, clock_,
                    absl::Milliseconds(options_.background_sync_interval_ms), options_.inline_sync_bytes_max,
                    options_.kept_page_cache_bytes,
                    [this] {
                      const int64_t since = counters_.applied_bytes.load(std::memory_order_relaxed) -
                                            counters_.checkpointed_bytes.load(std::memory_order_relaxed);
                      if (since >= options_.checkpoint_bytes || segment_writer_->wants_next())
                        maintainer_->Wake();
                    }},
      durable);
  entry_writer_ = std::make_unique<EntryWriter>(
      EntryWriter::Parts{*segment_writer_, *fold_, *syncer_, cache_, counters_, fatal_}, durable);
  batches_ =
      std::make_unique<BatchGroup>(*entry_writer_, cache_, counters_, clock_, options_.producer_expiry_ms);
  cold_reader_ = std::make_unique<ColdReader>(*index_, *reader_, counters_, options_.reader_threads);
  appender_ = std::make_unique<Appender>(Appender::Parts{*entry_writer_, *batches_, *fold_, *syncer_,
                                                         watches_, cache_, logs_, segment_table_,
                                                         *segment_writer_, *cuts_, queue_, fatal_});
  maintainer_ = std::make_unique<Maintainer>(
      Maintainer::Parts{options_, files_, clock_, events_, *index_, *fold_, logs_, segment_table_, segments_,
                        *segment_writer_, *syncer_, *appender_, *cuts_, *reader_, counters_, fatal_});
}

SegmentStore::~SegmentStore() { Stop(); }

void SegmentStore::Stop() {
  absl::MutexLock lock(&stop_mutex_);
  if (stopped_) return;
  stopped_ = true;
  stopping_.store(true, std::memory_order_release);
  // Recovery may have failed before there was anything to stop.
  if (maintainer_ == nullptr) return;
  maintainer_->Stop();
  appender_->Stop();
  syncer_->Stop();
  cold_reader_->Stop();
  if (fatal_.raised()) return;
  if (const absl::Status flushed = index_->Flush(); !flushed.ok()) fatal_.Raise(flushed.ToString());
}

}  // namespace naru
