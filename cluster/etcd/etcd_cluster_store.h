// The cluster's metadata in etcd v3 (3.4 and later).
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "cluster/coordinator/cluster_store.h"
#include "cluster/etcd/etcd_client.h"
#include "cluster/etcd/etcd_codec.h"
#include "cluster/etcd/etcd_election.h"
#include "cluster/etcd/etcd_keys.h"
#include "cluster/etcd/etcd_options.h"
#include "cluster/loop/event_loop.h"
#include "storage/base/clock.h"
#include "storage/base/event_log.h"

namespace naru::cluster {

// Since the start.
struct EtcdStats {
  int64_t writes_written = 0;
  int64_t writes_overtaken = 0;
  int64_t writes_deposed = 0;
  int64_t writes_unknown = 0;
  int64_t writes_refused = 0;  // too large, or contradictory; answered as deposed
  int64_t reads = 0;
  int64_t reads_failed = 0;
  int64_t elections_won = 0;
  int64_t elections_lost = 0;   // deposed
  int64_t requests_failed = 0;  // of any kind, to etcd
  bool reachable = true;        // the last answer, if there was any, was one
  friend bool operator==(const EtcdStats&, const EtcdStats&) = default;
};

// Owns one thread, on which all callbacks of ClusterStore run, and the connections to etcd. Beyond the
// interface:
//
// - A Write is one transaction that is sent once. Whatever is not a clear answer is kUnknown.
// - A failure takes at least poll_interval_ms, so that who tries again at once does not spin.
// - A Write that cannot be one transaction (OperationsOf more than kWriteOperationsMax, more bytes than
//   kWriteBytesMax, or contradictory; etcd_codec.h) is a defect of the coordinator, and trying again would
//   not help. It is not sent; the event etcd_write_refused says why; the term is given up, which makes the
//   answer kDeposed true, and whoever is elected next begins with what is stored. Who makes writes asks
//   OperationsOf first, and splits them or refuses what they are for.
// - Stop() answers what is under way: writes kUnknown, reads SHUTTING_DOWN. `deposed` is not called for it.
//   Reads and Writes after it are not answered. Not to be called from a callback.
//
// etcd keeps what was overwritten until it is compacted: it should run with --auto-compaction-retention.
// Events beside those of EtcdClient and EtcdElection: etcd_write_unknown (the first of several in a row),
// etcd_write_refused.
class EtcdClusterStore final : public ClusterStore {
 public:
  // Reads that may be under way. Beyond: UNAVAILABLE.
  static constexpr int kReadsMax = 16;

  // `options` are valid; `clock` is the system's; both references outlive the store. Connects when needed.
  EtcdClusterStore(EtcdOptions options, const Clock& clock, EventLog& events);
  // Stops.
  ~EtcdClusterStore() override;

  void Stand(std::string address, Elected elected, Deposed deposed) override;
  std::string ElectedAddress() const override;
  void Read(ReadDone done) override;
  void Write(const MetadataWrite& write, const ClusterMetadata& before, WriteDone done) override;
  void Stop() override;

  EtcdStats Stats() const;

 private:
  struct ReadUnderWay;

  // All below on the loop's thread.
  void Send(int64_t term, etcdserverpb::TxnRequest request, WriteDone done);
  void OnAnswered(int64_t term, WriteOutcome outcome, WriteDone done);
  void Refuse(int64_t term, const absl::Status& why, WriteDone done);
  void ReadPage(std::shared_ptr<ReadUnderWay> read);
  // The next page's first key, in `read`, or that there is none.
  absl::Status TakePage(const etcdserverpb::RangeResponse& response, ReadUnderWay& read);
  void FinishRead(ReadUnderWay& read, absl::StatusOr<ClusterMetadata> result);
  // Not sooner than poll_interval_ms after `sent_ns`; at once when it stops.
  void AnswerFailure(int64_t sent_ns, EventLoop::Task answer);
  void ShutDown();
  // Adds to the counters that others read.
  template <typename Change>
  void Count(Change change) {
    absl::MutexLock lock(&mutex_);
    change(stats_);
  }

  const EtcdOptions options_;
  const EtcdKeys keys_;
  EventLog& events_;
  const std::shared_ptr<EventLoop> loop_;

  // The loop's.
  EtcdClient client_;
  EtcdElection election_;
  bool stopping_ = false;
  int reads_under_way_ = 0;
  bool last_write_unknown_ = false;
  std::map<uint64_t, EventLoop::Task> late_answers_;
  uint64_t next_late_answer_ = 1;

  absl::Mutex stop_mutex_;  // held while it stops, so that whoever asks again waits for it too
  bool stopped_ ABSL_GUARDED_BY(stop_mutex_) = false;
  mutable absl::Mutex mutex_;
  std::string elected_address_ ABSL_GUARDED_BY(mutex_);
  EtcdStats stats_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace naru::cluster
