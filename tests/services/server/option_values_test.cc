#include "services/server/option_values.h"

#include <gtest/gtest.h>

namespace naru::services {
namespace {

TEST(OptionValues, SizesTakeBinaryAndDecimalUnitsInAnyCase) {
  EXPECT_EQ(*ParseSize("0"), 0);
  EXPECT_EQ(*ParseSize("1000"), 1000);
  EXPECT_EQ(*ParseSize("64KiB"), 65'536);
  EXPECT_EQ(*ParseSize("64 kib"), 65'536);
  EXPECT_EQ(*ParseSize("64MiB"), int64_t{64} << 20);
  EXPECT_EQ(*ParseSize("1GiB"), int64_t{1} << 30);
  EXPECT_EQ(*ParseSize("2TB"), 2'000'000'000'000);
  EXPECT_EQ(*ParseSize("5kB"), 5'000);
}

TEST(OptionValues, SizesThatAreNotSizesAreRefused) {
  for (const char* text : {"", " ", "-1", "MiB", "1.5GiB", "64MiB8", "64 M B", "0x10", "9223372036854775808",
                           "9000000TiB", "1e6", "+5"}) {
    EXPECT_FALSE(ParseSize(text).ok()) << text;
  }
}

TEST(OptionValues, SizesPrintInTheirShortestExactForm) {
  EXPECT_EQ(FormatSize(int64_t{64} << 20), "64MiB");
  EXPECT_EQ(FormatSize(3'670'016), "3584KiB");
  EXPECT_EQ(FormatSize(1'000), "1000");
  EXPECT_EQ(FormatSize(0), "0");
  for (const int64_t bytes : {int64_t{1}, int64_t{1023}, int64_t{1} << 40, int64_t{5'000'000'000}}) {
    EXPECT_EQ(*ParseSize(FormatSize(bytes)), bytes);
  }
}

TEST(OptionValues, DurationsNeedAUnitUnlessZero) {
  EXPECT_EQ(*ParseDuration("0"), 0);
  EXPECT_EQ(*ParseDuration("100ms"), 100);
  EXPECT_EQ(*ParseDuration("5s"), 5'000);
  EXPECT_EQ(*ParseDuration("10m"), 600'000);
  EXPECT_EQ(*ParseDuration("2h"), 7'200'000);
  EXPECT_EQ(*ParseDuration("7d"), 604'800'000);
  for (const char* text : {"5", "s", "-5s", "5 seconds", "1.5s", ""})
    EXPECT_FALSE(ParseDuration(text).ok()) << text;
}

TEST(OptionValues, DurationsPrintInTheirShortestExactForm) {
  EXPECT_EQ(FormatDuration(100), "100ms");
  EXPECT_EQ(FormatDuration(5'000), "5s");
  EXPECT_EQ(FormatDuration(90'000), "90s");
  EXPECT_EQ(FormatDuration(3'600'000), "1h");
  EXPECT_EQ(FormatDuration(0), "0ms");
}

TEST(OptionValues, CountsAreWholeNumbers) {
  EXPECT_EQ(*ParseCount("17"), 17);
  for (const char* text : {"", "-1", "1.0", "1k", "ten"}) EXPECT_FALSE(ParseCount(text).ok()) << text;
}

TEST(OptionValues, AddressesAreHostAndPort) {
  EXPECT_EQ(ParseHostPort("127.0.0.1:9410")->host, "127.0.0.1");
  EXPECT_EQ(ParseHostPort("127.0.0.1:9410")->port, 9410);
  EXPECT_EQ(ParseHostPort("localhost:0")->port, 0);
  EXPECT_EQ(ParseHostPort("[::1]:80")->host, "::1");
  EXPECT_EQ(ParseHostPort("[::1]:80")->ToString(), "[::1]:80");
  EXPECT_EQ(ParseHostPort("0.0.0.0:1")->ToString(), "0.0.0.0:1");
}

TEST(OptionValues, AddressesWithoutHostPortOrBracketsAreRefused) {
  for (const char* text : {"", "9410", "localhost", ":9410", "localhost:", "localhost:65536", "localhost:-1",
                           "::1:80", "[::1:80", "http://localhost:80", "a b:1"}) {
    EXPECT_FALSE(ParseHostPort(text).ok()) << text;
  }
}

}  // namespace
}  // namespace naru::services
