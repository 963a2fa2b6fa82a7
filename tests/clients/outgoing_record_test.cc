#include "clients/cpp/outgoing_record.h"

#include <gtest/gtest.h>

#include "naru/v1/produce.pb.h"
#include "storage/batch/batch.h"

namespace naru::client {
namespace {

naru::v1::Record Parse(const OutgoingRecord& record) {
  std::string bytes;
  EncodeRecord(record, bytes);
  naru::v1::Record parsed;
  EXPECT_TRUE(parsed.ParseFromString(bytes));
  return parsed;
}

TEST(OutgoingRecord, EveryFieldArrivesAsWritten) {
  const HeaderView headers[] = {{"a", "1"}, {"a", ""}, {"b", std::string_view("\0x", 2)}};
  const naru::v1::Record parsed = Parse(
      {.key = "k", .value = std::string(300, 'v'), .headers = headers, .timestamp_ms = 1'700'000'000'123});
  EXPECT_EQ(parsed.key(), "k");
  EXPECT_EQ(parsed.value(), std::string(300, 'v'));
  ASSERT_EQ(parsed.headers_size(), 3);
  EXPECT_EQ(parsed.headers(1).key(), "a");
  EXPECT_EQ(parsed.headers(1).value(), "");
  EXPECT_EQ(parsed.headers(2).value(), std::string("\0x", 2));
  EXPECT_EQ(parsed.timestamp_ms(), 1'700'000'000'123);
}

TEST(OutgoingRecord, AbsentAndEmptyAreTwoThings) {
  EXPECT_FALSE(Parse({}).has_key());
  EXPECT_FALSE(Parse({}).has_value());
  EXPECT_TRUE(Parse({.key = ""}).has_key());
  EXPECT_TRUE(Parse({.value = ""}).has_value());
}

TEST(OutgoingRecord, AnItemCarriesTheBatchesBytesUnderPartitionZeroToo) {
  BatchBuilder builder;
  std::string raw;
  EncodeRecord({.value = "v"}, raw);
  builder.AddRaw(raw);
  const absl::Cord batch = *builder.Finish(Codec::kNone);
  grpc::ByteBuffer item = EncodeProduceItem(42, "orders", PartitionId(0), naru::v1::ACKS_LEADER, batch);
  std::vector<grpc::Slice> slices;
  ASSERT_TRUE(item.Dump(&slices).ok());
  std::string bytes;
  for (const grpc::Slice& slice : slices)
    bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  naru::v1::ProduceStreamRequest request;
  ASSERT_TRUE(request.ParseFromString(bytes));
  EXPECT_EQ(request.id(), 42);
  EXPECT_EQ(request.produce().topic(), "orders");
  EXPECT_TRUE(request.produce().has_partition());
  EXPECT_EQ(request.produce().partition(), 0);
  EXPECT_EQ(request.produce().acks(), naru::v1::ACKS_LEADER);
  ASSERT_EQ(request.produce().batch().records_size(), 1);
  EXPECT_EQ(request.produce().batch().records(0).value(), "v");
}

}  // namespace
}  // namespace naru::client
