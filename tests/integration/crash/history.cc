#include "tests/integration/crash/history.h"

#include <chrono>

#include "absl/strings/str_join.h"
#include "storage/base/check.h"
#include "storage/base/strings.h"

namespace naru::crash {

int64_t NowNs() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

History::History(const std::string& path) : file_(std::fopen(path.c_str(), "a")) {
  NARU_CHECK(file_ != nullptr);
}

History::~History() { std::fclose(file_); }

void History::Send(std::string_view order, int64_t id, int32_t partition, std::span<const Value> values) {
  Write(absl::StrCat(R"({"op":"send","order":")", order, R"(","id":)", id, R"(,"t":)", NowNs(),
                     R"(,"partition":)", partition < 0 ? "null" : absl::StrCat(partition), R"(,"values":[)",
                     absl::StrJoin(values, ","), "]}\n"));
}

void History::Ok(std::string_view order, int64_t id, int32_t partition, int64_t base_offset,
                 std::span<const Value> values) {
  Write(absl::StrCat(R"({"op":"ok","order":")", order, R"(","id":)", id, R"(,"t":)", NowNs(),
                     R"(,"partition":)", partition, R"(,"base":)", base_offset, R"(,"values":[)",
                     absl::StrJoin(values, ","), "]}\n"));
}

void History::Fail(std::string_view order, int64_t id, std::span<const Value> values) {
  Outcome("fail", order, id, values);
}

void History::Unknown(std::string_view order, int64_t id, std::span<const Value> values) {
  Outcome("unknown", order, id, values);
}

void History::Outcome(std::string_view op, std::string_view order, int64_t id,
                      std::span<const Value> values) {
  Write(absl::StrCat(R"({"op":")", op, R"(","order":")", order, R"(","id":)", id, R"(,"t":)", NowNs(),
                     R"(,"values":[)", absl::StrJoin(values, ","), "]}\n"));
}

void History::Read(const Poll& poll) {
  const auto record = [](std::string* out, const std::pair<int64_t, Value>& r) {
    absl::StrAppend(out, "[", r.first, ",", r.second, "]");
  };
  Write(absl::StrCat(R"({"op":"poll","client":")", poll.client, R"(","t0":)", poll.begin_ns, R"(,"t":)",
                     NowNs(), R"(,"partition":)", poll.partition, R"(,"from":)", poll.from, R"(,"next":)",
                     poll.next, R"(,"hw":)", poll.high_watermark, R"(,"start":)", poll.log_start,
                     poll.drain ? R"(,"drain":true)" : "", R"(,"records":[)",
                     absl::StrJoin(poll.records, ",", record), "]}\n"));
}

void History::Write(std::string line) {
  absl::MutexLock lock(&mutex_);
  NARU_CHECK(std::fwrite(line.data(), 1, line.size(), file_) == line.size());
  NARU_CHECK(std::fflush(file_) == 0);
}

}  // namespace naru::crash
