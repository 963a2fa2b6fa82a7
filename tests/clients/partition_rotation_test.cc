#include "clients/cpp/partition_rotation.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "storage/base/status.h"
#include "storage/batch/partitioner.h"

namespace naru::client {
namespace {

TEST(PartitionRotation, SevenKeylessRecordsOverThreePartitionsLandThreeTwoTwo) {
  for (uint32_t start : {0u, 1u, 2u, 0xffffffffu}) {
    PartitionRotation rotation(start);
    std::map<int32_t, int> landed;
    for (int i = 0; i < 7; ++i) ++landed[rotation.Choose({.value = "v"}, 3)->value()];
    std::vector<int> counts;
    for (const auto& [partition, count] : landed) counts.push_back(count);
    std::sort(counts.rbegin(), counts.rend());
    EXPECT_EQ(counts, (std::vector<int>{3, 2, 2})) << "start " << start;
  }
}

TEST(PartitionRotation, TheFirstKeylessRecordGoesToTheStart) {
  PartitionRotation rotation(1);
  EXPECT_EQ(*rotation.Choose({}, 3), PartitionId(1));
  EXPECT_EQ(*rotation.Choose({}, 3), PartitionId(2));
  EXPECT_EQ(*rotation.Choose({}, 3), PartitionId(0));
}

TEST(PartitionRotation, AKeyGoesWhereMurmur2SaysAndTakesNoTurn) {
  PartitionRotation rotation(0);
  EXPECT_EQ(*rotation.Choose({.key = "21"}, 1000), PartitionForKey("21", 1000));
  EXPECT_EQ(*rotation.Choose({.key = ""}, 1000), PartitionForKey("", 1000));
  EXPECT_EQ(*rotation.Choose({}, 1000), PartitionId(0));
}

TEST(PartitionRotation, ARecordsOwnPartitionWinsOverItsKey) {
  PartitionRotation rotation(0);
  EXPECT_EQ(*rotation.Choose({.key = "k", .partition = PartitionId(5)}, 6), PartitionId(5));
}

TEST(PartitionRotation, APartitionOutsideTheTopicIsNamedWithWhatThereIs) {
  PartitionRotation rotation(0);
  for (int32_t partition : {-1, 6}) {
    const auto chosen = rotation.Choose({.partition = PartitionId(partition)}, 6);
    EXPECT_EQ(ReasonOf(chosen.status()), Reason::kPartitionNotFound);
    EXPECT_EQ(MetadataValue(chosen.status(), "partitions"), "6");
  }
}

TEST(PartitionRotation, PartitionsAddedLaterHaveTheirTurn) {
  PartitionRotation rotation(0);
  for (int i = 0; i < 2; ++i) (void)rotation.Choose({}, 2);
  EXPECT_EQ(*rotation.Choose({}, 4), PartitionId(2));
  EXPECT_EQ(*rotation.Choose({}, 4), PartitionId(3));
  EXPECT_EQ(*rotation.Choose({}, 4), PartitionId(0));
}

}  // namespace
}  // namespace naru::client
