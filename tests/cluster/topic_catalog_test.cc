#include "cluster/metadata/topic_catalog.h"

#include <memory>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/base/status.h"

namespace naru::cluster {
namespace {

using ::testing::HasSubstr;

std::string MessageOf(const absl::Status& status) { return std::string(status.message()); }

TopicCatalog OneTopic() {
  auto topic = std::make_shared<TopicInfo>();
  topic->name = "orders";
  topic->topic_id = std::string(16, 'i');
  topic->partitions.resize(3);
  topic->partitions[2].log = LogId(7);
  TopicCatalog catalog;
  catalog.topics.emplace("orders", topic);
  return catalog;
}

TEST(TopicCatalogTest, FindsATopicByNameAndById) {
  const TopicCatalog catalog = OneTopic();
  ASSERT_TRUE(catalog.Find("orders").ok());
  EXPECT_EQ((*catalog.Find("orders", std::string(16, 'i')))->name, "orders");
}

TEST(TopicCatalogTest, AnUnknownTopicIsToldWithTheCommandThatCreatesIt) {
  const absl::Status status = OneTopic().Find("order").status();
  EXPECT_EQ(ReasonOf(status), Reason::kTopicNotFound);
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(MessageOf(status), HasSubstr("naru topic create order --partitions N"));
  EXPECT_EQ(MetadataValue(status, "topic"), "order");
}

TEST(TopicCatalogTest, AnotherTopicsIdIsAMismatchThatTellsTheTopicsOwn) {
  const absl::Status status = OneTopic().Find("orders", std::string(16, 'x')).status();
  EXPECT_EQ(ReasonOf(status), Reason::kTopicIdMismatch);
  EXPECT_EQ(MetadataValue(status, "topic_id"), "69696969696969696969696969696969");
}

TEST(TopicCatalogTest, AnIdThatIsNot16BytesIsAnInvalidField) {
  const absl::Status status = OneTopic().Find("orders", "short").status();
  EXPECT_EQ(ReasonOf(status), Reason::kInvalidField);
  EXPECT_EQ(MetadataValue(status, "field"), "topic_id");
}

TEST(TopicCatalogTest, ANameThatNoTopicCanHaveIsAnInvalidFieldAndNotUnknown) {
  for (const std::string& name :
       {std::string(), std::string("."), std::string(".."), std::string("a b"), std::string("a/b"),
        std::string("\xff"), std::string("a\0b", 3), std::string(250, 'a')}) {
    const absl::Status status = OneTopic().Find(name).status();
    EXPECT_EQ(ReasonOf(status), Reason::kInvalidField) << name;
    EXPECT_EQ(MetadataValue(status, "field"), "topic") << name;
    EXPECT_THAT(MessageOf(status), HasSubstr("1 to 249 of [A-Za-z0-9._-]"));
  }
}

TEST(TopicNameTest, KafkasNamesAreAllowedReservedOnesIncluded) {
  for (const std::string& name : {std::string("a"), std::string("..."), std::string("A-z_0.9"),
                                  std::string("__offsets"), std::string(249, 'a')}) {
    EXPECT_TRUE(ValidateTopicName("topic", name).ok()) << name;
  }
  EXPECT_TRUE(IsReservedTopicName("__offsets"));
  EXPECT_FALSE(IsReservedTopicName("_offsets"));
}

TEST(FindPartitionTest, TakesOnlyThePartitionsThatAreThere) {
  const TopicCatalog catalog = OneTopic();
  const TopicInfo& topic = **catalog.Find("orders");
  ASSERT_TRUE(FindPartition(topic, 0).ok());
  EXPECT_EQ((*FindPartition(topic, 2))->log, LogId(7));
  for (const int32_t partition : {-1, 3, INT32_MAX, INT32_MIN}) {
    const absl::Status status = FindPartition(topic, partition).status();
    EXPECT_EQ(ReasonOf(status), Reason::kPartitionNotFound);
    EXPECT_EQ(MetadataValue(status, "partitions"), "3");
    EXPECT_THAT(MessageOf(status), HasSubstr("partitions 0 to 2"));
  }
}

}  // namespace
}  // namespace naru::cluster
