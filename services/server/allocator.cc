#include "services/server/allocator.h"

#include <malloc.h>

#include <cstddef>

// jemalloc's control function; null when the program is linked without it.
extern "C" int mallctl(const char* name, void* old_value, size_t* old_length, void* new_value,
                       size_t new_length) __attribute__((weak));

namespace naru::services {

void TuneAllocator() {
  if (mallctl != nullptr) return;
  // glibc maps and unmaps every block above 128 KiB unless told otherwise: a system call and fresh pages for
  // each large message.
  constexpr int kMapThresholdBytes = 32 << 20;  // the most that it takes
  constexpr int kTrimThresholdBytes = 64 << 20;
  mallopt(M_MMAP_THRESHOLD, kMapThresholdBytes);
  mallopt(M_TRIM_THRESHOLD, kTrimThresholdBytes);
}

void ReturnFreeMemory() {
  if (mallctl == nullptr) {
    malloc_trim(0);
    return;
  }
  // 4096 stands for all arenas (MALLCTL_ARENAS_ALL).
  mallctl("arena.4096.purge", nullptr, nullptr, nullptr, 0);
}

}  // namespace naru::services
