// Retention beside appends and truncations, and what it costs them.
#include <gmock/gmock.h>

#include <set>
#include <thread>

#include "absl/synchronization/blocking_counter.h"
#include "tests/storage/store/hooked_files.h"
#include "tests/storage/store/store_fixture.h"

namespace naru::testing {
namespace {

constexpr LogId kOther(4);
using Kind = FileCall::Kind;

class StoreRetention : public StoreTest {
 protected:
  void SetUp() override {
    files_ = &hooked_;
    options_.tail_cache_bytes = 0;
    Open();
    ASSERT_TRUE(Create({kA, kB, kC, kOther}).ok());
  }
  void TearDown() override {
    hooked_.Release();
    store_.reset();
  }

  // Appends batches of one record to all of `logs`, which become one run of each.
  void AppendRuns(const std::vector<LogId>& logs, int batches, size_t bytes) {
    const auto write =
        hooked_.Hold([](const FileCall& call) { return call.kind == Kind::kWrite && call.bytes > 10'000; });
    absl::BlockingCounter left(1 + batches * static_cast<int>(logs.size()));
    const auto append = [&](LogId log, std::string value, size_t size) {
      store_->Append(AppendOf(log, MakeLargeBatch(std::move(value), size)),
                     [&](const absl::StatusOr<Appended>& appended) {
                       EXPECT_TRUE(appended.ok()) << appended.status();
                       left.DecrementCount();
                     });
    };
    append(kOther, "gathers what comes behind it", 20'000);
    ASSERT_TRUE(write->Wait());
    for (const LogId log : logs) {
      for (int i = 0; i < batches; ++i) append(log, absl::StrCat("batch ", i, " of ", log.value()), bytes);
    }
    write->Release();
    left.Wait();
  }
  int64_t SizeOf(LogId log) { return Info(log).size_bytes; }

  HookedFiles hooked_;
};

TEST_F(StoreRetention, TakesNothingThatIsNotCommitted) {
  Close();
  int64_t committed = 0;
  options_.committed_end = [&committed](LogId) { return Offset(committed); };
  Open();
  ASSERT_TRUE(store_->Configure(kA, {.retention_bytes = 1}).ok());
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(Append(kA, absl::StrCat(i)).ok());
  for (const int64_t end : {0, 2, 3}) {
    committed = end;
    ASSERT_TRUE(store_->RunMaintenance().ok());
    EXPECT_EQ(Info(kA).log_start, Offset(end));
  }
}

TEST_F(StoreRetention, LooksAtOldDataWithoutTheAppender) {
  AppendRuns({kA, kB}, 8, 1'000);
  const int64_t batch_bytes = SizeOf(kA) / 8;
  absl::Mutex mutex;
  std::set<std::thread::id> readers;
  std::set<std::thread::id> writers;
  hooked_.SetHook([&](const FileCall& call) {
    absl::MutexLock lock(&mutex);
    if (call.kind == Kind::kRead) readers.insert(std::this_thread::get_id());
    if (call.kind == Kind::kWrite) writers.insert(std::this_thread::get_id());
  });
  ASSERT_TRUE(store_->Configure(kA, {.retention_bytes = 3 * batch_bytes + 1}).ok());
  ASSERT_TRUE(store_->Configure(kB, {.retention_bytes = 5 * batch_bytes + 1}).ok());
  ASSERT_TRUE(store_->RunMaintenance().ok());
  EXPECT_EQ(Info(kA).log_start, Offset(5)) << "in the middle of a run";
  EXPECT_EQ(Info(kB).log_start, Offset(3));
  EXPECT_EQ(SizeOf(kA), 3 * batch_bytes);
  EXPECT_EQ(SizeOf(kB), 5 * batch_bytes);
  EXPECT_EQ(store_->Stats().retention_moves, 2);
  absl::MutexLock lock(&mutex);
  EXPECT_EQ(writers.size(), 1u) << "the appender";
  EXPECT_EQ(readers, std::set<std::thread::id>{std::this_thread::get_id()}) << "who did the maintenance";
}

TEST_F(StoreRetention, OfALogThatIsAppendedToMeetsOnlyWhatTheIndexHas) {
  AppendRuns({kA, kC}, 4, 100);
  ASSERT_TRUE(Append(kB, "old").ok());
  const int64_t batch_bytes = SizeOf(kA) / 4;
  ASSERT_TRUE(store_->Configure(kA, {.retention_bytes = batch_bytes + 1}).ok());
  ASSERT_TRUE(store_->Configure(kB, {.retention_bytes = 0}).ok());
  ASSERT_TRUE(store_->Configure(kC, {.retention_bytes = batch_bytes + 1}).ok());
  const uint64_t end_of_a = Find(SegmentPath(0), "batch 3 of 1");
  const auto looks_at_a = hooked_.Hold(
      [&](const FileCall& call) { return call.kind == Kind::kRead && call.position < end_of_a; });
  const auto looks_at_c = hooked_.Hold(
      [&](const FileCall& call) { return call.kind == Kind::kRead && call.position > end_of_a; });
  std::thread maintenance([&] { EXPECT_TRUE(store_->RunMaintenance().ok()); });
  EXPECT_TRUE(looks_at_a->Wait());
  // Durable, and as long as its completion runs not in the index.
  absl::Notification durable;
  absl::Notification go_on;
  store_->Append(AppendOf(kB, MakeLargeBatch("new", 0)), [&](const absl::StatusOr<Appended>& appended) {
    EXPECT_TRUE(appended.ok()) << appended.status();
    durable.Notify();
    go_on.WaitForNotification();
  });
  durable.WaitForNotification();
  looks_at_a->Release();
  EXPECT_TRUE(looks_at_c->Wait());
  go_on.Notify();
  looks_at_c->Release();
  maintenance.join();
  EXPECT_EQ(events_.Count("retention_failed"), 0);
  EXPECT_EQ(Info(kA).log_start, Offset(3));
  EXPECT_EQ(Info(kB).log_start, Offset(1)) << "what was durable when it was looked at";
  EXPECT_EQ(Info(kC).log_start, Offset(3));
}

TEST_F(StoreRetention, MovesNoStartThatWasPlannedBeforeATruncation) {
  AppendRuns({kA, kC}, 4, 100);
  const int64_t batch_bytes = SizeOf(kA) / 4;
  ASSERT_TRUE(store_->Configure(kA, {.retention_bytes = batch_bytes + 1}).ok());
  ASSERT_TRUE(store_->Configure(kC, {.retention_bytes = batch_bytes + 1}).ok());
  const uint64_t end_of_a = Find(SegmentPath(0), "batch 3 of 1");
  const auto looks_at_c = hooked_.Hold(
      [&](const FileCall& call) { return call.kind == Kind::kRead && call.position > end_of_a; });
  std::thread maintenance([&] { EXPECT_TRUE(store_->RunMaintenance().ok()); });
  EXPECT_TRUE(looks_at_c->Wait());
  EXPECT_TRUE(Truncate(kA, 1).ok());
  EXPECT_TRUE(Append(kA, "another").ok());
  looks_at_c->Release();
  maintenance.join();
  EXPECT_EQ(Info(kA).log_start, Offset(0));
  EXPECT_EQ(Info(kA).end, Offset(2));
  EXPECT_EQ(Info(kC).log_start, Offset(3));
  EXPECT_EQ(store_->Stats().retention_moves, 1);
  ASSERT_TRUE(store_->RunMaintenance().ok());
  EXPECT_EQ(Info(kA).log_start, Offset(1)) << "planned anew";
}

TEST_F(StoreRetention, GivesUpAllThatIsDurableWhileMoreIsBeingAppended) {
  AppendRuns({kC}, 4, 100);
  ASSERT_TRUE(Append(kA, "old").ok());
  ASSERT_TRUE(Append(kA, "old as well").ok());
  ASSERT_TRUE(store_->Configure(kA, {.retention_bytes = 0}).ok());
  ASSERT_TRUE(store_->Configure(kC, {.retention_bytes = SizeOf(kC) / 4 + 1}).ok());
  const auto write =
      hooked_.Hold([](const FileCall& call) { return call.kind == Kind::kWrite && call.bytes > 10'000; });
  absl::Notification appended;
  store_->Append(AppendOf(kA, MakeLargeBatch("new", 20'000)),
                 [&](const absl::StatusOr<Appended>&) { appended.Notify(); });
  ASSERT_TRUE(write->Wait());
  const auto looks_at_c = hooked_.Hold([](const FileCall& call) { return call.kind == Kind::kRead; });
  std::thread maintenance([&] { EXPECT_TRUE(store_->RunMaintenance().ok()); });
  EXPECT_TRUE(looks_at_c->Wait());
  looks_at_c->Release();
  write->Release();
  maintenance.join();
  appended.WaitForNotification();
  EXPECT_EQ(events_.Count("retention_failed"), 0);
  EXPECT_EQ(Info(kA).log_start, Offset(2));
  EXPECT_EQ(Info(kC).log_start, Offset(3));
}

TEST_F(StoreRetention, BatchesThatExpireOneByOneAreGivenUpSeveralAtATime) {
  // A two hundredth of it is five seconds.
  ASSERT_TRUE(store_->Configure(kA, {.retention_ms = 1'000'000}).ok());
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(Append(kA, absl::StrCat("second ", i)).ok());
    clock_.AdvanceMs(1'000);
  }
  clock_.AdvanceMs(1'000'000 - 20'000 + 1);
  std::vector<int64_t> starts;
  for (int second = 0; second < 12; ++second) {
    ASSERT_TRUE(store_->RunMaintenance().ok());
    starts.push_back(Info(kA).log_start.value());
    clock_.AdvanceMs(1'000);
  }
  EXPECT_THAT(starts, ::testing::ElementsAre(1, 1, 1, 1, 1, 6, 6, 6, 6, 6, 11, 11));
}

}  // namespace
}  // namespace naru::testing
