#include "tools/bench/peers/rdkafka_client.h"

#include <chrono>
#include <thread>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "tools/bench/process_stats.h"

namespace naru::bench {
namespace {

constexpr int64_t kCreateNsMax = 60'000'000'000;
constexpr int kCallMsMax = 10'000;

void Pause() { std::this_thread::sleep_for(std::chrono::milliseconds(2)); }

absl::StatusOr<RdKafka> Open(rd_kafka_type_t type, const std::string& server, const RdKafkaOptions& options,
                             DeliveryCallback delivered, void* opaque) {
  // A broker that just starts is found at once, not after the usual pauses.
  RdKafkaOptions all = {{"bootstrap.servers", server},
                        {"reconnect.backoff.ms", "2"},
                        {"reconnect.backoff.max.ms", "20"},
                        {"socket.nagle.disable", "true"},
                        {"log_level", "3"}};
  all.insert(all.end(), options.begin(), options.end());
  rd_kafka_conf_t* conf = rd_kafka_conf_new();
  char error[512];
  for (const auto& [name, value] : all) {
    if (rd_kafka_conf_set(conf, name.c_str(), value.c_str(), error, sizeof(error)) != RD_KAFKA_CONF_OK) {
      rd_kafka_conf_destroy(conf);
      return absl::InvalidArgumentError(error);
    }
  }
  if (delivered) rd_kafka_conf_set_dr_msg_cb(conf, delivered);
  rd_kafka_conf_set_opaque(conf, opaque);
  RdKafka handle(rd_kafka_new(type, conf, error, sizeof(error)));
  if (handle) return handle;
  rd_kafka_conf_destroy(conf);
  return absl::UnavailableError(error);
}

absl::Status ToStatus(rd_kafka_resp_err_t error, const char* text) {
  if (error == RD_KAFKA_RESP_ERR_NO_ERROR) return absl::OkStatus();
  return absl::UnavailableError(
      absl::StrCat("create topic: ", rd_kafka_err2name(error), ": ", text ? text : ""));
}

// Asks once.
absl::Status AskForTopic(rd_kafka_t* client, const RdKafkaTopicShape& shape) {
  char error[512];
  rd_kafka_NewTopic_t* topic = rd_kafka_NewTopic_new(shape.name.c_str(), shape.partitions,
                                                     /*replication_factor=*/-1, error, sizeof(error));
  if (!topic) return absl::InvalidArgumentError(error);
  const auto destroy_topic = absl::MakeCleanup([&] { rd_kafka_NewTopic_destroy(topic); });
  if (shape.fsync) rd_kafka_NewTopic_set_config(topic, "flush.messages", "1");
  const RdKafkaQueue queue(rd_kafka_queue_new(client));
  rd_kafka_CreateTopics(client, &topic, 1, nullptr, queue.get());
  rd_kafka_event_t* event = rd_kafka_queue_poll(queue.get(), kCallMsMax);
  if (!event) return absl::DeadlineExceededError("create topic: no answer");
  const auto destroy_event = absl::MakeCleanup([&] { rd_kafka_event_destroy(event); });
  if (absl::Status status = ToStatus(rd_kafka_event_error(event), rd_kafka_event_error_string(event));
      !status.ok()) {
    return status;
  }
  size_t count = 0;
  const rd_kafka_topic_result_t** results =
      rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &count);
  if (count != 1) return absl::InternalError("create topic: an answer without the topic");
  // An earlier attempt whose answer was lost.
  if (rd_kafka_topic_result_error(results[0]) == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
    return absl::OkStatus();
  return ToStatus(rd_kafka_topic_result_error(results[0]), rd_kafka_topic_result_error_string(results[0]));
}

bool HasLeaders(rd_kafka_t* client, const RdKafkaTopicShape& shape) {
  const RdKafkaTopic topic(rd_kafka_topic_new(client, shape.name.c_str(), nullptr));
  const rd_kafka_metadata_t* metadata = nullptr;
  if (rd_kafka_metadata(client, 0, topic.get(), &metadata, kCallMsMax) != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return false;
  }
  int leaders = 0;
  for (int i = 0; i < metadata->topic_cnt; ++i) {
    const rd_kafka_metadata_topic_t& one = metadata->topics[i];
    for (int p = 0; p < one.partition_cnt; ++p) leaders += one.partitions[p].leader >= 0 ? 1 : 0;
  }
  rd_kafka_metadata_destroy(metadata);
  return leaders == shape.partitions;
}

}  // namespace

absl::StatusOr<RdKafka> OpenProducer(const std::string& server, const RdKafkaOptions& options,
                                     DeliveryCallback delivered, void* opaque) {
  return Open(RD_KAFKA_PRODUCER, server, options, delivered, opaque);
}

absl::StatusOr<RdKafka> OpenConsumer(const std::string& server, const RdKafkaOptions& options) {
  return Open(RD_KAFKA_CONSUMER, server, options, nullptr, nullptr);
}

absl::Status CreateTopic(const std::string& server, const RdKafkaTopicShape& shape) {
  auto client = OpenProducer(server, {}, nullptr, nullptr);
  if (!client.ok()) return client.status();
  const int64_t deadline = NowNs() + kCreateNsMax;
  for (;;) {
    const absl::Status status = AskForTopic(client->get(), shape);
    if (status.ok()) break;
    if (NowNs() > deadline) return status;
    Pause();
  }
  while (!HasLeaders(client->get(), shape)) {
    if (NowNs() > deadline) return absl::DeadlineExceededError("create topic: partitions without leaders");
    // An answer grows with the partitions, and so does what it costs the broker that is making them.
    for (int i = 0; i < shape.partitions; i += 20) Pause();
  }
  return absl::OkStatus();
}

}  // namespace naru::bench
