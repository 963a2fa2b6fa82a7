// Batches made before the clock runs, and requests around them, encoded by hand: what is measured is the hub
// and the transport, not protobuf. Payloads are half random, half repetitive. Immutable after Make;
// thread-safe.
#pragma once

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/slice.h>

#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "storage/batch/batch.h"
#include "storage/batch/producer_stamp.h"

namespace naru::bench {

struct BatchShape {
  // Bytes of a record's value; at least kStampBytes.
  int64_t record_bytes = 1000;
  // Records are added while their values stay within this; at least one.
  int64_t batch_bytes = 64 << 10;
  Codec codec = Codec::kNone;
  // Above 0: records have keys, at random among so many; the pool then has four records for every key. 0:
  // none.
  int64_t keys = 0;
};

// How a batch is to be appended; values of naru.v1.Acks.
struct ProduceTarget {
  std::string topic;
  int32_t partition = 0;
  int acks = 3;
  // Goes before the batch's own bytes.
  std::optional<ProducerStamp> producer;
};

// A payload, one half random and one half not.
std::string HalfRandom(size_t size, std::mt19937_64& random);

class BatchPool {
 public:
  static constexpr size_t kStampBytes = 8;

  static absl::StatusOr<BatchPool> Make(const BatchShape& shape);

  int64_t records_per_batch() const { return records_per_batch_; }
  // Bytes of values in a batch: what throughput is counted in.
  int64_t payload_bytes() const { return payload_bytes_; }

  // A ProduceRequest with one of the batches; `turn` chooses which.
  grpc::ByteBuffer Request(const ProduceTarget& target, uint64_t turn) const;
  // A ProduceStreamRequest of it.
  grpc::ByteBuffer StreamRequest(int64_t id, const ProduceTarget& target, uint64_t turn) const;
  // The same with every value beginning with `stamp_ns`. Only for uncompressed batches; copies the batch.
  grpc::ByteBuffer StampedStreamRequest(int64_t id, const ProduceTarget& target, uint64_t turn,
                                        int64_t stamp_ns) const;
  // The stamp of a value of such a batch, 0 when it has none.
  static int64_t StampOf(std::string_view value);

 private:
  BatchPool() = default;

  std::vector<grpc::Slice> batches_;
  // Where each record's value begins in an uncompressed batch.
  std::vector<size_t> value_positions_;
  int64_t records_per_batch_ = 0;
  int64_t payload_bytes_ = 0;
};

}  // namespace naru::bench
