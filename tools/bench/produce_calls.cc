#include "tools/bench/produce_calls.h"

#include <utility>

#include "naru/v1/produce.pb.h"
#include "tools/bench/process_stats.h"

namespace naru::bench {

struct ProduceCalls::Call {
  int64_t intended_ns = 0;
  grpc::ClientContext context;
  grpc::ByteBuffer request;
  grpc::ByteBuffer response;
};

void ProduceCalls::Send(int64_t intended_ns) {
  absl::MutexLock lock(&mutex_);
  if (running_ >= backlog_max()) return tally_.Fail("overloaded: the hub is slower than the rate");
  Start(intended_ns);
}

void ProduceCalls::Start(int64_t intended_ns) {
  ++running_;
  auto call = std::make_shared<Call>();
  call->intended_ns = intended_ns;
  const ProduceTarget target = NextTarget();
  call->request = task_.pool.Request(target, turn_);
  stub_.UnaryCall(&call->context, "/naru.v1.ProduceService/Produce", {}, &call->request, &call->response,
                  [this, call](const grpc::Status& status) { End(*call, status); });
}

void ProduceCalls::End(const Call& call, const grpc::Status& status) {
  const int64_t now = NowNs();
  absl::MutexLock lock(&mutex_);
  --running_;
  if (status.ok()) {
    Count(tally_, call.intended_ns, now);
  } else {
    tally_.Fail(status.error_message());
  }
  if (closed_loop() && now < task_.window.end_ns) Start(now);
}

Tally ProduceCalls::Finish() {
  absl::MutexLock lock(&mutex_);
  mutex_.Await(absl::Condition(
      +[](size_t* running) { return *running == 0; }, &running_));
  return std::move(tally_);
}

}  // namespace naru::bench
