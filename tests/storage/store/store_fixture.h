// A partition store in a directory of its own, small enough that everything happens soon.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "storage/base/status.h"
#include "storage/store/partition_store.h"
#include "tests/recorded_events.h"
#include "tests/storage/log/record_batches.h"

namespace naru::testing {

inline constexpr LogId kA(1), kB(2), kC(3);

class StoreTest : public ::testing::Test {
 protected:
  StoreTest();
  ~StoreTest() override;

  absl::Status TryOpen();
  void Open();
  void Close() { store_.reset(); }
  void Reopen();
  // What a kill -9 would leave now becomes the store's directory, and is opened.
  void KillAndTryOpen(absl::Status& opened);
  void KillAndOpen();
  void DeleteIndex() { std::filesystem::remove_all(options_.directory + "/index"); }

  template <typename Result, typename Start>
  static Result Await(Start start) {
    absl::Notification given;
    std::optional<Result> result;
    start([&](Result answer) {
      result.emplace(std::move(answer));
      given.Notify();
    });
    given.WaitForNotification();
    return *std::move(result);
  }

  absl::Status Create(std::vector<LogId> logs);
  absl::Status Delete(std::vector<LogId> logs);
  // One record whose batch is about `bytes` large.
  absl::StatusOr<Appended> Append(LogId log, std::string value, size_t bytes = 0);
  absl::Status MoveStart(LogId log, int64_t start);
  absl::Status Truncate(LogId log, int64_t end);
  absl::StatusOr<ReadResult> Read(LogId log, int64_t from, int64_t bytes_max = 1 << 20);
  // Everything that can be seen of every log: "1: [0,3) bytes 7 a b c; …". Reads all of it.
  std::string Portrait();
  LogInfo Info(LogId log) { return *store_->Info(log); }

  std::vector<std::string> SegmentFiles() const;
  std::string SegmentPath(size_t i) const { return options_.directory + "/segments/" + SegmentFiles()[i]; }
  // Changes one bit of the file.
  static void Flip(const std::string& path, uint64_t position);
  // Where `bytes` stands in the file; dies when it does not.
  static uint64_t Find(const std::string& path, const std::string& bytes);

  std::string root_;
  int directories_ = 0;
  StoreOptions options_;
  ManualClock clock_;
  RecordedEvents events_;
  FileSystem* files_ = &PosixFileSystem();
  std::unique_ptr<PartitionStore> store_;
};

}  // namespace naru::testing
