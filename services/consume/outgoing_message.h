// One message of a stream on its way to the client: encoded, and with its share of the consume service's
// memory.
#pragma once

#include <cstdint>
#include <string>

#include "absl/strings/cord.h"
#include "services/consume/lane_reader.h"
#include "services/rpc/memory_gate.h"

namespace naru::services {

// `head` followed by records or stored batches, if any.
struct OutgoingMessage {
  std::string head;
  std::string records;
  absl::Cord batches;
  MemoryGate::Hold hold;
  int64_t record_count = 0;
  int64_t credit_bytes = 0;  // of the records or batches: what it takes of a stream's credit
  int64_t size_bytes() const { return static_cast<int64_t>(head.size() + records.size() + batches.size()); }
};

// The message whose field 15 is a delivery: `fields`, encoded, followed by what was read. So it is in
// SubscribeResponse, ConsumeResponse and PollResponse.
OutgoingMessage DeliveryMessageOf(const std::string& fields, LaneReader::Ready ready);

}  // namespace naru::services
