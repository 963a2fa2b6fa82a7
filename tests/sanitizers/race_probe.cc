// Proves that ThreadSanitizer finds races here, and that it sees absl::Mutex: race_probe guarded|bare|beside.
#include <cstdio>
#include <string_view>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace {

constexpr int kRounds = 1000;

// All by absl's means: a lock, a condition, a notification. Without races, but only to one who knows absl's
// mutex.
class Guarded {
 public:
  void Add() {
    absl::MutexLock lock(&mutex_);
    ++sum_;
  }
  void AwaitAll() {
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(this, &Guarded::Complete));
  }

 private:
  bool Complete() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return sum_ == 2 * kRounds; }

  absl::Mutex mutex_;
  int sum_ ABSL_GUARDED_BY(mutex_) = 0;
};

// What nothing guards; the program's only race.
int bare_sum = 0;

void Work(Guarded* guarded, bool bare) {
  for (int i = 0; i < kRounds; ++i) {
    if (guarded != nullptr) guarded->Add();
    // After the lock, so that a lock taken by both does not order what comes behind it.
    if (bare) ++bare_sum;
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view mode = argc > 1 ? argv[1] : "";
  if (mode != "guarded" && mode != "bare" && mode != "beside") {
    std::fprintf(stderr, "race_probe takes guarded, bare or beside, not \"%s\"\n", argc > 1 ? argv[1] : "");
    return 2;
  }
  Guarded guarded;
  Guarded* used = mode == "bare" ? nullptr : &guarded;
  const bool bare = mode != "guarded";
  std::thread one(Work, used, bare);
  std::thread other(Work, used, bare);
  if (used != nullptr) used->AwaitAll();
  one.join();
  other.join();
  std::puts("ended");
  return 0;
}
