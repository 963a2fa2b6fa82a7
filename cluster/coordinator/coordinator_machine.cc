#include "cluster/coordinator/coordinator_machine.h"

#include <algorithm>
#include <utility>

#include "storage/base/check.h"
#include "storage/base/status.h"

namespace naru::cluster {

CoordinatorMachine::CoordinatorMachine(const CoordinatorMachineOptions& options,
                                       const ReplicationRules& rules, int64_t term, ClusterMetadata stored,
                                       int64_t now_ms)
    : options_(options),
      rules_(rules),
      term_(term),
      stored_(std::move(stored)),
      rebalance_at_ms_(now_ms + options.rebalance_ms) {
  // Nobody can have been heard of yet.
  for (const auto& [broker, record] : stored_.brokers) heard_ms_[broker] = now_ms;
  for (const auto& [partition, state] : stored_.partitions) dirty_.insert(partition);
}

CoordinatorEffects CoordinatorMachine::Start() {
  PublishAll();
  Go();
  return Take();
}

CoordinatorEffects CoordinatorMachine::Take() { return std::exchange(effects_, {}); }

void CoordinatorMachine::Dirty(BrokerId broker) {
  for (const auto& [partition, state] : stored_.partitions) {
    if (state.Holds(broker)) dirty_.insert(partition);
  }
}

void CoordinatorMachine::PublishAll() {
  effects_.emplace_back(PublishChange{.version = stored_.head,
                                      .complete = true,
                                      .brokers = stored_.brokers,
                                      .topics = stored_.topics,
                                      .partitions = stored_.partitions});
}

CoordinatorEffects CoordinatorMachine::OnRegister(uint64_t request, BrokerId broker, std::string incarnation,
                                                  bool vouches, std::string client_address,
                                                  std::string peer_address) {
  // Of one broker only the newest request counts; who asked before has gone, or asks again.
  std::erase_if(registrations_, [broker](const Registration& other) { return other.broker == broker; });
  registrations_.push_back(
      {request, broker, std::move(incarnation), vouches, std::move(client_address), std::move(peer_address)});
  Go();
  return Take();
}

CoordinatorMachine::HeartbeatAnswer CoordinatorMachine::OnHeartbeat(BrokerId broker, BrokerEpoch epoch,
                                                                    int64_t version, int64_t now_ms,
                                                                    CoordinatorEffects& effects) {
  const auto record = stored_.brokers.find(broker);
  if (record == stored_.brokers.end() || record->second.epoch != epoch) return {};
  heard_ms_[broker] = now_ms;
  // It leads nothing before it knows what it is to lead.
  if (record->second.fenced && version >= registered_version_[broker]) {
    to_unfence_[broker] = epoch;
    Go();
    effects = Take();
  }
  return {.registered = true, .fenced = record->second.fenced};
}

CoordinatorEffects CoordinatorMachine::OnGone(BrokerId broker, BrokerEpoch epoch) {
  const auto record = stored_.brokers.find(broker);
  if (record == stored_.brokers.end() || record->second.epoch != epoch) return {};
  to_unfence_.erase(broker);
  if (!record->second.fenced) to_fence_.insert(broker);
  Go();
  return Take();
}

CoordinatorEffects CoordinatorMachine::OnProposal(uint64_t request, BrokerId broker,
                                                  const TopicPartition& partition, IsrProposal proposal) {
  proposals_.push_back({request, broker, partition, std::move(proposal)});
  Go();
  return Take();
}

CoordinatorEffects CoordinatorMachine::OnDamage(BrokerId broker, const TopicPartition& partition,
                                                LeaderEpoch leader_epoch) {
  damages_[{partition, broker}] = leader_epoch;
  Go();
  return Take();
}

CoordinatorEffects CoordinatorMachine::OnTopicRequest(uint64_t request, TopicRequest wish) {
  topic_wishes_.push_back({request, std::move(wish), nullptr});
  Go();
  return Take();
}

CoordinatorEffects CoordinatorMachine::Tick(int64_t now_ms) {
  for (const auto& [broker, record] : stored_.brokers) {
    if (!record.fenced && now_ms - heard_ms_[broker] > options_.broker_session_ms) to_fence_.insert(broker);
  }
  if (now_ms >= rebalance_at_ms_) {
    rebalance_at_ms_ = now_ms + options_.rebalance_ms;
    rebalance_ = true;
  }
  Go();
  return Take();
}

void CoordinatorMachine::Go() {
  while (phase_ == Phase::kIdle) {
    MetadataWrite write;
    // Partitions first: a broker goes a step further only when they are all as its last step wants them.
    if (stored_.cluster_id.empty()) write.cluster_id = options_.new_cluster_id;
    if (!write.changes_something()) WriteReconciled(write);
    if (!write.changes_something()) WriteBrokers(write);
    if (!write.changes_something()) WriteDamages(write);
    if (!write.changes_something()) WriteTopic(write);
    if (!write.changes_something()) WriteProposals(write);
    if (!write.changes_something()) WritePreferred(write);
    if (!write.changes_something()) return;
    Send(std::move(write));
  }
}

void CoordinatorMachine::WriteReconciled(MetadataWrite& write) {
  while (!dirty_.empty() && write.partitions.size() < options_.keys_per_write_max) {
    const TopicPartition partition = *dirty_.begin();
    dirty_.erase(dirty_.begin());
    const auto state = stored_.partitions.find(partition);
    if (state == stored_.partitions.end()) continue;
    if (auto next = Reconcile(state->second, stored_.brokers, rules_)) {
      write.partitions[partition] = *std::move(next);
    }
  }
}

void CoordinatorMachine::WriteBrokers(MetadataWrite& write) {
  // Kept until it is so: a write may be lost.
  std::erase_if(to_fence_, [this](BrokerId broker) { return stored_.brokers.at(broker).fenced; });
  for (const BrokerId broker : to_fence_) {
    write.brokers[broker] = stored_.brokers.at(broker);
    write.brokers[broker].fenced = true;
  }
  // A broker that is to be fenced has a say again when that is done, and one that registers when it has.
  if (!write.brokers.empty()) return;
  if (!registrations_.empty()) {
    const Registration& next = registrations_.front();
    write.brokers[next.broker] = NextStep(next);
    return;
  }
  for (const auto& [broker, epoch] : std::exchange(to_unfence_, {})) {
    BrokerRecord record = stored_.brokers.at(broker);
    if (record.epoch != epoch || !record.fenced || record.lost) continue;
    record.fenced = false;
    write.brokers[broker] = std::move(record);
  }
}

BrokerRecord CoordinatorMachine::NextStep(const Registration& registration) {
  const auto found = stored_.brokers.find(registration.broker);
  if (found != stored_.brokers.end()) {
    BrokerRecord record = found->second;
    // Rule 10: the process before it leads nothing any more, or two processes would write in one leader
    // epoch.
    if (!record.fenced && rules_.fence_before_new_epoch) {
      record.fenced = true;
      return record;
    }
    const bool vouches = registration.vouches && record.incarnation == registration.incarnation;
    if (!vouches && !record.lost) {
      record.fenced = true;
      record.lost = true;
      return record;
    }
  }
  writing_epoch_ = registration;
  return {.epoch = BrokerEpoch(stored_.head + 1),
          .fenced = found == stored_.brokers.end() || found->second.fenced,
          .incarnation = registration.incarnation,
          .lost = false,
          .client_address = registration.client_address,
          .peer_address = registration.peer_address};
}

void CoordinatorMachine::WriteDamages(MetadataWrite& write) {
  // What is lost with a write is said again.
  while (!damages_.empty() && write.partitions.size() < options_.keys_per_write_max) {
    const auto [copy, leader_epoch] = *damages_.begin();
    const auto& [partition, broker] = copy;
    // A second one of the same partition is looked at when the first is written.
    if (write.partitions.contains(partition)) return;
    damages_.erase(damages_.begin());
    const auto stored = stored_.partitions.find(partition);
    if (stored == stored_.partitions.end()) continue;
    if (auto next = GiveUpCopy(stored->second, broker, leader_epoch, stored_.brokers, rules_)) {
      write.partitions[partition] = *std::move(next);
    }
  }
}

void CoordinatorMachine::WriteTopic(MetadataWrite& write) {
  while (!topic_wishes_.empty() && !write.changes_something()) {
    TopicWish wish = std::move(topic_wishes_.front());
    topic_wishes_.pop_front();
    auto planned = PlanTopicChange(wish.wish, stored_, options_.limits, options_.keys_per_write_max);
    if (planned.ok() && planned->write.changes_something()) {
      write = std::move(planned->write);
      wish.topic = std::move(planned->topic);
      wish.unfinished = planned->unfinished;
      writing_topic_ = std::move(wish);
      return;
    }
    AnswerTopicRequest answer{wish.request, stored_.head, std::shared_ptr<const TopicInfo>()};
    if (planned.ok()) {
      answer.topic = std::move(planned->topic);
    } else {
      answer.topic = planned.status();
    }
    effects_.emplace_back(std::move(answer));
  }
}

void CoordinatorMachine::WriteProposals(MetadataWrite& write) {
  while (!proposals_.empty() && write.partitions.size() < options_.keys_per_write_max) {
    Proposal proposal = std::move(proposals_.front());
    proposals_.pop_front();
    const auto stored = stored_.partitions.find(proposal.partition);
    if (stored == stored_.partitions.end()) {
      effects_.emplace_back(
          AnswerProposal{proposal.request, IsrOutcome::kRefused, proposal.partition, stored_.head, {}});
      continue;
    }
    // A second one for the same partition waits for what becomes of the first.
    if (write.partitions.contains(proposal.partition)) {
      proposals_.push_front(std::move(proposal));
      return;
    }
    auto next = ChangeIsr(stored->second, proposal.broker, proposal.proposal, stored_.brokers, rules_);
    if (next.ok()) {
      write.partitions[proposal.partition] = *std::move(next);
      writing_proposals_.push_back(std::move(proposal));
      continue;
    }
    // Who is behind needs to hear of the state; a member that may not join is for the proposer to give up.
    const bool stale = ReasonOf(next.status()) == Reason::kStaleLeaderEpoch;
    effects_.emplace_back(AnswerProposal{proposal.request,
                                         stale ? IsrOutcome::kApplied : IsrOutcome::kRefused,
                                         proposal.partition, stored_.head, stored->second});
  }
}

void CoordinatorMachine::WritePreferred(MetadataWrite& write) {
  if (!std::exchange(rebalance_, false)) return;
  for (const auto& [partition, state] : stored_.partitions) {
    if (write.partitions.size() == options_.keys_per_write_max) {
      rebalance_ = true;
      return;
    }
    if (auto next = PreferLeader(state)) write.partitions[partition] = *std::move(next);
  }
}

void CoordinatorMachine::Send(MetadataWrite write) {
  write.id = ++last_id_;
  write.term = term_;
  write.head = stored_.head;
  writing_ = std::move(write);
  phase_ = Phase::kWriting;
  effects_.emplace_back(WriteMetadata{writing_});
}

CoordinatorEffects CoordinatorMachine::OnWritten(int64_t id, WriteOutcome outcome) {
  if ((phase_ != Phase::kWriting && phase_ != Phase::kProbing) || id != last_id_) return {};
  switch (outcome) {
    case WriteOutcome::kWritten:
      if (phase_ == Phase::kProbing) {
        // The write before can no longer come: it is as if it had been overtaken.
        Read();
      } else {
        Apply(writing_);
        phase_ = Phase::kIdle;
        Go();
      }
      break;
    case WriteOutcome::kOvertaken:
      Read();
      break;
    case WriteOutcome::kUnknown: {
      MetadataWrite probe{
          .id = ++last_id_, .term = term_, .head = stored_.head, .brokers = {}, .partitions = {}};
      phase_ = Phase::kProbing;
      effects_.emplace_back(WriteMetadata{std::move(probe)});
      break;
    }
    case WriteOutcome::kDeposed:
      phase_ = Phase::kDeposed;
      effects_.emplace_back(StepDown{});
      break;
  }
  return Take();
}

void CoordinatorMachine::Read() {
  phase_ = Phase::kReading;
  effects_.emplace_back(ReadMetadata{++last_id_});
}

CoordinatorEffects CoordinatorMachine::OnRead(int64_t id, ClusterMetadata stored) {
  if (phase_ != Phase::kReading || id != last_id_) return {};
  // Proposals that may or may not have been carried out are answered by what is there now, and registrations
  // are looked at again: one that was carried out just takes another epoch.
  stored_ = std::move(stored);
  for (const Proposal& proposal : std::exchange(writing_proposals_, {})) proposals_.push_back(proposal);
  writing_epoch_.reset();
  if (writing_topic_) {
    writing_topic_->wish.in_doubt = true;
    topic_wishes_.push_front(*std::exchange(writing_topic_, std::nullopt));
  }
  for (const auto& [partition, state] : stored_.partitions) dirty_.insert(partition);
  PublishAll();
  phase_ = Phase::kIdle;
  Go();
  return Take();
}

void CoordinatorMachine::Apply(const MetadataWrite& write) {
  ApplyWrite(write, stored_);
  for (const auto& [broker, record] : write.brokers) Dirty(broker);
  effects_.emplace_back(PublishChange{.version = stored_.head,
                                      .complete = false,
                                      .brokers = write.brokers,
                                      .topics = write.topics,
                                      .partitions = write.partitions});
  if (writing_topic_) {
    TopicWish wish = *std::exchange(writing_topic_, std::nullopt);
    if (wish.unfinished) {
      topic_wishes_.push_front(std::move(wish));
    } else {
      effects_.emplace_back(AnswerTopicRequest{wish.request, stored_.head, std::move(wish.topic)});
    }
  }
  if (writing_epoch_) {
    const Registration registration = *std::exchange(writing_epoch_, std::nullopt);
    std::erase_if(registrations_,
                  [&](const Registration& other) { return other.request == registration.request; });
    registered_version_[registration.broker] = stored_.head;
    effects_.emplace_back(
        AnswerRegistration{registration.request, stored_.brokers[registration.broker].epoch});
  }
  for (const Proposal& proposal : std::exchange(writing_proposals_, {})) {
    effects_.emplace_back(AnswerProposal{proposal.request, IsrOutcome::kApplied, proposal.partition,
                                         stored_.head, stored_.partitions[proposal.partition]});
  }
}

}  // namespace naru::cluster
