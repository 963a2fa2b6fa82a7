#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstring>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "clients/cpp/consumer.h"
#include "clients/cpp/producer.h"
#include "storage/base/status.h"
#include "tools/cli/commands.h"
#include "tools/cli/connect.h"
#include "tools/cli/failure.h"
#include "tools/cli/latency_histogram.h"
#include "tools/cli/progress_line.h"
#include "tools/cli/quantity.h"
#include "tools/cli/record_reader.h"
#include "tools/cli/terminal.h"

namespace naru::cli {
namespace {

// Failed records that are told of one by one.
constexpr int kFailuresShown = 5;

// What became of the records so far. Thread-safe: callbacks write, the command reads.
class Outcome {
 public:
  void Add(const client::Delivery& delivery, int64_t line, absl::Time sent_at, int64_t bytes) {
    const absl::Time now = absl::Now();
    absl::MutexLock lock(&mutex_);
    if (delivery.status.ok()) {
      ++acknowledged_;
      bytes_ += bytes;
      latency_.Add(now - sent_at);
      return;
    }
    Fail(delivery.status, absl::StrCat("line ", line, ", partition ", delivery.partition.value(),
                                       delivery.maybe_appended ? ", may be appended" : ""));
  }
  // A line that was not sent at all.
  void AddRefused(const absl::Status& status, int64_t line) {
    absl::MutexLock lock(&mutex_);
    Fail(status, absl::StrCat("line ", line));
  }
  int64_t acknowledged() const {
    absl::MutexLock lock(&mutex_);
    return acknowledged_;
  }
  int64_t failed() const {
    absl::MutexLock lock(&mutex_);
    return failed_;
  }
  absl::Status first_failure() const {
    absl::MutexLock lock(&mutex_);
    return first_failure_;
  }
  int64_t bytes() const {
    absl::MutexLock lock(&mutex_);
    return bytes_;
  }
  LatencyHistogram latency() const {
    absl::MutexLock lock(&mutex_);
    return latency_;
  }

 private:
  void Fail(const absl::Status& status, const std::string& where) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (first_failure_.ok()) first_failure_ = status;
    if (++failed_ > kFailuresShown) return;
    std::fprintf(stderr, "%s [%s]\n", FailureLine(status).c_str(), where.c_str());
  }

  mutable absl::Mutex mutex_;
  int64_t acknowledged_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t failed_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Status first_failure_ ABSL_GUARDED_BY(mutex_);
  LatencyHistogram latency_ ABSL_GUARDED_BY(mutex_);
};

// Where the turn of keyless records begins: the partition with the fewest offsets given out, so that a series
// of short commands goes on where the last one stopped.
PartitionId RotationStart(const std::shared_ptr<client::Client>& client, const std::string& topic) {
  naru::v1::ListOffsetsRequest request;
  request.set_topic(topic);
  request.set_position(naru::v1::POSITION_LATEST);
  const auto response = client::Consumer(client).ListOffsets(request);
  if (!response.ok()) return PartitionId(0);  // Send will say what is wrong
  PartitionId least(0);
  int64_t least_end = INT64_MAX;
  for (const auto& found : response->offsets()) {
    if (found.has_error() || found.high_watermark() >= least_end) continue;
    least_end = found.high_watermark();
    least = PartitionId(found.partition());
  }
  return least;
}

std::string Summary(const Outcome& outcome, absl::Duration elapsed, bool json) {
  const LatencyHistogram latency = outcome.latency();
  const double seconds = std::max(absl::ToDoubleSeconds(elapsed), 1e-6);
  const double rate = static_cast<double>(outcome.acknowledged()) / seconds;
  const auto ms = [&latency](double fraction) {
    return absl::ToDoubleMilliseconds(latency.Percentile(fraction));
  };
  const double max_ms = absl::ToDoubleMilliseconds(latency.max());
  if (json) {
    return absl::StrFormat(
        "{\"records\":%d,\"failed\":%d,\"bytes\":%d,\"seconds\":%.6f,\"records_per_second\":%.1f,"
        "\"ack_latency_ms\":{\"p50\":%.3f,\"p90\":%.3f,\"p99\":%.3f,\"p999\":%.3f,\"max\":%.3f}}\n",
        outcome.acknowledged(), outcome.failed(), outcome.bytes(), seconds, rate, ms(0.5), ms(0.9), ms(0.99),
        ms(0.999), max_ms);
  }
  std::string line = absl::StrFormat(
      "%d records, %s in %.2f s (%.0f records/s, %s/s)", outcome.acknowledged(), FormatBytes(outcome.bytes()),
      seconds, rate, FormatBytes(static_cast<int64_t>(static_cast<double>(outcome.bytes()) / seconds)));
  if (latency.count() > 0) {
    absl::StrAppendFormat(&line, "; ack latency p50 %.1f ms, p99 %.1f ms, max %.1f ms", ms(0.5), ms(0.99),
                          max_ms);
  }
  if (outcome.failed() > 0) absl::StrAppend(&line, "; ", outcome.failed(), " FAILED");
  return line + "\n";
}

// One run of `produce`.
class ProduceRun {
 public:
  ProduceRun(const ProduceArguments& arguments, std::FILE* file)
      : arguments_(arguments),
        reader_(file),
        progress_(!arguments.quiet && (file != stdin || isatty(fileno(stdin)) == 0)) {
    struct stat info = {};
    if (fstat(fileno(file), &info) == 0 && S_ISREG(info.st_mode)) total_bytes_ = info.st_size;
  }

  // Sends every line, waits for the answers.
  absl::Status Run(client::Producer& producer) {
    started_at_ = absl::Now();
    const absl::Status read = SendAll(producer);
    // Records that are accepted are waited for, whatever ended the reading; their failures are told by
    // Outcome.
    while (absl::IsDeadlineExceeded(producer.Flush(absl::Milliseconds(200))) && !GivenUp()) ShowProgress();
    (void)producer.Close(absl::ZeroDuration());
    progress_.Clear();
    elapsed_ = absl::Now() - started_at_;
    return read.ok() ? outcome_.first_failure() : read;
  }
  const Outcome& outcome() const { return outcome_; }
  absl::Duration elapsed() const { return elapsed_; }

 private:
  absl::Status SendAll(client::Producer& producer) {
    bool end = false;
    while (!end && !Interrupted()) {
      const absl::Status sent = SendNext(producer, &end);
      if (ReasonOf(sent) == Reason::kRecordTooLarge) {
        outcome_.AddRefused(sent, reader_.lines());  // as if the hub had refused it: the others go on
      } else if (!sent.ok()) {
        return AtLine(sent);
      }
      if (reader_.lines() % 64 == 0) ShowProgress();
    }
    return absl::OkStatus();
  }

  absl::Status SendNext(client::Producer& producer, bool* end) {
    NARU_ASSIGN_OR_RETURN(const auto line, reader_.Next(&Interrupted()));
    *end = !line.has_value();
    if (*end) return absl::OkStatus();
    if (arguments_.input == RecordInput::kLines) return Send(producer, ParseTextLine(*line, arguments_));
    if (line->find_first_not_of(" \t") == std::string_view::npos) return absl::OkStatus();
    NARU_ASSIGN_OR_RETURN(const InputRecord record, ParseJsonLine(*line, arguments_));
    return Send(producer, record);
  }

  absl::Status Send(client::Producer& producer, const InputRecord& input) {
    std::vector<client::HeaderView> headers;
    headers.reserve(input.headers.size());
    for (const auto& [key, value] : input.headers) headers.push_back({key, value});
    client::OutgoingRecord record{.headers = headers, .timestamp_ms = input.timestamp_ms};
    if (input.key) record.key = *input.key;
    if (input.value) record.value = *input.value;
    if (input.partition) record.partition = PartitionId(*input.partition);
    const auto bytes = static_cast<int64_t>(input.key.value_or("").size() + input.value.value_or("").size());
    return producer.Send(arguments_.topic, record,
                         [this, line = reader_.lines(), at = absl::Now(), bytes](
                             const client::Delivery& delivery) { outcome_.Add(delivery, line, at, bytes); });
  }

  absl::Status AtLine(const absl::Status& status) const {
    // The first record finds out whether topic and server are there; its line says nothing then.
    if (!absl::IsInvalidArgument(status)) return status;
    return absl::InvalidArgumentError(absl::StrCat("line ", reader_.lines(), ": ", status.message()));
  }

  // A second interruption is handled by the system; the first lets records that are under way arrive, for a
  // while.
  bool GivenUp() {
    if (!Interrupted()) return false;
    if (give_up_at_ == absl::InfiniteFuture()) give_up_at_ = absl::Now() + absl::Seconds(10);
    return absl::Now() >= give_up_at_;
  }

  void ShowProgress() {
    if (!progress_.visible()) return;
    progress_.Update({.records = reader_.lines(),
                      .bytes = reader_.bytes(),
                      .total_bytes = total_bytes_,
                      .acknowledged = outcome_.acknowledged(),
                      .elapsed = absl::Now() - started_at_});
  }

  const ProduceArguments& arguments_;
  LineReader reader_;
  ProgressLine progress_;
  Outcome outcome_;
  int64_t total_bytes_ = 0;
  absl::Time started_at_;
  absl::Time give_up_at_ = absl::InfiniteFuture();
  absl::Duration elapsed_;
};

}  // namespace

int RunProduce(const GlobalArguments& global, const ProduceArguments& arguments) {
  auto client = MakeClient(global);
  if (!client.ok()) return Fail(client.status());
  // A topic that is not there is said before any input is waited for.
  if (const auto topic = (*client)->Topic(arguments.topic); !topic.ok()) return Fail(topic.status());

  std::unique_ptr<std::FILE, int (*)(std::FILE*)> opened(nullptr, std::fclose);
  std::FILE* file = stdin;
  if (!arguments.file.empty() && arguments.file != "-") {
    opened.reset(std::fopen(arguments.file.c_str(), "rb"));
    file = opened.get();
    if (file == nullptr) {
      return Fail(
          absl::InvalidArgumentError(absl::StrCat("file: ", arguments.file, ": ", std::strerror(errno))));
    }
  }
  client::ProducerOptions options;
  options.acks = arguments.acks;
  options.compression = arguments.compression;
  options.batch_bytes = arguments.batch_bytes;
  options.linger = arguments.linger;
  options.idempotent = arguments.idempotent;
  options.block_timeout = options.delivery_timeout = std::max(global.timeout, absl::Seconds(30));
  if (!arguments.partition) options.rotation_start = RotationStart(*client, arguments.topic);
  auto producer = client::Producer::Create(*client, options);
  if (!producer.ok()) return Fail(producer.status());

  CatchSignals();
  ProduceRun run(arguments, file);
  const absl::Status status = run.Run(**producer);
  const bool json = global.output == OutputFormat::kJson;
  const std::string summary = Summary(run.outcome(), run.elapsed(), json);
  if (json) {
    (void)Print(summary);
  } else if (!arguments.quiet) {
    std::fputs(summary.c_str(), stderr);
  }
  if (!status.ok()) {
    // Records that failed were told of one by one.
    return run.outcome().failed() > 0 && status == run.outcome().first_failure() ? ExitCodeOf(status)
                                                                                 : Fail(status);
  }
  return Interrupted() ? kExitInterrupted : kExitOk;
}

}  // namespace naru::cli
