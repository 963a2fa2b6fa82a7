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
  if (all_begun()) return;
  if (running_ >= backlog_max()) return tally_.Fail("overloaded: the hub is slower than the rate");
  Start(intended_ns);
}

void ProduceCalls::Start(int64_t intended_ns) {
  ++running_;
  ++begun_;
  auto call = std::make_unique<Call>();
  call->intended_ns = intended_ns;
  const ProduceTarget target = NextTarget();
  call->request = task_.pool.Request(target, turn_);
  Call* const started = call.release();
  stub_.UnaryCall(
      &started->context, "/naru.v1.ProduceService/Produce", {}, &started->request, &started->response,
      [this, started](const grpc::Status& status) { End(std::unique_ptr<Call>(started), status); });
}

void ProduceCalls::End(std::unique_ptr<Call> call, const grpc::Status& status) {
  const int64_t now = NowNs();
  const int64_t intended_ns = call->intended_ns;
  // Before Finish() can return: the context must not be the last that holds the channel, on a thread of the
  // channel.
  call.reset();
  absl::MutexLock lock(&mutex_);
  --running_;
  if (status.ok()) {
    Count(tally_, intended_ns, now);
  } else {
    tally_.Fail(status.error_message());
  }
  if (SendsMore(now)) Start(now);
}

Tally ProduceCalls::Finish() {
  absl::MutexLock lock(&mutex_);
  mutex_.Await(absl::Condition(
      +[](size_t* running) { return *running == 0; }, &running_));
  return std::move(tally_);
}

}  // namespace naru::bench
