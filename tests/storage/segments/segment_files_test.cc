// Segments as files: written, scanned, torn and cut.
#include <gtest/gtest.h>

#include <filesystem>
#include <memory>

#include "storage/base/crc32c.h"
#include "storage/segments/segment_scanner.h"
#include "storage/segments/segment_writer.h"
#include "storage/segments/torn_tail.h"

namespace naru {
namespace {

constexpr uint32_t kSalt = 77;
constexpr uint64_t kSegmentBytes = 64 << 10;

class SegmentFiles : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "naru-segments-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    root_ = name;
    set_ = std::make_unique<SegmentSet>(PosixFileSystem(), root_);
    writer_ = std::make_unique<SegmentWriter>(*set_, clock_, kSalt, kSegmentBytes);
    auto first = set_->Create(SegmentId(1), kSegmentBytes);
    ASSERT_TRUE(first.ok()) << first.status();
    set_->Add(*first);
    writer_->Resume(*first, kFormatVersion, kSegmentHeaderBytes);
  }
  void TearDown() override { std::filesystem::remove_all(root_); }

  // One more entry with this body.
  SegmentWriter::Place Add(const std::string& body, uint64_t durable = 0) {
    const absl::Cord cord(body);
    EntryHeader header;
    header.type = EntryType::kCreateLogs;
    header.body_length = static_cast<uint32_t>(body.size());
    header.body_crc = Crc32c(body);
    header.sequence = Sequence(++sequence_);
    header.durable_sequence = Sequence(durable);
    EXPECT_TRUE(writer_->EnsureRoom(header.entry_bytes()).ok());
    const auto place = writer_->Stage(header, cord);
    EXPECT_TRUE(writer_->Write().ok());
    return place;
  }

  void Flip(uint64_t position) {
    auto segment = set_->Find(SegmentId(1));
    char byte = 0;
    ASSERT_TRUE(segment->file().Read(position, &byte, 1).ok());
    byte = static_cast<char>(byte ^ 0x10);
    const iovec piece{&byte, 1};
    ASSERT_TRUE(segment->file().Write(position, {&piece, 1}).ok());
  }

  std::vector<std::shared_ptr<Segment>> All() {
    std::vector<std::shared_ptr<Segment>> all;
    for (const SegmentId id : set_->Ids()) all.push_back(set_->Find(id));
    return all;
  }

  std::string root_;
  ManualClock clock_;
  std::unique_ptr<SegmentSet> set_;
  std::unique_ptr<SegmentWriter> writer_;
  uint64_t sequence_ = 0;
};

TEST_F(SegmentFiles, EntriesComeBackInOrderAcrossSegments) {
  std::vector<std::string> bodies;
  for (int i = 0; i < 40; ++i)
    bodies.push_back(std::string(static_cast<size_t>(i) * 211, static_cast<char>('a' + i % 26)));
  for (const std::string& body : bodies) Add(body);
  EXPECT_GE(set_->Ids().size(), 2u);
  size_t next = 0;
  for (const auto& segment : All()) {
    SegmentScanner scanner(*segment, kSalt, kSegmentHeaderBytes);
    auto found = scanner.Next();
    while (found.ok() && *found == SegmentScanner::Found::kEntry) {
      ASSERT_LT(next, bodies.size());
      EXPECT_EQ(scanner.header().sequence, Sequence(next + 1));
      EXPECT_EQ(scanner.body(), bodies[next++]);
      found = scanner.Next();
    }
    ASSERT_TRUE(found.ok());
    EXPECT_EQ(*found, SegmentScanner::Found::kEnd);
  }
  EXPECT_EQ(next, bodies.size());
}

TEST_F(SegmentFiles, ANewSegmentSaysWhichSequenceItBeginsWith) {
  for (int i = 0; i < 10; ++i) Add(std::string(15'000, 'x'));
  for (const auto& segment : All()) {
    if (segment->id() == SegmentId(1)) continue;  // its header is the recovery's to write
    std::string block(kSegmentHeaderBytes, '\0');
    ASSERT_TRUE(segment->file().Read(0, block.data(), block.size()).ok());
    const auto header = DecodeSegmentHeader(block);
    ASSERT_TRUE(header.ok() && *header);
    SegmentScanner scanner(*segment, kSalt, kSegmentHeaderBytes);
    ASSERT_EQ(*scanner.Next(), SegmentScanner::Found::kEntry);
    EXPECT_EQ(scanner.header().sequence, (*header)->first_sequence);
  }
}

TEST_F(SegmentFiles, ALongBatchOfManyPiecesIsWrittenWhole) {
  absl::Cord body;
  std::string flat;
  for (int i = 0; i < 1'500; ++i) {
    flat.append(std::string(37, static_cast<char>('A' + i % 50)));
    auto piece = std::make_shared<std::string>(37, static_cast<char>('A' + i % 50));
    const absl::string_view bytes = *piece;
    body.Append(absl::MakeCordFromExternal(bytes, [piece = std::move(piece)] {}));
  }
  EntryHeader header;
  header.type = EntryType::kCreateLogs;
  header.body_length = static_cast<uint32_t>(body.size());
  header.body_crc = Crc32c(body);
  header.sequence = Sequence(1);
  ASSERT_TRUE(writer_->EnsureRoom(header.entry_bytes()).ok());
  writer_->Stage(header, body);
  ASSERT_TRUE(writer_->Write().ok());
  SegmentScanner scanner(*writer_->TakeWritten().back(), kSalt, kSegmentHeaderBytes);
  ASSERT_EQ(*scanner.Next(), SegmentScanner::Found::kEntry);
  EXPECT_EQ(scanner.body(), flat);
}

TEST_F(SegmentFiles, AFlippedBitInABodyIsFound) {
  Add("first");
  const auto place = Add("second");
  Flip(place.position + kFixedHeaderBytes + 2);
  SegmentScanner scanner(*set_->Find(SegmentId(1)), kSalt, kSegmentHeaderBytes);
  EXPECT_EQ(*scanner.Next(), SegmentScanner::Found::kEntry);
  EXPECT_EQ(*scanner.Next(), SegmentScanner::Found::kBad);
  EXPECT_EQ(scanner.position(), place.position);
}

TEST_F(SegmentFiles, OnlyAnEntryThatVouchesForTheMissingOneProvesAHole) {
  Add("1");
  const auto second = Add("2");
  Add("3", /*durable=*/1);
  auto proof = FindDurabilityProof(All(), second.position, kSalt, Sequence(2));
  ASSERT_TRUE(proof.ok());
  EXPECT_FALSE(proof->has_value()) << "3 was written when only 1 was durable: 2 may be torn";
  const auto fourth = Add("4", /*durable=*/2);
  proof = FindDurabilityProof(All(), second.position, kSalt, Sequence(2));
  ASSERT_TRUE(proof.ok() && proof->has_value());
  EXPECT_EQ((*proof)->position, fourth.position);
}

TEST_F(SegmentFiles, AProofInALaterSegmentIsFound) {
  const auto first = Add("1");
  uint64_t durable = 0;
  while (set_->Ids().size() == 1) Add(std::string(9'000, 'x'), durable);
  Add("last", /*durable=*/1);
  const auto proof = FindDurabilityProof(All(), first.position, kSalt, Sequence(1));
  ASSERT_TRUE(proof.ok() && proof->has_value());
  EXPECT_NE((*proof)->path, set_->PathOf(SegmentId(1)));
}

TEST_F(SegmentFiles, ATornTailIsSetAsideAndZerosFollow) {
  Add("kept");
  const auto torn = Add("torn");
  const auto segment = set_->Find(SegmentId(1));
  const std::string aside = root_ + "/aside";
  const auto cut = CutTornTail(PosixFileSystem(), *segment, torn.position, kSegmentBytes, aside);
  ASSERT_TRUE(cut.ok()) << cut.status();
  EXPECT_GT(*cut, 0u);
  EXPECT_EQ(std::filesystem::file_size(aside), *cut);
  EXPECT_TRUE(*IsZeroFrom(*segment, torn.position));
  EXPECT_EQ(*segment->file().Size(), kSegmentBytes);
  EXPECT_EQ(*CutTornTail(PosixFileSystem(), *segment, torn.position, kSegmentBytes, aside + "2"), 0u);
  EXPECT_FALSE(std::filesystem::exists(aside + "2"));
}

}  // namespace
}  // namespace naru
