// The owner of topics on this machine: takes requests to make, change, grow and delete them, one after
// another, keeps metadata and store in step through any crash, and publishes what there is. It also gives out
// producer ids, whose counter stands in the same metadata.
#pragma once

#include <cstddef>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "cluster/coordinator/catalog_publisher.h"
#include "cluster/coordinator/producer_ids.h"
#include "cluster/coordinator/topic_ledger.h"
#include "cluster/metadata/metadata_store.h"
#include "cluster/metadata/producer_registry.h"
#include "cluster/metadata/topic_catalog.h"
#include "cluster/metadata/topic_changer.h"
#include "naru/v1/admin.pb.h"
#include "storage/base/clock.h"
#include "storage/base/event_log.h"
#include "storage/base/ordered_map_store.h"
#include "storage/log/log_store.h"

namespace naru::cluster {

struct CoordinatorOptions {
  TopicLimits limits;
  // Requests that may wait. Beyond: TOO_MANY_IN_FLIGHT. At least 1.
  size_t queued_requests_max = 1'000;
  // host:port under which clients reach this broker; Advertise() changes it once it is known.
  std::string advertised_address;
  // Start with empty logs in place of those that the store has lost, instead of refusing. For a data
  // directory that was salvaged.
  bool lost_logs_allowed = false;

  // INVALID_ARGUMENT names the option, its value and what is allowed.
  absl::Status Validate() const;
};

// Thread-safe. It owns one thread, which does all the work and waits for the disk; completions run there, or
// inline when a request is refused at once, and must not block.
//
// A crash at any point leaves metadata and store such that Start() brings them in step: a topic is persisted
// with its log ids before its logs are made, and unpersisted before they are deleted.
//
// When a write to the metadata store fails, nobody knows what it holds: that request and every later one that
// would change something fails with INTERNAL, and the catalog stays as it is until a restart reads what was
// kept.
class TopicCoordinator final : public TopicChanger, public ProducerRegistry {
 public:
  // Everything outlives the coordinator. Publishes an empty catalog until Start().
  TopicCoordinator(CoordinatorOptions options, OrderedMapStore& metadata, LogStore& logs, const Clock& clock,
                   EventLog& events);
  ~TopicCoordinator() override;

  // Loads the topics, brings the store in step, configures every log, publishes, and takes requests from then
  // on. Blocks. At the first start in a directory it makes the cluster id; this is broker 1. Once; after an
  // error the coordinator cannot be used.
  //   INVALID_ARGUMENT  an option
  //   DATA_LOSS         metadata that cannot be read, or that does not belong to this store; nothing was
  //   changed
  absl::Status Start();
  // Finishes the request in hand, completes those that wait, and all later ones, with SHUTTING_DOWN.
  // Idempotent; blocks. The catalog stays readable.
  void Stop();

  // TopicChanger. Errors are those of TopicLedger, and of the log store.
  void CreateTopic(naru::v1::CreateTopicRequest request, TopicDone done) override;
  void CreateInternalTopic(naru::v1::CreateTopicRequest request, Done done) override;
  void UpdateTopic(naru::v1::UpdateTopicRequest request, TopicDone done) override;
  void CreatePartitions(naru::v1::CreatePartitionsRequest request, TopicDone done) override;
  // There is one broker, and it leads everything.
  void ElectLeaders(naru::v1::ElectLeadersRequest request, TopicDone done) override;
  void DeleteTopic(naru::v1::DeleteTopicRequest request, Done done) override;

  // ProducerRegistry.
  void InitProducer(std::optional<ProducerIdentity> known, ProducerDone done) override;

  // Publishes this broker's address (host:port); waits until it is in the catalog. Not from a completion.
  absl::Status Advertise(std::string address);

  // CatalogSource. Watches run on the coordinator's thread.
  std::shared_ptr<const TopicCatalog> Current() const override { return publisher_.Current(); }
  WatchId Watch(std::function<void()> changed) override { return publisher_.Watch(std::move(changed)); }
  void CancelWatch(WatchId watch) override { publisher_.CancelWatch(watch); }

 private:
  // Called once: with OK to do the work, on the coordinator's thread, or with why it will not be done.
  using Task = absl::AnyInvocable<void(absl::Status)>;
  using Topic = std::shared_ptr<const TopicInfo>;
  enum class State { kNew, kRunning, kStopped };

  // Of Start().
  absl::StatusOr<StoredMetadata> LoadOrInitialize();
  absl::Status Reconcile();
  absl::Status PublishFirst();

  void Enqueue(Task task);
  void Run();
  bool HasWork() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return !queue_.empty() || state_ == State::kStopped;
  }

  // On the coordinator's thread.
  absl::StatusOr<Topic> DoCreate(const naru::v1::CreateTopicRequest& request, TopicLedger::Maker maker);
  absl::StatusOr<Topic> DoUpdate(const naru::v1::UpdateTopicRequest& request);
  absl::StatusOr<Topic> DoGrow(const naru::v1::CreatePartitionsRequest& request);
  absl::Status DoDelete(const naru::v1::DeleteTopicRequest& request);
  absl::Status DoAdvertise(const std::string& address);
  absl::StatusOr<ProducerIdentity> DoInitProducer();
  // Persists a change, makes its logs, and publishes it; takes it back if the logs cannot be made.
  absl::StatusOr<Topic> CarryOut(const TopicChange& change);
  void TakeBack(const TopicChange& change, const absl::Status& cause);
  absl::Status Persist(const TopicChange& change);
  // Remembers the first failure of the metadata store.
  absl::Status Written(absl::Status status);
  absl::Status Writable() const;

  // Make and configure logs, and wait. `made` are the topic's newest.
  absl::Status MakeLogs(const std::vector<LogId>& made, const TopicInfo& topic);
  absl::Status CreateLogs(const std::vector<LogId>& logs);
  absl::Status DeleteLogs(const std::vector<LogId>& logs);
  absl::Status Configure(const TopicInfo& topic);
  // Begins each partition's leader epoch where the log is not there yet.
  absl::Status BeginEpochs(const TopicInfo& topic);
  absl::Status BeginEpochs(std::span<const PartitionPlacement* const> partitions);

  const CoordinatorOptions options_;
  MetadataStore metadata_;
  LogStore& logs_;
  const Clock& clock_;
  EventLog& events_;
  CatalogPublisher publisher_;

  // Of Start() and then of the thread.
  std::optional<TopicLedger> ledger_;
  std::optional<ProducerIds> producer_ids_;
  absl::Status broken_;

  absl::Mutex mutex_;
  State state_ ABSL_GUARDED_BY(mutex_) = State::kNew;
  std::deque<Task> queue_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace naru::cluster
