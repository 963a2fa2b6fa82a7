// ListOffsets over a real connection.
#include "gmock/gmock.h"
#include "services/consume/consume_service.h"
#include "tests/services/hub.h"

namespace naru::services {
namespace {

using ::testing::ElementsAre;
using ::testing::SizeIs;

class ListOffsetsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    hub_.catalog.SetTopic("t", 3);
    hub_.Append("t", 0, {"a", "b", "c"}, 1000);
    hub_.Append("t", 2, {"d"}, 2000);
    hub_.store.MoveLogStart(hub_.catalog.Log("t", 0), Offset(1), [](absl::Status) {});
    request_.set_topic("t");
  }
  naru::v1::ListOffsetsResponse MustList() {
    naru::v1::ListOffsetsResponse response;
    const CallEnd end = hub_.ListOffsets(request_, &response);
    EXPECT_EQ(end.code, grpc::StatusCode::OK) << end.message;
    return response;
  }
  std::vector<int64_t> OffsetsFound() {
    std::vector<int64_t> offsets;
    const naru::v1::ListOffsetsResponse response = MustList();
    for (const naru::v1::PartitionOffset& offset : response.offsets()) offsets.push_back(offset.offset());
    return offsets;
  }

  Hub hub_;
  naru::v1::ListOffsetsRequest request_;
};

TEST_F(ListOffsetsTest, EarliestIsTheDefaultAndAllPartitionsAreListed) {
  const naru::v1::ListOffsetsResponse response = MustList();
  ASSERT_THAT(response.offsets(), SizeIs(3));
  EXPECT_EQ(response.offsets(0).partition(), 0);
  EXPECT_EQ(response.offsets(0).offset(), 1);
  EXPECT_EQ(response.offsets(0).log_start_offset(), 1);
  EXPECT_EQ(response.offsets(0).high_watermark(), 3);
  EXPECT_FALSE(response.offsets(0).has_timestamp_ms());
  EXPECT_EQ(response.offsets(2).partition(), 2);
}

TEST_F(ListOffsetsTest, LatestIsTheHighWatermark) {
  request_.set_position(naru::v1::POSITION_LATEST);
  EXPECT_THAT(OffsetsFound(), ElementsAre(3, 0, 1));
}

TEST_F(ListOffsetsTest, ATimeFindsTheFirstRecordAtOrAfterItAndSaysItsTime) {
  request_.set_timestamp_ms(1002);
  const naru::v1::ListOffsetsResponse response = MustList();
  EXPECT_EQ(response.offsets(0).offset(), 2);
  EXPECT_EQ(response.offsets(0).timestamp_ms(), 1002);
  EXPECT_EQ(response.offsets(1).offset(), 0) << "the high watermark of an empty partition";
  EXPECT_FALSE(response.offsets(1).has_timestamp_ms());
  EXPECT_EQ(response.offsets(2).offset(), 0);
  EXPECT_EQ(response.offsets(2).timestamp_ms(), 2000);
}

TEST_F(ListOffsetsTest, PartitionsComeInTheOrderAskedAndEachHasItsOwnError) {
  request_.add_partitions(2);
  request_.add_partitions(7);
  request_.add_partitions(0);
  const naru::v1::ListOffsetsResponse response = MustList();
  ASSERT_THAT(response.offsets(), SizeIs(3));
  EXPECT_EQ(response.offsets(0).partition(), 2);
  EXPECT_EQ(response.offsets(1).partition(), 7);
  EXPECT_EQ(response.offsets(1).error().reason(), "PARTITION_NOT_FOUND");
  EXPECT_EQ(response.offsets(1).error().metadata().at("partitions"), "3");
  EXPECT_EQ(response.offsets(2).offset(), 1);
}

TEST_F(ListOffsetsTest, AThousandPartitionsByTimeAreOneAnswer) {
  hub_.catalog.SetTopic("wide", 1000);
  hub_.Append("wide", 999, {"a"}, 50);
  request_.set_topic("wide");
  request_.set_timestamp_ms(10);
  const naru::v1::ListOffsetsResponse response = MustList();
  ASSERT_THAT(response.offsets(), SizeIs(1000));
  EXPECT_EQ(response.offsets(999).timestamp_ms(), 50);
}

TEST_F(ListOffsetsTest, ADeletedLogIsAnErrorOfItsPartition) {
  hub_.store.DeleteLogs({hub_.catalog.Log("t", 1)}, [](absl::Status) {});
  const naru::v1::ListOffsetsResponse response = MustList();
  EXPECT_EQ(response.offsets(1).error().reason(), "PARTITION_NOT_FOUND");
  EXPECT_EQ(response.offsets(1).error().message().find("log:"), std::string::npos) << "an internal number";
  EXPECT_FALSE(response.offsets(2).has_error());
}

TEST_F(ListOffsetsTest, ATopicDeletedMeanwhileIsNamedInTheErrors) {
  hub_.appends.BeforeFind([&] { hub_.catalog.Delete("t"); });
  request_.set_timestamp_ms(1000);
  const naru::v1::ListOffsetsResponse response = MustList();
  for (const naru::v1::PartitionOffset& offset : response.offsets()) {
    EXPECT_EQ(offset.error().reason(), "TOPIC_NOT_FOUND");
    EXPECT_EQ(offset.error().metadata().at("topic"), "t");
  }
}

}  // namespace
}  // namespace naru::services
