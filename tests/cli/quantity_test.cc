#include "tools/cli/quantity.h"

#include <gtest/gtest.h>

namespace naru::cli {
namespace {

TEST(Quantity, IntegersStandAloneAndStayInRange) {
  EXPECT_EQ(ParseInteger("0", 0, 9), 0);
  EXPECT_EQ(ParseInteger("-1", -1, 9), -1);
  for (const char* text : {"", "10", "-2", "1x", " 1", "1.0", "+1", "99999999999999999999"}) {
    EXPECT_EQ(ParseInteger(text, -1, 9), std::nullopt) << text;
  }
}

TEST(Quantity, DurationsTakeUnitsAndABareNumberIsSeconds) {
  EXPECT_EQ(ParseDuration("500ms"), absl::Milliseconds(500));
  EXPECT_EQ(ParseDuration("10"), absl::Seconds(10));
  EXPECT_EQ(ParseDuration("1h30m"), absl::Minutes(90));
  EXPECT_EQ(ParseDuration("7d"), absl::Hours(24 * 7));
  EXPECT_EQ(ParseDuration("2w"), absl::Hours(24 * 14));
  for (const char* text : {"", "d", "-1s", "1y", "abc", "inf", "-7d", "1.5d"}) {
    EXPECT_EQ(ParseDuration(text), std::nullopt) << text;
  }
}

TEST(Quantity, SizesTakeBinaryAndDecimalUnits) {
  EXPECT_EQ(ParseBytes("65536"), 65'536);
  EXPECT_EQ(ParseBytes("64KiB"), 65'536);
  EXPECT_EQ(ParseBytes("64 kib"), 65'536);
  EXPECT_EQ(ParseBytes("1M"), 1 << 20);
  EXPECT_EQ(ParseBytes("5MB"), 5'000'000);
  EXPECT_EQ(ParseBytes("2GiB"), int64_t{2} << 30);
  for (const char* text : {"", "KiB", "-1", "1.5MiB", "1XB", "9999999999TiB"}) {
    EXPECT_EQ(ParseBytes(text), std::nullopt) << text;
  }
}

TEST(Quantity, WhatIsShownIsShort) {
  EXPECT_EQ(FormatBytes(17), "17 B");
  EXPECT_EQ(FormatBytes(1'536), "1.5 KiB");
  EXPECT_EQ(FormatBytes(int64_t{3} << 30), "3.0 GiB");
  EXPECT_EQ(FormatCount(1, "partition"), "1 partition");
  EXPECT_EQ(FormatCount(0, "partition"), "0 partitions");
  EXPECT_EQ(FormatMilliseconds(-1), "forever");
  EXPECT_EQ(FormatMilliseconds(604'800'000), "7d");
  EXPECT_EQ(FormatMilliseconds(1'500), "1.5s");
  EXPECT_EQ(FormatTimestamp(1'704'067'200'005), "2024-01-01T00:00:00.005Z");
}

}  // namespace
}  // namespace naru::cli
