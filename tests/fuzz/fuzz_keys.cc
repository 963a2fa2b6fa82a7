// What stands in the index and in the metadata store. What is encoded decodes to the same, and keys sort as
// what they stand for; bytes that were never written are refused, or decode to what encodes to them again.
//
// Input: one byte that says what, then numbers of 8 bytes each for keys, or bytes for the decoders.
#include <google/protobuf/stubs/logging.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cluster/metadata/metadata_store.h"
#include "cluster/metadata/topic_record.h"
#include "storage/base/check.h"
#include "storage/base/coding.h"
#include "storage/base/ordered_map_store.h"
#include "storage/base/status.h"
#include "storage/index/index_codec.h"

namespace naru {
namespace {

using cluster::StoredMetadata;
using cluster::TopicInfo;

constexpr std::array kTables = {
    index_codec::kApplied,  index_codec::kDead,       index_codec::kFormat, index_codec::kLog,
    index_codec::kSnapshot, index_codec::kProducer,   index_codec::kRun,    index_codec::kSegment,
    index_codec::kDoomed,   index_codec::kRebuilding,
};

// --- Keys.

struct Pair {
  uint64_t id = 0;
  int64_t second = 0;
  friend auto operator<=>(const Pair&, const Pair&) = default;
};

void CheckOrder(std::string_view a, std::string_view b, std::strong_ordering wanted) {
  NARU_CHECK((a <=> b) == wanted);
}

void CheckKeys(char table_a, const Pair& a, char table_b, const Pair& b) {
  const std::string run = index_codec::RunKey(LogId(a.id), Offset(a.second));
  NARU_CHECK(index_codec::IdOf(run) == a.id && index_codec::RunBase(run) == Offset(a.second));
  NARU_CHECK(index_codec::IdOf(index_codec::Key(table_a, a.id)) == a.id);
  NARU_CHECK(index_codec::IdOf(index_codec::ProducerKey(LogId(a.id), a.second)) == a.id);
  CheckOrder(run, index_codec::RunKey(LogId(b.id), Offset(b.second)), a <=> b);
  CheckOrder(index_codec::ProducerKey(LogId(a.id), a.second), index_codec::ProducerKey(LogId(b.id), b.second),
             a <=> b);
  // A table's keys lie together: whatever the ids are, the table decides first.
  const auto by_table = static_cast<uint8_t>(table_a) <=> static_cast<uint8_t>(table_b);
  CheckOrder(index_codec::Key(table_a, a.id), index_codec::Key(table_b, b.id),
             by_table != 0 ? by_table : a.id <=> b.id);
  CheckOrder(index_codec::Key(table_a), index_codec::Key(table_b), by_table);
}

void CheckKeysOf(std::string_view bytes) {
  LittleReader from(bytes);
  const auto table = [&from] { return kTables[from.Take<uint8_t>() % kTables.size()]; };
  const char table_a = table(), table_b = table();
  Pair a, b;
  a.id = from.Take<uint64_t>();
  a.second = from.Take<int64_t>();
  b.id = from.Take<uint64_t>();
  b.second = from.Take<int64_t>();
  CheckKeys(table_a, a, table_b, b);
  CheckKeys(table_a, a, table_a, a);
  // Neighbours, where an order by the wrong bytes shows first.
  CheckKeys(table_a, a, table_b, {b.id, a.second});
  CheckKeys(table_a, a, table_b, {a.id, b.second});
}

// --- Values of the index.

void CheckRunRow(std::string_view key, std::string_view value) {
  constexpr size_t kKeyBytes = 17, kValueBytes = 76;
  const std::optional<Run> run = index_codec::DecodeRunRow(key, value);
  NARU_CHECK(run.has_value() == (key.size() == kKeyBytes && value.size() == kValueBytes));
  if (!run) return;
  std::string again;
  EncodeRun(*run, again);
  NARU_CHECK(again == value);
  NARU_CHECK(index_codec::RunKey(LogId(index_codec::IdOf(key)), run->base).substr(1) == key.substr(1));
}

void CheckIndexValues(std::string_view bytes) {
  if (const auto position = index_codec::DecodeApplied(bytes)) {
    NARU_CHECK(index_codec::EncodeApplied(*position) == bytes);
  } else {
    NARU_CHECK(bytes.size() != index_codec::EncodeApplied({}).size());
  }
  if (const auto row = index_codec::DecodeSegmentRow(SegmentId(7), bytes)) {
    NARU_CHECK(row->id == SegmentId(7) && index_codec::EncodeSegmentRow(*row) == bytes);
  } else {
    NARU_CHECK(bytes.size() != index_codec::EncodeSegmentRow({}).size());
  }
  // A key that is too short has no id, and only one of its full length a base.
  if (bytes.size() < 9) NARU_CHECK(index_codec::IdOf(bytes) == 0);
  NARU_CHECK(index_codec::RunBase(bytes).has_value() == (bytes.size() == 17));
  const size_t cut = std::min<size_t>(bytes.size(), 17);
  CheckRunRow(bytes.substr(0, cut), bytes.substr(cut));
}

// --- Metadata.

void CheckCorrupt(const absl::Status& status) {
  NARU_CHECK(ReasonOf(status) == Reason::kCorruptData && !status.message().empty());
}

bool Same(const cluster::PartitionPlacement& a, const cluster::PartitionPlacement& b) {
  return a.log == b.log && a.leader == b.leader && a.leader_epoch == b.leader_epoch &&
         a.replicas == b.replicas;
}

bool Same(const TopicInfo& a, const TopicInfo& b) {
  return a.name == b.name && a.topic_id == b.topic_id && a.config == b.config &&
         a.create_time_ms == b.create_time_ms && a.replication_factor == b.replication_factor &&
         std::equal(a.partitions.begin(), a.partitions.end(), b.partitions.begin(), b.partitions.end(),
                    [](const auto& x, const auto& y) { return Same(x, y); });
}

void CheckTopicRecord(const std::string& bytes) {
  naru::internal::v1::TopicRecord record;
  if (!record.ParseFromString(bytes)) return;
  const auto topic = cluster::FromRecord(record);
  if (!topic.ok()) return CheckCorrupt(topic.status());
  naru::internal::v1::TopicRecord again = cluster::ToRecord(**topic);
  const auto topic_again = cluster::FromRecord(again);
  NARU_CHECK_OK(topic_again.status());
  NARU_CHECK(Same(**topic_again, **topic));
  for (const cluster::PartitionPlacement& placement : (*topic)->partitions) {
    NARU_CHECK(std::count(placement.replicas.begin(), placement.replicas.end(), placement.leader) == 1);
  }
  // Beside the configuration, whose absent fields became defaults, the record is what it was.
  record.DiscardUnknownFields();
  record.clear_config();
  again.clear_config();
  NARU_CHECK(again.SerializeAsString() == record.SerializeAsString());
}

// A metadata store whose values are pieces of `bytes`, each with its length before it. Topics stand under
// the name that they give themselves.
void FillStore(std::string_view bytes, OrderedMapStore& map) {
  constexpr size_t kTopicsMax = 8;
  LittleReader from(bytes);
  const auto take = [&from] {
    const size_t length = from.Take<uint8_t>();
    return std::string(from.TakeBytes(std::min(length, from.remaining())));
  };
  std::vector<OrderedMapStore::Change> changes = {{"identity", take()}, {"counters", take()}};
  for (size_t i = 0; i < kTopicsMax && from.remaining() > 0; ++i) {
    std::string value = take();
    naru::internal::v1::TopicRecord record;
    (void)record.ParseFromString(value);
    changes.push_back({"topic/" + record.name(), std::move(value)});
  }
  NARU_CHECK_OK(map.Write(changes));
}

void CheckStore(std::string_view bytes) {
  MemoryMapStore map;
  FillStore(bytes, map);
  const absl::StatusOr<StoredMetadata> stored = cluster::MetadataStore(map).Load();
  if (!stored.ok()) return CheckCorrupt(stored.status());
  NARU_CHECK(stored->identity.has_value());
  MemoryMapStore copy_map;
  cluster::MetadataStore copy(copy_map);
  NARU_CHECK_OK(copy.WriteIdentity(*stored->identity, stored->counters));
  for (const auto& topic : stored->topics) NARU_CHECK_OK(copy.PutTopic(*topic, stored->counters));
  const absl::StatusOr<StoredMetadata> loaded = copy.Load();
  NARU_CHECK_OK(loaded.status());
  NARU_CHECK(loaded->identity == stored->identity && loaded->counters == stored->counters);
  NARU_CHECK(std::equal(loaded->topics.begin(), loaded->topics.end(), stored->topics.begin(),
                        stored->topics.end(), [](const auto& a, const auto& b) { return Same(*a, *b); }));
}

void CheckAny(uint8_t what, std::string_view bytes) {
  switch (what % 4) {
    case 0:
      return CheckKeysOf(bytes);
    case 1:
      return CheckIndexValues(bytes);
    case 2:
      return CheckTopicRecord(std::string(bytes));
    default:
      return CheckStore(bytes);
  }
}

}  // namespace
}  // namespace naru

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const google::protobuf::LogSilencer silence;
  (void)silence;
  if (size < 1) return 0;
  naru::CheckAny(data[0], std::string_view(reinterpret_cast<const char*>(data) + 1, size - 1));
  return 0;
}
