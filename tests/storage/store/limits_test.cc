// What is bounded: the queue, the cache, the disk; and what happens at the bound.
#include <gmock/gmock.h>

#include <thread>

#include "storage/base/units.h"
#include "tests/storage/log/contract/gated_files.h"
#include "tests/storage/store/hooked_files.h"
#include "tests/storage/store/store_fixture.h"

namespace naru::testing {
namespace {

// The operating system's, with as much room as a test says, and syncs that fail when it says so.
class PoorFiles final : public FileSystem {
 public:
  void SetAvailable(uint64_t bytes) { available_ = bytes; }
  void FailSyncs() { failing_ = true; }

  absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path) override {
    NARU_ASSIGN_OR_RETURN(auto file, files_.Open(path));
    return std::make_unique<PoorFile>(std::move(file), failing_);
  }
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
  absl::Status SyncDirectory(const std::string& path) override { return files_.SyncDirectory(path); }
  absl::StatusOr<DiskSpace> Space(const std::string&) override { return DiskSpace{100'000'000, available_}; }
  absl::StatusOr<std::unique_ptr<DirectoryLock>> LockDirectory(const std::string& path) override {
    return files_.LockDirectory(path);
  }

 private:
  class PoorFile final : public File {
   public:
    PoorFile(std::unique_ptr<File> file, const std::atomic<bool>& failing)
        : file_(std::move(file)), failing_(failing) {}
    absl::Status Write(uint64_t position, std::span<const iovec> pieces) override {
      return file_->Write(position, pieces);
    }
    absl::StatusOr<size_t> Read(uint64_t position, char* to, size_t length) const override {
      return file_->Read(position, to, length);
    }
    absl::Status SyncData() override {
      return failing_ ? absl::InternalError("a disk that fails") : file_->SyncData();
    }
    absl::Status Sync() override { return file_->Sync(); }
    absl::Status Preallocate(uint64_t length) override { return file_->Preallocate(length); }
    absl::Status Truncate(uint64_t length) override { return file_->Truncate(length); }
    absl::StatusOr<uint64_t> Size() const override { return file_->Size(); }

   private:
    const std::unique_ptr<File> file_;
    const std::atomic<bool>& failing_;
  };

  FileSystem& files_ = PosixFileSystem();
  std::atomic<uint64_t> available_{100'000'000};
  std::atomic<bool> failing_{false};
};

class StoreLimits : public StoreTest {};

TEST_F(StoreLimits, ANearlyFullDiskRefusesProducesOnlyAndRecoversByItself) {
  PoorFiles files;
  files_ = &files;
  options_.disk_reserve_bytes = 100'000;
  Open();
  ASSERT_TRUE(Create({kA, kB}).ok());
  ASSERT_TRUE(Append(kA, "before").ok());
  files.SetAvailable(99'999);
  ASSERT_TRUE(store_->RunMaintenance().ok());
  EXPECT_TRUE(store_->Stats().storage_full);
  EXPECT_EQ(ReasonOf(Append(kA, "refused").status()), Reason::kStorageFull);
  EXPECT_TRUE(Read(kA, 0).ok());
  EXPECT_TRUE(MoveStart(kA, 1).ok());
  EXPECT_TRUE(Delete({kB}).ok());
  files.SetAvailable(124'999);
  ASSERT_TRUE(store_->RunMaintenance().ok());
  EXPECT_EQ(ReasonOf(Append(kA, "still refused").status()), Reason::kStorageFull);
  files.SetAvailable(125'000);
  ASSERT_TRUE(store_->RunMaintenance().ok());
  EXPECT_TRUE(Append(kA, "taken again").ok());
  EXPECT_EQ(store_->Stats().storage_full_refusals, 2);
  EXPECT_EQ(events_.Count("storage_full"), 1);
  EXPECT_EQ(events_.Count("storage_recovered"), 1);
  Close();
}

TEST_F(StoreLimits, AStartOnADiskWithoutRoomForTheIndexSaysSo) {
  PoorFiles files;
  files_ = &files;
  Open();
  ASSERT_TRUE(Create({kA}).ok());
  Close();
  files.SetAvailable(100'000);
  const absl::Status opened = TryOpen();
  EXPECT_EQ(ReasonOf(opened), Reason::kStorageFull) << opened;
  files.SetAvailable(2'000'000);
  Open();
  EXPECT_EQ(store_->Logs(), std::vector<LogId>{kA});
  Close();
}

TEST_F(StoreLimits, AFullQueueRefusesAndIsEmptyWhenAllIsDurable) {
  GatedFiles files(PosixFileSystem());
  files_ = &files;
  options_.queue_bytes_max = 4 << 20;
  Open();
  ASSERT_TRUE(Create({kA}).ok());
  files.gate().Hold(true);
  std::vector<std::unique_ptr<absl::Notification>> given;
  std::atomic<int> accepted = 0;
  std::atomic<int> refused = 0;
  for (int i = 0; i < 60; ++i) {
    given.push_back(std::make_unique<absl::Notification>());
    store_->Append(AppendOf(kA, MakeLargeBatch("x", 100'000)),
                   [&, done = given.back().get()](absl::StatusOr<Appended> appended) {
                     if (appended.ok()) ++accepted;
                     if (ReasonOf(appended.status()) == Reason::kTooManyInFlight) ++refused;
                     done->Notify();
                   });
  }
  EXPECT_GT(refused, 15);
  EXPECT_LE(store_->Stats().queue_used_bytes, options_.queue_bytes_max);
  files.gate().Hold(false);
  for (auto& one : given) one->WaitForNotification();
  EXPECT_EQ(accepted + refused, 60);
  EXPECT_GT(accepted, 35);
  EXPECT_EQ(Info(kA).end, Offset(accepted));
  EXPECT_EQ(store_->Stats().queue_used_bytes, 0);
  Close();
}

TEST_F(StoreLimits, TheTailCacheStaysWithinItsBoundAndServesTheNewest) {
  options_.tail_cache_bytes = 1 << 20;
  Open();
  ASSERT_TRUE(Create({kA, kB}).ok());
  for (int i = 0; i < 60; ++i) ASSERT_TRUE(Append(i % 2 ? kA : kB, absl::StrCat("v", i), 50'000).ok());
  EXPECT_LE(store_->Stats().tail_cache_used_bytes, options_.tail_cache_bytes);
  EXPECT_GT(store_->Stats().tail_cache_used_bytes, options_.tail_cache_bytes / 2);
  const int64_t misses = store_->Stats().tail_cache_misses;
  ASSERT_TRUE(Read(kA, 29).ok());
  EXPECT_EQ(store_->Stats().tail_cache_misses, misses);
  ASSERT_TRUE(Read(kA, 0).ok());
  EXPECT_EQ(store_->Stats().tail_cache_misses, misses + 1);
}

TEST_F(StoreLimits, WhatLiesFarBehindTheHeadLeavesThePageCacheInPieces) {
  HookedFiles files;
  files_ = &files;
  options_.segment_bytes = 3 * kMiB;
  options_.kept_page_cache_bytes = 2 * kMiB;
  Open();
  ASSERT_TRUE(Create({kA}).ok());
  std::atomic<int64_t> dropped = 0, largest = 0, early = 0, written = 0;
  files.SetHook([&](const FileCall& call) {
    if (call.kind == FileCall::Kind::kWrite) written += static_cast<int64_t>(call.bytes);
    if (call.kind != FileCall::Kind::kDropCache) return;
    dropped += static_cast<int64_t>(call.bytes);
    largest = std::max(largest.load(), static_cast<int64_t>(call.bytes));
    // The unused ends of segments are dropped, too.
    if (dropped >= written) ++early;
  });
  for (int i = 0; i < 120; ++i) ASSERT_TRUE(Append(kA, "v", 100'000).ok());
  // What is dropped behind the last ack is dropped when the store stops, at the latest.
  store_->Stop();
  EXPECT_GT(dropped, written - 4 * kMiB);
  EXPECT_LE(largest, kMiB + kMiB / 2);
  EXPECT_EQ(early, 0);
  files.SetHook([](const FileCall&) {});
  Close();
}

// Which thread wrote last, and which synced last.
class StoreThreads : public StoreTest {
 protected:
  void SetUp() override {
    files_ = &hooked_;
    Open();
    ASSERT_TRUE(Create({kA, kB}).ok());
    hooked_.SetHook([this](const FileCall& call) {
      absl::MutexLock lock(&mutex_);
      if (call.kind == FileCall::Kind::kWrite) writer_ = std::this_thread::get_id();
      if (call.kind == FileCall::Kind::kSync) syncer_ = std::this_thread::get_id();
    });
  }
  void TearDown() override {
    hooked_.Release();
    Close();
  }
  // Whether a batch of about `bytes` was synced by the thread that wrote it.
  bool SyncedWhereWritten(size_t bytes) {
    EXPECT_TRUE(Append(kA, "v", bytes).ok());
    absl::MutexLock lock(&mutex_);
    return writer_ == syncer_;
  }

  // The same of one of a hundred: the syncer may be about to end what it did before.
  bool SomeSyncedWhereWritten() {
    for (int i = 0; i < 100; ++i) {
      if (SyncedWhereWritten(100)) return true;
    }
    return false;
  }

  HookedFiles hooked_;
  absl::Mutex mutex_;
  std::thread::id writer_ ABSL_GUARDED_BY(mutex_), syncer_ ABSL_GUARDED_BY(mutex_);
};

TEST_F(StoreThreads, ALittleIsSyncedWhereItWasWrittenAndMuchIsNot) {
  EXPECT_TRUE(SomeSyncedWhereWritten());
  EXPECT_FALSE(SyncedWhereWritten(200'000));
}

TEST_F(StoreThreads, WhileLogsOfBackgroundDurabilityAreInUseNobodyWaitsBehindASync) {
  ASSERT_TRUE(store_->Configure(kB, {.durability = Durability::kBackground}).ok());
  EXPECT_TRUE(SomeSyncedWhereWritten());
  ASSERT_TRUE(Append(kB, "v").ok());
  EXPECT_FALSE(SyncedWhereWritten(100));
}

TEST_F(StoreLimits, ABatchLargerThanASegmentTakesIsRefused) {
  Open();
  ASSERT_TRUE(Create({kA}).ok());
  const auto largest = static_cast<size_t>(options_.BatchBytesMax());
  const auto append = [&](size_t bytes) {
    // As large as that, whatever the records take beside their values.
    const size_t value_bytes = 2 * bytes - static_cast<size_t>(MakeLargeBatch("", bytes).info.size_bytes);
    const TestBatch batch = MakeLargeBatch("", value_bytes);
    EXPECT_EQ(static_cast<size_t>(batch.info.size_bytes), bytes);
    return Await<absl::StatusOr<Appended>>(
        [&](LogStore::AppendDone done) { store_->Append(AppendOf(kA, batch), std::move(done)); });
  };
  EXPECT_EQ(ReasonOf(append(largest + 1).status()), Reason::kBatchTooLarge);
  EXPECT_TRUE(append(largest).ok());
  EXPECT_GE(options_.BatchBytesMax(), options_.segment_bytes * 31 / 32 - 4'096 - 256);
}

TEST_F(StoreLimits, AFailedSyncKillsTheStoreAndAcknowledgesNothing) {
  std::string died;
  PoorFiles files;
  files_ = &files;
  options_.on_fatal = [&](std::string_view what) { died = what; };
  Open();
  ASSERT_TRUE(Create({kA}).ok());
  files.FailSyncs();
  EXPECT_EQ(Append(kA, "lost").status().code(), absl::StatusCode::kInternal);
  EXPECT_NE(died, "");
  EXPECT_EQ(Append(kA, "later").status().code(), absl::StatusCode::kInternal);
  Close();
}

}  // namespace
}  // namespace naru::testing
