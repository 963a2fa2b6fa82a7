// What this process takes from the machine, read from /proc/self.
#pragma once

#include <cstdint>

namespace naru::services {

struct ProcessUsage {
  int64_t resident_bytes = 0;
  int64_t virtual_bytes = 0;
  double cpu_seconds = 0;  // user and system
  int64_t threads = 0;
  int64_t open_files = 0;
  int64_t open_files_max = 0;
};

// What cannot be read stays 0.
ProcessUsage ReadProcessUsage();
// The first of them alone: a few microseconds.
int64_t ReadResidentBytes();

}  // namespace naru::services
