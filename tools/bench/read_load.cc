#include "tools/bench/read_load.h"

#include <google/protobuf/arena.h>
#include <grpcpp/generic/generic_stub.h>

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "naru/v1/consume.pb.h"
#include "storage/batch/wire.h"
#include "tools/bench/process_stats.h"

namespace naru::bench {
namespace {

// Fields of proto/naru/v1/consume.proto.
constexpr uint32_t kFetchNext = 2;
constexpr uint32_t kFetchWatermark = 3;
constexpr uint32_t kDelivery = 15;
constexpr uint32_t kDeliveryNext = 3;
constexpr uint32_t kDeliveryWatermark = 4;
constexpr uint32_t kBatches = 14;
constexpr uint32_t kRecords = 15;

grpc::ByteBuffer ToBuffer(const google::protobuf::MessageLite& message) {
  const grpc::Slice slice(message.SerializeAsString());
  return grpc::ByteBuffer(&slice, 1);
}

std::string_view View(const grpc::Slice& slice) {
  return {reinterpret_cast<const char*>(slice.begin()), slice.size()};
}

bool Parses(std::string_view answer) {
  google::protobuf::Arena arena;
  auto* response = google::protobuf::Arena::CreateMessage<naru::v1::FetchResponse>(&arena);
  return response->ParseFromArray(answer.data(), static_cast<int>(answer.size()));
}

// Reads one partition by Fetch calls, again and again.
class FetchChain {
 public:
  FetchChain(const ReadLoad& load, int partition, std::shared_ptr<grpc::Channel> channel,
             const Window& window)
      : load_(load), partition_(partition), window_(window), stub_(std::move(channel)) {}

  void Start() {
    naru::v1::FetchRequest request;
    request.set_topic(load_.topic);
    request.set_partition(partition_);
    request.set_offset(offset_);
    request.set_max_bytes(static_cast<int32_t>(load_.max_bytes));
    if (load_.stored_batches) request.set_delivery(naru::v1::DELIVERY_STORED_BATCHES);
    context_ = std::make_unique<grpc::ClientContext>();
    request_ = ToBuffer(request);
    begin_ns_ = NowNs();
    stub_.UnaryCall(context_.get(), "/naru.v1.ConsumeService/Fetch", {}, &request_, &response_,
                    [this](const grpc::Status& status) { End(status); });
  }

  Tally Wait() {
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(&done_));
    return std::move(tally_);
  }

 private:
  void End(const grpc::Status& status) {
    const int64_t now = NowNs();
    bool more = status.ok() && now < window_.end_ns;
    if (status.ok()) {
      more = Take(now) && more;
    } else {
      tally_.Fail(status.error_message());
    }
    // Before Wait() can return: the call must not be the last that holds the channel, on a thread of the
    // channel.
    context_.reset();
    if (more) return Start();
    absl::MutexLock lock(&mutex_);
    done_ = true;
  }

  bool Take(int64_t now) {
    grpc::Slice bytes;
    Counted counted;
    if (!response_.DumpToSingleSlice(&bytes).ok() ||
        !CountRecords(View(bytes), kFetchNext, kFetchWatermark, counted) || counted.next_offset <= offset_) {
      tally_.Fail("a Fetch that brought nothing");
      return false;
    }
    if (load_.decode && !Parses(View(bytes))) tally_.Fail("a Fetch whose answer cannot be parsed");
    if (window_.Contains(now)) {
      tally_.records += load_.stored_batches ? counted.next_offset - offset_ : counted.records;
      tally_.payload_bytes += counted.bytes;
      tally_.latency.Record(now - begin_ns_);
    }
    offset_ = counted.next_offset >= counted.high_watermark ? 0 : counted.next_offset;
    return true;
  }

  const ReadLoad& load_;
  const int partition_;
  const Window window_;
  grpc::GenericStub stub_;
  // Of the one call at a time; handed from callback to callback.
  std::unique_ptr<grpc::ClientContext> context_;
  grpc::ByteBuffer request_;
  grpc::ByteBuffer response_;
  int64_t offset_ = 0;
  int64_t begin_ns_ = 0;
  Tally tally_;
  absl::Mutex mutex_;
  bool done_ = false;
};

class SubscribeRun final : private grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  SubscribeRun(const naru::v1::SubscribeRequest& start, std::shared_ptr<grpc::Channel> channel)
      : stub_(std::move(channel)), outgoing_(ToBuffer(start)) {
    stub_.PrepareBidiStreamingCall(&context_, "/naru.v1.ConsumeService/Subscribe", {}, this);
    StartWrite(&outgoing_);
    StartRead(&incoming_);
    StartCall();
  }
  Tally Wait() {
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(&done_));
    return std::move(tally_);
  }

 private:
  void OnReadDone(bool ok) override {
    if (!ok) return;
    grpc::Slice slice;
    if (incoming_.DumpToSingleSlice(&slice).ok()) Take(View(slice));
    StartRead(&incoming_);
  }
  void OnDone(const grpc::Status& status) override {
    absl::MutexLock lock(&mutex_);
    if (!status.ok()) tally_.Fail(status.error_message());
    done_ = true;
  }
  // A SubscribeResponse is one field: its delivery, or something small.
  void Take(std::string_view message) {
    const char* at = message.data();
    const char* const end = at + message.size();
    uint64_t tag = 0;
    uint64_t length = 0;
    if (!wire::ReadVarint(at, end, tag) || tag != wire::Tag(kDelivery, wire::Type::kLength)) return;
    if (!wire::ReadVarint(at, end, length) || length != static_cast<uint64_t>(end - at)) return;
    Counted counted;
    if (!CountRecords({at, length}, kDeliveryNext, kDeliveryWatermark, counted)) {
      return tally_.Fail("an answer that is no PartitionDelivery");
    }
    tally_.records += counted.records;
    tally_.payload_bytes += counted.bytes;
  }

  grpc::GenericStub stub_;
  grpc::ClientContext context_;
  grpc::ByteBuffer outgoing_;
  grpc::ByteBuffer incoming_;
  Tally tally_;
  absl::Mutex mutex_;
  bool done_ = false;
};

}  // namespace

bool CountRecords(std::string_view message, uint32_t next_field, uint32_t watermark_field, Counted& counted) {
  const char* at = message.data();
  const char* const end = at + message.size();
  while (at < end) {
    uint64_t tag = 0;
    uint64_t number = 0;
    if (!wire::ReadVarint(at, end, tag) || !wire::ReadVarint(at, end, number)) return false;
    const auto field = static_cast<uint32_t>(tag >> 3);
    if (static_cast<wire::Type>(tag & 7) == wire::Type::kVarint) {
      if (field == next_field) counted.next_offset = static_cast<int64_t>(number);
      if (field == watermark_field) counted.high_watermark = static_cast<int64_t>(number);
      continue;
    }
    if (static_cast<wire::Type>(tag & 7) != wire::Type::kLength || number > static_cast<uint64_t>(end - at)) {
      return false;
    }
    at += number;
    if (field == kRecords || field == kBatches) {
      counted.records += field == kRecords ? 1 : 0;
      counted.bytes += static_cast<int64_t>(number);
    }
  }
  return true;
}

absl::StatusOr<Tally> RunFetch(const ReadLoad& load, const Channels& channels, const Window& window) {
  std::vector<std::unique_ptr<FetchChain>> chains;
  const int count = std::min(load.depth, load.partitions);
  for (int i = 0; i < count; ++i) {
    const auto& channel = channels[static_cast<size_t>(i) % channels.size()];
    chains.push_back(std::make_unique<FetchChain>(load, i, channel, window));
  }
  for (auto& chain : chains) chain->Start();
  Tally tally;
  for (auto& chain : chains) tally.Merge(chain->Wait());
  return tally;
}

absl::StatusOr<Tally> RunSubscribe(const ReadLoad& load, int64_t end_offset, const Channels& channels,
                                   double* seconds) {
  naru::v1::SubscribeRequest request;
  auto* start = request.mutable_start();
  start->set_max_message_bytes(static_cast<int32_t>(load.max_bytes));
  if (load.stored_batches) start->set_delivery(naru::v1::DELIVERY_STORED_BATCHES);
  auto* topic = start->add_topics();
  topic->set_topic(load.topic);
  for (int i = 0; i < load.partitions; ++i) {
    auto* partition = topic->add_partitions();
    partition->set_partition(load.first_partition + i);
    partition->set_offset(0);
    partition->set_end_offset(end_offset);
  }
  const int64_t begin = NowNs();
  std::vector<std::unique_ptr<SubscribeRun>> runs;
  for (const auto& channel : channels) runs.push_back(std::make_unique<SubscribeRun>(request, channel));
  Tally tally;
  for (auto& run : runs) tally.Merge(run->Wait());
  *seconds = static_cast<double>(NowNs() - begin) / 1e9;
  if (load.stored_batches && !tally.failures) {
    tally.records = end_offset * load.partitions * static_cast<int64_t>(channels.size());
  }
  return tally;
}

}  // namespace naru::bench
