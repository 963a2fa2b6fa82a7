#include "storage/store/snapshot.h"

#include <utility>

#include "storage/segments/control_bodies.h"

namespace naru {
namespace {

constexpr size_t kPieceBytes = size_t{128} << 10;
// Of an item beside its bytes, at most.
constexpr size_t kItemBytes = 64;

// Fills pieces up and encodes them.
class Pieces {
 public:
  SnapshotPiece& Room(size_t item_bytes) {
    if (bytes_ > 0 && bytes_ + item_bytes > kPieceBytes) Close();
    bytes_ += item_bytes;
    return piece_;
  }
  std::vector<std::string> Finish() {
    Close();
    return std::move(bodies_);
  }

 private:
  void Close() {
    bodies_.push_back(EncodeSnapshotPiece(piece_));
    piece_ = {};
    bytes_ = 0;
  }
  SnapshotPiece piece_;
  size_t bytes_ = 0;
  std::vector<std::string> bodies_;
};

}  // namespace

std::vector<std::string> EncodeSnapshot(const LogTable& logs) {
  Pieces pieces;
  for (const DeadLogs& dead : logs.Dead()) pieces.Room(kItemBytes).dead.push_back(dead);
  for (const auto& log : logs.All()) {
    absl::ReaderMutexLock lock(&log->mutex);
    std::string head = log->state.EncodeHead();
    const size_t head_bytes = kItemBytes + head.size();
    pieces.Room(head_bytes)
        .logs.push_back({log->id, log->reclaimed_to, log->bytes_start, log->bytes_end, std::move(head)});
    for (const auto& [id, entry] : log->state.producers().entries()) {
      std::string encoded = log->state.EncodeProducer(id);
      const size_t bytes = kItemBytes + encoded.size();
      pieces.Room(bytes).producers.push_back({log->id, std::move(encoded)});
    }
  }
  return pieces.Finish();
}

}  // namespace naru
