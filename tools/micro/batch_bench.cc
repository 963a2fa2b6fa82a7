// naru-batch-bench: what the parts of storage/batch cost per record and per byte, on one thread. Build it
// optimized.
#include <benchmark/benchmark.h>

#include <string>
#include <string_view>
#include <utility>

#include "absl/strings/cord.h"
#include "storage/base/check.h"
#include "storage/base/crc32c.h"
#include "storage/batch/batch.h"
#include "storage/batch/compression.h"
#include "storage/batch/partitioner.h"
#include "storage/batch/splice.h"
#include "storage/batch/wire.h"
#include "tools/micro/sample_batches.h"

namespace naru::micro {
namespace {

// Arguments of a benchmark: bytes of a value, KiB of a batch, whether records have keys, and timestamps.
Shape ShapeOf(const benchmark::State& state) {
  return {static_cast<size_t>(state.range(0)), static_cast<size_t>(state.range(1)) << 10, state.range(2) != 0,
          state.range(3) != 0};
}
void Count(benchmark::State& state, const Sample& sample) {
  const auto rounds = static_cast<int64_t>(state.iterations());
  state.SetItemsProcessed(rounds * static_cast<int64_t>(sample.records));
  state.SetBytesProcessed(rounds * static_cast<int64_t>(sample.bytes.size()));
}
void Shapes(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgNames({"value", "KiB", "keyed", "times"});
  for (const int64_t value_bytes : {100, 1000}) {
    for (const int64_t batch_kib : {64, 1024}) {
      for (const auto& [keyed, times] : {std::pair(0, 0), std::pair(1, 0), std::pair(1, 1)}) {
        benchmark->Args({value_bytes, batch_kib, keyed, times});
      }
    }
  }
}

void Walk(benchmark::State& state) {
  const Sample sample = MakeSample(ShapeOf(state));
  const absl::Cord batch = InChunks(sample.bytes, sample.bytes.size());
  while (state.KeepRunning()) {
    const auto info = WalkBatch(batch, kLimits);
    NARU_CHECK(info.ok() && info->record_count == sample.records);
  }
  Count(state, sample);
}
BENCHMARK(Walk)->Apply(Shapes);

void WalkInChunks(benchmark::State& state) {
  const Sample sample = MakeSample(ShapeOf(state));
  const absl::Cord batch = InChunks(sample.bytes, 60'001);
  while (state.KeepRunning()) {
    const auto info = WalkBatch(batch, kLimits);
    NARU_CHECK(info.ok() && info->record_count == sample.records);
  }
  Count(state, sample);
}
BENCHMARK(WalkInChunks)
    ->ArgNames({"value", "KiB", "keyed", "times"})
    ->Args({100, 64, 1, 1})
    ->Args({100, 1024, 1, 1});

// Argument: bytes. The shortest are those of an entry's header.
void Checksum(benchmark::State& state) {
  const std::string bytes(static_cast<size_t>(state.range(0)), 'x');
  while (state.KeepRunning()) benchmark::DoNotOptimize(Crc32c(bytes));
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * bytes.size()));
}
BENCHMARK(Checksum)->ArgName("bytes")->Arg(64)->Arg(1 << 10)->Arg(64 << 10)->Arg(1 << 20);

void Splice(benchmark::State& state) {
  const Sample sample = MakeSample(ShapeOf(state));
  StoredBatchView stored;
  stored.base_offset = Offset(1'000'000);
  stored.next_offset = stored.base_offset + static_cast<int64_t>(sample.records);
  stored.record_count = static_cast<uint32_t>(sample.records);
  stored.append_time_ms = kAppendTimeMs;
  stored.bytes = InChunks(sample.bytes, sample.bytes.size());
  const SpliceLimits limits{stored.base_offset, stored.next_offset, 16 << 20};
  std::string out;
  while (state.KeepRunning()) {
    out.clear();
    Spliced result;
    NARU_CHECK_OK(SpliceRecords(stored, 15, limits, out, result));
    benchmark::DoNotOptimize(out.data());
  }
  Count(state, sample);
}
BENCHMARK(Splice)->Apply(Shapes);

// What a client does: key, value, nothing else, into one buffer.
void Encode(benchmark::State& state) {
  const Shape shape = ShapeOf(state);
  const Sample sample = MakeSample(shape);
  const std::string value(shape.value_bytes, 'v');
  const std::string_view key(value.data(), kKeyBytes);
  std::string out;
  while (state.KeepRunning()) {
    out.clear();
    for (size_t i = 0; i < sample.records; ++i) {
      const size_t record_bytes = 4 + key.size() + value.size() + (value.size() >= 128 ? 1 : 0);
      wire::AppendVarint(out, wire::Tag(15, wire::Type::kLength));
      wire::AppendVarint(out, record_bytes);
      wire::AppendBytesField(out, 1, key);
      wire::AppendBytesField(out, 2, value);
    }
    benchmark::DoNotOptimize(out.data());
  }
  Count(state, sample);
}
BENCHMARK(Encode)
    ->ArgNames({"value", "KiB", "keyed", "times"})
    ->Args({100, 64, 1, 0})
    ->Args({100, 1024, 1, 0});

void Split(benchmark::State& state) {
  constexpr int32_t kPartitions = 6;
  const Sample sample = MakeSample(ShapeOf(state));
  const absl::Cord batch = InChunks(sample.bytes, sample.bytes.size());
  const BatchInfo info = *WalkBatch(batch, kLimits);
  while (state.KeepRunning()) {
    const auto parts = SplitByKey(batch, info, kPartitions, PartitionId(0));
    NARU_CHECK(parts.ok() && parts->size() == kPartitions);
  }
  Count(state, sample);
}
BENCHMARK(Split)
    ->ArgNames({"value", "KiB", "keyed", "times"})
    ->Args({100, 64, 1, 0})
    ->Args({1000, 1024, 1, 0});

// Arguments: the codec.
void WalkCompressed(benchmark::State& state) {
  const auto codec = static_cast<Codec>(state.range(0));
  // Half of each value repeats, as in the load generator.
  Sample sample =
      MakeSample({.value_bytes = 50, .batch_bytes = 64 << 10, .keyed = true, .timestamps = false});
  std::string batch;
  wire::AppendVarintField(batch, 2, static_cast<uint64_t>(codec));
  wire::AppendVarintField(batch, 3, sample.records);
  wire::AppendBytesField(batch, 14, *Compress(codec, sample.bytes));
  const absl::Cord cord(batch);
  while (state.KeepRunning()) {
    const auto info = WalkBatch(cord, kLimits);
    NARU_CHECK(info.ok() && info->record_count == sample.records);
  }
  Count(state, sample);
  state.SetLabel(std::string(CodecName(codec)));
}
BENCHMARK(WalkCompressed)->DenseRange(1, 4);

}  // namespace
}  // namespace naru::micro

BENCHMARK_MAIN();
