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

constexpr uint32_t kFileSalt = 77;
constexpr uint64_t kSegmentBytes = 64 << 10;

class SegmentFiles : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "naru-segments-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    root_ = name;
    set_ = std::make_unique<SegmentSet>(PosixFileSystem(), root_);
    writer_ = std::make_unique<SegmentWriter>(*set_, clock_, kFileSalt, kSegmentBytes);
    auto first = set_->Create(SegmentId(1), kSegmentBytes);
    ASSERT_TRUE(first.ok()) << first.status();
    set_->Add(*first);
    writer_->Resume(*first, kFormatVersion, kSegmentHeaderBytes);
  }
  void TearDown() override { std::filesystem::remove_all(root_); }

  // One more entry with this body.
  SegmentWriter::Place Add(const std::string& body, uint64_t durable = 0, bool sync_soon = false) {
    const absl::Cord cord(body);
    EntryHeader header;
    header.type = EntryType::kCreateLogs;
    header.body_length = static_cast<uint32_t>(body.size());
    header.body_crc = Crc32c(body);
    header.sequence = Sequence(++sequence_);
    header.durable_sequence = Sequence(durable);
    EXPECT_TRUE(writer_->EnsureRoom(header.entry_bytes()).ok());
    const auto place = writer_->Stage(header, cord);
    EXPECT_TRUE(writer_->Write(sync_soon).ok());
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
    SegmentScanner scanner(*segment, kFileSalt, kSegmentHeaderBytes);
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
    SegmentScanner scanner(*segment, kFileSalt, kSegmentHeaderBytes);
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
  SegmentScanner scanner(*writer_->TakeWritten().back(), kFileSalt, kSegmentHeaderBytes);
  ASSERT_EQ(*scanner.Next(), SegmentScanner::Found::kEntry);
  EXPECT_EQ(scanner.body(), flat);
}

// What lies behind the head can be seen to be written, since the test puts other bytes there.
class ZerosBehind : public SegmentFiles {
 protected:
  static constexpr uint64_t kStep = SegmentWriter::kZeroStepBytes;

  void SetUp() override {
    SegmentFiles::SetUp();
    writer_ = std::make_unique<SegmentWriter>(*set_, clock_, kFileSalt, 4 * kStep);
    segment_ = *set_->Create(SegmentId(2), 4 * kStep);
    set_->Add(segment_);
    const std::string other(4 * kStep - kSegmentHeaderBytes, 'o');
    const iovec piece{const_cast<char*>(other.data()), other.size()};
    ASSERT_TRUE(segment_->file().Write(kSegmentHeaderBytes, {&piece, 1}).ok());
    writer_->Resume(segment_, kFormatVersion, kSegmentHeaderBytes);
  }
  // One past the last zero that follows the head.
  uint64_t ZerosEnd() {
    std::string bytes(4 * kStep - writer_->position(), '\0');
    EXPECT_TRUE(segment_->file().Read(writer_->position(), bytes.data(), bytes.size()).ok());
    return writer_->position() + std::min(bytes.find_first_not_of('\0'), bytes.size());
  }

  std::shared_ptr<Segment> segment_;
};

TEST_F(ZerosBehind, ALittleThatIsSyncedSoonHasThemUpToTheNextStep) {
  Add("a little", 0, /*sync_soon=*/true);
  EXPECT_EQ(ZerosEnd(), kStep);
  EXPECT_EQ(static_cast<uint64_t>(writer_->zeroed_bytes()), kStep - writer_->position());
  // There they are already.
  Add("a little more", 0, /*sync_soon=*/true);
  EXPECT_EQ(ZerosEnd(), kStep);
  const auto zeroed = static_cast<uint64_t>(writer_->zeroed_bytes());
  EXPECT_LT(zeroed, kStep);
  while (writer_->position() <= kStep) Add(std::string(20'000, 'x'), 0, /*sync_soon=*/true);
  EXPECT_EQ(ZerosEnd(), 2 * kStep);
  EXPECT_GT(static_cast<uint64_t>(writer_->zeroed_bytes()), zeroed);
}

TEST_F(ZerosBehind, NeitherMuchNorWhatNobodyWaitsForHasThem) {
  Add("a little");
  EXPECT_EQ(ZerosEnd(), writer_->position());
  Add(std::string(SegmentWriter::kZerosBehindMax, 'x'), 0, /*sync_soon=*/true);
  EXPECT_EQ(ZerosEnd(), writer_->position());
  EXPECT_EQ(writer_->zeroed_bytes(), 0);
}

TEST_F(ZerosBehind, TheyEndWithTheSegment) {
  Add(std::string(4 * kStep - kSegmentHeaderBytes - 2'000, 'x'), 0, /*sync_soon=*/true);
  Add("a little", 0, /*sync_soon=*/true);
  EXPECT_EQ(ZerosEnd(), segment_->size_bytes());
  EXPECT_EQ(*segment_->file().Size(), segment_->size_bytes());
  EXPECT_EQ(static_cast<uint64_t>(writer_->zeroed_bytes()), segment_->size_bytes() - writer_->position());
}

TEST_F(SegmentFiles, ARemovedSegmentComesBackInPiecesWhenNobodyReadsIt) {
  auto second = set_->Create(SegmentId(2), kSegmentBytes);
  ASSERT_TRUE(second.ok());
  set_->Add(*second);
  std::shared_ptr<Segment> reader = set_->Find(SegmentId(1));
  writer_->Resume(*second, kFormatVersion, kSegmentHeaderBytes);
  ASSERT_TRUE(set_->Remove(SegmentId(1)).ok());
  EXPECT_FALSE(std::filesystem::exists(reader->path()));
  EXPECT_TRUE(set_->HasRemoved());
  EXPECT_FALSE(set_->GiveBackSome(kSegmentBytes / 4)) << "it is read";
  EXPECT_EQ(*reader->file().Size(), kSegmentBytes);

  // Another name for the file, to see what is left of it.
  const std::string link = root_ + "/left";
  std::filesystem::create_hard_link(set_->PathOf(SegmentId(2)), link);
  reader.reset();
  EXPECT_FALSE(set_->GiveBackSome(kSegmentBytes)) << "in one piece, and there is no other";
  EXPECT_FALSE(set_->HasRemoved());

  writer_.reset();
  ASSERT_TRUE(set_->Remove(SegmentId(2)).ok());
  second->reset();
  EXPECT_TRUE(set_->GiveBackSome(kSegmentBytes / 4));
  EXPECT_EQ(std::filesystem::file_size(link), kSegmentBytes * 3 / 4);
  EXPECT_TRUE(set_->GiveBackSome(kSegmentBytes / 4));
  EXPECT_TRUE(set_->GiveBackSome(kSegmentBytes / 4));
  EXPECT_FALSE(set_->GiveBackSome(kSegmentBytes / 4));
  EXPECT_EQ(std::filesystem::file_size(link), kSegmentBytes / 4) << "the last piece goes with the file";
  EXPECT_FALSE(set_->HasRemoved());
}

TEST_F(SegmentFiles, AFlippedBitInABodyIsFound) {
  Add("first");
  const auto place = Add("second");
  Flip(place.position + kFixedHeaderBytes + 2);
  SegmentScanner scanner(*set_->Find(SegmentId(1)), kFileSalt, kSegmentHeaderBytes);
  EXPECT_EQ(*scanner.Next(), SegmentScanner::Found::kEntry);
  EXPECT_EQ(*scanner.Next(), SegmentScanner::Found::kBad);
  EXPECT_EQ(scanner.position(), place.position);
}

TEST_F(SegmentFiles, OnlyAnEntryThatVouchesForTheMissingOneProvesAHole) {
  Add("1");
  const auto second = Add("2");
  Add("3", /*durable=*/1);
  auto proof = FindDurabilityProof(All(), second.position, kFileSalt, Sequence(2));
  ASSERT_TRUE(proof.ok());
  EXPECT_FALSE(proof->has_value()) << "3 was written when only 1 was durable: 2 may be torn";
  const auto fourth = Add("4", /*durable=*/2);
  proof = FindDurabilityProof(All(), second.position, kFileSalt, Sequence(2));
  ASSERT_TRUE(proof.ok() && proof->has_value());
  EXPECT_EQ((*proof)->position, fourth.position);
}

TEST_F(SegmentFiles, AProofInALaterSegmentIsFound) {
  const auto first = Add("1");
  uint64_t durable = 0;
  while (set_->Ids().size() == 1) Add(std::string(9'000, 'x'), durable);
  Add("last", /*durable=*/1);
  const auto proof = FindDurabilityProof(All(), first.position, kFileSalt, Sequence(1));
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
