#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <random>
#include <thread>

#include "storage/base/files.h"
#include "storage/base/strings.h"

namespace naru {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class PosixFilesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/naru-files-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    directory_ = name;
  }
  void TearDown() override { EXPECT_TRUE(files_.RemoveTree(directory_).ok()); }

  std::string Path(std::string_view name) const { return absl::StrCat(directory_, "/", name); }
  std::unique_ptr<File> OpenOk(const std::string& path) {
    absl::StatusOr<std::unique_ptr<File>> file = files_.Open(path);
    EXPECT_TRUE(file.ok()) << file.status();
    return *std::move(file);
  }
  static absl::Status Write(File& file, uint64_t position, std::string_view bytes) {
    const iovec piece{const_cast<char*>(bytes.data()), bytes.size()};
    return file.Write(position, {&piece, 1});
  }
  static std::string Read(const File& file, uint64_t position, size_t length) {
    std::string bytes(length, '?');
    const absl::StatusOr<size_t> read = file.Read(position, bytes.data(), length);
    EXPECT_TRUE(read.ok()) << read.status();
    bytes.resize(read.value_or(0));
    return bytes;
  }

  FileSystem& files_ = PosixFileSystem();
  std::string directory_;
};

TEST_F(PosixFilesTest, WhatIsWrittenIsRead) {
  const auto file = OpenOk(Path("a"));
  ASSERT_TRUE(Write(*file, 0, "hello").ok());
  ASSERT_TRUE(Write(*file, 10, "world").ok());
  EXPECT_EQ(Read(*file, 0, 5), "hello");
  EXPECT_EQ(Read(*file, 5, 5), std::string(5, '\0'));
  EXPECT_EQ(Read(*file, 12, 100), "rld") << "less only at the end of the file";
  EXPECT_EQ(Read(*file, 100, 5), "");
  EXPECT_EQ(*file->Size(), 15u);
  EXPECT_TRUE(file->SyncData().ok());
  EXPECT_TRUE(file->Sync().ok());
  EXPECT_EQ(Read(*OpenOk(Path("a")), 0, 5), "hello");
}

TEST_F(PosixFilesTest, ManyPiecesOfAllSizesAreWrittenInOrder) {
  std::mt19937 random(1);
  std::string expected;
  std::vector<std::string> pieces;
  for (int i = 0; i < 3'000; ++i) {  // more than a system call takes at once
    const size_t size =
        i % 500 == 0 ? 700'000 : random() % 90;  // some empty, some larger than a call's share
    pieces.emplace_back(size, static_cast<char>('a' + i % 26));
    expected += pieces.back();
  }
  std::vector<iovec> raw;
  for (std::string& piece : pieces) raw.push_back({piece.data(), piece.size()});
  const auto file = OpenOk(Path("a"));
  ASSERT_TRUE(file->Write(123, raw).ok());
  EXPECT_EQ(*file->Size(), 123 + expected.size());
  EXPECT_TRUE(Read(*file, 123, expected.size()) == expected);
  EXPECT_TRUE(file->Write(0, {}).ok()) << "nothing is written without ado";
}

TEST_F(PosixFilesTest, ShortWritesAreCompletedOrSayWhy) {
  // A file size limit makes the system write up to it, and fail the rest.
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{10'000, 10'000};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    const auto file = files_.Open(Path("short"));
    const absl::Status status = Write(**file, 0, std::string(20'000, 'x'));
    const bool named = status.message().find("pwritev at 10000") != absl::string_view::npos;
    ::_exit(!status.ok() && named ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  EXPECT_EQ(*OpenOk(Path("short"))->Size(), 10'000u);
}

TEST_F(PosixFilesTest, PreallocatedSpaceIsRealAndReadsAsZeros) {
  const auto file = OpenOk(Path("a"));
  ASSERT_TRUE(Write(*file, 0, "head").ok());
  ASSERT_TRUE(file->Preallocate(1 << 20).ok());
  EXPECT_EQ(*file->Size(), uint64_t{1} << 20);
  EXPECT_EQ(Read(*file, 0, 6), std::string("head\0\0", 6));
  EXPECT_EQ(Read(*file, (1 << 20) - 3, 10), std::string(3, '\0'));
  struct stat found;
  ASSERT_EQ(::stat(Path("a").c_str(), &found), 0);
  EXPECT_GE(found.st_blocks * 512, 1 << 20) << "blocks are reserved, not a hole";
  ASSERT_TRUE(file->Preallocate(10).ok());
  EXPECT_EQ(*file->Size(), uint64_t{1} << 20) << "it never shrinks";
}

TEST_F(PosixFilesTest, WhatNobodyWroteIsPassedOver) {
  constexpr uint64_t kSize = 8 << 20;
  const auto file = OpenOk(Path("a"));
  ASSERT_TRUE(file->Preallocate(kSize).ok());
  constexpr uint64_t kWritten = 5'000'000;
  ASSERT_TRUE(Write(*file, kWritten, "x").ok());
  // A file system that knows nothing says 0 every time.
  const uint64_t first = *file->NextData(0);
  EXPECT_LE(first, kWritten);
  EXPECT_EQ(*file->NextData(kWritten), kWritten);
  const uint64_t behind = *file->NextData(kWritten + (1 << 20));
  EXPECT_GE(behind, kWritten + (1 << 20));
  EXPECT_LE(behind, kSize);
  EXPECT_EQ(*file->NextData(kSize), kSize);
  EXPECT_EQ(*file->NextData(kSize + 1), kSize + 1);
  ASSERT_TRUE(file->SyncData().ok());
  EXPECT_LE(*file->NextData(0), kWritten);
  EXPECT_EQ(*file->NextData(kWritten), kWritten);
}

TEST_F(PosixFilesTest, TruncateCutsAndExtends) {
  const auto file = OpenOk(Path("a"));
  ASSERT_TRUE(Write(*file, 0, "0123456789").ok());
  ASSERT_TRUE(file->Truncate(4).ok());
  EXPECT_EQ(Read(*file, 0, 100), "0123");
  ASSERT_TRUE(file->Truncate(6).ok());
  EXPECT_EQ(Read(*file, 0, 100), std::string("0123\0\0", 6));
}

TEST_F(PosixFilesTest, HintsDoNoHarm) {
  const auto file = OpenOk(Path("a"));
  ASSERT_TRUE(Write(*file, 0, std::string(100'000, 'x')).ok());
  file->StartWriteback(0, 100'000);
  file->DropCache(0, 100'000);
  EXPECT_EQ(Read(*file, 99'999, 5), "x");
}

TEST_F(PosixFilesTest, AMissingFileIsNotFoundAndNamed) {
  const auto missing = files_.OpenForRead(Path("missing"));
  ASSERT_EQ(missing.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(missing.status().message()), HasSubstr(Path("missing")));
  EXPECT_THAT(std::string(missing.status().message()), HasSubstr("open for reading"));
  EXPECT_THAT(std::string(missing.status().message()), HasSubstr("No such file"));
  EXPECT_EQ(files_.Open(Path("no/such/directory")).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(files_.List(Path("missing")).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(files_.Remove(Path("missing")).code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(files_.Rename(Path("missing"), Path("b")).code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(files_.Space(Path("missing")).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(files_.SyncDirectory(Path("missing")).code(), absl::StatusCode::kNotFound);
  EXPECT_FALSE(files_.Exists(Path("missing")));
}

TEST_F(PosixFilesTest, AFullDiskIsResourceExhausted) {
  const auto full = files_.Open("/dev/full");
  ASSERT_TRUE(full.ok()) << full.status();
  const absl::Status status = Write(**full, 0, "x");
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("/dev/full: pwritev"));
}

TEST_F(PosixFilesTest, AFileOpenedForReadingRefusesWrites) {
  OpenOk(Path("a"));
  const auto file = files_.OpenForRead(Path("a"));
  ASSERT_TRUE(file.ok());
  EXPECT_FALSE(Write(**file, 0, "x").ok());
}

TEST_F(PosixFilesTest, DirectoriesAreMadeListedAndRemoved) {
  ASSERT_TRUE(files_.MakeDirectory(Path("a/b/c")).ok());
  EXPECT_TRUE(files_.MakeDirectory(Path("a/b/c")).ok());
  OpenOk(Path("a/z"));
  OpenOk(Path("a/y"));
  EXPECT_THAT(*files_.List(Path("a")), ElementsAre("b", "y", "z"));
  EXPECT_TRUE(files_.SyncDirectory(Path("a")).ok());
  ASSERT_TRUE(files_.Rename(Path("a/z"), Path("a/x")).ok());
  ASSERT_TRUE(files_.Remove(Path("a/y")).ok());
  EXPECT_THAT(*files_.List(Path("a")), ElementsAre("b", "x"));
  EXPECT_FALSE(files_.Remove(Path("a")).ok()) << "not with something in it";
  ASSERT_TRUE(files_.RemoveTree(Path("a")).ok());
  EXPECT_FALSE(files_.Exists(Path("a")));
  EXPECT_TRUE(files_.RemoveTree(Path("a")).ok());
}

TEST_F(PosixFilesTest, AnOpenFileOutlivesItsName) {
  const auto file = OpenOk(Path("a"));
  ASSERT_TRUE(Write(*file, 0, "still here").ok());
  ASSERT_TRUE(files_.Remove(Path("a")).ok());
  EXPECT_EQ(Read(*file, 0, 100), "still here");
}

TEST_F(PosixFilesTest, SpaceIsThatOfTheDisk) {
  const auto space = files_.Space(directory_);
  ASSERT_TRUE(space.ok());
  EXPECT_GT(space->total_bytes, 0u);
  EXPECT_LE(space->available_bytes, space->total_bytes);
}

TEST_F(PosixFilesTest, ReadsRunBesideAWrite) {
  const auto file = OpenOk(Path("a"));
  ASSERT_TRUE(file->Preallocate(1 << 20).ok());
  ASSERT_TRUE(Write(*file, 0, std::string(1'000, 'a')).ok());
  std::atomic<bool> stop = false;
  std::thread reader([&] {
    while (!stop) ASSERT_EQ(Read(*file, 0, 1'000), std::string(1'000, 'a'));
  });
  for (uint64_t i = 1; i < 500; ++i) ASSERT_TRUE(Write(*file, i * 1'000, std::string(1'000, 'b')).ok());
  stop = true;
  reader.join();
}

TEST_F(PosixFilesTest, ASecondLockInTheProcessIsRefused) {
  auto lock = files_.LockDirectory(directory_);
  ASSERT_TRUE(lock.ok()) << lock.status();
  const auto second = files_.LockDirectory(directory_);
  ASSERT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(second.status().message()),
              HasSubstr(absl::StrCat("this process (", ::getpid(), ")")));
  lock->reset();
  EXPECT_TRUE(files_.LockDirectory(directory_).ok());
}

TEST_F(PosixFilesTest, ALockOfAnotherProcessIsRefusedAndNamedUntilItDies) {
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const auto lock = files_.LockDirectory(directory_);
    [[maybe_unused]] const ssize_t told = ::write(ready[1], lock.ok() ? "y" : "n", 1);
    for (;;) ::pause();
  }
  char answer = 0;
  ASSERT_EQ(::read(ready[0], &answer, 1), 1);
  ASSERT_EQ(answer, 'y');
  const auto refused = files_.LockDirectory(directory_);
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kFailedPrecondition);
  const std::string message(refused.status().message());
  EXPECT_THAT(message, HasSubstr(absl::StrCat("process ", child)));
  EXPECT_THAT(message, HasSubstr(directory_));
  EXPECT_THAT(message, HasSubstr("stop it, or choose another data directory"));
  ::kill(child, SIGKILL);
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  EXPECT_TRUE(files_.LockDirectory(directory_).ok()) << "the dead hold no locks";
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST_F(PosixFilesTest, AWholeFileIsReadUpToABound) {
  ASSERT_TRUE(Write(*OpenOk(Path("a")), 0, "contents").ok());
  EXPECT_EQ(*ReadWholeFile(files_, Path("a")), "contents");
  EXPECT_EQ(*ReadWholeFile(files_, Path("a"), 8), "contents");
  EXPECT_EQ(ReadWholeFile(files_, Path("a"), 7).status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ReadWholeFile(files_, Path("b")).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(PosixFilesTest, AReplacedFileIsTheNewOneAloneAndNothingIsLeftBeside) {
  ASSERT_TRUE(ReplaceFile(files_, Path("a"), "first and longer").ok());
  ASSERT_TRUE(ReplaceFile(files_, Path("a"), "second").ok());
  EXPECT_EQ(*ReadWholeFile(files_, Path("a")), "second");
  EXPECT_THAT(*files_.List(directory_), ElementsAre("a"));
  ASSERT_TRUE(Write(*OpenOk(Path("b.new")), 0, "left by a crash, and longer than what follows").ok());
  ASSERT_TRUE(ReplaceFile(files_, Path("b"), "new").ok());
  EXPECT_EQ(*ReadWholeFile(files_, Path("b")), "new");
}

}  // namespace
}  // namespace naru
