// One row for each rule that a batch can break, in a plain batch and inside compressed ones.
#include "storage/batch/batch_rules.h"

#include <google/protobuf/stubs/logging.h>
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "storage/base/status.h"
#include "storage/base/strings.h"
#include "storage/batch/batch.h"
#include "tests/storage/batch/batch_bytes.h"

namespace naru {
namespace {

using namespace batch_bytes;  // NOLINT(google-build-using-namespace)

struct Broken {
  std::string what;
  std::string bytes;
  Reason reason = Reason::kMalformedBatch;
  std::string rule;
  std::string message;  // part of it
};

const std::string kGood = RecordField(Record("k", "v", 5));
const std::string kVarintTooLong(11, '\xff');
const std::string kVarintTooLarge = std::string(9, '\xff') + '\x02';

Broken Malformed(std::string what, std::string bytes, std::string rule, std::string message) {
  return {std::move(what), std::move(bytes), Reason::kMalformedBatch, std::move(rule), std::move(message)};
}

Broken InRecord(std::string what, const std::string& record, std::string rule, const std::string& message) {
  return Malformed(std::move(what), kGood + RecordField(record), std::move(rule), ".records[1]: " + message);
}

Broken InHeader(std::string what, const std::string& header, std::string rule, const std::string& message) {
  return InRecord(std::move(what), Bytes(2, "v") + Bytes(3, header), std::move(rule), "field 3: " + message);
}

std::vector<Broken> BrokenInBatchFields() {
  return {
      Malformed("a tag cut short", kGood + '\x80', "truncated", "must end within"),
      Malformed("a tag without a value", kGood + TagOf(3, 0), "truncated",
                "field 3: a field must end within"),
      Malformed("a length past the end", kGood + "\x7a\x05" + "1234", "truncated",
                "field 15: a field must end"),
      Malformed("a length cut short", kGood + "\x7a\x80", "truncated", "field 15: a field must end"),
      Malformed("a tag of 11 bytes", kGood + kVarintTooLong, "varint", "at most 10 bytes"),
      Malformed("a tag longer than needed", std::string("\xfa\x00\x02\x12\x00", 5), "varint",
                "no more than it needs"),
      Malformed("a length of 6 bytes", kGood + "\x7a" + std::string("\x80\x80\x80\x80\x80\x00", 6), "varint",
                "a length at most 5 bytes"),
      Malformed("a count beyond 64 bits", kGood + TagOf(3, 0) + kVarintTooLarge, "varint",
                "field 3: a varint"),
      Malformed("field number 0", kGood + std::string("\x02\x00", 2), "field_number", "from 1 to 536870911"),
      Malformed("a field number of 30 bits", kGood + TagOf(1u << 29, 0) + "\x01", "field_number",
                "from 1 to 536870911"),
      Malformed("records as a varint", kGood + Varint(15, 1), "wire_type",
                "field 15: a field must have the wire type"),
      Malformed("a count as bytes", kGood + Bytes(3, "1"), "wire_type", "field 3: a field must have"),
      Malformed("compressed as a varint", Varint(14, 1), "wire_type", "field 14: a field must have"),
      Malformed("wire type 6", kGood + TagOf(3, 6), "wire_type", "field 3: a field must have"),
      Malformed("wire type 7", kGood + TagOf(3, 7), "wire_type", "field 3: a field must have"),
      Malformed("a group", kGood + TagOf(15, 3) + TagOf(15, 4), "group",
                "field 15: groups (wire types 3 and 4)"),
      Malformed("the end of a group", kGood + TagOf(3, 4), "group", "field 3: groups"),
      Malformed("no records", "", "no_records", "at least one record"),
  };
}

std::vector<Broken> BrokenInARecord() {
  return {
      InRecord("a key past the end", "\x0a\x05key", "truncated", "field 1: a field must end"),
      InRecord("a value past the end", "\x12\x05val", "truncated", "field 2: a field must end"),
      InRecord("a header past the end", "\x1a\x05val", "truncated", "field 3: a field must end"),
      InRecord("a timestamp cut short", "\x20\x80", "truncated", "field 4: a field must end"),
      InRecord("an unknown varint cut short", TagOf(99, 0) + "\x80", "truncated",
               "field 99: a field must end"),
      InRecord("unknown bytes past the end", TagOf(99, 2) + "\x05val", "truncated",
               "field 99: a field must end"),
      InRecord("an unknown fixed64 cut short", TagOf(99, 1) + "7bytes.", "truncated",
               "field 99: a field must end"),
      InRecord("an unknown fixed32 cut short", TagOf(99, 5) + "3b.", "truncated",
               "field 99: a field must end"),
      InRecord("a key's length of 6 bytes", std::string("\x0a\x80\x80\x80\x80\x80\x00", 7), "varint",
               "field 1: a varint takes"),
      InRecord("a timestamp beyond 64 bits", TagOf(4, 0) + kVarintTooLarge, "varint",
               "field 4: a varint takes"),
      InRecord("a key's tag longer than needed", std::string("\x8a\x00\x01k", 4), "varint", "a varint takes"),
      InRecord("an offset's tag longer than needed", std::string("\xf8\x00\x01", 3), "varint",
               "a varint takes"),
      InRecord("field number 0", std::string("\x00\x00", 2), "field_number",
               "field numbers go from 1 to 536870911"),
      InRecord("a field number beyond 29 bits", std::string("\x80\x80\x80\x80\x10\x01", 6), "field_number",
               "field numbers go from 1 to 536870911"),
      InRecord("a key as a varint", Varint(1, 1), "wire_type", "field 1: a field must have the wire type"),
      InRecord("a value as fixed32", TagOf(2, 5) + "4by.", "wire_type", "field 2: a field must have"),
      InRecord("a header as a varint", Varint(3, 1), "wire_type", "field 3: a field must have"),
      InRecord("a timestamp as fixed64", TagOf(4, 1) + "8 bytes.", "wire_type", "field 4: a field must have"),
      InRecord("an offset as bytes", Bytes(15, "1"), "wire_type", "field 15: a field must have"),
      InRecord("wire type 6", TagOf(99, 6), "wire_type", "field 99: a field must have"),
      InRecord("a group", TagOf(99, 3) + TagOf(99, 4), "group", "field 99: groups (wire types 3 and 4)"),
      InRecord("the end of a group", TagOf(99, 4), "group", "field 99: groups"),
      InRecord("an offset", Varint(15, 7), "offset_set", "field 15: offset must not be set"),
      InRecord("an offset of 0", Varint(15, 0), "offset_set", "field 15: offset must not be set"),
      Malformed("a negative timestamp", kGood + RecordField(Varint(4, static_cast<uint64_t>(-7))),
                "negative_timestamp",
                ".records[1].timestamp_ms: -7 is not allowed; 0 (the time of the append) or more"),
      Malformed("a negative timestamp that another follows",
                RecordField(Varint(4, static_cast<uint64_t>(INT64_MIN)) + Varint(4, 1)), "negative_timestamp",
                ".records[0].timestamp_ms: -9223372036854775808 is not allowed; 0"),
  };
}

std::vector<Broken> BrokenInAHeader() {
  return {
      InHeader("a key past the end", "\x0a\x05key", "truncated", "a field must end"),
      InHeader("a value past the end", "\x12\x05val", "truncated", "a field must end"),
      InHeader("a group", TagOf(9, 3) + TagOf(9, 4), "group", "groups"),
      InHeader("a key as a varint", Varint(1, 1), "wire_type", "a field must have the wire type"),
      InHeader("field number 0", std::string("\x00\x00", 2), "field_number", "field numbers go from 1"),
      InHeader("a tag longer than needed", std::string("\x8a\x00\x01k", 4), "varint", "a varint takes"),
  };
}

// What is wrong wherever it stands: in the batch as sent, or in what it holds compressed.
std::vector<Broken> BrokenAnywhere() {
  std::vector<Broken> all = BrokenInBatchFields();
  for (const auto& more : {BrokenInARecord(), BrokenInAHeader()})
    all.insert(all.end(), more.begin(), more.end());
  return all;
}

// Texts that are not UTF-8, each for another reason.
const std::vector<std::string> kNotUtf8 = {"\xff",
                                           "\x80",
                                           "\xc3",
                                           "\xc3(",
                                           "\xc0\xaf",
                                           "\xc1\xbf",
                                           "\xe2\x82",
                                           "\xe0\x9f\xbf",
                                           "\xed\xa0\x80",
                                           "\xf0\x8f\xbf\xbf",
                                           "\xf4\x90\x80\x80",
                                           "\xf5\x80\x80\x80",
                                           "12345678\xf0\x9f\x98",
                                           "\xe2\x28\xa1",
                                           "\xf0\x9f\x28\x80",
                                           "\xf0\x28\x9f\x80",
                                           "\xe2\x82\x28"};

void ExpectRefused(const Broken& row, const std::string& bytes, std::string_view how,
                   std::string_view message) {
  for (const absl::Cord& batch : {absl::Cord(bytes), InChunks(bytes, 1), InChunks(bytes, 3)}) {
    const absl::Status status = WalkBatch(batch, BatchLimits{}).status();
    EXPECT_EQ(ReasonOf(status), row.reason) << row.what << ", " << how << ": " << status;
    EXPECT_EQ(MetadataValue(status, "rule"), row.rule) << row.what << ", " << how << ": " << status;
    EXPECT_NE(Std(status.message()).find(message), std::string_view::npos)
        << row.what << ", " << how << ": " << status << " lacks " << message;
  }
}

TEST(BatchRules, EachIsNamedWhenItIsBrokenInAPlainBatch) {
  for (const Broken& row : BrokenAnywhere()) ExpectRefused(row, row.bytes, "plain", row.message);
}

TEST(BatchRules, EachIsNamedWhenItIsBrokenInsideACompressedBatch) {
  for (const Broken& row : BrokenAnywhere()) {
    for (const Codec codec : kCodecs) {
      ExpectRefused(row, Compressed(codec, row.bytes, 1), CodecName(codec), row.message);
    }
  }
}

TEST(BatchRules, AHeaderKeyIsUtf8) {
  const google::protobuf::LogSilencer silencer;  // of what the parser says to each
  for (const std::string& text : kNotUtf8) {
    const std::string bytes = kGood + RecordField(Bytes(3, Bytes(1, text)));
    const Broken row{"not UTF-8", bytes, Reason::kInvalidUtf8, "", ""};
    ExpectRefused(row, bytes, "plain", "batch.records[1]: field 3: a header key must be UTF-8");
    ExpectRefused(row, Compressed(Codec::kLz4, bytes, 1), "lz4", "batch.compressed.records[1]: field 3");
    naru::v1::RecordBatch message;
    EXPECT_FALSE(message.ParseFromString(bytes));
    // An earlier key counts too: parsers check each as it comes.
    const std::string twice = RecordField(Bytes(3, Bytes(1, text) + Bytes(1, "fine")));
    EXPECT_EQ(ReasonOf(WalkBatch(absl::Cord(twice), BatchLimits{}).status()), Reason::kInvalidUtf8);
    // Values may be any bytes.
    const std::string as_value = RecordField(Bytes(1, text) + Bytes(2, text) + Bytes(3, Bytes(2, text)));
    EXPECT_TRUE(WalkBatch(absl::Cord(as_value), BatchLimits{}).ok());
  }
  for (const char* text :
       {"", "ascii", "12345678abcdefgh", "12345678é", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf",
        "\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"}) {
    const std::string bytes = RecordField(Bytes(3, Bytes(1, text)));
    EXPECT_TRUE(WalkBatch(absl::Cord(bytes), BatchLimits{}).ok()) << text;
    EXPECT_TRUE(naru::v1::RecordBatch().ParseFromString(bytes)) << text;
  }
}

// What is wrong with the stamp of a producer.
std::vector<Broken> BrokenInAStamp() {
  const auto stamped = [](const std::string& stamp) { return Bytes(1, stamp) + kGood; };
  const std::string id = Varint(1, 7);
  const auto negative = static_cast<uint64_t>(int64_t{-1});
  return {
      Malformed("a stamp as a varint", Varint(1, 1) + kGood, "wire_type",
                "batch: field 1: a field must have"),
      Malformed("two stamps", stamped(id) + Bytes(1, id), "duplicate_field", "field 1: only records may"),
      Malformed("a stamp past the end", kGood + "\x0a\x05\x08\x01", "truncated", "field 1: a field must end"),
      Malformed("an id cut short", stamped("\x08\x80"), "truncated",
                "batch.producer: field 1: a field must end"),
      Malformed("a tag alone", stamped(id + TagOf(2, 0)), "truncated",
                "batch.producer: field 2: a field must"),
      Malformed("an id beyond 64 bits", stamped(TagOf(1, 0) + kVarintTooLarge), "varint",
                "batch.producer: field 1: a varint takes"),
      Malformed("a tag longer than needed", stamped(std::string("\x88\x00\x01", 3)), "varint",
                "batch.producer: a varint takes"),
      Malformed("an epoch as bytes", stamped(id + Bytes(2, "1")), "wire_type",
                "batch.producer: field 2: a field"),
      Malformed("a group in a stamp", stamped(id + TagOf(3, 3) + TagOf(3, 4)), "group",
                "batch.producer: field 3: groups"),
      Malformed("field number 0 in a stamp", stamped(std::string("\x00\x00", 2)), "field_number",
                "batch.producer: field numbers go from"),
      Malformed("two ids", stamped(id + id), "duplicate_field", "batch.producer: field 1: only records may"),
      Malformed("an empty stamp", stamped(""), "producer",
                "batch.producer.producer_id: 0 is not allowed; 1 or more"),
      Malformed("a negative id", stamped(Varint(1, negative)), "producer",
                "batch.producer.producer_id: -1 is not allowed; 1 or more"),
      Malformed("a negative epoch", stamped(id + Varint(2, negative)), "producer",
                "batch.producer.epoch: -1 is not allowed; 0 or more"),
      Malformed("a negative sequence", stamped(id + Varint(3, negative)), "producer",
                "batch.producer.base_sequence: -1 is not allowed; 0 to 4611686018427387904"),
      Malformed("a sequence too large", stamped(id + Varint(3, kBaseSequenceMax + 1)), "producer",
                "batch.producer.base_sequence: 4611686018427387905 is not allowed"),
      {"an unknown field in a stamp", stamped(id + Varint(4, 1)), Reason::kUnknownBatchField, "",
       "batch.producer: field 4 is not known here; fields 1, 2 and 3 are"},
  };
}

TEST(BatchRules, AStampIsWhatTheApiSays) {
  for (const Broken& row : BrokenInAStamp()) ExpectRefused(row, row.bytes, "a stamp", row.message);
  const std::string unknown = Bytes(1, Varint(1, 7) + Varint(4, 1)) + kGood;
  EXPECT_EQ(MetadataValue(WalkBatch(absl::Cord(unknown), BatchLimits{}).status(), "field"), "1.4");
}

// What is wrong in a batch as a whole.
std::vector<Broken> BrokenAsAWhole() {
  const std::string gzip = Bytes(14, *Compress(Codec::kGzip, kGood));
  const auto inside = [](std::string_view plain) { return Compressed(Codec::kZstd, plain, 1); };
  const std::string only_records = "field 4: compressed holds a RecordBatch with only records";
  return {
      Malformed("two counts", Varint(3, 1) + kGood + Varint(3, 1), "duplicate_field",
                "field 3: only records may"),
      Malformed("two codecs", Varint(2, 0) + Varint(2, 0) + kGood, "duplicate_field",
                "field 2: only records may"),
      Malformed("two times", Varint(4, 5) + Varint(4, 5) + kGood, "duplicate_field",
                "field 4: only records may"),
      Malformed("two compressed", inside(kGood) + gzip, "duplicate_field", "field 14: only records may"),
      Malformed("both", Compressed(Codec::kGzip, kGood, 1) + kGood, "records_and_compressed",
                "either records or compressed"),
      Malformed("no codec", Varint(3, 1) + gzip, "compressed_without_compression",
                "compressed needs compression"),
      Malformed("codec none", Varint(2, 0) + Varint(3, 1) + gzip, "compressed_without_compression",
                "compressed needs compression"),
      Malformed("a codec without compressed", Varint(2, 1) + kGood, "compression_without_compressed",
                "the records stand in compressed"),
      Malformed("a wrong count", Varint(3, 2) + kGood, "record_count",
                "batch.record_count: 2 is not allowed; 0 or the number of its records, 1"),
      Malformed("a count right in 32 bits only", Varint(3, (uint64_t{1} << 32) + 1) + kGood, "record_count",
                "batch.record_count: 4294967297 is not allowed"),
      Malformed(
          "no count of compressed", Varint(2, 1) + gzip, "record_count",
          "batch.record_count: 0 is not allowed; a compressed batch gives the number of its records, 1"),
      Malformed(
          "a wrong count of compressed", Compressed(Codec::kLz4, kGood, 2), "record_count",
          "batch.record_count: 2 is not allowed; a compressed batch gives the number of its records, 1"),
      Malformed("a time too late", Varint(4, 6) + kGood, "max_timestamp",
                "batch.max_timestamp_ms: 6 is not allowed; 0 or the greatest timestamp_ms of its records, 5"),
      Malformed("a time too early", Varint(4, 4) + kGood, "max_timestamp",
                "batch.max_timestamp_ms: 4 is not"),
      Malformed("a negative time", Varint(4, static_cast<uint64_t>(-5)) + kGood, "max_timestamp",
                "batch.max_timestamp_ms: -5 is not allowed"),
      Malformed("a wrong time of compressed", Varint(4, 6) + inside(kGood), "max_timestamp",
                "batch.max_timestamp_ms: 6 is not allowed"),
      Malformed("not the codec's", Varint(2, 3) + Varint(3, 1) + gzip, "compressed",
                "batch.compressed: no frame is not allowed; exactly one complete zstd frame"),
      Malformed("empty compressed", Varint(2, 1) + Varint(3, 1) + Bytes(14, ""), "compressed",
                "batch.compressed: nothing is not allowed; exactly one complete gzip member"),
      Malformed("a time inside", inside(Varint(4, 5) + kGood), "compressed_field", only_records),
      Malformed("a codec inside", inside(Varint(2, 0) + kGood), "compressed_field",
                "field 2: compressed holds"),
      Malformed("a count inside", inside(Varint(3, 1) + kGood), "compressed_field",
                "field 3: compressed holds"),
      Malformed("compressed inside", inside(inside(kGood)), "compressed_field",
                "compressed holds a RecordBatch"),
      Malformed("a stamp inside", inside(StampField(7, 0, 0) + kGood), "compressed_field",
                "field 1: compressed holds"),
      {"an unknown field", kGood + Varint(5, 1), Reason::kUnknownBatchField, "",
       "batch: field 5 is not known"},
      {"an unknown field inside", inside(kGood + Varint(99, 1)), Reason::kUnknownBatchField, "",
       "batch.compressed: field 99 is not known"},
      {"an unknown codec", Varint(2, 5) + Varint(3, 1) + gzip, Reason::kUnsupportedCompression, "",
       "batch.compression: 5 is not allowed; 0 (none), 1 (gzip), 2 (lz4), 3 (zstd) or 4 (snappy)"},
      {"a codec known in 32 bits only", Varint(2, (uint64_t{1} << 32) + 1) + Varint(3, 1) + gzip,
       Reason::kUnsupportedCompression, "", "batch.compression: 4294967297 is not allowed"},
  };
}

TEST(BatchRules, WhatABatchSaysOfItselfMustBeTrue) {
  for (const Broken& row : BrokenAsAWhole()) ExpectRefused(row, row.bytes, "as a whole", row.message);
  const absl::Status unknown = WalkBatch(absl::Cord(kGood + Varint(77, 1)), BatchLimits{}).status();
  EXPECT_EQ(MetadataValue(unknown, "field"), "77");
}

TEST(BatchRules, AllAreInTheTables) {
  std::set<std::string> tested = {"utf8"};
  for (const Broken& row : BrokenAnywhere()) tested.insert(row.rule);
  for (const Broken& row : BrokenAsAWhole()) tested.insert(row.rule);
  for (const Broken& row : BrokenInAStamp()) tested.insert(row.rule);
  for (int rule = 1; rule <= static_cast<int>(Rule::kProducer); ++rule) {
    EXPECT_TRUE(tested.count(std::string(RuleName(static_cast<Rule>(rule)))))
        << RuleName(static_cast<Rule>(rule));
  }
}

struct Over {
  std::string what;
  BatchLimits limits;
  std::string bytes;
  Reason reason;
  std::string key;
  std::string limit;
};

TEST(BatchRules, LimitsAreKeptAndNamed) {
  const std::string record = Bytes(2, std::string(98, 'v'));
  ASSERT_EQ(record.size(), 100u);
  const std::string three = Batch({record, record, record});
  const auto limits = [](int64_t record_bytes_max, int64_t batch_bytes_max, int64_t records_max) {
    return BatchLimits{record_bytes_max, batch_bytes_max, records_max};
  };
  const int64_t size = static_cast<int64_t>(three.size());
  for (const std::string& bytes :
       {three, Compressed(Codec::kGzip, three, 3), Compressed(Codec::kSnappy, three, 3)}) {
    const auto fits = WalkBatch(absl::Cord(bytes), limits(100, size, 3));
    EXPECT_TRUE(fits.ok()) << fits.status();
    for (const Over& row : {
             Over{"a record", limits(99, size, 3), bytes, Reason::kRecordTooLarge, "limit_bytes", "99"},
             Over{"the bytes", limits(100, size - 1, 3), bytes, Reason::kBatchTooLarge, "limit_bytes",
                  absl::StrCat(size - 1)},
             Over{"the records", limits(100, size, 2), bytes, Reason::kBatchTooLarge, "limit_records", "2"},
         }) {
      const absl::Status status = WalkBatch(absl::Cord(row.bytes), row.limits).status();
      EXPECT_EQ(ReasonOf(status), row.reason) << row.what << status;
      EXPECT_EQ(MetadataValue(status, row.key), row.limit) << row.what << status;
      EXPECT_NE(Std(status.message()).find("at most " + row.limit), std::string_view::npos) << status;
    }
  }
}

}  // namespace
}  // namespace naru
