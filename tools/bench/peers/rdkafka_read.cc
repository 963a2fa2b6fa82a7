#include "tools/bench/peers/rdkafka_read.h"

#include <chrono>
#include <utility>
#include <vector>

#include "tools/bench/batch_pool.h"
#include "tools/bench/process_stats.h"

namespace naru::bench {
namespace {

constexpr int kPollMs = 20;
constexpr int64_t kQuietNs = 500'000'000;
constexpr size_t kMessagesMax = 10'000;

RdKafkaOptions ThroughputOptions() {
  return {{"fetch.message.max.bytes", "4194304"},
          {"fetch.max.bytes", "67108864"},
          {"queued.min.messages", "1000000"},
          {"queued.max.messages.kbytes", "262144"}};
}

void Start(rd_kafka_topic_t* topic, int first, int partitions, int step, rd_kafka_queue_t* queue) {
  for (int i = first; i < partitions; i += step) {
    rd_kafka_consume_start_queue(topic, i, RD_KAFKA_OFFSET_BEGINNING, queue);
  }
}

void Stop(rd_kafka_topic_t* topic, int first, int partitions, int step) {
  for (int i = first; i < partitions; i += step) rd_kafka_consume_stop(topic, i);
}

// One consumer of RunRdKafkaRead, with every `consumers`-th partition from `first` on.
absl::StatusOr<Tally> ReadShare(const RdKafkaReadLoad& load, int first, const Window& window) {
  auto consumer = OpenConsumer(load.server, ThroughputOptions());
  if (!consumer.ok()) return consumer.status();
  const RdKafkaTopic topic(rd_kafka_topic_new(consumer->get(), load.topic.c_str(), nullptr));
  const RdKafkaQueue queue(rd_kafka_queue_new(consumer->get()));
  Start(topic.get(), first, load.partitions, load.consumers, queue.get());
  Tally tally;
  std::vector<rd_kafka_message_t*> messages(kMessagesMax);
  for (int64_t now = NowNs(); now < window.end_ns;) {
    const ssize_t count =
        rd_kafka_consume_batch_queue(queue.get(), kPollMs, messages.data(), messages.size());
    now = NowNs();
    for (ssize_t i = 0; i < count; ++i) {
      rd_kafka_message_t* message = messages[static_cast<size_t>(i)];
      if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        tally.Fail(rd_kafka_message_errstr(message));
      } else if (window.Contains(now)) {
        ++tally.records;
        tally.payload_bytes += static_cast<int64_t>(message->len);
      }
      // Partitions go round by themselves, so that none waits for another.
      if (message->offset == load.end_offset - 1) rd_kafka_seek(topic.get(), message->partition, 0, 0);
      rd_kafka_message_destroy(message);
    }
  }
  Stop(topic.get(), first, load.partitions, load.consumers);
  return tally;
}

}  // namespace

absl::StatusOr<Tally> RunRdKafkaRead(const RdKafkaReadLoad& load, const Window& window) {
  std::vector<absl::StatusOr<Tally>> tallies(static_cast<size_t>(load.consumers));
  std::vector<std::thread> threads;
  threads.reserve(tallies.size());
  for (int i = 0; i < load.consumers; ++i) {
    threads.emplace_back(
        [&load, &window, &tallies, i] { tallies[static_cast<size_t>(i)] = ReadShare(load, i, window); });
  }
  for (std::thread& thread : threads) thread.join();
  Tally all;
  for (const auto& tally : tallies) {
    if (!tally.ok()) return tally.status();
    all.Merge(*tally);
  }
  return all;
}

RdKafkaTailReader::RdKafkaTailReader(RdKafka consumer, const std::string& topic, int partitions,
                                     const Window& window)
    : partitions_(partitions),
      window_(window),
      consumer_(std::move(consumer)),
      topic_(rd_kafka_topic_new(consumer_.get(), topic.c_str(), nullptr)),
      queue_(rd_kafka_queue_new(consumer_.get())),
      last_ns_(NowNs()) {
  Start(topic_.get(), 0, partitions_, 1, queue_.get());
  thread_ = std::thread([this] { Read(); });
}

RdKafkaTailReader::~RdKafkaTailReader() {
  done_ = true;
  if (thread_.joinable()) thread_.join();
  Stop(topic_.get(), 0, partitions_, 1);
}

void RdKafkaTailReader::Read() {
  // One at a time: a batch call would wait for its batch to fill.
  while (!done_) {
    rd_kafka_message_t* message = rd_kafka_consume_queue(queue_.get(), kPollMs);
    if (!message) continue;
    const int64_t now = NowNs();
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
      tally_.Fail(rd_kafka_message_errstr(message));
    } else {
      const int64_t intended = BatchPool::StampOf({static_cast<const char*>(message->payload), message->len});
      if (window_.Contains(intended)) {
        ++tally_.records;
        tally_.payload_bytes += static_cast<int64_t>(message->len);
        tally_.end_to_end.Record(now - intended);
      }
      last_ns_ = now;
    }
    rd_kafka_message_destroy(message);
  }
}

Tally RdKafkaTailReader::Finish() {
  while (NowNs() - last_ns_ < kQuietNs) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  done_ = true;
  thread_.join();
  return std::move(tally_);
}

}  // namespace naru::bench
