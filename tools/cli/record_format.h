// A record as text, by a template, or as a line of JSON. Thread-safe once parsed.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "naru/v1/types.pb.h"

namespace naru::cli {

// What is known of a record that was read.
struct ReadRecord {
  std::string_view topic;
  int32_t partition = 0;
  const naru::v1::Record* record = nullptr;
};

// Either "json" or a template: text with {topic} {partition} {offset} {key} {value} {timestamp} (RFC 3339,
// UTC) {timestamp_ms} {headers} (name=value,name=value), {{ and }} for braces, and the escapes \n \t \r \0
// \\ \c. A newline is added unless the template ends with one or with \c. Bytes are written as they are.
//
// JSON: one object on one line, always in this order: topic, partition, offset, timestamp_ms, key, value,
// headers. key and value are null where absent; bytes that are not UTF-8 stand in key_base64 and value_base64
// instead; headers is an array of {"key", "value" or "value_base64"}.
class RecordFormat {
 public:
  // INVALID_ARGUMENT naming what is wrong and the fields there are. `null_text` stands for an absent key or
  // value.
  static absl::StatusOr<RecordFormat> Parse(std::string_view text, std::string_view null_text);

  void Append(const ReadRecord& record, std::string& out) const;

 private:
  enum class Field {
    kLiteral,
    kTopic,
    kPartition,
    kOffset,
    kKey,
    kValue,
    kTimestamp,
    kTimestampMs,
    kHeaders
  };
  struct Piece {
    Field field = Field::kLiteral;
    std::string literal;
  };

  absl::Status AddField(std::string_view name);
  void AddLiteral(char c);
  static void AppendJson(const ReadRecord& record, std::string& out);

  bool json_ = false;
  std::string null_text_;
  std::vector<Piece> pieces_;
};

// Appends `text`, which is UTF-8, as a JSON string with its quotes.
void AppendJsonString(std::string_view text, std::string& out);

bool IsUtf8(std::string_view text);

}  // namespace naru::cli
