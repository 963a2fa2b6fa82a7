// The logs that this broker leads, as calls see them: readable up to the high watermark, and appended to by
// who knows the leader epoch. Of any other log every call says NO_LEADER, and nothing is done. Thread-safe;
// completions as LogStore's, or on the replicas' loop.
#pragma once

#include "cluster/broker/log_fronts.h"
#include "cluster/broker/replica_host.h"
#include "storage/log/log_store.h"

namespace naru::cluster {

// NO_LEADER: nothing was done.
absl::Status NoLeader(std::string_view why);

class LedLogs {
 public:
  LedLogs(LogStore& store, LogFronts& fronts, ReplicaHost& host)
      : store_(store), fronts_(fronts), host_(host) {}

  bool Leads(LogId log) const { return fronts_.Find(log).has_value(); }
  // As LogStore's; and NOT_ENOUGH_REPLICAS, not appended, when it would have to be on all in sync and they
  // are too few; LEADER_CHANGED when nobody knows whether it stays.
  void Append(AppendRequest request, LogStore::AppendDone done);
  // A read from above the high watermark is OFFSET_OUT_OF_RANGE when it is sure that no other broker leads by
  // now, else NO_LEADER. The same goes for appends that are refused by what stands in the log.
  void Read(ReadRequest request, LogStore::ReadDone done);
  void FindByTime(LogId log, int64_t timestamp_ms, LogStore::TimeDone done);
  // The readable end is the high watermark. NO_LEADER also while it is not known (rule 11).
  absl::StatusOr<LogInfo> Info(LogId log) const;
  LogWatches::WatchId Watch(LogId log, Offset offset, absl::AnyInvocable<void()> fire);
  bool CancelWatch(LogWatches::WatchId watch) { return fronts_.CancelWatch(watch); }
  void MoveLogStart(LogId log, Offset start, LogStore::Done done);

 private:
  void Refuse(LogId log, LeaderEpoch epoch, const absl::Status& status, LogStore::AppendDone done);
  // CORRUPT_DATA, unless another replica can take over: then NO_LEADER (rule 21).
  template <typename Done>
  void HandOver(LogId log, const absl::Status& damage, Done done);
  void ReadAbove(LogId log, Offset from, const LogFront& front, LogStore::ReadDone done);

  LogStore& store_;
  LogFronts& fronts_;
  ReplicaHost& host_;
};

}  // namespace naru::cluster
