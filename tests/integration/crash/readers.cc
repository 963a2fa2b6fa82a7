#include "tests/integration/crash/readers.h"

#include <chrono>
#include <cstdio>
#include <functional>
#include <random>
#include <vector>

#include "naru/v1/consume.grpc.pb.h"
#include "tests/integration/crash/payload.h"

namespace naru::crash {
namespace {

using naru::v1::ConsumeService;

constexpr int64_t kCreditBytes = 256 << 10;

template <typename Answer>  // FetchResponse or PartitionDelivery
History::Poll ToPoll(const ReaderTask& task, int64_t begin_ns, int64_t from, const Answer& answer) {
  History::Poll poll{task.name,
                     begin_ns,
                     answer.partition(),
                     from,
                     answer.next_offset(),
                     answer.high_watermark(),
                     answer.log_start_offset()};
  for (const auto& record : answer.records()) poll.records.emplace_back(record.offset(), ValueOf(record));
  return poll;
}

// One Fetch, noted. The answer's next offset, or -1 when there was no answer. A refusal of an offset that was
// good before is noted as a read with a high watermark of 0, which the checker does not let pass.
int64_t FetchOnce(const ReaderTask& task, ConsumeService::Stub& stub, int32_t partition, int64_t from,
                  bool drain, int64_t* high_watermark) {
  naru::v1::FetchRequest request;
  naru::v1::FetchResponse response;
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
  request.set_topic(task.topic);
  request.set_partition(partition);
  request.set_offset(from);
  request.set_max_wait_ms(drain ? 0 : 50);
  request.set_max_bytes(1 << 20);
  const int64_t begin_ns = NowNs();
  const grpc::Status status = stub.Fetch(&context, request, &response);
  if (status.error_code() == grpc::StatusCode::UNAVAILABLE) return -1;
  if (!status.ok()) {
    std::fprintf(stderr, "crash workload: fetch of partition %d from %lld: %s\n", partition,
                 static_cast<long long>(from), status.error_message().c_str());
    task.history.Read({task.name, begin_ns, partition, from, from, 0, 0});
    return -1;
  }
  History::Poll poll = ToPoll(task, begin_ns, from, response);
  poll.drain = drain;
  task.history.Read(poll);
  *high_watermark = response.high_watermark();
  return response.next_offset();
}

void SubscribeOnce(const ReaderTask& task, const std::shared_ptr<grpc::Channel>& channel,
                   std::vector<int64_t>& positions) {
  auto stub = ConsumeService::NewStub(channel);
  grpc::ClientContext context;
  const int64_t begin_ns = NowNs();
  auto stream = stub->Subscribe(&context);
  naru::v1::SubscribeRequest request;
  auto* start = request.mutable_start();
  start->set_credit_bytes(kCreditBytes);
  start->set_max_message_bytes(64 << 10);
  start->set_idle_interval_ms(100);
  auto* topic = start->add_topics();
  topic->set_topic(task.topic);
  for (int32_t partition = 0; partition < task.partition_count; ++partition) {
    auto* subscription = topic->add_partitions();
    subscription->set_partition(partition);
    subscription->set_offset(positions[static_cast<size_t>(partition)]);
  }
  stream->Write(request);
  naru::v1::SubscribeResponse response;
  while (!task.stop && stream->Read(&response)) {
    if (response.has_failure()) {
      const auto& failure = response.failure();
      std::fprintf(stderr, "crash workload: partition %d left the stream: %s\n", failure.partition(),
                   failure.error().message().c_str());
      task.history.Read(
          {task.name, begin_ns, failure.partition(), failure.next_offset(), failure.next_offset(), 0, 0});
    }
    if (!response.has_delivery()) continue;
    const auto& delivery = response.delivery();
    int64_t& position = positions.at(static_cast<size_t>(delivery.partition()));
    task.history.Read(ToPoll(task, begin_ns, position, delivery));
    position = delivery.next_offset();
    naru::v1::SubscribeRequest more;
    more.mutable_credit()->set_bytes(delivery.credit_bytes());
    if (!stream->Write(more)) break;
  }
  context.TryCancel();
  stream->Finish();
}

}  // namespace

void RunFetchReader(const ReaderTask& task) {
  std::vector<int64_t> positions(static_cast<size_t>(task.partition_count), 0);
  std::mt19937_64 random(std::hash<std::string>()(task.name));
  int32_t partition = 0;
  while (auto channel = task.hub.Connect()) {
    auto stub = ConsumeService::NewStub(channel);
    int64_t next = 0;
    while (!task.stop && next >= 0) {
      partition = (partition + 1) % task.partition_count;
      int64_t& position = positions[static_cast<size_t>(partition)];
      const bool again = position > 0 && random() % 20 == 0;
      const int64_t from =
          again ? static_cast<int64_t>(random() % static_cast<uint64_t>(position)) : position;
      int64_t high_watermark = 0;
      next = FetchOnce(task, *stub, partition, from, false, &high_watermark);
      if (next >= 0 && !again) position = next;
    }
  }
}

void RunSubscribeReader(const ReaderTask& task) {
  std::vector<int64_t> positions(static_cast<size_t>(task.partition_count), 0);
  while (auto channel = task.hub.Connect()) SubscribeOnce(task, channel, positions);
}

bool Drain(const ReaderTask& task) {
  auto channel = task.hub.Connect();
  auto stub = ConsumeService::NewStub(channel);
  for (int32_t partition = 0; partition < task.partition_count; ++partition) {
    int64_t from = 0;
    int64_t high_watermark = -1;
    while (from != high_watermark) {
      const int64_t next = FetchOnce(task, *stub, partition, from, true, &high_watermark);
      if (next < 0 || (next == from && from != high_watermark)) return false;
      from = next;
    }
  }
  return true;
}

}  // namespace naru::crash
