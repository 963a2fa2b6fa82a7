// A cluster in one process: coordinators and brokers on loopback ports, stores in memory, metadata too.
#pragma once

#include <grpcpp/grpcpp.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "cluster/broker/broker_process.h"
#include "cluster/broker/cluster_groups.h"
#include "cluster/coordinator/coordinator_process.h"
#include "cluster/group/group_coordinator.h"
#include "cluster/transport/coordinator_service.h"
#include "cluster/transport/grpc_links.h"
#include "cluster/transport/peer_service.h"
#include "storage/base/clock.h"
#include "storage/base/event_log.h"
#include "storage/log/memory_log_store.h"
#include "tests/cluster/broker/memory_cluster_store.h"

namespace naru::cluster {

// How long a test waits for what must come.
inline constexpr absl::Duration kPatience = absl::Seconds(20);

class TestCluster {
 public:
  // `catch_up_rate`: of each broker, as ReplicaHostOptions has it.
  TestCluster(int coordinators, int brokers, int64_t catch_up_rate = 0);
  ~TestCluster();

  BrokerProcess& broker(int id) { return *brokers_.at(id).process; }
  MemoryLogStore& store(int id) { return *brokers_.at(id).store; }
  Groups& groups(int id) { return *brokers_.at(id).groups; }
  // Of the groups that the broker coordinates.
  GroupCoordinator& coordinator(int id) { return *brokers_.at(id).coordinator; }
  // As a kill: connections break, what was stored stays.
  void StopBroker(int id);
  void StartBroker(int id);
  // The broker's disk is another one.
  void ReplaceDisk(int id);
  // As a kill of the elected one.
  void StopCoordinator(int index);
  MemoryClusterMetadata& metadata() { return metadata_; }

  // Each waits until it is so, for at most 20 s, and fails the test when it is not.
  void WaitForBrokers(int count);
  void WaitForLeader(const std::string& topic, int32_t partition, int leader);
  // Of all partitions of the topic, as the coordinator has it.
  void WaitForIsr(const std::string& topic, size_t size);
  // Of the broker's own copy, durable.
  void WaitForEnd(int broker, LogId log, Offset end);
  // The broker leads a partition and knows that nothing can be committed to it.
  void WaitForTooFewInSync(int broker);

  absl::StatusOr<std::shared_ptr<const TopicInfo>> CreateTopic(int through, const std::string& name,
                                                               int32_t partitions, int32_t copies,
                                                               int32_t min_in_sync = 1);
  LogId LogOf(const std::string& topic, int32_t partition);
  // One record, through that broker.
  absl::StatusOr<Appended> Append(int through, LogId log, const std::string& value,
                                  bool on_all_in_sync = true);
  // One record, if that is the end.
  absl::StatusOr<Appended> AppendAt(int through, LogId log, Offset expected);
  // One record of an idempotent producer, again and again until it is answered, for at most 20 s.
  absl::StatusOr<Appended> AppendStamped(int through, LogId log, const ProducerStamp& stamp);
  // The same of a deletion.
  absl::Status MoveLogStart(int through, LogId log, Offset start);
  absl::StatusOr<ReadResult> ReadFrom(int through, LogId log, Offset from);
  // Again and again until it is in, for at most 20 s. `unknown` counts the attempts whose outcome is not
  // known.
  absl::StatusOr<Appended> AppendUntilDone(int through, LogId log, const std::string& value, int& unknown);
  // All values from the start to the end, through that broker.
  absl::StatusOr<std::vector<std::string>> ReadAll(int through, LogId log);
  // The same, again and again while the broker is told to try again, for at most 20 s.
  absl::StatusOr<std::vector<std::string>> ReadAllUntilDone(int through, LogId log);

 private:
  // Again and again while the answer is UNAVAILABLE, or nobody knows, for at most 20 s.
  template <typename Result>
  Result WhileUnavailable(absl::FunctionRef<Result()> call);

  struct Coordinator {
    std::unique_ptr<MemoryClusterStore> store;
    std::unique_ptr<CoordinatorProcess> process;
    std::unique_ptr<CoordinatorService> service;
    std::unique_ptr<grpc::Server> server;
    std::string address;
  };
  struct Broker {
    std::unique_ptr<MemoryLogStore> store;
    int disks = 1;
    std::unique_ptr<GrpcLinks> links;
    std::unique_ptr<BrokerProcess> process;
    std::unique_ptr<GroupCoordinator> coordinator;
    std::unique_ptr<ClusterGroups> groups;
    std::unique_ptr<PeerService> service;
    std::unique_ptr<grpc::Server> server;
  };

  const int64_t catch_up_rate_;
  SystemClock clock_;
  NullEventLog events_;
  MemoryClusterMetadata metadata_;
  std::vector<Coordinator> coordinators_;
  std::map<int, Broker> brokers_;
};

}  // namespace naru::cluster
