#include "services/produce/keyless_turns.h"

#include "gtest/gtest.h"

namespace naru::services {
namespace {

cluster::TopicInfo MakeTopic(const std::string& id, int partitions) {
  cluster::TopicInfo topic;
  topic.topic_id = id;
  topic.partitions.resize(partitions);
  return topic;
}

TEST(KeylessTurnsTest, PartitionsTakeTurnsFromTheFirstOn) {
  KeylessTurns turns;
  const cluster::TopicCatalog catalog;
  const cluster::TopicInfo topic = MakeTopic("a", 3);
  for (int i = 0; i < 7; ++i) EXPECT_EQ(turns.Next(topic, catalog), PartitionId(i % 3));
}

TEST(KeylessTurnsTest, PartitionsAddedLaterJoinTheRound) {
  KeylessTurns turns;
  const cluster::TopicCatalog catalog;
  EXPECT_EQ(turns.Next(MakeTopic("a", 1), catalog), PartitionId(0));
  EXPECT_EQ(turns.Next(MakeTopic("a", 2), catalog), PartitionId(1));
}

TEST(KeylessTurnsTest, ManyTopicsThatComeAndGoLeaveTheOthersTheirTurns) {
  KeylessTurns turns;
  cluster::TopicCatalog catalog;
  const auto kept = std::make_shared<cluster::TopicInfo>(MakeTopic("kept", 2));
  catalog.topics["kept"] = kept;
  EXPECT_EQ(turns.Next(*kept, catalog), PartitionId(0));
  for (int i = 0; i < 1000; ++i) turns.Next(MakeTopic(std::to_string(i), 2), catalog);
  EXPECT_EQ(turns.Next(*kept, catalog), PartitionId(1));
}

}  // namespace
}  // namespace naru::services
