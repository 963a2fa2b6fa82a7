#include "storage/index/index.h"

#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/listener.h>
#include <rocksdb/options.h>
#include <rocksdb/slice_transform.h>
#include <rocksdb/table.h>
#include <rocksdb/write_batch.h>

#include <algorithm>
#include <utility>

#include "storage/base/coding.h"
#include "storage/base/status.h"
#include "storage/index/index_codec.h"
#include "storage/index/rocks_logger.h"
#include "storage/index/rocks_status.h"

namespace naru {
namespace {

namespace codec = index_codec;

// Beside the database's own files, which it leaves alone: there when something in them could not be read.
std::string DamageNote(const std::string& directory) { return directory + "/DAMAGED"; }

void WriteDamageNote(const std::string& directory, std::string_view what) {
  // Without it, the next one to meet the damage tries again.
  (void)rocksdb::WriteStringToFile(rocksdb::Env::Default(), ToSlice(what), DamageNote(directory),
                                   /*should_sync=*/true);
}

class FatalListener final : public rocksdb::EventListener {
 public:
  FatalListener(std::string directory, std::function<void(std::string_view)> on_fatal)
      : directory_(std::move(directory)), on_fatal_(std::move(on_fatal)) {}
  void OnBackgroundError(rocksdb::BackgroundErrorReason, rocksdb::Status* error) override {
    // A compaction met it, and would meet it after every start.
    if (error->IsCorruption()) WriteDamageNote(directory_, error->ToString());
    if (on_fatal_) on_fatal_(absl::StrCat("the index failed in the background: ", error->ToString()));
  }

 private:
  const std::string directory_;
  const std::function<void(std::string_view)> on_fatal_;
};

rocksdb::Options DatabaseOptions(const Index::Options& given) {
  const auto memory = static_cast<size_t>(given.memory_bytes);
  rocksdb::Options options;
  options.create_if_missing = true;
  options.paranoid_checks = true;
  options.max_bgerror_resume_count = 0;
  // A kill must not be told apart from a crash: Flush alone makes checkpoints.
  options.avoid_flush_during_shutdown = true;
  options.write_buffer_size = std::max<size_t>(memory / 4, 1 << 20);
  options.max_write_buffer_number = 2;
  // One thread writes, and each log's runs rise: an insert goes on from where the last of that log was.
  options.allow_concurrent_memtable_write = false;
  options.memtable_insert_with_hint_prefix_extractor.reset(
      rocksdb::NewFixedPrefixTransform(codec::Key(codec::kRun, 0).size()));
  options.max_background_jobs = 2;
  options.max_open_files = 256;
  static NullEventLog nowhere;
  options.info_log =
      std::make_shared<RocksLogger>(given.directory, given.events != nullptr ? *given.events : nowhere);
  options.bytes_per_sync = 1 << 20;
  options.level_compaction_dynamic_level_bytes = true;
  options.listeners.push_back(std::make_shared<FatalListener>(given.directory, given.on_fatal));
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = rocksdb::NewLRUCache(std::max<size_t>(memory / 2, 1 << 20));
  table.cache_index_and_filter_blocks = true;
  table.pin_l0_filter_and_index_blocks_in_cache = true;
  table.format_version = 5;
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return options;
}

rocksdb::WriteOptions WithoutLog() {
  rocksdb::WriteOptions options;
  options.disableWAL = true;
  return options;
}

rocksdb::ReadOptions InOrder() {
  rocksdb::ReadOptions options;
  options.total_order_seek = true;
  return options;
}

absl::Status Damaged(const std::string& directory, std::string_view what) {
  return absl::DataLossError(absl::StrCat(directory, ": ", what));
}

// Whether an error of opening says that the files are not what they should be, rather than that the system
// fails.
bool SaysDamaged(const rocksdb::Status& status) {
  if (status.IsCorruption() || status.IsInvalidArgument() || status.IsNotFound()) return true;
  const std::string text = status.ToString();
  return status.IsIOError() && text.find("No such file") != std::string::npos;
}

absl::Status VerifySmall(rocksdb::DB& db, const Index::Options& options) {
  uint64_t bytes = 0;
  if (!db.GetIntProperty(rocksdb::DB::Properties::kTotalSstFilesSize, &bytes) ||
      bytes > static_cast<uint64_t>(options.verify_bytes_max)) {
    return absl::OkStatus();
  }
  return FromRocks(db.VerifyChecksum(), absl::StrCat("verify ", options.directory));
}

absl::Status CheckIdentity(rocksdb::DB& db, const Index::Options& options) {
  std::string value;
  rocksdb::Status got = db.Get(rocksdb::ReadOptions(), codec::Key(codec::kRebuilding), &value);
  if (got.ok()) return Damaged(options.directory, "was not rebuilt to the end");
  if (!got.IsNotFound()) return FromRocks(got, absl::StrCat("read ", options.directory));
  got = db.Get(rocksdb::ReadOptions(), codec::Key(codec::kFormat), &value);
  std::string expected;
  AppendLittle<uint32_t>(expected, codec::kIndexVersion);
  AppendLittle<uint32_t>(expected, options.store_salt);
  if (got.IsNotFound()) {
    got = db.Put(WithoutLog(), codec::Key(codec::kFormat), expected);
    return FromRocks(got, absl::StrCat("write ", options.directory));
  }
  if (!got.ok()) return FromRocks(got, absl::StrCat("read ", options.directory));
  if (options.any_store) return absl::OkStatus();
  if (value != expected) return Damaged(options.directory, "belongs to another store or another version");
  return absl::OkStatus();
}

}  // namespace

IndexUpdate::IndexUpdate() : batch_(std::make_unique<rocksdb::WriteBatch>()) {}
IndexUpdate::~IndexUpdate() = default;
IndexUpdate::IndexUpdate(IndexUpdate&&) noexcept = default;
IndexUpdate& IndexUpdate::operator=(IndexUpdate&&) noexcept = default;

// Adding to a batch in memory fails only for column families and sizes that do not occur here.
void IndexUpdate::PutRun(LogId log, const Run& run) {
  std::string value;
  if (run.bytes_gone == 0) {
    EncodeRun(run, value);
  } else {
    EncodeRewrittenRun(run, value);
  }
  (void)batch_->Put(codec::RunKey(log, run.base), value);
}
void IndexUpdate::DeleteRun(LogId log, Offset base) { (void)batch_->Delete(codec::RunKey(log, base)); }
void IndexUpdate::PutLog(LogId log, std::string_view head) {
  (void)batch_->Put(codec::Key(codec::kLog, log.value()), ToSlice(head));
}
void IndexUpdate::DeleteLog(LogId log) { (void)batch_->Delete(codec::Key(codec::kLog, log.value())); }
void IndexUpdate::PutProducer(LogId log, int64_t producer_id, std::string_view entry) {
  (void)batch_->Put(codec::ProducerKey(log, producer_id), ToSlice(entry));
}
void IndexUpdate::DeleteProducer(LogId log, int64_t producer_id) {
  (void)batch_->Delete(codec::ProducerKey(log, producer_id));
}
void IndexUpdate::PutSegment(const SegmentRow& row) {
  (void)batch_->Put(codec::Key(codec::kSegment, row.id.value()), codec::EncodeSegmentRow(row));
}
void IndexUpdate::DeleteSegment(SegmentId id) {
  (void)batch_->Delete(codec::Key(codec::kSegment, id.value()));
}
void IndexUpdate::PutDead(LogId first, LogId last) {
  std::string value;
  AppendLittle<uint64_t>(value, last.value());
  (void)batch_->Put(codec::Key(codec::kDead, first.value()), value);
}
void IndexUpdate::DeleteDead(LogId first) { (void)batch_->Delete(codec::Key(codec::kDead, first.value())); }
void IndexUpdate::PutDoomed(LogId log) { (void)batch_->Put(codec::Key(codec::kDoomed, log.value()), ""); }
void IndexUpdate::DeleteDoomed(LogId log) { (void)batch_->Delete(codec::Key(codec::kDoomed, log.value())); }
void IndexUpdate::PutSnapshot(Sequence sequence) {
  std::string value;
  AppendLittle<uint64_t>(value, sequence.value());
  (void)batch_->Put(codec::Key(codec::kSnapshot), value);
}
void IndexUpdate::SetApplied(const AppliedPosition& position) {
  (void)batch_->Put(codec::Key(codec::kApplied), codec::EncodeApplied(position));
}
size_t IndexUpdate::bytes() const { return batch_->GetDataSize(); }
bool IndexUpdate::empty() const { return batch_->Count() == 0; }

Index::Index(std::string directory, std::unique_ptr<rocksdb::DB> db)
    : directory_(std::move(directory)), db_(std::move(db)) {}
Index::~Index() = default;

absl::StatusOr<std::unique_ptr<Index>> Index::Open(const Options& options) {
  if (rocksdb::Env::Default()->FileExists(DamageNote(options.directory)).ok()) {
    return Damaged(options.directory, "was found damaged when it was in use");
  }
  rocksdb::DB* raw = nullptr;
  // Otherwise an error is written of its being missing. Where it cannot be made, opening says so.
  (void)rocksdb::Env::Default()->CreateDirIfMissing(options.directory);
  const rocksdb::Status opened = rocksdb::DB::Open(DatabaseOptions(options), options.directory, &raw);
  if (!opened.ok()) {
    if (SaysDamaged(opened)) return Damaged(options.directory, opened.ToString());
    return FromRocks(opened, absl::StrCat("open ", options.directory));
  }
  std::unique_ptr<rocksdb::DB> db(raw);
  NARU_RETURN_IF_ERROR(VerifySmall(*db, options));
  NARU_RETURN_IF_ERROR(CheckIdentity(*db, options));
  return std::unique_ptr<Index>(new Index(options.directory, std::move(db)));
}

absl::Status Index::Commit(IndexUpdate update) {
  return FromRocks(db_->Write(WithoutLog(), update.batch_.get()), absl::StrCat("commit to ", directory_));
}

absl::Status Index::Flush() {
  rocksdb::FlushOptions options;
  options.wait = true;
  options.allow_write_stall = true;
  return FromRocks(db_->Flush(options), absl::StrCat("flush ", directory_));
}

absl::Status Index::SetRebuilding(bool rebuilding) {
  const std::string key = codec::Key(codec::kRebuilding);
  const rocksdb::Status written =
      rebuilding ? db_->Put(WithoutLog(), key, "") : db_->Delete(WithoutLog(), key);
  NARU_RETURN_IF_ERROR(FromRocks(written, absl::StrCat("write ", directory_)));
  return Flush();
}

void Index::NoteDamage(std::string_view what) const {
  if (!damaged_.exchange(true)) WriteDamageNote(directory_, what);
}

absl::Status Index::FromRead(const rocksdb::Status& status) const {
  if (status.IsCorruption()) NoteDamage(status.ToString());
  return FromRocks(status, absl::StrCat("read ", directory_));
}

absl::Status Index::Malformed(std::string_view what) const {
  NoteDamage(what);
  return Damaged(directory_, what);
}

absl::StatusOr<std::string> Index::Get(std::string_view key) const {
  std::string value;
  const rocksdb::Status got = db_->Get(rocksdb::ReadOptions(), ToSlice(key), &value);
  if (got.IsNotFound()) return std::string();
  if (!got.ok()) return FromRead(got);
  return value;
}

absl::StatusOr<AppliedPosition> Index::Applied() const {
  NARU_ASSIGN_OR_RETURN(const std::string value, Get(codec::Key(codec::kApplied)));
  if (value.empty()) return AppliedPosition();
  const auto position = codec::DecodeApplied(value);
  if (!position) return Malformed("the applied position is malformed");
  return *position;
}

absl::StatusOr<Sequence> Index::Snapshot() const {
  NARU_ASSIGN_OR_RETURN(const std::string value, Get(codec::Key(codec::kSnapshot)));
  return Sequence(value.size() == sizeof(uint64_t) ? GetLittle<uint64_t>(value.data()) : 0);
}

absl::StatusOr<std::optional<Run>> Index::RunAt(LogId log, Offset base) const {
  const std::string key = codec::RunKey(log, base);
  NARU_ASSIGN_OR_RETURN(const std::string value, Get(key));
  if (value.empty()) return std::nullopt;
  const auto run = codec::DecodeRunRow(key, value);
  if (!run) return Malformed("a run's row is malformed");
  return *run;
}

absl::StatusOr<std::optional<Run>> Index::FindRun(LogId log, Offset offset) const {
  std::optional<Run> found;
  NARU_RETURN_IF_ERROR(VisitRunsBackwards(log, offset + 1, [&](const Run& run) {
    found = run;
    return false;
  }));
  return found;
}

absl::Status Index::VisitRunsBackwards(LogId log, Offset offset,
                                       const std::function<bool(const Run&)>& visit) const {
  const std::string low = codec::RunKey(log, Offset(INT64_MIN));
  const rocksdb::Slice lower(low);
  // Without bounds it would go on through what other logs and tables had there and was deleted.
  rocksdb::ReadOptions options = InOrder();
  options.iterate_lower_bound = &lower;
  std::unique_ptr<rocksdb::Iterator> it(db_->NewIterator(options));
  for (it->SeekForPrev(codec::RunKey(log, offset - 1)); it->Valid(); it->Prev()) {
    const auto run = codec::DecodeRunRow(ToView(it->key()), ToView(it->value()));
    if (!run) return Malformed("a run's row is malformed");
    if (!visit(*run)) break;
  }
  return FromRead(it->status());
}

absl::StatusOr<std::vector<Run>> Index::RunsFrom(LogId log, Offset from, Offset end, size_t count) const {
  std::vector<Run> runs;
  if (count == 0) return runs;
  const std::string low = codec::RunKey(log, Offset(INT64_MIN));
  const std::string high = codec::RunKey(log, end);
  const rocksdb::Slice lower(low);
  const rocksdb::Slice upper(high);
  rocksdb::ReadOptions options = InOrder();
  options.iterate_lower_bound = &lower;
  options.iterate_upper_bound = &upper;
  std::unique_ptr<rocksdb::Iterator> it(db_->NewIterator(options));
  it->SeekForPrev(codec::RunKey(log, from));
  if (!it->status().ok()) return FromRead(it->status());
  if (!it->Valid()) it->Seek(codec::RunKey(log, from));
  for (; it->Valid() && runs.size() < count; it->Next()) {
    auto run = codec::DecodeRunRow(ToView(it->key()), ToView(it->value()));
    if (!run) return Malformed("a run's row is malformed");
    if (run->next > from) runs.push_back(*run);
  }
  NARU_RETURN_IF_ERROR(FromRead(it->status()));
  return runs;
}

absl::Status Index::Visit(
    char table, const std::function<absl::Status(std::string_view, std::string_view)>& visit) const {
  std::unique_ptr<rocksdb::Iterator> it(db_->NewIterator(InOrder()));
  const rocksdb::Slice prefix(&table, 1);
  for (it->Seek(prefix); it->Valid() && it->key().starts_with(prefix); it->Next()) {
    NARU_RETURN_IF_ERROR(visit(ToView(it->key()), ToView(it->value())));
  }
  return FromRead(it->status());
}

absl::Status Index::VisitLogs(const std::function<absl::Status(LogId, std::string_view)>& visit) const {
  return Visit(codec::kLog, [&](std::string_view key, std::string_view value) {
    return visit(LogId(codec::IdOf(key)), value);
  });
}

absl::Status Index::VisitProducers(const std::function<absl::Status(LogId, std::string_view)>& visit) const {
  return Visit(codec::kProducer, [&](std::string_view key, std::string_view value) {
    return visit(LogId(codec::IdOf(key)), value);
  });
}

absl::StatusOr<std::vector<SegmentRow>> Index::Segments() const {
  std::vector<SegmentRow> rows;
  NARU_RETURN_IF_ERROR(Visit(codec::kSegment, [&](std::string_view key, std::string_view value) {
    const auto row = codec::DecodeSegmentRow(SegmentId(codec::IdOf(key)), value);
    if (!row) return Malformed("a segment's row is malformed");
    rows.push_back(*row);
    return absl::OkStatus();
  }));
  return rows;
}

absl::Status Index::VisitDead(const std::function<void(LogId, LogId)>& visit) const {
  return Visit(codec::kDead, [&](std::string_view key, std::string_view value) {
    if (value.size() != sizeof(uint64_t)) return Malformed("a row of dead logs is malformed");
    visit(LogId(codec::IdOf(key)), LogId(GetLittle<uint64_t>(value.data())));
    return absl::OkStatus();
  });
}

absl::StatusOr<std::vector<LogId>> Index::Doomed() const {
  std::vector<LogId> logs;
  NARU_RETURN_IF_ERROR(Visit(codec::kDoomed, [&](std::string_view key, std::string_view) {
    logs.push_back(LogId(codec::IdOf(key)));
    return absl::OkStatus();
  }));
  return logs;
}

absl::Status Index::VisitRuns(const std::function<absl::Status(LogId, const Run&)>& visit) const {
  return Visit(codec::kRun, [&](std::string_view key, std::string_view value) {
    const auto run = codec::DecodeRunRow(key, value);
    if (!run) return Malformed("a run's row is malformed");
    return visit(LogId(codec::IdOf(key)), *run);
  });
}

}  // namespace naru
