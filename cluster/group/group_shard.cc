#include "cluster/group/group_shard.h"

#include <type_traits>
#include <variant>

#include "cluster/group/group_record.h"
#include "storage/base/check.h"
#include "storage/base/status.h"
#include "storage/batch/batch.h"

namespace naru::cluster {
namespace {

// Steps share a batch up to here; one step's records always stand in one batch.
constexpr size_t kBatchBytes = 512 << 10;

bool IsPosition(const GroupEffect& effect) {
  const auto* persist = std::get_if<Persist>(&effect);
  return persist != nullptr && std::holds_alternative<OffsetRow>(persist->record);
}

}  // namespace

GroupShardStats& GroupShardStats::operator+=(const GroupShardStats& other) {
  commits += other.commits;
  positions += other.positions;
  rebalances += other.rebalances;
  rebalance_ms += other.rebalance_ms;
  fenced += other.fenced;
  return *this;
}

void GroupShard::Count(const GroupEffect& effect) {
  if (IsPosition(effect)) ++stats_.positions;
  moved_ = moved_ || std::holds_alternative<TellAssigned>(effect);
  if (const auto* end = std::get_if<EndSession>(&effect)) {
    if (ReasonOf(end->why) == Reason::kMemberFenced) ++stats_.fenced;
  }
}

void GroupShard::WatchState(const std::string& group, const GroupMachine& machine, const GroupTime& now) {
  const auto since = reconciling_since_ms_.find(group);
  const bool reconciling = machine.state() == GroupState::kReconciling;
  const bool moved = std::exchange(moved_, false);
  if (reconciling) {
    reconciling_since_ms_.try_emplace(group, now.steady_ms);
  } else if (since != reconciling_since_ms_.end()) {
    ++stats_.rebalances;
    stats_.rebalance_ms += now.steady_ms - since->second;
    reconciling_since_ms_.erase(since);
  } else if (moved) {
    ++stats_.rebalances;  // nobody had to give anything up first
  }
}

absl::Status GroupShard::Replay(std::string_view key, std::optional<std::string_view> value) {
  NARU_CHECK(topics_ == nullptr);
  NARU_ASSIGN_OR_RETURN(const std::optional<DecodedGroupRecord> decoded, DecodeGroupRecord(key, value));
  if (!decoded) return absl::OkStatus();
  std::unique_ptr<GroupMachine>& group = groups_[decoded->group];
  if (group == nullptr) group = std::make_unique<GroupMachine>(limits_);
  group->Replay(decoded->record);
  return absl::OkStatus();
}

void GroupShard::Start(std::shared_ptr<const GroupTopics> topics, const GroupTime& now) {
  NARU_CHECK(topics_ == nullptr && topics != nullptr);
  topics_ = std::move(topics);
  for (auto it = groups_.begin(); it != groups_.end();) {
    const auto& [name, machine] = *it++;
    Take(name, machine->Start(topics_, now));
    SetDeadline(name, *machine, now);
    WatchState(name, *machine, now);
    Settle(name, *machine);
  }
  Go(now);
}

void GroupShard::On(const std::string& group, const GroupEvent& event, const GroupTime& now) {
  NARU_CHECK(topics_ != nullptr && !failed_);
  std::unique_ptr<GroupMachine>& machine = groups_[group];
  if (machine == nullptr) {
    machine = std::make_unique<GroupMachine>(limits_);
    machine->Start(topics_, now);
  }
  Take(group, machine->On(event, now));
  // A commit, by far the most frequent, moves no deadline where there are members.
  const bool settled = std::holds_alternative<CommitOffsets>(event) && !machine->members().empty();
  if (!settled) {
    SetDeadline(group, *machine, now);
    WatchState(group, *machine, now);
  }
  Settle(group, *machine);
  Go(now);
}

void GroupShard::Barrier(uint64_t request, const GroupTime& now) {
  Step step;
  step.said.push_back(Answer{request, absl::OkStatus()});
  waiting_.push_back(std::move(step));
  Go(now);
}

void GroupShard::ChangeTopics(std::shared_ptr<const GroupTopics> topics, const GroupTime& now) {
  NARU_CHECK(topics != nullptr && !failed_);
  topics_ = std::move(topics);
  for (auto it = groups_.begin(); it != groups_.end();) {
    const auto& [name, machine] = *it++;
    Take(name, machine->On(cluster::ChangeTopics{topics_}, now));
    SetDeadline(name, *machine, now);
    WatchState(name, *machine, now);
    Settle(name, *machine);
  }
  Go(now);
}

void GroupShard::PassTime(const GroupTime& now) {
  while (!deadlines_.empty() && deadlines_.begin()->first <= now.steady_ms) {
    const std::string group = deadlines_.begin()->second;
    GroupMachine& machine = *groups_.at(group);
    Take(group, machine.On(cluster::PassTime{}, now));
    SetDeadline(group, machine, now);
    WatchState(group, machine, now);
    Settle(group, machine);
  }
  Go(now);
}

std::optional<int64_t> GroupShard::NextDeadline() const {
  if (deadlines_.empty()) return std::nullopt;
  return deadlines_.begin()->first;
}

const GroupMachine* GroupShard::Find(std::string_view group) const {
  const auto it = groups_.find(group);
  return it == groups_.end() ? nullptr : it->second.get();
}

void GroupShard::Take(const std::string& group, GroupEffects effects) {
  if (effects.empty()) return;
  Step step{.group = group};
  BatchBuilder records;
  bool committed = false;
  for (GroupEffect& effect : effects) {
    Count(effect);
    committed = committed || IsPosition(effect);
    if (const auto* persist = std::get_if<Persist>(&effect)) {
      records.AddRaw(ToRecord(EncodeGroupRecord(group, persist->record)));
    } else {
      step.said.push_back(std::move(effect));
    }
  }
  if (committed) ++stats_.commits;
  step.record_count = records.record_count();
  if (step.record_count > 0) {
    const absl::StatusOr<absl::Cord> bytes = records.Finish(Codec::kNone);
    NARU_CHECK_OK(bytes.status());
    step.records = std::string(*bytes);
  }
  waiting_records_ += step.record_count;
  waiting_.push_back(std::move(step));
}

void GroupShard::SetDeadline(const std::string& group, const GroupMachine& machine, const GroupTime& now) {
  const std::optional<int64_t> due = machine.NextDeadline(now);
  const auto it = deadline_of_.find(group);
  if (it != deadline_of_.end()) {
    if (due == it->second) return;
    deadlines_.erase({it->second, group});
    deadline_of_.erase(it);
  }
  if (!due) return;
  deadlines_.emplace(*due, group);
  deadline_of_[group] = *due;
}

void GroupShard::Settle(const std::string& group, GroupMachine& machine) {
  bytes_ += machine.TakeGrowth();
  if (!machine.vacant()) return;
  bytes_ -= machine.bytes();
  reconciling_since_ms_.erase(group);
  if (const auto due = deadline_of_.find(group); due != deadline_of_.end()) {
    deadlines_.erase({due->second, group});
    deadline_of_.erase(due);
  }
  groups_.erase(groups_.find(group));
}

void GroupShard::Go(const GroupTime& now) {
  while (!appending_ && !waiting_.empty()) {
    absl::Cord batch;
    while (!waiting_.empty() &&
           (batch.empty() || batch.size() + waiting_.front().records.size() <= kBatchBytes)) {
      batch.Append(
          std::exchange(waiting_.front().records, {}));  // fields of one message, one behind the other
      writing_.push_back(std::move(waiting_.front()));
      waiting_.pop_front();
    }
    if (!batch.empty()) {
      appending_ = true;
      return effects_.Append(std::move(batch));
    }
    TellAll(std::exchange(writing_, {}), now);
  }
}

void GroupShard::OnAppended(const absl::Status& status, const GroupTime& now) {
  NARU_CHECK(appending_);
  if (!status.ok()) return Fail(status);
  appending_ = false;
  TellAll(std::exchange(writing_, {}), now);
  Go(now);
}

void GroupShard::TellAll(const std::vector<Step>& steps, const GroupTime& now) {
  for (const Step& step : steps) {
    waiting_records_ -= step.record_count;
    for (const GroupEffect& effect : step.said) {
      effects_.Tell(effect);
      const auto* revoking = std::get_if<TellRevoking>(&effect);
      if (revoking == nullptr) continue;
      const auto group = groups_.find(step.group);
      if (group == groups_.end()) continue;
      // It says and writes nothing to that.
      NARU_CHECK(group->second->On(RevokingTold{revoking->session, revoking->partitions}, now).empty());
      SetDeadline(step.group, *group->second, now);
    }
  }
}

void GroupShard::Fail(const absl::Status& status) {
  failed_ = true;
  std::set<uint64_t> sessions;
  std::vector<uint64_t> requests;
  const auto collect = [&](const Step& step) {
    for (const GroupEffect& effect : step.said) {
      std::visit(
          [&](const auto& said) {
            using Effect = std::decay_t<decltype(said)>;
            if constexpr (std::is_same_v<Effect, Answer>) {
              requests.push_back(said.request);
            } else if constexpr (!std::is_same_v<Effect, Persist>) {
              sessions.insert(said.session);
            }
          },
          effect);
    }
  };
  for (const Step& step : writing_) collect(step);
  for (const Step& step : waiting_) collect(step);
  for (const auto& [name, machine] : groups_) {
    for (const auto& [id, member] : machine->members()) {
      if (member.session != 0) sessions.insert(member.session);
    }
  }
  writing_.clear();
  waiting_.clear();
  groups_.clear();
  bytes_ = 0;
  deadlines_.clear();
  deadline_of_.clear();
  reconciling_since_ms_.clear();
  for (const uint64_t request : requests) effects_.Tell(Answer{request, status});
  for (const uint64_t session : sessions) effects_.Tell(EndSession{session, status});
}

}  // namespace naru::cluster
