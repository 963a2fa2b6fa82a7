#include "tests/sim/world.h"

#include <utility>

#include "storage/base/strings.h"

namespace naru::sim {

using namespace cluster;  // NOLINT(google-build-using-namespace): all of it is about these

namespace {

constexpr int64_t kLook = 500 * kMs;

// Half of the runs have weather only.
Aimed AimedOf(uint64_t seed) {
  if (seed % 3 == 0) return Aimed::kAtReplicas;
  return seed % 6 == 1 ? Aimed::kAtGroups : Aimed::kNot;
}

}  // namespace

World::World(uint64_t seed, const WorldOptions& options)
    : options_(options), random_(seed), network_(loop_, random_), aimed_(AimedOf(seed)) {
  loop_.set_verbose(options.verbose);
  const auto broker_count = static_cast<int32_t>(random_.Between(3, 5));
  store_ = std::make_unique<MetadataStore>(loop_, FirstMetadata(broker_count));
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
        Coordinator::Surroundings{loop_, network_, *store_, store_host_, options_.rules.replication, assign},
        host));
    coordinators.push_back(coordinators_.back().get());
  }
  std::vector<Broker*> brokers;
  for (int32_t id = 1; id <= broker_count; ++id) {
    const HostId host = network_.Add(absl::StrCat("broker ", id));
    brokers_.push_back(std::make_unique<Broker>(
        BrokerId(id),
        Broker::Surroundings{
            loop_, random_, network_, options_.rules, coordinators,
            [this](BrokerId other) -> Broker& { return broker(other); },
            [this](Broker& at, const TopicPartition& partition) { Touched(at, partition); },
            [this](const TopicPartition& partition) { return policies_[partition]; },
            [this](const TopicPartition& partition, Offset below) {
              checker_.OnDeleteSent(partition, below);
            },
            [this](Broker& leader, const TopicPartition& partition, const IsrProposal& proposal) {
              OnProposing(leader, partition, proposal);
            },
            [this](Broker& follower, const TopicPartition& partition, const ReplicaFetch& fetch,
                   const std::function<void()>& arrive) { OnFetching(follower, partition, fetch, arrive); },
            [this](Broker& follower, const TopicPartition& partition, const ReplicaFetchAnswer& answer,
                   const std::function<void()>& arrive) { OnAnswering(follower, partition, answer, arrive); },
            [this](Broker& failed) { OnWriteFailed(failed); }, [this] { Count("tear a write"); }},
        host));
    brokers.push_back(brokers_.back().get());
  }
  const Client::Surroundings around{loop_, random_, network_, checker_, brokers, served_, next_value_};
  for (int number = 1; number <= 3; ++number) {
    const HostId host = network_.Add(absl::StrCat("client ", number));
    clients_.push_back(std::make_unique<Client>(around, host));
  }
  for (int number = 1; number <= 2; ++number) {
    const HostId host = network_.Add(absl::StrCat("producer ", number));
    producers_.push_back(std::make_unique<IdempotentProducer>(around, host, number));
  }
  auto topics = std::make_shared<GroupTopics>();
  (*topics)[kGroupTopic] = {kGroupTopicId, kGroupPartitions};
  GroupMember::Surroundings group{loop_, random_, network_,      group_history_,
                                  {},    {},      next_session_, group_ends_};
  for (const auto& broker : brokers_) {
    group_hosts_.push_back(std::make_unique<GroupHost>(
        GroupHost::Surroundings{loop_, *broker, network_.host(broker->host()), options_.rules, group_history_,
                                groups_partition_, topics}));
    group.hosts.push_back(group_hosts_.back().get());
    group.host_ids.push_back(broker->host());
  }
  for (size_t number = 1; number <= 3; ++number) {
    members_.push_back(
        std::make_unique<GroupMember>(number, group, network_.Add(absl::StrCat("member ", number))));
  }
  admin_ = std::make_unique<TopicAdmin>(
      TopicAdmin::Surroundings{loop_, random_, network_, coordinators,
                               [this](const std::string& what, const AnswerTopicRequest& answer) {
                                 if (answer.topic.ok()) Count(what);
                               }},
      network_.Add("admin"));
  OnMetadata();
}

void World::Fail(const std::string& what) {
  checker_.Fail(absl::StrCat("after ", loop_.now_ms(), " ms: ", what));
}

std::string World::Run() {
  for (const auto& coordinator : coordinators_) coordinator->Boot();
  for (const auto& broker : brokers_) broker->Boot();
  for (const auto& client : clients_) client->Run();
  for (const auto& producer : producers_) producer->Run();
  for (const auto& member : members_) member->Run();
  admin_->Run();
  loop_.After(2 * kSecond, [this] { Storm(); });
  if (aimed_ == Aimed::kAtReplicas) loop_.After(2 * kSecond, [this] { TakeAim(); });
  if (aimed_ == Aimed::kAtGroups)
    loop_.After(random_.Between(3 * kSecond, 6 * kSecond), [this] { AimAtGroups(); });
  loop_.After(options_.storm_us, [this] { Heal(); });
  const int64_t deadline = options_.storm_us + options_.calm_us_max;
  int64_t look_us = 0;
  std::string unsettled;
  while (checker_.violation().empty() && loop_.Step()) {
    if (std::exchange(metadata_changed_, false)) OnMetadata();
    for (const auto& [id, partition] : std::exchange(touched_, {})) CheckReplica(broker(id), partition);
    if (old_cut_) DeliverOldCut();
    if (stormy_ || loop_.now_us() < look_us) continue;
    look_us = loop_.now_us() + kLook;
    ClearDamaged();
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
