#include <gtest/gtest.h>

#include "tests/sim/rules.h"
#include "tests/sim/world.h"

namespace naru::sim {
namespace {

constexpr uint64_t kSeeds = 200;
// So many are tried until one notices a missing rule.
constexpr uint64_t kNoticedWithin = 60;

TEST(ClusterSimulation, NothingIsLostAndEverythingRecovers) {
  int64_t acked = 0;
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    World world(seed, {});
    EXPECT_EQ(world.Run(), "") << "seed " << seed;
    acked += world.checker().acked();
  }
  EXPECT_GT(acked, 100 * static_cast<int64_t>(kSeeds)) << "a cluster that takes nothing loses nothing";
}

// Each of them broke an invariant once: of the protocol, of the store in memory, or of what was held for one.
// What is drawn in a run has changed since, so they are other runs now; what they found has tests of its own.
TEST(ClusterSimulation, SeedsThatFoundDefectsInTheirTime) {
  for (const uint64_t seed :
       {17, 38, 52, 88, 98, 258, 907, 1157, 1318, 1398, 2609, 2627, 4099, 314, 6858, 6999}) {
    World world(seed, {});
    EXPECT_EQ(world.Run(), "") << "seed " << seed;
  }
}

TEST(ClusterSimulation, ASeedIsOneRun) {
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    World first(seed, {});
    World second(seed, {});
    EXPECT_EQ(first.Run(), second.Run());
    EXPECT_EQ(first.trace(), second.trace());
    EXPECT_EQ(first.steps(), second.steps());
  }
  World one(1, {});
  World other(2, {});
  one.Run();
  other.Run();
  EXPECT_NE(one.trace(), other.trace());
}

TEST(ClusterSimulation, AMissingRuleIsNoticed) {
  for (const NamedRule& rule : NamedRules()) {
    if (rule.noticed_from == 0) continue;
    WorldOptions options;
    TakeAway(rule, options.rules);
    bool noticed = false;
    for (uint64_t seed = rule.noticed_from; seed < rule.noticed_from + kNoticedWithin && !noticed; ++seed) {
      World world(seed, options);
      noticed = !world.Run().empty();
    }
    EXPECT_TRUE(noticed) << "rule " << rule.number << ", " << rule.name;
  }
}

}  // namespace
}  // namespace naru::sim
