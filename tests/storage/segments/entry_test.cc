#include "storage/segments/entry.h"

#include <gtest/gtest.h>

#include "storage/segments/control_bodies.h"
#include "storage/segments/segment.h"

namespace naru {
namespace {

constexpr uint32_t kEntrySalt = 0x5a17;

EntryHeader FullHeader() {
  EntryHeader header;
  header.body_crc = 1;
  header.body_length = 1'001;
  header.type = EntryType::kBatch;
  header.flags = kRunStart | kHasProducer | kAppendTimeStamped;
  header.sequence = Sequence(7);
  header.durable_sequence = Sequence(5);
  header.log = LogId(9);
  header.base_offset = Offset(100);
  header.append_time_ms = 1'700'000'000'000;
  header.max_timestamp_ms = 1'700'000'000'001;
  header.leader_epoch = LeaderEpoch(3);
  header.record_count = 10;
  header.bytes_before = 12'345;
  header.max_timestamp_before = 99;
  header.producer_id = 70;
  header.producer_epoch = 2;
  header.producer_sequence = 11;
  return header;
}

TEST(EntryHeader, ComesBackAsItWasWritten) {
  std::string raw;
  AppendEntryHeader(FullHeader(), kEntrySalt, raw);
  ASSERT_EQ(raw.size(), FullHeader().header_bytes());
  EntryHeader read;
  ASSERT_EQ(ParseEntryHeader(raw, kEntrySalt, read), HeaderCheck::kGood);
  EXPECT_EQ(read.body_length, 1'001u);
  EXPECT_EQ(read.sequence, Sequence(7));
  EXPECT_EQ(read.durable_sequence, Sequence(5));
  EXPECT_EQ(read.log, LogId(9));
  EXPECT_EQ(read.next_offset(), Offset(110));
  EXPECT_EQ(read.append_time_ms, 1'700'000'000'000);
  EXPECT_EQ(read.max_timestamp_ms, 1'700'000'000'001);
  EXPECT_EQ(read.leader_epoch, LeaderEpoch(3));
  EXPECT_EQ(read.bytes_before, 12'345);
  EXPECT_EQ(read.max_timestamp_before, 99);
  EXPECT_EQ(read.producer_id, 70);
  EXPECT_EQ(read.producer_epoch, 2);
  EXPECT_EQ(read.producer_sequence, 11);
  EXPECT_EQ(read.entry_bytes() % kEntryAlignment, 0u);
}

EntryHeader ThinnedHeader() {
  EntryHeader header = FullHeader();
  header.flags |= kThinned;
  header.records_left = 4;
  header.deltas_length = 5;
  header.batch_crc = 77;
  header.appended_bytes = 5'000;
  return header;
}

TEST(EntryHeader, SaysWhatCompactionLeft) {
  std::string raw;
  AppendEntryHeader(ThinnedHeader(), kEntrySalt, raw);
  ASSERT_EQ(raw.size(), ThinnedHeader().header_bytes());
  EXPECT_EQ(raw.size(), kHeaderBytesMax);
  EntryHeader read;
  ASSERT_EQ(ParseEntryHeader(raw, kEntrySalt, read), HeaderCheck::kGood);
  EXPECT_EQ(read.next_offset(), Offset(110)) << "it keeps its offsets";
  EXPECT_EQ(read.records(), 4u);
  EXPECT_EQ(read.batch_bytes(), 996);
  EXPECT_EQ(read.bytes_appended(), 5'000);
  EXPECT_EQ(read.crc_of_batch(), 77u);
}

TEST(EntryHeader, ThatContradictsItselfIsBad) {
  for (const auto& break_it :
       std::vector<void (*)(EntryHeader&)>{[](EntryHeader& h) { h.records_left = h.record_count + 1; },
                                           [](EntryHeader& h) { h.deltas_length = h.body_length + 1; },
                                           [](EntryHeader& h) { h.type = EntryType::kMark; }}) {
    EntryHeader header = ThinnedHeader();
    break_it(header);
    std::string raw;
    AppendEntryHeader(header, kEntrySalt, raw);
    EntryHeader read;
    EXPECT_EQ(ParseEntryHeader(raw, kEntrySalt, read), HeaderCheck::kBad);
  }
}

TEST(OffsetDeltas, ComeBackAsTheyWereWritten) {
  for (const std::vector<uint32_t>& deltas :
       {std::vector<uint32_t>{}, {0}, {0, 1, 2}, {5, 300, 301, 70'000}, {UINT32_MAX - 2, UINT32_MAX - 1}}) {
    std::string raw;
    EncodeOffsetDeltas(deltas, raw);
    std::vector<uint32_t> read;
    ASSERT_TRUE(DecodeOffsetDeltas(raw, static_cast<uint32_t>(deltas.size()), UINT32_MAX, read));
    EXPECT_EQ(read, deltas);
    EXPECT_FALSE(DecodeOffsetDeltas(raw + "x", static_cast<uint32_t>(deltas.size()), UINT32_MAX, read));
    EXPECT_FALSE(DecodeOffsetDeltas(raw, static_cast<uint32_t>(deltas.size()) + 1, UINT32_MAX, read));
    if (deltas.empty()) continue;
    EXPECT_FALSE(DecodeOffsetDeltas(raw, static_cast<uint32_t>(deltas.size()), deltas.back(), read))
        << "beyond the batch";
  }
}

TEST(EntryHeader, AnyFlippedBitIsNoticed) {
  std::string raw;
  AppendEntryHeader(FullHeader(), kEntrySalt, raw);
  EntryHeader read;
  for (size_t bit = 0; bit < raw.size() * 8; ++bit) {
    raw[bit / 8] = static_cast<char>(raw[bit / 8] ^ (1 << bit % 8));
    EXPECT_EQ(ParseEntryHeader(raw, kEntrySalt, read), HeaderCheck::kBad) << bit;
    raw[bit / 8] = static_cast<char>(raw[bit / 8] ^ (1 << bit % 8));
  }
}

TEST(EntryHeader, OfAnotherStoreIsNoEntry) {
  std::string raw;
  AppendEntryHeader(FullHeader(), kEntrySalt + 1, raw);
  EntryHeader read;
  EXPECT_EQ(ParseEntryHeader(raw, kEntrySalt, read), HeaderCheck::kBad);
}

TEST(EntryHeader, ZerosAreNoEntryAndNotBad) {
  EntryHeader read;
  EXPECT_EQ(ParseEntryHeader(std::string(200, '\0'), kEntrySalt, read), HeaderCheck::kZero);
}

TEST(EntryHeader, CutShortIsBad) {
  std::string raw;
  AppendEntryHeader(FullHeader(), kEntrySalt, raw);
  EntryHeader read;
  for (size_t length = 5; length < raw.size(); ++length) {
    EXPECT_EQ(ParseEntryHeader(std::string_view(raw).substr(0, length), kEntrySalt, read), HeaderCheck::kBad)
        << length;
  }
}

TEST(SegmentHeader, ComesBackAndRefusesDamageAndOtherVersions) {
  SegmentHeader header;
  header.salt = 5;
  header.id = SegmentId(17);
  header.first_sequence = Sequence(1'000);
  std::string block = EncodeSegmentHeader(header);
  ASSERT_EQ(block.size(), kSegmentHeaderBytes);
  const auto read = DecodeSegmentHeader(block);
  ASSERT_TRUE(read.ok() && *read);
  EXPECT_EQ((*read)->id, SegmentId(17));
  EXPECT_EQ((*read)->first_sequence, Sequence(1'000));
  EXPECT_EQ((*read)->salt, 5u);

  std::string damaged = block;
  damaged[20] ^= 1;
  EXPECT_EQ(DecodeSegmentHeader(damaged).status().code(), absl::StatusCode::kDataLoss);
  header.version = kFormatVersion + 1;
  EXPECT_EQ(DecodeSegmentHeader(EncodeSegmentHeader(header)).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(*DecodeSegmentHeader(std::string(kSegmentHeaderBytes, '\0')), std::nullopt);
}

TEST(SegmentFileName, SortsAndComesBack) {
  EXPECT_EQ(SegmentFileName(SegmentId(0xabc)), "0000000000000abc.seg");
  EXPECT_EQ(SegmentIdFromFileName("0000000000000abc.seg"), SegmentId(0xabc));
  EXPECT_EQ(SegmentIdFromFileName("0000000000000abc.tmp"), std::nullopt);
  EXPECT_EQ(SegmentIdFromFileName("00000000000xyabc.seg"), std::nullopt);
  EXPECT_EQ(SegmentIdFromFileName("0000000000000000.seg"), std::nullopt);
}

Run SomeRun() {
  Run run;
  run.base = Offset(3);
  run.next = Offset(9);
  run.segment = SegmentId(4);
  run.position = 4'096;
  run.length = 64;
  run.batch_count = 2;
  run.bytes = 50;
  run.bytes_before = 7;
  run.max_timestamp_ms = 11;
  run.max_timestamp_so_far_ms = 12;
  run.append_time_ms = 13;
  run.first_epoch = LeaderEpoch(1);
  return run;
}

TEST(ControlBodies, ATruncationComesBackAndACutOneIsRefused) {
  Truncation truncation;
  truncation.log = LogId(1);
  truncation.end = Offset(9);
  truncation.cut = SomeRun();
  truncation.state = "state";
  truncation.bytes_end = 57;
  const std::string body = EncodeTruncation(truncation);
  const auto read = DecodeTruncation(body);
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read->cut, truncation.cut);
  EXPECT_EQ(read->state, "state");
  EXPECT_EQ(read->bytes_end, 57);
  for (size_t length = 0; length < body.size(); ++length) {
    EXPECT_FALSE(DecodeTruncation(std::string_view(body).substr(0, length)).ok()) << length;
  }
}

TEST(ControlBodies, TheRunsOfAMoveAreCountedFromTheBodysBeginning) {
  MovedRun moved;
  moved.log = LogId(2);
  moved.run = SomeRun();
  moved.run.position = 0;
  moved.old = {{Offset(3), SegmentId(1), 5'000}};
  std::string body = EncodeMoveTable({moved});
  EXPECT_EQ(body.size() % kEntryAlignment, 0u);
  const size_t table = body.size();
  EXPECT_FALSE(DecodeMoveTable(body).ok()) << "the entries are missing";
  body.append(64, 'x');
  const auto read = DecodeMoveTable(body);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->front().run.position, table);
  EXPECT_EQ(read->front().old.front().position, 5'000u);
}

TEST(ControlBodies, AListThatClaimsMoreThanThereIsIsRefused) {
  EXPECT_FALSE(DecodeLogIds(std::string("\xff\xff\xff\xff", 4)).ok());
  EXPECT_FALSE(DecodeSnapshotPiece(std::string("\xff\xff\xff\x7f", 4)).ok());
}

}  // namespace
}  // namespace naru
