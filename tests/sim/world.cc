#include "tests/sim/world.h"

#include <utility>

#include "cluster/coordinator/placement.h"
#include "storage/base/strings.h"

namespace naru::sim {

using namespace cluster;  // NOLINT(google-build-using-namespace): all of it is about these

namespace {

constexpr int64_t kLook = 500 * kMs;

}  // namespace

World::World(uint64_t seed, const WorldOptions& options)
    : options_(options), random_(seed), network_(loop_, random_) {
  loop_.set_verbose(options.verbose);
  const auto broker_count = static_cast<int32_t>(random_.Between(3, 5));
  const auto partition_count = static_cast<int32_t>(random_.Between(1, 4));
  std::map<BrokerId, int64_t> leads_nothing;
  for (int32_t id = 1; id <= broker_count; ++id) leads_nothing[BrokerId(id)] = 0;

  ClusterMetadata initial;
  const auto placed = PlaceReplicas(leads_nothing, partition_count, /*replication_factor=*/3);
  for (int32_t number = 0; number < partition_count; ++number) {
    PartitionState state;
    state.replicas = placed[static_cast<size_t>(number)];
    // One copy or two may be enough for some.
    if (random_.Chance(0.2)) state.replicas.resize(static_cast<size_t>(random_.Between(1, 2)));
    state.leader = state.replicas.front();
    state.leader_epoch = LeaderEpoch(0);
    state.isr = {state.replicas.begin(), state.replicas.end()};
    state.min_isr = state.replicas.size() == 3 && random_.Chance(0.9) ? 2 : 1;
    partitions_.push_back({.topic = {}, .partition = number});
    initial.partitions[partitions_.back()] = std::move(state);
  }
  store_ = std::make_unique<MetadataStore>(loop_, std::move(initial));
  noted_ = store_->stored().partitions;
  store_->set_on_change([this] { metadata_changed_ = true; });
  store_host_ = network_.Add("store");

  const auto assign = [this](HostId from, BrokerId to, const Assignments& assignments) {
    Broker& target = broker(to);
    network_.Send(from, target.host(), [&target, assignments] { target.OnAssigned(assignments); });
  };
  std::vector<Coordinator*> coordinators;
  for (int number = 1; number <= 2; ++number) {
    const HostId host = network_.Add(absl::StrCat("coordinator ", number));
    coordinators_.push_back(std::make_unique<Coordinator>(
        Coordinator::Surroundings{loop_, network_, *store_, store_host_, options_.rules, assign}, host));
    coordinators.push_back(coordinators_.back().get());
  }
  std::vector<Broker*> brokers;
  for (int32_t id = 1; id <= broker_count; ++id) {
    const HostId host = network_.Add(absl::StrCat("broker ", id));
    brokers_.push_back(std::make_unique<Broker>(
        BrokerId(id),
        Broker::Surroundings{loop_, random_, network_, options_.rules, coordinators, partitions_,
                             [this](BrokerId other) -> Broker& { return broker(other); },
                             [this](Broker& at, const TopicPartition& partition) { Touched(at, partition); }},
        host));
    brokers.push_back(brokers_.back().get());
  }
  for (int number = 1; number <= 3; ++number) {
    const HostId host = network_.Add(absl::StrCat("client ", number));
    clients_.push_back(std::make_unique<Client>(
        Client::Surroundings{loop_, random_, network_, checker_, brokers, partitions_, next_value_}, host));
  }
}

void World::Fail(const std::string& what) {
  checker_.Fail(absl::StrCat("after ", loop_.now_ms(), " ms: ", what));
}

std::string World::Run() {
  for (const auto& coordinator : coordinators_) coordinator->Boot();
  for (const auto& broker : brokers_) broker->Boot();
  for (const auto& client : clients_) client->Run();
  loop_.After(2 * kSecond, [this] { Storm(); });
  loop_.After(options_.storm_us, [this] { Heal(); });
  const int64_t deadline = options_.storm_us + options_.calm_us_max;
  int64_t look_us = 0;
  std::string unsettled;
  while (checker_.violation().empty() && loop_.Step()) {
    if (metadata_changed_) {
      metadata_changed_ = false;
      for (const TopicPartition& partition : partitions_) {
        CheckGrace(partition, std::exchange(noted_[partition], store_->stored().partitions.at(partition)));
        CheckHolders(partition);
        for (const auto& broker : brokers_) touched_.insert({broker->id(), partition});
      }
    }
    for (const auto& [id, partition] : std::exchange(touched_, {})) CheckReplica(broker(id), partition);
    if (stormy_ || loop_.now_us() < look_us) continue;
    look_us = loop_.now_us() + kLook;
    unsettled = Unsettled();
    if (unsettled.empty()) {
      Drain();
      break;
    }
    if (loop_.now_us() > deadline) Fail(absl::StrCat("liveness: all is well again, but ", unsettled));
  }
  return checker_.violation();
}

}  // namespace naru::sim
