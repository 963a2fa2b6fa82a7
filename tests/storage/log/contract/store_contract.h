// The frame of the contract suite: one LogStore, however made, and calls that wait for their completions. The
// tests, in the *_contract.cc files beside this one, hold every store to the sentences of
// storage/log/log_store.h. A program that links them instantiates StoreContract with its factories.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/synchronization/notification.h"
#include "storage/base/clock.h"
#include "storage/base/status.h"
#include "storage/log/log_store.h"
#include "tests/storage/log/record_batches.h"

namespace naru::testing {

// A store under test and what only its maker can do to it.
class StoreUnderTest {
 public:
  virtual ~StoreUnderTest() = default;
  virtual LogStore& store() = 0;
  virtual ManualClock& clock() = 0;
  // Stops the store and opens it again.
  virtual void Reopen() = 0;
  // One round of retention and of giving space back.
  virtual void RunMaintenance() = 0;
  // Until switched off nothing more becomes durable.
  virtual void HoldDurability(bool hold) = 0;
};
using StoreFactory = std::function<std::unique_ptr<StoreUnderTest>()>;

// A completion that a test waits for.
template <typename Result>
class Awaited {
 public:
  // Pass to the store; valid as long as this object.
  absl::AnyInvocable<void(Result)> Done() {
    return [state = state_](Result result) {
      ASSERT_FALSE(state->result.has_value()) << "completed twice";
      state->result = std::move(result);
      state->notification.Notify();
    };
  }
  bool done() const { return state_->notification.HasBeenNotified(); }
  Result Wait() {
    if (!state_->notification.WaitForNotificationWithTimeout(absl::Seconds(60))) {
      ADD_FAILURE() << "not completed within a minute";
      std::abort();  // what waits for it would hang or read what is not there
    }
    return *state_->result;
  }

 private:
  struct State {
    absl::Notification notification;
    std::optional<Result> result;
  };
  std::shared_ptr<State> state_ = std::make_shared<State>();
};

class StoreContract : public ::testing::TestWithParam<StoreFactory> {
 protected:
  static constexpr LogId kLog = LogId(1);
  static constexpr LogId kOther = LogId(2);
  static constexpr LogId kUnknown = LogId(999);

  // The store has kLog and kOther.
  void SetUp() override;
  void TearDown() override;

  StoreUnderTest& under_test() { return *under_test_; }
  LogStore& store() { return under_test_->store(); }
  ManualClock& clock() { return under_test_->clock(); }

  absl::Status Create(std::vector<LogId> logs);
  absl::Status Delete(std::vector<LogId> logs);
  absl::StatusOr<Appended> Append(AppendRequest request);
  absl::StatusOr<Appended> Append(LogId log, const std::vector<TestRecord>& records);
  // Appends `count` records, which must be OK, and returns their base offset.
  int64_t AppendOk(LogId log, int count = 1);
  absl::StatusOr<Appended> AppendStamped(LogId log, ProducerStamp stamp, int count = 1);
  absl::StatusOr<Appended> AppendAsReplica(ReplicaAppendRequest request);
  absl::StatusOr<ReadResult> Read(ReadRequest request);
  absl::StatusOr<ReadResult> Read(LogId log, int64_t from);
  // Everything readable in the log.
  std::vector<StoredBatchView> Batches(LogId log);
  std::vector<SeenRecord> Records(LogId log);
  // "offset@timestamp", "none" or the error.
  std::string FindByTime(LogId log, int64_t timestamp_ms);
  absl::Status MoveLogStart(LogId log, int64_t start);
  absl::Status Truncate(LogId log, int64_t end);
  absl::Status Reset(LogId log, int64_t start, std::vector<ProducerState> producers = {});
  absl::Status BeginEpoch(LogId log, int32_t epoch);
  LogInfo Info(LogId log);
  // "epoch ends at offset" as "3:17".
  std::string EpochEndOf(LogId log, int32_t epoch);
  // "id/epoch next:7 [0,3)@0 [3,7)@3", one per producer, joined by "; ".
  std::string Producers(LogId log);
  // Everything that can be asked of a log, as text, for comparing.
  std::string Portrait(LogId log);

 private:
  std::unique_ptr<StoreUnderTest> under_test_;
};

// The part for stores that write batches while earlier ones become durable: tests hold that up, and append.
class HeldSyncsContract : public StoreContract {};

inline const absl::Status& StatusOf(const absl::Status& status) { return status; }
template <typename T>
const absl::Status& StatusOf(const absl::StatusOr<T>& status) {
  return status.status();
}

// The reason of an error, as on the wire; "OK", or the code of one without reason.
std::string ReasonText(const absl::Status& status);

MATCHER_P(FailsWith, reason, "fails with " + std::string(ReasonName(reason))) {
  const absl::Status& status = StatusOf(arg);
  *result_listener << "which is " << status.ToString();
  return ReasonOf(status) == reason && status.code() == CanonicalCode(reason);
}
MATCHER(IsOk, "is OK") {
  const absl::Status& status = StatusOf(arg);
  *result_listener << "which is " << status.ToString();
  return status.ok();
}

}  // namespace naru::testing
