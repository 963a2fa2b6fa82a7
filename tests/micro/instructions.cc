// naru-instructions: a fixed piece of work in phases, for instructions.py to count the instructions of under
// callgrind. All that it does is the same in every run, but for when the store's threads get their turn.
//
// Prints a line for each phase: its name, how many of what it did, and the functions that count, with all
// that they call; separated by tabs.
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "storage/base/check.h"
#include "storage/base/crc32c.h"
#include "storage/batch/batch.h"
#include "storage/batch/partitioner.h"
#include "storage/batch/splice.h"
#include "storage/store/tail_cache.h"
#include "tools/micro/bench_store.h"
#include "tools/micro/sample_batches.h"

namespace naru::micro {

// Callgrind forgets what it counted at the one, and puts it down at the other (--zero-before, --dump-after).
[[gnu::noinline]] void BeginPhase() { asm volatile("" ::: "memory"); }
[[gnu::noinline]] void EndPhase() { asm volatile("" ::: "memory"); }

namespace {

constexpr Shape kBare = {.value_bytes = 100, .batch_bytes = 64 << 10};
constexpr Shape kFull = {.value_bytes = 100, .batch_bytes = 64 << 10, .keyed = true, .timestamps = true};
constexpr Shape kLarge = {.value_bytes = 1000, .batch_bytes = 1 << 20, .keyed = true};
constexpr Shape kSmall = {.value_bytes = 100, .batch_bytes = 1, .keyed = true};
// As gRPC's transport cuts a large message.
constexpr size_t kChunkBytes = 60'001;
constexpr int64_t kSegmentBytes = int64_t{16} << 20;
// Fits into a group of the appender's.
constexpr int64_t kGroupBytes = int64_t{1} << 20;

struct Walked {
  explicit Walked(const Shape& shape)
      : sample(MakeSample(shape)),
        batch(InChunks(sample.bytes, kChunkBytes)),
        info(*WalkBatch(batch, kLimits)) {}
  int64_t records() const { return info.record_count; }

  const Sample sample;
  const absl::Cord batch;
  const BatchInfo info;
};

// So that at least so many records are walked.
int64_t RoundsOf(const Walked& walked) { return 1 + 1'000 / walked.records(); }

// From here to the end of the scope. Functions are named as in callgrind's files, without their arguments.
class Phase {
 public:
  Phase(std::string_view name, int64_t count, std::string_view unit, std::vector<std::string> functions) {
    std::puts(absl::StrCat(absl::string_view(name.data(), name.size()), "\t", count, "\t",
                           absl::string_view(unit.data(), unit.size()), "\t", absl::StrJoin(functions, "\t"))
                  .c_str());
    BeginPhase();
  }
  ~Phase() { EndPhase(); }
};

void Walk(std::string_view name, const Shape& shape) {
  const Walked walked(shape);
  const int64_t rounds = RoundsOf(walked);
  Phase phase(name, rounds * walked.records(), "record", {"naru::WalkBatch"});
  for (int64_t i = 0; i < rounds; ++i) NARU_CHECK_OK(WalkBatch(walked.batch, kLimits).status());
}

void Splice(std::string_view name, const Shape& shape) {
  const Walked walked(shape);
  StoredBatchView stored;
  stored.base_offset = Offset(1'000'000);
  stored.next_offset = stored.base_offset + walked.records();
  stored.record_count = walked.info.record_count;
  stored.append_time_ms = kAppendTimeMs;
  stored.bytes = walked.batch;
  const SpliceLimits limits{stored.base_offset, stored.next_offset, 16 << 20};
  std::string out;
  out.reserve(4 << 20);
  const int64_t rounds = RoundsOf(walked);
  Phase phase(name, rounds * walked.records(), "record", {"naru::SpliceRecords"});
  for (int64_t i = 0; i < rounds; ++i) {
    out.clear();
    Spliced result;
    NARU_CHECK_OK(SpliceRecords(stored, 15, limits, out, result));
  }
}

void Split(std::string_view name, const Shape& shape) {
  const Walked walked(shape);
  const int64_t rounds = RoundsOf(walked);
  Phase phase(name, rounds * walked.records(), "record", {"naru::SplitByKey"});
  for (int64_t i = 0; i < rounds; ++i) {
    NARU_CHECK_OK(SplitByKey(walked.batch, walked.info, 6, PartitionId(0)).status());
  }
}

void Checksum(std::string_view name, const Shape& shape) {
  const Walked walked(shape);
  const auto kib = static_cast<int64_t>(walked.sample.bytes.size()) >> 10;
  Phase phase(name, kib, "KiB", {"naru::Crc32c"});
  NARU_CHECK(Crc32c(walked.batch) == walked.info.crc32c);
}

// Batches that are in the appender's queue together: the caller's part, the appender's, and, where they are
// one group, so that it is called once, the syncer's acknowledgements.
void AppendTogether(std::string_view name, const Shape& shape, int64_t count, uint64_t logs) {
  const Walked walked(shape);
  BenchStore store({.logs = logs, .segment_bytes = kSegmentBytes});
  std::vector<std::string> functions = {"naru::SegmentStore::Append", "naru::Appender::DoAppends"};
  if (count * walked.info.size_bytes < kGroupBytes) functions.push_back("naru::Syncer::Publish");
  Phase phase(name, count, "batch", std::move(functions));
  store.AppendTogether(walked.batch, walked.info, count);
  store.Settle();
}

// The appender's part, and the index, which gets one commit for each. What depends on who wakes whom is left
// out.
void AppendOneByOne(std::string_view name, const Shape& shape, int64_t count) {
  const Walked walked(shape);
  BenchStore store({.segment_bytes = kSegmentBytes});
  Phase phase(name, count, "batch", {"naru::Appender::DoAppends", "naru::Syncer::Commit"});
  store.AppendOneByOne(walked.batch, walked.info, count);
  store.Settle();
}

// A full tail cache takes batches and loses as many; then they are read.
void CacheBatches(std::string_view name, int64_t count) {
  const Walked walked(kSmall);
  const auto log = std::make_shared<Log>(LogId(1));
  TailCache cache(count * 200);
  StoredBatchView view;
  view.record_count = 1;
  view.bytes = walked.batch;
  const auto insert = [&](int64_t from, int64_t to) {
    for (int64_t i = from; i < to; ++i) {
      view.base_offset = Offset(i);
      view.next_offset = view.base_offset + 1;
      {
        absl::MutexLock lock(&log->mutex);
        cache.Insert(log, view);
      }
      cache.Evict();
    }
  };
  insert(0, count);
  Phase phase(name, count, "batch",
              {"naru::TailCache::Insert", "naru::TailCache::Evict", "naru::ReadCached"});
  insert(count, 2 * count);
  absl::MutexLock lock(&log->mutex);
  ReadRequest request;
  request.log = log->id;
  request.from = log->oldest_cached()->base_offset;
  ReadResult result;
  NARU_CHECK(ReadCached(*log, request, result));
}

void Run() {
  Walk("walk 64 KiB of 100 B", kBare);
  Walk("walk 64 KiB of 100 B, keys and timestamps", kFull);
  Walk("walk 1 MiB of 1 KB", kLarge);
  Walk("walk one record", kSmall);
  Checksum("checksum 1 MiB", kLarge);
  Splice("splice 64 KiB of 100 B", kBare);
  Splice("splice 64 KiB of 100 B, keys and timestamps", kFull);
  Splice("splice 1 MiB of 1 KB", kLarge);
  Split("split 64 KiB of 100 B", kFull);
  CacheBatches("tail cache", 4'000);
  AppendTogether("append small batches together, 1 log", kSmall, 4'000, 1);
  AppendTogether("append small batches together, 500 logs", kSmall, 4'000, 500);
  AppendTogether("append 64 KiB batches together, 16 logs", kFull, 1'000, 16);
  AppendOneByOne("append small batches one by one", kSmall, 500);
}

}  // namespace
}  // namespace naru::micro

int main() { naru::micro::Run(); }
