#include "storage/store/snapshot.h"

#include <utility>

#include "storage/segments/control_bodies.h"

namespace naru {
namespace {

constexpr size_t kPieceBytes = size_t{128} << 10;
// Of an item beside its bytes, at most.
constexpr size_t kItemBytes = 64;

// Fills pieces up and hands them on.
class Pieces {
 public:
  explicit Pieces(absl::FunctionRef<bool(std::string, bool, bool)> take) : take_(take) {}

  SnapshotPiece& Room(size_t item_bytes) {
    if (bytes_ > 0 && bytes_ + item_bytes > kPieceBytes) Close(/*last=*/false);
    bytes_ += item_bytes;
    return piece_;
  }
  void Close(bool last) {
    wanted_ = wanted_ && take_(EncodeSnapshotPiece(piece_), first_, last);
    first_ = false;
    piece_ = {};
    bytes_ = 0;
  }
  bool wanted() const { return wanted_; }

 private:
  absl::FunctionRef<bool(std::string, bool, bool)> take_;
  SnapshotPiece piece_;
  size_t bytes_ = 0;
  bool first_ = true;
  bool wanted_ = true;
};

}  // namespace

void EncodeSnapshot(const LogTable& logs,
                    absl::FunctionRef<bool(std::string body, bool first, bool last)> take) {
  Pieces pieces(take);
  for (const DeadLogs& dead : logs.Dead()) pieces.Room(kItemBytes).dead.push_back(dead);
  for (const auto& log : logs.All()) {
    if (!pieces.wanted()) return;
    // Handing a piece on locks logs; none may be locked then. Only the appender changes them, so what is
    // copied here stays true.
    std::vector<std::string> producers;
    SnapshotLog row;
    {
      absl::ReaderMutexLock lock(&log->mutex);
      row = {log->id, log->reclaimed_to, log->bytes_start, log->bytes_end, log->state.EncodeHead()};
      for (const auto& [id, entry] : log->state.producers().entries()) {
        producers.push_back(log->state.EncodeProducer(id));
      }
    }
    const size_t row_bytes = kItemBytes + row.head.size();
    pieces.Room(row_bytes).logs.push_back(std::move(row));
    for (std::string& producer : producers) {
      const size_t bytes = kItemBytes + producer.size();
      pieces.Room(bytes).producers.push_back({log->id, std::move(producer)});
    }
  }
  if (pieces.wanted()) pieces.Close(/*last=*/true);
}

}  // namespace naru
