#include "storage/batch/partitioner.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "storage/base/check.h"
#include "storage/base/coding.h"
#include "storage/base/status.h"
#include "storage/batch/record_walk.h"
#include "storage/batch/stored_records.h"

namespace naru {
namespace {

// A part under construction.
struct Gathered {
  PartitionId partition;
  BatchBuilder builder;
  std::vector<uint32_t> record_indexes;
};

// The partition of each record, in order.
absl::StatusOr<std::vector<PartitionId>> PartitionsOf(const StoredRecords& records, uint32_t record_count,
                                                      int32_t partition_count, PartitionId keyless) {
  std::vector<PartitionId> partitions;
  partitions.reserve(record_count);
  StoredRecords::Reader reader(records);
  std::string_view raw;
  while (reader.Next(raw)) {
    RecordFields fields;
    if (WalkRecord(raw, fields) || partitions.size() == record_count) {
      return CorruptBatch("its records are not those that were counted");
    }
    partitions.push_back(fields.has_key() ? PartitionForKey(fields.key, partition_count) : keyless);
  }
  NARU_RETURN_IF_ERROR(reader.status());
  if (partitions.size() != record_count) return CorruptBatch("its records are not those that were counted");
  return partitions;
}

}  // namespace

uint32_t Murmur2(std::string_view data) {
  constexpr uint32_t kSeed = 0x9747b28c;
  constexpr uint32_t kMultiplier = 0x5bd1e995;
  uint32_t hash = kSeed ^ static_cast<uint32_t>(data.size());
  for (; data.size() >= 4; data.remove_prefix(4)) {
    uint32_t word = GetLittle<uint32_t>(data.data()) * kMultiplier;
    word ^= word >> 24;
    hash = (hash * kMultiplier) ^ (word * kMultiplier);
  }
  if (!data.empty()) {
    for (size_t i = 0; i < data.size(); ++i) {
      hash ^= static_cast<uint32_t>(static_cast<uint8_t>(data[i])) << (8 * i);
    }
    hash *= kMultiplier;
  }
  hash ^= hash >> 13;
  hash *= kMultiplier;
  return hash ^ (hash >> 15);
}

PartitionId PartitionForKey(std::string_view key, int32_t partition_count) {
  NARU_CHECK(partition_count > 0);
  return PartitionId(static_cast<int32_t>(Murmur2(key) & 0x7fffffff) % partition_count);
}

absl::StatusOr<std::vector<BatchPart>> SplitByKey(const absl::Cord& batch, const BatchInfo& info,
                                                  int32_t partition_count, PartitionId keyless) {
  std::vector<BatchPart> parts;
  if (!info.has_keyed) {
    parts.push_back({keyless, batch, {}});
    return parts;
  }
  NARU_ASSIGN_OR_RETURN(const StoredRecords records, StoredRecords::Of(batch));
  NARU_ASSIGN_OR_RETURN(const std::vector<PartitionId> partitions,
                        PartitionsOf(records, info.record_count, partition_count, keyless));
  if (partitions.empty()) return CorruptBatch("it has no records");
  if (std::all_of(partitions.begin(), partitions.end(),
                  [&](PartitionId p) { return p == partitions.front(); })) {
    parts.push_back({partitions.front(), batch, {}});
    return parts;
  }

  std::vector<Gathered> gathered;
  absl::flat_hash_map<PartitionId, size_t> place;
  StoredRecords::Reader reader(records);
  std::string_view raw;
  for (uint32_t i = 0; reader.Next(raw); ++i) {
    const auto [found, inserted] = place.try_emplace(partitions[i], gathered.size());
    if (inserted) gathered.push_back({partitions[i], {}, {}});
    Gathered& part = gathered[found->second];
    part.builder.AddRaw(raw);
    part.record_indexes.push_back(i);
  }
  std::sort(gathered.begin(), gathered.end(),
            [](const Gathered& a, const Gathered& b) { return a.partition < b.partition; });
  parts.reserve(gathered.size());
  for (Gathered& part : gathered) {
    NARU_ASSIGN_OR_RETURN(absl::Cord bytes, part.builder.FinishSmallest(records.codec()));
    parts.push_back({part.partition, std::move(bytes), std::move(part.record_indexes)});
  }
  return parts;
}

}  // namespace naru
