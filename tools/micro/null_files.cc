#include "tools/micro/null_files.h"

#include <algorithm>
#include <cstring>
#include <span>
#include <utility>

#include "absl/strings/str_cat.h"

namespace naru::micro {
namespace {

constexpr uint64_t kDiskBytes = uint64_t{1} << 50;

class NullFile final : public File {
 public:
  explicit NullFile(std::shared_ptr<std::atomic<uint64_t>> size) : size_(std::move(size)) {}

  absl::Status Write(uint64_t position, std::span<const iovec> pieces) override {
    for (const iovec& piece : pieces) position += piece.iov_len;
    if (position > *size_) *size_ = position;
    return absl::OkStatus();
  }
  absl::StatusOr<size_t> Read(uint64_t position, char* to, size_t length) const override {
    const uint64_t size = *size_;
    const size_t n = position < size ? std::min<uint64_t>(length, size - position) : 0;
    std::memset(to, 0, n);
    return n;
  }
  absl::Status SyncData() override { return absl::OkStatus(); }
  absl::Status Sync() override { return absl::OkStatus(); }
  absl::Status Preallocate(uint64_t length) override { return Truncate(length); }
  absl::Status Truncate(uint64_t length) override {
    *size_ = length;
    return absl::OkStatus();
  }
  absl::StatusOr<uint64_t> Size() const override { return size_->load(); }

 private:
  const std::shared_ptr<std::atomic<uint64_t>> size_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<File>> NullFiles::Open(const std::string& path) {
  absl::MutexLock lock(&mutex_);
  std::shared_ptr<Size>& size = sizes_[path];
  if (size == nullptr) size = std::make_shared<Size>(0);
  return std::make_unique<NullFile>(size);
}

absl::StatusOr<std::unique_ptr<File>> NullFiles::OpenForRead(const std::string& path) {
  if (!Exists(path)) return absl::NotFoundError(path);
  return Open(path);
}

absl::StatusOr<std::vector<std::string>> NullFiles::List(const std::string& directory) {
  std::vector<std::string> names;
  const std::string prefix = directory + "/";
  absl::MutexLock lock(&mutex_);
  for (auto at = sizes_.lower_bound(prefix); at != sizes_.end() && at->first.starts_with(prefix); ++at) {
    names.push_back(at->first.substr(prefix.size()));
  }
  return names;
}

bool NullFiles::Exists(const std::string& path) {
  absl::MutexLock lock(&mutex_);
  return sizes_.contains(path);
}

absl::Status NullFiles::Remove(const std::string& path) {
  absl::MutexLock lock(&mutex_);
  sizes_.erase(path);
  return absl::OkStatus();
}

absl::Status NullFiles::Rename(const std::string& from, const std::string& to) {
  absl::MutexLock lock(&mutex_);
  auto moved = sizes_.extract(from);
  if (moved.empty()) return absl::NotFoundError(from);
  sizes_.erase(to);
  moved.key() = to;
  sizes_.insert(std::move(moved));
  return absl::OkStatus();
}

absl::StatusOr<DiskSpace> NullFiles::Space(const std::string& path) {
  return DiskSpace{.total_bytes = kDiskBytes, .available_bytes = kDiskBytes};
}

absl::StatusOr<std::unique_ptr<DirectoryLock>> NullFiles::LockDirectory(const std::string& path) {
  return std::make_unique<DirectoryLock>();
}

}  // namespace naru::micro
