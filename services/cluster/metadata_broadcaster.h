// Sends metadata to all who watch it, after each change.
#pragma once

#include <grpcpp/grpcpp.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "cluster/metadata/topic_catalog.h"
#include "services/cluster/metadata_snapshot.h"
#include "storage/base/memory_budget.h"

namespace naru::services {

// Thread-safe. Owns the streams and one thread, which makes the snapshots and starts the writes. A stream has
// at most one write under way; changes meanwhile are left out but for the newest, so a slow reader costs one
// snapshot. When the memory for snapshots is used up, the stream furthest behind is cut off.
class MetadataBroadcaster {
 public:
  using Reactor = grpc::ServerWriteReactor<grpc::ByteBuffer>;

  // Both outlive the broadcaster.
  MetadataBroadcaster(cluster::CatalogSource& source, MetadataSnapshots& snapshots, size_t streams_max);
  // Waits until gRPC is done with every stream: shut the server down first.
  ~MetadataBroadcaster();

  // A new stream of snapshots of these topics (valid names; none: all), beginning with one at once. The
  // reactor owns itself. Ends at once with TOO_MANY_IN_FLIGHT beyond `streams_max`, with SHUTTING_DOWN after
  // Shutdown().
  Reactor* Open(grpc::CallbackServerContext* context, std::vector<std::string> names);

  // A stream that ends with this error before it began.
  static Reactor* Refuse(grpc::CallbackServerContext* context, const absl::Status& error);

  // Ends every stream with SHUTTING_DOWN; one with a write under way when that is done. Idempotent.
  void Shutdown();

 private:
  class Stream;

  void Run();
  // Brings one stream up to date if it can take a snapshot. False: there was no memory for it.
  bool Serve(uint64_t id, const cluster::TopicCatalog& catalog);
  // The stream if it can take a snapshot of `version`, else null.
  Stream* Ready(uint64_t id, int64_t version) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void CutOffSlowest(int64_t version) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void End(Stream& stream, grpc::Status status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool HasWork() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return dirty_ || stopping_; }
  bool HasNoStreams() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return streams_.empty(); }
  void MarkDirty();

  // gRPC's reactions.
  void OnWritten(Stream& stream, bool ok);
  void OnCancelled(Stream& stream);
  void OnDone(Stream& stream);

  cluster::CatalogSource& source_;
  MetadataSnapshots& snapshots_;
  const size_t streams_max_;
  // For what the streams keep of their names.
  MemoryBudget names_budget_;
  cluster::CatalogSource::WatchId watch_ = 0;

  // Held while a write is started or a stream finished: gRPC runs no reaction inside these calls.
  absl::Mutex mutex_;
  std::map<uint64_t, Stream*> streams_ ABSL_GUARDED_BY(mutex_);
  uint64_t next_id_ ABSL_GUARDED_BY(mutex_) = 1;
  bool dirty_ ABSL_GUARDED_BY(mutex_) = false;  // some stream may be behind
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace naru::services
