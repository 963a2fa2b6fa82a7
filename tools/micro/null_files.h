// A file layer that costs nothing: writes are taken and forgotten, syncs are done at once, reads give zeros.
// What is left of a store's time on it is the store's own.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "storage/base/files.h"

namespace naru::micro {

// Names and sizes are kept, directories are not: every one is there. Thread-safe.
class NullFiles final : public FileSystem {
 public:
  absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path) override;
  absl::StatusOr<std::unique_ptr<File>> OpenForRead(const std::string& path) override;
  absl::StatusOr<std::vector<std::string>> List(const std::string& directory) override;
  bool Exists(const std::string& path) override;
  absl::Status MakeDirectory(const std::string& path) override { return absl::OkStatus(); }
  absl::Status Remove(const std::string& path) override;
  absl::Status RemoveTree(const std::string& path) override { return absl::OkStatus(); }
  absl::Status Rename(const std::string& from, const std::string& to) override;
  absl::Status SyncDirectory(const std::string& path) override { return absl::OkStatus(); }
  absl::StatusOr<DiskSpace> Space(const std::string& path) override;
  absl::StatusOr<std::unique_ptr<DirectoryLock>> LockDirectory(const std::string& path) override;

 private:
  using Size = std::atomic<uint64_t>;

  absl::Mutex mutex_;
  std::map<std::string, std::shared_ptr<Size>> sizes_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace naru::micro
