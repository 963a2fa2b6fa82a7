#include "services/server/health.h"

#include <utility>

namespace naru::services {

void Health::Serve(grpc::HealthCheckServiceInterface* checks, std::vector<std::string> services) {
  absl::MutexLock lock(&mutex_);
  if (phase_ == Phase::kDraining) return;
  phase_ = Phase::kServing;
  checks_ = checks;
  services_ = std::move(services);
  Tell();
}

void Health::SetStorageFull(bool full) {
  absl::MutexLock lock(&mutex_);
  if (storage_full_ == full) return;
  storage_full_ = full;
  if (phase_ == Phase::kServing) Tell();
}

void Health::Drain() {
  absl::MutexLock lock(&mutex_);
  phase_ = Phase::kDraining;
  Tell();
  checks_ = nullptr;
}

void Health::Tell() {
  if (checks_ == nullptr) return;
  const bool serving = phase_ == Phase::kServing;
  for (const std::string& service : services_) {
    checks_->SetServingStatus(service, serving && !(storage_full_ && service == kProduceService));
  }
  checks_->SetServingStatus("", serving);
}

HttpAnswer Health::ReadyPage() const {
  absl::MutexLock lock(&mutex_);
  HttpAnswer answer;
  switch (phase_) {
    case Phase::kStarting:
      answer.status = 503;
      answer.body = "starting\n";
      break;
    case Phase::kServing:
      answer.body = storage_full_ ? "ready; the disk is nearly full: produces are refused\n" : "ready\n";
      break;
    case Phase::kDraining:
      answer.status = 503;
      answer.body = "draining\n";
      break;
  }
  return answer;
}

}  // namespace naru::services
