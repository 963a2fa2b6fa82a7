// Says on standard error, where that is a terminal, that a run goes on and for how long it has.
#pragma once

#include <string>
#include <thread>

#include "absl/synchronization/notification.h"

namespace naru::bench {

// From its construction to its end, once a second, on one line that leaves nothing behind: whatever is
// printed meanwhile and is longer stands over it.
class Progress {
 public:
  explicit Progress(std::string what);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

 private:
  absl::Notification over_;
  std::thread thread_;
};

}  // namespace naru::bench
