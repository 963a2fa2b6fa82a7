#include "storage/batch/splice.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "naru/v1/consume.pb.h"
#include "storage/base/crc32c.h"
#include "storage/base/status.h"
#include "tests/storage/batch/batch_bytes.h"

namespace naru {
namespace {

using namespace batch_bytes;  // NOLINT(google-build-using-namespace)

constexpr uint32_t kRecordsField = 15;
constexpr uint32_t kBatchesField = 14;
constexpr int64_t kAppendTimeMs = 1'700'000'000'000;
constexpr int64_t kNoBytesLimit = 1 << 20;

// Ten records: value "v<i>"; a timestamp of 100 + i on every odd one.
std::vector<std::string> TenRecords() {
  std::vector<std::string> records;
  records.reserve(10);
  for (int i = 0; i < 10; ++i) records.push_back(Record("k", absl::StrCat("v", i), i % 2 == 1 ? 100 + i : 0));
  return records;
}

StoredBatchView Stored(const std::string& bytes, int64_t base, int64_t count) {
  StoredBatchView view;
  view.base_offset = Offset(base);
  view.next_offset = Offset(base + count);
  view.leader_epoch = LeaderEpoch(4);
  view.append_time_ms = kAppendTimeMs;
  view.max_timestamp_ms = kAppendTimeMs;
  view.record_count = static_cast<uint32_t>(count);
  view.crc32c = Crc32c(bytes);
  view.bytes = InChunks(bytes, 5);
  return view;
}

StoredBatchView Stored(std::string&& bytes, int64_t base, int64_t count) = delete;

// The same batch, plain and in each codec, with a producer's stamp before it or behind it and without.
std::vector<std::string> Forms(const std::vector<std::string>& records) {
  std::vector<std::string> forms = {Batch(records)};
  for (const Codec codec : kCodecs) forms.push_back(Compressed(codec, Batch(records), records.size()));
  const std::string stamp = StampField(7, 15, 1 << 20);
  for (size_t i = 0, count = forms.size(); i < count; ++i) {
    forms.push_back(stamp + forms[i]);
    forms.push_back(forms[i] + stamp);
  }
  return forms;
}

naru::v1::FetchResponse Answer(const std::string& out) {
  naru::v1::FetchResponse answer;
  EXPECT_TRUE(answer.ParseFromString(out));
  return answer;
}

TEST(Splice, GivesEachRecordItsOffsetAndTimestamp) {
  for (const std::string& bytes : Forms(TenRecords())) {
    std::string out;
    Spliced result;
    ASSERT_TRUE(SpliceRecords(Stored(bytes, 1000, 10), kRecordsField,
                              {Offset(1000), Offset(9999), kNoBytesLimit}, out, result)
                    .ok());
    EXPECT_EQ(result.next_offset, Offset(1010));
    EXPECT_EQ(result.records, 10);
    EXPECT_FALSE(result.limit_reached);
    const naru::v1::FetchResponse answer = Answer(out);
    ASSERT_EQ(answer.records_size(), 10);
    for (int i = 0; i < 10; ++i) {
      EXPECT_EQ(answer.records(i).offset(), 1000 + i);
      EXPECT_EQ(answer.records(i).timestamp_ms(), i % 2 == 1 ? 100 + i : kAppendTimeMs);
      EXPECT_EQ(answer.records(i).key(), "k");
      EXPECT_EQ(answer.records(i).value(), absl::StrCat("v", i));
    }
  }
}

// What compaction left of a batch of ten: the records that had these offsets.
StoredBatchView Thinned(const std::string& bytes, int64_t base, std::vector<uint32_t> deltas) {
  StoredBatchView view = Stored(bytes, base, 10);
  view.record_count = static_cast<uint32_t>(deltas.size());
  view.offset_deltas = std::move(deltas);
  return view;
}

TEST(Splice, GivesWhatCompactionLeftItsOwnOffsets) {
  const std::vector<uint32_t> deltas = {1, 4, 8};
  const std::vector<std::string> ten = TenRecords();
  for (const std::string& bytes : Forms({ten[1], ten[4], ten[8]})) {
    const StoredBatchView batch = Thinned(bytes, 100, deltas);
    for (int64_t from = 100; from <= 110; ++from) {
      std::string out;
      Spliced result;
      ASSERT_TRUE(
          SpliceRecords(batch, kRecordsField, {Offset(from), Offset(107), kNoBytesLimit}, out, result).ok());
      EXPECT_EQ(result.next_offset, Offset(std::max<int64_t>(from, 107))) << "past what is gone";
      const naru::v1::FetchResponse answer = Answer(out);
      ASSERT_EQ(answer.records_size(), (from <= 101) + (from <= 104)) << from;
      for (const auto& record : answer.records()) {
        EXPECT_EQ(record.value(), absl::StrCat("v", record.offset() - 100));
      }
    }
    const auto found = FindTimestamp(batch, 0, Offset(102));
    ASSERT_TRUE(found.ok() && found->has_value());
    EXPECT_EQ((*found)->offset, Offset(104));
  }
}

TEST(WrapStored, SaysTheOffsetsOfWhatCompactionLeft) {
  const std::vector<std::string> ten = TenRecords();
  const std::string bytes = Batch({ten[1], ten[8]});
  absl::Cord out;
  WrapStored(Thinned(bytes, 1000, {1, 8}), kBatchesField, out);
  const naru::v1::FetchResponse answer = Answer(std::string(out));
  ASSERT_EQ(answer.batches_size(), 1);
  EXPECT_EQ(answer.batches(0).next_offset(), 1010);
  ASSERT_EQ(answer.batches(0).offset_deltas_size(), 2);
  EXPECT_EQ(answer.batches(0).offset_deltas(1), 8u);
  EXPECT_EQ(answer.batches(0).batch().records_size(), 2);
}

TEST(Splice, DeliversAppendTimesWhereTheTopicSaysSo) {
  const std::string bytes = Batch(TenRecords());
  StoredBatchView batch = Stored(bytes, 0, 10);
  batch.append_time_stamped = true;
  std::string out;
  Spliced result;
  ASSERT_TRUE(SpliceRecords(batch, kRecordsField, {Offset(0), Offset(10), kNoBytesLimit}, out, result).ok());
  const naru::v1::FetchResponse answer = Answer(out);
  ASSERT_EQ(answer.records_size(), 10);
  for (const auto& record : answer.records()) EXPECT_EQ(record.timestamp_ms(), kAppendTimeMs);
}

TEST(Splice, LeavesARecordsOwnBytesAsTheyAre) {
  const std::string record = Record("k", "v", 5) + Varint(99, 1) + Bytes(3, Bytes(1, "h"));
  const std::string bytes = RecordField(record);
  std::string out;
  Spliced result;
  ASSERT_TRUE(SpliceRecords(Stored(bytes, 300, 1), kRecordsField, {Offset(300), Offset(301), kNoBytesLimit},
                            out, result)
                  .ok());
  EXPECT_EQ(out, RecordField(record + Varint(15, 300)));
}

TEST(Splice, BeginsAndEndsInTheMiddleOfABatch) {
  for (const std::string& bytes : Forms(TenRecords())) {
    for (int64_t from = 0; from <= 11; ++from) {
      for (int64_t end = 0; end <= 11; ++end) {
        std::string out;
        Spliced result;
        ASSERT_TRUE(SpliceRecords(Stored(bytes, 0, 10), kRecordsField,
                                  {Offset(from), Offset(end), kNoBytesLimit}, out, result)
                        .ok());
        const int64_t last = std::min<int64_t>(end, 10);
        const int64_t expected = std::max<int64_t>(0, last - from);
        EXPECT_EQ(result.records, expected);
        EXPECT_EQ(result.next_offset, Offset(std::max(from, last))) << from << ' ' << end;
        EXPECT_FALSE(result.limit_reached);
        const naru::v1::FetchResponse answer = Answer(out);
        ASSERT_EQ(answer.records_size(), expected);
        if (expected > 0) {
          EXPECT_EQ(answer.records(0).offset(), from);
        }
      }
    }
  }
}

TEST(Splice, CutsAtARecordWhenTheBytesAreUsedUp) {
  const std::string bytes = Batch(TenRecords());
  const StoredBatchView batch = Stored(bytes, 0, 10);
  std::string whole;
  Spliced result;
  ASSERT_TRUE(
      SpliceRecords(batch, kRecordsField, {Offset(0), Offset(10), kNoBytesLimit}, whole, result).ok());
  for (int64_t bytes_max = 0; bytes_max <= static_cast<int64_t>(whole.size()); ++bytes_max) {
    std::string joined;
    Offset from(0);
    int answers = 0;
    while (from < Offset(10)) {
      std::string out;
      ASSERT_TRUE(SpliceRecords(batch, kRecordsField, {from, Offset(10), bytes_max}, out, result).ok());
      ASSERT_GT(result.records, 0);
      EXPECT_TRUE(result.records == 1 || static_cast<int64_t>(out.size()) <= bytes_max);
      EXPECT_EQ(result.limit_reached, result.next_offset < Offset(10));
      EXPECT_EQ(result.next_offset, from + result.records);
      from = result.next_offset;
      joined += out;
      ++answers;
    }
    EXPECT_EQ(joined, whole);
    if (bytes_max >= static_cast<int64_t>(whole.size()) - 1) {
      EXPECT_EQ(answers, bytes_max == static_cast<int64_t>(whole.size()) ? 1 : 2);
    }
  }
}

TEST(Splice, AddsNothingToAFullAnswer) {
  const std::string bytes = Batch(TenRecords());
  const StoredBatchView batch = Stored(bytes, 0, 10);
  std::string out = "there is something already";
  const std::string before = out;
  Spliced result;
  ASSERT_TRUE(SpliceRecords(batch, kRecordsField, {Offset(3), Offset(10), 30}, out, result).ok());
  EXPECT_EQ(out, before);
  EXPECT_EQ(result.records, 0);
  EXPECT_EQ(result.next_offset, Offset(3));
  EXPECT_TRUE(result.limit_reached);
}

TEST(Splice, CutsAtTheNumberOfRecordsAskedFor) {
  const std::string bytes = Batch(TenRecords());
  const StoredBatchView batch = Stored(bytes, 0, 10);
  for (int64_t records_max = 1; records_max <= 11; ++records_max) {
    std::string out;
    Spliced result;
    ASSERT_TRUE(
        SpliceRecords(batch, kRecordsField, {Offset(2), Offset(10), kNoBytesLimit, records_max}, out, result)
            .ok());
    EXPECT_EQ(result.records, std::min<int64_t>(records_max, 8));
    EXPECT_EQ(result.limit_reached, records_max < 8);
    EXPECT_EQ(result.next_offset, Offset(2) + result.records);
  }
}

TEST(Splice, ReportsABatchThatIsNotWhatWasAppended) {
  std::string out;
  Spliced result;
  const SpliceLimits all = {Offset(0), Offset(100), kNoBytesLimit};
  const std::string bytes = Batch(TenRecords());
  EXPECT_EQ(ReasonOf(SpliceRecords(Stored(bytes, 0, 9), kRecordsField, all, out, result)),
            Reason::kCorruptData);
  EXPECT_EQ(ReasonOf(SpliceRecords(Stored(bytes, 0, 11), kRecordsField, all, out, result)),
            Reason::kCorruptData);
  for (const std::string& broken :
       {bytes.substr(0, bytes.size() - 1), RecordField("\x0a\x05"), std::string("\xff")}) {
    EXPECT_EQ(ReasonOf(SpliceRecords(Stored(broken, 0, 10), kRecordsField, all, out, result)),
              Reason::kCorruptData);
    EXPECT_EQ(ReasonOf(FindTimestamp(Stored(broken, 0, 10), INT64_MAX, Offset(0)).status()),
              Reason::kCorruptData);
  }
}

TEST(WrapStored, SharesTheBytesAndStatesTheFacts) {
  const std::string bytes = Varint(3, 10) + Batch(TenRecords());
  StoredBatchView batch = Stored(bytes, 1000, 10);
  for (const bool append_time_stamped : {false, true}) {
    batch.append_time_stamped = append_time_stamped;
    absl::Cord out;
    WrapStored(batch, kBatchesField, out);
    WrapStored(batch, kBatchesField, out);
    const naru::v1::FetchResponse answer = Answer(std::string(out));
    ASSERT_EQ(answer.batches_size(), 2);
    for (const naru::v1::StoredBatch& stored : answer.batches()) {
      EXPECT_EQ(stored.base_offset(), 1000);
      EXPECT_EQ(stored.next_offset(), 1010);
      EXPECT_EQ(stored.leader_epoch(), 4);
      EXPECT_EQ(stored.append_time_ms(), kAppendTimeMs);
      EXPECT_EQ(stored.crc32c(), Crc32c(bytes));
      EXPECT_EQ(stored.timestamp_type(), append_time_stamped ? naru::v1::TIMESTAMP_TYPE_APPEND_TIME
                                                             : naru::v1::TIMESTAMP_TYPE_UNSPECIFIED);
      EXPECT_EQ(stored.batch().SerializeAsString(), Parse(absl::Cord(bytes)).SerializeAsString());
    }
  }
  // Large bytes are referred to.
  const std::string large = RecordField(Bytes(2, std::string(100'000, 'x')));
  batch = Stored(large, 0, 1);
  batch.bytes = InChunks(large, large.size());
  absl::Cord out;
  WrapStored(batch, kBatchesField, out);
  bool shared = false;
  for (const absl::string_view chunk : out.Chunks()) shared |= chunk.data() == large.data();
  EXPECT_TRUE(shared);
}

TEST(FindTimestamp, FindsTheFirstRecordAtOrAfterATime) {
  std::vector<std::string> records;
  for (const uint64_t timestamp_ms : {50, 10, 70, 0, 60}) records.push_back(Record("k", "v", timestamp_ms));
  for (const std::string& bytes : Forms(records)) {
    const StoredBatchView batch = Stored(bytes, 100, 5);
    const auto find = [&](int64_t timestamp_ms, int64_t from) {
      const auto found = FindTimestamp(batch, timestamp_ms, Offset(from));
      EXPECT_TRUE(found.ok()) << found.status();
      return *found ? std::pair((*found)->offset.value(), (*found)->timestamp_ms)
                    : std::pair<int64_t, int64_t>(-1, -1);
    };
    using At = std::pair<int64_t, int64_t>;
    EXPECT_EQ(find(0, 0), At(100, 50));
    EXPECT_EQ(find(50, 0), At(100, 50));
    EXPECT_EQ(find(51, 0), At(102, 70));
    EXPECT_EQ(find(1, 101), At(101, 10));
    EXPECT_EQ(find(71, 0), At(103, kAppendTimeMs));
    EXPECT_EQ(find(kAppendTimeMs + 1, 0), At(-1, -1));
    EXPECT_EQ(find(60, 104), At(104, 60));
    EXPECT_EQ(find(0, 105), At(-1, -1));
  }
}

TEST(FindTimestamp, GoesByAppendTimeWhereTheTopicSaysSo) {
  const std::string bytes = Batch(TenRecords());
  StoredBatchView batch = Stored(bytes, 0, 10);
  batch.append_time_stamped = true;
  const auto found = FindTimestamp(batch, 200, Offset(4));
  ASSERT_TRUE(found.ok() && *found);
  EXPECT_EQ((*found)->offset, Offset(4));
  EXPECT_EQ((*found)->timestamp_ms, kAppendTimeMs);
}

}  // namespace
}  // namespace naru
