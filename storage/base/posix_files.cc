// The file layer over Linux system calls.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "storage/base/files.h"
#include "storage/base/status.h"
#include "storage/base/strings.h"

namespace naru {
namespace {

// One pwritev takes at most this many bytes and pieces: calls of several MiB are markedly slower, and the
// kernel refuses more than IOV_MAX pieces.
constexpr size_t kCallBytesMax = size_t{256} << 10;
constexpr size_t kCallPiecesMax = 256;
constexpr size_t kZeroBytes = size_t{64} << 10;

absl::StatusCode CodeOfErrno(int error) {
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      return absl::StatusCode::kNotFound;
    case EEXIST:
      return absl::StatusCode::kAlreadyExists;
    case ENOSPC:
    case EDQUOT:
    case EMFILE:
    case ENFILE:
      return absl::StatusCode::kResourceExhausted;
    case EACCES:
    case EPERM:
    case EROFS:
      return absl::StatusCode::kPermissionDenied;
    case EINVAL:
    case ENAMETOOLONG:
    case EISDIR:
      return absl::StatusCode::kInvalidArgument;
    case ENOTEMPTY:
    case EBUSY:
      return absl::StatusCode::kFailedPrecondition;
    default:
      return absl::StatusCode::kInternal;
  }
}

absl::Status SystemError(std::string_view path, std::string_view operation, int error) {
  return absl::Status(CodeOfErrno(error),
                      absl::StrCat(path, ": ", operation, ": ", std::generic_category().message(error),
                                   " (errno ", error, ")"));
}

// Calls again while a signal interrupts.
template <typename Call>
auto Retrying(Call call) {
  decltype(call()) result;
  do {
    result = call();
  } while (result == -1 && errno == EINTR);
  return result;
}

class PosixFile final : public File {
 public:
  PosixFile(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}
  ~PosixFile() override { ::close(fd_); }
  PosixFile(const PosixFile&) = delete;
  PosixFile& operator=(const PosixFile&) = delete;

  absl::Status Write(uint64_t position, std::span<const iovec> pieces) override {
    std::array<iovec, kCallPiecesMax> call;
    size_t piece = 0;  // the next to write, from byte `skip` on
    size_t skip = 0;
    for (;;) {
      size_t count = 0;
      size_t bytes = 0;
      for (size_t i = piece, from = skip; i < pieces.size() && count < call.size() && bytes < kCallBytesMax;
           ++i) {
        const size_t n = std::min(pieces[i].iov_len - from, kCallBytesMax - bytes);
        if (n > 0) call[count++] = {static_cast<char*>(pieces[i].iov_base) + from, n};
        bytes += n;
        from = 0;
      }
      if (bytes == 0) return absl::OkStatus();
      const ssize_t written = Retrying(
          [&] { return ::pwritev(fd_, call.data(), static_cast<int>(count), static_cast<off_t>(position)); });
      if (written < 0) return SystemError(path_, absl::StrCat("pwritev at ", position), errno);
      if (written == 0)
        return SystemError(path_, absl::StrCat("pwritev at ", position, " wrote nothing"), EIO);
      position += static_cast<size_t>(written);
      Advance(pieces, static_cast<size_t>(written), piece, skip);
    }
  }

  absl::StatusOr<size_t> Read(uint64_t position, char* to, size_t length) const override {
    size_t done = 0;
    while (done < length) {
      const ssize_t n = Retrying(
          [&] { return ::pread(fd_, to + done, length - done, static_cast<off_t>(position + done)); });
      if (n < 0) return SystemError(path_, absl::StrCat("pread at ", position + done), errno);
      if (n == 0) break;
      done += static_cast<size_t>(n);
    }
    return done;
  }

  absl::Status SyncData() override {
    // Never repeated after an error, EINTR included: the kernel may have dropped what it could not write.
    if (::fdatasync(fd_) != 0) return SystemError(path_, "fdatasync", errno);
    return absl::OkStatus();
  }

  absl::Status Sync() override {
    if (::fsync(fd_) != 0) return SystemError(path_, "fsync", errno);
    return absl::OkStatus();
  }

  absl::Status Preallocate(uint64_t length) override {
    if (length == 0) return absl::OkStatus();
    if (Retrying([&] { return ::fallocate(fd_, 0, 0, static_cast<off_t>(length)); }) == 0) {
      return absl::OkStatus();
    }
    if (errno != EOPNOTSUPP && errno != ENOSYS) {
      return SystemError(path_, absl::StrCat("fallocate of ", length, " bytes"), errno);
    }
    NARU_ASSIGN_OR_RETURN(uint64_t at, Size());
    const std::string zeros(kZeroBytes, '\0');
    while (at < length) {
      const size_t n = std::min<uint64_t>(zeros.size(), length - at);
      const iovec piece{const_cast<char*>(zeros.data()), n};
      NARU_RETURN_IF_ERROR(Write(at, {&piece, 1}));
      at += n;
    }
    return absl::OkStatus();
  }

  absl::Status Truncate(uint64_t length) override {
    if (Retrying([&] { return ::ftruncate(fd_, static_cast<off_t>(length)); }) != 0) {
      return SystemError(path_, absl::StrCat("ftruncate to ", length), errno);
    }
    return absl::OkStatus();
  }

  absl::StatusOr<uint64_t> NextData(uint64_t position) const override {
    // What was reserved and never written counts as a hole, also after a crash.
    const off_t data = ::lseek(fd_, static_cast<off_t>(position), SEEK_DATA);
    if (data >= 0) return static_cast<uint64_t>(data);
    if (errno != ENXIO) return position;  // not every file system knows
    NARU_ASSIGN_OR_RETURN(const uint64_t size, Size());
    return std::max(position, size);
  }

  absl::StatusOr<uint64_t> Size() const override {
    struct stat found;
    if (::fstat(fd_, &found) != 0) return SystemError(path_, "fstat", errno);
    return static_cast<uint64_t>(found.st_size);
  }

  void StartWriteback(uint64_t position, uint64_t length) override {
    ::sync_file_range(fd_, static_cast<off_t>(position), static_cast<off_t>(length), SYNC_FILE_RANGE_WRITE);
  }

  void DropCache(uint64_t position, uint64_t length) const override {
    ::posix_fadvise(fd_, static_cast<off_t>(position), static_cast<off_t>(length), POSIX_FADV_DONTNEED);
  }

 private:
  static void Advance(std::span<const iovec> pieces, size_t written, size_t& piece, size_t& skip) {
    while (piece < pieces.size() && written >= pieces[piece].iov_len - skip) {
      written -= pieces[piece].iov_len - skip;
      ++piece;
      skip = 0;
    }
    skip += written;
  }

  const std::string path_;
  const int fd_;
};

class PosixDirectoryLock final : public DirectoryLock {
 public:
  explicit PosixDirectoryLock(int fd) : fd_(fd) {}
  // The file stays: removing it would let a second process lock a new one while a third waits on the old.
  ~PosixDirectoryLock() override {
    [[maybe_unused]] const int ignored = ::ftruncate(fd_, 0);
    ::close(fd_);
  }

 private:
  const int fd_;
};

// "process 123", from what the holder wrote.
std::string HolderOf(int fd) {
  char text[32];
  const ssize_t n = ::pread(fd, text, sizeof text, 0);
  int64_t pid = 0;
  if (n <= 0 ||
      !absl::SimpleAtoi(absl::StripAsciiWhitespace(absl::string_view(text, static_cast<size_t>(n))), &pid)) {
    return "another process";
  }
  if (pid == ::getpid()) return absl::StrCat("this process (", pid, ")");
  return absl::StrCat("process ", pid);
}

class PosixFiles final : public FileSystem {
 public:
  absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path) override {
    return OpenWith(path, O_RDWR | O_CREAT);
  }

  absl::StatusOr<std::unique_ptr<File>> OpenForRead(const std::string& path) override {
    return OpenWith(path, O_RDONLY);
  }

  absl::StatusOr<std::vector<std::string>> List(const std::string& directory) override {
    std::error_code error;
    std::vector<std::string> names;
    std::filesystem::directory_iterator entry(directory, error);
    for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
      names.push_back(entry->path().filename().string());
    }
    if (error) return SystemError(directory, "list", error.value());
    std::sort(names.begin(), names.end());
    return names;
  }

  bool Exists(const std::string& path) override {
    struct stat found;
    return ::stat(path.c_str(), &found) == 0;
  }

  absl::Status MakeDirectory(const std::string& path) override {
    std::error_code error;
    std::filesystem::create_directories(path, error);
    if (error) return SystemError(path, "make directory", error.value());
    return absl::OkStatus();
  }

  absl::Status Remove(const std::string& path) override {
    if (::remove(path.c_str()) != 0) return SystemError(path, "remove", errno);
    return absl::OkStatus();
  }

  absl::Status RemoveTree(const std::string& path) override {
    std::error_code error;
    std::filesystem::remove_all(path, error);
    if (error) return SystemError(path, "remove tree", error.value());
    return absl::OkStatus();
  }

  absl::Status Rename(const std::string& from, const std::string& to) override {
    if (::rename(from.c_str(), to.c_str()) != 0)
      return SystemError(from, absl::StrCat("rename to ", to), errno);
    return absl::OkStatus();
  }

  absl::Status SyncDirectory(const std::string& path) override {
    const int fd = Retrying([&] { return ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); });
    if (fd < 0) return SystemError(path, "open directory", errno);
    const int error = ::fsync(fd) == 0 ? 0 : errno;
    ::close(fd);
    if (error != 0) return SystemError(path, "fsync of the directory", error);
    return absl::OkStatus();
  }

  absl::StatusOr<DiskSpace> Space(const std::string& path) override {
    struct statvfs found;
    if (Retrying([&] { return ::statvfs(path.c_str(), &found); }) != 0) {
      return SystemError(path, "statvfs", errno);
    }
    return DiskSpace{static_cast<uint64_t>(found.f_blocks) * found.f_frsize,
                     static_cast<uint64_t>(found.f_bavail) * found.f_frsize};
  }

  absl::StatusOr<std::unique_ptr<DirectoryLock>> LockDirectory(const std::string& path) override {
    const std::string file = absl::StrCat(path, "/lock");
    // flock belongs to the open file, not to the process: a second lock in one process is refused as well.
    const int fd = Retrying([&] { return ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644); });
    if (fd < 0) return SystemError(file, "open", errno);
    absl::Cleanup close = [fd] { ::close(fd); };
    if (Retrying([&] { return ::flock(fd, LOCK_EX | LOCK_NB); }) != 0) {
      if (errno != EWOULDBLOCK) return SystemError(file, "flock", errno);
      return absl::FailedPreconditionError(absl::StrCat(path, " is in use by ", HolderOf(fd),
                                                        "; stop it, or choose another data directory (", file,
                                                        " is locked)"));
    }
    const std::string pid = absl::StrCat(::getpid(), "\n");
    if (::ftruncate(fd, 0) != 0 ||
        ::pwrite(fd, pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size())) {
      return SystemError(file, "write process id", errno);
    }
    std::move(close).Cancel();
    return std::make_unique<PosixDirectoryLock>(fd);
  }

 private:
  static absl::StatusOr<std::unique_ptr<File>> OpenWith(const std::string& path, int flags) {
    const int fd = Retrying([&] { return ::open(path.c_str(), flags | O_CLOEXEC, 0644); });
    if (fd < 0) return SystemError(path, (flags & O_CREAT) != 0 ? "open" : "open for reading", errno);
    return std::make_unique<PosixFile>(path, fd);
  }
};

}  // namespace

FileSystem& PosixFileSystem() {
  static PosixFiles* files = new PosixFiles;
  return *files;
}

absl::StatusOr<std::string> ReadWholeFile(FileSystem& files, const std::string& path, size_t bytes_max) {
  NARU_ASSIGN_OR_RETURN(const auto file, files.OpenForRead(path));
  NARU_ASSIGN_OR_RETURN(const uint64_t size, file->Size());
  if (size > bytes_max) {
    return absl::ResourceExhaustedError(
        absl::StrCat(path, ": has ", size, " bytes; at most ", bytes_max, " are read"));
  }
  std::string contents(size, '\0');
  NARU_ASSIGN_OR_RETURN(const size_t read, file->Read(0, contents.data(), contents.size()));
  contents.resize(read);
  return contents;
}

absl::Status ReplaceFile(FileSystem& files, const std::string& path, std::string_view contents) {
  const std::string beside = absl::StrCat(path, ".new");
  {
    NARU_ASSIGN_OR_RETURN(const auto file, files.Open(beside));
    NARU_RETURN_IF_ERROR(file->Truncate(0));  // left over from a crash, perhaps
    const iovec piece{const_cast<char*>(contents.data()), contents.size()};
    NARU_RETURN_IF_ERROR(file->Write(0, {&piece, 1}));
    NARU_RETURN_IF_ERROR(file->Sync());
  }
  NARU_RETURN_IF_ERROR(files.Rename(beside, path));
  const size_t slash = path.rfind('/');
  const std::string directory = slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
  return files.SyncDirectory(directory);
}

}  // namespace naru
