// A hub in this process for client tests: real gRPC on port 0, logs in memory, and a script for what goes
// wrong. It keeps the contract of ProduceStream (skips after a failed item until Resume), of stamped batches
// (appended once, in sequence) and of Subscribe (credit).
#pragma once

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "naru/v1/cluster.grpc.pb.h"
#include "naru/v1/consume.grpc.pb.h"
#include "naru/v1/produce.grpc.pb.h"
#include "naru/v1/transaction.grpc.pb.h"
#include "storage/base/status.h"
#include "storage/log/producer_table.h"

namespace naru::client::testing {

// What the hub does with an item of a ProduceStream.
struct ItemFate {
  // Set: the item fails so, and nothing is appended.
  std::optional<Reason> error;
  // The stream breaks after the item was appended (or failed), unanswered.
  bool break_after = false;
  // The stream breaks before the item is appended.
  bool break_before = false;
  // The answer waits until `release` items after it are decided on; then all that wait go out, the last
  // first.
  bool hold = false;
  bool release = false;
  // Never answered, though appended.
  bool swallow = false;
};

// Thread-safe. Scripts are set before the client that meets them.
class FakeHub final : public naru::v1::ProduceService::Service,
                      public naru::v1::ConsumeService::Service,
                      public naru::v1::ClusterService::Service,
                      public naru::v1::TransactionService::Service {
 public:
  // `idle_connection_timeout_ms`: connections are closed after as long without a call; 0: never.
  explicit FakeHub(int idle_connection_timeout_ms = 0);
  ~FakeHub() override;

  std::string address() const { return address_; }
  // Also gives a topic that is there more partitions.
  void AddTopic(const std::string& topic, int partitions);
  // The topic, or a new one of its name, is there without records, and every Subscribe stream breaks.
  void RemoveTopic(const std::string& topic);
  void RemakeTopic(const std::string& topic, int partitions);
  // GetMetadata is not answered any more until the caller gives up.
  void HoldMetadata() { metadata_held_ = true; }

  // Decides on every item, `number` from 1 over all streams. Default: append.
  void OnItem(std::function<ItemFate(int number, const naru::v1::ProduceRequest&)> script);
  // What becomes of the `number`-th InitProducer, from 1. Default: OK.
  void OnInitProducer(std::function<grpc::Status(int number)> script);
  // Knows no producer any more, as after their expiry.
  void ForgetProducers();
  // Called when a ProduceStream breaks by script.
  void OnStreamBroken(std::function<void()> called);
  // Breaks every Subscribe stream after it sent this many deliveries in all; asked once for each.
  void BreakSubscribeAt(std::set<int> delivery_numbers);
  // GetMetadata names this address as everybody's leader instead of the hub's own.
  void AdvertiseLeaderAt(std::string address);

  // The values of a partition's records, in order.
  std::vector<std::string> Values(const std::string& topic, int partition);
  // Appends as if somebody had produced.
  void Append(const std::string& topic, int partition, const std::string& value);
  // Appends a record with a field that no broker lets in, a group.
  void AppendUnreadable(const std::string& topic, int partition);

  int items() const { return items_; }
  int resumes() const { return resumes_; }
  int duplicates() const { return duplicates_; }
  int init_producer_calls() const { return init_producer_calls_; }
  int produce_streams() const { return produce_streams_; }
  int subscribe_streams() const { return subscribe_streams_; }
  int metadata_calls() const { return metadata_calls_; }
  // Those that waited because of HoldMetadata.
  int metadata_calls_held() const { return metadata_calls_held_; }
  // Of all deliveries sent, by their credit_bytes.
  int64_t credit_used() const { return credit_used_; }
  // Most bytes of deliveries that were sent beyond the credit of a Subscribe stream at its sending.
  int64_t credit_overdrawn() const { return credit_overdrawn_; }
  // Partitions as in the SubscribeStarts so far.
  std::vector<naru::v1::SubscribeStart> starts();

  grpc::Status GetMetadata(grpc::ServerContext* context, const naru::v1::GetMetadataRequest* request,
                           naru::v1::GetMetadataResponse* response) override;
  grpc::Status InitProducer(grpc::ServerContext* context, const naru::v1::InitProducerRequest* request,
                            naru::v1::InitProducerResponse* response) override;
  grpc::Status ProduceStream(grpc::ServerContext* context,
                             grpc::ServerReaderWriter<naru::v1::ProduceStreamResponse,
                                                      naru::v1::ProduceStreamRequest>* stream) override;
  grpc::Status Subscribe(
      grpc::ServerContext* context,
      grpc::ServerReaderWriter<naru::v1::SubscribeResponse, naru::v1::SubscribeRequest>* stream) override;
  grpc::Status ListOffsets(grpc::ServerContext* context, const naru::v1::ListOffsetsRequest* request,
                           naru::v1::ListOffsetsResponse* response) override;

 private:
  using Key = std::pair<std::string, int>;
  struct StreamState;
  struct Topic {
    int partitions = 0;
    std::string id;
  };
  void RemoveLocked(const std::string& topic) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // OK, or why a request for this topic is refused, as the trailers of `context` then say too.
  grpc::Status CheckTopic(const std::string& topic, const std::string& topic_id, grpc::ServerContext& context)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // False: the stream breaks.
  bool Handle(const naru::v1::ProduceStreamRequest& request, StreamState& state);
  // Appends, or says that it was done before, or why not.
  void Append(const naru::v1::ProduceRequest& produce, naru::v1::ProduceStreamResult& result)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool DeliverOnce(const naru::v1::SubscribeStart& start, int64_t epoch, std::map<Key, int64_t>& positions,
                   std::atomic<int64_t>& credit,
                   grpc::ServerReaderWriter<naru::v1::SubscribeResponse, naru::v1::SubscribeRequest>& stream,
                   bool* sent);

  absl::Mutex mutex_;
  absl::CondVar changed_;
  std::map<Key, std::vector<naru::v1::Record>> logs_ ABSL_GUARDED_BY(mutex_);
  std::map<Key, ProducerTable> producers_ ABSL_GUARDED_BY(mutex_);
  std::function<grpc::Status(int)> init_script_ ABSL_GUARDED_BY(mutex_);
  std::function<void()> stream_broken_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, Topic> topics_ ABSL_GUARDED_BY(mutex_);
  int topics_made_ ABSL_GUARDED_BY(mutex_) = 0;
  // Subscribe streams begun in an earlier one break.
  int64_t epoch_ ABSL_GUARDED_BY(mutex_) = 0;
  std::function<ItemFate(int, const naru::v1::ProduceRequest&)> script_ ABSL_GUARDED_BY(mutex_);
  std::set<int> break_subscribe_at_ ABSL_GUARDED_BY(mutex_);
  int deliveries_ ABSL_GUARDED_BY(mutex_) = 0;
  std::string leader_address_ ABSL_GUARDED_BY(mutex_);
  std::vector<naru::v1::SubscribeStart> starts_ ABSL_GUARDED_BY(mutex_);
  std::atomic<int> items_ = 0, resumes_ = 0, duplicates_ = 0, init_producer_calls_ = 0, produce_streams_ = 0,
                   subscribe_streams_ = 0, metadata_calls_ = 0, metadata_calls_held_ = 0;
  std::atomic<int64_t> credit_overdrawn_ = 0, credit_used_ = 0;
  std::atomic<bool> metadata_held_ = false;
  std::atomic<bool> stopping_ = false;
  std::string address_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace naru::client::testing
