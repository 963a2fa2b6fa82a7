#include "tests/sim/coordinator.h"

#include <algorithm>
#include <utility>
#include <variant>

namespace naru::sim {

using namespace cluster;  // NOLINT(google-build-using-namespace): all of it is about these

namespace {

constexpr int64_t kLease = 2 * kSecond;
constexpr int64_t kKeepAlive = 500 * kMs;
constexpr int64_t kRetry = 300 * kMs;
constexpr int64_t kWriteTimeout = kSecond;

}  // namespace

void Coordinator::Boot() {
  Ended();
  at_.network.host(host_).After(0, [this] { Campaign(); });
  at_.network.host(host_).After(kKeepAlive, [this] { KeepAlive(); });
  at_.network.host(host_).After(kRetry, [this] { Tick(); });
}

void Coordinator::Ended() {
  machine_.reset();
  term_ = 0;
  registrations_.clear();
  proposals_.clear();
  topic_requests_.clear();
}

void Coordinator::Campaign() {
  at_.network.host(host_).After(kRetry, [this] { Campaign(); });
  if (term_ != 0) return;
  at_.network.Send(host_, at_.store_host, [this] {
    const auto term = at_.store.Campaign(kLease);
    if (!term) return;
    at_.network.Send(at_.store_host, host_, [this, term = *term] { Won(term); });
  });
}

void Coordinator::Won(int64_t term) {
  if (term <= term_) return;
  Ended();
  term_ = term;
  at_.loop.Note(at_.network.host(host_).name() + " is elected, term " + std::to_string(term));
  ReadFor(term);
}

void Coordinator::ReadFor(int64_t term) {
  if (term != term_ || machine_ != nullptr) return;
  at_.network.host(host_).After(kRetry, [this, term] { ReadFor(term); });
  at_.network.Send(host_, at_.store_host, [this, term] {
    at_.network.Send(at_.store_host, host_, [this, term, stored = at_.store.stored()] {
      if (term != term_ || machine_ != nullptr) return;
      machine_ = std::make_unique<CoordinatorMachine>(CoordinatorMachineOptions{}, at_.rules, term, stored,
                                                      clock_.now_ms());
      Do(machine_->Start());
    });
  });
}

void Coordinator::KeepAlive() {
  at_.network.host(host_).After(kKeepAlive, [this] { KeepAlive(); });
  if (term_ == 0) return;
  at_.network.Send(host_, at_.store_host, [this, term = term_] {
    if (at_.store.KeepAlive(term, kLease)) return;
    at_.network.Send(at_.store_host, host_, [this, term] {
      if (term == term_) Ended();
    });
  });
}

void Coordinator::Tick() {
  at_.network.host(host_).After(kRetry, [this] { Tick(); });
  if (machine_) Do(machine_->Tick(clock_.now_ms()));
}

void Coordinator::OnRegister(BrokerId broker, std::string incarnation, bool vouches,
                             std::function<void(BrokerEpoch)> answer) {
  if (!machine_) return;
  registrations_[++last_request_] = std::move(answer);
  Do(machine_->OnRegister(last_request_, broker, std::move(incarnation), vouches));
}

void Coordinator::OnHeartbeat(BrokerId broker, BrokerEpoch epoch, int64_t version,
                              std::function<void(bool)> answer) {
  if (!machine_) return;
  CoordinatorEffects effects;
  const auto heard = machine_->OnHeartbeat(broker, epoch, version, clock_.now_ms(), effects);
  answer(heard.registered);
  Do(std::move(effects));
  if (!machine_ || !heard.registered || version == machine_->metadata().head) return;
  at_.assign(host_, broker, AllOf(broker));
}

Assignments Coordinator::AllOf(BrokerId broker) const {
  Assignments all{.version = machine_->metadata().head,
                  .complete = true,
                  .partitions = {},
                  .logs = {},
                  .all_logs = AllLogs()};
  for (const auto& [partition, state] : machine_->metadata().partitions) {
    if (!state.Holds(broker)) continue;
    all.partitions[partition] = state;
    all.logs[partition] = LogOf(partition);
  }
  return all;
}

LogId Coordinator::LogOf(const TopicPartition& partition) const {
  for (const auto& [name, topic] : machine_->metadata().topics) {
    if (ToTopicId(*topic) == partition.topic) {
      return topic->partitions[static_cast<size_t>(partition.partition)].log;
    }
  }
  return LogId(0);
}

std::set<LogId> Coordinator::AllLogs() const {
  std::set<LogId> logs;
  for (const auto& [name, topic] : machine_->metadata().topics) {
    for (const PartitionPlacement& partition : topic->partitions) logs.insert(partition.log);
  }
  return logs;
}

void Coordinator::OnGone(BrokerId broker, BrokerEpoch epoch) {
  if (machine_) Do(machine_->OnGone(broker, epoch));
}

void Coordinator::OnProposal(BrokerId broker, const TopicPartition& partition, IsrProposal proposal,
                             ProposalAnswer answer) {
  if (!machine_) return;
  proposals_[++last_request_] = std::move(answer);
  Do(machine_->OnProposal(last_request_, broker, partition, std::move(proposal)));
}

void Coordinator::OnDamage(BrokerId broker, const TopicPartition& partition, LeaderEpoch leader_epoch) {
  if (machine_) Do(machine_->OnDamage(broker, partition, leader_epoch));
}

void Coordinator::OnTopicRequest(TopicRequest wish, TopicAnswer answer) {
  if (!machine_) return;
  topic_requests_[++last_request_] = std::move(answer);
  Do(machine_->OnTopicRequest(last_request_, std::move(wish)));
}

void Coordinator::Do(CoordinatorEffects effects) {
  for (CoordinatorEffect& effect : effects) {
    if (auto* write = std::get_if<WriteMetadata>(&effect)) {
      Write(write->write);
    } else if (auto* read = std::get_if<ReadMetadata>(&effect)) {
      Read(read->id);
    } else if (auto* registered = std::get_if<AnswerRegistration>(&effect)) {
      if (auto answer = registrations_.extract(registered->request)) answer.mapped()(registered->epoch);
    } else if (auto* proposed = std::get_if<AnswerProposal>(&effect)) {
      if (auto answer = proposals_.extract(proposed->request)) {
        answer.mapped()(*proposed);
      }
    } else if (auto* changed = std::get_if<AnswerTopicRequest>(&effect)) {
      if (auto answer = topic_requests_.extract(changed->request)) answer.mapped()(*changed);
    } else if (auto* publish = std::get_if<PublishChange>(&effect)) {
      Publish(*publish);
    } else if (std::holds_alternative<StepDown>(effect)) {
      Ended();
      return;
    }
  }
}

void Coordinator::Write(const MetadataWrite& write) {
  at_.network.host(host_).After(kWriteTimeout, [this, term = term_, id = write.id] {
    if (machine_ && term == term_) Do(machine_->OnWritten(id, WriteOutcome::kUnknown));
  });
  at_.network.Send(host_, at_.store_host, [this, term = term_, write] {
    const WriteOutcome outcome = at_.store.Write(write);
    at_.network.Send(at_.store_host, host_, [this, term, id = write.id, outcome] {
      if (machine_ && term == term_) Do(machine_->OnWritten(id, outcome));
    });
  });
}

void Coordinator::Read(int64_t id) {
  if (!machine_) return;
  at_.network.host(host_).After(kRetry, [this, term = term_, id] {
    if (machine_ && term == term_ && machine_->reading() == id) Read(id);
  });
  at_.network.Send(host_, at_.store_host, [this, term = term_, id] {
    at_.network.Send(at_.store_host, host_, [this, term, id, stored = at_.store.stored()] {
      if (machine_ && term == term_) Do(machine_->OnRead(id, stored));
    });
  });
}

void Coordinator::Publish(const PublishChange& publish) {
  std::map<BrokerId, Assignments> of_broker;
  for (const auto& [partition, state] : publish.partitions) {
    for (const BrokerId broker : state.replicas) {
      Assignments& assignments = of_broker[broker];
      assignments.partitions[partition] = state;
      assignments.logs[partition] = LogOf(partition);
    }
  }
  const bool deleted = std::any_of(publish.topics.begin(), publish.topics.end(),
                                   [](const auto& topic) { return topic.second == nullptr; });
  if (deleted) {
    for (const auto& [broker, record] : machine_->metadata().brokers) of_broker[broker].all_logs = AllLogs();
  }
  for (auto& [broker, assignments] : of_broker) assignments.version = publish.version;
  for (auto& [broker, assignments] : of_broker) at_.assign(host_, broker, std::move(assignments));
}

}  // namespace naru::sim
