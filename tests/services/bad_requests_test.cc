// Malformed and wrong requests to the produce and consume services: the exact code and reason of each, and a
// server that lives on with its data unchanged.
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "storage/batch/compression.h"
#include "tests/services/hub.h"
#include "tests/services/raw_calls.h"
#include "tests/storage/batch/batch_bytes.h"

namespace naru::services {
namespace {

using batch_bytes::Batch;
using batch_bytes::Bytes;
using batch_bytes::Compressed;
using batch_bytes::Keyless;
using batch_bytes::RecordField;
using batch_bytes::TagOf;
using batch_bytes::Varint;
using grpc::StatusCode;
using ::testing::ElementsAre;

struct Row {
  std::string what;
  std::string request;
  StatusCode code;
  std::string reason;
  // A fact that the error must carry.
  std::string key;
  std::string value;
};

constexpr StatusCode kInvalid = StatusCode::INVALID_ARGUMENT;
const std::string kBad = "INVALID_FIELD";
const std::string kMalformed = "MALFORMED_BATCH";

std::string Topic(const std::string& name = "t") { return Bytes(1, name); }
std::string Good() { return Bytes(15, Batch({Keyless("v")})); }
// A ProduceRequest for partition 0 with these batch bytes.
std::string With(const std::string& batch) { return Topic() + Varint(2, 0) + Bytes(15, batch); }

// What is wrong beside the batch.
std::vector<Row> ProduceFieldRows() {
  return {
      {"no bytes at all", "", kInvalid, kBad, "field", "topic"},
      {"no message", "\xff\xff", kInvalid, kBad, "field", "ProduceRequest"},
      {"a length past the end", Topic() + TagOf(15, 2) + "\x7f", kInvalid, kBad, "field", "ProduceRequest"},
      {"an endless varint", TagOf(2, 0) + std::string(11, '\xff'), kInvalid, kBad, "field", "ProduceRequest"},
      {"field number 0", std::string("\0\1", 2), kInvalid, kBad, "field", "ProduceRequest"},
      {"wire type 7", Topic() + TagOf(90, 7), kInvalid, kBad, "field", "ProduceRequest"},
      {"a group that does not end", Topic() + TagOf(90, 3), kInvalid, kBad, "field", "ProduceRequest"},
      {"a group's end alone", Topic() + TagOf(90, 4), kInvalid, kBad, "field", "ProduceRequest"},
      {"groups nested too deeply", std::string(300, '\x0b'), kInvalid, kBad, "field", "ProduceRequest"},
      {"the topic as a number", Varint(1, 7) + Good(), kInvalid, kBad, "field", "topic"},
      {"the partition as bytes", Topic() + Bytes(2, "0") + Good(), kInvalid, kBad, "field", "partition"},
      {"the partition key as a number", Topic() + Varint(3, 1) + Good(), kInvalid, kBad, "field",
       "partition_key"},
      {"the acks as bytes", Topic() + Bytes(4, "1") + Good(), kInvalid, kBad, "field", "acks"},
      {"the batch as a number", Topic() + Varint(15, 1), kInvalid, kBad, "field", "batch"},
      {"two batches", Topic() + Varint(2, 0) + Good() + Good(), kInvalid, kMalformed, "rule",
       "duplicate_field"},
      {"no topic", Good(), kInvalid, kBad, "field", "topic"},
      {"a topic with a slash", Topic("a/b") + Good(), kInvalid, kBad, "field", "topic"},
      {"a topic that is not UTF-8", Topic("\xc3\x28") + Good(), kInvalid, kBad, "field", "topic"},
      {"a topic called ..", Topic("..") + Good(), kInvalid, kBad, "field", "topic"},
      {"a topic of 250 bytes", Topic(std::string(250, 'a')) + Good(), kInvalid, kBad, "field", "topic"},
      {"a topic that does not exist", Topic("u") + Good(), StatusCode::NOT_FOUND, "TOPIC_NOT_FOUND", "topic",
       "u"},
      {"a topic id of 3 bytes", Topic() + Bytes(8, "abc") + Good(), kInvalid, kBad, "field", "topic_id"},
      {"another topic's id", Topic() + Bytes(8, std::string(16, 'z')) + Good(),
       StatusCode::FAILED_PRECONDITION, "TOPIC_ID_MISMATCH", "topic_id", "74747474747474747474747474747441"},
      {"partition 1 of 1", Topic() + Varint(2, 1) + Good(), StatusCode::NOT_FOUND, "PARTITION_NOT_FOUND",
       "partitions", "1"},
      {"partition -1", Topic() + Varint(2, ~uint64_t{0}) + Good(), StatusCode::NOT_FOUND,
       "PARTITION_NOT_FOUND", "partitions", "1"},
      {"acks 9", Topic() + Varint(4, 9) + Good(), kInvalid, kBad, "value", "9"},
      {"an expected offset without a partition", Topic() + Varint(5, 0) + Good(), kInvalid, kBad, "field",
       "expected_offset"},
      {"a negative expected offset", Topic() + Varint(2, 0) + Varint(5, ~uint64_t{0}) + Good(), kInvalid,
       kBad, "value", "-1"},
      {"a leader epoch without a partition", Topic() + Varint(7, 0) + Good(), kInvalid, kBad, "field",
       "leader_epoch"},
      {"a negative leader epoch", Topic() + Varint(2, 0) + Varint(7, ~uint64_t{0}) + Good(), kInvalid, kBad,
       "value", "-1"},
      {"another leader epoch", Topic() + Varint(2, 0) + Varint(7, 3) + Good(),
       StatusCode::FAILED_PRECONDITION, "NOT_LEADER", "leader", "1"},
      {"an expected offset that is not the end", Topic() + Varint(2, 0) + Varint(5, 7) + Good(),
       StatusCode::FAILED_PRECONDITION, "EXPECTED_OFFSET_MISMATCH", "end_offset", "1"},
  };
}

// What is wrong in the batch.
std::vector<Row> ProduceBatchRows() {
  const std::string bomb =
      Compressed(Codec::kZstd,
                 Batch({Keyless(std::string(900'000, 'x')), Keyless(std::string(900'000, 'x')),
                        Keyless(std::string(900'000, 'x'))}),
                 3);
  std::string many;
  for (int i = 0; i < 100'001; ++i) many += RecordField("");
  return {
      {"no batch", Topic(), kInvalid, kMalformed, "rule", "no_records"},
      {"a batch without records", With(""), kInvalid, kMalformed, "rule", "no_records"},
      {"a batch that is cut short", With(RecordField(Keyless("v")).substr(0, 3)), kInvalid, kMalformed,
       "rule", "truncated"},
      {"an unknown batch field", With(Batch({Keyless("v")}) + Varint(9, 1)), kInvalid, "UNKNOWN_BATCH_FIELD",
       "", ""},
      {"a record with an offset", With(RecordField(Varint(15, 3))), kInvalid, kMalformed, "rule",
       "offset_set"},
      {"a record with a negative time", With(RecordField(Varint(4, ~uint64_t{0}))), kInvalid, kMalformed,
       "rule", "negative_timestamp"},
      {"a header key that is not UTF-8", With(RecordField(Bytes(3, Bytes(1, "\xff")))), kInvalid,
       "INVALID_UTF8", "", ""},
      {"a wrong record count", With(Varint(3, 2) + Batch({Keyless("v")})), kInvalid, kMalformed, "rule",
       "record_count"},
      {"a codec that does not exist", With(Varint(2, 9) + Varint(3, 1) + Bytes(14, "x")), kInvalid,
       "UNSUPPORTED_COMPRESSION", "", ""},
      {"compressed bytes that are none", With(Varint(2, 3) + Varint(3, 1) + Bytes(14, "x")), kInvalid,
       kMalformed, "rule", "compressed"},
      {"a decompression bomb", With(bomb), kInvalid, "BATCH_TOO_LARGE", "limit_bytes", "2097152"},
      {"a record above a mebibyte", With(RecordField(Keyless(std::string(1 << 20, 'x')))), kInvalid,
       "RECORD_TOO_LARGE", "limit_bytes", "1048576"},
      {"a batch above two mebibytes",
       With(Batch({Keyless(std::string(800'000, 'x')), Keyless(std::string(800'000, 'x')),
                   Keyless(std::string(800'000, 'x'))})),
       kInvalid, "BATCH_TOO_LARGE", "limit_bytes", "2097152"},
      {"too many records", With(many), kInvalid, "BATCH_TOO_LARGE", "limit_records", "100000"},
  };
}

std::vector<Row> ProduceRows() {
  std::vector<Row> rows = ProduceFieldRows();
  for (Row& row : ProduceBatchRows()) rows.push_back(std::move(row));
  return rows;
}

std::vector<Row> FetchRows() {
  return {
      {"no message", "\xff\xff", kInvalid, kBad, "field", "FetchRequest"},
      {"no bytes at all", "", kInvalid, kBad, "field", "topic"},
      {"a topic that is not UTF-8", Topic("\xff"), kInvalid, kBad, "field", "FetchRequest"},
      {"a topic that does not exist", Topic("u"), StatusCode::NOT_FOUND, "TOPIC_NOT_FOUND", "topic", "u"},
      {"a topic id of 17 bytes", Topic() + Bytes(8, std::string(17, 'x')), kInvalid, kBad, "field",
       "topic_id"},
      {"partition 1 of 1", Topic() + Varint(2, 1), StatusCode::NOT_FOUND, "PARTITION_NOT_FOUND", "partitions",
       "1"},
      {"an offset above the end", Topic() + Varint(3, 2), StatusCode::OUT_OF_RANGE, "OFFSET_OUT_OF_RANGE",
       "high_watermark", "1"},
      {"a negative offset", Topic() + Varint(3, ~uint64_t{0}), StatusCode::OUT_OF_RANGE,
       "OFFSET_OUT_OF_RANGE", "log_start_offset", "0"},
      {"position 7", Topic() + Varint(4, 7), kInvalid, kBad, "field", "position"},
      {"a negative end offset", Topic() + Varint(6, ~uint64_t{0}), kInvalid, kBad, "field", "end_offset"},
      {"a negative wait", Topic() + Varint(7, ~uint64_t{0}), kInvalid, kBad, "field", "max_wait_ms"},
      {"a wait above a minute", Topic() + Varint(7, 60'001), kInvalid, kBad, "value", "60001"},
      {"negative max_bytes", Topic() + Varint(9, ~uint64_t{0}), kInvalid, kBad, "field", "max_bytes"},
      {"negative max_records", Topic() + Varint(10, ~uint64_t{0}), kInvalid, kBad, "field", "max_records"},
      {"negative min_bytes", Topic() + Varint(11, ~uint64_t{0}), kInvalid, kBad, "field", "min_bytes"},
      {"delivery 5", Topic() + Varint(12, 5), kInvalid, kBad, "field", "delivery"},
  };
}

std::vector<Row> ListRows() {
  return {
      {"no message", "\x0a\x05t", kInvalid, kBad, "field", "ListOffsetsRequest"},
      {"no topic", "", kInvalid, kBad, "field", "topic"},
      {"a topic that does not exist", Topic("u"), StatusCode::NOT_FOUND, "TOPIC_NOT_FOUND", "topic", "u"},
      {"another topic's id", Topic() + Bytes(2, std::string(16, 'z')), StatusCode::FAILED_PRECONDITION,
       "TOPIC_ID_MISMATCH", "", ""},
      {"more partitions than there are", Topic() + Bytes(3, std::string("\0\0", 2)), kInvalid, kBad, "field",
       "partitions"},
      {"position 3", Topic() + Varint(4, 3), kInvalid, kBad, "field", "position"},
  };
}

// A SubscribeRequest that starts with these fields.
std::string Start(const std::string& fields) { return Bytes(1, fields); }
std::string Subscribed(const std::string& fields = "") { return Bytes(1, Topic() + fields); }

std::vector<Row> SubscribeRows() {
  return {
      {"no message", "\xff\xff", kInvalid, kBad, "field", "SubscribeRequest"},
      {"neither start nor credit", "", kInvalid, kBad, "field", "request"},
      {"credit before start", Bytes(2, Varint(1, 5)), kInvalid, kBad, "field", "credit"},
      {"no topics", Start(""), kInvalid, kBad, "field", "topics"},
      {"a topic without a name", Start(Bytes(1, "")), kInvalid, kBad, "field", "topic"},
      {"a topic that does not exist", Start(Bytes(1, Topic("u"))), StatusCode::NOT_FOUND, "TOPIC_NOT_FOUND",
       "topic", "u"},
      {"another topic's id", Start(Subscribed(Bytes(2, std::string(16, 'z')))),
       StatusCode::FAILED_PRECONDITION, "TOPIC_ID_MISMATCH", "", ""},
      {"partition 4 of 1", Start(Subscribed(Bytes(3, Varint(1, 4)))), StatusCode::NOT_FOUND,
       "PARTITION_NOT_FOUND", "partitions", "1"},
      {"a partition named twice", Start(Subscribed(Bytes(3, "") + Bytes(3, ""))), kInvalid, kBad, "field",
       "partitions"},
      {"a topic named twice", Start(Subscribed() + Subscribed()), kInvalid, kBad, "field", "partitions"},
      {"a negative end offset", Start(Subscribed(Bytes(3, Varint(3, ~uint64_t{0})))), kInvalid, kBad, "field",
       "end_offset"},
      {"position 9", Start(Subscribed(Varint(4, 9))), kInvalid, kBad, "field", "position"},
      {"delivery 3", Start(Subscribed() + Varint(2, 3)), kInvalid, kBad, "field", "delivery"},
      {"negative max_message_bytes", Start(Subscribed() + Varint(3, ~uint64_t{0})), kInvalid, kBad, "field",
       "max_message_bytes"},
      {"negative credit_bytes", Start(Subscribed() + Varint(4, ~uint64_t{0})), kInvalid, kBad, "field",
       "credit_bytes"},
      {"an idle interval of 99", Start(Subscribed() + Varint(5, 99)), kInvalid, kBad, "value", "99"},
  };
}

class BadRequestsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    hub_.catalog.SetTopic("t", 1);
    hub_.Append("t", 0, {"kept"});
  }
  // The server lives, and its data is what it was.
  void TearDown() override {
    EXPECT_THAT(Stored(hub_, "t", 0), ElementsAre("kept"));
    hub_.Append("t", 0, {"more"});
    EXPECT_EQ(hub_.produce.Counters().memory_used_bytes, 0);
  }
  void Check(const Row& row, const CallEnd& end) {
    EXPECT_EQ(end.code, row.code) << row.what << ": " << end.message;
    EXPECT_EQ(end.reason, row.reason) << row.what << ": " << end.message;
    if (row.key.empty()) return;
    const auto it = end.metadata.find(row.key);
    ASSERT_NE(it, end.metadata.end()) << row.what;
    EXPECT_EQ(it->second, row.value) << row.what;
  }
  void CheckAll(const std::vector<Row>& rows, const std::string& method) {
    for (const Row& row : rows) Check(row, CallRaw(hub_.channel, method, {row.request}).end);
  }

  Hub hub_;
};

TEST_F(BadRequestsTest, OfProduce) { CheckAll(ProduceRows(), "/naru.v1.ProduceService/Produce"); }
TEST_F(BadRequestsTest, OfFetch) { CheckAll(FetchRows(), "/naru.v1.ConsumeService/Fetch"); }
TEST_F(BadRequestsTest, OfListOffsets) { CheckAll(ListRows(), "/naru.v1.ConsumeService/ListOffsets"); }
TEST_F(BadRequestsTest, OfSubscribe) { CheckAll(SubscribeRows(), "/naru.v1.ConsumeService/Subscribe"); }

TEST_F(BadRequestsTest, OfSubscribeAfterItsStart) {
  const std::string credited = Start(Subscribed() + Varint(4, 1'000'000));
  const std::string free = Start(Subscribed());
  const std::vector<std::pair<std::string, std::vector<std::string>>> rows = {
      {"start", {credited, credited}},
      {"credit.bytes", {credited, Bytes(2, "")}},
      {"credit.bytes", {credited, Bytes(2, Varint(1, ~uint64_t{0}))}},
      {"credit", {free, Bytes(2, Varint(1, 5))}},
      {"request", {free, ""}},
      {"SubscribeRequest", {free, "\xff"}},
      {"start", {}},
  };
  for (const auto& [field, messages] : rows) {
    const CallEnd end = CallRaw(hub_.channel, "/naru.v1.ConsumeService/Subscribe", messages).end;
    Check({field + " after the start", "", kInvalid, kBad, "field", field}, end);
  }
}

// On a stream what is wrong with a batch is its item's error, the same as that of the unary call.
TEST_F(BadRequestsTest, OfProduceStreamItems) {
  for (const Row& row : ProduceRows()) {
    const RawEnd raw = CallRaw(hub_.channel, "/naru.v1.ProduceService/ProduceStream",
                               {Varint(1, 5) + Bytes(15, row.request)});
    if (raw.responses.empty()) {
      // The request itself could not be read, so the stream ended.
      Check(row, raw.end);
      EXPECT_TRUE(row.value == "ProduceRequest" || row.value == "duplicate_field" || row.reason == kBad)
          << row.what;
      continue;
    }
    EXPECT_EQ(raw.end.code, StatusCode::OK) << row.what;
    naru::v1::ProduceStreamResponse response;
    ASSERT_TRUE(response.ParseFromString(raw.responses[0]));
    ASSERT_EQ(response.results_size(), 1);
    EXPECT_EQ(response.results(0).id(), 5);
    const naru::v1::Error& error = response.results(0).error();
    CallEnd end{
        .code = static_cast<StatusCode>(error.code()), .reason = error.reason(), .message = error.message()};
    end.metadata.insert(error.metadata().begin(), error.metadata().end());
    Check(row, end);
  }
}

TEST_F(BadRequestsTest, OfProduceStreamMessages) {
  const std::vector<Row> rows = {
      {"no message", "\xff\xff", kInvalid, kBad, "field", "ProduceStreamRequest"},
      {"the id as bytes", Bytes(1, "1"), kInvalid, kBad, "field", "id"},
      {"produce as a number", Varint(15, 1), kInvalid, kBad, "field", "produce"},
      {"resume as a number", Varint(3, 1), kInvalid, kBad, "field", "resume"},
      {"resume that does not parse", Bytes(3, "\xff"), kInvalid, kBad, "field", "resume"},
      {"two produces", Bytes(15, With(Batch({Keyless("v")}))) + Bytes(15, With(Batch({Keyless("v")}))),
       kInvalid, kBad, "field", "produce"},
  };
  CheckAll(rows, "/naru.v1.ProduceService/ProduceStream");
}

TEST_F(BadRequestsTest, AMessageAboveGrpcsBoundIsRefusedByGrpc) {
  const std::string huge(5 << 20, 'x');
  for (const char* method : {"/naru.v1.ProduceService/Produce", "/naru.v1.ProduceService/ProduceStream",
                             "/naru.v1.ConsumeService/Fetch", "/naru.v1.ConsumeService/Subscribe"}) {
    EXPECT_NE(CallRaw(hub_.channel, method, {huge}).end.code, StatusCode::OK) << method;
  }
}

}  // namespace
}  // namespace naru::services
