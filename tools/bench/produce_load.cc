#include "tools/bench/produce_load.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "naru/v1/transaction.grpc.pb.h"
#include "tools/bench/process_stats.h"
#include "tools/bench/produce_calls.h"
#include "tools/bench/produce_stream.h"

namespace naru::bench {
namespace {

// Sends what is due and sleeps until the next. Wakes at least so seldom, not for every batch.
constexpr int64_t kWakeEveryNs = 50'000;

void PaceOpenLoop(const ProduceLoad& load, const Window& window,
                  std::vector<std::unique_ptr<BatchSender>>& senders) {
  const double interval_ns = 1e9 / load.rate;
  const int64_t begin = NowNs();
  for (int64_t n = 0;; ++n) {
    const int64_t intended = begin + static_cast<int64_t>(static_cast<double>(n) * interval_ns);
    if (intended >= window.end_ns) return;
    const int64_t wait = intended - NowNs();
    if (wait > 0) std::this_thread::sleep_for(std::chrono::nanoseconds(std::max(wait, kWakeEveryNs)));
    senders[static_cast<size_t>(n) % senders.size()]->Send(intended);
  }
}

absl::StatusOr<int64_t> InitProducer(const std::shared_ptr<grpc::Channel>& channel) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(10));
  naru::v1::InitProducerResponse response;
  const grpc::Status status =
      naru::v1::TransactionService::NewStub(channel)->InitProducer(&context, {}, &response);
  if (!status.ok()) return absl::UnavailableError(absl::StrCat("InitProducer: ", status.error_message()));
  return response.producer_id();
}

}  // namespace

absl::StatusOr<Tally> RunProduce(const ProduceLoad& load, const Channels& channels, const Window& window) {
  auto pool = BatchPool::Make(load.shape);
  if (!pool.ok()) return pool.status();
  const int per_channel = std::max(1, load.depth / static_cast<int>(channels.size()));
  std::vector<std::unique_ptr<BatchSender>> senders;
  for (size_t i = 0; i < channels.size(); ++i) {
    SenderTask task{load, *pool, window, per_channel, static_cast<int>(i)};
    if (load.idempotent && !load.unary && load.acks != naru::v1::ACKS_NONE) {
      auto producer_id = InitProducer(channels[i]);
      if (!producer_id.ok()) return producer_id.status();
      task.producer_id = *producer_id;
    }
    if (load.unary) {
      senders.push_back(std::make_unique<ProduceCalls>(task, channels[i]));
    } else {
      senders.push_back(std::make_unique<ProduceStream>(task, channels[i]));
    }
  }
  if (load.rate > 0) {
    PaceOpenLoop(load, window, senders);
  } else {
    const int64_t first = load.batches > 0 ? std::min<int64_t>(per_channel, load.batches) : per_channel;
    for (int64_t i = 0; i < first; ++i) {
      for (auto& sender : senders) sender->Send(NowNs());
    }
  }
  Tally tally;
  for (auto& sender : senders) tally.Merge(sender->Finish());
  return tally;
}

}  // namespace naru::bench
