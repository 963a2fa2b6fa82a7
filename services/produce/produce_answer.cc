#include "services/produce/produce_answer.h"

#include "services/rpc/status.h"
#include "storage/base/status.h"
#include "storage/batch/wire.h"

namespace naru::services {
namespace {

// Field numbers of proto/naru/v1/produce.proto.
constexpr uint32_t kResponseResults = 1;
constexpr uint32_t kStreamResultId = 1;
constexpr uint32_t kStreamResultResults = 2;
constexpr uint32_t kStreamResultError = 3;
constexpr uint32_t kResultRecordIndexes = 6;
constexpr uint32_t kResultError = 7;
constexpr uint32_t kResultDuplicate = 8;
constexpr uint32_t kResultLeader = 9;

void AppendNonZero(uint32_t field, int64_t value, std::string& out) {
  if (value != 0) wire::AppendVarintField(out, field, static_cast<uint64_t>(value));
}

// Of the failed results of one answer; those behind have nothing but code and reason. With 100,000 records
// that went to a partition each an answer then stays below the 4 MiB that clients take by default.
constexpr size_t kFullFailuresBytesMax = 256 << 10;

naru::v1::Error BriefError(const absl::Status& status) {
  const Reason reason = ReasonOf(status).value_or(Reason::kInternal);
  naru::v1::Error error;
  error.set_code(static_cast<int>(CanonicalCode(reason)));
  error.set_reason(std::string(ReasonName(reason)));
  return error;
}

void AppendError(uint32_t field, const naru::v1::Error& error, std::string& out) {
  wire::AppendBytesField(out, field, error.SerializeAsString());
}

// A PartitionProduceResult.
std::string EncodeResult(const PartOutcome& outcome, bool brief) {
  std::string result;
  AppendNonZero(1, outcome.partition.value(), result);
  if (outcome.appended.ok()) {
    AppendNonZero(2, outcome.appended->base_offset.value(), result);
    AppendNonZero(3, outcome.appended->next_offset.value(), result);
    AppendNonZero(4, outcome.appended->append_time_ms, result);
    AppendNonZero(5, outcome.appended->log_start.value(), result);
    AppendNonZero(kResultDuplicate, outcome.appended->duplicate ? 1 : 0, result);
  } else {
    const absl::Status& status = outcome.appended.status();
    AppendError(kResultError, brief ? BriefError(status) : ToError(status), result);
  }
  AppendNonZero(kResultLeader, outcome.leader.value(), result);
  if (!outcome.record_indexes.empty()) {
    std::string packed;
    for (const uint32_t index : outcome.record_indexes) wire::AppendVarint(packed, index);
    wire::AppendBytesField(result, kResultRecordIndexes, packed);
  }
  return result;
}

void AppendResults(uint32_t field, const std::vector<PartOutcome>& outcomes, std::string& out) {
  size_t failures_bytes = 0;
  for (const PartOutcome& outcome : outcomes) {
    const std::string result = EncodeResult(outcome, failures_bytes > kFullFailuresBytesMax);
    if (!outcome.appended.ok()) failures_bytes += result.size();
    wire::AppendBytesField(out, field, result);
  }
}

}  // namespace

absl::Status SharedFailure(const std::vector<PartOutcome>& outcomes) {
  for (const PartOutcome& outcome : outcomes) {
    if (outcome.appended.ok() ||
        ReasonOf(outcome.appended.status()) != ReasonOf(outcomes.front().appended.status())) {
      return absl::OkStatus();
    }
  }
  return outcomes.empty() ? absl::OkStatus() : outcomes.front().appended.status();
}

std::string EncodeProduceResponse(const std::vector<PartOutcome>& outcomes) {
  std::string response;
  AppendResults(kResponseResults, outcomes, response);
  return response;
}

void AppendStreamResult(int64_t id, const absl::Status& failure, const std::vector<PartOutcome>& outcomes,
                        std::string& out) {
  std::string result;
  AppendNonZero(kStreamResultId, id, result);
  if (failure.ok()) {
    AppendResults(kStreamResultResults, outcomes, result);
  } else {
    AppendError(kStreamResultError, ToError(failure), result);
  }
  wire::AppendBytesField(out, kResponseResults, result);
}

}  // namespace naru::services
