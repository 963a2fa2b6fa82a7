#include "tools/cli/record_format.h"

#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "storage/base/status.h"
#include "tools/cli/quantity.h"

namespace naru::cli {
namespace {

constexpr std::string_view kFields =
    "the fields are {topic} {partition} {offset} {key} {value} {timestamp} {timestamp_ms} {headers}; {{ is a "
    "brace";

// Appends "name":"text", or "name_base64":"…" for bytes that are not text.
void AppendJsonBytes(std::string_view name, std::string_view bytes, std::string& out) {
  if (IsUtf8(bytes)) {
    absl::StrAppend(&out, "\"", std::string(name), "\":");
    AppendJsonString(bytes, out);
  } else {
    absl::StrAppend(&out, "\"", std::string(name), "_base64\":\"", absl::Base64Escape(std::string(bytes)),
                    "\"");
  }
}

}  // namespace

bool IsUtf8(std::string_view text) {
  size_t i = 0;
  while (i < text.size()) {
    const auto lead = static_cast<unsigned char>(text[i]);
    if (lead < 0x80) {
      ++i;
      continue;
    }
    const int more = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : 1;
    if (lead < 0xc2 || lead > 0xf4 || i + static_cast<size_t>(more) >= text.size()) return false;
    uint32_t point = lead & (0x3fu >> more);
    for (int k = 1; k <= more; ++k) {
      const auto next = static_cast<unsigned char>(text[i + static_cast<size_t>(k)]);
      if ((next & 0xc0) != 0x80) return false;
      point = point << 6 | (next & 0x3f);
    }
    const bool overlong = (more == 2 && point < 0x800) || (more == 3 && point < 0x10000);
    if (overlong || (point >= 0xd800 && point <= 0xdfff) || point > 0x10ffff) return false;
    i += static_cast<size_t>(more) + 1;
  }
  return true;
}

void AppendJsonString(std::string_view text, std::string& out) {
  out += '"';
  for (const char c : text) {
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20) {
          absl::StrAppendFormat(&out, "\\u%04x", static_cast<unsigned>(c));
        } else {
          out += c;
        }
    }
  }
  out += '"';
}

void RecordFormat::AddLiteral(char c) {
  if (pieces_.empty() || pieces_.back().field != Field::kLiteral) pieces_.push_back({});
  pieces_.back().literal += c;
}

absl::Status RecordFormat::AddField(std::string_view name) {
  constexpr std::pair<std::string_view, Field> kNames[] = {{"topic", Field::kTopic},
                                                           {"partition", Field::kPartition},
                                                           {"offset", Field::kOffset},
                                                           {"key", Field::kKey},
                                                           {"value", Field::kValue},
                                                           {"timestamp", Field::kTimestamp},
                                                           {"timestamp_ms", Field::kTimestampMs},
                                                           {"headers", Field::kHeaders}};
  for (const auto& [known, field] : kNames) {
    if (known != name) continue;
    pieces_.push_back({.field = field});
    return absl::OkStatus();
  }
  return InvalidField("format", absl::StrCat("{", std::string(name), "}"), kFields);
}

absl::StatusOr<RecordFormat> RecordFormat::Parse(std::string_view text, std::string_view null_text) {
  RecordFormat format;
  format.null_text_ = std::string(null_text);
  format.json_ = text == "json";
  if (format.json_) return format;
  bool newline = true;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const char next = i + 1 < text.size() ? text[i + 1] : '\0';
    if ((c == '{' || c == '}') && next == c) {
      format.AddLiteral(c);
      ++i;
    } else if (c == '{') {
      const size_t close = text.find('}', i);
      if (close == std::string_view::npos) return InvalidField("format", text.substr(i), kFields);
      NARU_RETURN_IF_ERROR(format.AddField(text.substr(i + 1, close - i - 1)));
      i = close;
    } else if (c == '}') {
      return InvalidField("format", "}", kFields);
    } else if (c == '\\') {
      constexpr std::string_view kEscapes = "ntr0\\", kMeanings = std::string_view("\n\t\r\0\\", 5);
      const size_t which = kEscapes.find(next);
      if (i + 1 < text.size() && which != std::string_view::npos) {
        format.AddLiteral(kMeanings[which]);
      } else if (next == 'c' && i + 2 == text.size()) {
        newline = false;
      } else {
        return InvalidField("format", text.substr(i, 2),
                            "the escapes are \\n \\t \\r \\0 \\\\ and, at the end, \\c");
      }
      ++i;
    } else {
      format.AddLiteral(c);
    }
  }
  const bool ends_with_newline = !format.pieces_.empty() && format.pieces_.back().literal.ends_with('\n');
  if (newline && !ends_with_newline) format.AddLiteral('\n');
  return format;
}

void RecordFormat::Append(const ReadRecord& read, std::string& out) const {
  if (json_) {
    AppendJson(read, out);
    return;
  }
  const naru::v1::Record& record = *read.record;
  for (const Piece& piece : pieces_) {
    switch (piece.field) {
      case Field::kLiteral:
        out += piece.literal;
        break;
      case Field::kTopic:
        out += read.topic;
        break;
      case Field::kPartition:
        absl::StrAppend(&out, read.partition);
        break;
      case Field::kOffset:
        absl::StrAppend(&out, record.offset());
        break;
      case Field::kKey:
        out += record.has_key() ? record.key() : null_text_;
        break;
      case Field::kValue:
        out += record.has_value() ? record.value() : null_text_;
        break;
      case Field::kTimestamp:
        out += FormatTimestamp(record.timestamp_ms());
        break;
      case Field::kTimestampMs:
        absl::StrAppend(&out, record.timestamp_ms());
        break;
      case Field::kHeaders:
        for (int i = 0; i < record.headers_size(); ++i) {
          absl::StrAppend(&out, i > 0 ? "," : "", record.headers(i).key(), "=", record.headers(i).value());
        }
        break;
    }
  }
}

void RecordFormat::AppendJson(const ReadRecord& read, std::string& out) {
  const naru::v1::Record& record = *read.record;
  out += "{\"topic\":";
  AppendJsonString(read.topic, out);
  absl::StrAppend(&out, ",\"partition\":", read.partition, ",\"offset\":", record.offset(),
                  ",\"timestamp_ms\":", record.timestamp_ms(), ",");
  if (record.has_key()) {
    AppendJsonBytes("key", record.key(), out);
  } else {
    out += "\"key\":null";
  }
  out += ',';
  if (record.has_value()) {
    AppendJsonBytes("value", record.value(), out);
  } else {
    out += "\"value\":null";
  }
  out += ",\"headers\":[";
  for (int i = 0; i < record.headers_size(); ++i) {
    out += i > 0 ? ",{\"key\":" : "{\"key\":";
    AppendJsonString(record.headers(i).key(), out);
    out += ',';
    AppendJsonBytes("value", record.headers(i).value(), out);
    out += '}';
  }
  out += "]}\n";
}

}  // namespace naru::cli
