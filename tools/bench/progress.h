// Says on standard error, where that is a terminal, that a run goes on and for how long it has.
#pragma once

#include <string>
#include <thread>

#include "absl/synchronization/notification.h"

namespace naru::bench {

// From its construction to its end, once a second, on one line: a longer one that is printed meanwhile stands
// over it, and at the end it goes.
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
