#include "storage/index/index_codec.h"

#include "storage/base/coding.h"

namespace naru::index_codec {
namespace {

constexpr uint64_t kSignBit = uint64_t{1} << 63;
constexpr size_t kIdKeyBytes = 9;
constexpr size_t kPairKeyBytes = 17;

std::string PairKey(char table, uint64_t id, int64_t second) {
  std::string key(1, table);
  AppendBig64(key, id);
  AppendBig64(key, static_cast<uint64_t>(second) ^ kSignBit);
  return key;
}

}  // namespace

std::string Key(char table) { return std::string(1, table); }
std::string Key(char table, uint64_t id) {
  std::string key(1, table);
  AppendBig64(key, id);
  return key;
}
std::string RunKey(LogId log, Offset base) { return PairKey(kRun, log.value(), base.value()); }
std::string ProducerKey(LogId log, int64_t producer_id) {
  return PairKey(kProducer, log.value(), producer_id);
}

uint64_t IdOf(std::string_view key) { return key.size() < kIdKeyBytes ? 0 : GetBig64(key.data() + 1); }
std::optional<Offset> RunBase(std::string_view key) {
  if (key.size() != kPairKeyBytes) return std::nullopt;
  return Offset(static_cast<int64_t>(GetBig64(key.data() + kIdKeyBytes) ^ kSignBit));
}

std::string EncodeApplied(const AppliedPosition& position) {
  std::string value;
  AppendLittle<uint64_t>(value, position.sequence.value());
  AppendLittle<uint64_t>(value, position.segment.value());
  AppendLittle<uint64_t>(value, position.position);
  return value;
}
std::optional<AppliedPosition> DecodeApplied(std::string_view value) {
  LittleReader from(value);
  AppliedPosition position;
  position.sequence = Sequence(from.Take<uint64_t>());
  position.segment = SegmentId(from.Take<uint64_t>());
  position.position = from.Take<uint64_t>();
  if (!from.done()) return std::nullopt;
  return position;
}

std::string EncodeSegmentRow(const SegmentRow& row) {
  std::string value;
  AppendLittle<uint64_t>(value, row.first_sequence.value());
  AppendLittle<uint64_t>(value, row.last_sequence.value());
  AppendLittle<int64_t>(value, row.used_bytes);
  AppendLittle<int64_t>(value, row.live_bytes);
  return value;
}
std::optional<SegmentRow> DecodeSegmentRow(SegmentId id, std::string_view value) {
  LittleReader from(value);
  SegmentRow row;
  row.id = id;
  row.first_sequence = Sequence(from.Take<uint64_t>());
  row.last_sequence = Sequence(from.Take<uint64_t>());
  row.used_bytes = from.Take<int64_t>();
  row.live_bytes = from.Take<int64_t>();
  if (!from.done()) return std::nullopt;
  return row;
}

std::optional<Run> DecodeRunRow(std::string_view key, std::string_view value) {
  const auto base = RunBase(key);
  if (!base) return std::nullopt;
  LittleReader from(value);
  Run run = DecodeRun(from, *base);
  // Only what was compacted has more.
  if (from.ok() && from.remaining() > 0) run.bytes_gone = from.Take<int64_t>();
  if (!from.done()) return std::nullopt;
  return run;
}

}  // namespace naru::index_codec
