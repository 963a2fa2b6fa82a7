#include "clients/cpp/errors.h"

#include <string>

#include "google/rpc/error.pb.h"

namespace naru::client {
namespace {

absl::Status Build(absl::StatusCode code, std::string_view reason_name, const std::string& message,
                   const ErrorMetadata& metadata) {
  const std::optional<Reason> reason = ReasonFromName(reason_name);
  // A broker newer than this program may have given a known reason another code; the code on the wire counts.
  if (!reason || CanonicalCode(*reason) != code) return absl::Status(code, message);
  return MakeError(*reason, message, metadata);
}

std::string Trailer(const grpc::ClientContext& context, const char* name) {
  const auto& trailers = context.GetServerTrailingMetadata();
  const auto found = trailers.find(name);
  return found == trailers.end() ? "" : std::string(found->second.data(), found->second.size());
}

// The first ErrorInfo of naru's domain.
bool FindErrorInfo(const std::string& details, google::rpc::ErrorInfo& info) {
  google::rpc::Status rich;
  if (details.empty() || !rich.ParseFromString(details)) return false;
  for (const auto& any : rich.details()) {
    if (any.type_url().ends_with("/google.rpc.ErrorInfo") && info.ParseFromString(any.value()) &&
        info.domain() == "naru") {
      return true;
    }
  }
  return false;
}

}  // namespace

absl::Status FromGrpcStatus(const grpc::Status& status, const grpc::ClientContext& context) {
  if (status.ok()) return absl::OkStatus();
  std::string reason;
  ErrorMetadata metadata;
  google::rpc::ErrorInfo info;
  if (FindErrorInfo(status.error_details(), info)) {
    reason = info.reason();
    for (const auto& [key, value] : info.metadata()) metadata.emplace_back(key, value);
  } else {
    reason = Trailer(context, "naru-reason");
  }
  return Build(static_cast<absl::StatusCode>(status.error_code()), reason, status.error_message(), metadata);
}

absl::Status FromError(const naru::v1::Error& error) {
  ErrorMetadata metadata;
  for (const auto& [key, value] : error.metadata()) metadata.emplace_back(key, value);
  const auto code =
      error.code() == 0 ? absl::StatusCode::kUnknown : static_cast<absl::StatusCode>(error.code());
  return Build(code, error.reason(), error.message(), metadata);
}

bool IsTransient(const absl::Status& status) {
  const std::optional<Reason> reason = ReasonOf(status);
  if (!reason) return false;
  switch (*reason) {
    case Reason::kNoLeader:
    case Reason::kCoordinatorLoading:
    case Reason::kNotEnoughReplicas:
    case Reason::kStorageFull:
    case Reason::kShuttingDown:
    case Reason::kTooManyInFlight:
    case Reason::kStaleLeaderEpoch:
    case Reason::kStreamItemSkipped:
      return true;
    default:
      return false;
  }
}

bool IsOutcomeUnknown(const absl::Status& status) {
  if (status.ok()) return false;
  if (const std::optional<Reason> reason = ReasonOf(status)) {
    return *reason == Reason::kLeaderChanged || *reason == Reason::kInternal;
  }
  switch (status.code()) {
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kCancelled:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kAborted:
    case absl::StatusCode::kUnknown:
    case absl::StatusCode::kInternal:
      return true;
    default:
      return false;
  }
}

bool IsMessageRefused(const absl::Status& status) {
  return !ReasonOf(status) && (absl::IsResourceExhausted(status) || absl::IsInvalidArgument(status));
}

bool IsReadRetryable(const absl::Status& status) {
  if (const std::optional<Reason> reason = ReasonOf(status)) {
    return IsTransient(status) || *reason == Reason::kLeaderChanged;
  }
  return absl::IsUnavailable(status) || absl::IsCancelled(status);
}

}  // namespace naru::client
