#include "cluster/etcd/etcd_keys.h"

#include <gtest/gtest.h>

#include <vector>

namespace naru::cluster {
namespace {

TopicId SomeTopic() {
  TopicId topic;
  for (size_t i = 0; i < topic.size(); ++i) topic[i] = static_cast<char>(i * 17);
  return topic;
}

TEST(EtcdKeysTest, KeysAreAsTheHeaderSays) {
  const EtcdKeys keys("/n/1");
  EXPECT_EQ(keys.Election(), "/n/1/election");
  EXPECT_EQ(keys.Head(), "/n/1/head");
  EXPECT_EQ(keys.ClusterId(), "/n/1/cluster_id");
  EXPECT_EQ(keys.NextLog(), "/n/1/next_log");
  EXPECT_EQ(keys.Broker(BrokerId(12)), "/n/1/brokers/12");
  EXPECT_EQ(keys.Topic("a.b"), "/n/1/topics/a.b");
  EXPECT_EQ(keys.Partitions(SomeTopic(), 3), "/n/1/partitions/00112233445566778899aabbccddeeff/3");
}

TEST(EtcdKeysTest, EachKeyIsParsedToWhatItIsFor) {
  const EtcdKeys keys("/naru");
  const auto is = [&keys]<typename Key>(const std::string& text, const Key&) {
    const auto key = keys.Parse(text);
    return key && std::holds_alternative<Key>(*key);
  };
  EXPECT_TRUE(is(keys.Head(), HeadKey{}));
  EXPECT_TRUE(is(keys.ClusterId(), ClusterIdKey{}));
  EXPECT_TRUE(is(keys.NextLog(), NextLogKey{}));
  EXPECT_EQ(std::get<BrokerKey>(*keys.Parse(keys.Broker(BrokerId(7)))).broker, BrokerId(7));
  EXPECT_EQ(std::get<TopicKey>(*keys.Parse(keys.Topic("t"))).name, "t");
  const auto partitions = std::get<PartitionsKey>(*keys.Parse(keys.Partitions(SomeTopic(), 33'554'431)));
  EXPECT_EQ(partitions.topic, SomeTopic());
  EXPECT_EQ(partitions.block, BlockOf(INT32_MAX));
  for (const std::string& other : {keys.Election(), std::string("/naru/notes"), std::string("/naru2/head")}) {
    EXPECT_TRUE(is(other, OtherKey{})) << other;
  }
}

TEST(EtcdKeysTest, WhatCannotBeAKeyIsNotParsed) {
  const EtcdKeys keys("/naru");
  const std::string topic = "/naru/partitions/00112233445566778899aabbccddeeff";
  for (const std::string& wrong : std::vector<std::string>{
           "/naru/brokers/", "/naru/brokers/x", "/naru/brokers/07", "/naru/brokers/-1", "/naru/brokers/+1",
           "/naru/brokers/ 1", "/naru/brokers/2147483648", "/naru/brokers/1/2", "/naru/topics/",
           "/naru/topics/a/b", "/naru/topics/..", topic, topic + "/", topic + "/x", topic + "/33554432",
           topic + "/1/2", "/naru/partitions/0011/1",
           "/naru/partitions/00112233445566778899AABBCCDDEEFF/1"}) {
    EXPECT_FALSE(keys.Parse(wrong)) << wrong;
  }
}

TEST(EtcdKeysTest, RangesHoldWhatIsTheirsAndNothingElse) {
  const EtcdKeys keys("/naru");
  const auto in = [](const KeyRange& range, const std::string& key) {
    return range.begin <= key && key < range.end;
  };
  EXPECT_TRUE(in(keys.All(), keys.Head()));
  EXPECT_TRUE(in(keys.All(), keys.Topic("z")));
  EXPECT_FALSE(in(keys.All(), EtcdKeys("/naru2").Head()));
  EXPECT_FALSE(in(keys.All(), EtcdKeys("/naru-2").Head()));
  const TopicId topic = SomeTopic();
  TopicId next = topic;
  ++next.back();
  EXPECT_TRUE(in(keys.PartitionsOf(topic), keys.Partitions(topic, 0)));
  EXPECT_TRUE(in(keys.PartitionsOf(topic), keys.Partitions(topic, 999)));
  EXPECT_FALSE(in(keys.PartitionsOf(topic), keys.Partitions(next, 0)));
}

}  // namespace
}  // namespace naru::cluster
