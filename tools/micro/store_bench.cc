// naru-store-bench: what the parts of storage/store and storage/segments cost per batch, without a disk.
// Build it optimized. Batches of one size are one batch: its bytes are in the processor's cache as they would
// be after the walk.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/cord.h"
#include "storage/base/check.h"
#include "storage/base/clock.h"
#include "storage/base/crc32c.h"
#include "storage/batch/batch.h"
#include "storage/segments/segment_writer.h"
#include "storage/store/tail_cache.h"
#include "tools/micro/bench_store.h"
#include "tools/micro/null_files.h"
#include "tools/micro/sample_batches.h"

namespace naru::micro {
namespace {

constexpr size_t kValueBytes = 100;
// Of the tail cache, and of the group laid out: the store's own.
constexpr int64_t kCacheBytes = int64_t{64} << 20;
constexpr size_t kGroupBytes = size_t{8} << 20;
constexpr uint64_t kSegmentBytes = uint64_t{256} << 20;

// A batch as the produce service hands it over.
struct Walked {
  explicit Walked(size_t batch_bytes)
      : sample(MakeSample({.value_bytes = kValueBytes, .batch_bytes = batch_bytes, .keyed = true})),
        batch(InChunks(sample.bytes, sample.bytes.size())),
        info(*WalkBatch(batch, kLimits)) {}

  const Sample sample;
  const absl::Cord batch;
  const BatchInfo info;
};

void Count(benchmark::State& state, int64_t batches, const Sample& sample) {
  state.SetItemsProcessed(batches);
  state.SetBytesProcessed(batches * static_cast<int64_t>(sample.bytes.size()));
}

// Arguments: bytes of a batch (about), logs that they go to in turn.
void BatchesAndLogs(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgNames({"bytes", "logs"});
  for (const int64_t bytes : {100, 1 << 10, 64 << 10, 1 << 20}) {
    for (const int64_t logs : {1, 16, 1000}) benchmark->Args({bytes, logs});
  }
}

// The appender's part alone, on its thread: takes what is queued, gathers it by log, checks, assigns offsets,
// lays out, caches, hands it to the files, answers. Nobody waits for the syncer.
void AppendGroup(benchmark::State& state) {
  const Walked walked(static_cast<size_t>(state.range(0)));
  BenchStore store({.logs = static_cast<uint64_t>(state.range(1)), .durability = Durability::kBackground});
  const int64_t count =
      std::min<int64_t>(4'096, (32 << 20) / static_cast<int64_t>(walked.sample.bytes.size()));
  while (state.KeepRunning()) {
    const int64_t ns = store.AppendTogether(walked.batch, walked.info, count);
    state.SetIterationTime(static_cast<double>(ns) * 1e-9);
    // The syncer and the index would otherwise go on beside the next round.
    store.Settle();
  }
  Count(state, static_cast<int64_t>(state.iterations()) * count, walked.sample);
}
BENCHMARK(AppendGroup)->Apply(BatchesAndLogs)->UseManualTime();

// From Append to its acknowledgement, through all threads and back, one in flight: a sync (which costs
// nothing) and a commit to the index each.
void AppendOneInFlight(benchmark::State& state) {
  const Walked walked(static_cast<size_t>(state.range(0)));
  BenchStore store({});
  while (state.KeepRunning()) store.AppendOneByOne(walked.batch, walked.info, 1);
  Count(state, static_cast<int64_t>(state.iterations()), walked.sample);
}
BENCHMARK(AppendOneInFlight)
    ->ArgName("bytes")
    ->Arg(100)
    ->Arg(64 << 10)
    ->MeasureProcessCPUTime()
    ->UseRealTime();

// Everything at once, acknowledged when synced; CPU is that of all threads.
void AppendFlood(benchmark::State& state) {
  const Walked walked(static_cast<size_t>(state.range(0)));
  BenchStore store({.logs = static_cast<uint64_t>(state.range(1))});
  constexpr int64_t kRound = 1'000;
  const int64_t depth = std::min<int64_t>(256, (64 << 20) / static_cast<int64_t>(walked.sample.bytes.size()));
  while (state.KeepRunning()) store.AppendPipelined(walked.batch, walked.info, kRound, depth);
  Count(state, static_cast<int64_t>(state.iterations()) * kRound, walked.sample);
}
BENCHMARK(AppendFlood)->Apply(BatchesAndLogs)->MeasureProcessCPUTime()->UseRealTime();

// Entries laid behind each other and handed to the files, a group at a time. Argument: bytes of a batch.
void LayOut(benchmark::State& state) {
  const Walked walked(static_cast<size_t>(state.range(0)));
  NullFiles files;
  ManualClock clock;
  SegmentSet segments(files, "/segments");
  SegmentWriter writer(segments, clock, 1, kSegmentBytes);
  EntryHeader header;
  header.type = EntryType::kBatch;
  header.log = LogId(1);
  header.body_length = static_cast<uint32_t>(walked.sample.bytes.size());
  header.body_crc = walked.info.crc32c;
  header.record_count = walked.info.record_count;
  const size_t count = std::min<size_t>(4'096, kGroupBytes / walked.sample.bytes.size());
  uint64_t sequence = 0;
  while (state.KeepRunning()) {
    NARU_CHECK_OK(writer.EnsureRoom(2 * kGroupBytes));
    for (size_t i = 0; i < count; ++i) {
      header.sequence = Sequence(++sequence);
      header.base_offset = Offset(static_cast<int64_t>(sequence));
      writer.Stage(header, walked.batch);
    }
    NARU_CHECK_OK(writer.Write());
    benchmark::DoNotOptimize(writer.TakeWritten());
    for (const SegmentId id : segments.Ids()) {
      if (id < writer.segment()) NARU_CHECK_OK(segments.Remove(id));
    }
  }
  Count(state, static_cast<int64_t>(state.iterations() * count), walked.sample);
}
BENCHMARK(LayOut)->ArgName("bytes")->Arg(100)->Arg(1 << 10)->Arg(64 << 10)->Arg(1 << 20);

StoredBatchView ViewAt(int64_t base, const absl::Cord& bytes) {
  StoredBatchView view;
  view.base_offset = Offset(base);
  view.next_offset = Offset(base + 1);
  view.record_count = 1;
  view.bytes = bytes;
  return view;
}

std::vector<std::shared_ptr<Log>> MakeLogs(int64_t count) {
  std::vector<std::shared_ptr<Log>> logs;
  for (int64_t i = 1; i <= count; ++i) logs.push_back(std::make_shared<Log>(LogId(static_cast<uint64_t>(i))));
  return logs;
}

// One batch in, and, the cache being full, about one out. Arguments: bytes of a batch, logs in turn.
void CacheInsertAndEvict(benchmark::State& state) {
  const std::string bytes(static_cast<size_t>(state.range(0)), 'x');
  const absl::Cord batch = InChunks(bytes, bytes.size());
  const auto logs = MakeLogs(state.range(1));
  TailCache cache(kCacheBytes);
  int64_t turn = 0;
  const auto insert = [&] {
    const auto& log = logs[static_cast<size_t>(turn) % logs.size()];
    const int64_t base = turn++ / static_cast<int64_t>(logs.size());
    {
      absl::MutexLock lock(&log->mutex);
      cache.Insert(log, ViewAt(base, batch));
    }
    cache.Evict();
  };
  for (int64_t filled = 0; filled < kCacheBytes; filled += state.range(0)) insert();
  while (state.KeepRunning()) insert();
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations()));
}
BENCHMARK(CacheInsertAndEvict)
    ->ArgNames({"bytes", "logs"})
    ->Args({1 << 10, 1})
    ->Args({1 << 10, 1000})
    ->Args({64 << 10, 1})
    ->Args({64 << 10, 1000});

// A read somewhere in what is cached of a log. Arguments: batches that are cached, batches that are read.
void CacheLookUp(benchmark::State& state) {
  const int64_t cached = state.range(0), wanted = state.range(1);
  const std::string bytes(1 << 10, 'x');
  const auto log = std::make_shared<Log>(LogId(1));
  TailCache cache(kCacheBytes);
  absl::MutexLock lock(&log->mutex);
  for (int64_t i = 0; i < cached; ++i) cache.Insert(log, ViewAt(i, InChunks(bytes, bytes.size())));
  uint32_t random = 1;
  while (state.KeepRunning()) {
    random = random * 1664525 + 1013904223;
    ReadRequest request;
    request.log = log->id;
    request.from = Offset((random >> 8) % (cached - wanted + 1));
    request.bytes_max = wanted * static_cast<int64_t>(bytes.size());
    ReadResult result;
    NARU_CHECK(ReadCached(*log, request, result) && static_cast<int64_t>(result.batches.size()) == wanted);
    benchmark::DoNotOptimize(result);
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations()) * wanted);
}
BENCHMARK(CacheLookUp)
    ->ArgNames({"cached", "wanted"})
    ->Args({16, 1})
    ->Args({16, 16})
    ->Args({16'384, 1})
    ->Args({16'384, 1024});

}  // namespace
}  // namespace naru::micro

BENCHMARK_MAIN();
