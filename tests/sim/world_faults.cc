// What happens to the cluster.
#include <algorithm>

#include "storage/base/strings.h"
#include "tests/sim/partition_name.h"
#include "tests/sim/world.h"

namespace naru::sim {

using namespace cluster;  // NOLINT(google-build-using-namespace): all of it is about these

void World::Count(const std::string& fault, const std::string& detail) {
  ++faults_[fault];
  loop_.Note(absl::StrCat("-- ", fault, detail.empty() ? "" : ": ", detail));
}

void World::Storm() {
  if (!stormy_) return;
  loop_.After(random_.Between(50 * kMs, 1'500 * kMs), [this] { Storm(); });
  if (!lull()) Harm();
}

void World::Harm() {
  Broker& victim = *brokers_[random_.Index(brokers_.size())];
  // Short ones and long ones: about as long as nobody notices, and until everybody has.
  const int64_t lasting =
      random_.Chance(0.5) ? random_.Between(10 * kMs, 800 * kMs) : random_.Between(kSecond, 6 * kSecond);
  switch (random_.Between(0, 19)) {
    case 0:
    case 1:
    case 2:
      return KillBroker(victim, lasting);
    case 3:
      return random_.Chance(0.6) ? KillAll() : KillOneByOne();
    case 4:
    case 5:
      Count("freeze a broker", network_.host(victim.host()).name());
      return Freeze(victim.host(), lasting);
    case 6:
      return CutOff(victim.host(), lasting);
    case 7:
    case 8:
      return CutOne(lasting);
    case 9:
      return ChangeWeather();
    case 10:
      return SlowDisk(victim);
    case 11:
      return FillDisk(victim);
    case 12:
      return KillCoordinator(*coordinators_[random_.Index(coordinators_.size())]);
    case 13:
      Count("freeze a coordinator");
      return Freeze(coordinators_[random_.Index(coordinators_.size())]->host(), lasting);
    case 14:
      if (random_.Chance(0.6)) return EndLeaseEarlyOrLate();
      Count("freeze the metadata store");
      return Freeze(store_host_, lasting);
    case 15:
      return random_.Chance(0.5) ? JumpClock() : FlipBit();
    case 16:
      return KillMember();
    case 17:
      return victim.set_next_write_fails(true);
    default:
      return SpoilDisk();
  }
}

void World::KillBroker(Broker& victim, int64_t down_us) {
  if (!network_.host(victim.host()).up()) return;
  Count("kill a broker", absl::StrCat(victim.id().value()));
  victim.Kill();
  loop_.After(down_us, [this, &victim, life = network_.host(victim.host()).life()] {
    if (network_.host(victim.host()).life() != life) return;
    loop_.Note(absl::StrCat("broker ", victim.id().value(), " starts"));
    victim.Boot();
  });
}

void World::KillAll() {
  Count("kill all brokers");
  for (const auto& broker : brokers_) KillBroker(*broker, random_.Between(10 * kMs, 2 * kSecond));
}

void World::KillOneByOne() {
  Count("kill all brokers, one after the other");
  KillFrom(0);
}

void World::KillFrom(size_t next) {
  if (!stormy_ || lull() || next == brokers_.size()) return;
  const int64_t down_us = random_.Between(10 * kMs, kSecond);
  KillBroker(*brokers_[next], down_us);
  loop_.After(down_us + random_.Between(10 * kMs, 2 * kSecond), [this, next] { KillFrom(next + 1); });
}

void World::OnWriteFailed(Broker& victim) {
  Count("fail a write", absl::StrCat(victim.id().value()));
  KillBroker(victim, random_.Between(10 * kMs, 2 * kSecond));
}

void World::BeginLull(int64_t lull_us) {
  lull_until_us_ = loop_.now_us() + lull_us;
  for (const auto& broker : brokers_) broker->set_next_write_fails(false);
}

void World::EndLeaseEarlyOrLate() {
  if (random_.Chance(0.5)) {
    Count("end a lease early");
    return store_->EndLease();
  }
  // With whom it was given to, or nothing is late.
  Count("end a lease late");
  store_->ProlongLease(random_.Between(kSecond, 6 * kSecond));
  for (const auto& coordinator : coordinators_) {
    if (coordinator->active()) return KillCoordinator(*coordinator);
  }
}

void World::Freeze(HostId host, int64_t frozen_us) {
  if (!network_.host(host).up() || network_.host(host).frozen()) return;
  network_.host(host).Freeze();
  loop_.After(frozen_us, [this, host] { network_.host(host).Thaw(); });
}

void World::CutOff(HostId host, int64_t cut_us) {
  Count("cut a broker off", network_.host(host).name());
  for (HostId other = 0; other < network_.size(); ++other) {
    CutWay(host, other, cut_us);
    CutWay(other, host, cut_us);
  }
}

void World::CutOne(int64_t cut_us) {
  const HostId from = random_.Index(network_.size());
  const HostId to = random_.Index(network_.size());
  Count("cut one way", absl::StrCat(network_.host(from).name(), " to ", network_.host(to).name()));
  CutWay(from, to, cut_us);
}

void World::CutWay(HostId from, HostId to, int64_t cut_us) {
  loop_.After(cut_us, [this, from, to, cut = network_.Cut(from, to)] { network_.Mend(from, to, cut); });
}

void World::ChangeWeather() {
  Count("change the network's weather");
  Weather weather;
  if (random_.Chance(0.7)) weather.loss = static_cast<double>(random_.Between(0, 15)) / 100;
  if (random_.Chance(0.5)) weather.doubling = static_cast<double>(random_.Between(0, 20)) / 100;
  if (random_.Chance(0.5)) weather.late = static_cast<double>(random_.Between(0, 10)) / 100;
  weather.late_us_max = random_.Between(10 * kMs, 5 * kSecond);
  weather.delay_us_max = random_.Between(100, 20 * kMs);
  network_.set_weather(weather);
}

void World::SlowDisk(Broker& victim) {
  Count("slow a disk", absl::StrCat(victim.id().value()));
  victim.set_sync_us_max(random_.Between(20 * kMs, kSecond));
  loop_.After(random_.Between(kSecond, 5 * kSecond), [&victim] { victim.set_sync_us_max(2 * kMs); });
}

void World::JumpClock() {
  Count("jump a clock");
  // By less than it takes until silent producers are forgotten.
  const int64_t wall_ms = random_.Between(-86'400'000, 86'400'000);
  const int64_t monotonic_ms = random_.Chance(0.5) ? 0 : random_.Between(1, 5'000);
  if (random_.Chance(0.2)) {
    return coordinators_[random_.Index(coordinators_.size())]->clock().Jump(wall_ms, monotonic_ms);
  }
  brokers_[random_.Index(brokers_.size())]->JumpClock(wall_ms, monotonic_ms);
}

void World::FillDisk(Broker& victim) {
  Count("fill a disk", absl::StrCat(victim.id().value()));
  victim.store().SetStorageFull(true);
  loop_.After(random_.Between(200 * kMs, 4 * kSecond), [&victim] { victim.store().SetStorageFull(false); });
}

void World::KillCoordinator(Coordinator& victim) {
  if (!network_.host(victim.host()).up()) return;
  Count("kill a coordinator");
  network_.host(victim.host()).Kill();
  loop_.After(random_.Between(10 * kMs, 3 * kSecond), [this, &victim] {
    if (network_.host(victim.host()).up()) return;
    network_.host(victim.host()).Boot();
    victim.Boot();
  });
}

void World::KillMember() {
  Count("kill a member");
  members_[random_.Index(members_.size())]->Restart();
}

bool World::MayLose(const PartitionState& state, BrokerId broker) const {
  // Where one copy is enough to commit, the loss of one disk and one more failure may be too much.
  if (state.min_isr < 2) return false;
  std::set<BrokerId> others = state.isr;
  others.insert(state.elr.begin(), state.elr.end());
  others.erase(broker);
  return !others.empty();
}

bool World::MayWipe(BrokerId broker) const {
  if (!suspects_.empty() || !damaged_.empty()) return false;
  for (const auto& [partition, state] : store_->stored().partitions) {
    if (state.Holds(broker) && !MayLose(state, broker)) return false;
  }
  return true;
}

void World::FlipBit() {
  if (!suspects_.empty() || !damaged_.empty()) return;
  const TopicPartition partition = Pick(partitions_, random_);
  const PartitionState& state = store_->stored().partitions.at(partition);
  Broker& victim = broker(state.replicas[random_.Index(state.replicas.size())]);
  const LogInfo info = InfoOf(victim, partition);
  // What is not committed may become so. Not where records are compacted away: of those nobody could say by
  // which they were replaced.
  const bool any = !policies_[partition].compacted && random_.Chance(0.5);
  const Offset end = any ? info.durable_end : std::min(info.durable_end, CommittedEnd(partition));
  if (end <= info.log_start || !MayLose(state, victim.id())) return;
  const Offset offset(random_.Between(info.log_start.value(), end.value() - 1));
  if (!victim.store().Damage(logs_.at(partition), offset)) return;
  Count("flip a bit", absl::StrCat("partition ", Name(partition), " offset ", offset.value(), " at broker ",
                                   victim.id().value()));
  damaged_.insert({victim.id(), partition});
}

void World::SpoilDisk() {
  Broker& victim = *brokers_[random_.Index(brokers_.size())];
  if (!MayWipe(victim.id())) return;
  const int64_t down_us = random_.Between(10 * kMs, 4 * kSecond);
  if (random_.Chance(0.7)) {
    Count("replace a disk", absl::StrCat(victim.id().value()));
    return ReplaceDisk(victim, down_us);
  }
  Count("lose the ends of a disk's logs", absl::StrCat(victim.id().value()));
  if (network_.host(victim.host()).up()) victim.Kill();
  victim.LoseEnds();
  BootWithLess(victim, down_us);
}

void World::ReplaceDisk(Broker& victim, int64_t down_us) {
  if (network_.host(victim.host()).up()) victim.Kill();
  victim.Wipe();
  BootWithLess(victim, down_us);
}

void World::BootWithLess(Broker& victim, int64_t down_us) {
  for (const auto& [partition, state] : store_->stored().partitions) {
    if (state.Holds(victim.id())) suspects_.insert({victim.id(), partition});
  }
  loop_.After(down_us, [this, &victim] {
    if (!network_.host(victim.host()).up()) victim.Boot();
  });
}

void World::Heal() {
  loop_.Note("-- all is well");
  stormy_ = false;
  ClearUp();
  for (const auto& client : clients_) client->Stop();
  for (const auto& producer : producers_) producer->Stop();
  for (int32_t partition = 0; partition < kGroupPartitions; ++partition) {
    const GroupPartition shared_out{kGroupTopicId, partition};
    group_ends_[shared_out] = group_history_.HighestSent(shared_out) + random_.Between(0, 20);
  }
  for (const auto& member : members_) member->Stop();
  admin_->Stop();
}

// Everything is up, connected and quick.
void World::ClearUp() {
  network_.set_weather({});
  network_.MendAll();
  for (HostId host = 0; host < network_.size(); ++host) network_.host(host).Thaw();
  for (const auto& broker : brokers_) {
    broker->set_sync_us_max(2 * kMs);
    broker->set_next_write_fails(false);
    broker->set_fetch_bytes_max(kFetchBytes);
    broker->store().SetStorageFull(false);
    if (!network_.host(broker->host()).up()) broker->Boot();
  }
  for (const auto& coordinator : coordinators_) {
    if (network_.host(coordinator->host()).up()) continue;
    network_.host(coordinator->host()).Boot();
    coordinator->Boot();
  }
}

}  // namespace naru::sim
