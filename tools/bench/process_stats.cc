#include "tools/bench/process_stats.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"

namespace naru::bench {
namespace {

// The number after `name` in a file of "name: number" lines; 0 when it is not there.
int64_t NumberIn(const std::string& path, const std::string& name) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (line.rfind(name, 0) == 0) return std::strtoll(line.c_str() + name.size(), nullptr, 10);
  }
  return 0;
}

}  // namespace

absl::StatusOr<ProcessStats> ReadProcessStats(pid_t pid) {
  const std::string folder = absl::StrCat("/proc/", pid);
  std::string text;
  std::getline(std::ifstream(folder + "/stat"), text);
  const size_t name_end = text.rfind(')');
  if (name_end == std::string::npos) return absl::NotFoundError(absl::StrCat("no process ", pid));
  // Behind the name stand state and ppid, ... ; utime and stime are fields 14 and 15 of the line.
  std::istringstream fields(text.substr(name_end + 2));
  std::string field;
  for (int i = 3; i < 14; ++i) fields >> field;
  double user_ticks = 0;
  double system_ticks = 0;
  fields >> user_ticks >> system_ticks;
  const auto ticks = static_cast<double>(sysconf(_SC_CLK_TCK));
  ProcessStats stats;
  stats.user_seconds = user_ticks / ticks;
  stats.system_seconds = system_ticks / ticks;
  stats.resident_bytes = NumberIn(folder + "/status", "VmRSS:") * 1024;
  stats.resident_bytes_max = NumberIn(folder + "/status", "VmHWM:") * 1024;
  return stats;
}

ProcessStats OwnStats() { return ReadProcessStats(getpid()).value_or(ProcessStats()); }

std::optional<int64_t> DiskBytesWritten(const std::string& path) {
  struct stat at = {};
  if (stat(path.c_str(), &at) != 0) return std::nullopt;
  std::ifstream file(absl::StrCat("/sys/dev/block/", major(at.st_dev), ":", minor(at.st_dev), "/stat"));
  // Reads: calls, merged, sectors, ms; then the same of writes. Sectors have 512 bytes here, whatever the
  // disk's.
  int64_t sectors = 0;
  for (int i = 0; i < 7; ++i) file >> sectors;
  if (!file) return std::nullopt;
  return sectors * 512;
}

void WaitForQuietDisk(const std::string& path, double seconds_max) {
  constexpr int64_t kQuietBytes = 1'000'000;
  const int64_t end_ns = NowNs() + static_cast<int64_t>(seconds_max * 1e9);
  sync();
  std::optional<int64_t> before = DiskBytesWritten(path);
  while (before && NowNs() < end_ns) {
    std::this_thread::sleep_for(std::chrono::seconds(1));
    const std::optional<int64_t> now = DiskBytesWritten(path);
    if (!now || *now - *before <= kQuietBytes) return;
    before = now;
  }
}

int64_t NowNs() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

}  // namespace naru::bench
