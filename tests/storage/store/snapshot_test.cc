// A snapshot of many logs goes out piece by piece, within the size that was foretold.
#include "storage/store/snapshot.h"

#include <gtest/gtest.h>

#include "storage/segments/entry.h"
#include "storage/store/entry_writer.h"

namespace naru::testing {
namespace {

constexpr uint64_t kSnapshotLogs = 600;
constexpr int64_t kProducers = 20;

void MakeLogs(LogTable& logs) {
  for (uint64_t id = 1; id <= kSnapshotLogs; ++id) {
    const auto log = logs.Make(LogId(id));
    absl::MutexLock lock(&log->mutex);
    for (int64_t i = 0; i < 10 * kProducers; ++i) {
      const ProducerStamp stamp{i % kProducers, 0, i / kProducers};
      log->state.Append({Offset(i), Offset(i + 1), LeaderEpoch(0), 1'000, 1'000, stamp});
    }
  }
  for (uint64_t id = 10'000; id < 10'500; id += 2) logs.MarkDead(LogId(id));
}

TEST(Snapshot, PiecesAreSmallAndHoldEverythingOnce) {
  LogTable logs;
  MakeLogs(logs);
  size_t pieces = 0, seen_logs = 0, seen_producers = 0, seen_dead = 0;
  uint64_t bytes = 0;
  bool ended = false;
  EncodeSnapshot(logs, [&](const std::string& body, uint8_t flags) {
    EXPECT_FALSE(ended);
    EXPECT_EQ((flags & kFirstPiece) != 0, pieces == 0);
    ended = (flags & kLastPiece) != 0;
    EXPECT_LT(body.size(), 300'000u);
    const auto piece = DecodeSnapshotPiece(body);
    EXPECT_TRUE(piece.ok());
    seen_logs += piece->logs.size();
    seen_producers += piece->producers.size();
    seen_dead += piece->dead.size();
    bytes += EntryBytesMax(body.size());
    ++pieces;
    return true;
  });
  EXPECT_TRUE(ended);
  EXPECT_GT(pieces, 5u);
  EXPECT_EQ(seen_logs, kSnapshotLogs);
  EXPECT_EQ(seen_producers, kSnapshotLogs * kProducers);
  EXPECT_EQ(seen_dead, 250u);
  EXPECT_LE(bytes, SnapshotBytesMax(logs));
  EXPECT_GE(2 * bytes, SnapshotBytesMax(logs)) << "foretold without much to spare";
}

TEST(Snapshot, StopsWhenItIsNotTakenAnyMore) {
  LogTable logs;
  MakeLogs(logs);
  size_t pieces = 0;
  EncodeSnapshot(logs, [&](const std::string&, uint8_t) { return ++pieces < 3; });
  EXPECT_EQ(pieces, 3u);
}

TEST(Snapshot, OfAnEmptyStoreIsOnePiece) {
  LogTable logs;
  std::vector<uint8_t> flags;
  EncodeSnapshot(logs, [&](const std::string&, uint8_t of_piece) {
    flags.push_back(of_piece);
    return true;
  });
  EXPECT_EQ(flags, std::vector<uint8_t>{kFirstPiece | kLastPiece});
}

}  // namespace
}  // namespace naru::testing
