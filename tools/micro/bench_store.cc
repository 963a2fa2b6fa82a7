#include "tools/micro/bench_store.h"

#include <stdlib.h>

#include <filesystem>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "storage/base/check.h"
#include "storage/base/status.h"

namespace naru::micro {
namespace {

// A log beside the others that Hold appends to.
constexpr uint64_t kHeldLog = 1'000'000;
constexpr int64_t kForEver = int64_t{1} << 50;

template <typename Start>
absl::Status Await(Start start) {
  absl::Notification given;
  absl::Status result;
  start([&](absl::Status status) {
    result = std::move(status);
    given.Notify();
  });
  given.WaitForNotification();
  return result;
}

// Counts acknowledgements, and looks at the time of the last. Costs each of them the same, waited for or not.
class Acks {
 public:
  explicit Acks(int64_t awaited) : left_(awaited) {}

  LogStore::AppendDone Next() {
    return [this](const absl::StatusOr<Appended>& appended) {
      NARU_CHECK_OK(appended.status());
      absl::MutexLock lock(&mutex_);
      if (--left_ == 0) last_ns_ = SystemClock().MonotonicNs();
      if (left_ == wanted_) wake_.Signal();
    };
  }
  // Until at most `left` have not come.
  void Wait(int64_t left) {
    absl::MutexLock lock(&mutex_);
    wanted_ = left;
    while (left_ > left) wake_.Wait(&mutex_);
  }
  int64_t last_ns() const {
    absl::MutexLock lock(&mutex_);
    return last_ns_;
  }

 private:
  mutable absl::Mutex mutex_;
  absl::CondVar wake_;
  int64_t left_ ABSL_GUARDED_BY(mutex_);
  int64_t wanted_ ABSL_GUARDED_BY(mutex_) = -1;
  int64_t last_ns_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace

// An append that nobody waits for is answered on the appender's thread, which then waits for us.
class BenchStore::Hold {
 public:
  Hold(LogStore& store, const absl::Cord& batch, const BatchInfo& info) {
    AppendRequest request;
    request.log = LogId(kHeldLog);
    request.batch = batch;
    request.info = info;
    store.Append(std::move(request), [this](const absl::StatusOr<Appended>& appended) {
      NARU_CHECK_OK(appended.status());
      held_.Notify();
      released_.WaitForNotification();
      left_.Notify();
    });
    held_.WaitForNotification();
  }
  ~Hold() {
    Release();
    left_.WaitForNotification();
  }
  void Release() {
    if (!released_.HasBeenNotified()) released_.Notify();
  }

 private:
  absl::Notification held_, released_, left_;
};

BenchStore::BenchStore(const Options& options) : logs_(options.logs) {
  directory_ = (std::filesystem::temp_directory_path() / "naru-micro-XXXXXX").string();
  NARU_CHECK(mkdtemp(directory_.data()) != nullptr);
  StoreOptions store_options;
  store_options.directory = directory_;
  store_options.segment_bytes = options.segment_bytes;
  store_options.queue_bytes_max = 2 * kQueueBytes;
  store_options.checkpoint_bytes = kForEver;
  store_options.maintenance_interval_ms = 86'400'000;
  store_options.disk_reserve_bytes = 0;
  store_options.index_verify_bytes_max = 0;
  auto store = PartitionStore::Open(store_options, files_, clock_, events_);
  NARU_CHECK_OK(store.status());
  store_ = *std::move(store);
  std::vector<LogId> ids = {LogId(kHeldLog)};
  for (uint64_t i = 1; i <= logs_; ++i) ids.push_back(LogId(i));
  NARU_CHECK_OK(Await([&](auto done) { store_->CreateLogs(ids, std::move(done)); }));
  for (const LogId id : ids) {
    LogSettings settings;
    settings.durability = id == LogId(kHeldLog) ? Durability::kBackground : options.durability;
    NARU_CHECK_OK(store_->Configure(id, settings));
  }
  Settle();
}

BenchStore::~BenchStore() {
  store_.reset();
  std::filesystem::remove_all(directory_);
}

AppendRequest BenchStore::NextRequest(const absl::Cord& batch, const BatchInfo& info) {
  AppendRequest request;
  request.log = LogId(1 + turn_++ % logs_);
  request.batch = batch;
  request.info = info;
  return request;
}

void BenchStore::AppendOneByOne(const absl::Cord& batch, const BatchInfo& info, int64_t count) {
  AppendPipelined(batch, info, count, 1);
}

int64_t BenchStore::AppendTogether(const absl::Cord& batch, const BatchInfo& info, int64_t count) {
  Acks acks(count);
  Hold hold(*store_, batch, info);
  for (int64_t i = 0; i < count; ++i) store_->Append(NextRequest(batch, info), acks.Next());
  const int64_t begin_ns = SystemClock().MonotonicNs();
  hold.Release();
  acks.Wait(0);
  return acks.last_ns() - begin_ns;
}

void BenchStore::AppendPipelined(const absl::Cord& batch, const BatchInfo& info, int64_t count,
                                 int64_t depth) {
  Acks acks(count);
  for (int64_t i = 0; i < count; ++i) {
    store_->Append(NextRequest(batch, info), acks.Next());
    acks.Wait(count - i - 1 + depth - 1);
  }
  acks.Wait(0);
}

void BenchStore::Settle() {
  // Nothing to cut off; but the appender looks into the index for it, once that has everything.
  NARU_CHECK_OK(
      Await([&](auto done) { store_->Truncate(LogId(kHeldLog), Offset(INT64_MAX), std::move(done)); }));
}

}  // namespace naru::micro
