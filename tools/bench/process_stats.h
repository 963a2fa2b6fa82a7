// What a process has used so far, from /proc. Thread-safe.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"

namespace naru::bench {

struct ProcessStats {
  double user_seconds = 0;
  double system_seconds = 0;
  int64_t resident_bytes = 0;
  int64_t resident_bytes_max = 0;

  double cpu_seconds() const { return user_seconds + system_seconds; }
};

// NOT_FOUND when there is no such process (any more).
absl::StatusOr<ProcessStats> ReadProcessStats(pid_t pid);
ProcessStats OwnStats();

// What the disk (a block device) that holds `path` was sent so far, by whomever; nothing where there is none,
// as in memory. What the kernel counts for a process (write_bytes) is no measure: rewriting a little of a
// large folio of the page cache counts all of it.
std::optional<int64_t> DiskBytesWritten(const std::string& path);

// Waits, for at most so long, until the disk that holds `path` has digested what was written and deleted
// before: a second in which it was sent at most a megabyte.
void WaitForQuietDisk(const std::string& path, double seconds_max);

int64_t NowNs();

}  // namespace naru::bench
