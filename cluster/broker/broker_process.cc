#include "cluster/broker/broker_process.h"

#include <algorithm>
#include <utility>

#include "cluster/coordinator/cluster_record.h"
#include "cluster/metadata/broker_errors.h"
#include "cluster/metadata/topic_record.h"
#include "storage/base/check.h"
#include "storage/base/status.h"
#include "storage/base/strings.h"

namespace naru::cluster {

namespace v1 = naru::internal::v1;

namespace {

// Of a producer id, what counts within a registration: so 4 billion producers for each of 2 billion versions
// of the metadata.
constexpr int kProducerNumberBits = 32;

absl::Status NoCoordinator() { return NoLeader("the cluster's coordinator cannot be reached at present"); }

// A topic as it would be.
absl::StatusOr<std::shared_ptr<const TopicInfo>> WithoutId(v1::TopicRecord& record) {
  if (!record.topic_id().empty()) return FromRecord(record);
  record.set_topic_id(std::string(TopicId().size(), '\0'));
  NARU_ASSIGN_OR_RETURN(const auto topic, FromRecord(record));
  auto without = std::make_shared<TopicInfo>(*topic);
  without->topic_id.clear();
  return without;
}

}  // namespace

BrokerProcess::BrokerProcess(BrokerProcessOptions options, LogStore& store, Links& links, const Clock& clock,
                             EventLog& events, Registered registered)
    : options_(std::move(options)),
      store_(store),
      links_(links),
      clock_(clock),
      events_(events),
      registered_(std::move(registered)),
      peer_logs_(links, clock),
      cluster_id_(options_.cluster_id),
      loop_(clock),
      host_(options_.replicas, options_.broker, store, links, fronts_, loop_, events,
            {.propose = [this](const TopicPartition& partition,
                               const IsrProposal& proposal) { return Propose(partition, proposal); },
             .report_damage = [this](const TopicPartition& partition,
                                     LeaderEpoch leader_epoch) { ReportDamage(partition, leader_epoch); }}),
      led_logs_(store, fronts_, host_),
      cluster_logs_(options_.broker, store, led_logs_, &peer_logs_),
      own_logs_(options_.broker, store, led_logs_, nullptr) {
  catalog_.self = options_.broker;
}

BrokerProcess::~BrokerProcess() { Stop(); }

void BrokerProcess::Start(Addresses addresses) {
  NARU_CHECK(!addresses.coordinators.empty());
  loop_.Post([this, addresses = std::move(addresses)]() mutable {
    addresses_ = std::move(addresses);
    loop_.OnIdle([this] { host_.Flush(); });
    Attend();
    Heartbeat();
    Tick();
  });
  loop_.Start();
}

void BrokerProcess::Stop() {
  if (stopped_.exchange(true)) return;
  loop_.Post([this] {
    stopping_ = true;
    session_.reset();
    host_.Shutdown();
    for (auto& [version, heard] : std::exchange(unheard_, {})) heard.done(BrokerEndedMeanwhile());
  });
  peer_logs_.Shutdown();
  loop_.Stop();
}

BrokerProcessSnapshot BrokerProcess::Snapshot() const {
  absl::MutexLock lock(&mutex_);
  return snapshot_;
}

// --- The coordinator.

void BrokerProcess::Attend() {
  if (stopping_ || session_) return;
  const std::string& address = addresses_.coordinators[next_coordinator_ % addresses_.coordinators.size()];
  const uint64_t number = ++session_number_;
  SetAttended("");
  session_ = links_.Attend(address, {.message =
                                         [this, number](v1::AttendResponse message) {
                                           loop_.Post([this, number, message = std::move(message)]() mutable {
                                             OnMessage(number, std::move(message));
                                           });
                                         },
                                     .broken =
                                         [this, number](absl::Status why) {
                                           loop_.Post([this, number, why] { OnBroken(number, why); });
                                         }});
  v1::AttendRequest request;
  v1::Hello& hello = *request.mutable_hello();
  hello.set_broker_id(options_.broker.value());
  hello.set_incarnation(options_.incarnation);
  hello.set_vouches(true);
  hello.set_client_address(addresses_.client);
  hello.set_peer_address(addresses_.peer);
  hello.set_broker_epoch(epoch_.value());
  hello.set_cluster_id(cluster_id_);
  session_->Send(std::move(request));
}

void BrokerProcess::SetAttended(std::string address) {
  attended_ = std::move(address);
  absl::MutexLock lock(&mutex_);
  snapshot_.coordinator = attended_;
}

void BrokerProcess::OnBroken(uint64_t session, const absl::Status& why) {
  if (session != session_number_ || !session_ || stopping_) return;
  session_.reset();
  if (!attended_.empty()) {
    events_.Write(Severity::kWarning, "coordinator_lost", {{"address", attended_}, {"why", why.ToString()}});
    host_.OnCoordinatorLost();
  } else if (ReasonOf(why) != Reason::kNotCoordinator && why.code() != absl::StatusCode::kUnavailable) {
    events_.Write(Severity::kError, "coordinator_refuses", {{"why", why.ToString()}});
  }
  SetAttended("");
  AttendLater(MetadataValue(why, "address"));
}

void BrokerProcess::AttendLater(const std::string& hint) {
  const auto& all = addresses_.coordinators;
  const auto hinted = std::find(all.begin(), all.end(), hint);
  ++next_coordinator_;
  if (hinted != all.end()) next_coordinator_ = static_cast<size_t>(hinted - all.begin());
  loop_.After(options_.retry_ms, [this] { Attend(); });
}

void BrokerProcess::OnMessage(uint64_t session, v1::AttendResponse message) {
  if (session != session_number_ || !session_ || stopping_) return;
  switch (message.response_case()) {
    case v1::AttendResponse::kRegistered:
      return OnRegistered(message.registered());
    case v1::AttendResponse::kUpdate:
      return OnUpdate(message.update());
    case v1::AttendResponse::kIsrAnswer:
      return OnIsrAnswer(message.isr_answer());
    case v1::AttendResponse::kUnregistered:
      // What it led or followed is void: it comes again as another process would.
      events_.Write(Severity::kWarning, "broker_unregistered", {{"broker_epoch", epoch_.value()}});
      epoch_ = BrokerEpoch(0);
      host_.Register(BrokerEpoch(-1));
      session_.reset();
      loop_.After(options_.retry_ms, [this] { Attend(); });
      return;
    case v1::AttendResponse::RESPONSE_NOT_SET:
      return;  // of a newer version
  }
}

void BrokerProcess::OnRegistered(const v1::Registered& registered) {
  SetAttended(addresses_.coordinators[next_coordinator_ % addresses_.coordinators.size()]);
  const BrokerEpoch epoch(registered.broker_epoch());
  events_.Write(Severity::kInfo, "coordinator_attended",
                {{"address", attended_}, {"broker_epoch", epoch.value()}});
  if (epoch == epoch_) return;
  epoch_ = epoch;
  cluster_id_ = registered.cluster_id();
  host_.Register(epoch);
  {
    absl::MutexLock lock(&mutex_);
    producer_registration_ = epoch.value();
    producers_ = 0;
  }
  registered_(cluster_id_);
}

void BrokerProcess::OnUpdate(const v1::MetadataUpdate& update) {
  if (update.version() < metadata_.head) {
    // A coordinator that does not know yet that it is deposed.
    session_.reset();
    host_.OnCoordinatorLost();
    return AttendLater("");
  }
  const auto difference = ApplyUpdate(update, metadata_);
  if (!difference.ok()) {
    events_.Write(Severity::kError, "metadata_unreadable", {{"error", difference.status().ToString()}});
    return;
  }
  for (const auto& [broker, record] : metadata_.brokers) {
    if (broker == options_.broker) continue;
    peer_logs_.SetAddress(broker, record.peer_address);
    if (on_address_) on_address_(broker, record.peer_address);
  }
  host_.Assign(metadata_, *difference);
  cluster_logs_.SetLeaders(metadata_, *difference);
  Publish(*difference);
  if (update.complete()) ready_.store(true, std::memory_order_release);
  AnswerHeard();
  if (update.complete()) SayAlive();
}

void BrokerProcess::OnIsrAnswer(const v1::IsrAnswer& answer) {
  const auto topic = ToTopicId(answer.topic_id());
  if (!topic.ok()) return;
  PartitionState state;
  const bool known = answer.has_state();
  if (known) {
    auto parsed = FromRecord(answer.state());
    if (!parsed.ok()) return;
    state = std::move(parsed->second);
  }
  host_.OnIsrAnswer({*topic, answer.partition()}, answer.attempt(),
                    answer.applied() ? IsrOutcome::kApplied : IsrOutcome::kRefused, known ? &state : nullptr,
                    answer.version());
}

bool BrokerProcess::Propose(const TopicPartition& partition, const IsrProposal& proposal) {
  if (!session_ || attended_.empty()) return false;
  v1::AttendRequest request;
  v1::ProposeIsr& to = *request.mutable_propose_isr();
  to.set_attempt(proposal.attempt);
  to.set_topic_id(std::string(partition.topic.data(), partition.topic.size()));
  to.set_partition(partition.partition);
  to.set_leader_epoch(proposal.leader_epoch.value());
  to.set_partition_epoch(proposal.partition_epoch.value());
  for (const auto& [broker, epoch] : proposal.isr) {
    v1::IsrMember& member = *to.add_isr();
    member.set_broker_id(broker.value());
    member.set_broker_epoch(epoch.value());
  }
  session_->Send(std::move(request));
  return true;
}

void BrokerProcess::ReportDamage(const TopicPartition& partition, LeaderEpoch leader_epoch) {
  if (!session_ || attended_.empty()) return;
  v1::AttendRequest request;
  v1::ReportDamage& to = *request.mutable_report_damage();
  to.set_topic_id(std::string(partition.topic.data(), partition.topic.size()));
  to.set_partition(partition.partition);
  to.set_leader_epoch(leader_epoch.value());
  session_->Send(std::move(request));
}

void BrokerProcess::SayAlive() {
  if (!session_ || attended_.empty()) return;
  v1::AttendRequest request;
  request.mutable_heartbeat()->set_version(metadata_.head);
  session_->Send(std::move(request));
}

void BrokerProcess::Heartbeat() {
  loop_.After(options_.heartbeat_ms, [this] { Heartbeat(); });
  SayAlive();
}

void BrokerProcess::Tick() {
  loop_.After(options_.replicas.tick_ms, [this] { Tick(); });
  host_.Tick();
  const ReplicaHost::Gauges gauges = host_.Count();
  const int64_t now_ms = loop_.NowMs();
  for (auto at = unheard_.begin(); at != unheard_.end();) {
    if (at->second.until_ms > now_ms) {
      ++at;
      continue;
    }
    at->second.done(MakeError(Reason::kLeaderChanged,
                              "the topic was changed, but this broker has not heard of it yet; look again"));
    at = unheard_.erase(at);
  }
  absl::MutexLock lock(&mutex_);
  snapshot_.broker_epoch = epoch_.value();
  snapshot_.version = metadata_.head;
  snapshot_.replicas = gauges;
}

// --- The catalog.

std::shared_ptr<const TopicInfo> BrokerProcess::WithLeaders(const TopicInfo& topic) const {
  auto info = std::make_shared<TopicInfo>(topic);
  const TopicId id = ToTopicId(topic);
  for (int32_t i = 0; i < info->partition_count(); ++i) {
    const auto state = metadata_.partitions.find({id, i});
    if (state == metadata_.partitions.end()) continue;
    PartitionPlacement& placement = info->partitions[static_cast<size_t>(i)];
    placement.leader = state->second.leader;
    placement.leader_epoch = state->second.leader_epoch;
    placement.in_sync.emplace();
    for (const BrokerId replica : placement.replicas) {
      if (state->second.isr.contains(replica)) placement.in_sync->push_back(replica);
    }
  }
  return info;
}

void BrokerProcess::Publish(const MetadataDifference& difference) {
  catalog_.version = metadata_.head;
  catalog_.cluster_id = metadata_.cluster_id.empty() ? cluster_id_ : metadata_.cluster_id;
  if (difference.complete || difference.brokers) {
    catalog_.brokers.clear();
    catalog_.away.clear();
    for (const auto& [broker, record] : metadata_.brokers) {
      const bool there = !record.fenced || broker == options_.broker;
      (there ? catalog_.brokers : catalog_.away).push_back({broker, record.client_address});
    }
  }
  if (difference.complete) {
    catalog_.topics.clear();
    for (const auto& [name, topic] : metadata_.topics) catalog_.topics[name] = WithLeaders(*topic);
  } else {
    for (const std::string& name : difference.topics) {
      const auto topic = metadata_.topics.find(name);
      if (topic == metadata_.topics.end()) {
        catalog_.topics.erase(name);
      } else {
        catalog_.topics[name] = WithLeaders(*topic->second);
      }
    }
  }
  publisher_.Publish(catalog_);
}

// --- Producers.

// An id is the registration (a version of the metadata, which no other registration has) and a number in it.
void BrokerProcess::InitProducer(std::optional<ProducerIdentity> known, ProducerDone done) {
  if (known) return done(NextEpoch(*known, known->producer_id >= int64_t{1} << kProducerNumberBits));
  int64_t id = 0;
  {
    absl::MutexLock lock(&mutex_);
    const bool exhausted = producers_ + 1 >= int64_t{1} << kProducerNumberBits;
    if (producer_registration_ > 0 && !exhausted) {
      id = (producer_registration_ << kProducerNumberBits) + ++producers_;
    }
  }
  if (id > 0) return done(ProducerIdentity{id, 0});
  done(
      MakeError(Reason::kCoordinatorLoading,
                "this broker has not been registered by the cluster's coordinator yet; nothing was done; try "
                "again"));
}

// --- Changes of topics.

void BrokerProcess::CreateTopic(naru::v1::CreateTopicRequest request, TopicDone done) {
  Change change;
  *change.mutable_create() = std::move(request);
  ChangeTopics(std::move(change), std::move(done));
}

void BrokerProcess::CreateInternalTopic(naru::v1::CreateTopicRequest request, Done done) {
  Change change;
  *change.mutable_create() = std::move(request);
  change.set_internal(true);
  ChangeTopics(std::move(change),
               [done = std::move(done)](const auto& topic) mutable { done(topic.status()); });
}

void BrokerProcess::UpdateTopic(naru::v1::UpdateTopicRequest request, TopicDone done) {
  Change change;
  *change.mutable_update() = std::move(request);
  ChangeTopics(std::move(change), std::move(done));
}

void BrokerProcess::CreatePartitions(naru::v1::CreatePartitionsRequest request, TopicDone done) {
  Change change;
  *change.mutable_create_partitions() = std::move(request);
  ChangeTopics(std::move(change), std::move(done));
}

void BrokerProcess::ElectLeaders(naru::v1::ElectLeadersRequest request, TopicDone done) {
  Change change;
  *change.mutable_elect_leaders() = std::move(request);
  ChangeTopics(std::move(change), std::move(done));
}

void BrokerProcess::DeleteTopic(naru::v1::DeleteTopicRequest request, Done done) {
  Change change;
  *change.mutable_delete_() = std::move(request);
  ChangeTopics(std::move(change),
               [done = std::move(done)](const auto& topic) mutable { done(topic.status()); });
}

void BrokerProcess::ChangeTopics(Change change, TopicDone done) {
  if (stopped_) return done(BrokerShuttingDown());
  auto waiting = std::make_shared<WaitingChange>(
      WaitingChange{std::move(change), std::move(done), loop_.NowMs() + options_.topic_change_ms});
  loop_.Post([this, waiting] { TryChange(waiting); });
}

void BrokerProcess::TryChange(std::shared_ptr<WaitingChange> waiting) {
  if (stopping_) return waiting->done(BrokerShuttingDown());
  if (attended_.empty()) {
    if (loop_.NowMs() >= waiting->until_ms) return waiting->done(NoCoordinator());
    loop_.After(options_.retry_ms, [this, waiting] { TryChange(waiting); });
    return;
  }
  links_.ChangeTopics(attended_, waiting->change,
                      [this, waiting](absl::StatusOr<v1::ChangeTopicsResponse> response) mutable {
                        if (stopped_) return waiting->done(BrokerEndedMeanwhile());
                        loop_.Post([this, waiting, response = std::move(response)]() mutable {
                          OnChanged(waiting, std::move(response));
                        });
                      });
}

void BrokerProcess::OnChanged(const std::shared_ptr<WaitingChange>& waiting,
                              absl::StatusOr<v1::ChangeTopicsResponse> response) {
  if (!response.ok()) {
    // Nothing was done; the one that is elected now may do it.
    const bool again = ReasonOf(response.status()) == Reason::kNotCoordinator;
    if (again && loop_.NowMs() < waiting->until_ms) {
      loop_.After(options_.retry_ms, [this, waiting] { TryChange(waiting); });
      return;
    }
    if (again) return waiting->done(NoCoordinator());
    if (ReasonOf(response.status())) return waiting->done(response.status());
    return waiting->done(
        MakeError(Reason::kLeaderChanged,
                  absl::StrCat("the coordinator did not answer, and nobody knows whether it was "
                               "done; look, and ask again (",
                               response.status().message(), ")")));
  }
  const bool validated =
      waiting->change.create().validate_only() || waiting->change.create_partitions().validate_only();
  if (validated && response->has_topic()) return waiting->done(WithoutId(*response->mutable_topic()));
  unheard_.emplace(response->version(),
                   Heard{std::move(waiting->done), response->has_topic() ? response->topic().name() : "",
                         waiting->until_ms});
  AnswerHeard();
}

void BrokerProcess::AnswerHeard() {
  while (!unheard_.empty() && unheard_.begin()->first <= metadata_.head) {
    auto heard = unheard_.extract(unheard_.begin());
    const auto topic = catalog_.topics.find(heard.mapped().topic);
    heard.mapped().done(topic == catalog_.topics.end() ? nullptr : topic->second);
  }
}

}  // namespace naru::cluster
