// The hand-written parsers of produce requests against protobuf's own, for any bytes in any chunks.
//   What protobuf refuses, they refuse, unless only the batch or the embedded request is broken, which they
//   do not look into. What they refuse and protobuf takes breaks one of the rules that produce_request.h
//   adds. What both take has the same meaning.
#include <google/protobuf/io/coded_stream.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/strings/cord.h"
#include "naru/v1/produce.pb.h"
#include "services/produce/produce_request.h"
#include "services/rpc/raw_message_reader.h"
#include "storage/base/check.h"
#include "storage/base/status.h"

namespace naru::services {
namespace {

// `bytes` in chunks of up to `chunk_bytes`.
absl::Cord InChunks(std::string_view bytes, size_t chunk_bytes) {
  absl::Cord cord;
  for (size_t at = 0; at < bytes.size(); at += chunk_bytes) {
    const std::string_view piece = bytes.substr(at, chunk_bytes);
    cord.Append(absl::MakeCordFromExternal(absl::string_view(piece.data(), piece.size()), [] {}));
  }
  return cord;
}

std::string Serialized(const google::protobuf::MessageLite& message) {
  std::string bytes;
  NARU_CHECK(message.SerializePartialToString(&bytes));
  return bytes;
}

// A refusal names what is wrong.
void CheckRefusal(const absl::Status& status) {
  const std::optional<Reason> reason = ReasonOf(status);
  NARU_CHECK(reason == Reason::kInvalidField || reason == Reason::kMalformedBatch);
  NARU_CHECK(!status.message().empty());
}

void CompareProduce(const RawProduceRequest& raw, const naru::v1::ProduceRequest& message) {
  NARU_CHECK(raw.topic == message.topic());
  NARU_CHECK(raw.topic_id == message.topic_id());
  NARU_CHECK(raw.partition.has_value() == message.has_partition());
  NARU_CHECK(raw.partition.value_or(0) == message.partition());
  NARU_CHECK(raw.partition_key.has_value() == message.has_partition_key());
  NARU_CHECK(raw.partition_key.value_or("") == message.partition_key());
  NARU_CHECK(raw.acks == static_cast<int>(message.acks()));
  NARU_CHECK(raw.expected_offset.has_value() == message.has_expected_offset());
  NARU_CHECK(raw.expected_offset.value_or(0) == message.expected_offset());
  naru::v1::RecordBatch batch;
  NARU_CHECK(batch.ParseFromString(std::string(raw.batch)));
  NARU_CHECK(Serialized(batch) == Serialized(message.batch()));
}

// Whether protobuf takes `bytes` as a message that stands one level down in another.
bool ParsesEmbedded(const std::string& bytes, google::protobuf::MessageLite& message) {
  google::protobuf::io::CodedInputStream input(reinterpret_cast<const uint8_t*>(bytes.data()),
                                               static_cast<int>(bytes.size()));
  input.SetRecursionLimit(99);
  return message.ParseFromCodedStream(&input) && input.ConsumedEntireMessage();
}

// A ProduceRequest is broken in what the hand-written parser takes as it is.
bool HasBrokenContents(const absl::Cord& cord) {
  RawMessageReader reader(cord, "ProduceRequest");
  RawField field;
  while (*reader.Next(field)) {
    const std::string bytes(field.bytes);
    const auto size = static_cast<int>(bytes.size());
    if (field.number == 1 && !google::protobuf::internal::IsStructurallyValidUTF8(bytes.data(), size)) {
      return true;
    }
    naru::v1::RecordBatch batch;
    if (field.number == 15 && !ParsesEmbedded(bytes, batch)) return true;
  }
  return false;
}

// A ProduceStreamRequest has a request that is broken, perhaps one that a later field replaced.
bool HasBrokenRequest(const absl::Cord& cord) {
  RawMessageReader reader(cord, "ProduceStreamRequest");
  RawField field;
  while (*reader.Next(field)) {
    naru::v1::ProduceRequest request;
    if (field.number == 15 && !ParsesEmbedded(std::string(field.bytes), request)) return true;
  }
  return false;
}

void CheckProduce(const absl::Cord& cord, const std::string& bytes) {
  const absl::StatusOr<RawProduceRequest> raw = ParseProduceRequest(cord);
  naru::v1::ProduceRequest message;
  const bool parsed = message.ParseFromString(bytes);
  if (!raw.ok()) return CheckRefusal(raw.status());
  if (parsed) return CompareProduce(*raw, message);
  NARU_CHECK(HasBrokenContents(cord));
}

void CheckStream(const absl::Cord& cord, const std::string& bytes) {
  const absl::StatusOr<RawStreamRequest> raw = ParseStreamRequest(cord);
  naru::v1::ProduceStreamRequest message;
  const bool parsed = message.ParseFromString(bytes);
  if (!raw.ok()) return CheckRefusal(raw.status());
  if (!parsed) {
    NARU_CHECK(HasBrokenRequest(cord));
    return;
  }
  NARU_CHECK(raw->id == message.id());
  NARU_CHECK(raw->produce.has_value() == message.has_produce());
  NARU_CHECK(raw->resume.has_value() == message.has_resume());
  if (raw->resume) NARU_CHECK(Serialized(*raw->resume) == Serialized(message.resume()));
  if (!raw->produce) return;
  CheckProduce(*raw->produce, std::string(*raw->produce));
}

}  // namespace
}  // namespace naru::services

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1) return 0;
  // The first byte says how the rest comes in chunks.
  const size_t chunk_bytes = data[0] % 2 == 0 ? size : size_t{1} + data[0] / 8;
  const std::string bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const absl::Cord cord = naru::services::InChunks(bytes, chunk_bytes);
  naru::services::CheckProduce(cord, bytes);
  naru::services::CheckStream(cord, bytes);
  return 0;
}
