// Turns SIGTERM and SIGINT into a condition to wait for. The second signal ends the process at once, without
// cleaning up, which the store stands as it stands any crash.
//
// Make it before any other thread: it blocks the signals in its thread, and threads made later inherit that.
#pragma once

#include <thread>

#include "absl/synchronization/notification.h"

namespace naru::services {

class SignalWatch {
 public:
  SignalWatch();
  ~SignalWatch();
  SignalWatch(const SignalWatch&) = delete;
  SignalWatch& operator=(const SignalWatch&) = delete;

  // Waits for the first signal and returns its number. While nobody waits yet (at start-up), the first signal
  // ends the process at once with exit code 0.
  int Wait();

 private:
  void Watch();

  absl::Notification waiting_;
  absl::Notification signalled_;
  int signal_ = 0;  // of signalled_
  std::thread thread_;
};

}  // namespace naru::services
