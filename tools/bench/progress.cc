#include "tools/bench/progress.h"

#include <unistd.h>

#include <cstdio>
#include <utility>

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace naru::bench {

Progress::Progress(std::string what) {
  if (isatty(STDERR_FILENO) == 0) return;
  thread_ = std::thread([this, what = std::move(what), begun = absl::Now()] {
    while (!over_.WaitForNotificationWithTimeout(absl::Seconds(1))) {
      // The cursor stays at the front, so that the next line of the output begins there.
      std::fprintf(stderr, "%s: %lld s\r", what.c_str(),
                   static_cast<long long>(absl::ToInt64Seconds(absl::Now() - begun)));
    }
    std::fprintf(stderr, "\033[K");
  });
}

Progress::~Progress() {
  over_.Notify();
  if (thread_.joinable()) thread_.join();
}

}  // namespace naru::bench
