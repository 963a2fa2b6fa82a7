// The operating system's files, whose syncs a test can hold up.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "storage/base/files.h"
#include "storage/base/status.h"

namespace naru::testing {

class SyncGate {
 public:
  void Hold(bool hold) {
    absl::MutexLock lock(&mutex_);
    held_ = hold;
  }
  void Pass() {
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(
        +[](bool* held) { return !*held; }, &held_));
  }

 private:
  absl::Mutex mutex_;
  bool held_ ABSL_GUARDED_BY(mutex_) = false;
};

class GatedFiles final : public FileSystem {
 public:
  explicit GatedFiles(FileSystem& files) : files_(files) {}
  SyncGate& gate() { return gate_; }

  absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path) override {
    NARU_ASSIGN_OR_RETURN(auto file, files_.Open(path));
    return std::make_unique<GatedFile>(std::move(file), gate_);
  }
  absl::StatusOr<std::unique_ptr<File>> OpenForRead(const std::string& path) override {
    return files_.OpenForRead(path);
  }
  absl::StatusOr<std::vector<std::string>> List(const std::string& directory) override {
    return files_.List(directory);
  }
  bool Exists(const std::string& path) override { return files_.Exists(path); }
  absl::Status MakeDirectory(const std::string& path) override { return files_.MakeDirectory(path); }
  absl::Status Remove(const std::string& path) override { return files_.Remove(path); }
  absl::Status RemoveTree(const std::string& path) override { return files_.RemoveTree(path); }
  absl::Status Rename(const std::string& from, const std::string& to) override {
    return files_.Rename(from, to);
  }
  absl::Status SyncDirectory(const std::string& path) override { return files_.SyncDirectory(path); }
  absl::StatusOr<DiskSpace> Space(const std::string& path) override { return files_.Space(path); }
  absl::StatusOr<std::unique_ptr<DirectoryLock>> LockDirectory(const std::string& path) override {
    return files_.LockDirectory(path);
  }

 private:
  class GatedFile final : public File {
   public:
    GatedFile(std::unique_ptr<File> file, SyncGate& gate) : file_(std::move(file)), gate_(gate) {}
    absl::Status Write(uint64_t position, std::span<const iovec> pieces) override {
      return file_->Write(position, pieces);
    }
    absl::StatusOr<size_t> Read(uint64_t position, char* to, size_t length) const override {
      return file_->Read(position, to, length);
    }
    absl::Status SyncData() override {
      gate_.Pass();
      return file_->SyncData();
    }
    absl::Status Sync() override {
      gate_.Pass();
      return file_->Sync();
    }
    absl::Status Preallocate(uint64_t length) override { return file_->Preallocate(length); }
    absl::Status Truncate(uint64_t length) override { return file_->Truncate(length); }
    absl::StatusOr<uint64_t> Size() const override { return file_->Size(); }

   private:
    std::unique_ptr<File> file_;
    SyncGate& gate_;
  };

  FileSystem& files_;
  SyncGate gate_;
};

}  // namespace naru::testing
