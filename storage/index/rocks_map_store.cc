#include "storage/index/rocks_map_store.h"

#include <rocksdb/db.h>
#include <rocksdb/options.h>
#include <rocksdb/write_batch.h>

#include <filesystem>
#include <system_error>
#include <utility>

#include "storage/index/rocks_logger.h"
#include "storage/index/rocks_status.h"

namespace naru {
namespace {

class RocksMapStore final : public OrderedMapStore {
 public:
  RocksMapStore(std::string directory, std::unique_ptr<rocksdb::DB> db)
      : directory_(std::move(directory)), db_(std::move(db)) {}

  absl::Status Write(const std::vector<Change>& changes) override {
    rocksdb::WriteBatch batch;
    for (const auto& [key, value] : changes) {
      rocksdb::Status put = value ? batch.Put(ToSlice(key), ToSlice(*value)) : batch.Delete(ToSlice(key));
      if (!put.ok()) return FromRocks(put, "collect metadata changes");
    }
    rocksdb::WriteOptions options;
    options.sync = true;
    return FromRocks(db_->Write(options, &batch), absl::StrCat("write metadata in ", directory_));
  }

  absl::StatusOr<std::optional<std::string>> Get(std::string_view key) const override {
    std::string value;
    const rocksdb::Status status = db_->Get(rocksdb::ReadOptions(), ToSlice(key), &value);
    if (status.IsNotFound()) return std::nullopt;
    if (!status.ok()) return FromRocks(status, absl::StrCat("read metadata in ", directory_));
    return value;
  }

  absl::Status Scan(std::string_view prefix,
                    const std::function<void(std::string_view, std::string_view)>& visit) const override {
    rocksdb::ReadOptions options;
    options.total_order_seek = true;
    std::unique_ptr<rocksdb::Iterator> it(db_->NewIterator(options));
    for (it->Seek(ToSlice(prefix)); it->Valid() && it->key().starts_with(ToSlice(prefix)); it->Next()) {
      visit(ToView(it->key()), ToView(it->value()));
    }
    return FromRocks(it->status(), absl::StrCat("scan metadata in ", directory_));
  }

 private:
  const std::string directory_;
  const std::unique_ptr<rocksdb::DB> db_;
};

rocksdb::Options MapOptions(const std::string& directory, EventLog& events) {
  rocksdb::Options options;
  options.create_if_missing = true;
  // Metadata is a few MiB at most.
  options.write_buffer_size = 4 << 20;
  options.max_background_jobs = 1;
  options.max_open_files = 64;
  options.info_log = std::make_shared<RocksLogger>(directory, events);
  options.recycle_log_file_num = 0;
  // A record that was synced must be there; one that was not may be torn at the end of the last log.
  options.wal_recovery_mode = rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords;
  options.paranoid_checks = true;
  options.max_bgerror_resume_count = 0;
  return options;
}

}  // namespace

absl::StatusOr<std::unique_ptr<OrderedMapStore>> OpenRocksMapStore(const std::string& directory,
                                                                   EventLog& events) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) return absl::InternalError(absl::StrCat("make directory ", directory, ": ", error.message()));
  rocksdb::DB* db = nullptr;
  const rocksdb::Status status = rocksdb::DB::Open(MapOptions(directory, events), directory, &db);
  if (status.IsIOError() && status.ToString().find("lock") != std::string::npos) {
    return absl::FailedPreconditionError(
        absl::StrCat("another process holds the metadata in ", directory, ": ", status.ToString()));
  }
  if (!status.ok()) return FromRocks(status, absl::StrCat("open metadata in ", directory));
  return std::make_unique<RocksMapStore>(directory, std::unique_ptr<rocksdb::DB>(db));
}

}  // namespace naru
