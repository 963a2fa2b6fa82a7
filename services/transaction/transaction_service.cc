#include "services/transaction/transaction_service.h"

#include <memory>
#include <optional>
#include <utility>

#include "cluster/metadata/broker_errors.h"
#include "services/rpc/message_call.h"
#include "storage/base/status.h"

namespace naru::services {
namespace {

// The producer that the request is about; nothing: a new one.
absl::StatusOr<std::optional<cluster::ProducerIdentity>> ReadProducer(
    const naru::v1::InitProducerRequest& request) {
  if (request.has_producer_id() && !request.has_epoch()) {
    return InvalidField("epoch", "absent", "with producer_id it is the epoch that the producer has");
  }
  if (!request.has_producer_id() && request.has_epoch()) {
    return InvalidField("producer_id", "absent", "with epoch it is the id that the producer has");
  }
  std::optional<cluster::ProducerIdentity> producer;
  if (request.has_producer_id()) producer = {request.producer_id(), request.epoch()};
  return producer;
}

}  // namespace

absl::Status TransactionService::CheckRunning() const {
  if (!stopping_.load(std::memory_order_relaxed)) return absl::OkStatus();
  return cluster::BrokerShuttingDown();
}

grpc::ServerUnaryReactor* TransactionService::InitProducer(grpc::CallbackServerContext* context,
                                                           const grpc::ByteBuffer* request,
                                                           grpc::ByteBuffer* response) {
  using Call = MessageCall<naru::v1::InitProducerRequest, naru::v1::InitProducerResponse>;
  const auto call = std::make_shared<Call>(*context, *response);
  absl::Status status = CheckRunning();
  if (status.ok()) status = call->Parse(*request);
  auto known = status.ok() ? ReadProducer(call->request()) : status;
  if (!known.ok()) {
    call->Finish(known.status());
    return call->reactor();
  }
  producers_.InitProducer(*known, [call](const absl::StatusOr<cluster::ProducerIdentity>& producer) {
    if (producer.ok()) {
      call->response().set_producer_id(producer->producer_id);
      call->response().set_epoch(producer->epoch);
    }
    call->Finish(producer.status());
  });
  return call->reactor();
}

}  // namespace naru::services
