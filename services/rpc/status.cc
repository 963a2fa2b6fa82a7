#include "services/rpc/status.h"

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "absl/strings/ascii.h"
#include "google/rpc/error.pb.h"
#include "storage/base/status.h"
#include "storage/base/strings.h"

namespace naru::services {
namespace {

constexpr std::string_view kDomain = "naru";
constexpr int64_t kMessageBytesMax = 1024;
// What all trailers of this file may add up to on the wire, names and gRPC's own overhead included.
constexpr int64_t kTrailerBytesMax = 4096;
// HTTP/2 counts this much for each header beside its name and value.
constexpr int64_t kHeaderOverheadBytes = 32;
constexpr std::string_view kReasonTrailer = "naru-reason";
constexpr std::string_view kDetailsTrailer = "grpc-status-details-bin";

struct Cause {
  Reason reason = Reason::kInternal;
  std::string message;
  ErrorMetadata metadata;
};

// Length of the UTF-8 sequence at the front of `text`, 0 when there is none.
size_t Utf8Length(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return 1;
  const size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < length) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  if ((lead == 0xe0 && byte(1) < 0xa0) || (lead == 0xed && byte(1) > 0x9f) ||
      (lead == 0xf0 && byte(1) < 0x90) || (lead == 0xf4 && byte(1) > 0x8f)) {
    return 0;
  }
  return length;
}

// grpc-message is percent-encoded: everything but printable ASCII takes three bytes.
int64_t EncodedBytes(std::string_view character) {
  const bool plain = character.size() == 1 && absl::ascii_isprint(character[0]) && character[0] != '%';
  return plain ? 1 : static_cast<int64_t>(3 * character.size());
}

// Valid UTF-8 (bytes that are not become '?'), cut so that it takes at most `encoded_bytes_max`
// percent-encoded.
std::string CleanText(std::string_view text, int64_t encoded_bytes_max) {
  std::string clean;
  int64_t encoded_bytes = 0;
  while (!text.empty()) {
    const size_t length = Utf8Length(text);
    const std::string_view character = length == 0 ? std::string_view("?") : text.substr(0, length);
    encoded_bytes += EncodedBytes(character);
    if (encoded_bytes > encoded_bytes_max) break;
    clean += character;
    text.remove_prefix(length == 0 ? 1 : length);
  }
  return clean;
}

Cause CauseOf(const absl::Status& status) {
  const std::optional<Reason> reason = ReasonOf(status);
  return {reason.value_or(Reason::kInternal), CleanText(Std(status.message()), kMessageBytesMax),
          MetadataOf(status)};
}

std::optional<std::chrono::milliseconds> RetryDelay(Reason reason) {
  switch (CanonicalCode(reason)) {
    case absl::StatusCode::kResourceExhausted:
      return std::chrono::milliseconds(100);
    case absl::StatusCode::kUnavailable:
      return std::chrono::milliseconds(1'000);
    default:
      return std::nullopt;
  }
}

int64_t HeaderBytes(std::string_view name, int64_t value_bytes) {
  return kHeaderOverheadBytes + static_cast<int64_t>(name.size()) + value_bytes;
}

// Of the value of a -bin trailer, base64.
int64_t DetailsBytes(const google::rpc::Status& details) {
  return HeaderBytes(kDetailsTrailer, (static_cast<int64_t>(details.ByteSizeLong()) + 2) / 3 * 4);
}

// The standard details, with as much of the metadata as fits into `bytes_max`, in order.
google::rpc::Status MakeDetails(const Cause& cause, int64_t bytes_max) {
  google::rpc::ErrorInfo info;
  info.set_reason(std::string(ReasonName(cause.reason)));
  info.set_domain(std::string(kDomain));

  google::rpc::Status details;
  details.set_code(static_cast<int>(CanonicalCode(cause.reason)));
  details.set_message(cause.message);
  google::protobuf::Any* packed_info = details.add_details();
  packed_info->PackFrom(info);
  if (const auto delay = RetryDelay(cause.reason)) {
    google::rpc::RetryInfo retry;
    retry.mutable_retry_delay()->set_seconds(delay->count() / 1'000);
    retry.mutable_retry_delay()->set_nanos(static_cast<int32_t>(delay->count() % 1'000) * 1'000'000);
    details.add_details()->PackFrom(retry);
  }
  for (const auto& [key, value] : cause.metadata) {
    const std::string clean_key = CleanText(key, kMessageBytesMax);
    (*info.mutable_metadata())[clean_key] = CleanText(value, kTrailerBytesMax);
    packed_info->PackFrom(info);
    if (DetailsBytes(details) <= bytes_max) continue;
    info.mutable_metadata()->erase(clean_key);
    packed_info->PackFrom(info);
  }
  return details;
}

}  // namespace

grpc::Status ToGrpcStatus(const absl::Status& status, grpc::ServerContextBase& context) {
  if (status.ok()) return grpc::Status::OK;
  const Cause cause = CauseOf(status);
  int64_t used_bytes = HeaderBytes("grpc-status", 2) + HeaderBytes("grpc-message", kMessageBytesMax);
  const std::string reason(ReasonName(cause.reason));
  context.AddTrailingMetadata(std::string(kReasonTrailer), reason);
  used_bytes += HeaderBytes(kReasonTrailer, static_cast<int64_t>(reason.size()));
  const google::rpc::Status details = MakeDetails(cause, kTrailerBytesMax - used_bytes);
  return grpc::Status(static_cast<grpc::StatusCode>(CanonicalCode(cause.reason)), cause.message,
                      details.SerializeAsString());
}

naru::v1::Error ToError(const absl::Status& status) {
  naru::v1::Error error;
  if (status.ok()) return error;
  const Cause cause = CauseOf(status);
  error.set_code(static_cast<int>(CanonicalCode(cause.reason)));
  error.set_reason(std::string(ReasonName(cause.reason)));
  error.set_message(cause.message);
  for (const auto& [key, value] : cause.metadata) {
    (*error.mutable_metadata())[CleanText(key, kMessageBytesMax)] = CleanText(value, kMessageBytesMax);
  }
  return error;
}

}  // namespace naru::services
