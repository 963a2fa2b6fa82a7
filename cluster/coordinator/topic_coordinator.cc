#include "cluster/coordinator/topic_coordinator.h"

#include <algorithm>
#include <span>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/notification.h"
#include "cluster/coordinator/leader_election.h"
#include "cluster/metadata/broker_errors.h"
#include "cluster/metadata/random_id.h"
#include "storage/base/check.h"
#include "storage/base/status.h"
#include "storage/base/strings.h"

namespace naru::cluster {
namespace {

// The broker of a data directory that was started on its own.
constexpr BrokerId kFirstBroker(1);

// So many epochs are begun before the first is waited for: they share the store's writes and syncs, and leave
// room in its queue for others.
constexpr size_t kEpochsAtOnce = 1'000;

// Calls the store and waits for its completion.
template <typename Call>
absl::Status Await(const Call& call) {
  absl::Notification done;
  absl::Status result;
  call([&](absl::Status status) {
    result = std::move(status);
    done.Notify();
  });
  done.WaitForNotification();
  return result;
}

}  // namespace

absl::Status CoordinatorOptions::Validate() const {
  NARU_RETURN_IF_ERROR(limits.Validate());
  if (queued_requests_max >= 1) return absl::OkStatus();
  return absl::InvalidArgumentError("queued_requests_max: 0 is not allowed; allowed: 1 and more");
}

TopicCoordinator::TopicCoordinator(CoordinatorOptions options, OrderedMapStore& metadata, LogStore& logs,
                                   const Clock& clock, EventLog& events)
    : options_(std::move(options)), metadata_(metadata), logs_(logs), clock_(clock), events_(events) {}

TopicCoordinator::~TopicCoordinator() { Stop(); }

absl::Status TopicCoordinator::Start() {
  NARU_RETURN_IF_ERROR(options_.Validate());
  NARU_ASSIGN_OR_RETURN(StoredMetadata stored, LoadOrInitialize());
  std::vector<BrokerInfo> brokers = {{stored.identity->broker, options_.advertised_address}};
  ledger_.emplace(options_.limits, std::move(stored), std::move(brokers));
  producer_ids_.emplace(ledger_->counters().next_producer_id);
  NARU_RETURN_IF_ERROR(Reconcile());
  NARU_RETURN_IF_ERROR(PublishFirst());
  absl::MutexLock lock(&mutex_);
  NARU_CHECK(state_ == State::kNew);
  state_ = State::kRunning;
  thread_ = std::thread([this] { Run(); });
  return absl::OkStatus();
}

absl::StatusOr<StoredMetadata> TopicCoordinator::LoadOrInitialize() {
  NARU_ASSIGN_OR_RETURN(StoredMetadata stored, metadata_.Load());
  if (stored.identity) return stored;
  const size_t orphans = logs_.Logs().size();
  if (orphans > 0) {
    return MakeError(Reason::kCorruptData, absl::StrCat("there is no metadata, and the store has ", orphans,
                                                        " logs: the metadata was lost; nothing was changed"));
  }
  stored.identity = Identity{RandomIdDigits(), kFirstBroker};
  NARU_RETURN_IF_ERROR(metadata_.WriteIdentity(*stored.identity, stored.counters));
  events_.Write(Severity::kInfo, "cluster_created",
                {{"cluster_id", stored.identity->cluster_id}, {"broker_id", kFirstBroker.value()}});
  return stored;
}

// After a crash the store may lack logs of the last topic made, and still have those of topics deleted.
absl::Status TopicCoordinator::Reconcile() {
  NARU_ASSIGN_OR_RETURN(const LogDifference difference,
                        ledger_->CompareLogs(logs_.Logs(), options_.lost_logs_allowed));
  if (!difference.missing.empty() || !difference.unknown.empty()) {
    events_.Write(Severity::kWarning, "logs_reconciled",
                  {{"logs_made", difference.missing.size()}, {"logs_deleted", difference.unknown.size()}});
  }
  if (!difference.missing.empty()) NARU_RETURN_IF_ERROR(CreateLogs(difference.missing));
  if (!difference.unknown.empty()) NARU_RETURN_IF_ERROR(DeleteLogs(difference.unknown));
  for (const auto& [name, topic] : ledger_->catalog().topics) {
    NARU_RETURN_IF_ERROR(Configure(*topic));
    NARU_RETURN_IF_ERROR(BeginEpochs(*topic));
  }
  return absl::OkStatus();
}

// Under a new version: brokers and their addresses may differ from what was published before.
absl::Status TopicCoordinator::PublishFirst() {
  const Counters counters = ledger_->NextVersion();
  NARU_RETURN_IF_ERROR(metadata_.WriteCounters(counters));
  ledger_->SetBrokerAddress(ledger_->catalog().self, options_.advertised_address, counters);
  publisher_.Publish(ledger_->catalog());
  events_.Write(Severity::kInfo, "topics_loaded",
                {{"topics", ledger_->catalog().topics.size()}, {"partitions", ledger_->partitions_total()}});
  return absl::OkStatus();
}

void TopicCoordinator::Stop() {
  {
    absl::MutexLock lock(&mutex_);
    state_ = State::kStopped;
  }
  if (thread_.joinable()) thread_.join();
}

void TopicCoordinator::Enqueue(Task task) {
  absl::Status refusal;
  {
    absl::MutexLock lock(&mutex_);
    if (state_ != State::kRunning) {
      refusal = BrokerShuttingDown();
    } else if (queue_.size() >= options_.queued_requests_max) {
      refusal = MakeError(Reason::kTooManyInFlight, absl::StrCat(queue_.size(),
                                                                 " requests that change topics or "
                                                                 "begin producers wait already, as many "
                                                                 "as may; try again"));
    } else {
      queue_.push_back(std::move(task));
      return;
    }
  }
  task(std::move(refusal));
}

void TopicCoordinator::Run() {
  while (true) {
    Task task;
    absl::Status todo;
    {
      absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(this, &TopicCoordinator::HasWork));
      if (queue_.empty()) return;
      if (state_ == State::kStopped) todo = BrokerShuttingDown();
      task = std::move(queue_.front());
      queue_.pop_front();
    }
    task(std::move(todo));
  }
}

void TopicCoordinator::CreateTopic(naru::v1::CreateTopicRequest request, TopicDone done) {
  Enqueue([this, request = std::move(request), done = std::move(done)](absl::Status todo) mutable {
    if (!todo.ok()) return done(std::move(todo));
    done(DoCreate(request, TopicLedger::Maker::kClient));
  });
}

void TopicCoordinator::CreateInternalTopic(naru::v1::CreateTopicRequest request, Done done) {
  Enqueue([this, request = std::move(request), done = std::move(done)](absl::Status todo) mutable {
    if (todo.ok()) todo = DoCreate(request, TopicLedger::Maker::kBroker).status();
    done(ReasonOf(todo) == Reason::kTopicExists ? absl::OkStatus() : std::move(todo));
  });
}

void TopicCoordinator::UpdateTopic(naru::v1::UpdateTopicRequest request, TopicDone done) {
  Enqueue([this, request = std::move(request), done = std::move(done)](absl::Status todo) mutable {
    if (!todo.ok()) return done(std::move(todo));
    done(DoUpdate(request));
  });
}

void TopicCoordinator::CreatePartitions(naru::v1::CreatePartitionsRequest request, TopicDone done) {
  Enqueue([this, request = std::move(request), done = std::move(done)](absl::Status todo) mutable {
    if (!todo.ok()) return done(std::move(todo));
    done(DoGrow(request));
  });
}

void TopicCoordinator::ElectLeaders(naru::v1::ElectLeadersRequest request, TopicDone done) {
  Enqueue([this, request = std::move(request), done = std::move(done)](absl::Status todo) mutable {
    if (!todo.ok()) return done(std::move(todo));
    done(FindForElection(request, ledger_->catalog()));
  });
}

void TopicCoordinator::DeleteTopic(naru::v1::DeleteTopicRequest request, Done done) {
  Enqueue([this, request = std::move(request), done = std::move(done)](absl::Status todo) mutable {
    if (!todo.ok()) return done(std::move(todo));
    done(DoDelete(request));
  });
}

void TopicCoordinator::InitProducer(std::optional<ProducerIdentity> known, ProducerDone done) {
  Enqueue([this, known, done = std::move(done)](absl::Status todo) mutable {
    if (!todo.ok()) return done(std::move(todo));
    done(known ? NextEpoch(*known, producer_ids_->WasGiven(known->producer_id)) : DoInitProducer());
  });
}

absl::Status TopicCoordinator::Advertise(std::string address) {
  return Await([&](Done done) {
    Enqueue([this, address = std::move(address), done = std::move(done)](absl::Status todo) mutable {
      done(todo.ok() ? DoAdvertise(address) : std::move(todo));
    });
  });
}

absl::StatusOr<TopicCoordinator::Topic> TopicCoordinator::DoCreate(
    const naru::v1::CreateTopicRequest& request, TopicLedger::Maker maker) {
  const bool make = !request.validate_only();
  NARU_ASSIGN_OR_RETURN(const TopicChange change,
                        ledger_->Create(request, make ? RandomId() : "", make ? clock_.NowMs() : 0, maker));
  if (!make) return change.after;
  NARU_ASSIGN_OR_RETURN(Topic topic, CarryOut(change));
  events_.Write(Severity::kInfo, "topic_created",
                {{"topic", topic->name},
                 {"topic_id", absl::BytesToHexString(topic->topic_id)},
                 {"partitions", topic->partition_count()}});
  return topic;
}

absl::StatusOr<TopicCoordinator::Topic> TopicCoordinator::DoUpdate(
    const naru::v1::UpdateTopicRequest& request) {
  NARU_ASSIGN_OR_RETURN(const TopicChange change, ledger_->Update(request));
  if (change.changes_nothing()) return change.after;
  NARU_ASSIGN_OR_RETURN(Topic topic, CarryOut(change));
  events_.Write(Severity::kInfo, "topic_updated", {{"topic", topic->name}});
  return topic;
}

absl::StatusOr<TopicCoordinator::Topic> TopicCoordinator::DoGrow(
    const naru::v1::CreatePartitionsRequest& request) {
  NARU_ASSIGN_OR_RETURN(const TopicChange change, ledger_->Grow(request));
  if (request.validate_only()) return change.after;
  NARU_ASSIGN_OR_RETURN(Topic topic, CarryOut(change));
  events_.Write(Severity::kInfo, "partitions_created",
                {{"topic", topic->name}, {"partitions", topic->partition_count()}});
  return topic;
}

absl::Status TopicCoordinator::DoDelete(const naru::v1::DeleteTopicRequest& request) {
  NARU_ASSIGN_OR_RETURN(const TopicChange change, ledger_->Delete(request));
  NARU_RETURN_IF_ERROR(Persist(change));
  ledger_->Apply(change);
  publisher_.Publish(ledger_->catalog());
  // The topic is gone now whatever the store says: the next start deletes what it keeps.
  const absl::Status deleted = DeleteLogs(change.logs_deleted);
  events_.Write(deleted.ok() ? Severity::kInfo : Severity::kWarning, "topic_deleted",
                {{"topic", change.before->name},
                 {"topic_id", absl::BytesToHexString(change.before->topic_id)},
                 {"logs", deleted.ToString()}});
  return absl::OkStatus();
}

absl::Status TopicCoordinator::DoAdvertise(const std::string& address) {
  const TopicCatalog& catalog = ledger_->catalog();
  for (const BrokerInfo& broker : catalog.brokers) {
    if (broker.id == catalog.self && broker.address == address) return absl::OkStatus();
  }
  NARU_RETURN_IF_ERROR(Writable());
  const Counters counters = ledger_->NextVersion();
  NARU_RETURN_IF_ERROR(Written(metadata_.WriteCounters(counters)));
  ledger_->SetBrokerAddress(catalog.self, address, counters);
  publisher_.Publish(ledger_->catalog());
  return absl::OkStatus();
}

absl::StatusOr<ProducerIdentity> TopicCoordinator::DoInitProducer() {
  if (const std::optional<int64_t> id = producer_ids_->Take()) return ProducerIdentity{*id, 0};
  NARU_RETURN_IF_ERROR(Writable());
  const int64_t end = producer_ids_->NextBlockEnd();
  const Counters counters = ledger_->WithProducersReserved(end);
  NARU_RETURN_IF_ERROR(Written(metadata_.WriteCounters(counters)));
  ledger_->SetCounters(counters);
  producer_ids_->BlockReserved(end);
  return ProducerIdentity{*producer_ids_->Take(), 0};
}

absl::StatusOr<TopicCoordinator::Topic> TopicCoordinator::CarryOut(const TopicChange& change) {
  NARU_RETURN_IF_ERROR(Persist(change));
  const absl::Status made = MakeLogs(change.logs_made, *change.after);
  if (!made.ok()) {
    TakeBack(change, made);
    return made;
  }
  ledger_->Apply(change);
  publisher_.Publish(ledger_->catalog());
  return change.after;
}

void TopicCoordinator::TakeBack(const TopicChange& change, const absl::Status& cause) {
  const TopicChange undo = ledger_->Undo(change);
  const absl::Status persisted = Persist(undo);
  absl::Status deleted;
  if (persisted.ok()) {
    ledger_->Apply(undo);
    // Also those whose making failed: it may have been done in part. Nobody knows them, so the next start can
    // try.
    if (!undo.logs_deleted.empty()) deleted = DeleteLogs(undo.logs_deleted);
    if (undo.after) (void)Configure(*undo.after);
  }
  events_.Write(Severity::kError, "topic_change_taken_back",
                {{"topic", change.after->name},
                 {"cause", cause.ToString()},
                 {"persisted", persisted.ToString()},
                 {"logs", deleted.ToString()}});
}

absl::Status TopicCoordinator::Persist(const TopicChange& change) {
  NARU_RETURN_IF_ERROR(Writable());
  if (change.after) return Written(metadata_.PutTopic(*change.after, change.counters));
  return Written(metadata_.RemoveTopic(change.before->name, change.counters));
}

absl::Status TopicCoordinator::Written(absl::Status status) {
  if (status.ok()) return status;
  broken_ =
      MakeError(Reason::kInternal, absl::StrCat("the metadata store failed (", status.message(),
                                                "): topics cannot be changed until the broker is restarted"));
  events_.Write(Severity::kError, "metadata_write_failed", {{"error", status.ToString()}});
  return broken_;
}

absl::Status TopicCoordinator::Writable() const { return broken_; }

absl::Status TopicCoordinator::MakeLogs(const std::vector<LogId>& made, const TopicInfo& topic) {
  if (!made.empty()) NARU_RETURN_IF_ERROR(CreateLogs(made));
  NARU_RETURN_IF_ERROR(Configure(topic));
  return made.empty() ? absl::OkStatus() : BeginEpochs(topic);
}

absl::Status TopicCoordinator::CreateLogs(const std::vector<LogId>& logs) {
  return Await([&](LogStore::Done done) { logs_.CreateLogs(logs, std::move(done)); });
}

absl::Status TopicCoordinator::DeleteLogs(const std::vector<LogId>& logs) {
  return Await([&](LogStore::Done done) { logs_.DeleteLogs(logs, std::move(done)); });
}

absl::Status TopicCoordinator::Configure(const TopicInfo& topic) {
  const LogSettings settings = topic.config.ToLogSettings();
  for (const PartitionPlacement& partition : topic.partitions) {
    NARU_RETURN_IF_ERROR(logs_.Configure(partition.log, settings));
  }
  return absl::OkStatus();
}

absl::Status TopicCoordinator::BeginEpochs(const TopicInfo& topic) {
  std::vector<const PartitionPlacement*> behind;
  for (const PartitionPlacement& partition : topic.partitions) {
    NARU_ASSIGN_OR_RETURN(const LogInfo info, logs_.Info(partition.log));
    if (info.leader_epoch < partition.leader_epoch) behind.push_back(&partition);
  }
  for (size_t begin = 0; begin < behind.size(); begin += kEpochsAtOnce) {
    const size_t count = std::min(kEpochsAtOnce, behind.size() - begin);
    NARU_RETURN_IF_ERROR(BeginEpochs(std::span(behind).subspan(begin, count)));
  }
  return absl::OkStatus();
}

absl::Status TopicCoordinator::BeginEpochs(std::span<const PartitionPlacement* const> partitions) {
  absl::BlockingCounter pending(static_cast<int>(partitions.size()));
  absl::Mutex mutex;
  absl::Status first_error;
  for (const PartitionPlacement* partition : partitions) {
    logs_.BeginEpoch(partition->log, partition->leader_epoch, [&](const absl::Status& status) {
      {
        absl::MutexLock lock(&mutex);
        first_error.Update(status);
      }
      pending.DecrementCount();
    });
  }
  pending.Wait();
  return first_error;
}

}  // namespace naru::cluster
