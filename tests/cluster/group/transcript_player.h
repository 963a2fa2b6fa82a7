// Plays a group's transcript: text in which lines that begin with "> " are what happens, and those behind
// them what the group answers; members are told at once. For tests.
//
//   > topics orders=4 bills=1       the catalog
//   > join s1 a orders ~b.*         session 1, member a, topics and patterns; also instance=NAME, slow=MS
//   (rebalance
//                                   timeout, 60000), gone=MS (session timeout, 45000)
//   > resume s2 a orders epoch=1    > unheard s2
//   > lose s1    > leave s1    > leave a r7    > release s1 orders/0-1,3
//   > commit r1 a epoch=3 orders/0@5    > commit r1 - orders/0@5    > reset r1 orders/0@0    > delete r1
//   > at 5000                       both clocks stand at 5000 ms, and what is due happens
//   > restart                       a new machine from what was logged
//   > show                          the group
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "cluster/group/group_event.h"
#include "cluster/group/group_machine.h"

namespace naru::cluster {

class TranscriptPlayer {
 public:
  TranscriptPlayer();

  // The whole transcript as the machine has it.
  std::string Play(std::string_view transcript);

 private:
  using Words = std::vector<std::string>;

  std::string Run(const Words& words);
  std::string Do(const GroupEvent& event);
  std::string Write(const GroupEffects& effects);
  GroupTopics Topics(const Words& words) const;
  JoinGroup Join(const Words& words) const;
  LeaveGroup Leave(const Words& words) const;
  std::set<GroupPartition> Partitions(const std::string& word) const;
  CommittedOffsets Offsets(const Words& words, size_t first) const;

  GroupTopics topics_;
  GroupTime now_{.steady_ms = 1, .wall_ms = 1};
  std::vector<GroupRecord> log_;
  std::unique_ptr<GroupMachine> group_;
};

}  // namespace naru::cluster
