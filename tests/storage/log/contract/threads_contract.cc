// Many callers at once.
#include <atomic>
#include <map>
#include <set>
#include <thread>

#include "absl/strings/str_cat.h"
#include "tests/storage/log/contract/store_contract.h"

namespace naru::testing {
namespace {

constexpr int kWriters = 6;
constexpr int kLogs = 5;
constexpr int kAppendsEach = 300;

TEST_P(StoreContract, ManyWritersOnManyLogsGetContiguousOffsetsInTheirOrder) {
  std::vector<LogId> logs;
  for (int i = 0; i < kLogs; ++i) logs.push_back(LogId(static_cast<uint64_t>(100 + i)));
  ASSERT_THAT(Create(logs), IsOk());

  std::vector<std::vector<Awaited<absl::StatusOr<Appended>>>> appends(kWriters);
  std::vector<std::thread> writers;
  for (int w = 0; w < kWriters; ++w) {
    appends[static_cast<size_t>(w)].resize(kAppendsEach);
    writers.emplace_back([&, w] {
      for (int i = 0; i < kAppendsEach; ++i) {
        const std::vector<TestRecord> records(static_cast<size_t>(1 + (i % 3)), absl::StrCat(w, ":", i));
        store().Append(AppendOf(logs[static_cast<size_t>((w + i) % kLogs)], MakeBatch(records)),
                       appends[static_cast<size_t>(w)][static_cast<size_t>(i)].Done());
      }
    });
  }
  for (std::thread& writer : writers) writer.join();

  std::vector<std::set<std::pair<int64_t, int64_t>>> acked(kLogs);  // [base, next) by log
  for (int w = 0; w < kWriters; ++w) {
    for (int i = 0; i < kAppendsEach; ++i) {
      const auto appended = appends[static_cast<size_t>(w)][static_cast<size_t>(i)].Wait();
      ASSERT_THAT(appended, IsOk());
      acked[static_cast<size_t>((w + i) % kLogs)].insert(
          {appended->base_offset.value(), appended->next_offset.value()});
    }
  }
  for (int l = 0; l < kLogs; ++l) {
    int64_t next = 0;
    for (const auto& [from, to] : acked[static_cast<size_t>(l)]) {
      ASSERT_EQ(from, next);
      next = to;
    }
    EXPECT_EQ(Info(logs[static_cast<size_t>(l)]).end, Offset(next));

    std::map<std::string, int> newest;  // by writer
    for (const SeenRecord& seen : Records(logs[static_cast<size_t>(l)])) {
      const size_t colon = seen.value.find(':');
      int& last = newest.try_emplace(seen.value.substr(0, colon), -1).first->second;
      const int number = std::stoi(seen.value.substr(colon + 1));
      EXPECT_GE(number, last) << "of writer " << seen.value.substr(0, colon);
      last = number;
    }
  }
}

TEST_P(StoreContract, ReadersMeetNothingButContiguousBatchesWhileOthersWrite) {
  std::atomic<bool> stop = false;
  std::vector<std::thread> readers;
  for (int r = 0; r < 3; ++r) {
    readers.emplace_back([&] {
      Offset from(0);
      while (!stop || from < Info(kLog).readable_end) {
        const absl::StatusOr<ReadResult> read = Read(kLog, from.value());
        ASSERT_THAT(read, IsOk());
        for (const StoredBatchView& batch : read->batches) {
          ASSERT_EQ(batch.base_offset, from);
          from = batch.next_offset;
        }
        ASSERT_LE(from, read->readable_end);
      }
    });
  }
  for (int i = 0; i < 50; ++i) {
    std::vector<Awaited<absl::StatusOr<Appended>>> appends(20);
    for (auto& append : appends) store().Append(AppendOf(kLog, MakeBatchOf(2)), append.Done());
    for (auto& append : appends) ASSERT_THAT(append.Wait(), IsOk());
  }
  stop = true;
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(Info(kLog).end, Offset(2'000));
}

TEST_P(StoreContract, LogsComeAndGoWhileOthersAreWritten) {
  std::atomic<bool> stop = false;
  std::thread maker([&] {
    for (uint64_t id = 1'000; !stop; ++id) {
      ASSERT_THAT(Create({LogId(id)}), IsOk());
      ASSERT_THAT(Append(LogId(id), {"x"}), IsOk());
      ASSERT_THAT(Delete({LogId(id)}), IsOk());
    }
  });
  std::thread mover([&] {
    while (!stop) {
      const Offset end = Info(kOther).readable_end;
      ASSERT_THAT(MoveLogStart(kOther, end.value()), IsOk());
    }
  });
  for (int i = 0; i < 200; ++i) {
    AppendOk(kLog);
    AppendOk(kOther);
  }
  stop = true;
  maker.join();
  mover.join();
  EXPECT_EQ(Records(kLog).size(), 200u);
  EXPECT_EQ(Info(kOther).end, Offset(200));
  EXPECT_EQ(store().Logs().size(), 2u);
}

TEST_P(StoreContract, ATimeBeforeTheOldestRecordFindsTheStartHoweverItMoves) {
#ifdef __SANITIZE_THREAD__
  // It thinks long about what readers and writers of a library that it cannot see do at once.
  constexpr int kRounds = 20;
#else
  constexpr int kRounds = 400;
#endif
  constexpr int kAppends = 30;
  AppendOk(kLog, 1);
  std::atomic<bool> stop = false;
  std::vector<std::thread> readers;
  for (int r = 0; r < 4; ++r) {
    readers.emplace_back([&] {
      int64_t last = 0;
      while (!stop) {
        const std::string found = FindByTime(kLog, 1);
        const size_t at = found.find('@');
        ASSERT_NE(at, std::string::npos) << found;
        const int64_t offset = std::stoll(found.substr(0, at));
        ASSERT_GE(offset, last);
        last = offset;
      }
    });
  }
  for (int round = 0; round < kRounds; ++round) {
    // One after the other, so that each is a run of its own for a store that has such.
    for (int i = 0; i < kAppends; ++i) {
      clock().AdvanceMs(1);
      AppendOk(kLog, 1);
    }
    EXPECT_THAT(MoveLogStart(kLog, Info(kLog).end.value() - 2), IsOk());
    under_test().RunMaintenance();
  }
  stop = true;
  for (std::thread& reader : readers) reader.join();
}

}  // namespace
}  // namespace naru::testing
