// A TCP proxy whose connections lose answers: after so many bytes of answers a connection passes none on any
// more, goes on with requests for a while, or until none comes, and is closed. What was requested last was
// then done, and nobody learns of it.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace naru::client::testing {

struct CutLimits {
  // Of answers, of each connection. They differ by connection, from this to twice as many.
  int64_t answer_bytes = 4 << 10;
  // Of requests that are still passed on.
  int64_t request_bytes_after = 4 << 10;
};

// On 127.0.0.1. Owns a thread that accepts, and one for each connection.
class CuttingProxy {
 public:
  explicit CuttingProxy(const CutLimits& limits);
  ~CuttingProxy();
  CuttingProxy(const CuttingProxy&) = delete;
  CuttingProxy& operator=(const CuttingProxy&) = delete;

  std::string address() const;
  // Where connections go from now on, a port of 127.0.0.1.
  void SetTarget(int port) { target_port_ = port; }
  // False: from now on connections are whole.
  void SetCutting(bool cutting) { cutting_ = cutting; }
  // Connections that were cut so far.
  int cuts() const { return cuts_; }

 private:
  void Accept();
  void Pump(int client, int number);

  const CutLimits limits_;
  int listener_ = -1;
  int port_ = 0;
  std::atomic<int> target_port_ = 0;
  std::atomic<bool> cutting_ = true;
  std::atomic<bool> stopping_ = false;
  std::atomic<int> cuts_ = 0;
  absl::Mutex mutex_;
  std::vector<std::thread> pumps_ ABSL_GUARDED_BY(mutex_);
  std::thread accepting_;
};

}  // namespace naru::client::testing
