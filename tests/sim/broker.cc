#include "tests/sim/broker.h"

#include <algorithm>
#include <utility>

#include "storage/base/check.h"
#include "storage/base/strings.h"
#include "tests/sim/broker_log.h"

namespace naru::sim {

using namespace cluster;  // NOLINT(google-build-using-namespace): all of it is about these

namespace {

constexpr int64_t kHeartbeat = 400 * kMs;
constexpr int64_t kTick = 500 * kMs;
// Of a torn append, so many of its batches at most have reached the disk.
constexpr size_t kTornBatchesMax = 4;

}  // namespace

Broker::Broker(BrokerId id, Surroundings surroundings, HostId host)
    : id_(id), at_(std::move(surroundings)), host_(host), clock_(at_.loop) {
  Wipe();
}

Broker::~Broker() = default;

void Broker::Wipe() {
  parts_.clear();
  left_over_epochs_.clear();
  store_ = std::make_unique<MemoryLogStore>(clock_);
  store_->HoldDurability(true);
  NewIncarnation();
}

void Broker::NewIncarnation() { incarnation_ = absl::StrCat(id_.value(), ".", ++disks_); }

void Broker::LoseEnds() {
  NARU_CHECK(!process().up());
  left_over_epochs_.clear();
  for (const LogId log : store_->Logs()) {
    const LogInfo info = *store_->Info(log);
    const Offset end(at_.random.Between(info.log_start.value(), info.end.value()));
    store_->Truncate(log, end, [](const absl::Status&) {});
  }
  store_->MakeDurable();
  NewIncarnation();
}

void Broker::JumpClock(int64_t wall_ms, int64_t monotonic_ms) {
  clock_.Jump(wall_ms, monotonic_ms);
  jumped_us_ = at_.loop.now_us();
}

void Broker::Note(const std::string& what) { at_.loop.Note(absl::StrCat("broker ", id_.value(), " ", what)); }

const Replica* Broker::replica(const TopicPartition& partition) const {
  const auto part = parts_.find(partition);
  return part == parts_.end() ? nullptr : part->second.replica.get();
}

Broker::Part* Broker::Find(const TopicPartition& partition) {
  const auto part = parts_.find(partition);
  return part == parts_.end() || part->second.replica == nullptr ? nullptr : &part->second;
}

void Broker::Kill() {
  const BrokerEpoch epoch = epoch_;
  const bool registered = registered_;
  process().Kill();
  parts_.clear();
  registered_ = false;
  epoch_ = kNotRegistered;
  const size_t written_max = store_->waiting_changes() - (next_write_fails_ ? 1 : 0);
  if (store_->waiting_changes() > 0) store_->MakeDurable(at_.random.Index(written_max + 1));
  if (store_->Restart(at_.random.Index(kTornBatchesMax + 1)) > 0) at_.write_torn();
  next_write_fails_ = false;
  if (!registered) return;
  // Its connections break.
  for (Coordinator* coordinator : at_.coordinators) {
    at_.network.Send(host_, coordinator->host(),
                     [coordinator, id = id_, epoch] { coordinator->OnGone(id, epoch); });
  }
}

void Broker::Boot() {
  process().Boot();
  registered_ = false;
  version_ = heard_ = -1;
  syncing_ = false;
  process().After(0, [this] { Register(); });
  process().After(at_.random.Between(0, kHeartbeat), [this] { Heartbeat(); });
  process().After(at_.random.Between(0, kTick), [this] { Tick(); });
}

void Broker::Register() {
  if (registered_) return;
  process().After(kHeartbeat, [this] { Register(); });
  for (Coordinator* coordinator : at_.coordinators) {
    const auto answer = [this, life = process().life(), coordinator](BrokerEpoch epoch) {
      at_.network.Send(coordinator->host(), host_, [this, life, epoch] {
        if (process().life() != life || registered_) return;
        registered_ = true;
        epoch_ = epoch;
        Note(absl::StrCat("has broker epoch ", epoch.value()));
      });
    };
    at_.network.Send(host_, coordinator->host(), [this, coordinator, answer] {
      coordinator->OnRegister(id_, incarnation_, /*vouches=*/true, answer);
    });
  }
}

void Broker::Heartbeat() {
  process().After(kHeartbeat, [this] { Heartbeat(); });
  if (!registered_) return;
  for (Coordinator* coordinator : at_.coordinators) {
    const auto answer = [this, life = process().life(), coordinator, epoch = epoch_](bool registered) {
      at_.network.Send(coordinator->host(), host_, [this, life, epoch, coordinator, registered] {
        if (process().life() != life || epoch != epoch_) return;
        coordinator_ = coordinator;
        if (registered) return;
        Note("is to register again");
        Kill();
        Boot();
      });
    };
    at_.network.Send(host_, coordinator->host(),
                     [coordinator, id = id_, epoch = epoch_, version = version_, answer] {
                       coordinator->OnHeartbeat(id, epoch, version, answer);
                     });
  }
}

void Broker::Tick() {
  process().After(kTick, [this] { Tick(); });
  for (auto& [partition, part] : parts_) {
    if (part.replica == nullptr) continue;
    Do(partition, part, part.replica->Tick(*part.view, clock_.now_ms()));
    KeepUp(partition, part);
  }
}

void Broker::OnAssigned(const Assignments& assignments) {
  if (!registered_) return;
  if (assignments.complete) version_ = std::max(version_, assignments.version);
  // What was overtaken may speak of topics that are gone, and not know of those that were made since.
  const bool newest = assignments.version >= heard_;
  heard_ = std::max(heard_, assignments.version);
  const bool current = newest && assignments.version >= epoch_.value();
  if (assignments.all_logs && (current || !at_.rules.driver.delete_by_newest_metadata_only)) {
    DeleteOrphans(*assignments.all_logs);
  }
  for (const auto& [partition, state] : assignments.partitions) {
    auto part = parts_.find(partition);
    if (part == parts_.end()) {
      if (!newest) continue;
      part = parts_.try_emplace(partition).first;
      part->second.log = assignments.logs.at(partition);
      part->second.assigned = state;
      part->second.version = assignments.version;
      if (store_->Info(part->second.log).ok()) {
        OnLogExists(partition, part->second);
      } else {
        CreateLog(partition, part->second.log);
      }
    } else if (part->second.replica != nullptr) {
      Apply(partition, part->second, state, assignments.version);
    } else if (state.epoch > part->second.assigned.epoch) {
      part->second.assigned = state;
      part->second.version = assignments.version;
    }
  }
}

void Broker::CreateLog(const TopicPartition& partition, LogId log) {
  store_->CreateLogs({log}, InThisLife([this, partition, log](const absl::Status& status) {
                       const auto part = parts_.find(partition);
                       if (part == parts_.end() || part->second.log != log || !status.ok()) return;
                       OnLogExists(partition, part->second);
                     }));
  Sync();
}

void Broker::OnLogExists(const TopicPartition& partition, Part& part) {
  if (part.replica != nullptr) return;
  part.view = std::make_unique<View>(*store_, part.log, left_over_epochs_);
  part.replica = std::make_unique<Replica>(id_, epoch_, kReplication, at_.rules.replication);
  Apply(partition, part, part.assigned, part.version);
}

void Broker::Apply(const TopicPartition& partition, Part& part, const PartitionState& state,
                   int64_t version) {
  Do(partition, part, part.replica->OnAssigned(state, version, *part.view, clock_.now_ms()));
  if (part.replica->follower() != nullptr) FetchOn(partition, part);
}

// Of topics that are gone; and of those that were made when this broker was not there to hear of their end.
void Broker::DeleteOrphans(const std::set<LogId>& all_logs) {
  std::vector<LogId> orphans;
  for (const LogId log : store_->Logs()) {
    if (!all_logs.contains(log)) orphans.push_back(log);
  }
  std::erase_if(parts_, [&](const auto& entry) {
    const Part& part = entry.second;
    if (all_logs.contains(part.log)) return false;
    for (const WaitingAppend& append : part.appends) append.answer({});
    for (const WaitingDelete& request : part.deletes) request.answer({});
    for (const auto& [question, done] : part.confirming) done(false);
    return true;
  });
  if (orphans.empty() || !at_.rules.driver.delete_orphans) return;
  Note(absl::StrCat("deletes ", orphans.size(), " logs of topics that are gone"));
  store_->DeleteLogs(std::move(orphans), [](const absl::Status&) {});
  Sync();
}

}  // namespace naru::sim
