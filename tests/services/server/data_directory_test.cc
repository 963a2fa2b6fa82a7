#include "services/server/data_directory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace naru::services {
namespace {

using ::testing::HasSubstr;

class DataDirectoryTest : public ::testing::Test {
 protected:
  DataDirectoryTest() {
    std::string name = (std::filesystem::temp_directory_path() / "naru-directory-XXXXXX").string();
    path_ = mkdtemp(name.data());
  }
  ~DataDirectoryTest() override { std::filesystem::remove_all(path_); }
  absl::StatusOr<DataDirectory> Open() { return DataDirectory::Open(path_, PosixFileSystem()); }
  std::string path_;
};

TEST_F(DataDirectoryTest, AMissingDirectoryIsMadeAndOpensAgain) {
  path_ += "/deep/down";
  EXPECT_TRUE(Open().ok());
  EXPECT_TRUE(Open().ok());
}

TEST_F(DataDirectoryTest, ASecondHolderIsRefusedAndTheFirstIsNamed) {
  const auto first = Open();
  ASSERT_TRUE(first.ok()) << first.status();
  const auto second = Open();
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(second.status().message(), HasSubstr(std::to_string(getpid())));
}

TEST_F(DataDirectoryTest, ADirectoryOfSomethingElseIsRefusedAndLeftAlone) {
  std::ofstream(path_ + "/thesis.txt") << "precious";
  const auto opened = Open();
  EXPECT_EQ(opened.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(opened.status().message(), HasSubstr("thesis.txt"));
  EXPECT_FALSE(std::filesystem::exists(path_ + "/lock"));
}

TEST_F(DataDirectoryTest, ADisksRootDirectoryIsAsGoodAsEmpty) {
  std::filesystem::create_directory(path_ + "/lost+found");
  EXPECT_TRUE(Open().ok());
}

TEST_F(DataDirectoryTest, AnotherFormatIsRefused) {
  ASSERT_TRUE(Open().ok());
  std::ofstream(path_ + "/format") << "naru data directory, format 2\n";
  const auto opened = Open();
  EXPECT_EQ(opened.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(opened.status().message(), HasSubstr("format 2"));
}

}  // namespace
}  // namespace naru::services
