// Reads what is not in the tail cache: a few threads that look runs up and read segments.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/synchronization/mutex.h"
#include "storage/index/index.h"
#include "storage/store/counters.h"
#include "storage/store/log.h"
#include "storage/store/run_reader.h"

namespace naru {

class ColdReader {
 public:
  ColdReader(const Index& index, const RunReader& reader, StoreCounters& counters, int threads);
  ~ColdReader();

  // `log`'s range was checked when the request came; `request.end` is not above what may be read. Completes
  // on a reader thread; TOO_MANY_IN_FLIGHT, inline, when too many wait.
  void Read(std::shared_ptr<Log> log, ReadRequest request, LogStore::ReadDone done);
  void FindByTime(std::shared_ptr<Log> log, int64_t timestamp_ms, LogStore::TimeDone done);

  // What waits completes with SHUTTING_DOWN. Idempotent.
  void Stop() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  // `stopping`: complete without doing it.
  using Job = absl::AnyInvocable<void(bool stopping)>;

  void Loop();
  bool Enqueue(Job& job) ABSL_LOCKS_EXCLUDED(mutex_);

  // A log at one moment. `tail` are the runs below `end` that are perhaps not in the index yet; all others
  // below it are, but those that were given up since.
  struct View {
    Offset start;
    Offset end;  // what may be read
    Offset readable_end;
    int64_t truncations = 0;
    std::vector<Run> tail;
  };
  static absl::StatusOr<View> Look(const Log& log, bool include_undurable);
  // What was found by the view may be of batches that were truncated, or missed for being deleted, meanwhile.
  static bool Outdated(const Log& log, const View& view);

  absl::StatusOr<ReadResult> DoRead(const Log& log, const ReadRequest& request) const;
  // Fills `result` from `request.from` (below `request.end`) on. False: the index lacks an offset.
  absl::StatusOr<bool> ReadOn(const Log& log, const View& view, ReadRequest request,
                              ReadResult& result) const;
  absl::StatusOr<std::vector<Run>> RunsFrom(LogId log, const View& view, Offset from, Offset end) const;
  absl::StatusOr<std::optional<TimedOffset>> DoFindByTime(const Log& log, int64_t timestamp_ms) const;
  absl::StatusOr<std::optional<TimedOffset>> FindInView(const Log& log, const View& view,
                                                        int64_t timestamp_ms) const;
  // The first run that may hold something that late, among those below `end`, which the index has, else
  // nothing.
  absl::StatusOr<std::optional<Run>> FirstRunReaching(LogId log, int64_t timestamp_ms, Offset start,
                                                      Offset end) const;
  absl::StatusOr<std::optional<TimedOffset>> FindInRun(const Log& log, const Run& run, int64_t timestamp_ms,
                                                       Offset start, Offset end) const;

  const Index& index_;
  const RunReader& reader_;
  StoreCounters& counters_;

  absl::Mutex mutex_;
  absl::CondVar wake_;
  std::deque<Job> jobs_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

// Jobs that wait, at most.
constexpr size_t kColdReadsMax = 65'536;

absl::Status ShuttingDown();

}  // namespace naru
