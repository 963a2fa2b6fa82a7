// What the load generator for Kafka needs of librdkafka: handles that end by themselves, options, topics.
#pragma once

#include <librdkafka/rdkafka.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace naru::bench {

struct RdKafkaDeleter {
  void operator()(rd_kafka_t* handle) const { rd_kafka_destroy(handle); }
  void operator()(rd_kafka_topic_t* topic) const { rd_kafka_topic_destroy(topic); }
  void operator()(rd_kafka_queue_t* queue) const { rd_kafka_queue_destroy(queue); }
};
using RdKafka = std::unique_ptr<rd_kafka_t, RdKafkaDeleter>;
using RdKafkaTopic = std::unique_ptr<rd_kafka_topic_t, RdKafkaDeleter>;
using RdKafkaQueue = std::unique_ptr<rd_kafka_queue_t, RdKafkaDeleter>;

// Names and values as in librdkafka's CONFIGURATION.md.
using RdKafkaOptions = std::vector<std::pair<std::string, std::string>>;

// Called for each record on the thread that polls; `opaque` is the handle's.
using DeliveryCallback = void (*)(rd_kafka_t* handle, const rd_kafka_message_t* message, void* opaque);

// INVALID_ARGUMENT names the option that is not allowed.
absl::StatusOr<RdKafka> OpenProducer(const std::string& server, const RdKafkaOptions& options,
                                     DeliveryCallback delivered, void* opaque);
absl::StatusOr<RdKafka> OpenConsumer(const std::string& server, const RdKafkaOptions& options);

struct RdKafkaTopicShape {
  std::string name;
  int partitions = 1;
  // flush.messages=1: each append is fsynced before its answer. Otherwise Kafka's default, no fsync.
  bool fsync = true;
};

// With as many copies as the broker makes by itself (default.replication.factor). Returns when every
// partition has a leader. Asks again while the broker is starting, for up to a minute.
absl::Status CreateTopic(const std::string& server, const RdKafkaTopicShape& shape);

}  // namespace naru::bench
