#include "cluster/transport/coordinator_service.h"

#include <memory>
#include <utility>

#include "cluster/transport/grpc_status.h"
#include "cluster/transport/message_stream.h"

namespace naru::cluster {

namespace v1 = naru::internal::v1;

namespace {

using AttendStream = ServerStream<v1::AttendResponse, v1::AttendRequest>;

class BrokerSession final : public CoordinatorProcess::Session {
 public:
  explicit BrokerSession(std::shared_ptr<AttendStream> stream) : stream_(std::move(stream)) {}
  void Send(std::shared_ptr<const v1::AttendResponse> message) override {
    stream_->Enqueue(std::move(message));
  }
  void End(absl::Status why) override { stream_->End(why); }

 private:
  const std::shared_ptr<AttendStream> stream_;
};

}  // namespace

grpc::ServerBidiReactor<v1::AttendRequest, v1::AttendResponse>* CoordinatorService::Attend(
    grpc::CallbackServerContext* context) {
  auto stream = AttendStream::Make();
  const CoordinatorProcess::SessionId session = process_.Open(std::make_shared<BrokerSession>(stream));
  stream->Begin(
      {.message = [this,
                   session](v1::AttendRequest message) { process_.OnMessage(session, std::move(message)); },
       .drained = nullptr,
       .closed = [this, session] { process_.Closed(session); }});
  return stream.get();
}

grpc::ServerUnaryReactor* CoordinatorService::ChangeTopics(grpc::CallbackServerContext* context,
                                                           const v1::ChangeTopicsRequest* request,
                                                           v1::ChangeTopicsResponse* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  process_.ChangeTopics(*request, [reactor, response](absl::StatusOr<v1::ChangeTopicsResponse> answer) {
    if (!answer.ok()) return reactor->Finish(ToInternalStatus(answer.status()));
    *response = *std::move(answer);
    reactor->Finish(grpc::Status::OK);
  });
  return reactor;
}

}  // namespace naru::cluster
