#include "cluster/metadata/metadata_store.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "cluster/metadata/topic_record.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "naru/internal/v1/metadata.pb.h"
#include "storage/base/status.h"

namespace naru::cluster {
namespace {

using ::testing::HasSubstr;

TopicInfo SampleTopic(const std::string& name, uint64_t first_log) {
  TopicInfo topic;
  topic.name = name;
  topic.topic_id = std::string(16, '\xfe');
  topic.config.retention_ms = 5;
  topic.config.durability = Durability::kBackground;
  topic.config.append_time_stamped = true;
  topic.create_time_ms = 1'700'000'000'001;
  topic.replication_factor = 2;
  topic.partitions = {{LogId(first_log), BrokerId(1), LeaderEpoch(0), {BrokerId(1), BrokerId(2)}},
                      {LogId(first_log + 1), BrokerId(2), LeaderEpoch(7), {BrokerId(2), BrokerId(1)}}};
  return topic;
}

const Identity kIdentity{"0123456789abcdef0123456789abcdef", BrokerId(1)};

class MetadataStoreTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(store_.WriteIdentity(kIdentity, Counters()).ok()); }

  void Put(const std::string& key, const std::string& value) { ASSERT_TRUE(map_.Write({{key, value}}).ok()); }
  void Remove(const std::string& key) { ASSERT_TRUE(map_.Write({{key, std::nullopt}}).ok()); }
  std::string LoadError() {
    const absl::Status status = store_.Load().status();
    EXPECT_EQ(ReasonOf(status), Reason::kCorruptData);
    return std::string(status.message());
  }

  MemoryMapStore map_;
  MetadataStore store_{map_};
};

TEST(EmptyMetadataStoreTest, LoadsAsAFirstStart) {
  MemoryMapStore map;
  const StoredMetadata stored = *MetadataStore(map).Load();
  EXPECT_FALSE(stored.identity.has_value());
  EXPECT_EQ(stored.counters, Counters());
  EXPECT_TRUE(stored.topics.empty());
}

TEST_F(MetadataStoreTest, GivesBackWhatWasWritten) {
  const Counters counters{LogId(12), LogId(10), 44, 3'001};
  ASSERT_TRUE(store_.PutTopic(SampleTopic("b", 3), Counters{LogId(5), LogId(3), 1}).ok());
  ASSERT_TRUE(store_.PutTopic(SampleTopic("a", 10), counters).ok());
  const StoredMetadata stored = *store_.Load();
  EXPECT_EQ(stored.identity, kIdentity);
  EXPECT_EQ(stored.counters, counters);
  ASSERT_EQ(stored.topics.size(), 2u);
  EXPECT_EQ(stored.topics[0]->name, "a");
  const TopicInfo& topic = *stored.topics[0];
  EXPECT_EQ(ToRecord(topic).SerializeAsString(), ToRecord(SampleTopic("a", 10)).SerializeAsString());
  EXPECT_EQ(topic.config, SampleTopic("a", 10).config);
  EXPECT_EQ(topic.partitions[1].leader_epoch, LeaderEpoch(7));
  EXPECT_EQ(topic.partitions[1].replicas, (std::vector<BrokerId>{BrokerId(2), BrokerId(1)}));
}

TEST_F(MetadataStoreTest, ARemovedTopicIsGoneAndTheCountersStay) {
  ASSERT_TRUE(store_.PutTopic(SampleTopic("a", 1), Counters{LogId(3), LogId(1), 1}).ok());
  ASSERT_TRUE(store_.RemoveTopic("a", Counters{LogId(3), LogId(3), 2}).ok());
  const StoredMetadata stored = *store_.Load();
  EXPECT_TRUE(stored.topics.empty());
  EXPECT_EQ(stored.counters, (Counters{LogId(3), LogId(3), 2}));
}

TEST_F(MetadataStoreTest, CountersFromBeforeThereWereProducersBeginWithTheFirst) {
  naru::internal::v1::CounterRecord record;
  record.set_next_log_id(3);
  record.set_settled_log_id(3);
  Put("counters", record.SerializeAsString());
  EXPECT_EQ(store_.Load()->counters.next_producer_id, 1);
}

TEST_F(MetadataStoreTest, DamageIsReportedAndNeverSkipped) {
  ASSERT_TRUE(store_.PutTopic(SampleTopic("a", 1), Counters{LogId(3), LogId(1), 1}).ok());
  const auto record = [](const TopicInfo& topic) { return ToRecord(topic).SerializeAsString(); };

  Put("topic/b", "\xff\xff");
  EXPECT_THAT(LoadError(), HasSubstr("\"topic/b\" cannot be read"));
  Put("topic/b", record(SampleTopic("c", 1)));
  EXPECT_THAT(LoadError(), HasSubstr("\"topic/b\" holds topic \"c\""));
  Put("topic/b", record(SampleTopic("b", 3)));
  EXPECT_THAT(LoadError(), HasSubstr("topic \"b\" has log 3, and the counter stands at 3"));
  Put("topic/b", record(SampleTopic("b", 0)));
  EXPECT_THAT(LoadError(), HasSubstr("without a log id"));
  naru::internal::v1::CounterRecord negative;
  negative.set_next_log_id(3);
  negative.set_settled_log_id(3);
  negative.set_next_producer_id(-1);
  Put("counters", negative.SerializeAsString());
  EXPECT_THAT(LoadError(), HasSubstr("\"counters\" cannot be read"));
  Put("counters", "");
  EXPECT_THAT(LoadError(), HasSubstr("\"counters\" cannot be read"));
  Remove("counters");
  EXPECT_THAT(LoadError(), HasSubstr("one is missing"));
}

TEST_F(MetadataStoreTest, APartitionsLeaderAndReplicasAreBrokersAndItsLeaderIsAReplica) {
  const auto load_error_of = [&](BrokerId leader, std::vector<BrokerId> replicas) {
    TopicInfo topic = SampleTopic("a", 1);
    topic.partitions[1].leader = leader;
    topic.partitions[1].replicas = std::move(replicas);
    EXPECT_TRUE(store_.PutTopic(topic, Counters{LogId(3), LogId(1), 1}).ok());
    return LoadError();
  };
  EXPECT_THAT(load_error_of(BrokerId(0), {BrokerId(1)}), HasSubstr("without replicas, leader"));
  EXPECT_THAT(load_error_of(BrokerId(1), {}), HasSubstr("without replicas, leader"));
  EXPECT_THAT(load_error_of(BrokerId(1), {BrokerId(1), BrokerId(0)}), HasSubstr("replica 0, which is none"));
  EXPECT_THAT(load_error_of(BrokerId(1), {BrokerId(1), BrokerId(1)}), HasSubstr("replica 1, which is none"));
  EXPECT_THAT(load_error_of(BrokerId(3), {BrokerId(1), BrokerId(2)}), HasSubstr("leader, 3, is no replica"));
}

TEST_F(MetadataStoreTest, AClusterIdIsHexadecimalDigits) {
  for (const std::string& id : {std::string(), std::string(31, 'a'), std::string(31, 'a') + "g"}) {
    ASSERT_TRUE(store_.WriteIdentity({id, BrokerId(1)}, Counters()).ok());
    EXPECT_THAT(LoadError(), HasSubstr("\"identity\" cannot be read")) << id;
  }
}

TEST_F(MetadataStoreTest, ALogInTwoPartitionsIsDamage) {
  const Counters counters{LogId(9), LogId(1), 1};
  ASSERT_TRUE(store_.PutTopic(SampleTopic("a", 1), counters).ok());
  ASSERT_TRUE(store_.PutTopic(SampleTopic("b", 2), counters).ok());
  EXPECT_THAT(LoadError(), HasSubstr("log 2 stands in two partitions"));
}

TEST_F(MetadataStoreTest, TopicsWithoutAnIdentityAreDamage) {
  ASSERT_TRUE(store_.PutTopic(SampleTopic("a", 1), Counters{LogId(3), LogId(1), 1}).ok());
  Remove("identity");
  Remove("counters");
  EXPECT_THAT(LoadError(), HasSubstr("no \"identity\""));
}

TEST_F(MetadataStoreTest, ALimitLoweredSinceKeepsNoTopicFromLoading) {
  TopicInfo topic = SampleTopic("a", 1);
  topic.config.record_bytes_max = 1 << 30;
  ASSERT_TRUE(store_.PutTopic(topic, Counters{LogId(3), LogId(1), 1}).ok());
  EXPECT_EQ(store_.Load()->topics[0]->config.record_bytes_max, 1 << 30);
}

}  // namespace
}  // namespace naru::cluster
