// Reads from Kafka with librdkafka, without a consumer group.
#pragma once

#include <atomic>
#include <string>
#include <thread>

#include "absl/status/statusor.h"
#include "tools/bench/load.h"
#include "tools/bench/peers/rdkafka_client.h"

namespace naru::bench {

struct RdKafkaReadLoad {
  std::string server;
  std::string topic;
  int partitions = 16;
  // Records of each partition.
  int64_t end_offset = 0;
  // Each with its own connection and thread, and its share of the partitions.
  int consumers = 2;
};

// Every partition from its beginning to its end, and again until the window is over.
absl::StatusOr<Tally> RunRdKafkaRead(const RdKafkaReadLoad& load, const Window& window);

// Reads a new topic at its end from construction to Finish, in a thread of its own, and takes the time from
// the stamps (BatchPool::StampOf) to the records' arrival, of those stamped within the window.
class RdKafkaTailReader {
 public:
  RdKafkaTailReader(RdKafka consumer, const std::string& topic, int partitions, const Window& window);
  ~RdKafkaTailReader();
  // Ends the reading when nothing has come for half a second, so that what is late counts too.
  Tally Finish();

 private:
  void Read();

  const int partitions_;
  const Window window_;
  RdKafka consumer_;
  RdKafkaTopic topic_;
  RdKafkaQueue queue_;
  Tally tally_;
  std::atomic<int64_t> last_ns_{0};
  std::atomic<bool> done_{false};
  std::thread thread_;
};

}  // namespace naru::bench
