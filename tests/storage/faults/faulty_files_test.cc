// The model of a disk, tried by itself, and what storage/base builds on files.
#include "tests/storage/faults/faulty_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "absl/strings/str_cat.h"

namespace naru::testing {
namespace {

using ::testing::ElementsAre;

class FaultyFilesTest : public ::testing::Test {
 protected:
  FaultyFilesTest() { EXPECT_TRUE(files_.MakeDirectory("d").ok()); }
  std::unique_ptr<File> OpenOk(const std::string& path) { return *files_.Open(path); }
  static absl::Status Write(File& file, uint64_t position, std::string_view bytes) {
    const iovec piece{const_cast<char*>(bytes.data()), bytes.size()};
    return file.Write(position, {&piece, 1});
  }
  // A file that is there for good, with 2,000 times 'a'.
  std::unique_ptr<File> DurableFile() {
    auto file = OpenOk("d/f");
    EXPECT_TRUE(Write(*file, 0, std::string(2'000, 'a')).ok());
    EXPECT_TRUE(file->Sync().ok());
    EXPECT_TRUE(files_.SyncDirectory("d").ok());
    return file;
  }

  FaultyFiles files_;
};

TEST_F(FaultyFilesTest, WhatWasSyncedSurvivesAnyCrash) {
  auto file = DurableFile();
  for (uint32_t seed = 0; seed < 20; ++seed) {
    files_.Restore({static_cast<Survival::Mode>(seed % 4), seed});
    EXPECT_EQ(files_.Contents("d/f"), std::string(2'000, 'a'));
  }
  EXPECT_FALSE(file->Size().ok()) << "files from before a crash are dead";
}

TEST_F(FaultyFilesTest, WhatWasNotSyncedIsLostTornOrMixedBySectors) {
  std::set<std::string> seen;
  for (uint32_t seed = 0; seed < 200; ++seed) {
    files_.Restore({Survival::Mode::kNothing, 0});
    files_.SetContents("d/f", std::string(2'000, 'a'));
    auto file = OpenOk("d/f");
    ASSERT_TRUE(Write(*file, 100, std::string(1'800, 'b')).ok());
    ASSERT_TRUE(Write(*file, 1'000, std::string(500, 'c')).ok());
    files_.Restore({static_cast<Survival::Mode>(seed % 4), seed});
    const std::string contents = files_.Contents("d/f");
    ASSERT_EQ(contents.size(), 2'000u);
    EXPECT_EQ(contents.substr(0, 100), std::string(100, 'a'));
    for (size_t at = 0; at + 1 < contents.size(); ++at) {
      const size_t next = at + 1;
      const bool border = next % 512 == 0 || next == 100 || next == 1'900 || next == 1'000 || next == 1'500;
      if (!border) {
        ASSERT_EQ(contents[at], contents[next]) << "torn inside a sector at " << next;
      }
    }
    seen.insert(contents);
  }
  EXPECT_GT(seen.size(), 10u);
}

TEST_F(FaultyFilesTest, NamesThatWereNotSyncedMayBeLost) {
  std::set<bool> created;
  std::set<std::vector<std::string>> renamed;
  for (uint32_t seed = 0; seed < 100; ++seed) {
    FaultyFiles files;
    ASSERT_TRUE(files.MakeDirectory("d").ok());
    files.SetContents("d/old", "old");
    ASSERT_TRUE((*files.Open("d/new"))->Sync().ok());
    ASSERT_TRUE(files.Rename("d/old", "d/renamed").ok());
    files.Restore({Survival::Mode::kAnyPart, seed});
    created.insert(files.Exists("d/new"));
    std::vector<std::string> names = *files.List("d");
    std::erase(names, "new");
    renamed.insert(names);
  }
  EXPECT_EQ(created.size(), 2u) << "syncing a file does not make its name durable";
  EXPECT_THAT(renamed, ElementsAre(ElementsAre("old"), ElementsAre("renamed")))
      << "a rename is all or nothing";
}

TEST_F(FaultyFilesTest, ThePowerGoesAtTheOperationThatWasNamed) {
  auto file = DurableFile();
  files_.CutPowerAt(files_.operations() + 2);
  EXPECT_TRUE(Write(*file, 0, "x").ok());
  EXPECT_FALSE(file->Sync().ok());
  EXPECT_TRUE(files_.power_is_off());
  EXPECT_FALSE(Write(*file, 1, "y").ok());
  EXPECT_FALSE(files_.Open("d/g").ok());
  EXPECT_FALSE(files_.List("d").ok());
  files_.Restore({Survival::Mode::kNothing, 1});
  EXPECT_EQ(files_.Contents("d/f").substr(0, 2), "aa") << "the sync did not happen";
  EXPECT_TRUE(files_.Open("d/g").ok());
}

TEST_F(FaultyFilesTest, OneOperationFailsOrTheDiskIsFull) {
  auto file = DurableFile();
  files_.FailAt(files_.operations() + 1);
  EXPECT_EQ(Write(*file, 0, "x").code(), absl::StatusCode::kInternal);
  EXPECT_TRUE(Write(*file, 0, "x").ok());
  files_.SetCapacity(2'100);
  EXPECT_TRUE(Write(*file, 2'000, std::string(100, 'x')).ok());
  EXPECT_EQ(Write(*file, 2'100, "x").code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(file->Preallocate(5'000).code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(files_.Space("d")->available_bytes, 0u);
  files_.FailReads("d/f");
  char c;
  EXPECT_FALSE(file->Read(0, &c, 1).ok());
  files_.FailReads(std::nullopt);
  EXPECT_TRUE(file->Read(0, &c, 1).ok());
}

TEST_F(FaultyFilesTest, LocksEndWithTheirHolderOrTheCrash) {
  auto lock = files_.LockDirectory("d");
  ASSERT_TRUE(lock.ok());
  EXPECT_EQ(files_.LockDirectory("d").status().code(), absl::StatusCode::kFailedPrecondition);
  files_.Restore({});
  auto after = files_.LockDirectory("d");
  ASSERT_TRUE(after.ok());
  lock->reset();  // a dead one, which no longer holds anything
  EXPECT_FALSE(files_.LockDirectory("d").ok());
  after->reset();
  EXPECT_TRUE(files_.LockDirectory("d").ok());
}

TEST_F(FaultyFilesTest, AReplacedFileIsOldOrNewWhereverThePowerGoes) {
  ASSERT_TRUE(ReplaceFile(files_, "d/state", std::string(3'000, '1')).ok());
  const int64_t before = files_.operations();
  ASSERT_TRUE(ReplaceFile(files_, "d/state", std::string(3'000, '1')).ok());
  const int64_t operations = files_.operations() - before;
  for (int64_t cut = 1; cut <= operations + 1; ++cut) {
    for (uint32_t seed = 0; seed < 40; ++seed) {
      FaultyFiles files;
      ASSERT_TRUE(files.MakeDirectory("d").ok());
      ASSERT_TRUE(ReplaceFile(files, "d/state", std::string(3'000, '1')).ok());
      files.CutPowerAt(files.operations() + cut);
      const absl::Status replaced = ReplaceFile(files, "d/state", std::string(4'000, '2'));
      files.Restore({static_cast<Survival::Mode>(seed % 4), seed});
      const absl::StatusOr<std::string> contents = ReadWholeFile(files, "d/state");
      ASSERT_TRUE(contents.ok()) << contents.status();
      if (replaced.ok()) {
        EXPECT_EQ(*contents, std::string(4'000, '2'));
      } else {
        EXPECT_TRUE(*contents == std::string(3'000, '1') || *contents == std::string(4'000, '2'))
            << "cut at " << cut << ", seed " << seed;
      }
    }
  }
}

}  // namespace
}  // namespace naru::testing
