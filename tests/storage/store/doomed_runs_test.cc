// Runs of deleted logs, which have not all left the index: moving one would bring it back for good.
#include <gtest/gtest.h>

#include <filesystem>

#include "storage/segments/control_bodies.h"
#include "storage/store/fold.h"
#include "storage/store/rebuild.h"
#include "storage/store/snapshot.h"

namespace naru::testing {
namespace {

constexpr LogId kDeleted(1), kKept(2);
constexpr SegmentId kOld(3), kNew(4);

class DoomedRuns : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "naru-doomed-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    root_ = name;
    Index::Options options;
    options.directory = root_ + "/index";
    auto opened = Index::Open(options);
    ASSERT_TRUE(opened.ok()) << opened.status();
    index_ = *std::move(opened);
    fold_ = std::make_unique<Fold>(logs_, table_, *index_, kDefaultProducerExpiryMs);
    for (const SegmentId id : {kOld, kNew}) table_.AddEntry(id, Sequence(1), 100);
  }
  void TearDown() override {
    index_.reset();
    std::filesystem::remove_all(root_);
  }

  static naru::Run RunIn(SegmentId segment) {
    naru::Run run;
    run.base = Offset(0);
    run.next = Offset(5);
    run.segment = segment;
    run.position = kSegmentHeaderBytes;
    run.length = 100;
    run.batch_count = 1;
    return run;
  }
  static MovedRun Move(LogId log, uint64_t position = 0) {
    MovedRun move{log, RunIn(kNew), {{Offset(0), kOld, kSegmentHeaderBytes}}};
    move.run.position = position;
    return move;
  }
  // Of both logs' runs; nobody looks at their bytes.
  static std::string MoveOfBoth() {
    return EncodeMoveTable({Move(kDeleted), Move(kKept, 100)}) + std::string(200, 'x');
  }
  static EntryHeader HeaderOf(EntryType type, uint64_t sequence, const std::string& body, uint8_t flags = 0) {
    EntryHeader header;
    header.type = type;
    header.flags = flags;
    header.sequence = Sequence(sequence);
    header.body_length = static_cast<uint32_t>(body.size());
    return header;
  }
  void Replay(EntryType type, const std::string& body) {
    IndexUpdate update;
    const auto replayed = fold_->Replay(HeaderOf(type, ++sequence_, body), body, {kNew, 4'096}, update);
    ASSERT_TRUE(replayed.ok()) << replayed;
    fold_->Finish({Sequence(sequence_), kNew, 8'192}, update);
    ASSERT_TRUE(index_->Commit(std::move(update)).ok());
  }
  void PutRuns() {
    IndexUpdate update;
    for (const LogId log : {kDeleted, kKept}) update.PutRun(log, RunIn(kOld));
    ASSERT_TRUE(index_->Commit(std::move(update)).ok());
  }
  std::optional<SegmentId> SegmentOf(LogId log) {
    const auto run = index_->FindRun(log, Offset(0));
    if (!run.ok() || !run->has_value()) return std::nullopt;
    return (*run)->segment;
  }

  std::string root_;
  LogTable logs_;
  SegmentTable table_;
  std::unique_ptr<Index> index_;
  std::unique_ptr<Fold> fold_;
  uint64_t sequence_ = 0;
};

TEST_F(DoomedRuns, AreNotMoved) {
  Replay(EntryType::kCreateLogs, EncodeLogIds({kDeleted, kKept}));
  PutRuns();
  Replay(EntryType::kDeleteLogs, EncodeLogIds({kDeleted}));
  EXPECT_TRUE(fold_->RunsToMove(Move(kDeleted))->empty());
  EXPECT_EQ(fold_->RunsToMove(Move(kKept))->size(), 1u);
  Replay(EntryType::kMove, MoveOfBoth());
  EXPECT_EQ(SegmentOf(kDeleted), kOld);
  EXPECT_EQ(SegmentOf(kKept), kNew);
}

TEST_F(DoomedRuns, ThatWereMovedBehindASnapshotDoNotComeBackInARebuild) {
  logs_.Make(kKept);
  std::string piece;
  uint8_t flags = 0;
  EncodeSnapshot(logs_, [&](std::string body, uint8_t of_entry) {
    piece = std::move(body);
    flags = of_entry;
    return true;
  });
  SegmentSet segments(PosixFileSystem(), root_);
  const RunReader reader(segments, 0);
  Rebuild rebuild(logs_, table_, *index_, reader);
  rebuild.BeginGap();
  ASSERT_TRUE(rebuild.Apply(HeaderOf(EntryType::kSnapshot, 10, piece, flags), piece, {kNew, 4'096}).ok());
  ASSERT_TRUE(rebuild.complete());
  const std::string body = MoveOfBoth();
  ASSERT_TRUE(rebuild.ApplyMove(HeaderOf(EntryType::kMove, 11, body), body, {kNew, 8'192}).ok());
  EXPECT_EQ(SegmentOf(kDeleted), std::nullopt);
  EXPECT_EQ(SegmentOf(kKept), kNew);
  EXPECT_EQ(table_.LiveBytes(), 100) << "of the one that is kept";
}

}  // namespace
}  // namespace naru::testing
