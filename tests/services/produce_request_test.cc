#include "services/produce/produce_request.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/base/status.h"
#include "storage/batch/wire.h"
#include "tests/storage/batch/batch_bytes.h"

namespace naru::services {
namespace {

using batch_bytes::Bytes;
using batch_bytes::TagOf;
using batch_bytes::Varint;

absl::StatusOr<RawProduceRequest> Parse(const std::string& bytes) {
  return ParseProduceRequest(absl::Cord(bytes));
}

TEST(ProduceRequestTest, EveryFieldOfTheMessageArrives) {
  naru::v1::ProduceRequest message;
  message.set_topic("t");
  message.set_partition(7);
  message.set_acks(naru::v1::ACKS_LEADER);
  message.set_expected_offset(-1);
  message.set_topic_id("0123456789abcdef");
  message.mutable_batch()->add_records()->set_value("v");
  const auto request = Parse(message.SerializeAsString());
  ASSERT_TRUE(request.ok()) << request.status();
  EXPECT_EQ(request->topic, "t");
  EXPECT_EQ(request->partition, 7);
  EXPECT_FALSE(request->partition_key);
  EXPECT_EQ(request->acks, naru::v1::ACKS_LEADER);
  EXPECT_EQ(request->expected_offset, -1);
  EXPECT_EQ(request->topic_id, "0123456789abcdef");
  EXPECT_EQ(request->batch, message.batch().SerializeAsString());
}

TEST(ProduceRequestTest, TheLastOfAOneofWins) {
  auto request = Parse(Varint(2, 1) + Bytes(3, "k"));
  ASSERT_TRUE(request.ok());
  EXPECT_FALSE(request->partition);
  EXPECT_EQ(request->partition_key, "k");
  request = Parse(Bytes(3, "k") + Varint(2, 1));
  EXPECT_EQ(request->partition, 1);
  EXPECT_FALSE(request->partition_key);
}

TEST(ProduceRequestTest, UnknownFieldsOfEveryWireTypeAreIgnored) {
  const std::string group =
      TagOf(90, 3) + Varint(1, 5) + Bytes(2, "x") + TagOf(3, 3) + TagOf(3, 4) + TagOf(90, 4);
  const std::string fixed = TagOf(91, 1) + std::string(8, 'x') + TagOf(92, 5) + std::string(4, 'x');
  const auto request = Parse(group + fixed + Varint(93, 1) + Bytes(94, "x") + Bytes(1, "t"));
  ASSERT_TRUE(request.ok()) << request.status();
  EXPECT_EQ(request->topic, "t");
}

TEST(ProduceRequestTest, TheBatchSharesTheRequestsMemory) {
  const std::string batch(100'000, 'b');
  const std::string bytes = Bytes(1, "t") + Bytes(15, batch);
  const absl::Cord message = absl::MakeCordFromExternal(bytes, [](absl::string_view) {});
  const auto request = ParseProduceRequest(message);
  ASSERT_TRUE(request.ok());
  const absl::string_view whole = *message.TryFlat();
  const absl::string_view part = *request->batch.TryFlat();
  EXPECT_GE(part.data(), whole.data());
  EXPECT_EQ(part.data() + part.size(), whole.data() + whole.size());
}

TEST(ProduceRequestTest, FieldsThatStraddleChunksAreReadTheSame) {
  naru::v1::ProduceRequest message;
  message.set_topic("a-longer-topic-name");
  message.set_partition(300);
  message.mutable_batch()->add_records()->set_value(std::string(1000, 'v'));
  const std::string bytes = message.SerializeAsString();
  for (const size_t chunk : {1, 2, 3, 7, 64}) {
    const auto request = ParseProduceRequest(batch_bytes::InChunks(bytes, chunk));
    ASSERT_TRUE(request.ok()) << request.status();
    EXPECT_EQ(request->topic, "a-longer-topic-name");
    EXPECT_EQ(request->partition, 300);
    EXPECT_EQ(request->batch, message.batch().SerializeAsString());
  }
}

TEST(ProduceRequestTest, ASecondBatchIsRefusedWithItsRule) {
  const auto request = Parse(Bytes(15, "a") + Bytes(15, "b"));
  EXPECT_EQ(ReasonOf(request.status()), Reason::kMalformedBatch);
  EXPECT_EQ(MetadataValue(request.status(), "rule"), "duplicate_field");
}

TEST(ProduceRequestTest, EveryCutOfARequestIsEitherAMessageOrRefused) {
  naru::v1::ProduceRequest message;
  message.set_topic("topic");
  message.set_partition_key("key");
  message.set_expected_offset(1'000'000);
  message.mutable_batch()->add_records()->set_value("value");
  const std::string bytes = message.SerializeAsString();
  for (size_t size = 0; size < bytes.size(); ++size) {
    const std::string cut = bytes.substr(0, size);
    const auto request = Parse(cut);
    naru::v1::ProduceRequest parsed;
    EXPECT_EQ(request.ok(), parsed.ParseFromString(cut)) << size;
    if (!request.ok()) {
      EXPECT_EQ(ReasonOf(request.status()), Reason::kInvalidField);
      EXPECT_EQ(MetadataValue(request.status(), "field"), "ProduceRequest");
    }
  }
}

TEST(StreamRequestTest, TheLastOfProduceAndResumeCountsAndTheirLikeTwiceIsRefused) {
  naru::v1::ProduceStreamRequest message;
  message.set_id(-4);
  message.mutable_resume()->set_topic("t");
  message.mutable_resume()->add_partitions(3);
  const std::string resume = message.SerializeAsString();
  auto request = ParseStreamRequest(absl::Cord(resume));
  ASSERT_TRUE(request.ok()) << request.status();
  EXPECT_EQ(request->id, -4);
  EXPECT_EQ(request->resume->topic(), "t");
  request = ParseStreamRequest(absl::Cord(resume + Bytes(15, "p")));
  ASSERT_TRUE(request.ok());
  EXPECT_FALSE(request->resume);
  EXPECT_EQ(request->produce, absl::Cord("p"));
  EXPECT_FALSE(ParseStreamRequest(absl::Cord(Bytes(15, "p") + Bytes(15, "p"))).ok());
  EXPECT_FALSE(ParseStreamRequest(absl::Cord(resume + resume)).ok());
}

}  // namespace
}  // namespace naru::services
