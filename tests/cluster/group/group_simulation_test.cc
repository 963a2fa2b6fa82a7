#include "tests/cluster/group/group_simulation.h"

#include <gtest/gtest.h>

#include <cstdlib>

namespace naru::cluster {
namespace {

// NARU_SIMULATIONS=100000 for a long run.
uint64_t Seeds() {
  const char* asked = std::getenv("NARU_SIMULATIONS");
  return asked == nullptr ? 500 : std::strtoull(asked, nullptr, 10);
}

TEST(GroupSimulationTest, NoSeedBreaksARule) {
  int64_t commits = 0;
  int64_t refusals = 0;
  for (uint64_t seed = 1; seed <= Seeds(); ++seed) {
    GroupSimulation simulation(seed, GroupRules{});
    ASSERT_EQ(simulation.Run(), "") << "seed " << seed;
    commits += simulation.commits();
    refusals += simulation.refusals();
  }
  // The storm must not be all there is, nor absent.
  EXPECT_GT(commits, static_cast<int64_t>(10 * Seeds()));
  EXPECT_GT(refusals, static_cast<int64_t>(Seeds()));
}

TEST(GroupSimulationTest, ASeedIsOneRun) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    GroupSimulation once(seed, GroupRules{});
    GroupSimulation again(seed, GroupRules{});
    EXPECT_EQ(once.Run(), again.Run());
    EXPECT_EQ(once.trace(), again.trace());
  }
}

// Whoever takes a rule away is found out.
bool SomeSeedBreaks(const GroupRules& rules, const std::string& how) {
  for (uint64_t seed = 1; seed <= 500; ++seed) {
    if (GroupSimulation(seed, rules).Run().starts_with(how)) return true;
  }
  return false;
}

TEST(GroupSimulationTest, WithoutWithholdingTwoReadOnePartition) {
  EXPECT_TRUE(SomeSeedBreaks({.withhold_until_released = false}, "G1"));
}

TEST(GroupSimulationTest, WithoutFencingTheOlderSessionTwoReadOnePartition) {
  EXPECT_TRUE(SomeSeedBreaks({.fence_older_session = false}, "G1"));
}

TEST(GroupSimulationTest, WithoutKeepingThemForTheUnheardTwoReadOnePartition) {
  EXPECT_TRUE(SomeSeedBreaks({.keep_for_unheard = false}, "G1"));
}

TEST(GroupSimulationTest, WithoutFencingTheSlowPartitionsAreStuck) {
  EXPECT_TRUE(SomeSeedBreaks({.fence_slow_revocation = false}, "G5"));
}

TEST(GroupSimulationTest, WithoutEndingLostSessionsPartitionsAreStuck) {
  EXPECT_TRUE(SomeSeedBreaks({.end_lost_sessions = false}, "G5"));
}

TEST(GroupSimulationTest, WithoutCheckingTheCommitterAStaleCommitIsTaken) {
  EXPECT_TRUE(SomeSeedBreaks({.check_committer = false}, "G2"));
}

TEST(GroupSimulationTest, WithoutCheckingTheOwnerAStaleCommitIsTaken) {
  EXPECT_TRUE(SomeSeedBreaks({.check_owner = false}, "G2"));
}

TEST(GroupSimulationTest, WithoutCheckingTheSessionPositionsGoBack) {
  EXPECT_TRUE(SomeSeedBreaks({.check_session = false}, "a position went back"));
}

TEST(GroupSimulationTest, WithoutRefusingOvertakenJoinsMembersAreShutOut) {
  EXPECT_TRUE(SomeSeedBreaks({.refuse_overtaken_joins = false}, "a request that was overtaken"));
}

TEST(GroupSimulationTest, WithoutKeepingThemPositionsOfMembersAreLost) {
  EXPECT_TRUE(SomeSeedBreaks({.keep_offsets_of_members = false}, "G3"));
}

}  // namespace
}  // namespace naru::cluster
