#include "tests/storage/faults/faulty_files.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "storage/base/check.h"
#include "storage/base/status.h"

namespace naru::testing {

using Kind = DiskOperation::Kind;

std::string ToString(const DiskOperation& operation) {
  static constexpr const char* kNames[] = {"write",  "resize", "sync",          "create",
                                           "remove", "rename", "sync directory"};
  return absl::StrCat("operation ", operation.number, ": ", kNames[static_cast<int>(operation.kind)], " ",
                      operation.path, " at ", operation.position, ", ", operation.bytes, " bytes");
}

class FaultyFiles::OpenFile final : public File {
 public:
  OpenFile(FaultyFiles& files, std::string path, CrashableDisk::InodePtr inode, uint64_t generation)
      : files_(files), path_(std::move(path)), inode_(std::move(inode)), generation_(generation) {}

  absl::Status Write(uint64_t position, std::span<const iovec> pieces) override {
    std::string bytes;
    for (const iovec& piece : pieces) bytes.append(static_cast<const char*>(piece.iov_base), piece.iov_len);
    return Do({Kind::kWrite, path_, position, bytes.size()}, position + bytes.size(),
              [&](CrashableDisk& disk) { disk.Write(*inode_, position, bytes); });
  }

  absl::StatusOr<size_t> Read(uint64_t position, char* to, size_t length) const override {
    absl::MutexLock lock(&files_.mutex_);
    NARU_RETURN_IF_ERROR(CheckAlive());
    if (files_.fail_reads_ && (files_.fail_reads_->empty() || *files_.fail_reads_ == path_)) {
      return absl::InternalError(absl::StrCat(path_, ": pread at ", position, ": Input/output error"));
    }
    const std::string& contents = inode_->contents;
    if (position >= contents.size()) return size_t{0};
    const size_t n = std::min<uint64_t>(length, contents.size() - position);
    std::memcpy(to, contents.data() + position, n);
    return n;
  }

  absl::Status SyncData() override { return Sync(); }
  absl::Status Sync() override {
    return Do({Kind::kSync, path_}, 0, [&](CrashableDisk& disk) { disk.Sync(*inode_); });
  }
  absl::Status Preallocate(uint64_t length) override {
    NARU_ASSIGN_OR_RETURN(const uint64_t size, Size());
    if (size >= length) return absl::OkStatus();
    return Truncate(length);
  }
  absl::Status Truncate(uint64_t length) override {
    return Do({Kind::kResize, path_, length}, length,
              [&](CrashableDisk& disk) { disk.Resize(*inode_, length); });
  }
  absl::StatusOr<uint64_t> Size() const override {
    absl::MutexLock lock(&files_.mutex_);
    NARU_RETURN_IF_ERROR(CheckAlive());
    return inode_->contents.size();
  }

 private:
  absl::Status CheckAlive() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(files_.mutex_) {
    if (generation_ != files_.generation_) return PowerIsOff(path_);
    return files_.CheckPower(path_);
  }

  // Does `change` unless a fault says otherwise. `end`: how large the file must be able to be.
  template <typename Change>
  absl::Status Do(DiskOperation operation, uint64_t end, Change change) {
    const Kind kind = operation.kind;
    {
      absl::MutexLock lock(&files_.mutex_);
      NARU_RETURN_IF_ERROR(CheckAlive());
      const uint64_t size = inode_->contents.size();
      if (end > size && files_.disk_.used_bytes() + (end - size) > files_.capacity_) {
        return absl::ResourceExhaustedError(absl::StrCat(path_, ": No space left on device"));
      }
    }
    bool partly = false;
    NARU_RETURN_IF_ERROR(files_.Begin(std::move(operation), partly));
    absl::MutexLock lock(&files_.mutex_);
    if (!partly) NARU_RETURN_IF_ERROR(CheckAlive());
    if (!partly || kind != Kind::kSync) change(files_.disk_);
    return partly ? PowerIsOff(path_) : absl::OkStatus();
  }

  FaultyFiles& files_;
  const std::string path_;
  const CrashableDisk::InodePtr inode_;
  const uint64_t generation_;
};

class FaultyFiles::Lock final : public DirectoryLock {
 public:
  Lock(FaultyFiles& files, std::string path, uint64_t generation)
      : files_(files), path_(std::move(path)), generation_(generation) {}
  ~Lock() override {
    absl::MutexLock lock(&files_.mutex_);
    if (generation_ == files_.generation_) files_.locked_.erase(path_);
  }

 private:
  FaultyFiles& files_;
  const std::string path_;
  const uint64_t generation_;
};

absl::Status FaultyFiles::PowerIsOff(const std::string& path) {
  return absl::UnavailableError(absl::StrCat(path, ": the power is off"));
}

absl::Status FaultyFiles::CheckPower(const std::string& path) const {
  return power_is_off_ ? PowerIsOff(path) : absl::OkStatus();
}

absl::Status FaultyFiles::Begin(DiskOperation operation, bool& partly) {
  std::function<void(const DiskOperation&)> hook;
  {
    absl::MutexLock lock(&mutex_);
    NARU_RETURN_IF_ERROR(CheckPower(operation.path));
    operation.number = ++operations_;
    last_operation_ = operation;
    if (operation.number == fail_at_) {
      return absl::InternalError(absl::StrCat(ToString(operation), ": Input/output error"));
    }
    if (operation.number == cut_at_) {
      partly = true;
      power_is_off_ = true;
    }
    hook = hook_;
  }
  if (hook) hook(operation);
  return absl::OkStatus();
}

void FaultyFiles::CutPowerAt(int64_t number) {
  absl::MutexLock lock(&mutex_);
  cut_at_ = number;
}

void FaultyFiles::CutPower() {
  absl::MutexLock lock(&mutex_);
  power_is_off_ = true;
}

bool FaultyFiles::power_is_off() const {
  absl::MutexLock lock(&mutex_);
  return power_is_off_;
}

void FaultyFiles::Restore(const Survival& survival) {
  absl::MutexLock lock(&mutex_);
  disk_.Crash(survival);
  BeginAnew();
}

void FaultyFiles::Revive() {
  absl::MutexLock lock(&mutex_);
  BeginAnew();
}

void FaultyFiles::BeginAnew() {
  power_is_off_ = false;
  cut_at_ = fail_at_ = 0;
  fail_reads_.reset();
  ++generation_;
  locked_.clear();
}

void FaultyFiles::FailAt(int64_t number) {
  absl::MutexLock lock(&mutex_);
  fail_at_ = number;
}

void FaultyFiles::FailReads(std::optional<std::string> path) {
  absl::MutexLock lock(&mutex_);
  fail_reads_ = std::move(path);
}

void FaultyFiles::SetCapacity(uint64_t bytes) {
  absl::MutexLock lock(&mutex_);
  capacity_ = bytes;
}

void FaultyFiles::SetHook(std::function<void(const DiskOperation&)> hook) {
  absl::MutexLock lock(&mutex_);
  hook_ = std::move(hook);
}

void FaultyFiles::SetRealDirectory(std::string directory) {
  absl::MutexLock lock(&mutex_);
  real_directory_ = std::move(directory);
}

bool FaultyFiles::IsReal(const std::string& path) const {
  absl::MutexLock lock(&mutex_);
  return !real_directory_.empty() && path.substr(0, real_directory_.size()) == real_directory_;
}

int64_t FaultyFiles::operations() const {
  absl::MutexLock lock(&mutex_);
  return operations_;
}

std::optional<DiskOperation> FaultyFiles::last_operation() const {
  absl::MutexLock lock(&mutex_);
  return last_operation_;
}

std::string FaultyFiles::Contents(const std::string& path) const {
  absl::MutexLock lock(&mutex_);
  const CrashableDisk::InodePtr inode = disk_.Find(path);
  NARU_CHECK(inode != nullptr);
  return inode->contents;
}

void FaultyFiles::SetContents(const std::string& path, std::string contents) {
  absl::MutexLock lock(&mutex_);
  CrashableDisk::InodePtr inode = disk_.Find(path);
  if (inode == nullptr) {
    inode = disk_.Create(path);
    disk_.SyncDirectory(DirectoryOf(path));
  }
  inode->pending.clear();
  inode->durable = inode->contents = std::move(contents);
}

void FaultyFiles::FlipBit(const std::string& path, uint64_t byte, int bit) {
  std::string contents = Contents(path);
  NARU_CHECK(byte < contents.size());
  contents[byte] = static_cast<char>(contents[byte] ^ (1 << bit));
  SetContents(path, std::move(contents));
}

void FaultyFiles::ZeroOut(const std::string& path, uint64_t position, uint64_t length) {
  std::string contents = Contents(path);
  NARU_CHECK(position + length <= contents.size());
  contents.replace(position, length, length, '\0');
  SetContents(path, std::move(contents));
}

absl::StatusOr<std::unique_ptr<File>> FaultyFiles::Open(const std::string& path) {
  {
    absl::MutexLock lock(&mutex_);
    NARU_RETURN_IF_ERROR(CheckPower(path));
    if (auto inode = disk_.Find(path)) return std::make_unique<OpenFile>(*this, path, inode, generation_);
    if (!disk_.IsDirectory(DirectoryOf(path))) {
      return absl::NotFoundError(absl::StrCat(path, ": open: the directory is missing"));
    }
  }
  bool partly = false;
  NARU_RETURN_IF_ERROR(Begin({Kind::kCreate, path}, partly));
  absl::MutexLock lock(&mutex_);
  auto inode = disk_.Create(path);
  if (partly) return PowerIsOff(path);
  return std::make_unique<OpenFile>(*this, path, inode, generation_);
}

absl::StatusOr<std::unique_ptr<File>> FaultyFiles::OpenForRead(const std::string& path) {
  absl::MutexLock lock(&mutex_);
  NARU_RETURN_IF_ERROR(CheckPower(path));
  const auto inode = disk_.Find(path);
  if (inode == nullptr) return absl::NotFoundError(absl::StrCat(path, ": open for reading: no such file"));
  return std::make_unique<OpenFile>(*this, path, inode, generation_);
}

absl::StatusOr<std::vector<std::string>> FaultyFiles::List(const std::string& directory) {
  absl::MutexLock lock(&mutex_);
  NARU_RETURN_IF_ERROR(CheckPower(directory));
  if (!disk_.IsDirectory(directory)) {
    return absl::NotFoundError(absl::StrCat(directory, ": list: no such directory"));
  }
  return disk_.List(directory);
}

bool FaultyFiles::Exists(const std::string& path) {
  if (IsReal(path)) return PosixFileSystem().Exists(path);
  absl::MutexLock lock(&mutex_);
  return !power_is_off_ && (disk_.IsDirectory(path) || disk_.Find(path) != nullptr);
}

absl::Status FaultyFiles::MakeDirectory(const std::string& path) {
  if (IsReal(path)) return PosixFileSystem().MakeDirectory(path);
  absl::MutexLock lock(&mutex_);
  NARU_RETURN_IF_ERROR(CheckPower(path));
  disk_.MakeDirectory(path);
  return absl::OkStatus();
}

absl::Status FaultyFiles::Remove(const std::string& path) {
  if (!Exists(path)) return absl::NotFoundError(absl::StrCat(path, ": remove: no such file"));
  bool partly = false;
  NARU_RETURN_IF_ERROR(Begin({Kind::kRemove, path}, partly));
  absl::MutexLock lock(&mutex_);
  disk_.Remove(path);
  return partly ? PowerIsOff(path) : absl::OkStatus();
}

absl::Status FaultyFiles::RemoveTree(const std::string& path) {
  if (IsReal(path)) return PosixFileSystem().RemoveTree(path);
  bool partly = false;
  NARU_RETURN_IF_ERROR(Begin({Kind::kRemove, path}, partly));
  absl::MutexLock lock(&mutex_);
  disk_.RemoveTree(path);
  return partly ? PowerIsOff(path) : absl::OkStatus();
}

absl::Status FaultyFiles::Rename(const std::string& from, const std::string& to) {
  if (IsReal(from)) {
    NARU_RETURN_IF_ERROR(PosixFileSystem().MakeDirectory(DirectoryOf(to)));
    return PosixFileSystem().Rename(from, to);
  }
  if (!Exists(from)) return absl::NotFoundError(absl::StrCat(from, ": rename: no such file"));
  bool partly = false;
  NARU_RETURN_IF_ERROR(Begin({Kind::kRename, from}, partly));
  absl::MutexLock lock(&mutex_);
  disk_.Rename(from, to);
  return partly ? PowerIsOff(from) : absl::OkStatus();
}

absl::Status FaultyFiles::SyncDirectory(const std::string& path) {
  bool partly = false;
  NARU_RETURN_IF_ERROR(Begin({Kind::kSyncDirectory, path}, partly));
  absl::MutexLock lock(&mutex_);
  if (partly) return PowerIsOff(path);
  disk_.SyncDirectory(path);
  return absl::OkStatus();
}

absl::StatusOr<DiskSpace> FaultyFiles::Space(const std::string& path) {
  if (IsReal(path)) return PosixFileSystem().Space(DirectoryOf(path));
  absl::MutexLock lock(&mutex_);
  NARU_RETURN_IF_ERROR(CheckPower(path));
  const uint64_t used = std::min(capacity_, disk_.used_bytes());
  return DiskSpace{capacity_, capacity_ - used};
}

absl::StatusOr<std::unique_ptr<DirectoryLock>> FaultyFiles::LockDirectory(const std::string& path) {
  absl::MutexLock lock(&mutex_);
  NARU_RETURN_IF_ERROR(CheckPower(path));
  if (!locked_.insert(path).second) {
    return absl::FailedPreconditionError(absl::StrCat(path, " is in use by this process"));
  }
  return std::make_unique<Lock>(*this, path, generation_);
}

}  // namespace naru::testing
