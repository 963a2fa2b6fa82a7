// A process in the broker's role, in a cluster: attends the coordinator, keeps what it hears of the cluster's
// metadata, drives the replicas that are here, and offers the cluster's topics and logs to the services.
//
// It owns one thread, on which metadata and replicas are changed; calls come from any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "cluster/broker/cluster_log_store.h"
#include "cluster/broker/forward_session.h"
#include "cluster/broker/led_logs.h"
#include "cluster/broker/link.h"
#include "cluster/broker/log_fronts.h"
#include "cluster/broker/peer_logs.h"
#include "cluster/broker/replica_host.h"
#include "cluster/coordinator/catalog_publisher.h"
#include "cluster/coordinator/metadata_update.h"
#include "cluster/loop/event_loop.h"
#include "cluster/metadata/producer_registry.h"
#include "cluster/metadata/topic_changer.h"
#include "storage/base/clock.h"
#include "storage/base/event_log.h"
#include "storage/log/log_store.h"

namespace naru::cluster {

struct BrokerProcessOptions {
  BrokerId broker{1};
  // Names what is in the data directory.
  std::string incarnation;
  // Where it belongs; empty: to the first that it attends.
  std::string cluster_id;
  // How often the coordinator is told that this broker lives, milliseconds. At least 1.
  int64_t heartbeat_ms = 300;
  // Between attempts to reach a coordinator, milliseconds. At least 1.
  int64_t retry_ms = 100;
  // How long a change of topics may wait for the coordinator and for word of it, milliseconds. At least 1.
  int64_t topic_change_ms = 10'000;
  ReplicaHostOptions replicas;
};

struct BrokerProcessSnapshot {
  std::string coordinator;   // the address of the one that it has a session with; empty: none
  int64_t broker_epoch = 0;  // 0: not registered
  int64_t version = 0;       // of the metadata
  ReplicaHost::Gauges replicas;
};

class BrokerProcess final : public TopicChanger, public ProducerRegistry {
 public:
  // Called on the process's thread when the cluster is known; once for each registration.
  using Registered = std::function<void(const std::string& cluster_id)>;

  // Everything outlives the process. `store` is this broker's own.
  BrokerProcess(BrokerProcessOptions options, LogStore& store, Links& links, const Clock& clock,
                EventLog& events, Registered registered);
  ~BrokerProcess() override;

  // host:port each.
  struct Addresses {
    std::string client;  // as clients reach it
    std::string peer;    // as other brokers do
    // At least one.
    std::vector<std::string> coordinators;
  };
  // Called on the process's thread with where each other broker is. Before Start.
  void OnAddress(std::function<void(BrokerId broker, const std::string& address)> on_address) {
    on_address_ = std::move(on_address);
  }
  // Attends from now on. Once.
  void Start(Addresses addresses);
  // Leaves: what waits fails, and later calls too. Idempotent; blocks.
  void Stop();

  // All logs of the cluster, for services.
  LogStore& logs() { return cluster_logs_; }
  // Only those that this broker leads: of any other it says NO_LEADER. For who must not write as another.
  LogStore& led_logs() { return own_logs_; }
  // As LogFronts::CommittedEnd: up to where the replica here may be compacted.
  Offset CommittedEnd(LogId log) const { return fronts_.CommittedEnd(log); }
  // As ReplicaHost::Confirm.
  void Confirm(LogId log, LeaderEpoch epoch, absl::AnyInvocable<void(bool leads)> done) {
    host_.Confirm(log, epoch, std::move(done));
  }
  // What other brokers do here.
  LeaderStreams& leader_streams() { return host_.leader_streams(); }
  std::shared_ptr<ForwardSession> OpenForward(std::shared_ptr<ForwardSession::Stream> stream) {
    return std::make_shared<ForwardSession>(led_logs_, std::move(stream));
  }
  BrokerProcessSnapshot Snapshot() const;
  // It has heard what the cluster's topics are. Stays so when the coordinator is lost.
  bool ready() const { return ready_.load(std::memory_order_acquire); }

  // TopicChanger: the coordinator's business; answered when this broker has heard of the change.
  void CreateTopic(naru::v1::CreateTopicRequest request, TopicDone done) override;
  void CreateInternalTopic(naru::v1::CreateTopicRequest request, Done done) override;
  void UpdateTopic(naru::v1::UpdateTopicRequest request, TopicDone done) override;
  void CreatePartitions(naru::v1::CreatePartitionsRequest request, TopicDone done) override;
  void DeleteTopic(naru::v1::DeleteTopicRequest request, Done done) override;
  void ElectLeaders(naru::v1::ElectLeadersRequest request, TopicDone done) override;
  // ProducerRegistry: ids of a registration of this broker, which no other has. COORDINATOR_LOADING before
  // the first.
  void InitProducer(std::optional<ProducerIdentity> known, ProducerDone done) override;
  std::shared_ptr<const TopicCatalog> Current() const override { return publisher_.Current(); }
  WatchId Watch(std::function<void()> changed) override { return publisher_.Watch(std::move(changed)); }
  void CancelWatch(WatchId watch) override { publisher_.CancelWatch(watch); }

 private:
  using Change = naru::internal::v1::ChangeTopicsRequest;
  struct WaitingChange {
    Change change;
    TopicDone done;
    int64_t until_ms = 0;
  };

  void Attend();
  void AttendLater(const std::string& hint);
  // The address of the coordinator; empty: none.
  void SetAttended(std::string address);
  void OnMessage(uint64_t session, naru::internal::v1::AttendResponse message);
  void OnBroken(uint64_t session, const absl::Status& why);
  void OnRegistered(const naru::internal::v1::Registered& registered);
  void OnUpdate(const naru::internal::v1::MetadataUpdate& update);
  void OnIsrAnswer(const naru::internal::v1::IsrAnswer& answer);
  bool Propose(const TopicPartition& partition, const IsrProposal& proposal);
  void ReportDamage(const TopicPartition& partition, LeaderEpoch leader_epoch);
  void Heartbeat();
  void SayAlive();
  void Tick();
  void Publish(const MetadataDifference& difference);
  std::shared_ptr<const TopicInfo> WithLeaders(const TopicInfo& topic) const;

  void ChangeTopics(Change change, TopicDone done);
  void TryChange(std::shared_ptr<WaitingChange> waiting);
  void OnChanged(const std::shared_ptr<WaitingChange>& waiting,
                 absl::StatusOr<naru::internal::v1::ChangeTopicsResponse> response);
  void AnswerHeard();

  const BrokerProcessOptions options_;
  LogStore& store_;
  Links& links_;
  const Clock& clock_;
  EventLog& events_;
  const Registered registered_;
  std::function<void(BrokerId broker, const std::string& address)> on_address_;
  CatalogPublisher publisher_;
  LogFronts fronts_;
  PeerLogs peer_logs_;

  // Of the loop's thread.
  Addresses addresses_;
  std::unique_ptr<Link<naru::internal::v1::AttendRequest>> session_;
  uint64_t session_number_ = 0;
  size_t next_coordinator_ = 0;
  std::string attended_;  // its address; empty: none has answered
  BrokerEpoch epoch_{0};
  std::string cluster_id_;
  ClusterMetadata metadata_;
  TopicCatalog catalog_;
  struct Heard {
    TopicDone done;
    std::string topic;  // empty: it is gone
    int64_t until_ms = 0;
  };
  std::multimap<int64_t, Heard> unheard_;  // by the version that answers it
  bool stopping_ = false;

  mutable absl::Mutex mutex_;
  BrokerProcessSnapshot snapshot_ ABSL_GUARDED_BY(mutex_);
  // Of the registration, and how many ids were given out under it.
  int64_t producer_registration_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t producers_ ABSL_GUARDED_BY(mutex_) = 0;

  std::atomic<bool> stopped_{false};
  std::atomic<bool> ready_{false};
  EventLoop loop_;
  ReplicaHost host_;
  LedLogs led_logs_;
  ClusterLogStore cluster_logs_;
  ClusterLogStore own_logs_;
};

}  // namespace naru::cluster
