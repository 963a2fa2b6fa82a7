// The operating system's files, with calls that a test can look at and hold up, and as much room as it says.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "storage/base/files.h"
#include "storage/base/status.h"

namespace naru::testing {

struct FileCall {
  enum class Kind { kOpen, kRead, kWrite, kSync, kDropCache };
  Kind kind = Kind::kRead;
  uint64_t position = 0;
  uint64_t bytes = 0;
};

// A call that is held up, once it comes.
class HeldCall {
 public:
  // False: it did not come within a minute.
  bool Wait() { return come_.WaitForNotificationWithTimeout(absl::Minutes(1)); }
  void Release() {
    if (!released_.exchange(true)) go_on_.Notify();
  }
  void Pass() {
    come_.Notify();
    go_on_.WaitForNotification();
  }

 private:
  absl::Notification come_;
  absl::Notification go_on_;
  std::atomic<bool> released_{false};
};

class HookedFiles final : public FileSystem {
 public:
  // Called by the thread that makes the call, before it, also by several at once.
  void SetHook(std::function<void(const FileCall&)> hook) {
    absl::MutexLock lock(&mutex_);
    hook_ = std::make_shared<std::function<void(const FileCall&)>>(std::move(hook));
  }
  // Holds up the next call that is `wanted`, and no other.
  std::shared_ptr<HeldCall> Hold(std::function<bool(const FileCall&)> wanted) {
    auto held = std::make_shared<HeldCall>();
    absl::MutexLock lock(&mutex_);
    wanted_.emplace_back(std::move(wanted), held);
    all_held_.push_back(held);
    return held;
  }
  // Lets everything go on, now and later.
  void Release() {
    absl::MutexLock lock(&mutex_);
    hook_ = nullptr;
    wanted_.clear();
    for (const auto& held : all_held_) held->Release();
  }
  void SetAvailable(std::optional<uint64_t> bytes) {
    absl::MutexLock lock(&mutex_);
    available_ = bytes;
  }

  absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path) override {
    Note({FileCall::Kind::kOpen});
    return Hooked(files_.Open(path));
  }
  absl::StatusOr<std::unique_ptr<File>> OpenForRead(const std::string& path) override {
    return Hooked(files_.OpenForRead(path));
  }
  absl::StatusOr<std::vector<std::string>> List(const std::string& path) override {
    return files_.List(path);
  }
  bool Exists(const std::string& path) override { return files_.Exists(path); }
  absl::Status MakeDirectory(const std::string& path) override { return files_.MakeDirectory(path); }
  absl::Status Remove(const std::string& path) override { return files_.Remove(path); }
  absl::Status RemoveTree(const std::string& path) override { return files_.RemoveTree(path); }
  absl::Status Rename(const std::string& from, const std::string& to) override {
    return files_.Rename(from, to);
  }
  absl::Status SyncDirectory(const std::string& path) override { return files_.SyncDirectory(path); }
  absl::StatusOr<DiskSpace> Space(const std::string& path) override {
    NARU_ASSIGN_OR_RETURN(DiskSpace space, files_.Space(path));
    absl::MutexLock lock(&mutex_);
    space.available_bytes = available_.value_or(space.available_bytes);
    return space;
  }
  absl::StatusOr<std::unique_ptr<DirectoryLock>> LockDirectory(const std::string& path) override {
    return files_.LockDirectory(path);
  }

 private:
  class HookedFile final : public File {
   public:
    HookedFile(std::unique_ptr<File> file, HookedFiles& files) : file_(std::move(file)), files_(files) {}
    absl::Status Write(uint64_t position, std::span<const iovec> pieces) override {
      uint64_t bytes = 0;
      for (const iovec& piece : pieces) bytes += piece.iov_len;
      files_.Note({FileCall::Kind::kWrite, position, bytes});
      return file_->Write(position, pieces);
    }
    absl::StatusOr<size_t> Read(uint64_t position, char* to, size_t length) const override {
      files_.Note({FileCall::Kind::kRead, position, length});
      return file_->Read(position, to, length);
    }
    absl::Status SyncData() override {
      files_.Note({FileCall::Kind::kSync});
      return file_->SyncData();
    }
    absl::Status Sync() override { return file_->Sync(); }
    absl::Status Preallocate(uint64_t length) override { return file_->Preallocate(length); }
    absl::Status Truncate(uint64_t length) override { return file_->Truncate(length); }
    absl::StatusOr<uint64_t> Size() const override { return file_->Size(); }
    absl::StatusOr<uint64_t> NextData(uint64_t position) const override { return file_->NextData(position); }
    void DropCache(uint64_t position, uint64_t length) const override {
      files_.Note({FileCall::Kind::kDropCache, position, length});
      file_->DropCache(position, length);
    }

   private:
    std::unique_ptr<File> file_;
    HookedFiles& files_;
  };

  absl::StatusOr<std::unique_ptr<File>> Hooked(absl::StatusOr<std::unique_ptr<File>> file) {
    if (!file.ok()) return file.status();
    return std::make_unique<HookedFile>(*std::move(file), *this);
  }

  void Note(const FileCall& call) {
    std::shared_ptr<std::function<void(const FileCall&)>> hook;
    std::shared_ptr<HeldCall> held;
    {
      absl::MutexLock lock(&mutex_);
      hook = hook_;
      for (auto at = wanted_.begin(); at != wanted_.end(); ++at) {
        if (!at->first(call)) continue;
        held = at->second;
        wanted_.erase(at);
        break;
      }
    }
    if (hook != nullptr) (*hook)(call);
    if (held != nullptr) held->Pass();
  }

  FileSystem& files_ = PosixFileSystem();
  absl::Mutex mutex_;
  std::shared_ptr<std::function<void(const FileCall&)>> hook_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::pair<std::function<bool(const FileCall&)>, std::shared_ptr<HeldCall>>> wanted_
      ABSL_GUARDED_BY(mutex_);
  std::vector<std::shared_ptr<HeldCall>> all_held_ ABSL_GUARDED_BY(mutex_);
  std::optional<uint64_t> available_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace naru::testing
