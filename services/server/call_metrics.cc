#include "services/server/call_metrics.h"

#include <google/protobuf/descriptor.h>
#include <grpc/grpc.h>
#include <grpcpp/server_context.h>

#include <chrono>

#include "storage/base/check.h"
#include "storage/base/strings.h"

namespace naru::services {
namespace {

using Steady = std::chrono::steady_clock;

// Follows one call. gRPC makes it when the call comes and deletes it when the call is over.
class CallCounter final : public grpc::experimental::Interceptor {
 public:
  CallCounter(const CallMetrics& metrics, CallMetrics::Method& method, grpc::ServerContextBase* context)
      : method_(method),
        limit_(metrics.limit()),
        call_(context),
        verdict_(limit_.Begin(call_, metrics.OfApi(method))),
        start_(Steady::now()) {
    method_.started.fetch_add(1, std::memory_order_relaxed);
    if (verdict_ != CallLimit::Verdict::kCutOff) return;
    code_ = grpc::StatusCode::RESOURCE_EXHAUSTED;
    grpc_call_cancel_with_status(context->c_call(), GRPC_STATUS_RESOURCE_EXHAUSTED,
                                 "too many calls and streams are open; try again later", nullptr);
  }

  // A call that ends without a status from us was cancelled.
  ~CallCounter() override {
    const auto taken = std::chrono::duration_cast<std::chrono::nanoseconds>(Steady::now() - start_).count();
    method_.handling_ns.fetch_add(taken, std::memory_order_relaxed);
    method_.finished[static_cast<size_t>(code_)].fetch_add(1, std::memory_order_relaxed);
    limit_.End(call_, verdict_);
  }

  void Intercept(grpc::experimental::InterceptorBatchMethods* methods) override {
    if (methods->QueryInterceptionHookPoint(grpc::experimental::InterceptionHookPoints::PRE_SEND_STATUS)) {
      const int code = methods->GetSendStatus().error_code();
      code_ = code >= 0 && code < static_cast<int>(CallMetrics::kCodes) ? code : grpc::StatusCode::UNKNOWN;
    }
    methods->Proceed();
  }

 private:
  CallMetrics::Method& method_;
  CallLimit& limit_;
  const void* const call_;
  const CallLimit::Verdict verdict_;
  const Steady::time_point start_;
  int code_ = grpc::StatusCode::CANCELLED;
};

class CallCounterFactory final : public grpc::experimental::ServerInterceptorFactoryInterface {
 public:
  explicit CallCounterFactory(CallMetrics& metrics) : metrics_(metrics) {}
  grpc::experimental::Interceptor* CreateServerInterceptor(grpc::experimental::ServerRpcInfo* info) override {
    return new CallCounter(metrics_, metrics_.Find(info->method()), info->server_context());
  }

 private:
  CallMetrics& metrics_;
};

}  // namespace

CallMetrics::CallMetrics(const std::vector<std::string>& services, CallLimit& limit) : limit_(limit) {
  for (const std::string& name : services) {
    const auto* service = google::protobuf::DescriptorPool::generated_pool()->FindServiceByName(name);
    NARU_CHECK(service != nullptr);
    for (int i = 0; i < service->method_count(); ++i) {
      auto method = std::make_unique<Method>();
      method->service = name;
      method->name = service->method(i)->name();
      by_name_[absl::StrCat("/", name, "/", method->name)] = method.get();
      methods_.push_back(std::move(method));
    }
  }
  auto other = std::make_unique<Method>();
  other->service = other->name = "other";
  methods_.push_back(std::move(other));
}

std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface> CallMetrics::MakeInterceptors() {
  return std::make_unique<CallCounterFactory>(*this);
}

CallMetrics::Method& CallMetrics::Find(std::string_view full_name) {
  const auto found = by_name_.find(std::string(full_name));
  return found == by_name_.end() ? *methods_.back() : *found->second;
}

int64_t CallMetrics::Method::InProgress() const {
  // In this order, or a call that comes and goes between the two could make it negative.
  int64_t ended = 0;
  for (const auto& count : finished) ended += count.load(std::memory_order_relaxed);
  const int64_t begun = started.load(std::memory_order_relaxed);
  return begun > ended ? begun - ended : 0;
}

int64_t CallMetrics::InProgress() const {
  int64_t open = 0;
  for (const auto& method : methods_) {
    if (method != methods_.back()) open += method->InProgress();
  }
  return open;
}

void CallMetrics::Visit(const std::function<void(const Method&)>& visit) const {
  for (const auto& method : methods_) visit(*method);
}

}  // namespace naru::services
