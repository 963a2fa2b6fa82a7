#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "storage/base/crc32c.h"
#include "storage/batch/batch.h"
#include "tests/storage/batch/batch_bytes.h"

namespace naru {
namespace {

using namespace batch_bytes;  // NOLINT(google-build-using-namespace)

// Three records, each with something of its own; all fields that a batch may have.
std::string SampleBatch() {
  const std::string header = Bytes(3, Bytes(1, "näme") + Bytes(2, "\xff\x00"));
  return StampField(7, 1, 300) + Varint(3, 3) + Varint(4, 1'700'000'000'123) +
         RecordField(Record("k1", "v1", 1'700'000'000'123)) +
         RecordField(Keyless(std::string(300, 'x')) + header + header) +
         RecordField(Record("", "v3", 17) + Varint(99, 7));
}

void ExpectSame(const BatchInfo& a, const BatchInfo& b) {
  EXPECT_EQ(a.size_bytes, b.size_bytes);
  EXPECT_EQ(a.records_bytes, b.records_bytes);
  EXPECT_EQ(a.record_count, b.record_count);
  EXPECT_EQ(a.codec, b.codec);
  EXPECT_EQ(a.max_timestamp_ms, b.max_timestamp_ms);
  EXPECT_EQ(a.needs_append_time, b.needs_append_time);
  EXPECT_EQ(a.has_keyed, b.has_keyed);
  EXPECT_EQ(a.has_keyless, b.has_keyless);
  EXPECT_EQ(a.crc32c, b.crc32c);
  EXPECT_EQ(a.producer, b.producer);
}

TEST(BatchWalk, FindsWhatABatchHolds) {
  const std::string bytes = SampleBatch();
  const auto info = WalkBatch(absl::Cord(bytes), kLimits);
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(info->size_bytes, static_cast<int64_t>(bytes.size()));
  EXPECT_EQ(info->records_bytes, static_cast<int64_t>(bytes.size()));
  EXPECT_EQ(info->record_count, 3u);
  EXPECT_EQ(info->codec, Codec::kNone);
  EXPECT_EQ(info->max_timestamp_ms, 1'700'000'000'123);
  EXPECT_TRUE(info->needs_append_time);
  EXPECT_TRUE(info->has_keyed);
  EXPECT_TRUE(info->has_keyless);
  EXPECT_EQ(info->crc32c, Crc32c(bytes));
  EXPECT_EQ(info->producer, (ProducerStamp{7, 1, 300}));
}

TEST(BatchWalk, FindsTheStampWhereverItStands) {
  const ProducerStamp stamp{INT64_MAX, INT64_MAX, kBaseSequenceMax};
  const std::string field = StampField(stamp.producer_id, stamp.epoch, stamp.base_sequence);
  const std::string records = Batch({Record("a", "1", 5), Record("b", "2", 9)});
  std::vector<std::string> batches = {field + records, records + field,
                                      RecordField(Keyless("1")) + field + RecordField(Keyless("2"))};
  for (const Codec codec : kCodecs) {
    batches.push_back(field + Compressed(codec, records, 2));
    batches.push_back(Compressed(codec, records, 2) + field);
  }
  std::string written;
  AppendStampField(written, stamp);
  batches.push_back(written + records);
  for (const std::string& bytes : batches) {
    for (const absl::Cord& batch : {absl::Cord(bytes), InChunks(bytes, 1), InChunks(bytes, 3)}) {
      const auto info = WalkBatch(batch, kLimits);
      ASSERT_TRUE(info.ok()) << info.status();
      EXPECT_EQ(info->producer, stamp);
      EXPECT_EQ(info->record_count, 2u);
      const auto read_back = StampOf(batch);
      ASSERT_TRUE(read_back.ok()) << read_back.status();
      EXPECT_EQ(*read_back, stamp);
      EXPECT_EQ(*CodecOf(batch), info->codec);
      int visited = 0;
      EXPECT_TRUE(ForEachRecord(batch, [&](const RecordView&) { return ++visited > 0; }).ok());
      EXPECT_EQ(visited, 2);
    }
  }
}

TEST(BatchWalk, AStampMayLeaveOutWhatIsZero) {
  const auto info = WalkBatch(absl::Cord(Bytes(1, Varint(1, 7)) + Batch({Keyless("v")})), kLimits);
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(info->producer, (ProducerStamp{7, 0, 0}));
}

TEST(BatchWalk, ABatchWithoutAStampHasNone) {
  const absl::Cord batch(Batch({Keyless("v")}));
  EXPECT_EQ(WalkBatch(batch, kLimits)->producer, std::nullopt);
  EXPECT_EQ(*StampOf(batch), std::nullopt);
  EXPECT_FALSE(StampOf(absl::Cord("\x7a\x05")).ok());
  EXPECT_FALSE(StampOf(absl::Cord(Bytes(1, ""))).ok());
}

TEST(BatchWalk, FindsTheSameInACompressedBatch) {
  const std::string plain = Batch({Record("a", "1", 5), Record("b", "2", 9)});
  for (const Codec codec : kCodecs) {
    const std::string bytes = Compressed(codec, plain, 2);
    const auto info = WalkBatch(absl::Cord(bytes), kLimits);
    ASSERT_TRUE(info.ok()) << CodecName(codec) << info.status();
    EXPECT_EQ(info->codec, codec);
    EXPECT_EQ(info->size_bytes, static_cast<int64_t>(bytes.size()));
    EXPECT_EQ(info->records_bytes, static_cast<int64_t>(plain.size()));
    EXPECT_EQ(info->record_count, 2u);
    EXPECT_EQ(info->max_timestamp_ms, 9);
    EXPECT_FALSE(info->needs_append_time);
    EXPECT_TRUE(info->has_keyed);
    EXPECT_FALSE(info->has_keyless);
    EXPECT_EQ(info->crc32c, Crc32c(bytes));
    EXPECT_EQ(*CodecOf(absl::Cord(bytes)), codec);
  }
}

TEST(BatchWalk, FindsTheSameHoweverTheBytesAreCutIntoChunks) {
  std::vector<std::string> samples = {SampleBatch()};
  for (const Codec codec : kCodecs) samples.push_back(Compressed(codec, Batch({Record("a", "1", 5)}), 1));
  for (const std::string& bytes : samples) {
    const auto whole = WalkBatch(absl::Cord(bytes), kLimits);
    ASSERT_TRUE(whole.ok()) << whole.status();
    for (size_t at = 1; at < bytes.size(); ++at) {
      const auto info = WalkBatch(SplitAt(bytes, at), kLimits);
      ASSERT_TRUE(info.ok()) << at << info.status();
      ExpectSame(*info, *whole);
    }
    for (size_t chunk_bytes = 1; chunk_bytes < 20; ++chunk_bytes) {
      const auto info = WalkBatch(InChunks(bytes, chunk_bytes), kLimits);
      ASSERT_TRUE(info.ok()) << chunk_bytes << info.status();
      ExpectSame(*info, *whole);
    }
  }
}

TEST(BatchWalk, RefusesABatchCutShortWhereverARecordIsCut) {
  const std::string bytes = Batch({Record("key", "value", 1'700'000'000'123), Record("key", "value")});
  const size_t first = RecordField(Record("key", "value", 1'700'000'000'123)).size();
  for (size_t n = 0; n < bytes.size(); ++n) {
    const std::string prefix = bytes.substr(0, n);
    EXPECT_EQ(WalkBatch(absl::Cord(prefix), kLimits).ok(), n == first) << n;
    EXPECT_EQ(WalkBatch(InChunks(prefix, 3), kLimits).ok(), n == first) << n;
  }
}

TEST(BatchWalk, TakesTheLastOfARecordsFieldsAsParsersDo) {
  const std::string record = Bytes(1, "first") + Varint(4, 100) + Bytes(2, "one") + Bytes(1, "last") +
                             Varint(4, 7) + Bytes(2, "two");
  const std::string bytes = Varint(4, 7) + RecordField(record);
  const auto info = WalkBatch(absl::Cord(bytes), kLimits);
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(info->max_timestamp_ms, 7);
  ASSERT_TRUE(ForEachRecord(absl::Cord(bytes), [&](const RecordView& view) {
                EXPECT_EQ(view.key, "last");
                EXPECT_EQ(view.value, "two");
                EXPECT_EQ(view.timestamp_ms, 7);
                EXPECT_EQ(view.raw, record);
                return true;
              }).ok());
  const std::string zeroed = RecordField(Varint(4, 100) + Varint(4, 0));
  EXPECT_TRUE(WalkBatch(absl::Cord(zeroed), kLimits)->needs_append_time);
}

TEST(BatchWalk, AcceptsVarintsThatAreLongerThanNeededWhereEveryParserDoes) {
  // A length in 5 bytes, a timestamp in 10, an unknown field of 64 bits.
  const std::string record = std::string("\x12\x81\x80\x80\x80\x00v", 7) +
                             std::string("\x20\x85\x80\x80\x80\x80\x80\x80\x80\x80\x00", 11) +
                             Varint(99, UINT64_MAX);
  const std::string bytes = RecordField(record);
  const auto info = WalkBatch(absl::Cord(bytes), kLimits);
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(info->max_timestamp_ms, 5);
  EXPECT_EQ(Parse(absl::Cord(bytes)).records(0).value(), "v");
}

TEST(BatchWalk, LetsUnknownFieldsOfRecordsAndHeadersPass) {
  const std::string unknown = Varint(5, 1) + Bytes(16, "x") + TagOf(17, 1) + "8 bytes." + TagOf(18, 5) +
                              "4by." + Varint((1u << 29) - 1, 9);
  const std::string bytes = RecordField(Bytes(2, "v") + unknown + Bytes(3, Bytes(1, "h") + unknown));
  const auto info = WalkBatch(absl::Cord(bytes), kLimits);
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(info->record_count, 1u);
}

TEST(BatchWalk, AcceptsARecordWithNothingInIt) {
  const auto info = WalkBatch(absl::Cord(RecordField("")), kLimits);
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(info->record_count, 1u);
  EXPECT_TRUE(info->has_keyless);
  EXPECT_TRUE(info->needs_append_time);
}

TEST(BatchWalk, TellsAnEmptyKeyFromNone) {
  int visited = 0;
  const std::string bytes = Batch({Record("", ""), Keyless("v"), Bytes(1, "k")});
  ASSERT_TRUE(ForEachRecord(InChunks(bytes, 2), [&](const RecordView& view) {
                EXPECT_EQ(view.key.has_value(), visited != 1);
                EXPECT_EQ(view.value.has_value(), visited != 2);
                ++visited;
                return true;
              }).ok());
  EXPECT_EQ(visited, 3);
}

TEST(BatchWalk, StopsVisitingWhenToldTo) {
  int visited = 0;
  ASSERT_TRUE(
      ForEachRecord(absl::Cord(Batch({Keyless("1"), Keyless("2"), Keyless("3")})), [&](const RecordView&) {
        return ++visited < 2;
      }).ok());
  EXPECT_EQ(visited, 2);
}

TEST(BatchWalk, ReportsLossOfDataWhenAStoredBatchCannotBeRead) {
  std::string compressed = Compressed(Codec::kZstd, Batch({Keyless("v")}), 1);
  compressed[compressed.size() - 1] ^= 0x55;
  compressed[compressed.size() - 8] ^= 0x55;
  for (const std::string& bytes : {std::string("\x7a\x05xx"), RecordField("\x0a\x09"), compressed,
                                   Bytes(14, "x"), Bytes(14, Batch({Keyless("v")})), std::string("\xff"),
                                   TagOf(2, 5) + "1234", Batch({"\x12\x01v", "\x0b"})}) {
    const absl::Status status = ForEachRecord(absl::Cord(bytes), [](const RecordView&) { return true; });
    EXPECT_EQ(ReasonOf(status), Reason::kCorruptData) << status;
  }
}

TEST(BatchWalk, NamesTheCodecWithoutDecompressing) {
  EXPECT_EQ(*CodecOf(absl::Cord(SampleBatch())), Codec::kNone);
  // Fields in any order, and a compressed field that is no codec's output.
  EXPECT_EQ(*CodecOf(absl::Cord(Bytes(14, "?") + Varint(3, 1) + Varint(2, 3))), Codec::kZstd);
  EXPECT_EQ(ReasonOf(CodecOf(absl::Cord("\x72\x09?")).status()), Reason::kCorruptData);
  EXPECT_EQ(ReasonOf(CodecOf(absl::Cord(Varint(2, 9) + Bytes(14, "?"))).status()), Reason::kCorruptData);
}

TEST(BatchBuilder, BuildsWhatTheWalkAccepts) {
  std::vector<Codec> codecs(std::begin(kCodecs), std::end(kCodecs));
  codecs.push_back(Codec::kNone);
  for (const Codec codec : codecs) {
    BatchBuilder builder;
    for (int i = 0; i < 500; ++i) builder.AddRaw(Record("key", std::string(i, 'v'), i));
    EXPECT_EQ(builder.record_count(), 500u);
    const size_t size_bytes = builder.size_bytes();
    const auto batch = codec == Codec::kLz4 ? builder.FinishSmallest(codec) : builder.Finish(codec);
    ASSERT_TRUE(batch.ok()) << batch.status();
    EXPECT_EQ(builder.record_count(), 0u);
    EXPECT_EQ(builder.size_bytes(), 0u);
    const auto info = WalkBatch(*batch, kLimits);
    ASSERT_TRUE(info.ok()) << CodecName(codec) << info.status();
    EXPECT_EQ(info->codec, codec);
    EXPECT_EQ(info->record_count, 500u);
    EXPECT_EQ(info->records_bytes, static_cast<int64_t>(size_bytes));
    EXPECT_EQ(info->max_timestamp_ms, 499);
  }
}

}  // namespace
}  // namespace naru
