// What a process has used so far, from /proc. Thread-safe.
#pragma once

#include <sys/types.h>

#include <cstdint>

#include "absl/status/statusor.h"

namespace naru::bench {

struct ProcessStats {
  double user_seconds = 0;
  double system_seconds = 0;
  int64_t resident_bytes = 0;
  int64_t resident_bytes_max = 0;
  // Sent to the disk, or waiting to be, on behalf of the process; 0 where the kernel does not tell.
  int64_t written_bytes = 0;

  double cpu_seconds() const { return user_seconds + system_seconds; }
};

// NOT_FOUND when there is no such process (any more).
absl::StatusOr<ProcessStats> ReadProcessStats(pid_t pid);
ProcessStats OwnStats();

int64_t NowNs();

}  // namespace naru::bench
