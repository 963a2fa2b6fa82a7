// A completion that is called in any case: when nobody has called it by the time that it goes, it says what
// it was made to say then. For what waits on a loop that may end before.
#pragma once

#include <utility>

#include "absl/functional/any_invocable.h"

namespace naru::cluster {

template <typename Result>
class Certain {
 public:
  using Done = absl::AnyInvocable<void(Result)>;

  Certain(Done done, Result otherwise) : done_(std::move(done)), otherwise_(std::move(otherwise)) {}
  Certain(Certain&& other) noexcept
      : done_(std::exchange(other.done_, nullptr)), otherwise_(std::move(other.otherwise_)) {}
  Certain& operator=(Certain&&) = delete;
  ~Certain() {
    if (done_) done_(std::move(otherwise_));
  }

  void operator()(Result result) { std::exchange(done_, nullptr)(std::move(result)); }

 private:
  Done done_;
  Result otherwise_;
};

}  // namespace naru::cluster
