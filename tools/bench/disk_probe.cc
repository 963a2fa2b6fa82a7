#include "tools/bench/disk_probe.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tools/bench/process_stats.h"

namespace naru::bench {
namespace {

// One write call is at most this: larger ones are slower on many systems, and the hub makes none.
constexpr int64_t kWriteBytesMax = 256 << 10;
constexpr int64_t kFileBytes = int64_t{256} << 20;

absl::Status Failed(const char* what) {
  return absl::UnavailableError(absl::StrCat(what, ": ", strerror(errno)));
}

absl::Status WriteAt(int fd, const char* data, int64_t bytes, int64_t position) {
  while (bytes > 0) {
    const ssize_t n = pwrite(fd, data, static_cast<size_t>(std::min(bytes, kWriteBytesMax)), position);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return Failed("write");
    data += n;
    bytes -= n;
    position += n;
  }
  return absl::OkStatus();
}

// As the hub's segments: all blocks there before the first write. Removed with the object.
class PreallocatedFile {
 public:
  static absl::StatusOr<std::unique_ptr<PreallocatedFile>> Make(const std::string& folder) {
    static int made = 0;
    const std::string path = absl::StrCat(folder, "/disk-probe.", getpid(), ".", ++made);
    const int fd = open(path.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
    if (fd < 0) return Failed("open");
    std::unique_ptr<PreallocatedFile> file(new PreallocatedFile(path, fd));
    if (posix_fallocate(fd, 0, kFileBytes) != 0) return Failed("posix_fallocate");
    if (fsync(fd) != 0) return Failed("fsync");
    return file;
  }
  ~PreallocatedFile() {
    close(fd_);
    unlink(path_.c_str());
  }
  int fd() const { return fd_; }

 private:
  PreallocatedFile(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}
  const std::string path_;
  const int fd_;
};

// Virtual machines may notice that a write has ended only with the next tick of a processor that sleeps, some
// milliseconds later. A hub under load keeps its processors awake.
class AwakeProcessors {
 public:
  AwakeProcessors() {
    for (unsigned i = 0; i < std::thread::hardware_concurrency(); ++i) {
      threads_.emplace_back([this] {
        // Takes only time that nobody wants; where that cannot be had, none.
        const sched_param lowest = {};
        if (pthread_setschedparam(pthread_self(), SCHED_IDLE, &lowest) != 0) return;
        while (!stopping_.load(std::memory_order_relaxed)) {
        }
      });
    }
  }
  ~AwakeProcessors() {
    stopping_ = true;
    for (std::thread& thread : threads_) thread.join();
  }

 private:
  std::atomic<bool> stopping_ = false;
  std::vector<std::thread> threads_;
};

absl::StatusOr<AppendResult> Append(const std::string& folder, const AppendProbe& probe) {
  auto file = PreallocatedFile::Make(folder);
  if (!file.ok()) return file.status();
  std::vector<char> piece(static_cast<size_t>(probe.piece_bytes));
  std::mt19937_64 random(1);
  for (char& c : piece) c = static_cast<char>(random());
  AppendResult result;
  int64_t pieces = 0;
  int64_t position = 0;
  const int64_t begin = NowNs();
  const int64_t end = begin + static_cast<int64_t>(probe.seconds * 1e9);
  int64_t now = begin;
  for (; now < end && pieces * probe.piece_bytes < probe.bytes_max; now = NowNs()) {
    if (position + probe.piece_bytes > kFileBytes) {
      file = PreallocatedFile::Make(folder);
      if (!file.ok()) return file.status();
      position = 0;
    }
    if (absl::Status status = WriteAt((*file)->fd(), piece.data(), probe.piece_bytes, position); !status.ok())
      return status;
    position += probe.piece_bytes;
    ++pieces;
    if (!probe.sync_every || pieces % probe.sync_every) continue;
    const int64_t sync_begin = NowNs();
    if (fdatasync((*file)->fd()) != 0) return Failed("fdatasync");
    result.sync.Record(NowNs() - sync_begin);
  }
  const double seconds = static_cast<double>(now - begin) / 1e9;
  result.seconds = seconds;
  result.pieces_per_second = static_cast<double>(pieces) / seconds;
  result.bytes_per_second = result.pieces_per_second * static_cast<double>(probe.piece_bytes);
  return result;
}

}  // namespace

absl::StatusOr<AppendResult> ProbeAppend(const std::string& folder, const AppendProbe& probe) {
  if (probe.sync_every == 0) return Append(folder, probe);
  AppendProbe half = probe;
  half.seconds = probe.seconds / 2;
  half.bytes_max = probe.bytes_max / 2;
  const auto asleep = Append(folder, half);
  if (!asleep.ok()) return asleep;
  const AwakeProcessors awake;
  const auto kept_awake = Append(folder, half);
  if (!kept_awake.ok()) return kept_awake;
  // Threads of the lowest priority may hold up the one that writes: then that is the slower half.
  return kept_awake->pieces_per_second > asleep->pieces_per_second ? kept_awake : asleep;
}

}  // namespace naru::bench
