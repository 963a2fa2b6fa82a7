// What became of the parts of a batch, and how that is written on the wire. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "storage/base/ids.h"
#include "storage/log/log_store.h"

namespace naru::services {

struct PartOutcome {
  PartitionId partition;
  absl::StatusOr<Appended> appended;
  std::vector<uint32_t> record_indexes;
  int64_t batch_bytes = 0;
  // The broker that it was handed on to; 0: this one leads the partition.
  BrokerId leader{0};
};

// The error that all parts share (by reason), or OK when there is none.
absl::Status SharedFailure(const std::vector<PartOutcome>& outcomes);

// A ProduceResponse.
std::string EncodeProduceResponse(const std::vector<PartOutcome>& outcomes);

// Appends one ProduceStreamResult, as an element of ProduceStreamResponse.results, to `out`. With `failure`
// the item failed as a whole.
void AppendStreamResult(int64_t id, const absl::Status& failure, const std::vector<PartOutcome>& outcomes,
                        std::string& out);

}  // namespace naru::services
