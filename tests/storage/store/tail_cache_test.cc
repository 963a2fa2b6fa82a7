// The tail cache's book of what is in it.
#include "storage/store/tail_cache.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace naru::testing {
namespace {

StoredBatchView BatchAt(int64_t base, size_t bytes) {
  StoredBatchView batch;
  batch.base_offset = Offset(base);
  batch.next_offset = Offset(base + 1);
  batch.record_count = 1;
  batch.bytes = absl::Cord(std::string(bytes, 'x'));
  return batch;
}

void Insert(TailCache& cache, const std::shared_ptr<Log>& log, int64_t base, size_t bytes) {
  absl::MutexLock lock(&log->mutex);
  cache.Insert(log, BatchAt(base, bytes));
}
void Truncate(TailCache& cache, Log& log, int64_t end) {
  absl::MutexLock lock(&log.mutex);
  cache.Truncate(log, Offset(end));
}
size_t BatchesOf(const Log& log) {
  absl::ReaderMutexLock lock(&log.mutex);
  return log.cache == nullptr ? 0 : log.cache->size();
}

constexpr size_t kPlacesMax = 5'000;

TEST(TailCache, DoesNotRememberLogsThatWent) {
  TailCache cache(1 << 20);
  for (uint64_t i = 1; i <= 20'000; ++i) {
    const auto log = std::make_shared<Log>(LogId(i));
    Insert(cache, log, 0, 10);
    Truncate(cache, *log, 0);
    cache.Evict();
    ASSERT_LE(cache.places(), kPlacesMax);
  }
  EXPECT_EQ(cache.used_bytes(), 0);
}

TEST(TailCache, DoesNotRememberBatchesThatWereTruncatedAndReplacedAtTheSameOffset) {
  TailCache cache(1 << 20);
  const auto log = std::make_shared<Log>(LogId(1));
  Insert(cache, log, 0, 10);
  for (int i = 0; i < 20'000; ++i) {
    Insert(cache, log, 1, 10);
    cache.Evict();
    ASSERT_LE(cache.places(), kPlacesMax);
    Truncate(cache, *log, 1);
  }
  EXPECT_EQ(BatchesOf(*log), 1u);
}

TEST(TailCache, DoesNotRememberWhatMadeWayForABatchTooLargeForIt) {
  TailCache cache(10'000);
  const auto log = std::make_shared<Log>(LogId(1));
  for (int64_t i = 0; i < 20'000; i += 2) {
    Insert(cache, log, i, 10);
    Insert(cache, log, i + 1, 20'000);
    cache.Evict();
    ASSERT_LE(cache.places(), kPlacesMax);
  }
  EXPECT_EQ(cache.used_bytes(), 0);
}

TEST(TailCache, ThrowsTheOldestOutFirstAlsoAfterForgettingOthers) {
  TailCache cache(100'000);
  const auto a = std::make_shared<Log>(LogId(1));
  const auto b = std::make_shared<Log>(LogId(2));
  for (int64_t i = 0; i < 10; ++i) {
    Insert(cache, a, i, 1'000);
    Insert(cache, b, i, 1'000);
  }
  const int64_t used = cache.used_bytes();
  for (uint64_t i = 0; i < 20'000; ++i) {
    const auto passing = std::make_shared<Log>(LogId(100 + i));
    Insert(cache, passing, 0, 10);
    Truncate(cache, *passing, 0);
    cache.Evict();
  }
  EXPECT_EQ(cache.used_bytes(), used);
  Insert(cache, b, 10, 100'000 - static_cast<size_t>(used) / 2);
  cache.Evict();
  EXPECT_LE(cache.used_bytes(), 100'000);
  const size_t left = BatchesOf(*a);
  EXPECT_GT(left, 2u);
  EXPECT_LT(left, 8u);
  // In turn; and the last of b is the one that made the others go.
  EXPECT_GE(BatchesOf(*b), left + 1);
  EXPECT_LE(BatchesOf(*b), left + 2);
  absl::ReaderMutexLock lock(&a->mutex);
  EXPECT_EQ(a->cache->back().base_offset, Offset(9)) << "the newest stay";
}

}  // namespace
}  // namespace naru::testing
