#include "services/server/process_usage.h"

#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <string>
#include <thread>

namespace naru::services {
namespace {

int64_t CountOpenFiles() {
  DIR* directory = opendir("/proc/self/fd");
  if (directory == nullptr) return 0;
  int64_t count = 0;
  while (const dirent* entry = readdir(directory)) {
    if (entry->d_name[0] != '.') ++count;
  }
  closedir(directory);
  return count - 1;  // without the one just opened
}

int64_t CountThreads() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    int64_t threads = 0;
    if (word == "Threads:" && status >> threads) return threads;
  }
  return 0;
}

double Seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

}  // namespace

int64_t ReadResidentBytes() {
  int64_t virtual_pages = 0;
  int64_t resident_pages = 0;
  std::ifstream("/proc/self/statm") >> virtual_pages >> resident_pages;
  return resident_pages * sysconf(_SC_PAGE_SIZE);
}

ProcessUsage ReadProcessUsage() {
  ProcessUsage usage;
  int64_t virtual_pages = 0;
  int64_t resident_pages = 0;
  if (std::ifstream statm("/proc/self/statm"); statm >> virtual_pages >> resident_pages) {
    const int64_t page = sysconf(_SC_PAGE_SIZE);
    usage.virtual_bytes = virtual_pages * page;
    usage.resident_bytes = resident_pages * page;
  }
  rusage used{};
  if (getrusage(RUSAGE_SELF, &used) == 0) usage.cpu_seconds = Seconds(used.ru_utime) + Seconds(used.ru_stime);
  usage.threads = CountThreads();
  usage.open_files = CountOpenFiles();
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) usage.open_files_max = static_cast<int64_t>(files.rlim_cur);
  return usage;
}

}  // namespace naru::services
