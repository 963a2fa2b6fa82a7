#include "tools/bench/batch_pool.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "storage/batch/wire.h"

namespace naru::bench {
namespace {

// Field numbers of proto/naru/v1/types.proto and produce.proto.
constexpr uint32_t kRecordKey = 1;
constexpr uint32_t kRecordValue = 2;
constexpr uint32_t kBatchRecords = 15;
constexpr uint32_t kRequestTopic = 1;
constexpr uint32_t kRequestPartition = 2;
constexpr uint32_t kRequestAcks = 4;
constexpr uint32_t kRequestBatch = 15;
constexpr uint32_t kStreamId = 1;
constexpr uint32_t kStreamProduce = 15;

constexpr int64_t kPoolBytes = 16 << 20;
constexpr int64_t kRecordsPerKey = 4;

void AppendLengthTag(std::string& to, uint32_t field, size_t length) {
  wire::AppendVarint(to, wire::Tag(field, wire::Type::kLength));
  wire::AppendVarint(to, length);
}

// A ProduceRequest up to its batch's bytes from the pool.
std::string RequestHead(const ProduceTarget& target, size_t batch_bytes) {
  std::string stamp;
  if (target.producer) AppendStampField(stamp, *target.producer);
  std::string head;
  wire::AppendBytesField(head, kRequestTopic, target.topic);
  wire::AppendVarintField(head, kRequestPartition, static_cast<uint64_t>(target.partition));
  wire::AppendVarintField(head, kRequestAcks, static_cast<uint64_t>(target.acks));
  AppendLengthTag(head, kRequestBatch, stamp.size() + batch_bytes);
  head += stamp;
  return head;
}

grpc::ByteBuffer StreamBuffer(int64_t id, const ProduceTarget& target, const grpc::Slice& batch) {
  const std::string inner = RequestHead(target, batch.size());
  std::string head;
  wire::AppendVarintField(head, kStreamId, static_cast<uint64_t>(id));
  AppendLengthTag(head, kStreamProduce, inner.size() + batch.size());
  head += inner;
  const grpc::Slice slices[] = {grpc::Slice(head), batch};
  return grpc::ByteBuffer(slices, 2);
}

}  // namespace

std::string HalfRandom(size_t size, std::mt19937_64& random) {
  std::string bytes(size, 'n');
  for (size_t i = 0; i < size / 2; i += sizeof(uint64_t)) {
    const uint64_t word = random();
    std::memcpy(bytes.data() + i, &word, std::min(sizeof(word), size / 2 - i));
  }
  return bytes;
}

absl::StatusOr<BatchPool> BatchPool::Make(const BatchShape& shape) {
  if (shape.record_bytes < static_cast<int64_t>(kStampBytes)) {
    return absl::InvalidArgumentError(
        absl::StrCat("record bytes: ", shape.record_bytes, " is not allowed; at least ", kStampBytes));
  }
  BatchPool pool;
  pool.records_per_batch_ = std::max<int64_t>(1, shape.batch_bytes / shape.record_bytes);
  pool.payload_bytes_ = pool.records_per_batch_ * shape.record_bytes;
  const int64_t count = std::max(std::clamp<int64_t>(kPoolBytes / pool.payload_bytes_, 4, 256),
                                 kRecordsPerKey * shape.keys / pool.records_per_batch_);
  std::mt19937_64 random(42);
  for (int64_t i = 0; i < count; ++i) {
    BatchBuilder builder;
    size_t position = 0;
    for (int64_t n = 0; n < pool.records_per_batch_; ++n) {
      std::string record;
      if (shape.keys > 0) {
        wire::AppendBytesField(record, kRecordKey,
                               absl::StrCat("key-", random() % static_cast<uint64_t>(shape.keys)));
      }
      wire::AppendBytesField(record, kRecordValue,
                             HalfRandom(static_cast<size_t>(shape.record_bytes), random));
      position +=
          wire::VarintSize(wire::Tag(kBatchRecords, wire::Type::kLength)) + wire::VarintSize(record.size());
      position += record.size();
      if (i == 0) pool.value_positions_.push_back(position - static_cast<size_t>(shape.record_bytes));
      builder.AddRaw(record);
    }
    auto batch = builder.Finish(shape.codec);
    if (!batch.ok()) return batch.status();
    pool.batches_.emplace_back(std::string(*batch));
  }
  return pool;
}

grpc::ByteBuffer BatchPool::Request(const ProduceTarget& target, uint64_t turn) const {
  const grpc::Slice& batch = batches_[turn % batches_.size()];
  const grpc::Slice slices[] = {grpc::Slice(RequestHead(target, batch.size())), batch};
  return grpc::ByteBuffer(slices, 2);
}

grpc::ByteBuffer BatchPool::StreamRequest(int64_t id, const ProduceTarget& target, uint64_t turn) const {
  return StreamBuffer(id, target, batches_[turn % batches_.size()]);
}

grpc::ByteBuffer BatchPool::StampedStreamRequest(int64_t id, const ProduceTarget& target, uint64_t turn,
                                                 int64_t stamp_ns) const {
  const grpc::Slice& batch = batches_[turn % batches_.size()];
  std::string bytes(reinterpret_cast<const char*>(batch.begin()), batch.size());
  for (size_t position : value_positions_) std::memcpy(bytes.data() + position, &stamp_ns, kStampBytes);
  return StreamBuffer(id, target, grpc::Slice(bytes));
}

int64_t BatchPool::StampOf(std::string_view value) {
  int64_t stamp_ns = 0;
  if (value.size() >= kStampBytes) std::memcpy(&stamp_ns, value.data(), kStampBytes);
  return stamp_ns;
}

}  // namespace naru::bench
