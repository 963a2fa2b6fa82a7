// Counts calls by method and outcome, as a gRPC interceptor, and tells the limit of open calls of each.
// Thread-safe; lock-free but for calls that the limit refuses.
#pragma once

#include <grpcpp/support/server_interceptor.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "services/server/call_limit.h"

namespace naru::services {

class CallMetrics {
 public:
  static constexpr size_t kCodes = 17;  // OK to UNAUTHENTICATED

  // What is known of one method. Times are of finished calls, from the first byte to the status.
  struct Method {
    std::string service, name;
    std::atomic<int64_t> started{0};
    std::array<std::atomic<int64_t>, kCodes> finished{};
    std::atomic<int64_t> handling_ns{0};

    int64_t InProgress() const;
  };

  // Every method of `services`, full names of services linked into the program, and one row ("other",
  // "other") for all else (health, reflection). `limit` outlives the metrics.
  CallMetrics(const std::vector<std::string>& services, CallLimit& limit);

  // For ServerBuilder. The metrics outlive the server.
  std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface> MakeInterceptors();

  // `full_name` as gRPC has it: "/naru.v1.ProduceService/Produce".
  Method& Find(std::string_view full_name);
  // Not of the row "other".
  bool OfApi(const Method& method) const { return &method != methods_.back().get(); }
  CallLimit& limit() const { return limit_; }
  // Calls of the named services that are open.
  int64_t InProgress() const;
  void Visit(const std::function<void(const Method&)>& visit) const;

 private:
  CallLimit& limit_;
  std::vector<std::unique_ptr<Method>> methods_;  // the last is "other"
  std::unordered_map<std::string, Method*> by_name_;
};

}  // namespace naru::services
