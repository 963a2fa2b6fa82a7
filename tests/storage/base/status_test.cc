#include "storage/base/status.h"

#include <gtest/gtest.h>

namespace naru {
namespace {

TEST(Status, AnErrorCarriesItsReasonAndMetadata) {
  const absl::Status status = MakeError(Reason::kOffsetOutOfRange, "offset: 9 is not allowed",
                                        {{"log_start_offset", "3"}, {"high_watermark", "7"}});
  EXPECT_EQ(status.code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(status.message(), "offset: 9 is not allowed");
  EXPECT_EQ(ReasonOf(status), Reason::kOffsetOutOfRange);
  EXPECT_EQ(MetadataValue(status, "log_start_offset"), "3");
  EXPECT_EQ(MetadataValue(status, "high_watermark"), "7");
  EXPECT_EQ(MetadataValue(status, "leader"), "");
  EXPECT_EQ(MetadataOf(status).size(), 2u);
}

TEST(Status, MetadataMayBeEmptyOrOdd) {
  const absl::Status status =
      MakeError(Reason::kInvalidField, "m", {{"value", ""}, {"text", "a=b\n\"c\""}, {"", "keyless"}});
  EXPECT_EQ(MetadataOf(status), (ErrorMetadata{{"value", ""}, {"text", "a=b\n\"c\""}, {"", "keyless"}}));
  EXPECT_TRUE(MetadataOf(MakeError(Reason::kInternal, "m")).empty());
}

TEST(Status, OthersHaveNoReason) {
  EXPECT_EQ(ReasonOf(absl::OkStatus()), std::nullopt);
  EXPECT_EQ(ReasonOf(absl::InternalError("x")), std::nullopt);
  EXPECT_TRUE(MetadataOf(absl::InternalError("x")).empty());
}

TEST(Status, EveryReasonHasANameAndACode) {
  int count = 0;
  for (int i = 0; i <= static_cast<int>(Reason::kInternal); ++i) {
    const auto reason = static_cast<Reason>(i);
    EXPECT_EQ(ReasonFromName(ReasonName(reason)), reason) << ReasonName(reason);
    EXPECT_NE(CanonicalCode(reason), absl::StatusCode::kOk);
    if (reason != Reason::kInternal) {
      EXPECT_NE(ReasonName(reason), "INTERNAL") << "number " << i << " is missing from the table";
    }
    ++count;
  }
  EXPECT_GT(count, 20);
  EXPECT_EQ(ReasonFromName("NO_SUCH_REASON"), std::nullopt);
}

TEST(Status, AnInvalidFieldNamesFieldValueAndWhatIsAllowed) {
  const absl::Status status = InvalidField("segment_bytes", "5", "1 MiB to 4 GiB");
  EXPECT_EQ(status.message(), "segment_bytes: 5 is not allowed; 1 MiB to 4 GiB");
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(MetadataValue(status, "field"), "segment_bytes");
  EXPECT_EQ(MetadataValue(status, "value"), "5");
}

absl::StatusOr<int> Half(int n) {
  if (n % 2 != 0) return absl::InvalidArgumentError("odd");
  return n / 2;
}
absl::StatusOr<int> Quarter(int n) {
  NARU_ASSIGN_OR_RETURN(const int half, Half(n));
  NARU_ASSIGN_OR_RETURN(const int quarter, Half(half));
  return quarter;
}
absl::Status CheckQuarter(int n) {
  NARU_RETURN_IF_ERROR(Quarter(n).status());
  return absl::OkStatus();
}

TEST(Status, TheMacrosReturnTheFirstError) {
  EXPECT_EQ(*Quarter(12), 3);
  EXPECT_EQ(Quarter(6).status().message(), "odd");
  EXPECT_TRUE(CheckQuarter(8).ok());
  EXPECT_FALSE(CheckQuarter(7).ok());
}

}  // namespace
}  // namespace naru
