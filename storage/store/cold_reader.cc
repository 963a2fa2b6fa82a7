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

absl::StatusOr<std::vector<Run>> ColdReader::RunsFrom(const Log& log, const ReadRequest& request) const {
  std::vector<Run> tail;
  {
    // First the tail: a run leaves it only once the index has it.
    absl::ReaderMutexLock lock(&log.mutex);
    for (const Run& run : log.tail_runs) {
      if (run.next > request.from && run.base < request.end) tail.push_back(run);
    }
  }
  if (!tail.empty() && tail.front().base <= request.from) return tail;
  NARU_ASSIGN_OR_RETURN(auto runs, index_.RunsFrom(log.id, request.from, request.end, kRunsPerRead));
  for (const Run& run : tail) {
    if (!runs.empty() && runs.back().next == run.base) runs.push_back(run);
  }
  return runs;
}

absl::StatusOr<ReadResult> ColdReader::DoRead(const Log& log, const ReadRequest& request) const {
  ReadResult result;
  absl::Status status = Contended(log.id);
  for (int i = 0; i < kTries; ++i) {
    result.batches.clear();
    NARU_ASSIGN_OR_RETURN(const auto runs, RunsFrom(log, request));
    bool deleted = false;
    Offset end;
    {
      absl::ReaderMutexLock lock(&log.mutex);
      result.log_start = log.state.start();
      result.readable_end = log.readable_end;
      end = request.include_undurable ? log.written_end : log.readable_end;
      deleted = log.deleted;
    }
    if (deleted) return LogNotFound(log.id);
    if (request.from < result.log_start || request.from > end) {
      return OffsetOutOfRange("offset", request.from, result.log_start, end);
    }
    if (runs.empty() || runs.front().base > request.from) {
      // Moved from the tail to the index, or to another place in it, between the two looks.
      status = MakeError(Reason::kCorruptData, absl::StrCat("the index lacks offset ", request.from.value(),
                                                            " of log ", log.id.value()));
      continue;
    }
    status = reader_.Read(log.id, runs, request.from, request.end, request.bytes_max, result.batches);
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
      high = middle;  // not in the index yet, or not any more
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
      if (header.next_offset() <= from || header.max_timestamp_ms < timestamp_ms)
        return header.base_offset < end;
      candidate = header.base_offset;
      return false;
    }));
    if (!candidate || *candidate >= end) return std::nullopt;
    std::vector<StoredBatchView> batches;
    NARU_RETURN_IF_ERROR(reader_.Read(log.id, {run}, std::max(*candidate, from), end, 0, batches));
    if (batches.empty()) return std::nullopt;
    NARU_ASSIGN_OR_RETURN(const auto found, FindTimestamp(batches.front(), timestamp_ms, start));
    if (found) return found;
    from = batches.front().next_offset;
    if (from >= run.next) return std::nullopt;
  }
}

absl::StatusOr<std::optional<TimedOffset>> ColdReader::DoFindByTime(const Log& log,
                                                                    int64_t timestamp_ms) const {
  absl::Status status = Contended(log.id);
  for (int i = 0; i < kTries; ++i) {
    Offset start;
    Offset end;
    std::vector<Run> tail;
    {
      absl::ReaderMutexLock lock(&log.mutex);
      if (log.deleted) return LogNotFound(log.id);
      start = log.state.start();
      end = log.readable_end;
      tail = log.tail_runs;
    }
    NARU_ASSIGN_OR_RETURN(auto run, FirstRunReaching(log.id, timestamp_ms, start, end));
    Offset at = run ? run->base : end;
    status = absl::OkStatus();
    // From there on, run by run: the timestamp that made it a candidate may belong to records that are gone.
    while (status.ok() && at < end) {
      NARU_ASSIGN_OR_RETURN(const auto runs, index_.RunsFrom(log.id, at, end, kRunsPerRead));
      if (runs.empty()) break;
      for (const Run& next : runs) {
        at = next.next;
        if (next.max_timestamp_ms < timestamp_ms) continue;
        auto found = FindInRun(log, next, timestamp_ms, start, end);
        if (found.ok() && found->has_value()) return found;
        status = found.status();
        if (!status.ok()) break;
      }
    }
    for (const Run& next : tail) {
      if (!status.ok()) break;
      if (next.next <= start || next.max_timestamp_ms < timestamp_ms) continue;
      auto found = FindInRun(log, next, timestamp_ms, start, end);
      if (found.ok() && found->has_value()) return found;
      status = found.status();
    }
    if (status.ok()) return std::nullopt;
    if (!absl::IsNotFound(status)) return status;
  }
  return absl::IsNotFound(status) ? Contended(log.id) : status;
}

}  // namespace naru
