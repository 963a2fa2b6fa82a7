#include "services/server/damaged_store.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "cluster/metadata/broker_identity.h"
#include "storage/base/event_log.h"
#include "storage/base/files.h"
#include "storage/base/status.h"
#include "storage/index/rocks_map_store.h"

namespace naru::services {
namespace {

class DamagedStoreTest : public ::testing::Test {
 protected:
  DamagedStoreTest() {
    std::string name = (std::filesystem::temp_directory_path() / "naru-damaged-XXXXXX").string();
    path_ = mkdtemp(name.data());
  }
  ~DamagedStoreTest() override { std::filesystem::remove_all(path_); }

  void MakeStore(const std::string& what) const {
    std::filesystem::create_directories(path_ / "data/store");
    std::ofstream(path_ / "data/store/segment") << what;
  }
  std::string Read(const std::string& file) const {
    std::ifstream from(path_ / "data" / file);
    return {std::istreambuf_iterator<char>(from), {}};
  }

  std::filesystem::path path_;
  NullEventLog events_;
};

TEST_F(DamagedStoreTest, ItIsKeptAndTheBrokerClaimsNothingOfIt) {
  auto directory = DataDirectory::Open(path_ / "data", PosixFileSystem());
  ASSERT_TRUE(directory.ok()) << directory.status();
  auto metadata = OpenRocksMapStore(directory->metadata_path(), events_);
  ASSERT_TRUE(metadata.ok()) << metadata.status();
  const auto before = cluster::LoadOrMakeBrokerIdentity(**metadata, BrokerId(3));
  ASSERT_TRUE(before.ok());
  const absl::Status damage = MakeError(Reason::kCorruptData, "a segment fails its checksum");
  for (const int round : {1, 2}) {
    MakeStore(std::to_string(round));
    ASSERT_TRUE(
        SetDamagedStoreAside(*directory, BrokerId(3), **metadata, PosixFileSystem(), events_, damage).ok());
    EXPECT_FALSE(std::filesystem::exists(path_ / "data/store"));
  }
  EXPECT_EQ(Read("damaged-1/segment"), "1");
  EXPECT_EQ(Read("damaged-2/segment"), "2") << "an older one is not overwritten";
  const auto after = cluster::LoadOrMakeBrokerIdentity(**metadata, BrokerId(3));
  ASSERT_TRUE(after.ok());
  EXPECT_EQ(after->broker, BrokerId(3));
  EXPECT_NE(after->incarnation, before->incarnation) << "to the coordinator it is another disk";
}

}  // namespace
}  // namespace naru::services
