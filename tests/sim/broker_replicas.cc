// What a broker's replicas want done, and what passes between them and those of other brokers.
#include <utility>
#include <variant>

#include "storage/base/check.h"
#include "storage/base/status.h"
#include "storage/base/strings.h"
#include "tests/sim/broker.h"
#include "tests/sim/broker_log.h"
#include "tests/sim/partition_name.h"

namespace naru::sim {

using namespace cluster;  // NOLINT(google-build-using-namespace): all of it is about these

namespace {

constexpr int64_t kFetchTimeout = 500 * kMs;

}  // namespace

void Broker::FetchOn(const TopicPartition& partition, Part& part) {
  const auto fetch = part.replica->NextFetch(*part.view);
  if (!fetch) return;
  const uint64_t number = ++part.fetch;
  process().After(kFetchTimeout, [this, partition, number] {
    Part* again = Find(partition);
    if (again != nullptr && again->fetch == number) FetchOn(partition, *again);
  });
  Broker& leader = at_.broker(part.replica->follower()->leader());
  const auto answer = [this, partition, number, from = leader.host()](const Fetched& fetched) {
    const auto arrive = [this, partition, number, fetched] {
      OnFetched(partition, fetched);
      Part* again = Find(partition);
      if (again == nullptr || again->fetch != number) return;
      const int64_t pause = fetched.batches.empty() ? at_.random.Between(5 * kMs, 50 * kMs) : 0;
      process().After(pause, [this, partition, number] {
        Part* next = Find(partition);
        if (next != nullptr && next->fetch == number) FetchOn(partition, *next);
      });
    };
    at_.answering(*this, partition, fetched.answer, arrive);
    at_.network.Send(from, host_, arrive);
  };
  const uint64_t after = part.fetched_in == fetch->leader_epoch ? part.fetched : 0;
  const auto arrive = [&leader, partition, fetch = *fetch, after, answer] {
    leader.OnFetch(partition, fetch, after, answer);
  };
  at_.fetching(*this, partition, *fetch, arrive);
  at_.network.Send(host_, leader.host(), arrive);
}

void Broker::OnFetch(const TopicPartition& partition, const ReplicaFetch& fetch, uint64_t after,
                     const std::function<void(const Fetched&)>& answer) {
  Part* part = Find(partition);
  if (part == nullptr) return;
  ReplicaEffects effects;
  Fetched fetched;
  fetched.answer = part->replica->OnFetch(fetch, *part->view, clock_.now_ms(), effects);
  uint64_t& answered = part->answered[fetch.follower];
  // Only what was sent after the newest answer says that its sender follows still: messages are overtaken
  // here.
  if (fetched.answer.kind == ReplicaFetchAnswer::Kind::kBatches && after == answered) {
    part->confirmations.OnFetch(fetch.follower);
  }
  if (part->replica->leader() != nullptr) fetched.number = ++answered;
  Do(partition, *part, effects);
  if (fetched.answer.kind == ReplicaFetchAnswer::Kind::kBatches) {
    const ReadRequest read{.log = part->log,
                           .from = fetch.offset,
                           .bytes_max = fetch_bytes_max_,
                           .include_undurable = true,
                           .include_emptied = true};
    store_->Read(read, [&](absl::StatusOr<ReadResult> result) {
      if (!result.ok()) return OnDamaged(partition, result.status());
      fetched.batches = std::move(result->batches);
      fetched.gaps = result->gaps;
    });
  }
  answer(fetched);
}

void Broker::OnFetched(const TopicPartition& partition, const Fetched& fetched) {
  Part* part = Find(partition);
  if (part == nullptr) return;
  const LeaderEpoch epoch = fetched.answer.leader_epoch;
  if (fetched.number > 0 && part->replica->follower() != nullptr && epoch == part->replica->leader_epoch()) {
    part->fetched = part->fetched_in == epoch ? std::max(part->fetched, fetched.number) : fetched.number;
    part->fetched_in = epoch;
  }
  Do(partition, *part, part->replica->OnFetchAnswer(fetched.answer, *part->view), fetched);
}

void Broker::Do(const TopicPartition& partition, Part& part, const ReplicaEffects& effects,
                const Fetched& fetched) {
  const LeaderEpoch epoch = part.replica->leader_epoch();
  for (const ReplicaEffect& effect : effects) {
    if (const auto* begin = std::get_if<BeginEpoch>(&effect)) {
      store_->BeginEpoch(part.log, begin->epoch, InThisLife([this, partition, epoch](absl::Status status) {
                           Part* own = Find(partition);
                           if (own == nullptr || !status.ok()) return;
                           Do(partition, *own,
                              own->replica->OnEpochBegun(epoch, *own->view, clock_.now_ms()));
                         }));
    } else if (const auto* truncate = std::get_if<TruncateLog>(&effect)) {
      Note(absl::StrCat("truncates partition ", Name(partition), " to ", truncate->end.value()));
      const LeaderEpoch last = part.view->LastEpoch();
      store_->Truncate(part.log, truncate->end, [](absl::Status) {});
      if (!at_.rules.driver.cut_epochs_with_log) part.view->LeaveEpoch(last);
      part.replica->OnTruncated(epoch, *part.view);
    } else if (const auto* reset = std::get_if<ResetLog>(&effect)) {
      Note(absl::StrCat("resets partition ", Name(partition), " to ", reset->start.value()));
      store_->Reset(part.log, reset->start, reset->producers,
                    InThisLife([this, partition, start = reset->start](absl::Status) {
                      if (Part* own = Find(partition)) own->view->StartIsDurable(start);
                    }));
      part.replica->OnTruncated(epoch, *part.view);
    } else if (const auto* move = std::get_if<MoveLogStart>(&effect)) {
      MoveStart(partition, part, move->start);
    } else if (const auto* propose = std::get_if<ProposeIsr>(&effect)) {
      Propose(partition, propose->proposal);
    } else if (const auto* report = std::get_if<cluster::ReportDamage>(&effect)) {
      ReportDamage(partition, report->leader_epoch);
    } else if (!fetched.batches.empty()) {
      ReplicaAppendRequest request{.log = part.log, .batches = fetched.batches, .gaps = fetched.gaps};
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
  at_.proposing(*this, partition, proposal);
  // Each attempt goes to one coordinator, once: the leader counts the copies that may be about.
  Coordinator* coordinator = coordinator_ != nullptr ? coordinator_ : at_.coordinators.front();
  const auto answer = [this, partition, coordinator, attempt = proposal.attempt](const AnswerProposal& said) {
    at_.network.Send(coordinator->host(), host_, [this, partition, attempt, said] {
      Part* part = Find(partition);
      if (part == nullptr) return;
      // Without replicas where the topic is gone.
      if (!said.state.replicas.empty()) Apply(partition, *part, said.state, said.version);
      part->replica->OnIsrAnswer(attempt, said.outcome, clock_.now_ms());
      Settle(partition, *part);
    });
  };
  at_.network.SendOnce(host_, coordinator->host(), [coordinator, id = id_, partition, proposal, answer] {
    coordinator->OnProposal(id, partition, proposal, answer);
  });
}

void Broker::OnDamaged(const TopicPartition& partition, const absl::Status& status) {
  if (ReasonOf(status) != Reason::kCorruptData) return;
  Part* part = Find(partition);
  if (part == nullptr || part->replica->damaged()) return;
  Note(absl::StrCat("finds its copy of partition ", Name(partition), " damaged"));
  Do(partition, *part, part->replica->OnDamaged(clock_.now_ms()));
}

void Broker::ReportDamage(const TopicPartition& partition, LeaderEpoch leader_epoch) {
  // Lost where nobody is there to hear it; it is said again.
  if (coordinator_ == nullptr) return;
  at_.network.SendOnce(host_, coordinator_->host(),
                       [coordinator = coordinator_, id = id_, partition, leader_epoch] {
                         coordinator->OnDamage(id, partition, leader_epoch);
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
    if (next_write_fails_) return at_.write_failed(*this);
    store_->MakeDurable(changes);
    Sync();
  });
}

}  // namespace naru::sim
