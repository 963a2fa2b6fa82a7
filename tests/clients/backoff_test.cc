#include "clients/cpp/backoff.h"

#include <gtest/gtest.h>

#include <set>

#include "storage/base/status.h"

namespace naru::client {
namespace {

TEST(Backoff, DelaysDoubleUpToTheCapAndStayWithinTheirUpperHalf) {
  Backoff backoff({.initial = absl::Milliseconds(10), .max = absl::Milliseconds(100)}, 7);
  for (const int64_t bound_ms : {10, 20, 40, 80, 100, 100, 100}) {
    const absl::Duration delay = backoff.Next();
    EXPECT_GE(delay, absl::Milliseconds(bound_ms) / 2);
    EXPECT_LE(delay, absl::Milliseconds(bound_ms));
  }
}

TEST(Backoff, AfterASuccessItBeginsAgain) {
  Backoff backoff({.initial = absl::Milliseconds(10), .max = absl::Seconds(10)}, 7);
  for (int i = 0; i < 8; ++i) backoff.Next();
  backoff.Reset();
  EXPECT_LE(backoff.Next(), absl::Milliseconds(10));
}

TEST(Backoff, ManyAttemptsDoNotOverflowTheCap) {
  Backoff backoff({.initial = absl::Milliseconds(10), .max = absl::Seconds(1)}, 7);
  for (int i = 0; i < 10'000; ++i) {
    const absl::Duration delay = backoff.Next();
    ASSERT_GT(delay, absl::ZeroDuration());
    ASSERT_LE(delay, absl::Seconds(1));
  }
}

TEST(Backoff, DifferentSeedsComeBackAtDifferentTimes) {
  std::set<absl::Duration> delays;
  for (uint32_t seed = 1; seed <= 20; ++seed) {
    delays.insert(Backoff({.initial = absl::Seconds(1), .max = absl::Seconds(1)}, seed * 7919).Next());
  }
  EXPECT_GT(delays.size(), 10u);
}

TEST(Backoff, OptionsThatMakeNoSenseAreNamed) {
  EXPECT_EQ(MetadataValue(ValidateBackoff({.initial = absl::ZeroDuration()}), "field"), "backoff.initial");
  EXPECT_EQ(MetadataValue(ValidateBackoff({.initial = absl::Seconds(9), .max = absl::Seconds(1)}), "field"),
            "backoff.max");
  EXPECT_TRUE(ValidateBackoff({}).ok());
}

}  // namespace
}  // namespace naru::client
