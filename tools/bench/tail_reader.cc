#include "tools/bench/tail_reader.h"

#include <chrono>

#include "tools/bench/batch_pool.h"
#include "tools/bench/process_stats.h"

namespace naru::bench {
namespace {

constexpr int64_t kQuietNs = 500'000'000;

}  // namespace

TailReader::TailReader(const std::string& topic, std::shared_ptr<grpc::Channel> channel, const Window& window)
    : window_(window), stub_(naru::v1::ConsumeService::NewStub(std::move(channel))) {
  stream_ = stub_->Subscribe(&context_);
  naru::v1::SubscribeRequest request;
  auto* subscription = request.mutable_start()->add_topics();
  subscription->set_topic(topic);
  stream_->Write(request);
  last_ns_ = NowNs();
  thread_ = std::thread([this] { Read(); });
}

TailReader::~TailReader() {
  context_.TryCancel();
  if (thread_.joinable()) thread_.join();
}

void TailReader::Read() {
  naru::v1::SubscribeResponse response;
  while (stream_->Read(&response)) {
    const int64_t now = NowNs();
    if (response.has_failure()) tally_.Fail(response.failure().error().message());
    for (const auto& record : response.delivery().records()) {
      const int64_t intended = BatchPool::StampOf(record.value());
      if (!window_.Contains(intended)) continue;
      ++tally_.records;
      tally_.payload_bytes += static_cast<int64_t>(record.value().size());
      tally_.end_to_end.Record(now - intended);
    }
    if (response.has_delivery()) last_ns_ = now;
  }
  const grpc::Status status = stream_->Finish();
  if (!status.ok() && status.error_code() != grpc::StatusCode::CANCELLED) tally_.Fail(status.error_message());
}

Tally TailReader::Finish() {
  while (NowNs() - last_ns_ < kQuietNs) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  context_.TryCancel();
  thread_.join();
  return std::move(tally_);
}

}  // namespace naru::bench
