#include "tests/sim/broker.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "storage/base/check.h"
#include "storage/base/crc32c.h"
#include "storage/base/strings.h"

namespace naru::sim {

using namespace cluster;  // NOLINT(google-build-using-namespace): all of it is about these

namespace {

constexpr int64_t kHeartbeat = 400 * kMs;
constexpr int64_t kTick = 500 * kMs;
constexpr int64_t kFetchTimeout = 500 * kMs;
constexpr int64_t kFetchBytes = 256;

}  // namespace

class Broker::View final : public LogView {
 public:
  View(const MemoryLogStore& store, LogId log)
      : store_(store), log_(log), durable_start_(store.Info(log)->log_start) {}
  LogPositions Positions() const override {
    const LogInfo info = *store_.Info(log_);
    return {info.log_start, info.end, info.durable_end, std::min(durable_start_, info.log_start)};
  }
  void StartIsDurable(Offset start) { durable_start_ = std::max(durable_start_, start); }
  EpochEnd EndOffsetForEpoch(LeaderEpoch epoch) const override {
    return *store_.EndOffsetForEpoch(log_, epoch);
  }

 private:
  const MemoryLogStore& store_;
  const LogId log_;
  Offset durable_start_;
};

// Completions of the store come to the process that asked, or to nobody.
template <typename Callback>
auto Broker::InThisLife(Callback callback) {
  return [this, life = process().life(), callback = std::move(callback)](auto result) mutable {
    if (process().up() && process().life() == life) callback(std::move(result));
  };
}

Broker::Broker(BrokerId id, Surroundings surroundings, HostId host)
    : id_(id), at_(std::move(surroundings)), host_(host) {
  Wipe();
}

Broker::~Broker() = default;

void Broker::Wipe() {
  parts_.clear();
  store_ = std::make_unique<MemoryLogStore>(at_.loop);
  incarnation_ = std::to_string(id_.value()) + "." + std::to_string(++wipes_);
  std::vector<LogId> logs;
  for (const TopicPartition& partition : at_.partitions) logs.push_back(log_of(partition));
  store_->CreateLogs(logs, [](absl::Status status) { NARU_CHECK_OK(status); });
  store_->HoldDurability(true);
}

void Broker::Note(const std::string& what) { at_.loop.Note(absl::StrCat("broker ", id_.value(), " ", what)); }

LogId Broker::log_of(const TopicPartition& partition) const {
  return LogId(static_cast<uint64_t>(partition.partition) + 1);
}

const Replica* Broker::replica(const TopicPartition& partition) const {
  const auto part = parts_.find(partition);
  return part == parts_.end() ? nullptr : part->second.replica.get();
}

Broker::Part* Broker::Find(const TopicPartition& partition) {
  const auto part = parts_.find(partition);
  return part == parts_.end() ? nullptr : &part->second;
}

void Broker::Kill() {
  const BrokerEpoch epoch = epoch_;
  const bool registered = registered_;
  process().Kill();
  parts_.clear();
  registered_ = false;
  if (store_->waiting_changes() > 0) store_->MakeDurable(at_.random.Index(store_->waiting_changes() + 1));
  store_->Restart();
  // Its connections break.
  if (!registered) return;
  for (Coordinator* coordinator : at_.coordinators) {
    at_.network.Send(host_, coordinator->host(),
                     [coordinator, id = id_, epoch] { coordinator->OnGone(id, epoch); });
  }
}

void Broker::Boot() {
  process().Boot();
  registered_ = false;
  version_ = -1;
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
    Do(partition, part, part.replica->Tick(*part.view, at_.loop.now_ms()));
  }
}

void Broker::OnAssigned(const Assignments& assignments) {
  if (!registered_) return;
  if (assignments.complete) version_ = std::max(version_, assignments.version);
  for (const auto& [partition, state] : assignments.partitions) {
    Part& part = parts_[partition];
    if (part.replica == nullptr) {
      part.log = log_of(partition);
      part.view = std::make_unique<View>(*store_, part.log);
      part.replica = std::make_unique<Replica>(id_, epoch_, kReplication, at_.rules);
    }
    Do(partition, part, part.replica->OnAssigned(state, assignments.version, *part.view, at_.loop.now_ms()));
    if (part.replica->follower() != nullptr) FetchOn(partition, part);
  }
}

void Broker::FetchOn(const TopicPartition& partition, Part& part) {
  const auto fetch = part.replica->NextFetch(*part.view);
  if (!fetch) return;
  const uint64_t number = ++part.fetch;
  process().After(kFetchTimeout, [this, partition, number] {
    Part* again = Find(partition);
    if (again != nullptr && again->fetch == number) FetchOn(partition, *again);
  });
  Broker& leader = at_.broker(part.replica->follower()->leader());
  const auto answer = [this, partition, number, from = leader.host()](
                          const ReplicaFetchAnswer& fetched, const std::vector<StoredBatchView>& batches) {
    at_.network.Send(from, host_, [this, partition, number, fetched, batches] {
      OnFetched(partition, fetched, batches);
      Part* again = Find(partition);
      if (again == nullptr || again->fetch != number) return;
      const int64_t pause = batches.empty() ? at_.random.Between(5 * kMs, 50 * kMs) : 0;
      process().After(pause, [this, partition, number] {
        Part* next = Find(partition);
        if (next != nullptr && next->fetch == number) FetchOn(partition, *next);
      });
    });
  };
  at_.network.Send(host_, leader.host(), [&leader, partition, fetch = *fetch, answer] {
    leader.OnFetch(partition, fetch, answer);
  });
}

void Broker::OnFetch(const TopicPartition& partition, const ReplicaFetch& fetch, FetchAnswer answer) {
  Part* part = Find(partition);
  if (part == nullptr) return;
  ReplicaEffects effects;
  const ReplicaFetchAnswer fetched = part->replica->OnFetch(fetch, *part->view, at_.loop.now_ms(), effects);
  Do(partition, *part, effects);
  std::vector<StoredBatchView> batches;
  if (fetched.kind == ReplicaFetchAnswer::Kind::kBatches) {
    ReadRequest read{
        .log = part->log, .from = fetch.offset, .bytes_max = kFetchBytes, .include_undurable = true};
    store_->Read(read, [&](absl::StatusOr<ReadResult> result) {
      if (result.ok()) batches = std::move(result->batches);
    });
  }
  answer(fetched, std::move(batches));
}

void Broker::OnFetched(const TopicPartition& partition, const ReplicaFetchAnswer& answer,
                       const std::vector<StoredBatchView>& batches) {
  Part* part = Find(partition);
  if (part == nullptr) return;
  Do(partition, *part, part->replica->OnFetchAnswer(answer, *part->view), batches);
}

void Broker::Do(const TopicPartition& partition, Part& part, const ReplicaEffects& effects,
                const std::vector<StoredBatchView>& batches) {
  const LeaderEpoch epoch = part.replica->leader_epoch();
  for (const ReplicaEffect& effect : effects) {
    if (const auto* begin = std::get_if<BeginEpoch>(&effect)) {
      store_->BeginEpoch(part.log, begin->epoch, InThisLife([this, partition, epoch](absl::Status status) {
                           Part* own = Find(partition);
                           if (own == nullptr || !status.ok()) return;
                           Do(partition, *own,
                              own->replica->OnEpochBegun(epoch, *own->view, at_.loop.now_ms()));
                         }));
    } else if (const auto* truncate = std::get_if<TruncateLog>(&effect)) {
      Note(absl::StrCat("truncates partition ", partition.partition, " to ", truncate->end.value()));
      store_->Truncate(part.log, truncate->end, [](absl::Status) {});
      part.replica->OnTruncated(epoch, *part.view);
    } else if (const auto* reset = std::get_if<ResetLog>(&effect)) {
      Note(absl::StrCat("resets partition ", partition.partition, " to ", reset->start.value()));
      store_->Reset(part.log, reset->start, InThisLife([this, partition, start = reset->start](absl::Status) {
                      if (Part* own = Find(partition)) own->view->StartIsDurable(start);
                    }));
      part.replica->OnTruncated(epoch, *part.view);
    } else if (const auto* move = std::get_if<MoveLogStart>(&effect)) {
      MoveStart(partition, part, move->start);
    } else if (const auto* propose = std::get_if<ProposeIsr>(&effect)) {
      Propose(partition, propose->proposal);
    } else if (!batches.empty()) {
      ReplicaAppendRequest request{.log = part.log, .batches = batches};
      store_->AppendAsReplica(std::move(request),
                              InThisLife([this, partition](const absl::StatusOr<Appended>& appended) {
                                Part* own = Find(partition);
                                if (!appended.ok()) Note(appended.status().ToString());
                                if (own != nullptr && appended.ok()) OnDurable(partition, *own);
                              }));
    }
  }
  Sync();
  Settle(partition, part);
}

void Broker::Propose(const TopicPartition& partition, const IsrProposal& proposal) {
  // Each attempt goes to one coordinator, once: the leader counts the copies that may be about.
  Coordinator* coordinator = coordinator_ != nullptr ? coordinator_ : at_.coordinators.front();
  const auto answer = [this, partition, coordinator, attempt = proposal.attempt](const AnswerProposal& said) {
    at_.network.Send(coordinator->host(), host_, [this, partition, attempt, said] {
      Part* part = Find(partition);
      if (part == nullptr) return;
      Do(partition, *part,
         part->replica->OnAssigned(said.state, said.version, *part->view, at_.loop.now_ms()));
      part->replica->OnIsrAnswer(attempt, said.outcome, at_.loop.now_ms());
      Settle(partition, *part);
    });
  };
  at_.network.SendOnce(host_, coordinator->host(), [coordinator, id = id_, partition, proposal, answer] {
    coordinator->OnProposal(id, partition, proposal, answer);
  });
}

void Broker::OnDurable(const TopicPartition& partition, Part& part) {
  part.replica->OnDurable(*part.view);
  Settle(partition, part);
  if (part.replica->follower() != nullptr) FetchOn(partition, part);
}

void Broker::Sync() {
  if (syncing_ || store_->waiting_changes() == 0) return;
  syncing_ = true;
  process().After(at_.random.Between(50, sync_us_max_), [this, changes = store_->waiting_changes()] {
    syncing_ = false;
    store_->MakeDurable(changes);
    Sync();
  });
}

void Broker::OnAppend(const TopicPartition& partition, const std::string& values, uint32_t records,
                      bool replicated, std::function<void(AppendResult)> answer) {
  using Outcome = AppendResult::Outcome;
  Part* part = Find(partition);
  if (part == nullptr) return answer({.outcome = Outcome::kRefused});
  const PartitionLeader* leader = part->replica->leader();
  const BrokerId hint = part->replica->state().leader;
  if (leader == nullptr || (replicated && !leader->may_commit()))
    return answer({.outcome = Outcome::kRefused, .leader_hint = hint});
  AppendRequest request;
  request.log = part->log;
  request.batch = absl::Cord(values);
  request.info.size_bytes = static_cast<int64_t>(values.size());
  request.info.record_count = records;
  request.info.crc32c = Crc32c(values);
  request.leader_epoch = part->replica->leader_epoch();
  const LeaderEpoch epoch = part->replica->leader_epoch();
  store_->Append(std::move(request), InThisLife([this, partition, epoch, replicated,
                                                 answer](const absl::StatusOr<Appended>& appended) {
                   if (!appended.ok()) return answer({.outcome = Outcome::kRefused});
                   Part* own = Find(partition);
                   if (own == nullptr) return answer({});
                   if (replicated) {
                     own->appends.push_back({epoch, *appended, answer});
                   } else {
                     answer({});
                   }
                   OnDurable(partition, *own);
                 }));
  Sync();
  Settle(partition, *part);
}

PollResult Broker::OnPoll(const TopicPartition& partition, Offset from) {
  PollResult result;
  Part* part = Find(partition);
  if (part == nullptr || part->replica->leader() == nullptr) return result;
  result.served = true;
  result.leader_epoch = part->replica->leader_epoch();
  result.high_watermark = part->replica->high_watermark();
  result.knows_high_watermark = part->replica->leader()->knows_high_watermark();
  result.log_start = part->view->Positions().start;
  if (from < result.log_start || from >= result.high_watermark) return result;
  store_->Read({.log = part->log,
                .from = from,
                .end = result.high_watermark,
                .bytes_max = kFetchBytes,
                .include_undurable = true},
               [&](absl::StatusOr<ReadResult> read) {
                 if (read.ok()) result.batches = std::move(read->batches);
               });
  return result;
}

void Broker::OnDelete(const TopicPartition& partition, Offset below,
                      std::function<void(DeleteResult)> answer) {
  Part* part = Find(partition);
  if (part == nullptr || part->replica->leader() == nullptr) return answer({});
  // Rule 17: never what is not committed, and not answered before it is gone everywhere.
  below = std::min(below, part->replica->high_watermark());
  part->deletes.push_back({part->replica->leader_epoch(), below, std::move(answer)});
  MoveStart(partition, *part, below);
  Sync();
}

void Broker::MoveStart(const TopicPartition& partition, Part& part, Offset start) {
  start = std::min(start, part.view->Positions().durable_end);
  store_->MoveLogStart(part.log, start, InThisLife([this, partition, start](absl::Status status) {
                         Part* own = Find(partition);
                         if (own == nullptr || !status.ok()) return;
                         own->view->StartIsDurable(start);
                         Settle(partition, *own);
                       }));
}

void Broker::Settle(const TopicPartition& partition, Part& part) {
  using Outcome = AppendResult::Outcome;
  const PartitionLeader* leader = part.replica->leader();
  const auto answer_appends = [&] {
    std::deque<WaitingAppend> waiting;
    for (WaitingAppend& append : std::exchange(part.appends, {})) {
      if (leader == nullptr || append.leader_epoch != part.replica->leader_epoch()) {
        append.answer({.outcome = Outcome::kUnknown});
      } else if (leader->high_watermark() >= append.appended.next_offset) {
        append.answer({Outcome::kOk, append.appended.base_offset, append.leader_epoch, id_});
      } else {
        waiting.push_back(std::move(append));
      }
    }
    part.appends = std::move(waiting);
  };
  answer_appends();
  std::deque<WaitingDelete> waiting;
  for (WaitingDelete& request : std::exchange(part.deletes, {})) {
    if (leader == nullptr || request.leader_epoch != part.replica->leader_epoch()) {
      request.answer({});
    } else if (leader->deleted_below(part.view->Positions()) >= request.below) {
      Note(absl::StrCat("has deleted partition ", partition.partition, " below ", request.below.value()));
      request.answer({true, request.leader_epoch, request.below});
    } else {
      waiting.push_back(std::move(request));
    }
  }
  part.deletes = std::move(waiting);
  at_.touched(*this, partition);
}

}  // namespace naru::sim
