#include "tests/integration/crash/producers.h"

#include <chrono>
#include <map>
#include <set>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "naru/v1/produce.grpc.pb.h"
#include "tests/integration/crash/payload.h"

namespace naru::crash {
namespace {

using naru::v1::ProduceRequest;
using naru::v1::ProduceResponse;

constexpr size_t kInFlightMax = 32;
constexpr size_t kBatchRecordsMax = 12;

// Reasons that types.proto calls "not appended".
bool IsCertainFailure(std::string_view reason) {
  static const auto* reasons = new std::set<std::string, std::less<>>{
      "EXPECTED_OFFSET_MISMATCH", "TOPIC_ID_MISMATCH",  "STORAGE_FULL",    "SHUTTING_DOWN",
      "STREAM_ITEM_SKIPPED",      "INVALID_FIELD",      "MALFORMED_BATCH", "RECORD_TOO_LARGE",
      "BATCH_TOO_LARGE",          "TOO_MANY_IN_FLIGHT", "TOPIC_NOT_FOUND", "PARTITION_NOT_FOUND"};
  return reasons->contains(reason);
}

struct Item {
  int64_t id = 0;
  int32_t partition = -1;
  std::vector<Value> values;
};

// Makes batches at a bounded rate and notes what became of them.
class Source {
 public:
  explicit Source(const ProducerTask& task)
      : task_(task), values_(task.number), random_(static_cast<uint64_t>(task.number)), next_(Clock::now()) {
    NewOrder();
  }

  // The next batch, noted as sent; waits until it is due.
  Item Next(bool by_key, ProduceRequest& request) {
    std::this_thread::sleep_until(next_);
    next_ = std::max(next_ + std::chrono::microseconds(1'000'000 / task_.batches_per_second),
                     Clock::now() - std::chrono::milliseconds(100));
    Item item{++last_id_, -1, values_.Take(1 + random_() % kBatchRecordsMax)};
    request.set_topic(task_.topic);
    request.set_acks(random_() % 2 ? naru::v1::ACKS_ALL : naru::v1::ACKS_LEADER);
    *request.mutable_batch() = MakeBatch(item.values, random_);
    if (!by_key) {
      item.partition = static_cast<int32_t>(random_() % static_cast<uint64_t>(task_.partition_count));
      request.set_partition(item.partition);
    }
    task_.history.Send(order_, item.id, item.partition, item.values);
    return item;
  }

  // Notes an answer's results. False: something failed.
  template <typename Results>
  bool Settle(const Item& item, const Results& results) {
    bool all_ok = true;
    for (const naru::v1::PartitionProduceResult& result : results) {
      std::vector<Value> values;
      for (uint32_t index : result.record_indexes()) values.push_back(item.values.at(index));
      if (values.empty()) values = item.values;
      if (!result.has_error()) {
        task_.history.Ok(order_, item.id, result.partition(), result.base_offset(), values);
      } else {
        all_ok = false;
        NoteFailure(item.id, values, result.error().reason());
      }
    }
    return all_ok;
  }
  void NoteFailure(int64_t id, const std::vector<Value>& values, std::string_view reason) {
    IsCertainFailure(reason) ? task_.history.Fail(order_, id, values)
                             : task_.history.Unknown(order_, id, values);
  }
  // What is sent from now on is not ordered with what was sent before: a call given up may still be running.
  void NewOrder() { order_ = absl::StrCat("p", task_.number, ".", ++orders_); }

 private:
  using Clock = std::chrono::steady_clock;
  const ProducerTask& task_;
  ValueSource values_;
  std::mt19937_64 random_;
  Clock::time_point next_;
  int64_t last_id_ = 0;
  int orders_ = 0;
  std::string order_;
};

// One ProduceStream from its opening to its end.
class StreamRun {
 public:
  StreamRun(const ProducerTask& task, Source& source, std::shared_ptr<grpc::Channel> channel)
      : task_(task), source_(source), stub_(naru::v1::ProduceService::NewStub(std::move(channel))) {}

  void Run() {
    stream_ = stub_->ProduceStream(&context_);
    std::thread reader([this] { ReadAnswers(); });
    WriteBatches();
    reader.join();
    stream_->Finish();
    // Nobody answers these any more.
    absl::MutexLock lock(&mutex_);
    for (const auto& [id, item] : in_flight_) source_.NoteFailure(id, item.values, "");
  }

 private:
  void WriteBatches() {
    while (!task_.stop && WaitForRoom()) {
      naru::v1::ProduceStreamRequest request;
      {
        absl::MutexLock lock(&mutex_);
        const Item item = source_.Next(/*by_key=*/false, *request.mutable_produce());
        request.set_id(item.id);
        in_flight_.emplace(item.id, item);
      }
      if (!stream_->Write(request)) return;
    }
    stream_->WritesDone();
  }

  // False: the stream is over.
  bool WaitForRoom() {
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(
        +[](StreamRun* run)
             ABSL_NO_THREAD_SAFETY_ANALYSIS { return run->ended_ || run->in_flight_.size() < kInFlightMax; },
        this));
    return !ended_;
  }

  void ReadAnswers() {
    naru::v1::ProduceStreamResponse response;
    while (stream_->Read(&response)) {
      absl::MutexLock lock(&mutex_);
      for (const auto& result : response.results()) {
        auto found = in_flight_.find(result.id());
        if (found == in_flight_.end()) continue;
        if (result.has_error()) {
          source_.NoteFailure(result.id(), found->second.values, result.error().reason());
          ended_ = true;
        } else if (!source_.Settle(found->second, result.results())) {
          ended_ = true;
        }
        in_flight_.erase(found);
      }
    }
    absl::MutexLock lock(&mutex_);
    ended_ = true;
  }

  const ProducerTask& task_;
  Source& source_;
  const std::unique_ptr<naru::v1::ProduceService::Stub> stub_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<naru::v1::ProduceStreamRequest, naru::v1::ProduceStreamResponse>>
      stream_;
  absl::Mutex mutex_;  // also for source_ while the stream runs
  std::map<int64_t, Item> in_flight_ ABSL_GUARDED_BY(mutex_);
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace

void RunStreamProducer(const ProducerTask& task) {
  Source source(task);
  while (auto channel = task.hub.Connect()) StreamRun(task, source, std::move(channel)).Run();
}

void RunUnaryProducer(const ProducerTask& task) {
  Source source(task);
  bool by_key = false;
  while (auto channel = task.hub.Connect()) {
    auto stub = naru::v1::ProduceService::NewStub(channel);
    grpc::Status status;
    while (!task.stop && status.ok()) {
      ProduceRequest request;
      ProduceResponse response;
      grpc::ClientContext context;
      context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
      by_key = !by_key;
      const Item item = source.Next(by_key, request);
      status = stub->Produce(&context, request, &response);
      if (status.ok()) {
        source.Settle(item, response.results());
        continue;
      }
      const auto& trailers = context.GetServerTrailingMetadata();
      const auto reason = trailers.find("naru-reason");
      source.NoteFailure(item.id, item.values,
                         reason == trailers.end()
                             ? std::string_view()
                             : std::string_view(reason->second.data(), reason->second.size()));
      if (status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED) source.NewOrder();
    }
  }
}

}  // namespace naru::crash
