// A real etcd of one member, for one test or several.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "etcd/rpc.grpc.pb.h"

namespace naru::testing {

// Listens on loopback ports that were free a moment ago, keeps its data in a folder of its own, and ends with
// this object, or with the thread that started it.
class EtcdProcess {
 public:
  EtcdProcess();
  ~EtcdProcess();

  // Returns when it answers. FAILED_PRECONDITION where there is no etcd. After a Kill on the same data and
  // ports.
  absl::Status Start();
  void Kill();
  // As if it hung: connections stay, nothing is answered.
  void Pause();
  void Resume();

  // host:port for clients.
  std::string endpoint() const;

  // What clients other than the store do to it. Each waits for the answer.
  etcdserverpb::TxnResponse Txn(const etcdserverpb::TxnRequest& request);
  void Put(const std::string& key, const std::string& value, int64_t lease = 0);
  void Delete(const std::string& key);
  // Without value and revisions where there is none.
  mvccpb::KeyValue Get(const std::string& key);
  int64_t Grant(int64_t ttl_s);
  void Revoke(int64_t lease);

 private:
  absl::Status Spawn();
  bool Answers();
  // Whether it ended by itself.
  bool Ended();
  std::string Log() const;

  std::string directory_;
  int client_port_ = 0;
  int peer_port_ = 0;
  pid_t pid_ = 0;
  std::shared_ptr<grpc::Channel> channel_;
};

// A port of loopback where nobody listens, a moment ago.
int FreePort();

}  // namespace naru::testing
