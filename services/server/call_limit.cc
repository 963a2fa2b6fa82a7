#include "services/server/call_limit.h"

#include "storage/base/status.h"
#include "storage/base/strings.h"

namespace naru::services {
namespace {

bool TakeOne(std::atomic<int64_t>& taken, int64_t max) {
  int64_t now = taken.load(std::memory_order_relaxed);
  while (now < max) {
    if (taken.compare_exchange_weak(now, now + 1, std::memory_order_relaxed)) return true;
  }
  return false;
}

}  // namespace

CallLimit::Verdict CallLimit::Judge(bool of_api) {
  if (of_api && TakeOne(open_, open_max_)) return Verdict::kServe;
  if (!TakeOne(aside_, aside_max_)) return Verdict::kCutOff;
  return of_api ? Verdict::kRefuse : Verdict::kServeAside;
}

CallLimit::Verdict CallLimit::Begin(const void* call, bool of_api) {
  const Verdict verdict = Judge(of_api);
  if (verdict == Verdict::kRefuse || verdict == Verdict::kCutOff) {
    refusals_.fetch_add(1, std::memory_order_relaxed);
    absl::MutexLock lock(&mutex_);
    refused_calls_.insert(call);
    refused_open_.store(static_cast<int64_t>(refused_calls_.size()), std::memory_order_release);
  } else if (refused_open_.load(std::memory_order_acquire) > 0) {
    // gRPC may use a name again a moment before it says that the first call has ended.
    absl::MutexLock lock(&mutex_);
    refused_calls_.erase(call);
    refused_open_.store(static_cast<int64_t>(refused_calls_.size()), std::memory_order_release);
  }
  return verdict;
}

void CallLimit::End(const void* call, Verdict verdict) {
  if (verdict == Verdict::kServe) {
    open_.fetch_sub(1, std::memory_order_relaxed);
    return;
  }
  if (verdict != Verdict::kCutOff) aside_.fetch_sub(1, std::memory_order_relaxed);
  if (verdict == Verdict::kServeAside) return;
  absl::MutexLock lock(&mutex_);
  refused_calls_.erase(call);
  refused_open_.store(static_cast<int64_t>(refused_calls_.size()), std::memory_order_release);
}

absl::Status CallLimit::Check(const void* call) const {
  if (closed_.load(std::memory_order_relaxed)) {
    return MakeError(
        Reason::kCoordinatorLoading,
        "this broker has not heard from the cluster's coordinator yet; nothing was done; try again");
  }
  if (refused_open_.load(std::memory_order_acquire) == 0) return absl::OkStatus();
  absl::MutexLock lock(&mutex_);
  if (!refused_calls_.contains(call)) return absl::OkStatus();
  return MakeError(
      Reason::kTooManyInFlight,
      absl::StrCat(open_max_,
                   " calls and streams are open, as many as may be; end some or try again later, "
                   "or give the broker a larger --max-streams or --memory-limit"));
}

}  // namespace naru::services
