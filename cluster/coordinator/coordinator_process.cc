#include "cluster/coordinator/coordinator_process.h"

#include <utility>
#include <variant>

#include "absl/synchronization/notification.h"
#include "cluster/coordinator/cluster_record.h"
#include "cluster/coordinator/metadata_update.h"
#include "cluster/metadata/error_message.h"
#include "cluster/metadata/random_id.h"
#include "cluster/metadata/topic_record.h"
#include "storage/base/status.h"
#include "storage/base/strings.h"

namespace naru::cluster {
namespace {

using naru::internal::v1::AttendRequest;
using naru::internal::v1::AttendResponse;
using naru::internal::v1::ChangeTopicsRequest;
using naru::internal::v1::ChangeTopicsResponse;

absl::Status ShuttingDown() {
  return MakeError(Reason::kShuttingDown, "the coordinator is shutting down; another one takes over");
}

}  // namespace

CoordinatorProcess::CoordinatorProcess(CoordinatorProcessOptions options, ClusterStore& store,
                                       const Clock& clock, EventLog& events)
    : options_(std::move(options)), store_(store), clock_(clock), events_(events), loop_(clock) {}

CoordinatorProcess::~CoordinatorProcess() { Stop(); }

void CoordinatorProcess::Start(std::string address) {
  loop_.Post([this] { Tick(); });
  loop_.Start();
  store_.Stand(
      std::move(address), [this](int64_t term) { loop_.Post([this, term] { Won(term); }); },
      [this](int64_t term) { loop_.Post([this, term] { Lost(term); }); });
}

void CoordinatorProcess::Stop() {
  loop_.Post([this] {
    stopping_ = true;
    term_ = 0;
    Ended(ShuttingDown());
  });
  store_.Stop();
  loop_.Stop();
}

CoordinatorSnapshot CoordinatorProcess::Snapshot() const {
  return {.active = counted_active_.load(std::memory_order_relaxed),
          .term = counted_term_.load(std::memory_order_relaxed),
          .version = counted_version_.load(std::memory_order_relaxed),
          .elections_won = counted_elections_.load(std::memory_order_relaxed),
          .sessions = counted_sessions_.load(std::memory_order_relaxed)};
}

void CoordinatorProcess::Count() {
  counted_active_.store(machine_ != nullptr, std::memory_order_relaxed);
  counted_version_.store(machine_ ? machine_->metadata().head : 0, std::memory_order_relaxed);
  counted_sessions_.store(static_cast<int64_t>(of_broker_.size()), std::memory_order_relaxed);
}

absl::Status CoordinatorProcess::NotCoordinator() const {
  const std::string address = store_.ElectedAddress();
  return MakeError(Reason::kNotCoordinator,
                   address.empty() ? "no coordinator is elected at present; try again"
                                   : absl::StrCat("the elected coordinator is ", address),
                   {{"address", address}});
}

// --- Elections.

void CoordinatorProcess::Won(int64_t term) {
  if (stopping_ || term <= term_) return;
  Ended(NotCoordinator());
  term_ = term;
  counted_term_.store(term, std::memory_order_relaxed);
  counted_elections_.fetch_add(1, std::memory_order_relaxed);
  ReadFor(term);
}

void CoordinatorProcess::Lost(int64_t term) {
  if (term != term_) return;
  term_ = 0;
  events_.Write(Severity::kWarning, "coordinator_deposed", {{"term", term}});
  Ended(NotCoordinator());
}

void CoordinatorProcess::ReadFor(int64_t term) {
  if (term != term_ || machine_ != nullptr) return;
  store_.Read([this, term](absl::StatusOr<ClusterMetadata> stored) {
    loop_.Post([this, term, stored = std::move(stored)]() mutable {
      if (term != term_ || machine_ != nullptr) return;
      if (stored.ok()) return Begin(term, *std::move(stored));
      events_.Write(Severity::kError, "cluster_metadata_unreadable", {{"error", stored.status().ToString()}});
      loop_.After(options_.retry_ms, [this, term] { ReadFor(term); });
    });
  });
}

void CoordinatorProcess::Begin(int64_t term, ClusterMetadata stored) {
  events_.Write(Severity::kInfo, "coordinator_active",
                {{"term", term},
                 {"version", stored.head},
                 {"topics", stored.topics.size()},
                 {"partitions", stored.partitions.size()},
                 {"brokers", stored.brokers.size()}});
  CoordinatorMachineOptions options = options_.machine;
  if (options.new_cluster_id.empty()) options.new_cluster_id = RandomIdDigits();
  machine_ = std::make_unique<CoordinatorMachine>(options, rules_, term, std::move(stored), loop_.NowMs());
  Do(machine_->Start());
}

void CoordinatorProcess::Tick() {
  loop_.After(options_.machine.broker_session_ms / 4, [this] { Tick(); });
  if (machine_) Do(machine_->Tick(loop_.NowMs()));
}

void CoordinatorProcess::Ended(const absl::Status& why) {
  machine_.reset();
  registrations_.clear();
  proposals_.clear();
  of_broker_.clear();
  for (auto& [id, attendant] : std::exchange(attendants_, {})) attendant.session->End(why);
  for (auto& [id, done] : std::exchange(topic_requests_, {})) done(why);
  Count();
}

// --- Sessions.

CoordinatorProcess::SessionId CoordinatorProcess::Open(std::shared_ptr<Session> session) {
  const SessionId id = last_session_.fetch_add(1, std::memory_order_relaxed) + 1;
  loop_.Post([this, id, session = std::move(session)]() mutable {
    if (stopping_) return session->End(ShuttingDown());
    attendants_[id].session = std::move(session);
  });
  return id;
}

void CoordinatorProcess::Closed(SessionId session) {
  loop_.Post([this, session] {
    const auto found = attendants_.find(session);
    if (found == attendants_.end()) return;
    const Attendant attendant = std::move(found->second);
    attendants_.erase(found);
    const auto current = of_broker_.find(attendant.broker);
    // Of a broker only the newest session speaks.
    if (current == of_broker_.end() || current->second != session) return;
    of_broker_.erase(current);
    Count();
    if (!machine_ || !attendant.registered) return;
    events_.Write(Severity::kWarning, "broker_gone", {{"broker_id", attendant.broker.value()}});
    Do(machine_->OnGone(attendant.broker, attendant.epoch));
  });
}

void CoordinatorProcess::OnMessage(SessionId session, AttendRequest message) {
  loop_.Post([this, session, message = std::move(message)] {
    const auto found = attendants_.find(session);
    if (found == attendants_.end()) return;
    if (!machine_) return Drop(session, NotCoordinator());
    Attendant& attendant = found->second;
    switch (message.request_case()) {
      case AttendRequest::kHello:
        return OnHello(session, attendant, message.hello());
      case AttendRequest::kHeartbeat:
        return OnHeartbeat(attendant, message.heartbeat());
      case AttendRequest::kProposeIsr:
        return OnPropose(session, attendant, message.propose_isr());
      case AttendRequest::kReportDamage:
        return OnDamage(attendant, message.report_damage());
      case AttendRequest::REQUEST_NOT_SET:
        return;  // of a newer version
    }
  });
}

void CoordinatorProcess::Drop(SessionId id, const absl::Status& why) {
  const auto found = attendants_.find(id);
  if (found == attendants_.end()) return;
  const std::shared_ptr<Session> session = std::move(found->second.session);
  attendants_.erase(found);
  session->End(why);
}

void CoordinatorProcess::OnHello(SessionId id, Attendant& attendant, const naru::internal::v1::Hello& hello) {
  if (std::exchange(attendant.greeted, true)) return Drop(id, InvalidField("hello", "a second one", "one"));
  if (hello.broker_id() < 1) {
    return Drop(id, InvalidField("broker_id", absl::StrCat(hello.broker_id()), "allowed: 1 and more"));
  }
  const std::string& own = machine_->metadata().cluster_id;
  if (!hello.cluster_id().empty() && !own.empty() && hello.cluster_id() != own) {
    return Drop(id, MakeError(Reason::kInvalidTopicState,
                              absl::StrCat("cluster_id: broker ", hello.broker_id(), " belongs to cluster ",
                                           hello.cluster_id(), ", and this is cluster ", own,
                                           "; give it another data directory, or the right --metadata")));
  }
  attendant.broker = BrokerId(hello.broker_id());
  if (const auto before = of_broker_.find(attendant.broker); before != of_broker_.end()) {
    Drop(before->second, MakeError(Reason::kShuttingDown, "another session has taken the place of this one"));
  }
  of_broker_[attendant.broker] = id;
  Count();
  if (hello.broker_epoch() == 0) {
    registrations_[++last_request_] = id;
    return Do(machine_->OnRegister(last_request_, attendant.broker, hello.incarnation(), hello.vouches(),
                                   hello.client_address(), hello.peer_address()));
  }
  const auto record = machine_->metadata().brokers.find(attendant.broker);
  const BrokerEpoch epoch(hello.broker_epoch());
  if (record == machine_->metadata().brokers.end() || record->second.epoch != epoch) {
    return Unregister(attendant);
  }
  Welcome(id, attendant, epoch);
}

void CoordinatorProcess::Welcome(SessionId id, Attendant& attendant, BrokerEpoch epoch) {
  attendant.registered = true;
  attendant.epoch = epoch;
  events_.Write(Severity::kInfo, "broker_attends",
                {{"broker_id", attendant.broker.value()}, {"broker_epoch", epoch.value()}, {"session", id}});
  auto registered = std::make_shared<AttendResponse>();
  registered->mutable_registered()->set_broker_epoch(epoch.value());
  registered->mutable_registered()->set_cluster_id(machine_->metadata().cluster_id);
  attendant.session->Send(std::move(registered));
  auto all = std::make_shared<AttendResponse>();
  *all->mutable_update() = ToUpdate(machine_->metadata());
  attendant.session->Send(std::move(all));
}

void CoordinatorProcess::Unregister(Attendant& attendant) {
  attendant.registered = false;
  auto message = std::make_shared<AttendResponse>();
  message->mutable_unregistered();
  attendant.session->Send(std::move(message));
}

void CoordinatorProcess::OnHeartbeat(Attendant& attendant, const naru::internal::v1::Heartbeat& heartbeat) {
  if (!attendant.registered) return;
  CoordinatorEffects effects;
  const auto heard =
      machine_->OnHeartbeat(attendant.broker, attendant.epoch, heartbeat.version(), loop_.NowMs(), effects);
  if (!heard.registered) Unregister(attendant);
  Do(std::move(effects));
}

void CoordinatorProcess::OnPropose(SessionId id, const Attendant& attendant,
                                   const naru::internal::v1::ProposeIsr& propose) {
  if (!attendant.registered) return;
  const auto topic = ToTopicId(propose.topic_id());
  if (!topic.ok()) return;
  IsrProposal proposal{.attempt = propose.attempt(),
                       .leader_epoch = LeaderEpoch(propose.leader_epoch()),
                       .partition_epoch = PartitionEpoch(propose.partition_epoch()),
                       .isr = {}};
  for (const auto& member : propose.isr()) {
    proposal.isr[BrokerId(member.broker_id())] = BrokerEpoch(member.broker_epoch());
  }
  proposals_[++last_request_] = {id, propose.attempt()};
  Do(machine_->OnProposal(last_request_, attendant.broker, {*topic, propose.partition()},
                          std::move(proposal)));
}

void CoordinatorProcess::OnDamage(const Attendant& attendant,
                                  const naru::internal::v1::ReportDamage& report) {
  if (!attendant.registered) return;
  const auto topic = ToTopicId(report.topic_id());
  if (!topic.ok()) return;
  Do(machine_->OnDamage(attendant.broker, {*topic, report.partition()}, LeaderEpoch(report.leader_epoch())));
}

void CoordinatorProcess::ChangeTopics(ChangeTopicsRequest request, TopicsDone done) {
  loop_.Post([this, request = std::move(request), done = std::move(done)]() mutable {
    if (!machine_) return done(NotCoordinator());
    TopicRequest wish{
        .change = {}, .internal = request.internal(), .new_topic_id = RandomId(), .now_ms = clock_.NowMs()};
    switch (request.change_case()) {
      case ChangeTopicsRequest::kCreate:
        wish.change = request.create();
        break;
      case ChangeTopicsRequest::kUpdate:
        wish.change = request.update();
        break;
      case ChangeTopicsRequest::kCreatePartitions:
        wish.change = request.create_partitions();
        break;
      case ChangeTopicsRequest::kDelete:
        wish.change = request.delete_();
        break;
      case ChangeTopicsRequest::CHANGE_NOT_SET:
        return done(InvalidField("change", "none", "one of those that this coordinator knows is needed"));
    }
    topic_requests_[++last_request_] = std::move(done);
    Do(machine_->OnTopicRequest(last_request_, std::move(wish)));
  });
}

// --- What the machine wants.

void CoordinatorProcess::Do(CoordinatorEffects effects) {
  for (CoordinatorEffect& effect : effects) {
    if (const auto* write = std::get_if<WriteMetadata>(&effect)) {
      Write(write->write);
    } else if (const auto* read = std::get_if<ReadMetadata>(&effect)) {
      Read(read->id);
    } else if (const auto* change = std::get_if<PublishChange>(&effect)) {
      Publish(*change);
    } else if (const auto* registered = std::get_if<AnswerRegistration>(&effect)) {
      Answer(*registered);
    } else if (const auto* proposed = std::get_if<AnswerProposal>(&effect)) {
      Answer(*proposed);
    } else if (const auto* topic = std::get_if<AnswerTopicRequest>(&effect)) {
      Answer(*topic);
    } else {
      // The store says so before it has told the process; or it cannot take the write. Then it is read anew.
      events_.Write(Severity::kWarning, "coordinator_write_refused", {{"term", term_}});
      Ended(NotCoordinator());
      loop_.After(options_.retry_ms, [this, term = term_] { ReadFor(term); });
      return;
    }
  }
  Count();
}

void CoordinatorProcess::Write(const MetadataWrite& write) {
  store_.Write(write, machine_->metadata(), [this, term = term_, id = write.id](WriteOutcome outcome) {
    loop_.Post([this, term, id, outcome] {
      if (machine_ && term == term_) Do(machine_->OnWritten(id, outcome));
    });
  });
}

void CoordinatorProcess::Read(int64_t id) {
  if (!machine_ || machine_->reading() != id) return;
  store_.Read([this, term = term_, id](absl::StatusOr<ClusterMetadata> stored) {
    loop_.Post([this, term, id, stored = std::move(stored)]() mutable {
      if (!machine_ || term != term_) return;
      if (stored.ok()) return Do(machine_->OnRead(id, *std::move(stored)));
      loop_.After(options_.retry_ms, [this, term, id] {
        if (term == term_) Read(id);
      });
    });
  });
}

void CoordinatorProcess::Publish(const PublishChange& change) {
  auto message = std::make_shared<AttendResponse>();
  *message->mutable_update() = change.complete ? ToUpdate(machine_->metadata()) : ToUpdate(change);
  for (auto& [id, attendant] : attendants_) {
    if (attendant.registered) attendant.session->Send(message);
  }
}

void CoordinatorProcess::Answer(const AnswerRegistration& answer) {
  const auto waiting = registrations_.extract(answer.request);
  if (!waiting) return;
  const auto attendant = attendants_.find(waiting.mapped());
  if (attendant != attendants_.end()) Welcome(waiting.mapped(), attendant->second, answer.epoch);
}

void CoordinatorProcess::Answer(const AnswerProposal& answer) {
  const auto waiting = proposals_.extract(answer.request);
  if (!waiting) return;
  const auto attendant = attendants_.find(waiting.mapped().session);
  if (attendant == attendants_.end()) return;
  auto message = std::make_shared<AttendResponse>();
  naru::internal::v1::IsrAnswer& to = *message->mutable_isr_answer();
  to.set_attempt(waiting.mapped().attempt);
  to.set_topic_id(std::string(answer.partition.topic.data(), answer.partition.topic.size()));
  to.set_partition(answer.partition.partition);
  to.set_applied(answer.outcome == IsrOutcome::kApplied);
  to.set_version(answer.version);
  if (!answer.state.replicas.empty())
    *to.mutable_state() = ToRecord(answer.partition.partition, answer.state);
  attendant->second.session->Send(std::move(message));
}

void CoordinatorProcess::Answer(const AnswerTopicRequest& answer) {
  auto waiting = topic_requests_.extract(answer.request);
  if (!waiting) return;
  if (!answer.topic.ok()) return waiting.mapped()(answer.topic.status());
  ChangeTopicsResponse response;
  response.set_version(answer.version);
  if (*answer.topic) *response.mutable_topic() = ToRecord(**answer.topic);
  waiting.mapped()(std::move(response));
}

}  // namespace naru::cluster
