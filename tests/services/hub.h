// The produce and consume services on a real gRPC server, over a store in memory, and what tests say to them.
#pragma once

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "naru/v1/consume.grpc.pb.h"
#include "naru/v1/produce.grpc.pb.h"
#include "services/consume/consume_service.h"
#include "services/produce/produce_service.h"
#include "services/rpc/executor.h"
#include "storage/log/memory_log_store.h"
#include "tests/services/fixed_catalog.h"
#include "tests/services/grpc_errors.h"
#include "tests/services/held_appends.h"
#include "tests/wait_for.h"

namespace naru::services {

// How a call ended.
struct CallEnd {
  grpc::StatusCode code = grpc::StatusCode::OK;
  std::string reason;
  std::string message;
  std::map<std::string, std::string> metadata;
};

inline CallEnd EndOf(const grpc::ClientContext& context, const grpc::Status& status) {
  CallEnd end{.code = status.error_code(), .message = status.error_message()};
  end.reason = ReasonSeen(context, status, &end.metadata);
  return end;
}

using naru::testing::WaitFor;

class Hub {
 public:
  static constexpr int kExecutorThreads = 2;

  explicit Hub(const ProduceOptions& produce_options = {}, const ConsumeOptions& consume_options = {})
      : Hub(produce_options, consume_options, NotStarted{}) {
    Start({});
  }
  ~Hub() { Stop(); }

 protected:
  // For a hub with more services: its constructor starts it, its destructor stops it.
  struct NotStarted {};
  Hub(const ProduceOptions& produce_options, const ConsumeOptions& consume_options, NotStarted)
      : produce(appends, catalog, executor, clock, produce_options),
        consume(appends, catalog, executor, clock, consume_options) {
    EXPECT_TRUE(produce_options.Validate().ok());
    EXPECT_TRUE(consume_options.Validate().ok());
  }
  void Start(const std::vector<grpc::Service*>& more_services) {
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(&produce);
    builder.RegisterService(&consume);
    for (grpc::Service* service : more_services) builder.RegisterService(service);
    server = builder.BuildAndStart();
    address = "127.0.0.1:" + std::to_string(port);
    channel = NewChannel();
    producer = naru::v1::ProduceService::NewStub(channel);
    consumer = naru::v1::ConsumeService::NewStub(channel);
  }
  // Idempotent. `after_calls` runs when no call is open any more, before the store stops.
  void Stop(const std::function<void()>& after_calls = nullptr) {
    if (std::exchange(stopped_, true)) return;
    produce.Shutdown();
    consume.Shutdown();
    server->Shutdown(std::chrono::system_clock::now() + std::chrono::seconds(1));
    server->Wait();
    appends.LetThrough();
    store.HoldDurability(false);
    if (after_calls) after_calls();
    store.Stop();
    executor.Stop();
  }

 public:
  // A connection of its own; with `small_window` the client takes no more than about 64 KiB that is not read.
  std::shared_ptr<grpc::Channel> NewChannel(bool small_window = false) const {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    if (small_window) {
      arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
      arguments.SetInt(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, 65'535);
    }
    return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
  }

  CallEnd Produce(const naru::v1::ProduceRequest& request, naru::v1::ProduceResponse* response = nullptr) {
    grpc::ClientContext context;
    SetDeadline(context);
    naru::v1::ProduceResponse ignored;
    const grpc::Status status =
        producer->Produce(&context, request, response == nullptr ? &ignored : response);
    return EndOf(context, status);
  }
  CallEnd Fetch(const naru::v1::FetchRequest& request, naru::v1::FetchResponse* response = nullptr) {
    grpc::ClientContext context;
    SetDeadline(context);
    naru::v1::FetchResponse ignored;
    const grpc::Status status = consumer->Fetch(&context, request, response == nullptr ? &ignored : response);
    return EndOf(context, status);
  }
  CallEnd ListOffsets(const naru::v1::ListOffsetsRequest& request,
                      naru::v1::ListOffsetsResponse* response = nullptr) {
    grpc::ClientContext context;
    SetDeadline(context);
    naru::v1::ListOffsetsResponse ignored;
    const grpc::Status status =
        consumer->ListOffsets(&context, request, response == nullptr ? &ignored : response);
    return EndOf(context, status);
  }

  // Appends `values` as one batch of keyless records; timestamps from `first_timestamp_ms` on, unless 0.
  void Append(const std::string& topic, int partition, const std::vector<std::string>& values,
              int64_t first_timestamp_ms = 0) {
    naru::v1::ProduceRequest request;
    request.set_topic(topic);
    request.set_partition(partition);
    for (const std::string& value : values) {
      naru::v1::Record& record = *request.mutable_batch()->add_records();
      record.set_value(value);
      if (first_timestamp_ms != 0) record.set_timestamp_ms(first_timestamp_ms++);
    }
    const CallEnd end = Produce(request);
    EXPECT_EQ(end.code, grpc::StatusCode::OK) << end.message;
  }

  int64_t EndOffset(const std::string& topic, int partition) {
    return store.Info(catalog.Log(topic, partition))->end.value();
  }

  static void SetDeadline(grpc::ClientContext& context) {
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
  }

  SystemClock clock;
  MemoryLogStore store{clock};
  HeldAppends appends{store};
  FixedCatalog catalog{store};
  Executor executor{kExecutorThreads};
  ProduceService produce;
  ConsumeService consume;
  std::unique_ptr<grpc::Server> server;
  std::string address;
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<naru::v1::ProduceService::Stub> producer;
  std::unique_ptr<naru::v1::ConsumeService::Stub> consumer;

 private:
  bool stopped_ = false;
};

inline naru::v1::ProduceRequest RequestFor(const std::string& topic, const std::vector<std::string>& values) {
  naru::v1::ProduceRequest request;
  request.set_topic(topic);
  for (const std::string& value : values) request.mutable_batch()->add_records()->set_value(value);
  return request;
}

// The values of records, in order.
template <typename Records>
std::vector<std::string> Values(const Records& records) {
  std::vector<std::string> values;
  for (const naru::v1::Record& record : records) values.push_back(record.value());
  return values;
}

// Values a partition holds.
inline std::vector<std::string> Stored(Hub& hub, const std::string& topic, int partition) {
  naru::v1::FetchRequest request;
  request.set_topic(topic);
  request.set_partition(partition);
  naru::v1::FetchResponse response;
  const CallEnd end = hub.Fetch(request, &response);
  EXPECT_EQ(end.code, grpc::StatusCode::OK) << end.message;
  return Values(response.records());
}

}  // namespace naru::services
