#include "services/produce/produce_request.h"

#include <string_view>

#include "services/rpc/raw_message_reader.h"
#include "storage/base/status.h"

namespace naru::services {
namespace {

using wire::Type;

// Field numbers of proto/naru/v1/produce.proto.
constexpr uint32_t kTopic = 1;
constexpr uint32_t kPartition = 2;
constexpr uint32_t kPartitionKey = 3;
constexpr uint32_t kAcks = 4;
constexpr uint32_t kExpectedOffset = 5;
constexpr uint32_t kLeaderEpoch = 7;
constexpr uint32_t kTopicId = 8;
constexpr uint32_t kBatch = 15;

constexpr uint32_t kStreamId = 1;
constexpr uint32_t kStreamResume = 3;
constexpr uint32_t kStreamProduce = 15;

// A protobuf parser keeps the low 32 bits of what is sent for an int32 or an enum.
int32_t ToInt32(uint64_t value) { return static_cast<int32_t>(static_cast<uint32_t>(value)); }

absl::Status TakeBatch(RawField& field, bool& has_batch, absl::Cord& batch) {
  NARU_RETURN_IF_ERROR(CheckWireType(field, Type::kLength, "batch"));
  if (has_batch) {
    return MakeError(Reason::kMalformedBatch, "batch: it stands twice; a request has one",
                     {{"rule", "duplicate_field"}});
  }
  has_batch = true;
  batch = std::move(field.bytes);
  return absl::OkStatus();
}

absl::Status TakeField(RawField& field, bool& has_batch, RawProduceRequest& request) {
  switch (field.number) {
    case kTopic:
      NARU_RETURN_IF_ERROR(CheckWireType(field, Type::kLength, "topic"));
      request.topic = std::string(field.bytes);
      break;
    case kPartition:
      NARU_RETURN_IF_ERROR(CheckWireType(field, Type::kVarint, "partition"));
      request.partition = ToInt32(field.value);
      request.partition_key.reset();
      break;
    case kPartitionKey:
      NARU_RETURN_IF_ERROR(CheckWireType(field, Type::kLength, "partition_key"));
      request.partition_key = std::string(field.bytes);
      request.partition.reset();
      break;
    case kAcks:
      NARU_RETURN_IF_ERROR(CheckWireType(field, Type::kVarint, "acks"));
      request.acks = ToInt32(field.value);
      break;
    case kExpectedOffset:
      NARU_RETURN_IF_ERROR(CheckWireType(field, Type::kVarint, "expected_offset"));
      request.expected_offset = static_cast<int64_t>(field.value);
      break;
    case kLeaderEpoch:
      NARU_RETURN_IF_ERROR(CheckWireType(field, Type::kVarint, "leader_epoch"));
      request.leader_epoch = ToInt32(field.value);
      break;
    case kTopicId:
      NARU_RETURN_IF_ERROR(CheckWireType(field, Type::kLength, "topic_id"));
      request.topic_id = std::string(field.bytes);
      break;
    case kBatch:
      return TakeBatch(field, has_batch, request.batch);
    default:
      break;
  }
  return absl::OkStatus();
}

absl::Status TwiceError(std::string_view field) {
  return InvalidField(field, "a second one", "an item has one");
}

absl::Status TakeStreamField(RawField& field, RawStreamRequest& request) {
  switch (field.number) {
    case kStreamId:
      NARU_RETURN_IF_ERROR(CheckWireType(field, Type::kVarint, "id"));
      request.id = static_cast<int64_t>(field.value);
      break;
    case kStreamProduce:
      NARU_RETURN_IF_ERROR(CheckWireType(field, Type::kLength, "produce"));
      if (request.produce) return TwiceError("produce");
      request.produce = std::move(field.bytes);
      request.resume.reset();
      break;
    case kStreamResume:
      NARU_RETURN_IF_ERROR(CheckWireType(field, Type::kLength, "resume"));
      if (request.resume) return TwiceError("resume");
      request.resume.emplace();
      if (!request.resume->ParseFromString(std::string(field.bytes))) {
        return InvalidField("resume", "bytes that do not parse", "it must be a naru.v1.Resume");
      }
      request.produce.reset();
      break;
    default:
      break;
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<RawProduceRequest> ParseProduceRequest(const absl::Cord& message) {
  RawMessageReader reader(message, "ProduceRequest");
  RawProduceRequest request;
  bool has_batch = false;
  RawField field;
  while (true) {
    NARU_ASSIGN_OR_RETURN(const bool more, reader.Next(field));
    if (!more) return request;
    NARU_RETURN_IF_ERROR(TakeField(field, has_batch, request));
  }
}

absl::StatusOr<RawStreamRequest> ParseStreamRequest(const absl::Cord& message) {
  RawMessageReader reader(message, "ProduceStreamRequest");
  RawStreamRequest request;
  RawField field;
  while (true) {
    NARU_ASSIGN_OR_RETURN(const bool more, reader.Next(field));
    if (!more) return request;
    NARU_RETURN_IF_ERROR(TakeStreamField(field, request));
  }
}

}  // namespace naru::services
