#include "clients/cpp/errors.h"

#include <gtest/gtest.h>

#include "google/rpc/error.pb.h"

namespace naru::client {
namespace {

TEST(Errors, AnErrorInfoBecomesTheReasonWithItsMetadata) {
  google::rpc::ErrorInfo info;
  info.set_reason("OFFSET_OUT_OF_RANGE");
  info.set_domain("naru");
  (*info.mutable_metadata())["log_start_offset"] = "17";
  google::rpc::Status rich;
  auto* any = rich.add_details();
  any->set_type_url("type.googleapis.com/google.rpc.ErrorInfo");
  any->set_value(info.SerializeAsString());
  grpc::ClientContext context;
  const absl::Status status = FromGrpcStatus(
      grpc::Status(grpc::StatusCode::OUT_OF_RANGE, "offset: 3 is gone", rich.SerializeAsString()), context);
  EXPECT_EQ(ReasonOf(status), Reason::kOffsetOutOfRange);
  EXPECT_EQ(status.message(), "offset: 3 is gone");
  EXPECT_EQ(MetadataValue(status, "log_start_offset"), "17");
}

TEST(Errors, DetailsThatAreNotAStatusLeaveCodeAndMessage) {
  grpc::ClientContext context;
  const absl::Status status =
      FromGrpcStatus(grpc::Status(grpc::StatusCode::NOT_FOUND, "gone", "\xff\xff\xff"), context);
  EXPECT_TRUE(absl::IsNotFound(status));
  EXPECT_EQ(ReasonOf(status), std::nullopt);
}

TEST(Errors, AnErrorInsideAnAnswerKeepsItsReason) {
  naru::v1::Error error;
  error.set_code(14);
  error.set_reason("STORAGE_FULL");
  error.set_message("the disk is nearly full");
  const absl::Status status = FromError(error);
  EXPECT_EQ(ReasonOf(status), Reason::kStorageFull);
  EXPECT_TRUE(absl::IsUnavailable(status));
}

TEST(Errors, AReasonOfANewerBrokerLeavesCodeAndMessage) {
  naru::v1::Error error;
  error.set_code(9);
  error.set_reason("MOON_IN_WRONG_PHASE");
  error.set_message("wait");
  EXPECT_TRUE(absl::IsFailedPrecondition(FromError(error)));
  EXPECT_FALSE(IsTransient(FromError(error)));
  EXPECT_FALSE(IsOutcomeUnknown(FromError(error)));
}

TEST(Errors, AnErrorWithoutACodeIsStillAnError) { EXPECT_FALSE(FromError(naru::v1::Error()).ok()); }

TEST(Errors, ReasonsThatSayNothingWasDoneMayBeTriedAgain) {
  for (Reason reason :
       {Reason::kNoLeader, Reason::kNotEnoughReplicas, Reason::kStorageFull, Reason::kShuttingDown,
        Reason::kTooManyInFlight, Reason::kStaleLeaderEpoch, Reason::kStreamItemSkipped}) {
    EXPECT_TRUE(IsTransient(MakeError(reason, "x"))) << ReasonName(reason);
    EXPECT_FALSE(IsOutcomeUnknown(MakeError(reason, "x"))) << ReasonName(reason);
  }
  for (Reason reason : {Reason::kRecordTooLarge, Reason::kTopicNotFound, Reason::kExpectedOffsetMismatch,
                        Reason::kMalformedBatch, Reason::kLeaderChanged, Reason::kInternal}) {
    EXPECT_FALSE(IsTransient(MakeError(reason, "x"))) << ReasonName(reason);
  }
}

TEST(Errors, ABrokenConnectionOrADeadlineLeavesTheOutcomeUnknown) {
  EXPECT_TRUE(IsOutcomeUnknown(absl::UnavailableError("socket closed")));
  EXPECT_TRUE(IsOutcomeUnknown(absl::DeadlineExceededError("late")));
  EXPECT_TRUE(IsOutcomeUnknown(absl::CancelledError("by a proxy")));
  EXPECT_TRUE(IsOutcomeUnknown(MakeError(Reason::kLeaderChanged, "x")));
  EXPECT_FALSE(IsOutcomeUnknown(absl::InvalidArgumentError("no")));
  EXPECT_FALSE(IsOutcomeUnknown(absl::OkStatus()));
  EXPECT_FALSE(IsTransient(absl::UnavailableError("socket closed")));
  EXPECT_TRUE(IsReadRetryable(absl::UnavailableError("socket closed")));
}

}  // namespace
}  // namespace naru::client
