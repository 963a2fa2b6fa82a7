#include "cluster/metadata/topic_config.h"

#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/base/status.h"

namespace naru::cluster {
namespace {

using ::testing::HasSubstr;
using ConfigMessage = naru::v1::TopicConfig;

constexpr TopicConfigLimits kLimits{.record_bytes_max = 2 << 20, .replication_factor = 3};

google::protobuf::FieldMask Mask(const std::vector<std::string>& paths) {
  google::protobuf::FieldMask mask;
  for (const std::string& path : paths) mask.add_paths(path);
  return mask;
}

ConfigMessage Everything() {
  ConfigMessage message;
  message.set_retention_ms(1);
  message.set_retention_bytes(2);
  message.set_cleanup_policy(naru::v1::CLEANUP_POLICY_COMPACT_AND_DELETE);
  message.set_max_record_bytes(3);
  message.set_min_in_sync_replicas(2);
  message.set_durability(naru::v1::DURABILITY_BACKGROUND);
  message.set_timestamp_type(naru::v1::TIMESTAMP_TYPE_APPEND_TIME);
  message.set_delete_retention_ms(0);
  message.set_min_compaction_lag_ms(4);
  message.set_min_cleanable_dirty_ratio(0.25);
  return message;
}

TEST(TopicConfigTest, AbsentFieldsTakeTheDocumentedDefaults) {
  const TopicConfig config = *MakeTopicConfig(ConfigMessage(), kLimits);
  EXPECT_EQ(config.retention_ms, 604'800'000);
  EXPECT_EQ(config.retention_bytes, -1);
  EXPECT_EQ(config.record_bytes_max, 1'048'576);
  EXPECT_EQ(config.min_in_sync_replicas, 2) << "of three";
  EXPECT_EQ(config.durability, Durability::kFsync);
  EXPECT_FALSE(config.append_time_stamped);
}

TEST(TopicConfigTest, WithFewerThanThreeCopiesOneInSyncIsEnoughByDefault) {
  EXPECT_EQ(*MakeTopicConfig(ConfigMessage(), {.replication_factor = 1}), TopicConfig());
  EXPECT_EQ(MakeTopicConfig(ConfigMessage(), {.replication_factor = 2})->min_in_sync_replicas, 1);
}

TEST(TopicConfigTest, ADefaultNeverPassesTheBrokersOwnLimit) {
  EXPECT_EQ(MakeTopicConfig(ConfigMessage(), {.record_bytes_max = 1'000})->record_bytes_max, 1'000);
}

TEST(TopicConfigTest, EveryFieldTravelsBothWays) {
  const ConfigMessage message = Everything();
  const TopicConfig config = *MakeTopicConfig(message, kLimits);
  EXPECT_EQ(config.retention_ms, 1);
  EXPECT_EQ(config.durability, Durability::kBackground);
  EXPECT_TRUE(config.append_time_stamped);
  EXPECT_EQ(ToMessage(config).SerializeAsString(), message.SerializeAsString());
}

TEST(TopicConfigTest, WhatIsReadHasEveryFieldSet) {
  const ConfigMessage message = ToMessage(TopicConfig());
  EXPECT_TRUE(message.has_retention_ms() && message.has_retention_bytes() && message.has_max_record_bytes() &&
              message.has_min_in_sync_replicas() && message.has_delete_retention_ms() &&
              message.has_min_compaction_lag_ms() && message.has_min_cleanable_dirty_ratio());
  EXPECT_NE(message.cleanup_policy(), naru::v1::CLEANUP_POLICY_UNSPECIFIED);
  EXPECT_NE(message.durability(), naru::v1::DURABILITY_UNSPECIFIED);
  EXPECT_NE(message.timestamp_type(), naru::v1::TIMESTAMP_TYPE_UNSPECIFIED);
}

TEST(TopicConfigTest, RetentionAppliesUnlessCompactionAloneIsAskedFor) {
  for (const auto policy :
       {CleanupPolicy::kDelete, CleanupPolicy::kCompact, CleanupPolicy::kCompactAndDelete}) {
    TopicConfig config;
    config.retention_ms = 5;
    config.retention_bytes = 6;
    config.cleanup_policy = policy;
    const LogSettings settings = config.ToLogSettings();
    const bool retained = policy != CleanupPolicy::kCompact;
    EXPECT_EQ(settings.retention_ms, retained ? 5 : -1);
    EXPECT_EQ(settings.retention_bytes, retained ? 6 : -1);
    EXPECT_EQ(settings.compact, policy != CleanupPolicy::kDelete);
  }
}

TEST(TopicConfigTest, AnErrorNamesTheFieldItsValueAndWhatIsAllowed) {
  struct Case {
    std::function<void(ConfigMessage&)> set;
    std::string field, value, allowed;
  };
  const std::vector<Case> cases = {
      {[](ConfigMessage& m) { m.set_retention_ms(0); }, "config.retention_ms", "0",
       "-1 (never delete by age), or 1"},
      {[](ConfigMessage& m) { m.set_retention_ms(-2); }, "config.retention_ms", "-2",
       "-1 (never delete by age), or 1"},
      {[](ConfigMessage& m) { m.set_retention_bytes(0); }, "config.retention_bytes", "0",
       "-1 (no bound), or 1"},
      {[](ConfigMessage& m) { m.set_cleanup_policy(naru::v1::CleanupPolicy(9)); }, "config.cleanup_policy",
       "9", "CLEANUP_POLICY_DELETE"},
      {[](ConfigMessage& m) { m.set_max_record_bytes(0); }, "config.max_record_bytes", "0", "1 to 2097152"},
      {[](ConfigMessage& m) { m.set_max_record_bytes(2'097'153); }, "config.max_record_bytes", "2097153",
       "1 to 2097152"},
      {[](ConfigMessage& m) { m.set_min_in_sync_replicas(4); }, "config.min_in_sync_replicas", "4", "1 to 3"},
      {[](ConfigMessage& m) { m.set_min_in_sync_replicas(0); }, "config.min_in_sync_replicas", "0", "1 to 3"},
      {[](ConfigMessage& m) { m.set_durability(naru::v1::Durability(7)); }, "config.durability", "7",
       "DURABILITY_FSYNC, DURABILITY_BACKGROUND"},
      {[](ConfigMessage& m) { m.set_timestamp_type(naru::v1::TimestampType(-1)); }, "config.timestamp_type",
       "-1", "TIMESTAMP_TYPE_CREATE_TIME, TIMESTAMP_TYPE_APPEND_TIME"},
      {[](ConfigMessage& m) { m.set_delete_retention_ms(-1); }, "config.delete_retention_ms", "-1",
       "0 and more"},
      {[](ConfigMessage& m) { m.set_min_compaction_lag_ms(-1); }, "config.min_compaction_lag_ms", "-1",
       "0 and more"},
      {[](ConfigMessage& m) { m.set_min_cleanable_dirty_ratio(1.5); }, "config.min_cleanable_dirty_ratio",
       "1.5", "0 to 1"},
      {[](ConfigMessage& m) { m.set_min_cleanable_dirty_ratio(NAN); }, "config.min_cleanable_dirty_ratio",
       "nan", "0 to 1"},
  };
  for (const Case& c : cases) {
    ConfigMessage message;
    c.set(message);
    for (const absl::Status& status :
         {MakeTopicConfig(message, kLimits).status(),
          UpdateTopicConfig(TopicConfig(), message, Mask({c.field.substr(7)}), kLimits).status()}) {
      EXPECT_EQ(ReasonOf(status), Reason::kInvalidField) << c.field;
      EXPECT_EQ(MetadataValue(status, "field"), c.field);
      EXPECT_EQ(MetadataValue(status, "value"), c.value);
      EXPECT_THAT(std::string(status.message()), HasSubstr(c.allowed));
    }
  }
}

TEST(TopicConfigTest, AnEmptyMaskTakesTheFieldsThatAreSet) {
  TopicConfig current = *MakeTopicConfig(Everything(), kLimits);
  ConfigMessage message;
  message.set_retention_ms(50);
  message.set_durability(naru::v1::DURABILITY_FSYNC);
  TopicConfig expected = current;
  expected.retention_ms = 50;
  expected.durability = Durability::kFsync;
  EXPECT_EQ(*UpdateTopicConfig(current, message, {}, kLimits), expected);
  EXPECT_EQ(*UpdateTopicConfig(current, ConfigMessage(), {}, kLimits), current);
}

TEST(TopicConfigTest, AMaskTakesOnlyItsFieldsAndResetsThoseThatAreNotSet) {
  const TopicConfig current = *MakeTopicConfig(Everything(), kLimits);
  ConfigMessage message;
  message.set_retention_ms(50);
  message.set_retention_bytes(60);
  TopicConfig expected = current;
  expected.retention_ms = 50;
  expected.durability = Durability::kFsync;
  expected.record_bytes_max = 1 << 20;
  EXPECT_EQ(
      *UpdateTopicConfig(current, message, Mask({"retention_ms", "durability", "max_record_bytes"}), kLimits),
      expected);
}

TEST(TopicConfigTest, AValueOutsideTheMaskIsNotLookedAt) {
  ConfigMessage message;
  message.set_retention_bytes(0);
  EXPECT_TRUE(UpdateTopicConfig(TopicConfig(), message, Mask({"retention_ms"}), kLimits).ok());
}

TEST(TopicConfigTest, AMaskWithAnUnknownPathIsRefusedWithTheKnownOnes) {
  for (const std::string path : {"config.retention_ms", "retention", "*", ""}) {
    const absl::Status status =
        UpdateTopicConfig(TopicConfig(), ConfigMessage(), Mask({"retention_ms", path}), kLimits).status();
    EXPECT_EQ(ReasonOf(status), Reason::kInvalidField);
    EXPECT_EQ(MetadataValue(status, "field"), "update_mask");
    EXPECT_THAT(std::string(status.message()), HasSubstr("retention_ms, retention_bytes, cleanup_policy"));
  }
}

}  // namespace
}  // namespace naru::cluster
