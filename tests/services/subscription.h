// One Subscribe stream of a test.
#pragma once

#include <memory>
#include <string>

#include "tests/services/hub.h"

namespace naru::services {

inline naru::v1::SubscribeStart StartAll(const std::string& topic) {
  naru::v1::SubscribeStart start;
  start.add_topics()->set_topic(topic);
  return start;
}

// Cancelled on destruction, unless it has ended.
class Subscription {
 public:
  explicit Subscription(Hub& hub) : Subscription(*hub.consumer) {}
  explicit Subscription(naru::v1::ConsumeService::Stub& stub) {
    Hub::SetDeadline(context_);
    stream_ = stub.Subscribe(&context_);
  }
  Subscription(Hub& hub, const naru::v1::SubscribeStart& start) : Subscription(hub) { Start(start); }
  ~Subscription() {
    if (ended_) return;
    context_.TryCancel();
    End();
  }

  void Start(const naru::v1::SubscribeStart& start) {
    naru::v1::SubscribeRequest request;
    *request.mutable_start() = start;
    stream_->Write(request);
  }
  void GiveCredit(int64_t bytes) {
    naru::v1::SubscribeRequest request;
    request.mutable_credit()->set_bytes(bytes);
    stream_->Write(request);
  }
  void Send(const naru::v1::SubscribeRequest& request) { stream_->Write(request); }
  void HalfClose() { stream_->WritesDone(); }

  bool Read(naru::v1::SubscribeResponse& response) { return stream_->Read(&response); }
  // The next message; waits for it.
  naru::v1::SubscribeResponse Next() {
    naru::v1::SubscribeResponse response;
    EXPECT_TRUE(Read(response)) << "the stream ended";
    return response;
  }
  // The next delivery; idle messages are passed over.
  naru::v1::PartitionDelivery NextDelivery() {
    naru::v1::SubscribeResponse response = Next();
    while (response.has_idle()) response = Next();
    EXPECT_TRUE(response.has_delivery()) << response.DebugString();
    return response.delivery();
  }
  // Reads to the end and says how the stream ended.
  CallEnd End() {
    naru::v1::SubscribeResponse response;
    while (Read(response)) {
    }
    ended_ = true;
    return EndOf(context_, stream_->Finish());
  }

 private:
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<naru::v1::SubscribeRequest, naru::v1::SubscribeResponse>> stream_;
  bool ended_ = false;
};

}  // namespace naru::services
