// Damage to what was durable: a start says DATA_LOSS, changes nothing and names the place; Salvage saves the
// rest; a damaged batch is never served. And damage to the torn tail, which is cut off.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "storage/base/coding.h"
#include "storage/base/crc32c.h"
#include "storage/base/status.h"
#include "storage/segments/segment_scanner.h"
#include "tests/storage/faults/crash_rig.h"

namespace naru::testing {
namespace {

using ::testing::HasSubstr;

constexpr LogId kFirst(1);
constexpr LogId kSecond(2);

struct FoundEntry {
  std::string path;
  uint64_t position = 0;
  EntryHeader header;
};

class StoreHoleTest : public ::testing::Test {
 protected:
  // Two logs, batches of both in turn, each durable before the next; several segments.
  void SetUp() override {
    ASSERT_TRUE(rig_.Open().ok());
    rig_.Create(kFirst);
    rig_.Create(kSecond);
    for (int i = 0; i < 12; ++i) {
      rig_.Append(i % 2 == 0 ? kFirst : kSecond, MakeLargeBatch(absl::StrCat("batch ", i), 200'000));
      rig_.Wait();
    }
    ASSERT_EQ(rig_.Check(), "");
    rig_.Close();
    entries_ = Entries();
    ASSERT_GE(rig_.Segments().size(), 3u);
    contents_ = AllContents();
  }

  std::vector<FoundEntry> Entries() {
    std::vector<FoundEntry> entries;
    for (const std::string& path : rig_.Segments()) {
      auto file = rig_.files().OpenForRead(path);
      EXPECT_TRUE(file.ok());
      const uint64_t size = *(*file)->Size();
      const auto header =
          DecodeSegmentHeader(std::string_view(rig_.files().Contents(path)).substr(0, kSegmentHeaderBytes));
      if (!header.ok() || !header->has_value()) continue;
      salt_ = (*header)->salt;
      const Segment segment((*header)->id, path, *std::move(file), size);
      SegmentScanner scanner(segment, salt_, kSegmentHeaderBytes);
      while (*scanner.Next() == SegmentScanner::Found::kEntry) {
        entries.push_back({path, scanner.position(), scanner.header()});
      }
    }
    return entries;
  }

  std::map<std::string, std::string> AllContents() {
    std::map<std::string, std::string> all;
    for (const std::string& path : rig_.Segments()) all[path] = rig_.files().Contents(path);
    return all;
  }
  void RestoreContents() {
    for (const auto& [path, contents] : contents_) rig_.files().SetContents(path, contents);
  }

  // Entries behind which another says that they were durable.
  bool IsProvenDurable(const FoundEntry& entry) const {
    for (const FoundEntry& later : entries_) {
      if (later.header.sequence > entry.header.sequence &&
          later.header.durable_sequence >= entry.header.sequence) {
        return true;
      }
    }
    return false;
  }
  std::vector<FoundEntry> DurableBatches() const {
    std::vector<FoundEntry> batches;
    for (const FoundEntry& entry : entries_) {
      if (entry.header.type == EntryType::kBatch && IsProvenDurable(entry)) batches.push_back(entry);
    }
    return batches;
  }
  // In one of several ways.
  void Damage(const FoundEntry& entry, size_t way) {
    const size_t header_bytes = entry.header.header_bytes();
    switch (way % 5) {
      case 0:
        return rig_.files().FlipBit(entry.path, entry.position + 1, 3);
      case 1:
        return rig_.files().FlipBit(entry.path, entry.position + header_bytes + entry.header.body_length / 2,
                                    0);
      case 2:
        return rig_.files().ZeroOut(entry.path, entry.position, entry.header.entry_bytes());
      case 3:
        return rig_.files().ZeroOut(entry.path, entry.position, header_bytes);
      default:
        return rig_.files().ZeroOut(entry.path, entry.position + header_bytes, 512);
    }
  }
  void LoseIndex() { std::filesystem::remove_all(rig_.options().directory + "/index"); }

  // Salvages to a directory of its own; the store that came of it.
  struct Salvaged {
    SalvageReport report;
    std::unique_ptr<PartitionStore> store;
  };
  Salvaged SalvageAll() {
    Salvaged salvaged;
    const std::string to = absl::StrCat(rig_.options().directory, "/salvaged-", ++salvages_);
    std::filesystem::create_directories(to);
    auto report = Salvage(rig_.options().directory, to, rig_.files(), rig_.clock(), events_);
    EXPECT_TRUE(report.ok()) << report.status();
    if (!report.ok()) return salvaged;
    salvaged.report = *report;
    StoreOptions options = rig_.options();
    options.directory = to;
    auto store = PartitionStore::Open(options, rig_.files(), rig_.clock(), events_);
    EXPECT_TRUE(store.ok()) << store.status();
    if (store.ok()) salvaged.store = *std::move(store);
    return salvaged;
  }

  CrashRig rig_;
  NullEventLog events_;
  uint32_t salt_ = 0;
  int salvages_ = 0;
  std::vector<FoundEntry> entries_;
  std::map<std::string, std::string> contents_;
};

TEST_F(StoreHoleTest, AHoleIsRefusedAndNothingIsChanged) {
  const std::vector<FoundEntry> batches = DurableBatches();
  ASSERT_GE(batches.size(), 8u);
  for (size_t i = 0; i < batches.size(); ++i) {
    RestoreContents();
    LoseIndex();
    Damage(batches[i], i);
    const auto damaged = AllContents();
    const auto names = *rig_.files().List(rig_.options().directory);
    const absl::Status opened = rig_.Open();
    SCOPED_TRACE(absl::StrCat("damage ", i % 5, " at ", batches[i].path, " ", batches[i].position));
    ASSERT_EQ(opened.code(), absl::StatusCode::kDataLoss) << opened;
    EXPECT_EQ(ReasonOf(opened), Reason::kCorruptData);
    EXPECT_THAT(std::string(opened.message()), HasSubstr(batches[i].path));
    EXPECT_THAT(std::string(opened.message()), HasSubstr(absl::StrCat(batches[i].position)));
    EXPECT_THAT(std::string(opened.message()), HasSubstr("narud salvage"));
    EXPECT_TRUE(AllContents() == damaged) << "nothing was changed";
    EXPECT_EQ(*rig_.files().List(rig_.options().directory), names);
  }
  RestoreContents();
  LoseIndex();
  const absl::Status opened = rig_.Open();
  EXPECT_TRUE(opened.ok()) << "the damage undone, all is well: " << opened;
  EXPECT_EQ(rig_.Check(), "");
}

TEST_F(StoreHoleTest, AHoleInControlEntriesIsRefusedToo) {
  for (const FoundEntry& entry : entries_) {
    if (entry.header.type == EntryType::kBatch || !IsProvenDurable(entry)) continue;
    RestoreContents();
    LoseIndex();
    rig_.files().FlipBit(entry.path, entry.position + 20, 0);
    const absl::Status opened = rig_.Open();
    ASSERT_EQ(opened.code(), absl::StatusCode::kDataLoss)
        << "entry type " << static_cast<int>(entry.header.type) << ": " << opened;
  }
}

TEST_F(StoreHoleTest, ADamagedOrMissingSegmentIsRefused) {
  const std::vector<std::string> segments = rig_.Segments();
  LoseIndex();
  rig_.files().FlipBit(segments[1], 9, 0);
  absl::Status opened = rig_.Open();
  EXPECT_EQ(opened.code(), absl::StatusCode::kDataLoss) << "header: " << opened;
  EXPECT_THAT(std::string(opened.message()), HasSubstr(segments[1]));

  RestoreContents();
  LoseIndex();
  rig_.files().SetContents(segments[1], contents_[segments[1]].substr(0, 300'000));
  opened = rig_.Open();
  EXPECT_EQ(opened.code(), absl::StatusCode::kDataLoss) << "cut short: " << opened;

  RestoreContents();
  LoseIndex();
  ASSERT_TRUE(rig_.files().Remove(segments[1]).ok());
  opened = rig_.Open();
  EXPECT_EQ(opened.code(), absl::StatusCode::kDataLoss) << "missing: " << opened;
}

TEST_F(StoreHoleTest, AMissingSegmentIsNoticedWithTheIndexToo) {
  ASSERT_TRUE(rig_.files().Remove(rig_.Segments()[1]).ok());
  const absl::Status opened = rig_.Open();
  EXPECT_EQ(opened.code(), absl::StatusCode::kDataLoss) << opened;
}

TEST_F(StoreHoleTest, ANewerFormatIsRefusedAndNotMisread) {
  const std::string path = rig_.Segments()[0];
  std::string contents = contents_[path];
  PutLittle<uint32_t>(contents.data() + 8, kFormatVersion + 1);
  PutLittle<uint32_t>(contents.data() + 40, Crc32c(std::string_view(contents).substr(0, 40)));
  rig_.files().SetContents(path, contents);
  const absl::Status opened = rig_.Open();
  EXPECT_EQ(opened.code(), absl::StatusCode::kInvalidArgument) << opened;
  EXPECT_THAT(std::string(opened.message()), HasSubstr(absl::StrCat("version ", kFormatVersion + 1)));
}

TEST_F(StoreHoleTest, ADamagedBatchIsNeverServed) {
  // The index is kept, so that the start reads nothing of what is damaged.
  const FoundEntry damaged = DurableBatches()[4];
  Damage(damaged, 1);
  ASSERT_TRUE(rig_.Open().ok());
  ReadRequest request;
  request.log = damaged.header.log;
  const auto read = [&] {
    absl::Notification notification;
    absl::StatusOr<ReadResult> result = absl::UnknownError("");
    rig_.store().Read(request, [&](absl::StatusOr<ReadResult> answer) {
      result = std::move(answer);
      notification.Notify();
    });
    EXPECT_TRUE(notification.WaitForNotificationWithTimeout(absl::Seconds(60)));
    return result;
  };
  request.from = damaged.header.base_offset;
  EXPECT_EQ(ReasonOf(read().status()), Reason::kCorruptData) << read().status();
  request.from = Offset(0);
  request.end = damaged.header.base_offset;
  const auto before = read();
  ASSERT_TRUE(before.ok()) << before.status();
  EXPECT_EQ(before->batches.back().next_offset, damaged.header.base_offset);
  request.end = Offset(INT64_MAX);
  const auto up_to_it = read();
  ASSERT_TRUE(up_to_it.ok()) << up_to_it.status();
  EXPECT_EQ(up_to_it->next_offset, damaged.header.base_offset) << "what is whole is given";
  request.from = damaged.header.next_offset();
  const auto behind = read();
  ASSERT_TRUE(behind.ok()) << behind.status();
  EXPECT_FALSE(RecordsOf(behind->batches).empty());
}

TEST_F(StoreHoleTest, SalvageSavesTheRest) {
  const std::vector<FoundEntry> batches = DurableBatches();
  for (size_t way = 0; way < 5; ++way) {
    const FoundEntry& damaged = batches[way * (batches.size() - 1) / 4];
    SCOPED_TRACE(absl::StrCat("damage ", way, " at ", damaged.path, " ", damaged.position));
    RestoreContents();
    LoseIndex();
    Damage(damaged, way);
    const auto before = AllContents();
    Salvaged salvaged = SalvageAll();
    ASSERT_NE(salvaged.store, nullptr);
    EXPECT_TRUE(AllContents() == before) << "what is salvaged from is not changed";
    EXPECT_FALSE(salvaged.report.damage.empty());
    const LogId hurt = damaged.header.log;
    const LogId sound = hurt == kFirst ? kSecond : kFirst;
    EXPECT_EQ(PortraitOf(*salvaged.store, sound), PortraitOf(rig_.Model(sound).expected()));
    const LogInfo info = *salvaged.store->Info(hurt);
    const Offset end = rig_.Model(hurt).expected().state().end();
    if (damaged.header.next_offset() == end) {
      EXPECT_EQ(info.log_start, Offset(0)) << "nothing lies behind the hole";
      EXPECT_EQ(info.end, damaged.header.base_offset);
    } else {
      EXPECT_EQ(info.log_start, damaged.header.next_offset()) << "what is contiguous up to the end is kept";
      EXPECT_EQ(info.end, end);
    }
    EXPECT_EQ(PortraitOf(*salvaged.store, hurt).substr(0, 6), "start ");
    salvaged.store->Stop();
  }
}

TEST_F(StoreHoleTest, SalvageOfASoundStoreSavesAll) {
  Salvaged salvaged = SalvageAll();
  ASSERT_NE(salvaged.store, nullptr);
  EXPECT_EQ(salvaged.report.batches_saved, 12);
  EXPECT_EQ(salvaged.report.records_saved, 12);
  EXPECT_EQ(salvaged.report.batches_damaged, 0);
  EXPECT_TRUE(salvaged.report.damage.empty());
  for (const LogId log : {kFirst, kSecond}) {
    EXPECT_EQ(PortraitOf(*salvaged.store, log), PortraitOf(rig_.Model(log).expected()));
  }
  salvaged.store->Stop();
}

TEST_F(StoreHoleTest, SalvageSavesWhatIsLeftWhenASegmentIsMissing) {
  ASSERT_TRUE(rig_.files().Remove(rig_.Segments()[0]).ok());
  Salvaged salvaged = SalvageAll();
  ASSERT_NE(salvaged.store, nullptr);
  EXPECT_GT(salvaged.report.batches_saved, 4);
  for (const LogId log : {kFirst, kSecond}) {
    const LogInfo info = *salvaged.store->Info(log);
    EXPECT_EQ(info.end, rig_.Model(log).expected().state().end());
    EXPECT_GT(info.log_start, Offset(0));
    EXPECT_LT(info.log_start, info.end);
  }
  salvaged.store->Stop();
}

TEST_F(StoreHoleTest, ATornTailIsCutOffAndTheLogGoesOn) {
  for (uint32_t kind = 0; kind < 3; ++kind) {
    const std::vector<FoundEntry> entries = Entries();
    const FoundEntry& last = entries.back();
    const uint64_t tail = last.position + last.header.entry_bytes();
    std::string contents = rig_.files().Contents(last.path);
    const std::string entry = contents.substr(last.position, 8'000);
    if (kind == 0) contents.replace(tail, 700, 700, '\x5a');
    if (kind == 1)
      contents.replace(tail + 512, entry.size(), entry);  // a header lost, the rest of a write there
    if (kind == 2) contents.replace(tail, 40, contents.substr(last.position, 40));
    rig_.files().SetContents(last.path, contents);
    const absl::Status opened = rig_.Open();
    SCOPED_TRACE(absl::StrCat("kind ", kind));
    ASSERT_TRUE(opened.ok()) << opened;
    EXPECT_EQ(rig_.Check(), "");
    EXPECT_GT(rig_.store().Stats().torn_tail_bytes, 0);
    rig_.Append(kFirst, MakeLargeBatch(absl::StrCat("behind the cut ", kind), 1'000));
    rig_.Wait();
    rig_.Crash({Survival::Mode::kNothing, kind}, kind == 1 ? IndexFate::kLost : IndexFate::kKept);
    ASSERT_TRUE(rig_.Open().ok());
    EXPECT_EQ(rig_.Check(), "");
    EXPECT_EQ(rig_.store().Stats().torn_tail_bytes, 0) << "it is cut off for good";
    rig_.Close();
  }
}

TEST_F(StoreHoleTest, BytesOfAClientAreNeverTakenForEntries) {
  // A client that knows the format sends what would be an entry that proves things, and the tail behind it
  // tears.
  ASSERT_TRUE(rig_.Open().ok());
  EntryHeader forged = entries_.back().header;
  forged.type = EntryType::kMark;
  forged.flags = 0;
  forged.body_length = 0;
  forged.body_crc = 0;
  forged.sequence = Sequence(forged.sequence.value() + 1'000);
  forged.durable_sequence = Sequence(forged.sequence.value() - 1);
  std::string raw;
  AppendEntryHeader(forged, salt_ + 1, raw);  // the salt is the store's secret
  std::string value;
  while (value.size() < 4'000) value += raw;
  for (size_t shift = 0; shift < 8; ++shift) {
    rig_.Append(kFirst, MakeBatch({TestRecord(std::string(shift, ' ') + value)}));
  }
  rig_.Wait();
  rig_.Close();
  const FoundEntry last = Entries().back();
  rig_.files().FlipBit(last.path, last.position + 30, 0);
  LoseIndex();
  const absl::Status opened = rig_.Open();
  EXPECT_TRUE(opened.ok() || opened.code() == absl::StatusCode::kDataLoss) << opened;
  if (!opened.ok()) {
    EXPECT_THAT(std::string(opened.message()), HasSubstr(last.path));
  }
}

}  // namespace
}  // namespace naru::testing
