// Compaction under power cuts: at every write and every sync of a script, and anywhere in random workloads,
// with the index kept, lost or older. Whatever comes back, every record is what was appended at its offset,
// the newest record of each key is there, and no key comes back to life that a tombstone took away. What is
// not committed yet is truncated now and then: it must not have made anything go.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <iterator>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "storage/base/status.h"
#include "tests/storage/faults/crash_rig.h"
#include "tests/storage/log/keyed_batches.h"

namespace naru::testing {
namespace {

constexpr LogId kLog(1);
constexpr int64_t kDeleteRetentionMs = 1'000;

// One compacted log on a CrashRig, and what was appended to it.
class CompactedLog {
 public:
  explicit CompactedLog(uint32_t seed) : rig_(Options()), random_(seed) {}

  StoreOptions Options() {
    StoreOptions options = CrashRig::SmallOptions();
    options.compaction_dirty_bytes_min = 0;
    options.compaction_memory_bytes = 1'024;  // fewer keys than the log has
    options.committed_end = [committed = committed_](LogId) { return Offset(*committed); };
    return options;
  }

  CrashRig& rig() { return rig_; }
  uint32_t Pick(uint32_t below) { return random_() % below; }

  absl::Status Open() {
    NARU_RETURN_IF_ERROR(rig_.Open());
    // Made again when the crash came before it was durable.
    absl::Status made =
        Await<absl::Status>([&](auto done) { rig_.store().CreateLogs({kLog}, std::move(done)); });
    NARU_RETURN_IF_ERROR(made);
    LogSettings settings;
    settings.compact = true;
    settings.min_cleanable_dirty_ratio = 0.2;
    settings.delete_retention_ms = kDeleteRetentionMs;
    return rig_.store().Configure(kLog, settings);
  }

  // Keys are few, so that most records are superseded sooner or later.
  void Append() {
    std::vector<KeyedRecord> records;
    for (uint32_t i = 0, count = 1 + Pick(4); i < count; ++i) {
      KeyedRecord record;
      record.key = absl::StrCat("key ", Pick(60));
      if (Pick(5) != 0) {
        record.value = absl::StrCat("value ", ++values_, " ");
        record.value->append(Pick(10) == 0 ? Pick(40'000) : Pick(300), 'x');
      }
      records.push_back(std::move(record));
    }
    const Codec codec = Pick(3) == 0 ? Codec::kLz4 : Codec::kNone;
    const auto appended = Await<absl::StatusOr<Appended>>([&](auto done) {
      rig_.store().Append(AppendOf(kLog, MakeKeyedBatch(records, codec)), std::move(done));
    });
    const int64_t base = appended.ok() ? appended->base_offset.value() : end_sent_;
    for (size_t i = 0; i < records.size(); ++i) sent_[base + static_cast<int64_t>(i)] = records[i];
    end_sent_ = base + static_cast<int64_t>(records.size());
    if (!appended.ok()) return;
    end_acked_ = end_sent_;
    bases_.insert(base);
  }
  // Takes batches away that are not committed.
  void Truncate() {
    const auto first = bases_.lower_bound(*committed_);
    const auto count = static_cast<uint32_t>(std::distance(first, bases_.end()));
    if (count == 0) return;
    const int64_t end = *std::next(first, Pick(count));
    const absl::Status truncated =
        Await<absl::Status>([&](auto done) { rig_.store().Truncate(kLog, Offset(end), std::move(done)); });
    end_acked_ = end;
    if (truncated.ok()) Forget(end);
  }
  void Compact() {
    if (Pick(4) != 0) *committed_ = end_acked_;
    rig_.clock().AdvanceMs(Pick(600));
    (void)rig_.store().RunMaintenance();
  }

  void Run(int steps) {
    for (int i = 0; i < steps && !rig_.dead(); ++i) {
      const uint32_t kind = Pick(20);
      if (kind == 19) {
        Truncate();
      } else if (kind < 2) {
        Compact();
      } else if (kind < 3) {
        (void)rig_.store().Checkpoint();
      } else {
        Append();
      }
    }
  }

  // "": everything is as it may be.
  std::string Check() {
    const auto info = rig_.store().Info(kLog);
    if (!info.ok()) return info.status().ToString();
    const int64_t end = info->end.value();
    if (end < end_acked_) return absl::StrCat("it ends at ", end, ", acknowledged is ", end_acked_);
    if (end > end_sent_) return absl::StrCat("it ends at ", end, ", sent was ", end_sent_);
    std::map<int64_t, KeyedRecord> there;
    std::string problem = ReadAll(end, there);
    if (problem.empty()) problem = CheckKeys(end, there);
    // What was not acknowledged and is not there was never appended.
    Forget(end);
    return problem;
  }

 private:
  // The log ends there.
  void Forget(int64_t end) {
    sent_.erase(sent_.lower_bound(end), sent_.end());
    bases_.erase(bases_.lower_bound(end), bases_.end());
    end_sent_ = end_acked_ = end;
  }
  template <typename Result, typename Start>
  static Result Await(Start start) {
    auto answer = std::make_shared<std::pair<absl::Notification, std::optional<Result>>>();
    start([answer](Result result) {
      answer->second.emplace(std::move(result));
      answer->first.Notify();
    });
    answer->first.WaitForNotification();
    return *answer->second;
  }

  std::string ReadAll(int64_t end, std::map<int64_t, KeyedRecord>& there) {
    for (Offset at(0); at < Offset(end);) {
      const ReadRequest request{.log = kLog, .from = at, .bytes_max = 100'000};
      const auto read =
          Await<absl::StatusOr<ReadResult>>([&](auto done) { rig_.store().Read(request, std::move(done)); });
      if (!read.ok()) return read.status().ToString();
      for (const SeenKeyed& seen : KeyedRecordsOf(read->batches, at)) {
        const auto sent = sent_.find(seen.offset);
        if (sent == sent_.end()) return absl::StrCat(ToText(seen), " was never sent");
        if (sent->second.key != seen.record.key || sent->second.value != seen.record.value) {
          return absl::StrCat(ToText(seen), " is not what was sent");
        }
        there[seen.offset] = seen.record;
      }
      if (read->next_offset <= at) return absl::StrCat("it does not go on at ", at.value());
      at = read->next_offset;
    }
    return "";
  }

  std::string CheckKeys(int64_t end, const std::map<int64_t, KeyedRecord>& there) {
    std::map<std::string, int64_t> newest;
    for (const auto& [offset, record] : sent_) {
      if (offset < end) newest[*record.key] = offset;
    }
    for (const auto& [key, offset] : newest) {
      if (there.contains(offset)) continue;
      if (sent_.at(offset).value)
        return absl::StrCat("the newest record of ", key, ", ", offset, ", is lost");
      for (const auto& [other, record] : there) {
        if (record.key == key)
          return absl::StrCat(key, " came back at ", other, "; its tombstone was ", offset);
      }
    }
    return "";
  }

  const std::shared_ptr<std::atomic<int64_t>> committed_ = std::make_shared<std::atomic<int64_t>>(0);
  CrashRig rig_;
  std::mt19937 random_;
  std::set<int64_t> bases_;  // of the batches that were acknowledged
  std::map<int64_t, KeyedRecord> sent_;
  int64_t end_sent_ = 0;
  int64_t end_acked_ = 0;
  int64_t values_ = 0;
};

constexpr Survival::Mode kModes[] = {Survival::Mode::kNothing, Survival::Mode::kEverything,
                                     Survival::Mode::kPrefix, Survival::Mode::kAnyPart};

int64_t FromEnvironment(const char* name, int64_t otherwise) {
  const char* text = std::getenv(name);
  int64_t value = 0;
  return text != nullptr && absl::SimpleAtoi(text, &value) ? value : otherwise;
}

void RunScript(CompactedLog& log) {
  if (!log.Open().ok()) return;
  for (int round = 0; round < 4 && !log.rig().dead(); ++round) {
    for (int i = 0; i < 12 && !log.rig().dead(); ++i) log.Append();
    if (!log.rig().dead()) log.Truncate();
    for (int i = 0; i < 3 && !log.rig().dead(); ++i) log.Append();
    for (int i = 0; i < 3 && !log.rig().dead(); ++i) log.Compact();
  }
}

TEST(CompactionCrash, APowerCutAtEveryOperationLosesNoKeyAndBringsNoneBack) {
  int64_t operations = 0;
  {
    CompactedLog log(1);
    RunScript(log);
    ASSERT_EQ(log.Check(), "") << "without any crash";
    const CompactionStats stats = log.rig().store().Stats().compaction;
    ASSERT_GT(stats.passes, 3);
    ASSERT_GT(stats.tombstones_left_out, 0) << "the script is to reach them";
    operations = log.rig().files().operations();
    log.rig().Close();
  }
  const bool all = std::getenv("NARU_CRASH_SEEDS") != nullptr;
  for (int64_t cut = 1; cut <= operations + 2; ++cut) {
    for (size_t way = 0; way < std::size(kModes); ++way) {
      if (!all && way != static_cast<size_t>(cut) % std::size(kModes)) continue;
      const Survival survival{kModes[way], static_cast<uint32_t>(cut)};
      const auto fate = static_cast<IndexFate>((cut / 4) % 3);
      SCOPED_TRACE(
          absl::StrCat("cut at ", cut, "; ", ToString(survival), "; index ", static_cast<int>(fate)));
      CompactedLog log(1);
      log.rig().files().CutPowerAt(cut);
      RunScript(log);
      log.rig().Crash(survival, fate);
      const absl::Status opened = log.Open();
      ASSERT_TRUE(opened.ok()) << opened << "\n" << log.rig().Describe();
      ASSERT_EQ(log.Check(), "") << log.rig().Describe();
      log.Compact();
      ASSERT_EQ(log.Check(), "") << "after another pass";
      log.rig().Close();
    }
  }
}

TEST(CompactionCrash, RandomWorkloadsSurviveCrashAfterCrash) {
  const int64_t first = FromEnvironment("NARU_CRASH_FIRST_SEED", 1);
  const int64_t seeds = FromEnvironment("NARU_CRASH_SEEDS", 12);
  for (int64_t seed = first; seed < first + seeds; ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    CompactedLog log(static_cast<uint32_t>(seed));
    ASSERT_TRUE(log.Open().ok());
    for (int round = 0; round < 5; ++round) {
      log.rig().files().CutPowerAt(log.rig().files().operations() + 1 + log.Pick(120));
      log.Run(30 + static_cast<int>(log.Pick(60)));
      const Survival survival{static_cast<Survival::Mode>(log.Pick(4)),
                              static_cast<uint32_t>(seed * 7 + round)};
      const auto fate = static_cast<IndexFate>(log.Pick(3));
      SCOPED_TRACE(
          absl::StrCat("round ", round, "; ", ToString(survival), "; index ", static_cast<int>(fate)));
      if (log.Pick(3) == 0) {
        log.rig().Kill(fate);
      } else {
        log.rig().Crash(survival, fate);
      }
      const absl::Status opened = log.Open();
      ASSERT_TRUE(opened.ok()) << opened << "\n" << log.rig().Describe();
      ASSERT_EQ(log.Check(), "") << log.rig().Describe();
    }
    log.rig().Close();
  }
}

}  // namespace
}  // namespace naru::testing
