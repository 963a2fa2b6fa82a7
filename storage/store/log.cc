#include "storage/store/log.h"

#include "storage/base/coding.h"
#include "storage/base/status.h"

namespace naru {
namespace {

constexpr uint8_t kRowVersion = 1;
// Of logs that were compacted: what is gone and the state of compaction stand before the head.
constexpr uint8_t kCompactedRowVersion = 2;

}  // namespace

std::string EncodeLogRow(const Log& log) {
  std::string row;
  const bool compacted = log.bytes_gone != 0 || log.compaction.ever();
  AppendLittle<uint8_t>(row, compacted ? kCompactedRowVersion : kRowVersion);
  AppendLittle<int64_t>(row, log.reclaimed_to.value());
  AppendLittle<int64_t>(row, log.bytes_start);
  AppendLittle<int64_t>(row, log.bytes_end);
  if (compacted) {
    const std::string state = log.compaction.Encode();
    AppendLittle<int64_t>(row, log.bytes_gone);
    AppendLittle<uint32_t>(row, static_cast<uint32_t>(state.size()));
    row.append(state);
  }
  row.append(log.state.EncodeHead());
  return row;
}

absl::Status DecodeLogRow(std::string_view row, Log& log) {
  LittleReader from(row);
  const auto version = from.Take<uint8_t>();
  log.reclaimed_to = Offset(from.Take<int64_t>());
  log.bytes_start = from.Take<int64_t>();
  log.bytes_end = from.Take<int64_t>();
  if (version == kCompactedRowVersion) {
    log.bytes_gone = from.Take<int64_t>();
    const auto length = from.Take<uint32_t>();
    NARU_ASSIGN_OR_RETURN(log.compaction, CompactionState::Decode(from.TakeBytes(length)));
  }
  if (!from.ok() || (version != kRowVersion && version != kCompactedRowVersion)) {
    return MakeError(Reason::kCorruptData,
                     absl::StrCat("the index's row of log ", log.id.value(), " is malformed"));
  }
  NARU_ASSIGN_OR_RETURN(log.state, LogState::DecodeHead(from.TakeBytes(from.remaining())));
  log.AllDurable();
  return absl::OkStatus();
}

}  // namespace naru
