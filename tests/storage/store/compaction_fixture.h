// A store with one log that is compacted whenever a test says so.
#pragma once

#include <gmock/gmock.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "tests/storage/log/keyed_batches.h"
#include "tests/storage/store/store_fixture.h"

namespace naru::testing {

class CompactionTest : public StoreTest {
 protected:
  static constexpr LogId kLog = LogId(1);

  CompactionTest() {
    options_.compaction_dirty_bytes_min = 0;
    options_.tail_cache_bytes = 0;
    settings_.compact = true;
    settings_.min_cleanable_dirty_ratio = 0;
  }

  void OpenCompacted() {
    Open();
    ASSERT_TRUE(Create({kLog}).ok());
    Configure();
  }
  // So that a pass takes several rounds; the store begins none by itself before the test has got far.
  void OpenWithRoundsOf8MiB() {
    options_.maintenance_interval_ms = 8'000;
    options_.compaction_bytes_per_second = int64_t{1} << 20;
    OpenCompacted();
  }
  void Configure() { ASSERT_TRUE(store_->Configure(kLog, settings_).ok()); }
  void ReopenCompacted() {
    Reopen();
    Configure();
  }
  // A batch of "k=v" and "k", separated by blanks.
  void Put(const std::string& records, Codec codec = Codec::kNone) {
    const std::vector<std::string> parts = absl::StrSplit(records, ' ');
    PutBatch(MakeKeyedBatch(parts, codec));
  }
  void PutBatch(TestBatch batch, std::optional<ProducerStamp> producer = std::nullopt) {
    AppendRequest request = AppendOf(kLog, std::move(batch));
    request.producer = producer;
    const auto appended = Await<absl::StatusOr<Appended>>(
        [&](LogStore::AppendDone done) { store_->Append(std::move(request), std::move(done)); });
    ASSERT_TRUE(appended.ok()) << appended.status();
  }
  void Compact() {
    const absl::Status done = store_->RunMaintenance();
    ASSERT_TRUE(done.ok()) << done;
  }
  // Every record from `from` on, as "3:k=v …".
  std::string Records(int64_t from = 0, int64_t bytes_max = 1 << 20) {
    std::vector<std::string> texts;
    const Offset end = Info(kLog).end;
    for (Offset at(from); at < end;) {
      const auto read = Read(kLog, at.value(), bytes_max);
      if (!read.ok()) return read.status().ToString();
      for (const SeenKeyed& seen : KeyedRecordsOf(read->batches, at)) texts.push_back(ToText(seen));
      EXPECT_GT(read->next_offset, at) << "it goes on";
      if (read->next_offset <= at) break;
      at = read->next_offset;
    }
    return absl::StrJoin(texts, " ");
  }
  CompactionStats Stats() { return store_->Stats().compaction; }

  LogSettings settings_;
};

}  // namespace naru::testing
