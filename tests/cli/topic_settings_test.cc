#include "tools/cli/topic_settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "storage/base/status.h"

namespace naru::cli {
namespace {

using ::testing::HasSubstr;

TEST(TopicSettings, EveryFieldCanBeSet) {
  naru::v1::TopicConfig config;
  for (const char* setting : {"retention_ms=7d", "retention_bytes=1GiB", "cleanup_policy=compact_and_delete",
                              "max_record_bytes=2MiB", "min_in_sync_replicas=2", "durability=background",
                              "timestamp_type=append_time", "delete_retention_ms=1h",
                              "min_compaction_lag_ms=5m", "min_cleanable_dirty_ratio=0.25"}) {
    EXPECT_TRUE(ApplySetting(setting, config).ok()) << setting;
  }
  EXPECT_EQ(config.retention_ms(), 604'800'000);
  EXPECT_EQ(config.retention_bytes(), 1 << 30);
  EXPECT_EQ(config.cleanup_policy(), naru::v1::CLEANUP_POLICY_COMPACT_AND_DELETE);
  EXPECT_EQ(config.max_record_bytes(), 2 << 20);
  EXPECT_EQ(config.min_in_sync_replicas(), 2);
  EXPECT_EQ(config.durability(), naru::v1::DURABILITY_BACKGROUND);
  EXPECT_EQ(config.timestamp_type(), naru::v1::TIMESTAMP_TYPE_APPEND_TIME);
  EXPECT_EQ(config.delete_retention_ms(), 3'600'000);
  EXPECT_EQ(config.min_compaction_lag_ms(), 300'000);
  EXPECT_EQ(config.min_cleanable_dirty_ratio(), 0.25);
  EXPECT_EQ(DescribeSettings(config).size(), 10u) << "this test names every field there is";
}

TEST(TopicSettings, MinusOneIsNoBound) {
  naru::v1::TopicConfig config;
  ASSERT_TRUE(ApplySetting("retention_ms=-1", config).ok());
  EXPECT_EQ(config.retention_ms(), -1);
}

TEST(TopicSettings, WhatIsWrongIsNamedWithWhatIsAllowed) {
  naru::v1::TopicConfig config;
  EXPECT_THAT(std::string(ApplySetting("retention=1", config).message()), HasSubstr("retention_ms"));
  EXPECT_THAT(std::string(ApplySetting("retention_ms", config).message()), HasSubstr("key=value"));
  EXPECT_THAT(std::string(ApplySetting("retention_ms=soon", config).message()), HasSubstr("7d"));
  EXPECT_THAT(std::string(ApplySetting("durability=maybe", config).message()),
              HasSubstr("fsync or background"));
  EXPECT_THAT(std::string(ApplySetting("durability=", config).message()), HasSubstr("fsync or background"));
  EXPECT_FALSE(ApplySetting("max_record_bytes=9GiB", config).ok()) << "does not fit";
  EXPECT_EQ(config.ByteSizeLong(), 0u) << "nothing was set";
}

TEST(TopicSettings, WhatIsDescribedCanBeAppliedAgain) {
  naru::v1::TopicConfig config, copy;
  for (const char* setting :
       {"retention_ms=12h", "retention_bytes=-1", "cleanup_policy=compact", "max_record_bytes=1",
        "min_in_sync_replicas=1", "durability=fsync", "timestamp_type=create_time", "delete_retention_ms=0",
        "min_compaction_lag_ms=0", "min_cleanable_dirty_ratio=0.3"}) {
    ASSERT_TRUE(ApplySetting(setting, config).ok());
  }
  for (const auto& [key, value] : DescribeSettings(config))
    ASSERT_TRUE(ApplySetting(key + "=" + value, copy).ok());
  EXPECT_EQ(copy.SerializeAsString(), config.SerializeAsString());
}

}  // namespace
}  // namespace naru::cli
