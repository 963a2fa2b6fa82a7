// What happens when durability is lost. Thread-safe.
#pragma once

#include <atomic>
#include <functional>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "storage/base/check.h"
#include "storage/base/status.h"

namespace naru {

class Fatal {
 public:
  // `handler` null: the process ends.
  explicit Fatal(std::function<void(std::string_view)> handler) : handler_(std::move(handler)) {}

  void Raise(std::string_view what) {
    raised_.store(true, std::memory_order_release);
    if (!handler_) Die(__FILE__, __LINE__, "durability is lost", what);
    handler_(what);
  }
  // The handler returned: nothing may be written, synced or acknowledged any more.
  bool raised() const { return raised_.load(std::memory_order_acquire); }

  static absl::Status Error() {
    return MakeError(Reason::kInternal,
                     "the store failed: a write or a sync went wrong; the process must end");
  }

 private:
  const std::function<void(std::string_view)> handler_;
  std::atomic<bool> raised_{false};
};

}  // namespace naru
