// The leaders that this broker follows: one stream to each, for all partitions that the two share. On the
// replicas' loop.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "absl/status/status.h"
#include "cluster/broker/hosted_replica.h"
#include "cluster/broker/link.h"

namespace naru::cluster {

class ReplicaHost;

class FollowerStreams {
 public:
  FollowerStreams(ReplicaHost& host, Links& links) : host_(host), links_(links) {}

  // Where a broker is; a stream to another address ends.
  void SetAddress(BrokerId broker, const std::string& address);
  // Sends the replica's next fetch, or what has changed of its claims, if there is any to send.
  void Fetch(HostedReplica& part);
  // The replica does not follow any more, or somebody else.
  void Leave(HostedReplica& part);
  void Flush();
  // Every stream ends; what is followed is forgotten.
  void Reset();

 private:
  struct Upstream {
    std::string address;
    std::unique_ptr<Link<naru::internal::v1::ReplicateRequest>> link;
    uint64_t number = 0;   // of the link
    bool waiting = false;  // to try again
    bool missed = false;   // it was said that it cannot be reached, and it has not answered since
    std::set<LogId> logs;
    naru::internal::v1::ReplicateRequest outgoing;
  };

  void Connect(BrokerId leader, Upstream& upstream);
  void Retry(BrokerId leader);
  void OnMessage(BrokerId leader, uint64_t number, naru::internal::v1::ReplicateResponse message);
  void OnAnswer(naru::internal::v1::FetchedPartition& message);
  void OnBroken(BrokerId leader, uint64_t number, const absl::Status& why);

  ReplicaHost& host_;
  Links& links_;
  std::map<BrokerId, Upstream> upstreams_;
  uint64_t last_link_ = 0;
};

}  // namespace naru::cluster
