// How a Producer behaves.
#pragma once

#include <cstdint>
#include <optional>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "clients/cpp/backoff.h"
#include "naru/v1/types.pb.h"
#include "storage/base/ids.h"
#include "storage/batch/batch.h"

namespace naru::client {

struct ProducerOptions {
  // Every record stands in the log once, however often its batch had to be sent: batches carry a stamp by
  // which brokers know them again (KIP-98). Needs at most five in_flight_batches_max. Without effect with
  // acks none, which have no answer that could be lost.
  bool idempotent = true;
  // What an acknowledgement means; unspecified: all.
  naru::v1::Acks acks = naru::v1::ACKS_ALL;
  Codec compression = Codec::kNone;
  // A batch is sent when it has this many bytes of records (before compression) ... A larger record goes
  // alone. 1 to 2,000,000: brokers take 2 MiB by default.
  int64_t batch_bytes = 256 << 10;
  // ... or when its first record has waited this long. 0: at once. While in_flight_batches_max of a partition
  // are under way its next batch goes on filling. 0 to 60 s.
  absl::Duration linger = absl::Milliseconds(5);
  // A record with more bytes than this (key, value, headers, as encoded) is refused by Send with
  // RECORD_TOO_LARGE. Brokers answer for records above their own and the topic's limits, but only while they
  // receive the message at all, which ends at 4 MiB by default: a larger one ends the stream with everything
  // on it. 1 to 67,108,864.
  int64_t record_bytes_max = (4 << 20) - (64 << 10);
  // Batches of one partition sent and not yet answered. 1 to 5 with `idempotent` (brokers remember so many),
  // else to 1,000.
  int in_flight_batches_max = 5;
  // Bytes of records accepted and not yet answered, all partitions together. At least batch_bytes.
  int64_t buffer_bytes_max = 64 << 20;
  // How long Send waits for room in the buffer; 0: it fails at once.
  absl::Duration block_timeout = absl::Seconds(60);
  // How long a record is tried, from Send to its answer. One that is under way then is still waited for, for
  // at most request_timeout. More than 0.
  absl::Duration delivery_timeout = absl::Seconds(120);
  // A broker that answers nothing for so long, while something is under way, is taken for gone: its stream is
  // cancelled, and everything on it has an unknown outcome. More than 0.
  absl::Duration request_timeout = absl::Seconds(30);
  // What to do with batches whose stream broke before they were answered: whether they were appended is
  // unknown.
  //   true:  send them again, in order. Nothing is lost; without `idempotent` records may stand twice.
  //   false: report them as failed with maybe_appended set. At most once: nothing stands twice, but the
  //          application must decide about what was under way.
  bool retry_unknown = true;
  // Between tries of one partition.
  BackoffOptions backoff;
  // The partition that the first keyless record of a topic goes to (modulo the number of partitions); absent:
  // a random one, so that many short-lived producers do not all begin with the same.
  std::optional<PartitionId> rotation_start;
};

// Whether batches are stamped.
inline bool StampsBatches(const ProducerOptions& options) {
  return options.idempotent && options.acks != naru::v1::ACKS_NONE;
}

// INVALID_ARGUMENT naming the option, its value and what is allowed.
absl::Status ValidateProducerOptions(const ProducerOptions& options);

}  // namespace naru::client
