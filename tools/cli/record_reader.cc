#include "tools/cli/record_reader.h"

#include <errno.h>
#include <unistd.h>

#include <cstring>
#include <nlohmann/json.hpp>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "storage/base/status.h"

namespace naru::cli {
namespace {

using nlohmann::json;

constexpr size_t kLineBytesMax = 64 << 20;
constexpr size_t kReadBytes = 256 << 10;
// Printing a JSON value takes stack for each level.
constexpr int kJsonDepthMax = 100;
// Of what was wrong, in an error.
constexpr size_t kShownBytesMax = 80;

// Reads text as JSON does up to its first error, and a parser does not go further.
bool IsNestedTooDeep(std::string_view text) {
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      if (++depth > kJsonDepthMax) return true;
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  return false;
}

std::string Shown(const json& value) {
  std::string text = value.dump(-1, ' ', /*ensure_ascii=*/true);
  if (text.size() > kShownBytesMax) text.resize(kShownBytesMax);
  return text;
}

std::optional<std::string> NthField(std::string_view line, int n) {
  constexpr std::string_view kBlanks = " \t";
  size_t at = 0;
  for (int field = 1;; ++field) {
    at = line.find_first_not_of(kBlanks, at);
    if (at == std::string_view::npos) return std::nullopt;
    const size_t end = std::min(line.find_first_of(kBlanks, at), line.size());
    if (field == n) return std::string(line.substr(at, end - at));
    at = end;
  }
}

absl::Status Decode(const json& text, std::string_view field, std::optional<std::string>& out) {
  std::string decoded;
  if (!text.is_string() || !absl::Base64Unescape(text.get_ref<const std::string&>(), &decoded)) {
    return InvalidField(field, Shown(text), "base64 in a string is allowed");
  }
  out = std::move(decoded);
  return absl::OkStatus();
}

// Text as it is, none for null, anything else as JSON.
std::optional<std::string> TextOf(const json& value) {
  if (value.is_null()) return std::nullopt;
  return value.is_string() ? value.get<std::string>() : value.dump();
}

absl::Status ParseHeaders(const json& headers, InputRecord& record) {
  if (headers.is_object()) {
    for (const auto& [name, value] : headers.items()) {
      record.headers.emplace_back(name, TextOf(value).value_or(""));
    }
    return absl::OkStatus();
  }
  const char* allowed = "an object, or an array of {\"key\", \"value\" or \"value_base64\"} is allowed";
  if (!headers.is_array()) return InvalidField("headers", Shown(headers), allowed);
  for (const json& header : headers) {
    if (!header.is_object() || !header.contains("key") || !header["key"].is_string()) {
      return InvalidField("headers", Shown(header), allowed);
    }
    std::optional<std::string> value;
    if (header.contains("value_base64")) {
      NARU_RETURN_IF_ERROR(Decode(header["value_base64"], "headers.value_base64", value));
    } else if (header.contains("value")) {
      value = TextOf(header["value"]);
    }
    record.headers.emplace_back(header["key"].get<std::string>(), value.value_or(""));
  }
  return absl::OkStatus();
}

absl::Status ParseField(const std::string& name, const json& value, InputRecord& record) {
  if (name == "key") {
    record.key = TextOf(value);
  } else if (name == "value") {
    record.value = TextOf(value);
  } else if (name == "key_base64") {
    return Decode(value, name, record.key);
  } else if (name == "value_base64") {
    return Decode(value, name, record.value);
  } else if (name == "headers") {
    return ParseHeaders(value, record);
  } else if (name == "timestamp_ms") {
    if (!value.is_number_integer() || value.get<int64_t>() < 0) {
      return InvalidField(name, Shown(value), "milliseconds since the epoch, 0 or more, are allowed");
    }
    record.timestamp_ms = value.get<int64_t>();
  } else if (name == "partition") {
    if (!value.is_number_integer() || value.get<int64_t>() < 0 || value.get<int64_t>() > INT32_MAX) {
      return InvalidField(name, Shown(value), "a partition number, 0 or more, is allowed");
    }
    record.partition = value.get<int32_t>();
  } else if (name != "offset" && name != "topic" && name != "timestamp") {
    return InvalidField(
        "record", name,
        "the fields are key, value, key_base64, value_base64, headers, timestamp_ms, partition");
  }
  return absl::OkStatus();
}

}  // namespace

InputRecord ParseTextLine(std::string_view line, const ProduceArguments& arguments) {
  InputRecord record;
  record.headers = arguments.headers;
  record.partition = arguments.partition;
  if (arguments.key_field > 0) {
    record.key = NthField(line, arguments.key_field);
  } else if (!arguments.key_separator.empty()) {
    const size_t at = line.find(arguments.key_separator);
    if (at != std::string_view::npos) {
      record.key = std::string(line.substr(0, at));
      line.remove_prefix(at + arguments.key_separator.size());
    }
  }
  record.value = std::string(line);
  return record;
}

absl::StatusOr<InputRecord> ParseJsonLine(std::string_view line, const ProduceArguments& arguments) {
  if (IsNestedTooDeep(line)) {
    return InvalidField("record", line.substr(0, kShownBytesMax),
                        absl::StrCat("at most ", kJsonDepthMax, " levels of arrays and objects are allowed"));
  }
  const json object = json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (object.is_discarded()) {
    return InvalidField("record", line.substr(0, kShownBytesMax), "a JSON object on one line is needed");
  }
  if (!object.is_object()) return InvalidField("record", object.type_name(), "a JSON object is needed");
  for (const char* name : {"key", "value"}) {
    if (object.contains(name) && object.contains(absl::StrCat(name, "_base64"))) {
      return InvalidField(name, "given twice",
                          absl::StrCat(name, " or ", name, "_base64 is allowed, not both"));
    }
  }
  InputRecord record;
  record.headers = arguments.headers;
  record.partition = arguments.partition;
  for (const auto& [name, value] : object.items()) NARU_RETURN_IF_ERROR(ParseField(name, value, record));
  if (record.timestamp_ms == 0 && object.contains("timestamp")) {
    absl::Time time;
    const json& text = object["timestamp"];
    if (!text.is_string() || !absl::ParseTime(absl::RFC3339_full, text.get<std::string>(), &time, nullptr) ||
        time < absl::UnixEpoch()) {
      return InvalidField("timestamp", Shown(text), "a time as in RFC 3339 is allowed");
    }
    record.timestamp_ms = absl::ToUnixMillis(time);
  }
  return record;
}

absl::StatusOr<std::optional<std::string_view>> LineReader::Next(const volatile bool* stop) {
  size_t searched = at_;
  while (true) {
    // NOLINTNEXTLINE(bugprone-not-null-terminated-result): a piece of a buffer, no string of C
    const void* found = std::memchr(buffer_.data() + searched, '\n', buffer_.size() - searched);
    if (found != nullptr || (end_ && at_ < buffer_.size())) {
      const size_t end = found != nullptr
                             ? static_cast<size_t>(static_cast<const char*>(found) - buffer_.data())
                             : buffer_.size();
      std::string_view line(buffer_.data() + at_, end - at_);
      at_ = found != nullptr ? end + 1 : end;
      if (std::exchange(refused_, false)) {
        searched = at_;
        continue;
      }
      if (line.ends_with('\r')) line.remove_suffix(1);
      ++lines_;
      return line;
    }
    if (end_ || *stop) return std::nullopt;
    buffer_.erase(0, refused_ ? buffer_.size() : at_);
    at_ = 0;
    searched = buffer_.size();
    if (buffer_.size() > kLineBytesMax) {
      buffer_ = std::string();
      refused_ = true;
      ++lines_;
      return MakeError(Reason::kRecordTooLarge,
                       absl::StrCat("a line of input: at most ", kLineBytesMax, " bytes are allowed"),
                       {{"limit_bytes", absl::StrCat(kLineBytesMax)}});
    }
    buffer_.resize(searched + kReadBytes);
    const ssize_t got = ::read(fileno(file_), buffer_.data() + searched, kReadBytes);
    buffer_.resize(searched + static_cast<size_t>(got > 0 ? got : 0));
    if (got < 0 && errno != EINTR) return absl::DataLossError(absl::StrCat("input: ", std::strerror(errno)));
    if (got > 0) bytes_ += got;
    if (got == 0) end_ = true;
  }
}

}  // namespace naru::cli
