// The bodies of all entries but batches. Decoding gives DATA_LOSS for bytes that encoding did not write.
// Pure, thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "storage/base/ids.h"
#include "storage/segments/run.h"

namespace naru {

// kCreateLogs, kDeleteLogs.
std::string EncodeLogIds(const std::vector<LogId>& logs);
absl::StatusOr<std::vector<LogId>> DecodeLogIds(std::string_view body);

// kMoveStarts.
struct LogStartMove {
  LogId log;
  Offset start;
  // Batch bytes of the log before the batch that holds the start (or before its end) since it was made.
  int64_t bytes_before = 0;
};
std::string EncodeStartMoves(const std::vector<LogStartMove>& moves);
absl::StatusOr<std::vector<LogStartMove>> DecodeStartMoves(std::string_view body);

// kTruncate: what is left, worked out when it was done, so that replay need not read batches again.
struct Truncation {
  LogId log;
  Offset end;
  // The run that the end cuts, as it is afterwards.
  std::optional<Run> cut;
  // LogState::Encode of the log afterwards.
  std::string state;
  int64_t bytes_start = 0;
  int64_t bytes_end = 0;
};
std::string EncodeTruncation(const Truncation& truncation);
absl::StatusOr<Truncation> DecodeTruncation(std::string_view body);

// kBeginEpoch.
struct EpochBegin {
  LogId log;
  LeaderEpoch epoch;
};
std::string EncodeEpochs(const std::vector<EpochBegin>& epochs);
absl::StatusOr<std::vector<EpochBegin>> DecodeEpochs(std::string_view body);

// kReclaim: the runs of `log` that end at or below `to` leave the index.
struct Reclaim {
  LogId log;
  Offset to;
};
std::string EncodeReclaims(const std::vector<Reclaim>& reclaims);
absl::StatusOr<std::vector<Reclaim>> DecodeReclaims(std::string_view body);

// kMove: a table of the runs, then their old entries as they were. In the table a run's position counts from
// the beginning of the body, and its segment is not given: it is this entry's.
struct MovedRun {
  LogId log;
  Run run;
  // The runs it stands for, adjacent and in order: where they were.
  struct Old {
    Offset base;
    SegmentId segment;
    uint64_t position = 0;
  };
  std::vector<Old> old;
};
// The table with its padding; the entries follow it. Positions must be relative to the end of the table when
// handed in, and are shifted here.
std::string EncodeMoveTable(std::vector<MovedRun> runs);
absl::StatusOr<std::vector<MovedRun>> DecodeMoveTable(std::string_view body);

// kRewrite: what compaction made of runs, each with what it says of bytes that are gone, and how far logs are
// compacted now; then the entries as they are now.
struct Compacted {
  LogId log;
  std::string state;  // CompactionState::Encode
};
struct Rewrite {
  std::vector<MovedRun> runs;
  std::vector<Compacted> compacted;
};
// As EncodeMoveTable, in front of the entries.
std::string EncodeRewriteTable(Rewrite rewrite);
absl::StatusOr<Rewrite> DecodeRewriteTable(std::string_view body);

// kRemoveSegments.
std::string EncodeSegmentIds(const std::vector<SegmentId>& segments);
absl::StatusOr<std::vector<SegmentId>> DecodeSegmentIds(std::string_view body);

// kSnapshot: items, of which a piece holds as many as it likes.
struct SnapshotLog {
  LogId log;
  Offset reclaimed_to;
  int64_t bytes_start = 0;
  int64_t bytes_end = 0;
  std::string head;  // LogState::EncodeHead
};
struct SnapshotProducer {
  LogId log;
  std::string entry;  // LogState::EncodeProducer
};
struct SnapshotCompaction {  // of logs that were compacted
  LogId log;
  int64_t bytes_gone = 0;
  std::string state;  // CompactionState::Encode
};
struct DeadLogs {  // ids from first to last, which never come back
  LogId first;
  LogId last;
};
struct SnapshotPiece {
  std::vector<DeadLogs> dead;
  std::vector<SnapshotLog> logs;
  std::vector<SnapshotProducer> producers;
  std::vector<SnapshotCompaction> compactions;
};
std::string EncodeSnapshotPiece(const SnapshotPiece& piece);
absl::StatusOr<SnapshotPiece> DecodeSnapshotPiece(std::string_view body);

}  // namespace naru
