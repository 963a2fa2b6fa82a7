// What a client without google.rpc stubs, and one with them, sees of a failed call.
#pragma once

#include <grpcpp/grpcpp.h>

#include <map>
#include <string>

#include "google/rpc/error.pb.h"
#include "gtest/gtest.h"

namespace naru::services {

// The reason, which the plain trailer and the ErrorInfo must agree on; "" when there is none.
inline std::string ReasonSeen(const grpc::ClientContext& context, const grpc::Status& status,
                              std::map<std::string, std::string>* metadata = nullptr) {
  const auto& trailers = context.GetServerTrailingMetadata();
  const auto plain = trailers.find("naru-reason");
  EXPECT_LE(trailers.count("naru-reason"), 1u);
  google::rpc::Status details;
  google::rpc::ErrorInfo info;
  EXPECT_TRUE(details.ParseFromString(status.error_details()));
  if (details.details_size() > 0) {
    EXPECT_TRUE(details.details(0).UnpackTo(&info));
    EXPECT_EQ(details.code(), static_cast<int>(status.error_code()));
    EXPECT_EQ(details.message(), status.error_message());
    EXPECT_EQ(info.domain(), "naru");
  }
  const std::string reason =
      plain == trailers.end() ? "" : std::string(plain->second.data(), plain->second.size());
  EXPECT_EQ(reason, info.reason());
  if (metadata != nullptr) metadata->insert(info.metadata().begin(), info.metadata().end());
  return reason;
}

}  // namespace naru::services
