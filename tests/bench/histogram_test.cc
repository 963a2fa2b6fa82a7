#include "tools/bench/histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

namespace naru::bench {
namespace {

TEST(HistogramTest, AnEmptyOneSaysZero) {
  const Histogram h;
  EXPECT_EQ(h.count(), 0);
  EXPECT_EQ(h.Percentile(99), 0);
  EXPECT_EQ(h.max(), 0);
  EXPECT_EQ(h.mean(), 0);
}

TEST(HistogramTest, SmallValuesAreExact) {
  Histogram h;
  for (int value = 1; value <= 100; ++value) h.Record(value);
  EXPECT_EQ(h.Percentile(0), 1);
  EXPECT_EQ(h.Percentile(50), 50);
  EXPECT_EQ(h.Percentile(99), 99);
  EXPECT_EQ(h.Percentile(99.5), 100);
  EXPECT_EQ(h.Percentile(100), 100);
  EXPECT_EQ(h.min(), 1);
  EXPECT_DOUBLE_EQ(h.mean(), 50.5);
}

TEST(HistogramTest, EveryValueIsKeptWithinFourPerMille) {
  std::mt19937_64 random(7);
  for (int i = 0; i < 20'000; ++i) {
    const auto value = static_cast<int64_t>(random() % (uint64_t{1} << (1 + random() % 42)));
    Histogram h;
    h.Record(value);
    h.Record(Histogram::kMax);  // or the percentile would be cut at the maximum
    const int64_t found = h.Percentile(50);
    ASSERT_GE(found, value);
    ASSERT_LE(static_cast<double>(found - value), 0.004 * static_cast<double>(value)) << value;
  }
}

TEST(HistogramTest, PercentilesAgreeWithSortedValues) {
  std::mt19937_64 random(8);
  std::lognormal_distribution<double> latency(12, 1.5);
  std::vector<int64_t> values(100'000);
  Histogram h;
  for (int64_t& value : values) {
    value = static_cast<int64_t>(latency(random));
    h.Record(value);
  }
  std::sort(values.begin(), values.end());
  for (const double percent : {1.0, 50.0, 90.0, 99.0, 99.9, 99.99, 100.0}) {
    const auto rank = static_cast<size_t>(std::ceil(percent / 100 * static_cast<double>(values.size())));
    const auto exact = static_cast<double>(values[rank - 1]);
    EXPECT_NEAR(static_cast<double>(h.Percentile(percent)), exact, 0.004 * exact + 1) << percent;
  }
  EXPECT_EQ(h.max(), values.back());
}

TEST(HistogramTest, MergedHistogramsCountAsOne) {
  Histogram both;
  Histogram a;
  Histogram b;
  for (int i = 0; i < 1000; ++i) {
    (i % 3 ? a : b).Record(i * i * 1000);
    both.Record(i * i * 1000);
  }
  a.Merge(b);
  a.Merge(Histogram());
  EXPECT_EQ(a.count(), both.count());
  EXPECT_EQ(a.min(), both.min());
  EXPECT_EQ(a.max(), both.max());
  for (const double percent : {10.0, 50.0, 99.0}) EXPECT_EQ(a.Percentile(percent), both.Percentile(percent));
}

TEST(HistogramTest, ValuesOutOfRangeAreClamped) {
  Histogram h;
  h.Record(-5);
  h.Record(Histogram::kMax + 1);
  EXPECT_EQ(h.min(), 0);
  EXPECT_EQ(h.max(), Histogram::kMax);
  EXPECT_EQ(h.count(), 2);
}

}  // namespace
}  // namespace naru::bench
