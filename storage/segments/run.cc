#include "storage/segments/run.h"

#include <algorithm>

#include "storage/base/check.h"

namespace naru {

Run RunOfEntry(const EntryHeader& header, SegmentId segment, uint64_t position) {
  NARU_CHECK(header.Has(kRunStart));
  Run run;
  run.base = header.base_offset;
  run.segment = segment;
  run.position = position;
  run.bytes_before = header.bytes_before;
  run.max_timestamp_so_far_ms = header.max_timestamp_before;
  run.first_epoch = header.leader_epoch;
  ExtendRun(run, header);
  return run;
}

void ExtendRun(Run& run, const EntryHeader& header) {
  run.next = header.next_offset();
  run.length += static_cast<uint32_t>(header.entry_bytes());
  ++run.batch_count;
  run.bytes += header.bytes_appended();
  run.bytes_gone += header.bytes_appended() - header.batch_bytes();
  run.max_timestamp_ms = std::max(run.max_timestamp_ms, header.max_timestamp_ms);
  run.max_timestamp_so_far_ms = std::max(run.max_timestamp_so_far_ms, header.max_timestamp_ms);
  run.append_time_ms = header.append_time_ms;
}

void EncodeRun(const Run& run, std::string& to) {
  AppendLittle<int64_t>(to, run.next.value());
  AppendLittle<uint64_t>(to, run.segment.value());
  AppendLittle<uint64_t>(to, run.position);
  AppendLittle<uint32_t>(to, run.length);
  AppendLittle<uint32_t>(to, run.batch_count);
  AppendLittle<int64_t>(to, run.bytes);
  AppendLittle<int64_t>(to, run.bytes_before);
  AppendLittle<int64_t>(to, run.max_timestamp_ms);
  AppendLittle<int64_t>(to, run.max_timestamp_so_far_ms);
  AppendLittle<int64_t>(to, run.append_time_ms);
  AppendLittle<int32_t>(to, run.first_epoch.value());
}

Run DecodeRun(LittleReader& from, Offset base) {
  Run run;
  run.base = base;
  run.next = Offset(from.Take<int64_t>());
  run.segment = SegmentId(from.Take<uint64_t>());
  run.position = from.Take<uint64_t>();
  run.length = from.Take<uint32_t>();
  run.batch_count = from.Take<uint32_t>();
  run.bytes = from.Take<int64_t>();
  run.bytes_before = from.Take<int64_t>();
  run.max_timestamp_ms = from.Take<int64_t>();
  run.max_timestamp_so_far_ms = from.Take<int64_t>();
  run.append_time_ms = from.Take<int64_t>();
  run.first_epoch = LeaderEpoch(from.Take<int32_t>());
  return run;
}

void EncodeRewrittenRun(const Run& run, std::string& to) {
  EncodeRun(run, to);
  AppendLittle<int64_t>(to, run.bytes_gone);
}

Run DecodeRewrittenRun(LittleReader& from, Offset base) {
  Run run = DecodeRun(from, base);
  run.bytes_gone = from.Take<int64_t>();
  return run;
}

}  // namespace naru
