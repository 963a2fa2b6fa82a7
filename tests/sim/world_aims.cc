// What happens to the cluster at the worst of moments: in some of the runs, beside the weather.
#include <algorithm>
#include <iterator>
#include <utility>

#include "storage/base/strings.h"
#include "tests/sim/partition_name.h"
#include "tests/sim/world.h"

namespace naru::sim {

using namespace cluster;  // NOLINT(google-build-using-namespace): all of it is about these

namespace {

constexpr Aim kAims[] = {Aim::kJoiner, Aim::kOldClaim, Aim::kOldCut, Aim::kUnsynced};

}  // namespace

// One thing at a time is waited for; what does not come in time gives way to another.
void World::TakeAim() {
  if (!stormy_) return;
  loop_.After(random_.Between(500 * kMs, 2 * kSecond), [this] { TakeAim(); });
  if (lull()) return;
  const bool looking = aim_ == Aim::kUnsynced;
  aim_ = kAims[random_.Index(std::size(kAims))];
  if (aim_ != Aim::kUnsynced || looking) return;
  SlowDisk(*brokers_[random_.Index(brokers_.size())]);
  LookForUnsynced();
}

// Rule 23: the groups' coordinator goes on with its members, and knows nothing of the next one, nor of a
// member that joins there. All else is well, or there is no next one.
void World::AimAtGroups() {
  if (!stormy_) return;
  ClearUp();
  const int64_t settling_us = 2 * kSecond;
  const int64_t cut_us = random_.Between(8 * kSecond, 11 * kSecond);
  BeginLull(settling_us + cut_us);
  loop_.After(settling_us, [this, cut_us] { CutOffGroups(cut_us); });
  loop_.After(settling_us + cut_us + random_.Between(kSecond, 3 * kSecond), [this] { AimAtGroups(); });
}

void World::CutOffGroups(int64_t cut_us) {
  const auto state = store_->stored().partitions.find(groups_partition_);
  if (!stormy_ || state == store_->stored().partitions.end() || state->second.leader == kNoBroker) return;
  const HostId leads = broker(state->second.leader).host();
  Count("cut the groups' coordinator off from all but its members", network_.host(leads).name());
  CutFromCoordinators(leads, cut_us);
  for (const auto& coordinator : coordinators_) CutWay(coordinator->host(), leads, cut_us);
  for (const auto& other : brokers_) {
    if (other->host() == leads) continue;
    CutWay(leads, other->host(), cut_us);
    CutWay(other->host(), leads, cut_us);
  }
  loop_.After(random_.Between(500 * kMs, 3 * kSecond), [this] {
    if (stormy_) KillMember();
  });
}

void World::CutFromCoordinators(HostId host, int64_t cut_us) {
  for (const auto& coordinator : coordinators_) CutWay(host, coordinator->host(), cut_us);
}

// Rule 9: what was proposed comes in the end, and by then another process speaks for the broker.
void World::OnProposing(Broker& leader, const TopicPartition& partition, const IsrProposal& proposal) {
  if (stormy_ && old_claim_ && old_claim_->partition == partition) HoldJoiner(leader, proposal);
  if (!stormy_ || aim_ != Aim::kJoiner) return;
  const auto state = store_->stored().partitions.find(partition);
  if (state == store_->stored().partitions.end() || state->second.epoch != proposal.partition_epoch) return;
  for (const auto& [id, epoch] : proposal.isr) {
    Broker& joiner = broker(id);
    if (state->second.isr.contains(id) || state->second.elr.contains(id)) continue;
    if (joiner.epoch() != epoch || !network_.host(joiner.host()).up() || !MayWipe(id)) continue;
    aim_.reset();
    Count("replace the disk of who is to join", absl::StrCat(id.value(), " in partition ", Name(partition)));
    CutFromCoordinators(leader.host(), random_.Between(200 * kMs, 1'500 * kMs));
    SlowDisk(joiner);
    return ReplaceDisk(joiner, random_.Between(5 * kMs, 100 * kMs));
  }
}

// Rule 1: what a process claimed that has ended since.
void World::OnFetching(Broker& follower, const TopicPartition& partition, const ReplicaFetch& fetch,
                       const std::function<void()>& arrive) {
  if (!stormy_ || aim_ != Aim::kOldClaim) return;
  const auto state = store_->stored().partitions.find(partition);
  if (state == store_->stored().partitions.end() || state->second.enough_in_sync()) return;
  if (state->second.leader == kNoBroker || state->second.leader_epoch != fetch.leader_epoch) return;
  Broker& leader = broker(state->second.leader);
  const Replica* leads = leader.replica(partition);
  if (leads == nullptr || leads->leader() == nullptr || !MayWipe(follower.id())) return;
  if (leads->leader_epoch() != fetch.leader_epoch || fetch.durable_end <= leads->high_watermark()) return;
  // Else the next one is not in sync before it has everything.
  const PartitionLeader::Follower& known = leads->leader()->followers().at(follower.id());
  if (leader.now_ms() - known.caught_up_ms > kReplication.lag_ms_max / 2) return;
  aim_.reset();
  Count("replace the disk of who has claimed",
        absl::StrCat(follower.id().value(), " in partition ", Name(partition), ", which it claims up to ",
                     fetch.durable_end.value()));
  old_claim_ = OldClaim{follower.id(), partition, fetch.leader_epoch, fetch.durable_end, arrive};
  // Nothing else happens until its next process is in sync, which it is to be with less: it gets batch by
  // batch.
  const int64_t lull_us = 6 * kSecond;
  BeginLull(lull_us);
  network_.set_weather({});
  leader.set_fetch_bytes_max(1);
  loop_.After(lull_us, [&leader] { leader.set_fetch_bytes_max(kFetchBytes); });
  // The claim itself is what comes late.
  CutWay(follower.host(), leader.host(), 0);
  loop_.After(0, [this, &follower] {
    if (stormy_) ReplaceDisk(follower, random_.Between(5 * kMs, 100 * kMs));
  });
}

// Who is about to be in sync with less than was claimed gets nothing more until it is.
void World::HoldJoiner(Broker& leader, const IsrProposal& proposal) {
  Broker& joiner = broker(old_claim_->follower);
  const auto member = proposal.isr.find(joiner.id());
  if (member == proposal.isr.end() || member->second != joiner.epoch()) return;
  if (proposal.leader_epoch != old_claim_->leader_epoch) return;
  CutWay(leader.host(), joiner.host(), 200 * kMs);
}

// It is when the broker's next process is in sync with less.
void World::DeliverOldClaim() {
  const auto state = store_->stored().partitions.find(old_claim_->partition);
  if (!stormy_ || state == store_->stored().partitions.end()) return old_claim_.reset();
  const BrokerId follower = old_claim_->follower;
  if (state->second.leader_epoch != old_claim_->leader_epoch) return old_claim_.reset();
  if (!state->second.isr.contains(follower)) return;
  if (suspects_.contains({follower, old_claim_->partition})) return;
  if (InfoOf(broker(follower), old_claim_->partition).durable_end < old_claim_->end) {
    Count("an old claim arrives", absl::StrCat("of broker ", follower.value()));
    network_.SendLate(broker(state->second.leader).host(), 0, std::move(old_claim_->arrive));
  }
  old_claim_.reset();
}

// Rule 2: what was true of the log before it was cut, and is not any more.
void World::OnAnswering(Broker& follower, const TopicPartition& partition, const ReplicaFetchAnswer& answer,
                        const std::function<void()>& arrive) {
  if (!stormy_ || aim_ != Aim::kOldCut || answer.kind != ReplicaFetchAnswer::Kind::kDiverging) return;
  aim_.reset();
  Count("keep an answer that cuts a log",
        absl::StrCat("of broker ", follower.id().value(), " in partition ", Name(partition)));
  old_cut_ = OldCut{follower.id(), network_.host(follower.host()).life(),
                    partition,     answer.leader_epoch,
                    answer.offset, arrive};
}

void World::DeliverOldCut() {
  Broker& follower = broker(old_cut_->follower);
  const Replica* replica = follower.replica(old_cut_->partition);
  const bool same_process = network_.host(follower.host()).life() == old_cut_->life;
  if (!stormy_ || !same_process || replica == nullptr || replica->leader_epoch() != old_cut_->leader_epoch) {
    return old_cut_.reset();
  }
  const Offset end = InfoOf(follower, old_cut_->partition).end;
  old_cut_->cut = old_cut_->cut || end < old_cut_->end;
  if (!old_cut_->cut || end < old_cut_->end) return;
  if (end == old_cut_->end) {
    Count("an old answer cuts a log", absl::StrCat("of broker ", old_cut_->follower.value()));
    network_.SendLate(follower.host(), 0, std::move(old_cut_->arrive));
  }
  old_cut_.reset();
}

bool World::HasFetchedUnsynced(Broker& leader, const TopicPartition& partition) {
  const Replica* leads = leader.replica(partition);
  if (leads == nullptr || leads->leader() == nullptr) return false;
  const PartitionState& state = store_->stored().partitions.at(partition);
  if (state.leader != leader.id() || state.leader_epoch != leads->leader_epoch()) return false;
  const Offset on_disk = InfoOf(leader, partition).durable_end;
  return std::any_of(state.isr.begin(), state.isr.end(), [&](BrokerId member) {
    return member != leader.id() && InfoOf(broker(member), partition).end > on_disk;
  });
}

void World::LookForUnsynced() {
  if (!stormy_ || aim_ != Aim::kUnsynced) return;
  for (const TopicPartition& partition : served_) {
    const PartitionState& state = store_->stored().partitions.at(partition);
    if (state.leader == kNoBroker || state.isr.size() < 3) continue;
    if (!HasFetchedUnsynced(broker(state.leader), partition)) continue;
    aim_.reset();
    return RestartUnsynced(broker(state.leader), partition);
  }
  loop_.After(5 * kMs, [this] { LookForUnsynced(); });
}

// Rule 10: before its next process is registered it is named the leader once more, since another follower is
// gone; it hears that late. Under that leader epoch others may have records that it has lost.
void World::RestartUnsynced(Broker& leader, const TopicPartition& partition) {
  Count("restart a leader that may lose what others have",
        absl::StrCat(leader.id().value(), " in partition ", Name(partition)));
  CutFromCoordinators(leader.host(), random_.Between(100 * kMs, kSecond));
  for (const auto& coordinator : coordinators_) {
    network_.Slow(coordinator->host(), leader.host(), random_.Between(100 * kMs, 1'500 * kMs), 4 * kSecond);
  }
  KillBroker(leader, random_.Between(kMs, 20 * kMs));
  const PartitionState& state = store_->stored().partitions.at(partition);
  for (const BrokerId other : state.isr) {
    if (other == leader.id()) continue;
    loop_.After(random_.Between(25 * kMs, 300 * kMs), [this, other] {
      if (stormy_) KillBroker(broker(other), random_.Between(kSecond, 3 * kSecond));
    });
    return;
  }
}

}  // namespace naru::sim
