#include "cluster/coordinator/producer_ids.h"

#include <set>

#include "cluster/metadata/producer_registry.h"
#include "gtest/gtest.h"
#include "storage/base/status.h"

namespace naru::cluster {
namespace {

TEST(ProducerIdsTest, NothingIsGivenThatIsNotReserved) {
  ProducerIds ids(1);
  EXPECT_EQ(ids.Take(), std::nullopt);
  EXPECT_FALSE(ids.WasGiven(1));
  EXPECT_EQ(ids.NextBlockEnd(), 1'001);
}

TEST(ProducerIdsTest, ABlockIsGivenOutOnceAndInOrder) {
  ProducerIds ids(501);
  ids.BlockReserved(ids.NextBlockEnd());
  for (int64_t id = 501; id <= 1'500; ++id) {
    EXPECT_FALSE(ids.WasGiven(id));
    EXPECT_EQ(ids.Take(), id);
    EXPECT_TRUE(ids.WasGiven(id));
  }
  EXPECT_EQ(ids.Take(), std::nullopt);
  EXPECT_EQ(ids.NextBlockEnd(), 2'501);
}

TEST(ProducerIdsTest, WhoComesAfterGivesNoneOfThoseBefore) {
  ProducerIds first(1);
  first.BlockReserved(first.NextBlockEnd());
  std::set<int64_t> given;
  for (int i = 0; i < 3; ++i) given.insert(*first.Take());
  // A restart knows only how far was reserved.
  ProducerIds second(1'001);
  second.BlockReserved(second.NextBlockEnd());
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(given.insert(*second.Take()).second);
  EXPECT_TRUE(second.WasGiven(3));
}

TEST(ProducerIdsTest, AnEpochRisesByOne) {
  ProducerIds ids(1);
  ids.BlockReserved(ids.NextBlockEnd());
  ids.Take();
  EXPECT_EQ(*NextEpoch({1, 0}, ids.WasGiven(1)), (ProducerIdentity{1, 1}));
  EXPECT_EQ(*NextEpoch({1, INT64_MAX - 1}, ids.WasGiven(1)), (ProducerIdentity{1, INT64_MAX}));
}

TEST(ProducerIdsTest, WhatCannotBeIsNamed) {
  ProducerIds ids(1);
  ids.BlockReserved(ids.NextBlockEnd());
  ids.Take();
  const auto field = [&](const ProducerIdentity& producer) {
    const absl::Status status = NextEpoch(producer, ids.WasGiven(producer.producer_id)).status();
    EXPECT_EQ(ReasonOf(status), Reason::kInvalidField);
    return MetadataValue(status, "field") + "=" + MetadataValue(status, "value");
  };
  EXPECT_EQ(field({0, 0}), "producer_id=0");
  EXPECT_EQ(field({-1, 0}), "producer_id=-1");
  EXPECT_EQ(field({2, 0}), "producer_id=2") << "reserved, and nobody has it yet";
  EXPECT_EQ(field({1, -1}), "epoch=-1");
  EXPECT_EQ(field({1, INT64_MAX}), "epoch=9223372036854775807");
}

}  // namespace
}  // namespace naru::cluster
