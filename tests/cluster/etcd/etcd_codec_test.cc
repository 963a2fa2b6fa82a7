#include "cluster/etcd/etcd_codec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "storage/base/status.h"
#include "tests/cluster/etcd/sample_metadata.h"

namespace naru::testing {
namespace {

using cluster::ClusterMetadata;
using cluster::DecodeOutcome;
using cluster::EtcdKeys;
using cluster::MetadataWrite;
using cluster::WriteOutcome;
using ::testing::HasSubstr;

// Carries out the puts and deletions of writes as etcd would.
class EtcdCodecTest : public ::testing::Test {
 protected:
  void Carry(const etcdserverpb::TxnRequest& request) {
    for (const auto& operation : request.success()) {
      if (operation.has_request_put()) {
        store_[operation.request_put().key()] = operation.request_put().value();
        continue;
      }
      const auto& deletion = operation.request_delete_range();
      const std::string end = deletion.range_end().empty() ? deletion.key() + '\0' : deletion.range_end();
      store_.erase(store_.lower_bound(deletion.key()), store_.lower_bound(end));
    }
  }
  void Write(const MetadataWrite& write) {
    const auto request = EncodeWrite(keys_, write, written_);
    ASSERT_TRUE(request.ok()) << request.status();
    EXPECT_EQ(OperationsOf(write, written_), static_cast<size_t>(request->success_size()));
    Carry(*request);
    ApplyWrite(write, written_);
  }
  absl::StatusOr<ClusterMetadata> Read() const {
    ClusterMetadata metadata;
    for (const auto& [key, value] : store_) {
      mvccpb::KeyValue from;
      from.set_key(key);
      from.set_value(value);
      NARU_RETURN_IF_ERROR(DecodeKey(keys_, from, metadata));
    }
    NARU_RETURN_IF_ERROR(CheckDecoded(keys_, metadata));
    return metadata;
  }
  void ExpectReadBack() const {
    const auto read = Read();
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_EQ(Difference(*read, written_), "");
  }
  // The message with `value` under `key`, which is otherwise as it was written.
  std::string CorruptWith(const std::string& key, const std::string& value) {
    const auto kept = store_;
    store_[key] = value;
    const absl::Status status = Read().status();
    store_ = kept;
    EXPECT_EQ(ReasonOf(status), Reason::kCorruptData) << key;
    EXPECT_THAT(std::string(status.message()), HasSubstr("\"" + key + "\""));
    return std::string(status.message());
  }

  const EtcdKeys keys_{"/naru"};
  ClusterMetadata written_;
  std::map<std::string, std::string> store_;
};

TEST_F(EtcdCodecTest, WhatIsWrittenIsReadBackWithPartitionsOfABlockThatTheWriteDoesNotName) {
  MetadataWrite write{.cluster_id = std::string(32, '7'), .next_log = LogId(9)};
  write.brokers[BrokerId(3)] = SampleBroker(1);
  write.topics["t"] = SampleTopic("t", 't', 129);
  AddStates('t', 129, write.partitions);
  Write(write);
  ExpectReadBack();
  write = {.head = 1};
  write.partitions[{SampleTopicId('t'), 64}] = SampleState(1);
  Write(write);
  ExpectReadBack();
  write = {.head = 2};
  write.topics["t"] = nullptr;
  Write(write);
  ExpectReadBack();
  EXPECT_EQ(store_.size(), 4U) << "head, cluster id, next log, broker";
}

TEST_F(EtcdCodecTest, AWriteComparesTheTermAndTheHead) {
  auto request = EncodeWrite(keys_, {.term = 5, .head = 0}, {});
  ASSERT_TRUE(request.ok());
  ASSERT_EQ(request->compare_size(), 2);
  EXPECT_EQ(request->compare(0).key(), "/naru/election");
  EXPECT_EQ(request->compare(0).target(), etcdserverpb::Compare::CREATE);
  EXPECT_EQ(request->compare(0).create_revision(), 5);
  EXPECT_EQ(request->compare(1).key(), "/naru/head");
  EXPECT_EQ(request->compare(1).target(), etcdserverpb::Compare::CREATE);
  EXPECT_EQ(request->compare(1).create_revision(), 0);
  request = EncodeWrite(keys_, {.term = 5, .head = 41}, {});
  EXPECT_EQ(request->compare(1).target(), etcdserverpb::Compare::VALUE);
  EXPECT_EQ(request->compare(1).value(), "41");
  EXPECT_EQ(request->success(0).request_put().value(), "42");
}

TEST_F(EtcdCodecTest, TheOutcomeIsToldFromWhoIsElected) {
  etcdserverpb::TxnResponse response;
  response.set_succeeded(true);
  EXPECT_EQ(DecodeOutcome(response, 5), WriteOutcome::kWritten);
  response.set_succeeded(false);
  auto* election = response.add_responses()->mutable_response_range();
  EXPECT_EQ(DecodeOutcome(response, 5), WriteOutcome::kDeposed) << "nobody is elected";
  election->add_kvs()->set_create_revision(6);
  EXPECT_EQ(DecodeOutcome(response, 5), WriteOutcome::kDeposed);
  election->mutable_kvs(0)->set_create_revision(5);
  EXPECT_EQ(DecodeOutcome(response, 5), WriteOutcome::kOvertaken);
}

TEST_F(EtcdCodecTest, ATopicRecordWithoutLeadersIsReadBack) {
  auto topic = std::make_shared<cluster::TopicInfo>(*SampleTopic("t", 't', 2));
  for (auto& partition : topic->partitions) partition.leader = BrokerId(0);
  MetadataWrite write;
  write.topics["t"] = topic;
  Write(write);
  const auto read = Read();
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->topics.at("t")->partitions[1].replicas, topic->partitions[1].replicas);
}

TEST_F(EtcdCodecTest, AWriteThatCannotBeOneTransactionIsRefused) {
  MetadataWrite write;
  write.topics["wide"] = SampleTopic("wide", 'w', 1);
  AddStates('w', 64 * 118, write.partitions);
  EXPECT_TRUE(EncodeWrite(keys_, write, {}).ok());
  AddStates('w', 64 * 118 + 1, write.partitions);
  EXPECT_EQ(EncodeWrite(keys_, write, {}).status().message(),
            "a write takes 121 operations, the most is 120");

  write = {};
  write.brokers[BrokerId(1)].incarnation = std::string(cluster::kWriteBytesMax, 'x');
  EXPECT_EQ(EncodeWrite(keys_, write, {}).status().code(), absl::StatusCode::kResourceExhausted);

  ClusterMetadata before;
  before.topics["t"] = SampleTopic("t", 't', 1);
  write = {};
  write.topics["t"] = nullptr;
  AddStates('t', 1, write.partitions);
  EXPECT_EQ(EncodeWrite(keys_, write, before).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(EtcdCodecTest, WhatCannotHaveBeenWrittenIsCorruptAndNamed) {
  MetadataWrite write{.cluster_id = std::string(32, '7')};
  write.brokers[BrokerId(3)] = SampleBroker(1);
  write.topics["t"] = SampleTopic("t", 't', 1);
  AddStates('t', 65, write.partitions);
  Write(write);
  const std::string block0 = keys_.Partitions(SampleTopicId('t'), 0);
  const std::string block1 = keys_.Partitions(SampleTopicId('t'), 1);
  const std::string block_of_other = keys_.Partitions(SampleTopicId('u'), 0);
  const std::string states0 = store_[block0];
  for (const std::string value : {"", "0", "-1", "1x", "01", "9223372036854775808"}) {
    CorruptWith(keys_.Head(), value);
    CorruptWith(keys_.NextLog(), value);
  }
  CorruptWith(keys_.ClusterId(), "short");
  CorruptWith(keys_.ClusterId(), std::string(32, 'g'));
  CorruptWith(keys_.Broker(BrokerId(3)), "\xff");
  EXPECT_THAT(CorruptWith(keys_.Broker(BrokerId(4)), store_[keys_.Broker(BrokerId(3))]),
              HasSubstr("another broker"));
  EXPECT_THAT(CorruptWith(keys_.Broker(BrokerId(3)), ""), HasSubstr("broker_id: 0 cannot be"));
  EXPECT_THAT(CorruptWith(keys_.Topic("u"), store_[keys_.Topic("t")]), HasSubstr("another topic"));
  CorruptWith(keys_.Topic("t"), "");
  EXPECT_THAT(CorruptWith(block_of_other, states0), HasSubstr("another topic"));
  EXPECT_THAT(CorruptWith(block1, states0), HasSubstr("another block"));
  EXPECT_THAT(CorruptWith(block0, states0 + states0), HasSubstr("twice"));
  CorruptWith("/naru/brokers/x", "");
  store_.erase(keys_.Head());
  EXPECT_THAT(std::string(Read().status().message()), HasSubstr("\"/naru/head\" is not there"));
}

}  // namespace
}  // namespace naru::testing
