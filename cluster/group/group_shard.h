// The groups of one partition of __consumer_offsets, and the order between what they decide, what is written
// and what is told: a group's machine runs ahead of its log, but whatever it says waits until every record
// before it is durable. Without IO, clocks or threads: its owner writes the batches that it hands out, one at
// a time, and tells it how that went. Thread-unsafe.
//
// When a write fails nobody knows what the log holds: every session ends and every request fails with that
// status, and the groups are forgotten, until their owner has read the log again (Failed, then a new shard).
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/cord.h"
#include "cluster/group/group_machine.h"

namespace naru::cluster {

// What happened since the shard began.
struct GroupShardStats {
  int64_t commits = 0;       // of positions, all of one request together
  int64_t positions = 0;     // in them
  int64_t rebalances = 0;    // changes of an assignment that were carried through
  int64_t rebalance_ms = 0;  // how long they took, summed up
  int64_t fenced = 0;        // sessions ended for being slow, or replaced

  GroupShardStats& operator+=(const GroupShardStats& other);
};

class GroupShard {
 public:
  class Effects {
   public:
    virtual ~Effects() = default;
    // Appends a RecordBatch to the shard's log; then OnAppended. Only one is under way at a time.
    virtual void Append(absl::Cord batch) = 0;
    // Anything but Persist, in order.
    virtual void Tell(const GroupEffect& effect) = 0;
  };

  // `effects` outlives the shard, and does not call back from inside.
  GroupShard(const GroupLimits& limits, Effects& effects) : limits_(limits), effects_(effects) {}

  // One record of the log, in its order, before Start. CORRUPT_DATA.
  absl::Status Replay(std::string_view key, std::optional<std::string_view> value);
  // All that was replayed begins; everything else only afterwards.
  void Start(std::shared_ptr<const GroupTopics> topics, const GroupTime& now);

  // Makes the group if there is none; it stays if that left something of it.
  void On(const std::string& group, const GroupEvent& event, const GroupTime& now);
  // Answers when everything that was decided before is durable.
  void Barrier(uint64_t request, const GroupTime& now);
  void ChangeTopics(std::shared_ptr<const GroupTopics> topics, const GroupTime& now);
  // What is due happens.
  void PassTime(const GroupTime& now);
  std::optional<int64_t> NextDeadline() const;
  void OnAppended(const absl::Status& status, const GroupTime& now);
  // As a write that failed so: the groups are another's from now on.
  void GiveUp(const absl::Status& why) { Fail(why); }

  bool failed() const { return failed_; }
  // About what the groups take of memory.
  int64_t bytes() const { return bytes_; }
  const GroupShardStats& stats() const { return stats_; }
  const GroupMachine* Find(std::string_view group) const;
  const std::map<std::string, std::unique_ptr<GroupMachine>, std::less<>>& groups() const { return groups_; }
  // Records handed over and not known to be durable.
  size_t waiting_records() const { return waiting_records_; }

 private:
  struct Step {
    std::string group;    // that it is of; empty: of none
    std::string records;  // a RecordBatch's fields
    size_t record_count = 0;
    GroupEffects said;
  };

  void Take(const std::string& group, GroupEffects effects);
  void Count(const GroupEffect& effect);
  // After a change that may have begun or ended a rebalance.
  void WatchState(const std::string& group, const GroupMachine& machine, const GroupTime& now);
  void SetDeadline(const std::string& group, const GroupMachine& machine, const GroupTime& now);
  // The last after each change of a group.
  void Settle(const std::string& group, GroupMachine& machine);
  // Writes what waits, or tells what waits for nothing.
  void Go(const GroupTime& now);
  // The steps were written.
  void TellAll(const std::vector<Step>& steps, const GroupTime& now);
  void Fail(const absl::Status& status);

  const GroupLimits limits_;
  Effects& effects_;
  std::shared_ptr<const GroupTopics> topics_;
  std::map<std::string, std::unique_ptr<GroupMachine>, std::less<>> groups_;
  std::map<std::string, int64_t, std::less<>> deadline_of_;
  std::set<std::pair<int64_t, std::string>> deadlines_;
  std::map<std::string, int64_t, std::less<>> reconciling_since_ms_;  // steady
  int64_t bytes_ = 0;
  bool moved_ = false;  // partitions were assigned since the last WatchState
  GroupShardStats stats_;
  std::deque<Step> waiting_;
  std::vector<Step> writing_;
  size_t waiting_records_ = 0;
  bool appending_ = false;
  bool failed_ = false;
};

}  // namespace naru::cluster
