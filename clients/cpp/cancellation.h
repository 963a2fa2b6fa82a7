// Lets one thread end what another waits for.
#pragma once

#include <grpcpp/grpcpp.h>

#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace naru::client {

// Thread-safe. Outlives the calls that it is given to; one may be made inside of another.
class Cancellation {
 public:
  Cancellation() = default;
  Cancellation(const Cancellation&) = delete;
  Cancellation& operator=(const Cancellation&) = delete;

  // For good: ends the calls and pauses under way, and later ones as they begin.
  void Cancel();
  bool cancelled() const;
  // Waits, less long when cancelled.
  void Pause(absl::Duration duration) const;

  // While it is there, Cancel ends the call of `context`, also one that has not begun.
  class Guard {
   public:
    // `cancellation` null: nothing ends the call.
    Guard(Cancellation* cancellation, grpc::ClientContext* context);
    ~Guard();
    Guard(const Guard&) = delete;
    Guard& operator=(const Guard&) = delete;

   private:
    Cancellation* const cancellation_;
    grpc::ClientContext* const context_;
  };

 private:
  mutable absl::Mutex mutex_;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<grpc::ClientContext*> calls_ ABSL_GUARDED_BY(mutex_);
};

// What ends so.
absl::Status CancelledHere();

}  // namespace naru::client
