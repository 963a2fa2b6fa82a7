#include "cluster/coordinator/placement.h"

#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace naru::cluster {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

using Placed = std::vector<std::vector<int32_t>>;

Placed Place(const std::map<int32_t, int64_t>& leaders, int32_t partitions, int32_t replication_factor) {
  std::map<BrokerId, int64_t> by_broker;
  for (const auto& [broker, count] : leaders) by_broker[BrokerId(broker)] = count;
  Placed placed;
  for (const auto& replicas : PlaceReplicas(by_broker, partitions, replication_factor)) {
    placed.emplace_back();
    for (const BrokerId replica : replicas) placed.back().push_back(replica.value());
  }
  return placed;
}

void AddTopic(TopicCatalog& catalog, const std::string& name, const std::vector<int32_t>& leaders) {
  auto topic = std::make_shared<TopicInfo>();
  topic->name = name;
  for (const int32_t leader : leaders) {
    topic->partitions.push_back({LogId(1), BrokerId(leader), LeaderEpoch(0), {BrokerId(leader)}});
  }
  catalog.topics.emplace(name, std::move(topic));
}

TEST(PlacementTest, ThreeBrokersTakeAFirstTopicInTurn) {
  EXPECT_EQ(Place({{1, 0}, {2, 0}, {3, 0}}, 3, 3), (Placed{{1, 2, 3}, {2, 3, 1}, {3, 1, 2}}));
}

TEST(PlacementTest, OneBrokerTakesEverything) { EXPECT_EQ(Place({{1, 70}}, 3, 1), (Placed{{1}, {1}, {1}})); }

TEST(PlacementTest, TheBrokerWithTheFewestLeadersBegins) {
  EXPECT_EQ(Place({{1, 2}, {2, 2}, {3, 1}}, 2, 2), (Placed{{3, 1}, {1, 2}}));
}

TEST(PlacementTest, TheLowestIdBeginsOnTies) {
  EXPECT_EQ(Place({{1, 2}, {2, 1}, {5, 1}}, 4, 2), (Placed{{2, 5}, {5, 1}, {1, 2}, {2, 5}}));
}

TEST(PlacementTest, ManyOnePartitionTopicsSpreadEvenly) {
  std::map<int32_t, int64_t> leaders = {{1, 0}, {2, 0}, {3, 0}};
  for (int topic = 0; topic < 30; ++topic) ++leaders[Place(leaders, 1, 3)[0][0]];
  EXPECT_THAT(leaders, ElementsAre(Pair(1, 10), Pair(2, 10), Pair(3, 10)));
}

TEST(PlacementTest, InternalTopicsAndBrokersThatAreGoneDoNotCount) {
  TopicCatalog catalog;
  catalog.brokers = {{BrokerId(1), ""}, {BrokerId(2), ""}, {BrokerId(3), ""}};
  AddTopic(catalog, "orders", {1, 1, 2, 9});
  AddTopic(catalog, "__consumer_offsets", {2, 2, 2, 3});
  EXPECT_THAT(CountLeaders(catalog),
              ElementsAre(Pair(BrokerId(1), 2), Pair(BrokerId(2), 1), Pair(BrokerId(3), 0)));
}

}  // namespace
}  // namespace naru::cluster
