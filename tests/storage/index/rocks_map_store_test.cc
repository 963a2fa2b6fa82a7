#include "storage/index/rocks_map_store.h"

#include <gtest/gtest.h>

#include <filesystem>

namespace naru {
namespace {

class RocksMapStoreTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "naru-map-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    root_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(root_); }

  std::unique_ptr<OrderedMapStore> Open() {
    auto store = OpenRocksMapStore(root_ + "/a/metadata", events_);
    EXPECT_TRUE(store.ok()) << store.status();
    return store.ok() ? *std::move(store) : nullptr;
  }

  NullEventLog events_;
  std::string root_;
};

TEST_F(RocksMapStoreTest, WhatWasWrittenIsThereAfterOpeningAgain) {
  {
    auto store = Open();
    ASSERT_TRUE(store->Write({{"a", "1"}, {"b", "2"}}).ok());
    ASSERT_TRUE(store->Write({{"a", std::nullopt}, {"c", "3"}}).ok());
  }
  auto store = Open();
  EXPECT_EQ(*store->Get("a"), std::nullopt);
  EXPECT_EQ(*store->Get("b"), "2");
  EXPECT_EQ(*store->Get("c"), "3");
}

TEST_F(RocksMapStoreTest, ScanVisitsExactlyTheKeysWithThePrefixInByteOrder) {
  auto store = Open();
  ASSERT_TRUE(store->Write({{"t/2", "y"}, {"t/1", "x"}, {"t", "no"}, {"u/1", "no"}, {"t/\xff", "z"}}).ok());
  std::string seen;
  ASSERT_TRUE(store->Scan("t/", [&](std::string_view, std::string_view value) { seen.append(value); }).ok());
  EXPECT_EQ(seen, "xyz");
}

TEST_F(RocksMapStoreTest, ASecondHolderIsRefused) {
  auto store = Open();
  EXPECT_EQ(OpenRocksMapStore(root_ + "/a/metadata", events_).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace naru
