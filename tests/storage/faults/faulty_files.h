// A FileSystem over a CrashableDisk that fails when told to: the power goes at an operation, a disk is full,
// a call gets EIO, bits flip. Everything is counted, so that a test can let each operation of a run be the
// one that fails. Thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "storage/base/files.h"
#include "tests/storage/faults/crashable_disk.h"

namespace naru::testing {

// Something that changes the disk or makes changes durable.
struct DiskOperation {
  enum class Kind { kWrite, kResize, kSync, kCreate, kRemove, kRename, kSyncDirectory };
  Kind kind = Kind::kWrite;
  std::string path;
  uint64_t position = 0;
  uint64_t bytes = 0;
  int64_t number = 0;  // from 1
};
std::string ToString(const DiskOperation& operation);

class FaultyFiles final : public FileSystem {
 public:
  FaultyFiles() = default;
  ~FaultyFiles() override = default;

  // --- Faults.
  // The power goes during operation `number`: a write or a change of names may have happened in part, a sync
  // has not. From then on every call fails, until Restore.
  void CutPowerAt(int64_t number);
  void CutPower();
  bool power_is_off() const;
  // The power is back, and with it what survived. Files and locks held from before stay dead.
  void Restore(const Survival& survival);
  // The process died, the machine did not: what was written is still there, and still not durable. As Restore
  // else.
  void Revive();
  // Operation `number` fails with EIO and is not done; later ones succeed.
  void FailAt(int64_t number);
  // Reads of `path` (of all files, when empty) fail with EIO; nullopt: no more.
  void FailReads(std::optional<std::string> path);
  // Writes and resizes that would use more fail with ENOSPC. Also what Space says; of it, nothing is used
  // outside.
  void SetCapacity(uint64_t bytes);
  // `directory` is one of the real disk, without faults: a database that writes its files itself lives there.
  // What is renamed from it stays on the real disk.
  void SetRealDirectory(std::string directory);
  // Called before each operation, without locks, by the thread that does it.
  void SetHook(std::function<void(const DiskOperation&)> hook);

  // --- Looking at the disk and damaging it, what is on it durably too.
  int64_t operations() const;
  std::optional<DiskOperation> last_operation() const;
  std::string Contents(const std::string& path) const;
  void SetContents(const std::string& path, std::string contents);
  void FlipBit(const std::string& path, uint64_t byte, int bit);
  void ZeroOut(const std::string& path, uint64_t position, uint64_t length);

  // --- FileSystem.
  absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path) override;
  absl::StatusOr<std::unique_ptr<File>> OpenForRead(const std::string& path) override;
  absl::StatusOr<std::vector<std::string>> List(const std::string& directory) override;
  bool Exists(const std::string& path) override;
  absl::Status MakeDirectory(const std::string& path) override;
  absl::Status Remove(const std::string& path) override;
  absl::Status RemoveTree(const std::string& path) override;
  absl::Status Rename(const std::string& from, const std::string& to) override;
  absl::Status SyncDirectory(const std::string& path) override;
  absl::StatusOr<DiskSpace> Space(const std::string& path) override;
  absl::StatusOr<std::unique_ptr<DirectoryLock>> LockDirectory(const std::string& path) override;

 private:
  class OpenFile;
  class Lock;

  // What becomes of an operation: OK: do it; `partly`: do it, but then the power is gone.
  absl::Status Begin(DiskOperation operation, bool& partly) ABSL_LOCKS_EXCLUDED(mutex_);
  void BeginAnew() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status CheckPower(const std::string& path) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  static absl::Status PowerIsOff(const std::string& path);
  bool IsReal(const std::string& path) const ABSL_LOCKS_EXCLUDED(mutex_);

  mutable absl::Mutex mutex_;
  CrashableDisk disk_ ABSL_GUARDED_BY(mutex_);
  bool power_is_off_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t generation_ ABSL_GUARDED_BY(mutex_) = 1;  // of the power: files opened in an older one are dead
  int64_t operations_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t cut_at_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t fail_at_ ABSL_GUARDED_BY(mutex_) = 0;
  std::optional<std::string> fail_reads_ ABSL_GUARDED_BY(mutex_);
  uint64_t capacity_ ABSL_GUARDED_BY(mutex_) = uint64_t{1} << 40;
  std::optional<DiskOperation> last_operation_ ABSL_GUARDED_BY(mutex_);
  std::string real_directory_ ABSL_GUARDED_BY(mutex_);
  std::set<std::string> locked_ ABSL_GUARDED_BY(mutex_);
  std::function<void(const DiskOperation&)> hook_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace naru::testing
