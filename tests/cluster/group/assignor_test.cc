#include "cluster/group/assignor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace naru::cluster {
namespace {

TopicId Topic(char letter) {
  TopicId id;
  id.fill(letter);
  return id;
}

std::set<GroupPartition> Partitions(char topic, int32_t first, int32_t count) {
  std::set<GroupPartition> partitions;
  for (int32_t i = first; i < first + count; ++i) partitions.insert({Topic(topic), i});
  return partitions;
}

using Members = std::map<std::string, AssignorMember>;
using Counts = std::map<TopicId, int32_t>;

std::vector<size_t> Loads(const Assignment& assignment) {
  std::vector<size_t> loads;
  for (const auto& [id, partitions] : assignment) loads.push_back(partitions.size());
  return loads;
}

// How many partitions have another reader than they had.
size_t Moved(const Members& before, const Assignment& after) {
  size_t moved = 0;
  for (const auto& [id, member] : before) {
    for (const GroupPartition& partition : member.owned) {
      const auto now = after.find(id);
      if (now == after.end() || !now->second.contains(partition)) ++moved;
    }
  }
  return moved;
}

TEST(AssignTest, NobodyGetsNothing) { EXPECT_TRUE(Assign({}, {{Topic('a'), 3}}).empty()); }

TEST(AssignTest, OneMemberGetsAll) {
  EXPECT_EQ(Assign({{"m", {.topics = {Topic('a')}}}}, {{Topic('a'), 3}}).at("m"), Partitions('a', 0, 3));
}

TEST(AssignTest, SevenPartitionsOverThreeMembersAreThreeTwoTwo) {
  const AssignorMember member{.topics = {Topic('a')}};
  EXPECT_THAT(Loads(Assign({{"1", member}, {"2", member}, {"3", member}}, {{Topic('a'), 7}})),
              testing::UnorderedElementsAre(3, 2, 2));
}

TEST(AssignTest, MoreMembersThanPartitionsLeaveSomeIdle) {
  const AssignorMember member{.topics = {Topic('a')}};
  EXPECT_THAT(Loads(Assign({{"1", member}, {"2", member}, {"3", member}}, {{Topic('a'), 2}})),
              testing::UnorderedElementsAre(1, 1, 0));
}

TEST(AssignTest, BalanceIsAboutAllTopicsTogether) {
  const AssignorMember member{.topics = {Topic('a'), Topic('b'), Topic('c')}};
  EXPECT_THAT(Loads(Assign({{"1", member}, {"2", member}, {"3", member}},
                           {{Topic('a'), 1}, {Topic('b'), 1}, {Topic('c'), 1}})),
              testing::ElementsAre(1, 1, 1));
}

TEST(AssignTest, AJoiningMemberTakesItsShareAndNoMore) {
  const Members members{{"old", {.topics = {Topic('a')}, .owned = Partitions('a', 0, 6)}},
                        {"older", {.topics = {Topic('a')}, .owned = Partitions('a', 6, 6)}},
                        {"new", {.topics = {Topic('a')}}}};
  const Assignment assignment = Assign(members, {{Topic('a'), 12}});
  EXPECT_THAT(Loads(assignment), testing::Each(4));
  EXPECT_EQ(Moved(members, assignment), 4u);
}

TEST(AssignTest, WhatALeavingMemberHadIsSpreadAndNothingElseMoves) {
  const Members members{{"a", {.topics = {Topic('a')}, .owned = Partitions('a', 0, 2)}},
                        {"b", {.topics = {Topic('a')}, .owned = Partitions('a', 2, 2)}}};
  const Assignment assignment = Assign(members, {{Topic('a'), 6}});
  EXPECT_THAT(Loads(assignment), testing::ElementsAre(3, 3));
  EXPECT_EQ(Moved(members, assignment), 0u);
}

TEST(AssignTest, APartitionGoesOnlyToAMemberThatWantsItsTopic) {
  const Assignment assignment =
      Assign({{"1", {.topics = {Topic('a')}}}, {"2", {.topics = {Topic('a'), Topic('b')}}}},
             {{Topic('a'), 4}, {Topic('b'), 2}});
  EXPECT_EQ(assignment.at("1").size(), 3u);
  EXPECT_EQ(assignment.at("2").size(), 3u);
  EXPECT_TRUE(std::ranges::includes(assignment.at("2"), Partitions('b', 0, 2)));
}

TEST(AssignTest, WhatIsOwnedWithoutRightIsNotKept) {
  // Another topic, beyond the count, and a partition that two claim.
  std::set<GroupPartition> owned = Partitions('b', 0, 1);
  owned.merge(Partitions('a', 9, 1));
  owned.merge(Partitions('a', 0, 1));
  const Assignment assignment = Assign({{"1", {.topics = {Topic('a')}, .owned = owned}},
                                        {"2", {.topics = {Topic('a')}, .owned = Partitions('a', 0, 2)}}},
                                       {{Topic('a'), 2}, {Topic('b'), 1}});
  EXPECT_EQ(assignment.at("1"), Partitions('a', 0, 1));
  EXPECT_EQ(assignment.at("2"), Partitions('a', 1, 1));
}

// Whatever the members want and own: every partition that is wanted is assigned once, to one who wants it, no
// single hand-over improves the balance, and nothing moves without need.
TEST(AssignTest, RandomGroupsAreCoveredBalancedAndSticky) {
  std::mt19937 random(7);
  const auto below = [&](size_t n) { return static_cast<size_t>(random() % n); };
  for (int round = 0; round < 2'000; ++round) {
    Counts counts;
    for (size_t i = 0; i < 1 + below(4); ++i)
      counts[Topic(static_cast<char>('a' + i))] = static_cast<int32_t>(below(9));
    const bool alike = below(2) == 0;
    Members members;
    for (size_t i = 0; i < 1 + below(6); ++i) {
      AssignorMember& member = members[std::string(1, static_cast<char>('A' + i))];
      for (const auto& [topic, count] : counts) {
        if (alike || below(3) > 0) member.topics.insert(topic);
      }
    }
    for (const auto& [topic, count] : counts) {
      for (int32_t i = 0; i < count; ++i) {
        auto owner = std::next(members.begin(), static_cast<ptrdiff_t>(below(members.size())));
        if (owner->second.topics.contains(topic) && below(4) > 0) owner->second.owned.insert({topic, i});
      }
    }

    const Assignment assignment = Assign(members, counts);
    std::map<GroupPartition, std::string> readers;
    for (const auto& [id, partitions] : assignment) {
      for (const GroupPartition& partition : partitions) {
        EXPECT_TRUE(members.at(id).topics.contains(partition.topic));
        EXPECT_TRUE(readers.emplace(partition, id).second) << "two readers";
      }
    }
    size_t wanted = 0;
    for (const auto& [topic, count] : counts) {
      bool any = false;
      for (const auto& [id, member] : members) any = any || member.topics.contains(topic);
      if (any) wanted += static_cast<size_t>(count);
    }
    ASSERT_EQ(readers.size(), wanted);
    for (const auto& [partition, reader] : readers) {
      for (const auto& [id, member] : members) {
        if (!member.topics.contains(partition.topic)) continue;
        ASSERT_LT(assignment.at(reader).size(), assignment.at(id).size() + 2) << "round " << round;
      }
    }
    if (!alike) continue;
    // With one class the least number of moves is known: what is above the members' final counts.
    size_t excess = 0;
    for (const auto& [id, member] : members) {
      excess += member.owned.size() - std::min(member.owned.size(), assignment.at(id).size());
    }
    ASSERT_EQ(Moved(members, assignment), excess) << "round " << round;
    // And balanced once is left alone.
    Members settled = members;
    for (auto& [id, member] : settled) member.owned = assignment.at(id);
    ASSERT_EQ(Assign(settled, counts), assignment);
  }
}

}  // namespace
}  // namespace naru::cluster
