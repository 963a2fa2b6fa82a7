#include "storage/store/snapshot.h"

#include <utility>
#include <vector>

#include "storage/log/producer_table.h"
#include "storage/segments/control_bodies.h"
#include "storage/segments/entry.h"

namespace naru {
namespace {

constexpr size_t kPieceBytes = size_t{128} << 10;
// Of an item beside its bytes, at most.
constexpr size_t kItemBytes = 64;
// Of a piece beside its items, at most.
constexpr size_t kPieceOverhead = 256;
// Of a producer's entry, at most.
constexpr size_t kProducerBytes = 32 + 32 * ProducerTable::kBatchesRemembered;

// Fills pieces up and hands them on.
class Pieces {
 public:
  explicit Pieces(absl::FunctionRef<bool(std::string, uint8_t)> take) : take_(take) {}

  SnapshotPiece& Room(size_t item_bytes) {
    if (bytes_ > 0 && bytes_ + item_bytes > kPieceBytes) Close(0);
    bytes_ += item_bytes;
    return piece_;
  }
  void Finish() { Close(kLastPiece); }
  bool wanted() const { return wanted_; }

 private:
  void Close(uint8_t flags) {
    wanted_ = wanted_ && take_(EncodeSnapshotPiece(piece_), static_cast<uint8_t>(first_ | flags));
    first_ = 0;
    piece_ = {};
    bytes_ = 0;
  }

  const absl::FunctionRef<bool(std::string, uint8_t)> take_;
  SnapshotPiece piece_;
  size_t bytes_ = 0;
  uint8_t first_ = kFirstPiece;
  bool wanted_ = true;
};

}  // namespace

void EncodeSnapshot(const LogTable& logs, absl::FunctionRef<bool(std::string body, uint8_t flags)> take) {
  Pieces pieces(take);
  for (const DeadLogs& dead : logs.Dead()) pieces.Room(kItemBytes).dead.push_back(dead);
  for (const auto& log : logs.All()) {
    if (!pieces.wanted()) return;
    SnapshotLog row;
    std::vector<std::string> producers;
    SnapshotCompaction compaction{log->id};
    {
      absl::ReaderMutexLock lock(&log->mutex);
      row = {log->id, log->reclaimed_to, log->bytes_start, log->bytes_end, log->state.EncodeHead()};
      if (log->compaction.ever() || log->bytes_gone != 0) {
        compaction.bytes_gone = log->bytes_gone;
        compaction.state = log->compaction.Encode();
      }
      for (const auto& [id, entry] : log->state.producers().entries()) {
        producers.push_back(log->state.EncodeProducer(id));
      }
    }
    const size_t row_bytes = kItemBytes + row.head.size();
    pieces.Room(row_bytes).logs.push_back(std::move(row));
    if (const size_t state_bytes = compaction.state.size(); state_bytes > 0) {
      pieces.Room(kItemBytes + state_bytes).compactions.push_back(std::move(compaction));
    }
    for (std::string& producer : producers) {
      const size_t bytes = kItemBytes + producer.size();
      pieces.Room(bytes).producers.push_back({log->id, std::move(producer)});
    }
  }
  if (pieces.wanted()) pieces.Finish();
}

uint64_t SnapshotBytesMax(const LogTable& logs) {
  uint64_t items = kItemBytes * logs.Dead().size();
  for (const auto& log : logs.All()) {
    absl::ReaderMutexLock lock(&log->mutex);
    items += kItemBytes + log->state.EncodeHead().size() + kItemBytes + log->compaction.Encode().size() +
             log->state.producers().entries().size() * (kItemBytes + kProducerBytes);
  }
  // A piece is closed when the next item does not fit, which may be large.
  return items + (2 * items / kPieceBytes + 1) * kPieceOverhead;
}

}  // namespace naru
