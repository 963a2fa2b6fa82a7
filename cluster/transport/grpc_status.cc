#include "cluster/transport/grpc_status.h"

#include "cluster/metadata/error_message.h"
#include "storage/base/strings.h"

namespace naru::cluster {

grpc::Status ToInternalStatus(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  return {static_cast<grpc::StatusCode>(status.code()), std::string(Std(status.message())),
          ToErrorMessage(status).SerializeAsString()};
}

absl::Status FromGrpcStatus(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  naru::v1::Error error;
  if (!status.error_details().empty() && error.ParseFromString(status.error_details()) &&
      !error.reason().empty()) {
    return FromErrorMessage(error);
  }
  return {static_cast<absl::StatusCode>(status.error_code()), status.error_message()};
}

}  // namespace naru::cluster
