// What is left of runs, taken apart again as a reader would.
#include "storage/store/run_pack.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <limits>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "storage/base/crc32c.h"
#include "storage/store/compaction_pass.h"
#include "tests/storage/log/keyed_batches.h"

namespace naru::testing {
namespace {

constexpr LogId kLog(7);
constexpr uint32_t kSalt = 0x5a17;
constexpr int64_t kAppendMs = 1'000'000;

// Runs of a log as they would stand in segments.
class Runs {
 public:
  struct Made {
    Run run;
    std::vector<RunEntry> entries;
  };

  // Each batch of `batches` is records "k=v", as in MakeKeyedBatch.
  Made Make(const std::vector<std::vector<KeyedRecord>>& batches, uint8_t flags = 0,
            Codec codec = Codec::kNone) {
    std::string bytes;
    Run run;
    for (const auto& records : batches) {
      const TestBatch batch = MakeKeyedBatch(records, codec);
      EntryHeader header;
      header.type = EntryType::kBatch;
      header.flags = flags;
      header.log = kLog;
      header.base_offset = end_;
      header.record_count = batch.info.record_count;
      header.append_time_ms = ++now_ms_;
      header.max_timestamp_ms = (flags & kAppendTimeStamped) != 0 ? now_ms_ : batch.info.max_timestamp_ms;
      header.leader_epoch = LeaderEpoch(3);
      header.sequence = Sequence(static_cast<uint64_t>(now_ms_));
      header.producer_id = (flags & kHasProducer) != 0 ? 70 : 0;
      header.body_length = static_cast<uint32_t>(batch.bytes.size());
      header.body_crc = Crc32c(batch.bytes);
      if (bytes.empty()) {
        header.flags |= kRunStart;
        header.bytes_before = bytes_;
        header.max_timestamp_before = max_timestamp_ms_;
      }
      const size_t begin = bytes.size();
      if (begin == 0) {
        run = RunOfEntry(header, SegmentId(1), position_);
      } else {
        ExtendRun(run, header);
      }
      AppendEntryHeader(header, kSalt, bytes);
      bytes.append(std::string(batch.bytes));
      bytes.resize(begin + header.entry_bytes(), '\0');
      end_ = header.next_offset();
      bytes_ += header.body_length;
      max_timestamp_ms_ = std::max(max_timestamp_ms_, header.max_timestamp_ms);
    }
    position_ += bytes.size();
    return Parse(run, std::move(bytes));
  }
  Made Parse(const Run& run, std::string bytes) {
    kept_.push_back(std::move(bytes));
    auto entries = ParseRun(kLog, run, kept_.back(), kSalt);
    EXPECT_TRUE(entries.ok()) << entries.status();
    return {run, entries.ok() ? *std::move(entries) : std::vector<RunEntry>()};
  }
  // The one run that the pack makes of those in it, from its bytes.
  Made Take(RunPack& pack, MovedRun* moved = nullptr) {
    std::string bytes(40, '\0');  // others' entries
    MovedRun taken = pack.Take(bytes);
    EXPECT_EQ(taken.log, kLog);
    EXPECT_EQ(taken.run.position, 40u);
    EXPECT_EQ(taken.run.position + taken.run.length, bytes.size());
    if (moved != nullptr) *moved = taken;
    return Parse(taken.run, bytes.substr(40));
  }

 private:
  std::deque<std::string> kept_;
  Offset end_;
  int64_t bytes_ = 0;
  int64_t now_ms_ = kAppendMs;
  int64_t max_timestamp_ms_ = 0;
  uint64_t position_ = 4096;
};

// Everything stays, and no producer is known.
const ThinQuestions kTakesAll{.keep = +[](Offset, const RecordView&) { return true; },
                              .remembers = +[](const ProducerStamp&, Offset) { return false; }};

std::string TextOf(const std::vector<RunEntry>& entries) {
  std::vector<std::string> texts;
  for (const RunEntry& entry : entries) {
    const absl::Status read = ForEachRecordOf(entry, [&](Offset offset, const RecordView& record) {
      texts.push_back(absl::StrCat(offset.value(), ":", std::string(record.key.value_or("")), "=",
                                   std::string(record.value.value_or("nothing"))));
      return true;
    });
    EXPECT_TRUE(read.ok()) << read;
  }
  return absl::StrJoin(texts, " ");
}

bool IsIn(const std::vector<int64_t>& offsets, Offset offset) {
  return std::find(offsets.begin(), offsets.end(), offset.value()) != offsets.end();
}

// `remembered`: base offsets of the batches that the log knows as their producers' newest.
ThinnedRun Thin(const Runs::Made& made, const std::vector<int64_t>& goes,
                const std::vector<int64_t>& remembered = {}) {
  auto thinned = ThinRun(
      made.entries, {.keep = [&](Offset offset, const RecordView&) { return !IsIn(goes, offset); },
                     .remembers = [&](const ProducerStamp&, Offset base) { return IsIn(remembered, base); }});
  EXPECT_TRUE(thinned.ok()) << thinned.status();
  return thinned.ok() ? *std::move(thinned) : ThinnedRun();
}

TEST(ThinRun, WhatStaysWholeIsNotTouched) {
  Runs runs;
  const auto made = runs.Make({{{"a", "1"}, {"b", "1"}}, {{"c", "1"}}}, kHasProducer, Codec::kZstd);
  const ThinnedRun thinned = Thin(made, {});
  EXPECT_EQ(thinned.records_left_out, 0);
  EXPECT_EQ(thinned.entry_bytes, made.run.length);
  ASSERT_EQ(thinned.entries.size(), 2u);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(thinned.entries[i].body, made.entries[i].body);
    EXPECT_EQ(thinned.entries[i].header.flags, made.entries[i].header.flags);
  }
}

TEST(ThinRun, ABatchKeepsWhatItIsAndSaysWhatIsLeft) {
  Runs runs;
  const auto made =
      runs.Make({{{"a", "1", 500}, {"b", "1", 300}, {"c", "1", 900}, {"d", "1", 400}}}, kHasProducer);
  const ThinnedRun thinned = Thin(made, {0, 2});
  EXPECT_EQ(thinned.records_left_out, 2);
  ASSERT_EQ(thinned.entries.size(), 1u);
  const EntryHeader& header = thinned.entries[0].header;
  EXPECT_EQ(header.flags, kRunStart | kHasProducer | kThinned);
  EXPECT_EQ(header.base_offset, Offset(0));
  EXPECT_EQ(header.next_offset(), Offset(4));
  EXPECT_EQ(header.records(), 2u);
  EXPECT_EQ(header.producer_id, 70);
  EXPECT_EQ(header.max_timestamp_ms, 400) << "of what is left";
  EXPECT_EQ(header.bytes_appended(), made.run.bytes);
  EXPECT_LT(header.batch_bytes(), made.run.bytes);
}

TEST(ThinRun, WhereTheAppendTimeIsDeliveredItIsTheGreatestThatIsLeft) {
  Runs runs;
  const auto stamped = runs.Make({{{"a", "1", 500}, {"b", "1", 300}}}, kAppendTimeStamped);
  EXPECT_EQ(Thin(stamped, {0}).entries[0].header.max_timestamp_ms, kAppendMs + 1);
  const auto own = runs.Make({{{"a", "1", 500}, {"b", "1"}}});
  EXPECT_EQ(Thin(own, {2}).entries[0].header.max_timestamp_ms, kAppendMs + 2) << "sent without a time";
}

TEST(ThinRun, BatchesThatLoseEverythingBecomeOneEntryWithoutBody) {
  Runs runs;
  const auto made = runs.Make({{{"a", "1"}}, {{"b", "1"}, {"c", "1"}}, {{"d", "1"}}}, kHasProducer);
  const ThinnedRun thinned = Thin(made, {0, 1, 2});
  ASSERT_EQ(thinned.entries.size(), 2u);
  const EntryHeader& empty = thinned.entries[0].header;
  EXPECT_EQ(empty.next_offset(), Offset(3));
  EXPECT_EQ(empty.records(), 0u);
  EXPECT_EQ(empty.body_length, 0u);
  EXPECT_EQ(empty.bytes_appended(),
            int64_t{made.entries[0].header.body_length} + made.entries[1].body.size());
  EXPECT_EQ(empty.append_time_ms, made.entries[1].header.append_time_ms) << "times do not fall";
  EXPECT_EQ(thinned.entries[1].header.base_offset, Offset(3));
}

TEST(ThinRun, AnEmptyEntryKeepsTheStampOfABatchThatIsRemembered) {
  Runs runs;
  const auto made = runs.Make({{{"a", "1"}}, {{"b", "1"}, {"c", "1"}}, {{"d", "1"}}}, kHasProducer);
  const ThinnedRun thinned = Thin(made, {0, 1, 2, 3}, {1});
  ASSERT_EQ(thinned.entries.size(), 3u);
  EXPECT_EQ(thinned.entries[0].header.producer(), std::nullopt);
  ASSERT_TRUE(thinned.entries[1].header.producer().has_value());
  EXPECT_EQ(*thinned.entries[1].header.producer(), *made.entries[1].header.producer());
  EXPECT_EQ(thinned.entries[1].header.next_offset(), Offset(3));
  EXPECT_EQ(thinned.entries[1].header.body_length, 0u);
  EXPECT_EQ(thinned.entries[2].header.producer(), std::nullopt);

  std::vector<RunEntry> again;
  for (const PackedEntry& entry : thinned.entries) again.push_back({entry.header, entry.body});
  const auto forgotten = ThinRun(again, kTakesAll);
  ASSERT_TRUE(forgotten.ok());
  ASSERT_EQ(forgotten->entries.size(), 1u) << "once newer batches took its place, nothing is left of it";
  EXPECT_EQ(forgotten->entries[0].header.next_offset(), Offset(4));
}

TEST(ThinRun, EmptyEntriesStandForNoMoreOffsetsThanTheirFieldHolds) {
  EntryHeader header;
  header.type = EntryType::kBatch;
  header.flags = kThinned;
  header.log = kLog;
  header.record_count = std::numeric_limits<int32_t>::max() - 1;
  header.body_crc = header.batch_crc = Crc32c(std::string_view());
  EntryHeader next = header;
  next.base_offset = header.next_offset();
  next.record_count = 2;
  const auto thinned = ThinRun({{header, ""}, {next, ""}}, kTakesAll);
  ASSERT_TRUE(thinned.ok());
  EXPECT_EQ(thinned->entries.size(), 2u);
}

TEST(ThinRun, ABatchOfMoreRecordsThanItsEntrySaysIsDamage) {
  Runs runs;
  auto made = runs.Make({{{"a", "1"}, {"b", "1"}}});
  made.entries[0].header.record_count = 1;
  const auto thinned = ThinRun(made.entries, kTakesAll);
  EXPECT_TRUE(absl::IsDataLoss(thinned.status())) << thinned.status();
}

TEST(RunPack, RunsBecomeOneThatReadsAsWhatIsLeftOfThem) {
  Runs runs;
  RunPack pack(kLog, kSalt);
  const auto one = runs.Make({{{"a", "1", 900}, {"b", "1", 10}}, {{"c", "1", 20}}}, 0, Codec::kGzip);
  const auto two = runs.Make({{{"a", "2", 30}}});
  const auto three = runs.Make({{{"d", "1", 40}, {"e", std::nullopt, 50}}});
  pack.Add(one.run, Thin(one, {0}));
  EXPECT_TRUE(pack.Continues(two.run));
  EXPECT_FALSE(pack.Continues(three.run));
  pack.Add(two.run, Thin(two, {}));
  pack.Add(three.run, Thin(three, {4}));
  EXPECT_EQ(pack.records_left_out(), 2);
  EXPECT_EQ(pack.old_bytes(), int64_t{one.run.length} + two.run.length + three.run.length);
  MovedRun moved;
  const auto packed = runs.Take(pack, &moved);
  EXPECT_TRUE(pack.empty());
  EXPECT_EQ(TextOf(packed.entries), "1:b=1 2:c=1 3:a=2 5:e=nothing");
  ASSERT_EQ(moved.old.size(), 3u);
  EXPECT_EQ(moved.old[1].base, two.run.base);
  EXPECT_EQ(moved.old[1].position, two.run.position);
  const naru::Run& run = packed.run;
  EXPECT_EQ(run.base, Offset(0));
  EXPECT_EQ(run.next, Offset(6));
  EXPECT_EQ(run.batch_count, 4u);
  EXPECT_EQ(run.bytes_before, 0);
  EXPECT_EQ(run.bytes, one.run.bytes + two.run.bytes + three.run.bytes) << "as appended";
  int64_t left = 0;
  for (size_t i = 0; i < packed.entries.size(); ++i) {
    const EntryHeader& header = packed.entries[i].header;
    EXPECT_EQ(header.Has(kRunStart), i == 0) << i;
    left += header.batch_bytes();
  }
  EXPECT_EQ(run.bytes - run.bytes_gone, left);
  EXPECT_EQ(run.max_timestamp_ms, 50) << "of what is left";
  EXPECT_EQ(run.max_timestamp_so_far_ms, 900) << "it must not fall from run to run";
  EXPECT_EQ(run.append_time_ms, three.run.append_time_ms);
}

TEST(RunPack, EmptyNeighboursOfTwoRunsBecomeOne) {
  Runs runs;
  RunPack pack(kLog, kSalt);
  for (int i = 0; i < 5; ++i) {
    const auto made = runs.Make({{{"a", "1"}}, {{"a", "2"}}});
    pack.Add(made.run, Thin(made, {2 * i, 2 * i + 1}));
  }
  const auto packed = runs.Take(pack);
  ASSERT_EQ(packed.entries.size(), 1u);
  EXPECT_EQ(packed.run.next, Offset(10));
  EXPECT_EQ(packed.run.bytes, packed.run.bytes_gone);
  EXPECT_TRUE(packed.entries[0].header.Has(kRunStart));
}

TEST(RunPack, WhatIsThinnedAgainKeepsItsPlacesAndWhatItOnceHeld) {
  Runs runs;
  const auto made =
      runs.Make({{{"a", "1"}, {"b", "1"}, {"c", "1"}, {"d", "1"}}, {{"e", "1"}}}, 0, Codec::kLz4);
  Runs::Made now = made;
  for (const auto& [goes, left] : std::vector<std::pair<int64_t, std::string>>{{1, "0:a=1 2:c=1 3:d=1 4:e=1"},
                                                                               {0, "2:c=1 3:d=1 4:e=1"},
                                                                               {3, "2:c=1 4:e=1"},
                                                                               {2, "4:e=1"},
                                                                               {4, ""}}) {
    RunPack pack(kLog, kSalt);
    ThinnedRun thinned = Thin(now, {goes});
    EXPECT_EQ(thinned.records_left_out, 1);
    pack.Add(now.run, std::move(thinned));
    now = runs.Take(pack);
    EXPECT_EQ(TextOf(now.entries), left);
    EXPECT_EQ(now.run.next, Offset(5));
    EXPECT_EQ(now.run.bytes, made.run.bytes);
  }
  EXPECT_EQ(now.run.bytes_gone, now.run.bytes);
  EXPECT_EQ(now.entries.size(), 1u);
}

RecordView RecordOf(std::optional<std::string_view> key, std::optional<std::string_view> value) {
  RecordView record;
  record.key = key;
  record.value = value;
  return record;
}

TEST(CompactionChoice, SupersededRecordsGoAndTheNewestStays) {
  KeyMap keys(1 << 16, 10, {1, 2});
  ASSERT_TRUE(keys.Put("a", Offset(5)));
  CompactionChoice choice(keys, /*end=*/Offset(8), /*tombstones_due_below=*/Offset(0));
  EXPECT_FALSE(choice.Keeps(Offset(3), RecordOf("a", "1")));
  EXPECT_FALSE(choice.Keeps(Offset(4), RecordOf("a", std::nullopt))) << "a tombstone that is superseded";
  EXPECT_TRUE(choice.Keeps(Offset(5), RecordOf("a", "2")));
  EXPECT_TRUE(choice.Keeps(Offset(2), RecordOf("b", "1"))) << "of a key of which nothing newer is known";
  EXPECT_TRUE(choice.Keeps(Offset(2), RecordOf(std::nullopt, "1"))) << "without key";
  EXPECT_EQ(choice.records_left_out(), 2);
  EXPECT_EQ(choice.tombstones_left(), 0);
}

TEST(CompactionChoice, NothingAtOrBehindTheEndIsJudged) {
  KeyMap keys(1 << 16, 10, {1, 2});
  CompactionChoice choice(keys, /*end=*/Offset(8), /*tombstones_due_below=*/Offset(8));
  EXPECT_TRUE(choice.Keeps(Offset(8), RecordOf("a", std::nullopt)));
  EXPECT_EQ(choice.tombstones_left(), 0) << "nor counted";
}

TEST(CompactionChoice, TombstonesGoWhenDueAndAreCountedUntilThen) {
  KeyMap keys(1 << 16, 10, {1, 2});
  ASSERT_TRUE(keys.Put("c", Offset(6)));
  CompactionChoice choice(keys, /*end=*/Offset(8), /*tombstones_due_below=*/Offset(5));
  EXPECT_FALSE(choice.Keeps(Offset(4), RecordOf("a", std::nullopt)));
  EXPECT_TRUE(choice.Keeps(Offset(5), RecordOf("b", std::nullopt)));
  EXPECT_TRUE(choice.Keeps(Offset(6), RecordOf("c", std::nullopt)));
  EXPECT_TRUE(choice.Keeps(Offset(3), RecordOf("d", ""))) << "an empty value is no tombstone";
  EXPECT_EQ(choice.tombstones_left_out(), 1);
  EXPECT_EQ(choice.tombstones_left(), 2);
}

}  // namespace
}  // namespace naru::testing
