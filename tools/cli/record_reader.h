// Records from lines of text or of JSON.
#pragma once

#include <cstdio>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tools/cli/arguments.h"

namespace naru::cli {

// A record that owns its bytes.
struct InputRecord {
  std::optional<std::string> key;
  std::optional<std::string> value;
  std::vector<std::pair<std::string, std::string>> headers;
  int64_t timestamp_ms = 0;
  std::optional<int32_t> partition;
};

// A line as a record, by `arguments`: with key_separator what stands before its first appearance is the key
// and what follows the value, a line without it has no key; with key_field the key is that field of the whole
// line, split at spaces and tabs, and a line with fewer fields has no key. Headers and partition are those of
// the arguments.
InputRecord ParseTextLine(std::string_view line, const ProduceArguments& arguments);

// A JSON object as a record: key, value (text, or null and absent for none; any other JSON is kept as its
// text), key_base64, value_base64, headers (an object, or an array of {"key", "value" or "value_base64"}),
// timestamp_ms or timestamp (RFC 3339), partition. What `naru consume --format json` writes is read back;
// offset and topic, which it adds, are ignored. Headers of the arguments come first, and their partition is
// the default. INVALID_ARGUMENT naming the field and what is allowed, also for more than 100 arrays and
// objects inside of each other.
absl::StatusOr<InputRecord> ParseJsonLine(std::string_view line, const ProduceArguments& arguments);

// Lines of a file, without their "\n" or "\r\n"; a last line without one counts. Memory is bounded by the
// longest line allowed.
class LineReader {
 public:
  // Does not own `file`.
  explicit LineReader(std::FILE* file) : file_(file) {}

  // The next line, valid until the next call; nothing at the end. RECORD_TOO_LARGE for a line above 64 MiB,
  // of which the rest is left out; DATA_LOSS when reading fails. Ends early, as at the end of the file, when
  // a signal interrupts the read and `stop` says so.
  absl::StatusOr<std::optional<std::string_view>> Next(const volatile bool* stop);
  int64_t lines() const { return lines_; }
  // Read so far, line ends included.
  int64_t bytes() const { return bytes_; }

 private:
  std::FILE* const file_;
  std::string buffer_;
  size_t at_ = 0;  // what comes before was given
  bool end_ = false;
  bool refused_ = false;  // the line at `at_`: what comes of it is dropped
  int64_t lines_ = 0;
  int64_t bytes_ = 0;
};

}  // namespace naru::cli
