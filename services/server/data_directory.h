// The data directory as a whole: one process at a time, and a format that this program knows.
//
//   DATA/format     one line: "naru data directory, format 1"
//   DATA/lock       held by the process that serves it
//   DATA/metadata/  topics and identity (an index of its own)
//   DATA/store/     segments and their index (storage/FORMAT.md)
//   DATA/damaged-N/ stores that failed their checks while others had what they held (damaged_store.h)
//   DATA/salvaged   there from a salvage until the first start after it: logs may be missing
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "storage/base/files.h"

namespace naru::services {

class DataDirectory {
 public:
  // Makes the directory when it is missing. FAILED_PRECONDITION: another process holds it (named by its id);
  // INVALID_ARGUMENT: it is not empty and not a data directory, or of another format. `files` outlives the
  // object.
  static absl::StatusOr<DataDirectory> Open(const std::string& path, FileSystem& files);

  // As Open, for one that exists and that a salvage reads: a directory that cannot be written, and so not be
  // locked, will do.
  static absl::StatusOr<DataDirectory> OpenDamaged(const std::string& path, FileSystem& files);

  const std::string& path() const { return path_; }
  std::string metadata_path() const { return path_ + "/metadata"; }
  std::string store_path() const { return path_ + "/store"; }
  std::string damaged_store_path(int number) const { return path_ + "/damaged-" + std::to_string(number); }
  // What a salvage leaves for the next start.
  std::string salvaged_mark_path() const { return path_ + "/salvaged"; }

 private:
  DataDirectory(std::string path, std::unique_ptr<DirectoryLock> lock)
      : path_(std::move(path)), lock_(std::move(lock)) {}

  std::string path_;
  std::unique_ptr<DirectoryLock> lock_;
};

}  // namespace naru::services
