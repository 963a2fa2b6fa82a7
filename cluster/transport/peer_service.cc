#include "cluster/transport/peer_service.h"

#include <memory>
#include <utility>

#include "cluster/broker/group_forward_session.h"
#include "cluster/transport/message_stream.h"

namespace naru::cluster {

namespace v1 = naru::internal::v1;

namespace {

using ReplicateStream = ServerStream<v1::ReplicateResponse, v1::ReplicateRequest>;
using GroupStream = ServerStream<v1::GroupsResponse, v1::GroupsRequest>;
using ForwardStream = ServerStream<v1::ForwardResponse, v1::ForwardRequest>;

class FollowerStream final : public LeaderStreams::Stream {
 public:
  explicit FollowerStream(std::shared_ptr<ReplicateStream> stream) : stream_(std::move(stream)) {}
  void Send(v1::ReplicateResponse message) override {
    stream_->Enqueue(std::make_shared<const v1::ReplicateResponse>(std::move(message)));
  }
  int64_t queued_bytes() const override { return stream_->queued_bytes(); }
  void End(absl::Status why) override { stream_->End(why); }

 private:
  const std::shared_ptr<ReplicateStream> stream_;
};

class AnswerStream final : public ForwardSession::Stream {
 public:
  explicit AnswerStream(std::shared_ptr<ForwardStream> stream) : stream_(std::move(stream)) {}
  void Send(v1::ForwardResponse message) override {
    stream_->Enqueue(std::make_shared<const v1::ForwardResponse>(std::move(message)));
  }

 private:
  const std::shared_ptr<ForwardStream> stream_;
};

class NewsStream final : public GroupForwardSession::Stream {
 public:
  explicit NewsStream(std::shared_ptr<GroupStream> stream) : stream_(std::move(stream)) {}
  void Send(v1::GroupsResponse message) override {
    stream_->Enqueue(std::make_shared<const v1::GroupsResponse>(std::move(message)));
  }

 private:
  const std::shared_ptr<GroupStream> stream_;
};

}  // namespace

grpc::ServerBidiReactor<v1::ReplicateRequest, v1::ReplicateResponse>* PeerService::Replicate(
    grpc::CallbackServerContext* context) {
  auto stream = ReplicateStream::Make();
  LeaderStreams& leaders = process_.leader_streams();
  const LeaderStreams::SessionId session = leaders.Open(std::make_shared<FollowerStream>(stream));
  stream->Begin(
      {.message = [&leaders,
                   session](v1::ReplicateRequest message) { leaders.OnMessage(session, std::move(message)); },
       .drained = [&leaders, session] { leaders.OnDrained(session); },
       .closed = [&leaders, session] { leaders.Closed(session); }});
  return stream.get();
}

grpc::ServerBidiReactor<v1::ForwardRequest, v1::ForwardResponse>* PeerService::Forward(
    grpc::CallbackServerContext* context) {
  auto stream = ForwardStream::Make();
  const std::shared_ptr<ForwardSession> session =
      process_.OpenForward(std::make_shared<AnswerStream>(stream));
  stream->Begin({.message = [session](v1::ForwardRequest message) { session->OnMessage(std::move(message)); },
                 .drained = nullptr,
                 .closed = [session] { session->Closed(); }});
  return stream.get();
}

grpc::ServerBidiReactor<v1::GroupsRequest, v1::GroupsResponse>* PeerService::Groups(
    grpc::CallbackServerContext* context) {
  auto stream = GroupStream::Make();
  const auto session = std::make_shared<GroupForwardSession>(groups_, std::make_shared<NewsStream>(stream));
  stream->Begin({.message = [session](const v1::GroupsRequest& message) { session->OnMessage(message); },
                 .drained = nullptr,
                 .closed = [session] { session->Closed(); }});
  return stream.get();
}

}  // namespace naru::cluster
