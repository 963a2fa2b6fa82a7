#include "tools/bench/peers/rdkafka_produce.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <thread>

#include "absl/strings/str_cat.h"
#include "tools/bench/peers/rdkafka_client.h"
#include "tools/bench/process_stats.h"

namespace naru::bench {
namespace {

constexpr int64_t kPoolBytes = 16 << 20;
// What a record takes in a batch beside its value, and a batch beside its records, at most.
constexpr int64_t kRecordOverhead = 40;
constexpr int64_t kBatchOverhead = 128;
// The limit of librdkafka's batch.num.messages that is its default.
constexpr int64_t kBatchRecordsMax = 10'000;
constexpr int64_t kBacklogMax = 100'000;
constexpr int64_t kWakeEveryNs = 50'000;
constexpr int kFlushMsMax = 60'000;

RdKafkaOptions OptionsOf(const RdKafkaProduceLoad& load, int64_t records_per_run) {
  const bool open_loop = load.rate > 0;
  // A full run goes out at once; only what is not full waits for linger.ms. In an open loop whatever is
  // waiting when a request can go joins it.
  const int64_t batch = open_loop ? kBatchRecordsMax : std::min(records_per_run, kBatchRecordsMax);
  const int64_t run_bytes = records_per_run * (load.shape.record_bytes + kRecordOverhead) + kBatchOverhead;
  return {{"acks", absl::StrCat(load.acks)},
          {"linger.ms", absl::StrCat(load.linger_ms)},
          {"batch.num.messages", absl::StrCat(batch)},
          {"batch.size", absl::StrCat(open_loop ? 1'000'000 : run_bytes)},
          {"message.max.bytes", absl::StrCat(std::max<int64_t>(1'000'000, run_bytes + kBatchOverhead))},
          {"queue.buffering.max.messages", absl::StrCat(open_loop ? kBacklogMax : 10'000'000)},
          {"queue.buffering.max.kbytes", "2097151"}};
}

// The values are written by no one while they are on the way, so they are sent from where they are. The last
// record of a run carries when the run was meant to be sent; one partition's records are acknowledged in
// order, so its ack is the run's.
class Run {
 public:
  Run(const RdKafkaProduceLoad& load, const Window& window);
  absl::Status Open();
  absl::Status ClosedLoop();
  absl::Status OpenLoop();
  Tally Take() { return std::move(tally_); }

 private:
  static void Delivered(rd_kafka_t* handle, const rd_kafka_message_t* message, void* opaque);
  void SendRun(int64_t now_ns);
  void SendRecord(int64_t intended_ns);

  const RdKafkaProduceLoad& load_;
  const Window window_;
  const int64_t records_per_run_;
  std::vector<std::string> values_;
  std::vector<rd_kafka_message_t> messages_;
  size_t next_value_ = 0;
  int64_t turn_ = 0;
  int64_t on_the_way_ = 0;  // runs
  Tally tally_;             // written by the thread that polls
  std::atomic<int64_t> refused_{0};
  RdKafka producer_;
  RdKafkaTopic topic_;
};

Run::Run(const RdKafkaProduceLoad& load, const Window& window)
    : load_(load),
      window_(window),
      records_per_run_(std::max<int64_t>(1, load.shape.batch_bytes / load.shape.record_bytes)),
      messages_(static_cast<size_t>(records_per_run_)) {
  std::mt19937_64 random(42);
  const int64_t count = std::max(records_per_run_, kPoolBytes / load.shape.record_bytes);
  for (int64_t i = 0; i < count; ++i) {
    values_.push_back(HalfRandom(static_cast<size_t>(load.shape.record_bytes), random));
  }
}

absl::Status Run::Open() {
  auto producer = OpenProducer(load_.server, OptionsOf(load_, records_per_run_), Delivered, this);
  if (!producer.ok()) return producer.status();
  producer_ = *std::move(producer);
  topic_.reset(rd_kafka_topic_new(producer_.get(), load_.topic.c_str(), nullptr));
  return absl::OkStatus();
}

void Run::Delivered(rd_kafka_t* handle, const rd_kafka_message_t* message, void* opaque) {
  Run& run = *static_cast<Run*>(opaque);
  const int64_t now = NowNs();
  const auto intended_ns = reinterpret_cast<intptr_t>(message->_private);
  if (intended_ns != 0) --run.on_the_way_;
  if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) return run.tally_.Fail(rd_kafka_err2str(message->err));
  if (!run.window_.Contains(now)) return;
  ++run.tally_.records;
  run.tally_.payload_bytes += static_cast<int64_t>(message->len);
  if (intended_ns != 0) run.tally_.latency.Record(now - intended_ns);
}

void Run::SendRun(int64_t now_ns) {
  for (rd_kafka_message_t& message : messages_) {
    std::string& value = values_[next_value_++ % values_.size()];
    message = {};
    message.payload = value.data();
    message.len = value.size();
  }
  // A time where librdkafka keeps a pointer. NOLINTNEXTLINE(performance-no-int-to-ptr)
  messages_.back()._private = reinterpret_cast<void*>(static_cast<intptr_t>(now_ns));
  const auto partition = static_cast<int32_t>(turn_++ % load_.partitions);
  rd_kafka_produce_batch(topic_.get(), partition, 0, messages_.data(), static_cast<int>(messages_.size()));
  ++on_the_way_;
  for (const rd_kafka_message_t& message : messages_) {
    if (message.err != RD_KAFKA_RESP_ERR_NO_ERROR) tally_.Fail(rd_kafka_err2str(message.err));
  }
  if (messages_.back().err != RD_KAFKA_RESP_ERR_NO_ERROR) --on_the_way_;
}

absl::Status Run::ClosedLoop() {
  const auto more = [this] { return load_.runs > 0 ? turn_ < load_.runs : NowNs() < window_.end_ns; };
  while (more()) {
    while (on_the_way_ < load_.depth && more()) SendRun(NowNs());
    rd_kafka_poll(producer_.get(), 100);
  }
  const int64_t deadline = NowNs() + int64_t{kFlushMsMax} * 1'000'000;
  while (on_the_way_ > 0 && NowNs() < deadline) rd_kafka_poll(producer_.get(), 100);
  if (on_the_way_ > 0) return absl::DeadlineExceededError("not everything was answered within a minute");
  return absl::OkStatus();
}

void Run::SendRecord(int64_t intended_ns) {
  std::string& value = values_[next_value_++ % values_.size()];
  std::memcpy(value.data(), &intended_ns, BatchPool::kStampBytes);
  const auto partition = static_cast<int32_t>(turn_++ % load_.partitions);
  // Copied, for the value is stamped anew when its turn comes again.
  const int result =
      rd_kafka_produce(topic_.get(), partition, RD_KAFKA_MSG_F_COPY, value.data(), value.size(), nullptr, 0,
                       // A time where librdkafka keeps a pointer. NOLINTNEXTLINE(performance-no-int-to-ptr)
                       reinterpret_cast<void*>(static_cast<intptr_t>(intended_ns)));
  if (result != 0) ++refused_;
}

absl::Status Run::OpenLoop() {
  std::atomic<bool> done{false};
  std::thread poller([&] {
    while (!done) rd_kafka_poll(producer_.get(), 20);
  });
  const double interval_ns = 1e9 / load_.rate;
  const int64_t begin = NowNs();
  for (int64_t n = 0;; ++n) {
    const int64_t intended = begin + static_cast<int64_t>(static_cast<double>(n) * interval_ns);
    if (intended >= window_.end_ns) break;
    const int64_t wait = intended - NowNs();
    if (wait > 0) std::this_thread::sleep_for(std::chrono::nanoseconds(std::max(wait, kWakeEveryNs)));
    SendRecord(intended);
  }
  const int64_t deadline = NowNs() + int64_t{kFlushMsMax} * 1'000'000;
  while (rd_kafka_outq_len(producer_.get()) > 0 && NowNs() < deadline) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  done = true;
  poller.join();
  if (refused_ > 0) {
    tally_.Fail("overloaded: the broker is slower than the rate");
    tally_.failures = refused_;
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Tally> RunRdKafkaProduce(const RdKafkaProduceLoad& load, const Window& window) {
  Run run(load, window);
  absl::Status status = run.Open();
  if (status.ok()) status = load.rate > 0 ? run.OpenLoop() : run.ClosedLoop();
  if (!status.ok()) return status;
  return run.Take();
}

}  // namespace naru::bench
