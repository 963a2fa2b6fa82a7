#include "storage/store/cold_reader.h"

#include <algorithm>
#include <utility>

#include "storage/base/status.h"

namespace naru {
namespace {

// A run that was looked up may be moved before it is read; then it is looked up again.
constexpr int kTries = 8;
// Runs looked up at once; small ones are read together while they lie side by side.
constexpr size_t kRunsPerRead = 64;

absl::Status Contended(LogId log) {
  return MakeError(Reason::kInternal,
                   absl::StrCat("log ", log.value(), " was moved again and again while read"));
}

}  // namespace

absl::Status ShuttingDown() { return MakeError(Reason::kShuttingDown, "the store is shutting down"); }

ColdReader::ColdReader(const Index& index, const RunReader& reader, StoreCounters& counters, int threads)
    : index_(index), reader_(reader), counters_(counters) {
  for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { Loop(); });
}

ColdReader::~ColdReader() { Stop(); }

void ColdReader::Stop() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
    wake_.SignalAll();
  }
  for (std::thread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

void ColdReader::Loop() {
  for (;;) {
    Job job;
    bool stopping = false;
    {
      absl::MutexLock lock(&mutex_);
      while (jobs_.empty() && !stopping_) wake_.Wait(&mutex_);
      if (jobs_.empty()) return;
      job = std::move(jobs_.front());
      jobs_.pop_front();
      stopping = stopping_;
    }
    job(stopping);
  }
}

bool ColdReader::Enqueue(Job& job) {
  absl::MutexLock lock(&mutex_);
  if (stopping_ || jobs_.size() >= kColdReadsMax) return false;
  jobs_.push_back(std::move(job));
  wake_.Signal();
  return true;
}

void ColdReader::Read(std::shared_ptr<Log> log, ReadRequest request, LogStore::ReadDone done) {
  auto shared = std::make_shared<LogStore::ReadDone>(std::move(done));
  Job job = [this, log = std::move(log), request, shared](bool stopping) {
    if (stopping) return (*shared)(ShuttingDown());
    auto result = DoRead(*log, request);
    if (result.ok()) {
      Count(counters_.read_batches, static_cast<int64_t>(result->batches.size()));
      for (const StoredBatchView& batch : result->batches) {
        Count(counters_.read_bytes, static_cast<int64_t>(batch.bytes.size()));
      }
    }
    (*shared)(std::move(result));
  };
  if (!Enqueue(job)) (*shared)(MakeError(Reason::kTooManyInFlight, "too many reads wait for the disk"));
}

void ColdReader::FindByTime(std::shared_ptr<Log> log, int64_t timestamp_ms, LogStore::TimeDone done) {
  auto shared = std::make_shared<LogStore::TimeDone>(std::move(done));
  Job job = [this, log = std::move(log), timestamp_ms, shared](bool stopping) {
    if (stopping) return (*shared)(ShuttingDown());
    (*shared)(DoFindByTime(*log, timestamp_ms));
  };
  if (!Enqueue(job)) (*shared)(MakeError(Reason::kTooManyInFlight, "too many reads wait for the disk"));
}

absl::StatusOr<ColdReader::View> ColdReader::Look(const Log& log, bool include_undurable) {
  View view;
  absl::ReaderMutexLock lock(&log.mutex);
  if (log.deleted) return LogNotFound(log.id);
  view.start = log.state.start();
  view.end = include_undurable ? log.written_end : log.readable_end;
  view.readable_end = log.readable_end;
  view.truncations = log.truncations;
  // What begins at the end or above may not even be written.
  for (const Run& run : log.tail_runs) {
    if (run.base < view.end) view.tail.push_back(run);
  }
  return view;
}

bool ColdReader::Outdated(const Log& log, const View& view) {
  absl::ReaderMutexLock lock(&log.mutex);
  return log.deleted || log.truncations != view.truncations;
}

absl::StatusOr<std::vector<Run>> ColdReader::RunsFrom(LogId log, const View& view, Offset from,
                                                      Offset end) const {
  std::vector<Run> tail;
  for (const Run& run : view.tail) {
    if (run.next > from && run.base < end) tail.push_back(run);
  }
  if (!tail.empty() && tail.front().base <= from) return tail;
  NARU_ASSIGN_OR_RETURN(auto runs, index_.RunsFrom(log, from, end, kRunsPerRead));
  for (const Run& run : tail) {
    if (!runs.empty() && runs.back().next == run.base) runs.push_back(run);
  }
  return runs;
}

absl::StatusOr<bool> ColdReader::ReadOn(const Log& log, const View& view, ReadRequest request,
                                        ReadResult& result) const {
  // What compaction left empty is passed over, however many runs it takes: an answer without batches says
  // that there is nothing up to the end.
  do {
    NARU_ASSIGN_OR_RETURN(const auto runs, RunsFrom(log.id, view, request.from, request.end));
    if (runs.empty() || runs.front().base > request.from) return false;
    NARU_RETURN_IF_ERROR(reader_.Read(runs, request, result));
    request.from = result.next_offset;
  } while (result.batches.empty() && result.first_batch_bytes == 0 && request.from < request.end);
  return true;
}

absl::StatusOr<ReadResult> ColdReader::DoRead(const Log& log, const ReadRequest& request) const {
  absl::Status status = Contended(log.id);
  for (int i = 0; i < kTries; ++i) {
    NARU_ASSIGN_OR_RETURN(const View view, Look(log, request.include_undurable));
    if (request.from < view.start || request.from > view.end) {
      return OffsetOutOfRange("offset", request.from, view.start, view.end);
    }
    ReadResult result;
    result.log_start = view.start;
    result.readable_end = view.readable_end;
    result.next_offset = request.from;
    // The end may have come down since the request was made.
    ReadRequest bounded = request;
    bounded.end = std::min(request.end, view.end);
    if (request.from >= bounded.end) return result;
    const auto found = ReadOn(log, view, bounded, result);
    status = found.status();
    if (found.ok() && !*found) {
      // Given up since, or moved to another place while we looked.
      status = MakeError(Reason::kCorruptData, absl::StrCat("the index lacks offset ", request.from.value(),
                                                            " of log ", log.id.value()));
      continue;
    }
    if (Outdated(log, view)) {
      status = Contended(log.id);
      continue;
    }
    // A later run that went does not matter when there are earlier ones to answer with.
    if (status.ok() || (absl::IsNotFound(status) && !result.batches.empty())) return result;
    if (!absl::IsNotFound(status)) return status;
  }
  return absl::IsNotFound(status) ? Contended(log.id) : status;
}

absl::StatusOr<std::optional<Run>> ColdReader::FirstRunReaching(LogId log, int64_t timestamp_ms, Offset start,
                                                                Offset end) const {
  // The greatest timestamp so far never falls from run to run: bisect.
  Offset low = start;
  Offset high = end;
  std::optional<Run> found;
  while (low < high) {
    const Offset middle = low + (high - low) / 2;
    NARU_ASSIGN_OR_RETURN(const auto run, index_.FindRun(log, middle));
    if (!run || run->next <= middle) {
      low = middle + 1;  // given up since; runs go from the log's beginning
    } else if (run->max_timestamp_so_far_ms < timestamp_ms) {
      low = run->next;
    } else {
      found = run;
      high = std::max(run->base, low);
    }
  }
  return found;
}

absl::StatusOr<std::optional<TimedOffset>> ColdReader::FindInRun(const Log& log, const Run& run,
                                                                 int64_t timestamp_ms, Offset start,
                                                                 Offset end) const {
  Offset from = std::max(run.base, start);
  for (;;) {
    // The first batch from there on that is late enough.
    std::optional<Offset> candidate;
    NARU_RETURN_IF_ERROR(reader_.VisitHeaders(log.id, run, [&](const EntryHeader& header, uint64_t) {
      if (header.next_offset() <= from || header.records() == 0 || header.max_timestamp_ms < timestamp_ms)
        return header.base_offset < end;
      candidate = header.base_offset;
      return false;
    }));
    if (!candidate || *candidate >= end) return std::nullopt;
    ReadResult read;
    const ReadRequest request{.log = log.id, .from = std::max(*candidate, from), .end = end, .bytes_max = 0};
    NARU_RETURN_IF_ERROR(reader_.Read({run}, request, read));
    if (read.batches.empty()) return std::nullopt;
    NARU_ASSIGN_OR_RETURN(const auto found, FindTimestamp(read.batches.front(), timestamp_ms, start));
    if (found) return found;
    from = read.batches.front().next_offset;
    if (from >= run.next) return std::nullopt;
  }
}

absl::StatusOr<std::optional<TimedOffset>> ColdReader::FindInView(const Log& log, const View& view,
                                                                  int64_t timestamp_ms) const {
  const Offset indexed_end = view.tail.empty() ? view.end : std::min(view.tail.front().base, view.end);
  NARU_ASSIGN_OR_RETURN(const auto first, FirstRunReaching(log.id, timestamp_ms, view.start, indexed_end));
  // From there on, run by run: the timestamp that made it a candidate may belong to records that are gone.
  for (Offset at = first ? first->base : indexed_end; at < indexed_end;) {
    NARU_ASSIGN_OR_RETURN(const auto runs, index_.RunsFrom(log.id, at, indexed_end, kRunsPerRead));
    if (runs.empty()) break;
    for (const Run& run : runs) {
      at = run.next;
      if (run.max_timestamp_ms < timestamp_ms) continue;
      NARU_ASSIGN_OR_RETURN(const auto found, FindInRun(log, run, timestamp_ms, view.start, view.end));
      if (found) return found;
    }
  }
  for (const Run& run : view.tail) {
    if (run.next <= view.start || run.max_timestamp_ms < timestamp_ms) continue;
    NARU_ASSIGN_OR_RETURN(const auto found, FindInRun(log, run, timestamp_ms, view.start, view.end));
    if (found) return found;
  }
  return std::nullopt;
}

absl::StatusOr<std::optional<TimedOffset>> ColdReader::DoFindByTime(const Log& log,
                                                                    int64_t timestamp_ms) const {
  for (int i = 0; i < kTries; ++i) {
    NARU_ASSIGN_OR_RETURN(const View view, Look(log, /*include_undurable=*/false));
    auto found = FindInView(log, view, timestamp_ms);
    if (absl::IsNotFound(found.status()) || Outdated(log, view)) continue;
    if (!found.ok()) return found;
    absl::ReaderMutexLock lock(&log.mutex);
    // What was looked for, or what was found, may have been given up meanwhile, and later records be there.
    if (log.state.start() == view.start) return found;
    if (found->has_value() && (*found)->offset >= log.state.start()) return found;
  }
  return Contended(log.id);
}

}  // namespace naru
