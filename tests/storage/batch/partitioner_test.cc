#include "storage/batch/partitioner.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "storage/base/status.h"
#include "tests/storage/batch/batch_bytes.h"

namespace naru {
namespace {

using namespace batch_bytes;  // NOLINT(google-build-using-namespace)

TEST(Murmur2, HashesAsKafkaDoes) {
  const std::vector<std::pair<std::string, int32_t>> known = {
      {"21", -973932308},
      {"foobar", -790332482},
      {"a-little-bit-long-string", -985981536},
      {"a-little-bit-longer-string", -1486304829},
      {"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971},
      {"abc", 479470107},
      {"", 275646681},
  };
  for (const auto& [key, hash] : known) EXPECT_EQ(static_cast<int32_t>(Murmur2(key)), hash) << key;
}

TEST(Murmur2, MapsAKeyToItsPartitionAsKafkasDefaultPartitioner) {
  for (const std::string key : {"21", "foobar", "abc", ""}) {
    for (const int32_t partition_count : {1, 3, 6, 1000, INT32_MAX}) {
      const int32_t expected = static_cast<int32_t>(Murmur2(key) & 0x7fffffff) % partition_count;
      EXPECT_EQ(PartitionForKey(key, partition_count), PartitionId(expected));
    }
  }
  EXPECT_EQ(PartitionForKey("21", 10), PartitionId((-973932308 & 0x7fffffff) % 10));
}

std::vector<BatchPart> Split(const std::string& bytes, int32_t partition_count, PartitionId keyless) {
  const absl::Cord batch = InChunks(bytes, 7);
  const auto info = WalkBatch(batch, kLimits);
  EXPECT_TRUE(info.ok()) << info.status();
  auto parts = SplitByKey(batch, *info, partition_count, keyless);
  EXPECT_TRUE(parts.ok()) << parts.status();
  return *std::move(parts);
}

TEST(SplitByKey, SendsEachRecordWhereItsKeyBelongsAndKeepsOrder) {
  constexpr int32_t kPartitions = 5;
  constexpr PartitionId kKeyless{3};
  std::vector<std::string> records;
  for (int i = 0; i < 200; ++i) {
    const std::string value = absl::StrCat("value ", i) + std::string(i % 50, '.');
    records.push_back((i % 4 == 0 ? Keyless(value) : Record(absl::StrCat("key ", i % 17), value)) +
                      Varint(4, i + 1) + Varint(77, i));
  }
  std::vector<std::string> batches = {Varint(3, 200) + Varint(4, 200) + Batch(records)};
  for (const Codec codec : kCodecs)
    batches.push_back(Varint(4, 200) + Compressed(codec, Batch(records), 200));
  for (const std::string& bytes : batches) {
    const Codec codec = *CodecOf(absl::Cord(bytes));
    std::vector<bool> seen(records.size());
    PartitionId last{-1};
    for (const BatchPart& part : Split(bytes, kPartitions, kKeyless)) {
      EXPECT_GT(part.partition, last);
      last = part.partition;
      const auto info = WalkBatch(part.batch, kLimits);
      ASSERT_TRUE(info.ok()) << info.status();
      EXPECT_EQ(info->codec, codec);
      ASSERT_EQ(info->record_count, part.record_indexes.size());
      size_t i = 0;
      ASSERT_TRUE(ForEachRecord(part.batch, [&](const RecordView& view) {
                    const uint32_t index = part.record_indexes[i];
                    EXPECT_TRUE(i == 0 || index > part.record_indexes[i - 1]);
                    EXPECT_EQ(view.raw, records[index]);
                    EXPECT_FALSE(seen[index]);
                    seen[index] = true;
                    EXPECT_EQ(part.partition, view.key ? PartitionForKey(*view.key, kPartitions) : kKeyless);
                    ++i;
                    return true;
                  }).ok());
    }
    EXPECT_EQ(seen, std::vector<bool>(records.size(), true)) << CodecName(codec);
  }
}

TEST(SplitByKey, GivesTheOriginalBytesBackWhenAllGoToOnePartition) {
  const std::string one_key = Varint(4, 9) + Batch({Record("k", "1", 9), Record("k", "2")});
  const std::string keyless = Batch({Keyless("1"), Keyless("2")});
  const std::string mixed = Batch({Record("k", "1"), Keyless("2")});
  const std::string compressed = Varint(4, 9) + Compressed(Codec::kGzip, Batch({Record("k", "1", 9)}), 1);
  const PartitionId home = PartitionForKey("k", 6);
  for (const auto& [bytes, keyless_to, expected] :
       {std::tuple(one_key, PartitionId(99), home), std::tuple(keyless, PartitionId(4), PartitionId(4)),
        std::tuple(mixed, home, home), std::tuple(compressed, PartitionId(99), home)}) {
    const std::vector<BatchPart> parts = Split(bytes, 6, keyless_to);
    ASSERT_EQ(parts.size(), 1u);
    EXPECT_EQ(parts[0].partition, expected);
    EXPECT_EQ(std::string(parts[0].batch), bytes);
    EXPECT_TRUE(parts[0].record_indexes.empty());
  }
}

TEST(SplitByKey, LeavesAPartPlainWhereCompressionWouldMakeItLarger) {
  const std::string bytes = Compressed(Codec::kGzip, Batch({Record("a", "1"), Record("b", "2")}), 2);
  const std::vector<BatchPart> parts = Split(bytes, INT32_MAX, PartitionId(0));
  ASSERT_EQ(parts.size(), 2u);
  for (const BatchPart& part : parts) {
    const bool first = part.record_indexes.front() == 0;
    EXPECT_EQ(std::string(part.batch), RecordField(first ? Record("a", "1") : Record("b", "2")));
  }
}

TEST(SplitByKey, ReportsBytesThatAreNotWhatWasWalked) {
  const std::string bytes = Batch({Record("a", "1"), Record("b", "2")});
  const auto info = WalkBatch(absl::Cord(bytes), kLimits);
  for (const std::string& other :
       {Batch({Record("a", "1")}), bytes + RecordField(Record("c", "3")), std::string(),
        bytes.substr(0, bytes.size() - 1), Batch({"\x0a\x05", Record("b", "2")})}) {
    EXPECT_EQ(ReasonOf(SplitByKey(absl::Cord(other), *info, 3, PartitionId(0)).status()),
              Reason::kCorruptData);
  }
}

}  // namespace
}  // namespace naru
