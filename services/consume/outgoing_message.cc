#include "services/consume/outgoing_message.h"

#include <utility>

#include "storage/batch/wire.h"

namespace naru::services {
namespace {

constexpr uint32_t kDeliveryField = 15;

}  // namespace

OutgoingMessage DeliveryMessageOf(const std::string& fields, LaneReader::Ready ready) {
  const int64_t read_bytes = ready.delivery.size_bytes();
  OutgoingMessage message{.hold = std::move(ready.hold),
                          .record_count = ready.delivery.record_count(),
                          .credit_bytes = read_bytes};
  wire::AppendVarint(message.head, wire::Tag(kDeliveryField, wire::Type::kLength));
  wire::AppendVarint(message.head, fields.size() + static_cast<uint64_t>(read_bytes));
  message.head.append(fields);
  message.records = ready.delivery.TakeRecords();
  message.batches = ready.delivery.TakeBatches();
  return message;
}

}  // namespace naru::services
