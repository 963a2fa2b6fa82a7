// Whether the server serves, as told to load balancers and people: /readyz, and grpc.health.v1 for the whole
// server
// ("") and for each service. Thread-safe.
//
//   starting   not ready; the gRPC server does not listen yet
//   serving    ready; while the disk is full ProduceService alone is NOT_SERVING
//   draining   not ready, everything NOT_SERVING; for good
#pragma once

#include <grpcpp/health_check_service_interface.h>

#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "services/server/http_endpoint.h"

namespace naru::services {

class Health {
 public:
  static constexpr char kProduceService[] = "naru.v1.ProduceService";

  // `checks` is told of every change until Drain. `services` are the full names of all services.
  void Serve(grpc::HealthCheckServiceInterface* checks, std::vector<std::string> services);
  void SetStorageFull(bool full);
  // `checks` is not used once it returned.
  void Drain();

  // 200 "ready", or 503 and the reason.
  HttpAnswer ReadyPage() const;

 private:
  enum class Phase { kStarting, kServing, kDraining };
  void Tell() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable absl::Mutex mutex_;
  Phase phase_ ABSL_GUARDED_BY(mutex_) = Phase::kStarting;
  bool storage_full_ ABSL_GUARDED_BY(mutex_) = false;
  grpc::HealthCheckServiceInterface* checks_ ABSL_GUARDED_BY(mutex_) = nullptr;
  std::vector<std::string> services_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace naru::services
