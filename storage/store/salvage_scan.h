// What can still be read of a damaged store's segments, and which of it belongs to which log. Reads only.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "storage/base/files.h"
#include "storage/segments/control_bodies.h"
#include "storage/segments/segment_scanner.h"
#include "storage/segments/segment_set.h"
#include "storage/store/partition_store.h"

namespace naru {

class SalvageScan {
 public:
  // Batches of one log side by side in a segment; entries [position, position + length).
  struct Piece {
    Offset next;
    SegmentId segment;
    uint64_t position = 0;
    uint64_t length = 0;
    int64_t batches = 0;
    int64_t records = 0;
  };
  struct SalvagedLog {
    std::map<Offset, Piece> pieces;  // by base offset
    Offset start;
    // The greatest end that some entry speaks of.
    Offset end;
  };

  // `directory` is a store's. `report` gets what is damaged.
  SalvageScan(FileSystem& files, std::string directory, SalvageReport& report)
      : files_(files),
        directory_(std::move(directory)),
        report_(report),
        segments_(files, directory_ + "/segments") {}

  // Fails only when the directory holds no segment that can be read at all.
  absl::Status Run();

  const std::map<LogId, SalvagedLog>& logs() const { return logs_; }
  const SegmentSet& segments() const { return segments_; }
  uint32_t salt() const { return salt_; }
  // Of the largest segment file, and of the largest batch.
  uint64_t segment_bytes() const { return segment_bytes_; }
  uint64_t batch_bytes_max() const { return batch_bytes_max_; }

 private:
  absl::Status OpenAll();
  absl::Status ScanSegment(const Segment& segment);
  // The next place from `position` on where an entry begins; the file's size when there is none.
  absl::StatusOr<uint64_t> FindEntry(const Segment& segment, uint64_t position) const;
  void Damage(const Segment& segment, uint64_t position, std::string_view what);
  absl::Status Take(const EntryHeader& header, std::string_view body, const Segment& segment,
                    uint64_t position);
  void TakeBatch(const EntryHeader& header, SegmentId segment, uint64_t position);
  void PutPiece(SalvagedLog& log, const EntryHeader& header, SegmentId segment, uint64_t position);
  // Takes [base, next) away from what is known of the log so far.
  void MakeRoom(SalvagedLog& log, Offset base, Offset next);
  absl::Status TakeMove(const EntryHeader& header, std::string_view body, SegmentId segment,
                        uint64_t position);
  absl::Status TakeTruncation(std::string_view body);
  absl::Status TakeSnapshot(std::string_view body);
  void Forget(LogId log);

  FileSystem& files_;
  const std::string directory_;
  SalvageReport& report_;
  SegmentSet segments_;
  uint32_t salt_ = 0;
  uint64_t segment_bytes_ = 0;
  uint64_t batch_bytes_max_ = 0;
  std::map<LogId, SalvagedLog> logs_;
  std::set<LogId> dead_;
};

}  // namespace naru
