#include "tools/cli/reset_spec.h"

#include <gtest/gtest.h>

#include "storage/base/status.h"

namespace naru::cli {
namespace {

using naru::v1::ResetOffsetsRequest;

const absl::Time kNow = absl::FromUnixSeconds(1'704'110'400);  // 2024-01-01T12:00:00Z

ResetOffsetsRequest Parsed(std::string_view text) {
  ResetOffsetsRequest request;
  const absl::Status status = ParseResetTarget(text, kNow, request);
  EXPECT_TRUE(status.ok()) << status;
  return request;
}

TEST(ResetTarget, NamesOffsetsAndTimesAreThoseOfConsume) {
  EXPECT_EQ(Parsed("earliest").position(), naru::v1::POSITION_EARLIEST);
  EXPECT_EQ(Parsed("end").position(), naru::v1::POSITION_LATEST);
  EXPECT_EQ(Parsed("17").offset(), 17);
  EXPECT_TRUE(Parsed("0").has_offset());
  EXPECT_EQ(Parsed("2024-01-01").timestamp_ms(), 1'704'067'200'000);
}

TEST(ResetTarget, ASignedNumberIsADistanceAndWithAUnitATimeAgo) {
  EXPECT_EQ(Parsed("+5").shift(), 5);
  EXPECT_EQ(Parsed("-5").shift(), -5);
  EXPECT_TRUE(Parsed("-0").has_shift());
  EXPECT_EQ(Parsed("-1h").timestamp_ms(), 1'704'106'800'000);
}

TEST(ResetTarget, WhatIsNoneNamesTheForms) {
  for (const char* text : {"", "+", "-", "+1h", "yesterday", "5x", "--5", "+99999999999999999999"}) {
    ResetOffsetsRequest request;
    const absl::Status status = ParseResetTarget(text, kNow, request);
    EXPECT_EQ(MetadataValue(status, "field"), "to") << text;
  }
}

TEST(TopicPartitions, AreATopicOrSomeOfItsPartitions) {
  EXPECT_EQ(ParseTopicPartitions("orders")->topic(), "orders");
  EXPECT_TRUE(ParseTopicPartitions("orders")->partitions().empty());
  const auto some = ParseTopicPartitions("orders:0,12");
  ASSERT_TRUE(some.ok()) << some.status();
  ASSERT_EQ(some->partitions_size(), 2);
  EXPECT_EQ(some->partitions(1), 12);
  for (const char* text : {"", ":0", "orders:", "orders:0,", "orders:x", "orders:-1"}) {
    EXPECT_FALSE(ParseTopicPartitions(text).ok()) << text;
  }
}

}  // namespace
}  // namespace naru::cli
