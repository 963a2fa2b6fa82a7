// What a Subscribe stream gives is read where it lies: whatever slices gRPC has cut it into, and whatever
// else a broker of another version put into it, the records are those of the message.
#include "clients/cpp/received_records.h"

#include <gmock/gmock.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "naru/v1/consume.pb.h"
#include "naru/v1/group.pb.h"
#include "storage/base/status.h"
#include "storage/batch/wire.h"
#include "tests/clients/cut_bytes.h"

namespace naru::client {
namespace {

using google::protobuf::util::MessageDifferencer;
using naru::v1::PartitionDelivery;
using naru::v1::SubscribeResponse;
using testing::Cut;

using PartitionRecords = Received<PartitionDelivery>;

// So small that pieces of a small message are left apart.
constexpr size_t kShareBytes = 512;

auto Read(const grpc::ByteBuffer& bytes) {
  return ReadResponse<PartitionDelivery, SubscribeResponse>(bytes, kShareBytes);
}

PartitionRecords RecordsOf(const grpc::ByteBuffer& bytes) {
  auto response = Read(bytes);
  EXPECT_TRUE(response.ok()) << response.status();
  return std::get<PartitionRecords>(*std::move(response));
}

SubscribeResponse ThreeRecords() {
  SubscribeResponse response;
  PartitionDelivery& delivery = *response.mutable_delivery();
  delivery.set_topic("orders");
  delivery.set_partition(7);
  delivery.set_next_offset(1'000'003);
  delivery.set_high_watermark(1'000'010);
  delivery.set_log_start_offset(12);
  delivery.set_credit_bytes(4'096);
  for (int i = 0; i < 3; ++i) {
    naru::v1::Record& record = *delivery.add_records();
    record.set_offset(1'000'000 + i);
    record.set_timestamp_ms(1'700'000'000'000 + i);
    record.set_key(absl::StrCat("key ", i));
    record.set_value(std::string(static_cast<size_t>(300 * (i + 1)), static_cast<char>('a' + i)));
    for (int header = 0; header < i; ++header) {
      record.add_headers()->set_key(absl::StrCat("header ", header));
      record.mutable_headers(header)->set_value("x");
    }
  }
  return response;
}

void ExpectSame(const PartitionRecords& received, const PartitionDelivery& delivery) {
  PartitionDelivery head = delivery;
  head.clear_records();
  EXPECT_TRUE(MessageDifferencer::Equals(received.head, head)) << received.head.ShortDebugString();
  EXPECT_TRUE(MessageDifferencer::Equals(*received.ToMessage(), delivery));
  ASSERT_EQ(static_cast<int>(received.records.size()), delivery.records_size());
  for (int i = 0; i < delivery.records_size(); ++i) {
    const ReceivedRecord& read = received.records[static_cast<size_t>(i)];
    const naru::v1::Record& record = delivery.records(i);
    EXPECT_EQ(read.offset, record.offset());
    EXPECT_EQ(read.timestamp_ms, record.timestamp_ms());
    EXPECT_EQ(read.key.has_value(), record.has_key());
    EXPECT_EQ(read.key.value_or(""), record.key());
    EXPECT_EQ(read.value.has_value(), record.has_value());
    EXPECT_EQ(read.value.value_or(""), record.value());
    EXPECT_TRUE(MessageDifferencer::Equals(*read.ToMessage(), record));
    const std::vector<HeaderView> headers = read.Headers();
    ASSERT_EQ(static_cast<int>(headers.size()), record.headers_size());
    for (int j = 0; j < record.headers_size(); ++j) {
      EXPECT_EQ(headers[static_cast<size_t>(j)].key, record.headers(j).key());
      EXPECT_EQ(headers[static_cast<size_t>(j)].value, record.headers(j).value());
    }
  }
}

TEST(ReceivedRecords, AreThoseOfTheMessageHoweverItIsCut) {
  const SubscribeResponse response = ThreeRecords();
  const std::string bytes = response.SerializeAsString();
  for (size_t piece = 1; piece <= bytes.size(); ++piece) {
    SCOPED_TRACE(piece);
    ExpectSame(RecordsOf(Cut(bytes, piece)), response.delivery());
  }
}

TEST(ReceivedRecords, StayWhereTheyAreWhenTheyAreMoved) {
  const SubscribeResponse response = ThreeRecords();
  for (const size_t piece : {5u, 700u, 100'000u}) {
    PartitionRecords received = RecordsOf(Cut(response.SerializeAsString(), piece));
    const std::string_view value = *received.records[2].value;
    const PartitionRecords moved = std::move(received);
    EXPECT_EQ(moved.records[2].value->data(), value.data());
    ExpectSame(moved, response.delivery());
  }
}

TEST(ReceivedRecords, WhatIsAbsentIsNotEmpty) {
  SubscribeResponse response;
  response.mutable_delivery()->add_records()->set_offset(1);
  naru::v1::Record& empty = *response.mutable_delivery()->add_records();
  empty.set_key("");
  empty.set_value("");
  const PartitionRecords received = RecordsOf(Cut(response.SerializeAsString(), 1'000));
  EXPECT_EQ(received.records[0].key, std::nullopt);
  EXPECT_EQ(received.records[0].value, std::nullopt);
  EXPECT_EQ(received.records[1].key, "");
  EXPECT_EQ(received.records[1].value, "");
}

TEST(ReceivedRecords, FieldsThatAreNotKnownAreLeftToTheMessage) {
  SubscribeResponse response = ThreeRecords();
  PartitionDelivery& delivery = *response.mutable_delivery();
  google::protobuf::UnknownFieldSet& unknown = *delivery.GetReflection()->MutableUnknownFields(&delivery);
  naru::v1::Record& record = *delivery.mutable_records(1);
  google::protobuf::UnknownFieldSet& of_record = *record.GetReflection()->MutableUnknownFields(&record);
  for (google::protobuf::UnknownFieldSet* set : {&unknown, &of_record}) {
    set->AddVarint(200, 1);
    set->AddFixed32(201, 2);
    set->AddFixed64(202, 3);
    set->AddLengthDelimited(203, "unknown");
  }
  for (const size_t piece : {1u, 3u, 100'000u}) {
    ExpectSame(RecordsOf(Cut(response.SerializeAsString(), piece)), delivery);
  }
}

TEST(ReceivedRecords, ATagThatIsLongerThanItNeedBeIsARecordAllTheSame) {
  SubscribeResponse response = ThreeRecords();
  const std::string record = response.delivery().records(0).SerializeAsString();
  response.mutable_delivery()->clear_records();
  std::string delivery = response.delivery().SerializeAsString() + "\xfa";
  delivery += std::string(1, '\0');
  wire::AppendVarint(delivery, record.size());
  delivery += record;
  std::string bytes;
  wire::AppendBytesField(bytes, 15, delivery);
  ASSERT_TRUE(response.ParseFromString(bytes));
  ExpectSame(RecordsOf(Cut(bytes, 100)), response.delivery());
}

TEST(ReceivedRecords, ADeliveryBesideOtherFieldsIsOneAllTheSame) {
  SubscribeResponse response = ThreeRecords();
  response.GetReflection()->MutableUnknownFields(&response)->AddVarint(200, 1);
  ExpectSame(RecordsOf(Cut(response.SerializeAsString(), 64)), response.delivery());
}

TEST(ReceivedRecords, AHeaderThatIsNoTextIsReadButIsNoMessage) {
  SubscribeResponse response = ThreeRecords();
  std::string bytes = response.SerializeAsString();
  bytes.replace(bytes.find("header 0"), 8, "header \xff");
  const PartitionRecords received = RecordsOf(Cut(bytes, 100));
  EXPECT_EQ(received.records[1].Headers()[0].key, "header \xff");
  EXPECT_EQ(ReasonOf(received.records[1].ToMessage().status()), Reason::kCorruptData);
  EXPECT_EQ(ReasonOf(received.ToMessage().status()), Reason::kCorruptData);
}

TEST(ReceivedRecords, OtherResponsesAreGivenAsTheyAre) {
  SubscribeResponse response;
  response.mutable_end_reached()->set_next_offset(9);
  auto read = Read(Cut(response.SerializeAsString(), 2));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_TRUE(MessageDifferencer::Equals(std::get<SubscribeResponse>(*read), response));
  EXPECT_TRUE(std::holds_alternative<SubscribeResponse>(*Read(Cut("", 1))));
}

TEST(ReceivedRecords, WhatIsCutOffOrBroken) {
  const SubscribeResponse response = ThreeRecords();
  const std::string delivery = response.delivery().SerializeAsString();
  // As a whole response, so that only what is in it is broken.
  const auto read = [](const std::string& body) {
    std::string bytes;
    wire::AppendBytesField(bytes, 15, body);
    return Read(Cut(bytes, 100)).status();
  };
  EXPECT_TRUE(read(delivery).ok());
  // A cut in front of a field leaves a shorter message; every other is an error.
  int readable = 0;
  for (size_t size = 0; size < delivery.size(); ++size) {
    const absl::Status status = read(delivery.substr(0, size));
    const bool parses = PartitionDelivery().ParseFromString(delivery.substr(0, size));
    EXPECT_EQ(status.ok(), parses) << size << ": " << status;
    if (!status.ok()) EXPECT_EQ(ReasonOf(status), Reason::kCorruptData);
    readable += status.ok() ? 1 : 0;
  }
  EXPECT_EQ(readable, 9);
  EXPECT_FALSE(read("\x7b").ok()) << "a group";
  EXPECT_FALSE(read(std::string("\x02\x01", 2)).ok()) << "field number 0";
  EXPECT_FALSE(read(std::string("\x7a\x02\x02\x00", 4)).ok()) << "field number 0, in a record";
  EXPECT_FALSE(read(std::string("\x7a\x02\x0a\x05", 4)).ok()) << "a record whose key runs past it";
}

TEST(ReceivedRecords, OfAGroupAreReadInTheSameWay) {
  naru::v1::ConsumeResponse response;
  naru::v1::GroupDelivery& delivery = *response.mutable_delivery();
  delivery.set_delivery_id(3);
  delivery.set_topic("orders");
  delivery.add_batches()->set_base_offset(5);
  *delivery.mutable_records() = ThreeRecords().delivery().records();
  auto read = ReadResponse<naru::v1::GroupDelivery, naru::v1::ConsumeResponse>(
      Cut(response.SerializeAsString(), 100));
  ASSERT_TRUE(read.ok()) << read.status();
  const auto& received = std::get<Received<naru::v1::GroupDelivery>>(*read);
  EXPECT_EQ(received.head.delivery_id(), 3);
  EXPECT_TRUE(MessageDifferencer::Equals(*received.ToMessage(), delivery));
}

}  // namespace
}  // namespace naru::client
