// Keys and values of the index. Private to this folder.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "storage/index/index.h"

namespace naru::index_codec {

// The first byte of every key.
constexpr char kApplied = 'A';
constexpr char kDead = 'D';
constexpr char kFormat = 'F';
constexpr char kLog = 'L';
constexpr char kSnapshot = 'N';
constexpr char kProducer = 'P';
constexpr char kRebuilding = 'B';
constexpr char kRun = 'R';
constexpr char kSegment = 'S';
constexpr char kDoomed = 'Z';

constexpr uint32_t kIndexVersion = 1;

// `table`, then ids big-endian. Offsets and producer ids are stored with the sign bit flipped, so that they
// sort.
std::string Key(char table);
std::string Key(char table, uint64_t id);
std::string RunKey(LogId log, Offset base);
std::string ProducerKey(LogId log, int64_t producer_id);

// The id behind the table's byte; 0 for a key that is too short.
uint64_t IdOf(std::string_view key);
// The base offset of a run's key.
std::optional<Offset> RunBase(std::string_view key);

std::string EncodeApplied(const AppliedPosition& position);
std::optional<AppliedPosition> DecodeApplied(std::string_view value);
std::string EncodeSegmentRow(const SegmentRow& row);
std::optional<SegmentRow> DecodeSegmentRow(SegmentId id, std::string_view value);
std::optional<Run> DecodeRunRow(std::string_view key, std::string_view value);

}  // namespace naru::index_codec
