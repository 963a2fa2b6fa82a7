// The file layer: all that the store asks of an operating system, as an interface, so that tests can drop,
// tear, reorder and corrupt what was not synced, fill the disk up and fail. Paths are absolute or relative to
// the working directory; names returned by List are relative to the directory listed.
#pragma once

#include <sys/uio.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace naru {

// An open file. Reads may run on any thread, also beside one write; writes and syncs come from one thread at
// a time each (one appender, one syncer). Closes on destruction.
class File {
 public:
  virtual ~File() = default;
  // Writes all of `pieces` at `position`, or an error (the caller then ends the process: see correctness
  // notes in storage/FORMAT.md). The pieces are not changed.
  virtual absl::Status Write(uint64_t position, std::span<const iovec> pieces) = 0;
  // Reads up to `length` bytes; fewer only at the end of the file.
  virtual absl::StatusOr<size_t> Read(uint64_t position, char* to, size_t length) const = 0;
  // Data, and what is needed to read it back, on stable storage (fdatasync).
  virtual absl::Status SyncData() = 0;
  // Data and all metadata (fsync).
  virtual absl::Status Sync() = 0;
  // Reserves real disk blocks for [0, length) and extends the size to it; new bytes read as zeros.
  virtual absl::Status Preallocate(uint64_t length) = 0;
  // Cuts or extends to `length`.
  virtual absl::Status Truncate(uint64_t length) = 0;
  virtual absl::StatusOr<uint64_t> Size() const = 0;
  // A position at or behind `position`, between which and it there are only zeros that nobody wrote, as far
  // as the file system knows without reading; the size when nothing else follows.
  virtual absl::StatusOr<uint64_t> NextData(uint64_t position) const { return position; }
  // Hints, best effort: start writing [position, +length) back / drop it from the page cache.
  virtual void StartWriteback(uint64_t position, uint64_t length) {}
  virtual void DropCache(uint64_t position, uint64_t length) const {}
};

// Held while the object lives; released by the operating system when the process dies.
class DirectoryLock {
 public:
  virtual ~DirectoryLock() = default;
};

struct DiskSpace {
  uint64_t total_bytes = 0;
  uint64_t available_bytes = 0;
};

// Thread-safe.
class FileSystem {
 public:
  virtual ~FileSystem() = default;
  // Read and write, created when missing.
  virtual absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path) = 0;
  // Read only; NOT_FOUND when missing.
  virtual absl::StatusOr<std::unique_ptr<File>> OpenForRead(const std::string& path) = 0;
  // Names in `directory`, sorted.
  virtual absl::StatusOr<std::vector<std::string>> List(const std::string& directory) = 0;
  virtual bool Exists(const std::string& path) = 0;
  // Including missing parents; fine when it exists.
  virtual absl::Status MakeDirectory(const std::string& path) = 0;
  virtual absl::Status Remove(const std::string& path) = 0;
  virtual absl::Status RemoveTree(const std::string& path) = 0;
  virtual absl::Status Rename(const std::string& from, const std::string& to) = 0;
  // Makes creations, removals and renames in `path` durable.
  virtual absl::Status SyncDirectory(const std::string& path) = 0;
  virtual absl::StatusOr<DiskSpace> Space(const std::string& path) = 0;
  // FAILED_PRECONDITION, naming the holder's process id, when another process (or object) holds it.
  virtual absl::StatusOr<std::unique_ptr<DirectoryLock>> LockDirectory(const std::string& path) = 0;
};

// The operating system's. Lives for ever.
FileSystem& PosixFileSystem();

// All of a small file; RESOURCE_EXHAUSTED above `bytes_max`.
absl::StatusOr<std::string> ReadWholeFile(FileSystem& files, const std::string& path,
                                          size_t bytes_max = 16 << 20);
// Replaces `path` atomically: written beside it, synced, renamed, directory synced.
absl::Status ReplaceFile(FileSystem& files, const std::string& path, std::string_view contents);

}  // namespace naru
