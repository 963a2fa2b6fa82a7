#include "storage/batch/thin_batch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "storage/base/status.h"
#include "tests/storage/batch/batch_bytes.h"

namespace naru {
namespace {

using namespace batch_bytes;
using testing::ElementsAre;

std::vector<std::string> TenOfThreeKeys() {
  std::vector<std::string> records;
  for (int i = 0; i < 10; ++i)
    records.push_back(Record(absl::StrCat("k", i % 3), std::string(100, 'a' + i), 1'000 + i));
  return records;
}

const auto kEvenOnes = [](uint32_t index, const RecordView&) { return index % 2 == 0; };

TEST(ThinBatchTest, KeptRecordsAreTheSameBytesInTheSameOrder) {
  const std::vector<std::string> records = TenOfThreeKeys();
  const auto thinned = ThinBatch(absl::Cord(Batch(records)), kEvenOnes);
  ASSERT_TRUE(thinned.ok() && thinned->has_value());
  EXPECT_THAT((*thinned)->kept, ElementsAre(0, 2, 4, 6, 8));
  EXPECT_EQ(std::string((*thinned)->batch),
            Batch({records[0], records[2], records[4], records[6], records[8]}));
}

TEST(ThinBatchTest, ACompressedBatchStaysCompressedAndValid) {
  const std::string plain = Batch(TenOfThreeKeys());
  for (const Codec codec : kCodecs) {
    const auto thinned = ThinBatch(absl::Cord(Compressed(codec, plain, 10)), kEvenOnes);
    ASSERT_TRUE(thinned.ok() && thinned->has_value());
    const auto info = WalkBatch((*thinned)->batch, BatchLimits{});
    ASSERT_TRUE(info.ok()) << info.status();
    EXPECT_EQ(info->codec, codec);
    EXPECT_EQ(info->record_count, 5u);
    EXPECT_EQ(info->max_timestamp_ms, 1'008);
  }
}

TEST(ThinBatchTest, WithRecordsAProducersStampGoes) {
  const absl::Cord batch(StampField(7, 0, 20) + Batch(TenOfThreeKeys()));
  const auto thinned = ThinBatch(batch, kEvenOnes);
  ASSERT_TRUE(thinned.ok() && thinned->has_value());
  EXPECT_EQ(WalkBatch((*thinned)->batch, BatchLimits{})->producer, std::nullopt);
  const auto whole = ThinBatch(batch, [](uint32_t, const RecordView&) { return true; });
  ASSERT_TRUE(whole.ok() && whole->has_value());
  EXPECT_EQ((*whole)->batch, batch);
}

TEST(ThinBatchTest, AllRecordsAreTheOriginalBytes) {
  const absl::Cord batch(Compressed(Codec::kZstd, Batch(TenOfThreeKeys()), 10));
  const auto thinned = ThinBatch(batch, [](uint32_t, const RecordView&) { return true; });
  ASSERT_TRUE(thinned.ok() && thinned->has_value());
  EXPECT_EQ((*thinned)->batch, batch);
  EXPECT_EQ((*thinned)->kept.size(), 10u);
}

TEST(ThinBatchTest, OfNoRecordsNoBatchIsLeft) {
  const auto thinned =
      ThinBatch(absl::Cord(Batch(TenOfThreeKeys())), [](uint32_t, const RecordView&) { return false; });
  ASSERT_TRUE(thinned.ok());
  EXPECT_FALSE(thinned->has_value());
}

TEST(ThinBatchTest, TheRecordsAreShownWithKeyAndValue) {
  std::vector<std::string> keys;
  const auto thinned = ThinBatch(absl::Cord(Batch({Record("a", "1"), Keyless("2"), Bytes(1, "tombstone")})),
                                 [&](uint32_t, const RecordView& record) {
                                   keys.push_back(record.key ? std::string(*record.key) : "-");
                                   return record.value.has_value();
                                 });
  ASSERT_TRUE(thinned.ok() && thinned->has_value());
  EXPECT_THAT(keys, ElementsAre("a", "-", "tombstone"));
  EXPECT_THAT((*thinned)->kept, ElementsAre(0, 1));
}

TEST(ThinBatchTest, WhatIsNoBatchIsCorrupt) {
  EXPECT_EQ(ThinBatch(absl::Cord("\xff\xff"), kEvenOnes).status().code(), absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace naru
