#include "clients/cpp/cancellation.h"

namespace naru::client {

absl::Status CancelledHere() { return absl::CancelledError("cancelled by this side"); }

void Cancellation::Cancel() {
  absl::MutexLock lock(&mutex_);
  cancelled_ = true;
  for (grpc::ClientContext* call : calls_) call->TryCancel();
}

bool Cancellation::cancelled() const {
  absl::MutexLock lock(&mutex_);
  return cancelled_;
}

void Cancellation::Pause(absl::Duration duration) const {
  absl::MutexLock lock(&mutex_);
  mutex_.AwaitWithTimeout(absl::Condition(&cancelled_), duration);
}

Cancellation::Guard::Guard(Cancellation* cancellation, grpc::ClientContext* context)
    : cancellation_(cancellation), context_(context) {
  if (cancellation_ == nullptr) return;
  absl::MutexLock lock(&cancellation_->mutex_);
  cancellation_->calls_.push_back(context);
  if (cancellation_->cancelled_) context->TryCancel();
}

Cancellation::Guard::~Guard() {
  if (cancellation_ == nullptr) return;
  absl::MutexLock lock(&cancellation_->mutex_);
  std::erase(cancellation_->calls_, context_);
}

}  // namespace naru::client
