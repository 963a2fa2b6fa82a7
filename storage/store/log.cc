#include "storage/store/log.h"

#include "storage/base/coding.h"
#include "storage/base/status.h"

namespace naru {
namespace {

constexpr uint8_t kRowVersion = 1;

}  // namespace

std::string EncodeLogRow(const Log& log) {
  std::string row;
  AppendLittle<uint8_t>(row, kRowVersion);
  AppendLittle<int64_t>(row, log.reclaimed_to.value());
  AppendLittle<int64_t>(row, log.bytes_start);
  AppendLittle<int64_t>(row, log.bytes_end);
  row.append(log.state.EncodeHead());
  return row;
}

absl::Status DecodeLogRow(std::string_view row, Log& log) {
  LittleReader from(row);
  const auto version = from.Take<uint8_t>();
  log.reclaimed_to = Offset(from.Take<int64_t>());
  log.bytes_start = from.Take<int64_t>();
  log.bytes_end = from.Take<int64_t>();
  if (!from.ok() || version != kRowVersion) {
    return MakeError(Reason::kCorruptData,
                     absl::StrCat("the index's row of log ", log.id.value(), " is malformed"));
  }
  NARU_ASSIGN_OR_RETURN(log.state, LogState::DecodeHead(from.TakeBytes(from.remaining())));
  log.AllDurable();
  return absl::OkStatus();
}

}  // namespace naru
