// Readers beside writers: what is laid out and not written, and what goes while it is read.
#include <gmock/gmock.h>

#include "tests/storage/store/hooked_files.h"
#include "tests/storage/store/store_fixture.h"

namespace naru::testing {
namespace {

using Kind = FileCall::Kind;
using Found = absl::StatusOr<std::optional<TimedOffset>>;

class StoreReaders : public StoreTest {
 protected:
  void SetUp() override {
    files_ = &hooked_;
    options_.tail_cache_bytes = 0;
    options_.reader_threads = 1;
    options_.inline_sync_bytes_max = 0;  // tests hold syncs, and write meanwhile
    Open();
    ASSERT_TRUE(Create({kA, kB}).ok());
  }
  void TearDown() override {
    hooked_.Release();
    store_.reset();
  }

  Found FindByTime(LogId log, int64_t timestamp_ms) {
    return Await<Found>(
        [&](LogStore::TimeDone done) { store_->FindByTime(log, timestamp_ms, std::move(done)); });
  }
  absl::StatusOr<ReadResult> ReadUndurable(LogId log, int64_t from) {
    ReadRequest request;
    request.log = log;
    request.from = Offset(from);
    request.include_undurable = true;
    return Await<absl::StatusOr<ReadResult>>(
        [&](LogStore::ReadDone done) { store_->Read(request, std::move(done)); });
  }

  // A completion that arrives some time.
  template <typename Result>
  struct Later {
    absl::Notification given;
    std::optional<Result> result;
    absl::AnyInvocable<void(Result)> Done() {
      return [this](Result answer) {
        result.emplace(std::move(answer));
        given.Notify();
      };
    }
    const Result& Wait() {
      given.WaitForNotification();
      return *result;
    }
  };

  HookedFiles hooked_;
};

TEST_F(StoreReaders, MeetNothingThatIsLaidOutAndNotYetWritten) {
  clock_.SetMs(1'000);
  ASSERT_TRUE(Append(kA, "written").ok());
  clock_.SetMs(2'000);
  // Of this size it is no mark.
  const auto write =
      hooked_.Hold([](const FileCall& call) { return call.kind == Kind::kWrite && call.bytes > 10'000; });
  Later<absl::StatusOr<Appended>> append;
  store_->Append(AppendOf(kA, MakeLargeBatch("laid out", 50'000)), append.Done());
  ASSERT_TRUE(write->Wait());
  const Found none = FindByTime(kA, 2'000);
  EXPECT_TRUE(none.ok()) << none.status();
  EXPECT_FALSE(none.ok() && none->has_value());
  const auto read = ReadUndurable(kA, 1);
  EXPECT_TRUE(read.ok()) << read.status();
  EXPECT_TRUE(!read.ok() || read->batches.empty());
  EXPECT_EQ(ReasonOf(ReadUndurable(kA, 2).status()), Reason::kOffsetOutOfRange);
  EXPECT_EQ(Info(kA).end, Offset(1));
  write->Release();
  ASSERT_TRUE(append.Wait().ok());
  const Found found = FindByTime(kA, 2'000);
  ASSERT_TRUE(found.ok() && found->has_value()) << found.status();
  EXPECT_EQ((*found)->offset, Offset(1));
}

TEST_F(StoreReaders, OfReplicasGetWhatIsWrittenAndNothingElse) {
  ASSERT_TRUE(Append(kA, "durable").ok());
  const auto sync = hooked_.Hold([](const FileCall& call) { return call.kind == Kind::kSync; });
  Later<absl::StatusOr<Appended>> written;
  store_->Append(AppendOf(kA, MakeLargeBatch("written", 0)), written.Done());
  ASSERT_TRUE(sync->Wait());
  const auto write =
      hooked_.Hold([](const FileCall& call) { return call.kind == Kind::kWrite && call.bytes > 10'000; });
  Later<absl::StatusOr<Appended>> laid_out;
  store_->Append(AppendOf(kA, MakeLargeBatch("laid out", 50'000)), laid_out.Done());
  ASSERT_TRUE(write->Wait());
  const auto read = ReadUndurable(kA, 0);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(RecordsOf(read->batches), (std::vector<SeenRecord>{{0, "durable"}, {1, "written"}}));
  EXPECT_EQ(read->readable_end, Offset(1));
  write->Release();
  sync->Release();
  ASSERT_TRUE(written.Wait().ok());
  ASSERT_TRUE(laid_out.Wait().ok());
}

TEST_F(StoreReaders, ThatWaitedThroughATruncationGetNothingThatIsNotDurable) {
  ASSERT_TRUE(Append(kB, "other").ok());
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(Append(kA, absl::StrCat("old ", i)).ok());
  // The only reader is kept busy.
  const auto busy = hooked_.Hold([](const FileCall& call) { return call.kind == Kind::kRead; });
  Later<absl::StatusOr<ReadResult>> first;
  Later<absl::StatusOr<ReadResult>> second;
  ReadRequest request;
  request.log = kB;
  store_->Read(request, first.Done());
  ASSERT_TRUE(busy->Wait());
  request.log = kA;
  store_->Read(request, second.Done());
  ASSERT_TRUE(Truncate(kA, 2).ok());
  const auto sync = hooked_.Hold([](const FileCall& call) { return call.kind == Kind::kSync; });
  Later<absl::StatusOr<Appended>> append;
  store_->Append(AppendOf(kA, MakeLargeBatch("new", 0)), append.Done());
  ASSERT_TRUE(sync->Wait());
  busy->Release();
  const auto& read = second.Wait();
  EXPECT_TRUE(read.ok()) << read.status();
  if (read.ok()) {
    EXPECT_EQ(RecordsOf(read->batches), (std::vector<SeenRecord>{{0, "old 0"}, {1, "old 1"}}));
    EXPECT_EQ(read->readable_end, Offset(2));
  }
  sync->Release();
  EXPECT_TRUE(append.Wait().ok());
  EXPECT_TRUE(first.Wait().ok());
}

TEST_F(StoreReaders, WhoLookForATimeWhileTheStartMovesFindWhatIsLeft) {
  for (int i = 0; i < 6; ++i) {
    clock_.SetMs(1'000 * (i + 1));
    ASSERT_TRUE(Append(kA, absl::StrCat("record ", i)).ok());
  }
  const auto read = hooked_.Hold([](const FileCall& call) { return call.kind == Kind::kRead; });
  Later<Found> first;
  store_->FindByTime(kA, 2'000, first.Done());
  ASSERT_TRUE(read->Wait());
  ASSERT_TRUE(MoveStart(kA, 4).ok());
  ASSERT_TRUE(store_->RunMaintenance().ok());
  read->Release();
  const Found& found = first.Wait();
  ASSERT_TRUE(found.ok() && found->has_value()) << found.status();
  EXPECT_EQ((*found)->offset, Offset(4));
}

}  // namespace
}  // namespace naru::testing
