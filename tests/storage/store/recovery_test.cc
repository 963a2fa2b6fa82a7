// Starts: after a clean stop, a kill, with a torn tail, with holes, without an index.
#include <gmock/gmock.h>

#include <fstream>
#include <set>

#include "storage/segments/segment.h"
#include "tests/storage/store/store_fixture.h"

namespace naru::testing {
namespace {

using ::testing::HasSubstr;

class StoreRecovery : public StoreTest {
 protected:
  void SetUp() override {
    Open();
    ASSERT_TRUE(Create({kA, kB}).ok());
  }
};

TEST_F(StoreRecovery, AfterACleanStopNothingIsReplayed) {
  ASSERT_TRUE(Append(kA, "one").ok());
  const std::string before = Portrait();
  Reopen();
  EXPECT_EQ(Portrait(), before);
  EXPECT_EQ(store_->Stats().replayed_entries, 0);
}

TEST_F(StoreRecovery, AfterAKillEverythingAcknowledgedIsReplayed) {
  for (int i = 0; i < 50; ++i) ASSERT_TRUE(Append(i % 3 == 0 ? kB : kA, absl::StrCat("v", i), 30'000).ok());
  ASSERT_TRUE(Truncate(kB, 10).ok());
  ASSERT_TRUE(MoveStart(kA, 5).ok());
  ASSERT_TRUE(Append(kB, "after").ok());
  const std::string before = Portrait();
  KillAndOpen();
  EXPECT_EQ(Portrait(), before);
  EXPECT_GT(store_->Stats().replayed_entries, 50);
}

TEST_F(StoreRecovery, OnlyWhatCameAfterTheLastCheckpointIsReplayed) {
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(Append(kA, absl::StrCat("v", i)).ok());
  ASSERT_TRUE(store_->Checkpoint().ok());
  ASSERT_TRUE(Append(kA, "behind it").ok());
  const std::string before = Portrait();
  KillAndOpen();
  EXPECT_EQ(Portrait(), before);
  EXPECT_LE(store_->Stats().replayed_entries, 3);
  EXPECT_GE(store_->Stats().replayed_entries, 1);
}

TEST_F(StoreRecovery, RefusesASecondHolderAndNamesIt) {
  auto second = PartitionStore::Open(options_, *files_, clock_, events_);
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(StoreRecovery, ATornTailIsCutSetAsideAndWrittenOver) {
  ASSERT_TRUE(Append(kA, "kept").ok());
  ASSERT_TRUE(store_->Checkpoint().ok());
  const std::string before = Portrait();
  Close();
  // What an unsynced write may leave: the beginning of something.
  const std::string path = SegmentPath(0);
  const uint64_t mark = Find(path, "kept") + 400;
  {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(mark / 8 * 8));
    file << "half an entry that never was";
  }
  Open();
  EXPECT_EQ(Portrait(), before);
  EXPECT_GT(store_->Stats().torn_tail_bytes, 0);
  EXPECT_EQ(events_.Count("torn_tail_cut"), 1);
  EXPECT_FALSE(std::filesystem::is_empty(options_.directory + "/aside"));
  ASSERT_TRUE(Append(kA, "goes on").ok());
  const std::string after = Portrait();
  KillAndOpen();
  EXPECT_EQ(Portrait(), after);
  EXPECT_EQ(store_->Stats().torn_tail_bytes, 0);
}

TEST_F(StoreRecovery, ADamagedEntryWithLaterOnesBehindItIsAHoleAndNothingIsChanged) {
  ASSERT_TRUE(Append(kA, "the damaged one").ok());
  ASSERT_TRUE(Append(kA, "vouches for it").ok());
  ASSERT_TRUE(Append(kA, "and again").ok());
  const std::string path = SegmentPath(0);
  Flip(path, Find(path, "the damaged one"));
  absl::Status opened;
  KillAndTryOpen(opened);
  EXPECT_EQ(opened.code(), absl::StatusCode::kDataLoss) << opened;
  EXPECT_THAT(std::string(opened.message()), HasSubstr("narud salvage"));
  EXPECT_THAT(std::string(opened.message()), HasSubstr("0000000000000001.seg"));
  EXPECT_EQ(TryOpen().code(), absl::StatusCode::kDataLoss) << "not cut off by the first attempt";
}

TEST_F(StoreRecovery, TheLastEntryIsVouchedForByTheMarkOfACleanStop) {
  ASSERT_TRUE(Append(kA, "the last one").ok());
  Close();
  const std::string path = SegmentPath(0);
  Flip(path, Find(path, "the last one"));
  DeleteIndex();
  EXPECT_EQ(TryOpen().code(), absl::StatusCode::kDataLoss);
}

TEST_F(StoreRecovery, AMissingSegmentIsAHole) {
  for (int i = 0; i < 40; ++i) ASSERT_TRUE(Append(kA, "x", 100'000).ok());
  Close();
  ASSERT_GE(SegmentFiles().size(), 4u);
  std::filesystem::remove(SegmentPath(1));
  EXPECT_EQ(TryOpen().code(), absl::StatusCode::kDataLoss) << "with the index";
  DeleteIndex();
  EXPECT_EQ(TryOpen().code(), absl::StatusCode::kDataLoss) << "without it";
}

TEST_F(StoreRecovery, AllSegmentsMissingIsAHoleToo) {
  ASSERT_TRUE(Append(kA, "x").ok());
  Close();
  std::filesystem::remove(SegmentPath(0));
  EXPECT_EQ(TryOpen().code(), absl::StatusCode::kDataLoss);
}

TEST_F(StoreRecovery, AnotherFormatVersionIsRefused) {
  Close();
  const std::string path = SegmentPath(0);
  SegmentHeader header;
  header.version = kFormatVersion + 1;
  header.id = SegmentId(1);
  header.first_sequence = Sequence(1);
  {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file << EncodeSegmentHeader(header);
  }
  EXPECT_EQ(TryOpen().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(StoreRecovery, ADeletedIndexIsRebuilt) {
  for (int i = 0; i < 60; ++i) ASSERT_TRUE(Append(i % 2 ? kA : kB, absl::StrCat("v", i), 50'000).ok());
  ASSERT_TRUE(Truncate(kB, 20).ok());
  ASSERT_TRUE(Append(kB, "after").ok());
  ASSERT_TRUE(MoveStart(kA, 12).ok());
  ASSERT_TRUE(Delete({LogId(99)}).ok());
  const std::string before = Portrait();
  Close();
  DeleteIndex();
  Open();
  EXPECT_EQ(Portrait(), before);
}

TEST_F(StoreRecovery, WithoutAnIndexTheSameProducersAreForgotten) {
  options_.producer_expiry_ms = 10'000;
  Reopen();
  const auto append = [&](int64_t producer_id) {
    AppendRequest request = AppendOf(kA, MakeBatchOf(1));
    request.producer = ProducerStamp{producer_id, 0, 0};
    return Await<absl::StatusOr<Appended>>(
        [&](auto done) { store_->Append(std::move(request), std::move(done)); });
  };
  const auto producers = [&] {
    const absl::StatusOr<std::vector<ProducerState>> states = store_->Producers(kA);
    std::vector<int64_t> ids;
    for (const ProducerState& state : *states) ids.push_back(state.producer_id);
    return ids;
  };
  for (int64_t id = 1; id <= 5; ++id) {
    ASSERT_TRUE(append(id).ok());
    clock_.AdvanceMs(4'000);
  }
  const std::vector<int64_t> known = {3, 4, 5};
  EXPECT_EQ(producers(), known);
  KillAndOpen();
  EXPECT_EQ(producers(), known) << "replayed";
  Close();
  DeleteIndex();
  Open();
  EXPECT_EQ(producers(), known) << "rebuilt";
}

TEST_F(StoreRecovery, ADamagedIndexIsSetAsideAndRebuilt) {
  ASSERT_TRUE(Append(kA, "one").ok());
  const std::string before = Portrait();
  Close();
  for (const auto& entry : std::filesystem::directory_iterator(options_.directory + "/index")) {
    if (entry.path().extension() == ".sst") std::filesystem::resize_file(entry.path(), 10);
  }
  Open();
  EXPECT_EQ(Portrait(), before);
  EXPECT_EQ(events_.Count("index_damaged"), 1);
  EXPECT_FALSE(std::filesystem::is_empty(options_.directory + "/aside"));
}

TEST_F(StoreRecovery, ALongReplayIsNotLeftToTheNextStart) {
  Close();
  options_.checkpoint_bytes = int64_t{4} << 20;
  Open();
  for (int i = 0; i < 30; ++i) ASSERT_TRUE(Append(kA, absl::StrCat("v", i), 100'000).ok());
  const std::string before = Portrait();
  KillAndOpen();
  EXPECT_GT(store_->Stats().replayed_bytes, options_.checkpoint_bytes / 2);
  EXPECT_EQ(store_->Stats().bytes_since_checkpoint, 0);
  KillAndOpen();
  EXPECT_LT(store_->Stats().replayed_bytes, 1'000) << "a mark at most";
  EXPECT_EQ(Portrait(), before);
}

TEST_F(StoreRecovery, AShortReplayIsCountedUntilTheNextCheckpoint) {
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(Append(kA, absl::StrCat("v", i), 100'000).ok());
  KillAndOpen();
  EXPECT_GE(store_->Stats().bytes_since_checkpoint, 1'000'000);
  EXPECT_EQ(store_->Stats().checkpoints, 0);
}

// The operating system's, which remembers of which directories the names were made durable.
class RecordingFiles final : public FileSystem {
 public:
  const std::set<std::string>& synced() const { return synced_; }
  void Forget() { synced_.clear(); }
  // Of this one, as where others may not look.
  void Forbid(std::string directory) { forbidden_ = std::move(directory); }

  absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path) override { return files_.Open(path); }
  absl::StatusOr<std::unique_ptr<File>> OpenForRead(const std::string& path) override {
    return files_.OpenForRead(path);
  }
  absl::StatusOr<std::vector<std::string>> List(const std::string& path) override {
    return files_.List(path);
  }
  bool Exists(const std::string& path) override { return files_.Exists(path); }
  absl::Status MakeDirectory(const std::string& path) override { return files_.MakeDirectory(path); }
  absl::Status Remove(const std::string& path) override { return files_.Remove(path); }
  absl::Status RemoveTree(const std::string& path) override { return files_.RemoveTree(path); }
  absl::Status Rename(const std::string& from, const std::string& to) override {
    return files_.Rename(from, to);
  }
  absl::Status SyncDirectory(const std::string& path) override {
    if (path == forbidden_) return absl::PermissionDeniedError(path);
    synced_.insert(path);
    return files_.SyncDirectory(path);
  }
  absl::StatusOr<DiskSpace> Space(const std::string& path) override { return files_.Space(path); }
  absl::StatusOr<std::unique_ptr<DirectoryLock>> LockDirectory(const std::string& path) override {
    return files_.LockDirectory(path);
  }

 private:
  FileSystem& files_ = PosixFileSystem();
  std::set<std::string> synced_;
  std::string forbidden_;
};

TEST_F(StoreRecovery, AFirstStartMakesTheNamesOfTheDirectoriesItMakesDurable) {
  Close();
  RecordingFiles files;
  files_ = &files;
  options_.directory = root_ + "/made/with it/store/";
  Open();
  for (const std::string& holder : {root_, root_ + "/made", root_ + "/made/with it"}) {
    EXPECT_TRUE(files.synced().contains(holder)) << holder;
  }
  Close();
  files.Forget();
  Open();
  EXPECT_FALSE(files.synced().contains(root_)) << "once is enough";
  Close();
}

TEST_F(StoreRecovery, ADirectoryMadeByAnotherBelowOneThatIsClosedToUsWillDo) {
  Close();
  RecordingFiles files;
  files_ = &files;
  options_.directory = root_ + "/given";
  files.Forbid(root_);
  EXPECT_EQ(TryOpen().code(), absl::StatusCode::kPermissionDenied) << "made by us, and perhaps not for long";
  std::filesystem::create_directory(options_.directory);
  EXPECT_TRUE(TryOpen().ok());
  Close();
}

TEST_F(StoreRecovery, OptionsAreChecked) {
  Close();
  options_.segment_bytes = 1;
  const absl::Status opened = TryOpen();
  EXPECT_EQ(ReasonOf(opened), Reason::kInvalidField);
  EXPECT_EQ(MetadataValue(opened, "field"), "segment_bytes");
}

TEST_F(StoreRecovery, TenThousandLogsAreMadeAtOnceAndOpenSoon) {
  std::vector<LogId> logs;
  for (uint64_t id = 10; id < 10'010; ++id) logs.push_back(LogId(id));
  ASSERT_TRUE(Create(logs).ok());
  ASSERT_TRUE(Append(LogId(5'000), "in the middle").ok());
  const absl::Time begin = absl::Now();
  KillAndOpen();
  EXPECT_LT(absl::Now() - begin, absl::Seconds(10));
  EXPECT_EQ(store_->Logs().size(), 10'002u);
  EXPECT_EQ(Info(LogId(5'000)).end, Offset(1));
  Reopen();
  EXPECT_EQ(store_->Logs().size(), 10'002u);
}

}  // namespace
}  // namespace naru::testing
