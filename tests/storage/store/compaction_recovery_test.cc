// Compaction beside everything else that happens to a log: restarts, rebuilds, truncations, readers, damage.
#include <atomic>
#include <fstream>
#include <map>
#include <thread>

#include "storage/batch/wire.h"
#include "storage/segments/segment.h"
#include "tests/storage/store/compaction_fixture.h"

namespace naru::testing {
namespace {

TEST_F(CompactionTest, AStoreOfFormatVersion1OpensAndIsCompactedIntoNewSegments) {
  OpenCompacted();
  Put("a=1 b=1");
  Close();
  // As an older program made it.
  std::fstream file(SegmentPath(0), std::ios::in | std::ios::out | std::ios::binary);
  std::string block(kSegmentHeaderBytes, '\0');
  file.read(block.data(), static_cast<std::streamsize>(block.size()));
  auto header = DecodeSegmentHeader(block);
  ASSERT_TRUE(header.ok() && header->has_value());
  (*header)->version = 1;
  block = EncodeSegmentHeader(**header);
  file.seekp(0);
  file.write(block.data(), static_cast<std::streamsize>(block.size()));
  file.close();
  Open();
  Configure();
  Put("c=1");
  EXPECT_EQ(SegmentFiles().size(), 1u) << "what version 1 has goes on where it was";
  Put("a=2");
  Compact();
  EXPECT_EQ(Records(), "1:b=1 2:c=1 3:a=2");
  EXPECT_NE(SegmentFiles().back(), "0000000000000001.seg");
  ReopenCompacted();
  EXPECT_EQ(Records(), "1:b=1 2:c=1 3:a=2");
}

TEST_F(CompactionTest, WhatIsSalvagedOfACompactedLogIsWhatItWas) {
  OpenCompacted();
  for (int i = 0; i < 30; ++i) Put(absl::StrCat("a=", i, " k", i, "=1"));
  for (int i = 0; i < 25; ++i) Put(absl::StrCat("k", i, "=2"));
  Compact();
  const std::string records = Records();
  const LogInfo before = Info(kLog);
  Close();
  const std::string to = options_.directory + "-saved";
  const auto report = Salvage(options_.directory, to, *files_, clock_, events_);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->records_saved, 31);
  options_.directory = to;
  Open();
  EXPECT_EQ(Records(), records);
  EXPECT_EQ(Info(kLog).end, before.end);
  EXPECT_EQ(Info(kLog).size_bytes, before.size_bytes);
}

TEST_F(CompactionTest, ACopyOfACompactedLogKnowsItsProducers) {
  constexpr LogId kCopy(2);
  const std::vector<std::string> both = {"a=1", "b=1"};
  OpenCompacted();
  ASSERT_TRUE(Create({kCopy}).ok());
  for (int i = 0; i < 8; ++i) PutBatch(MakeKeyedBatch(both), ProducerStamp{7, 0, 2 * i});
  PutBatch(MakeKeyedBatch(std::vector<std::string>{"a=2"}), ProducerStamp{8, 3, 0});
  Put("b=2");
  Compact();
  EXPECT_EQ(Records(), "16:a=2 17:b=2") << "nothing is left of the first producer's batches";
  const ReadRequest all{.log = kLog, .from = Offset(0), .include_undurable = true, .include_emptied = true};
  const auto read =
      Await<absl::StatusOr<ReadResult>>([&](LogStore::ReadDone done) { store_->Read(all, std::move(done)); });
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->batches.size(), 7u) << "but the stamps of its five newest";
  ReplicaAppendRequest copy{.log = kCopy, .batches = read->batches, .gaps = read->gaps};
  const auto copied = Await<absl::StatusOr<Appended>>(
      [&](LogStore::AppendDone done) { store_->AppendAsReplica(std::move(copy), std::move(done)); });
  ASSERT_TRUE(copied.ok()) << copied.status();
  const auto append = [&](LogId log, const ProducerStamp& stamp) {
    AppendRequest request = AppendOf(log, MakeKeyedBatch(both));
    request.producer = stamp;
    return Await<absl::StatusOr<Appended>>(
        [&](LogStore::AppendDone done) { store_->Append(std::move(request), std::move(done)); });
  };
  for (const LogId log : {kLog, kCopy}) {
    const auto repeated = append(log, {7, 0, 10});
    ASSERT_TRUE(repeated.ok()) << repeated.status();
    EXPECT_TRUE(repeated->duplicate);
    EXPECT_EQ(repeated->base_offset, Offset(10));
    EXPECT_EQ(ReasonOf(append(log, {8, 2, 0}).status()), Reason::kProducerFenced);
    const auto next = append(log, {7, 0, 16});
    ASSERT_TRUE(next.ok()) << next.status();
    EXPECT_FALSE(next->duplicate);
  }
}

TEST_F(CompactionTest, HowFarALogIsCompactedIsRememberedAcrossARestart) {
  settings_.min_cleanable_dirty_ratio = 0.5;
  OpenCompacted();
  for (int i = 0; i < 10; ++i) Put(absl::StrCat("k", i % 2, "=", i));
  Compact();
  const std::string records = Records();
  ReopenCompacted();
  EXPECT_EQ(Records(), records);
  Compact();
  EXPECT_EQ(Stats().passes, 0) << "nothing is dirty";
  Close();
  DeleteIndex();
  ReopenCompacted();
  EXPECT_EQ(Records(), records);
  Compact();
  EXPECT_EQ(Stats().passes, 0) << "also when the index was rebuilt";
}

TEST_F(CompactionTest, ATruncationDuringAPassKeepsWhatOnlyTheTruncatedSuperseded) {
  OpenWithRoundsOf8MiB();
  const std::string filler(800'000, 'x');
  Put("a=old");
  for (int i = 0; i < 10; ++i) Put(absl::StrCat("k", i, "=", filler));
  Put("a=new" + filler);
  Compact();
  ASSERT_EQ(Stats().passes, 0) << "the round's bytes were used up for the keys";
  ASSERT_GT(Stats().read_bytes, 8'800'000) << "of which all are known";
  ASSERT_TRUE(Truncate(kLog, 11).ok());
  for (int i = 0; i < 6; ++i) Compact();
  ASSERT_GT(Stats().passes, 0);
  EXPECT_EQ(Records().substr(0, 7), "0:a=old");
}

TEST_F(CompactionTest, ALostIndexIsRebuiltAlsoWhenSegmentsWentMeanwhile) {
  OpenCompacted();
  const std::string filler(50'000, 'x');
  for (int round = 0; round < 4; ++round) {
    for (int i = 0; i < 40; ++i) Put(absl::StrCat("k", i % 7, "=", round, filler));
    Compact();
  }
  for (int i = 0; i < 3; ++i) Compact();
  ASSERT_GT(store_->Stats().segments_removed, 0);
  const std::string portrait = Records();
  const int64_t size = Info(kLog).size_bytes;
  Close();
  DeleteIndex();
  Open();
  Configure();
  EXPECT_EQ(Records(), portrait);
  EXPECT_EQ(Info(kLog).size_bytes, size);
  Put("k1=new");
  Compact();
  EXPECT_EQ(Records().find("k1=3"), std::string::npos);
}

TEST_F(CompactionTest, ATruncationTakesOffTheEndOfACompactedLog) {
  OpenCompacted();
  Put("a=1 b=1");
  Put("a=2 c=1");
  Put("b=2");
  Put("d=1");
  options_.committed_end = nullptr;
  Compact();
  EXPECT_EQ(Records(), "2:a=2 3:c=1 4:b=2 5:d=1");
  ASSERT_TRUE(Truncate(kLog, 5).ok());
  EXPECT_EQ(Info(kLog).end, Offset(5));
  EXPECT_EQ(Records(), "2:a=2 3:c=1 4:b=2");
  ASSERT_TRUE(Truncate(kLog, 3).ok());
  EXPECT_EQ(Info(kLog).end, Offset(2)) << "a batch that it cuts goes whole";
  Put("e=1 a=5");
  Compact();
  EXPECT_EQ(Records(), "2:e=1 3:a=5");
  Close();
  DeleteIndex();
  ReopenCompacted();
  EXPECT_EQ(Records(), "2:e=1 3:a=5");
}

TEST_F(CompactionTest, NothingAboveTheBoundIsTouchedOrMakesAnythingGo) {
  std::atomic<int64_t> committed{0};
  options_.committed_end = [&](LogId) { return Offset(committed); };
  OpenCompacted();
  Put("a=1");
  Put("a=2");
  Put("a=3");
  Compact();
  EXPECT_EQ(Records(), "0:a=1 1:a=2 2:a=3");
  committed = 2;
  Compact();
  EXPECT_EQ(Records(), "1:a=2 2:a=3") << "what is not committed may go again, and a=2 with it";
  ASSERT_TRUE(Truncate(kLog, 2).ok());
  EXPECT_EQ(Records(), "1:a=2");
}

TEST_F(CompactionTest, ReadersSeeEveryKeyWhileItGoesOn) {
  options_.compaction_bytes_per_second = int64_t{1} << 20;
  OpenCompacted();
  std::atomic<bool> stop{false};
  for (int key = 0; key < 20; ++key) Put(absl::StrCat("k", key, "=0"));
  std::thread compactor([&] {
    while (!stop) (void)store_->RunMaintenance();
  });
  for (int round = 1; round < 40; ++round) {
    for (int key = 0; key < 20; ++key) Put(absl::StrCat("k", key, "=", round));
    std::map<std::string, int> newest;
    int64_t last = -1;
    for (Offset at(0), end = Info(kLog).end; at < end;) {
      const auto read = Read(kLog, at.value(), 500);
      ASSERT_TRUE(read.ok()) << read.status();
      for (const SeenKeyed& seen : KeyedRecordsOf(read->batches, at)) {
        ASSERT_GT(seen.offset, last);
        last = seen.offset;
        newest[*seen.record.key] = std::stoi(*seen.record.value);
      }
      at = read->next_offset;
    }
    ASSERT_EQ(newest.size(), 20u);
    for (const auto& [key, value] : newest) ASSERT_EQ(value, round) << key;
  }
  stop = true;
  compactor.join();
  EXPECT_GT(Stats().passes, 1);
}

TEST_F(CompactionTest, APassEndsWhenItsLogIsNotToBeCompactedAnyMore) {
  OpenWithRoundsOf8MiB();
  const std::string filler(800'000, 'x');
  for (int i = 0; i < 11; ++i) Put(absl::StrCat("a=", i, filler));
  Compact();
  ASSERT_GT(Stats().read_bytes, 8'800'000) << "the keys are known";
  settings_.compact = false;
  Configure();
  for (int i = 0; i < 6; ++i) Compact();
  EXPECT_EQ(Stats().passes, 0);
  EXPECT_EQ(Stats().written_bytes, 0);
  EXPECT_EQ(Read(kLog, 0)->batches.front().record_count, 1u);
}

TEST_F(CompactionTest, WhatIsLeftOfARunMayBeTooLargeForASegmentAndThenItsLogIsLeftAlone) {
  options_.segment_bytes = int64_t{1} << 20;
  OpenCompacted();
  ASSERT_TRUE(Create({LogId(2)}).ok());
  ASSERT_TRUE(store_->Configure(LogId(2), settings_).ok());
  // A record that will go, before so many small ones that their offsets do not fit behind it.
  BatchBuilder builder;
  std::string keyed;
  wire::AppendBytesField(keyed, 1, "a");
  builder.AddRaw(keyed);
  for (int i = 0; i < 430'000; ++i) builder.AddRaw("");
  TestBatch batch;
  batch.bytes = *builder.Finish(Codec::kNone);
  const BatchLimits limits{.batch_bytes_max = 1 << 20, .records_max = 1'000'000};
  const auto info = WalkBatch(batch.bytes, limits);
  ASSERT_TRUE(info.ok()) << info.status();
  batch.info = *info;
  PutBatch(std::move(batch));
  Put("a=2");
  for (const char* record : {"b=1", "b=2"}) {
    const std::vector<std::string> records = {record};
    const auto appended = Await<absl::StatusOr<Appended>>([&](LogStore::AppendDone done) {
      store_->Append(AppendOf(LogId(2), MakeKeyedBatch(records)), std::move(done));
    });
    ASSERT_TRUE(appended.ok()) << appended.status();
  }
  Compact();
  EXPECT_EQ(events_.Count("compaction_failed"), 1);
  EXPECT_EQ(Stats().passes_failed, 1);
  EXPECT_EQ(Stats().passes, 1) << "the other log's";
  Compact();
  EXPECT_EQ(Stats().passes_failed, 1) << "it would come to the same";
  const auto read = Read(kLog, 0);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->batches.front().record_count, 430'001u);
}

TEST_F(CompactionTest, ADamagedBatchStopsItsLogsCompactionAndNoOther) {
  OpenCompacted();
  ASSERT_TRUE(Create({LogId(2)}).ok());
  ASSERT_TRUE(store_->Configure(LogId(2), settings_).ok());
  Put("a=damaged");
  Put("a=2");
  Flip(SegmentPath(0), Find(SegmentPath(0), "damaged"));
  Compact();
  EXPECT_EQ(events_.Count("compaction_failed"), 1);
  EXPECT_EQ(Stats().passes_failed, 1);
  Compact();
  EXPECT_EQ(events_.Count("compaction_failed"), 1) << "it would come to the same";
  EXPECT_TRUE(Read(kLog, 1).ok());
}

}  // namespace
}  // namespace naru::testing
