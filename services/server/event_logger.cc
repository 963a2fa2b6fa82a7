#include "services/server/event_logger.h"

#include <google/protobuf/stubs/logging.h>
#include <grpc/support/log.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <array>
#include <atomic>

#include "absl/strings/ascii.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "storage/base/clock.h"
#include "storage/base/strings.h"

namespace naru::services {
namespace {

constexpr std::array<std::string_view, 4> kLevelNames = {"debug", "info", "warning", "error"};
constexpr std::array<std::string_view, 4> kLevelColumns = {"DEBUG", "INFO ", "WARN ", "ERROR"};

// Length of the UTF-8 sequence at the front of `text`; 0 when it is not well-formed (overlong forms,
// surrogates).
size_t Utf8Length(std::string_view text) {
  const auto byte = [&text](size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0; };
  const auto follows = [&byte](size_t i) { return (byte(i) & 0xC0) == 0x80; };
  const unsigned first = byte(0);
  if (first < 0x80) return 1;
  if (first >= 0xC2 && first <= 0xDF) return follows(1) ? 2 : 0;
  if (first >= 0xE0 && first <= 0xEF) {
    if (!follows(1) || !follows(2)) return 0;
    if ((first == 0xE0 && byte(1) < 0xA0) || (first == 0xED && byte(1) > 0x9F)) return 0;
    return 3;
  }
  if (first >= 0xF0 && first <= 0xF4) {
    if (!follows(1) || !follows(2) || !follows(3)) return 0;
    if ((first == 0xF0 && byte(1) < 0x90) || (first == 0xF4 && byte(1) > 0x8F)) return 0;
    return 4;
  }
  return 0;
}

void AppendQuoted(std::string& line, std::string_view text) {
  line.push_back('"');
  while (!text.empty()) {
    const auto c = static_cast<unsigned char>(text.front());
    if (c == '"' || c == '\\') {
      line.push_back('\\');
      line.push_back(static_cast<char>(c));
    } else if (c == '\n') {
      line += "\\n";
    } else if (c < 0x20 || c == 0x7F) {
      absl::StrAppendFormat(&line, "\\u%04x", c);
    } else if (const size_t length = Utf8Length(text); length > 0) {
      line += text.substr(0, length);
      text.remove_prefix(length);
      continue;
    } else {
      line += "\\ufffd";
    }
    text.remove_prefix(1);
  }
  line.push_back('"');
}

void AppendBareOrQuoted(std::string& line, std::string_view text) {
  for (const char c : text) {
    if (absl::ascii_isgraph(static_cast<unsigned char>(c)) && c != '"' && c != '=' && c != '\\') continue;
    return AppendQuoted(line, text);
  }
  if (text.empty()) return AppendQuoted(line, text);
  line += text;
}

std::string FormatTime(int64_t time_ms) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", absl::FromUnixMillis(time_ms), absl::UTCTimeZone());
}

// "inf" and "nan" are arithmetic and not JSON.
bool IsJsonNumber(const EventField& field) {
  return field.is_number && !field.value.empty() && absl::ascii_isdigit(field.value.back());
}

std::string FormatJson(int64_t time_ms, Severity severity, std::string_view event,
                       const std::vector<EventField>& fields) {
  std::string line = absl::StrCat("{\"time\":\"", FormatTime(time_ms), "\",\"level\":\"",
                                  kLevelNames[static_cast<size_t>(severity)], "\",\"event\":");
  AppendQuoted(line, event);
  for (const EventField& field : fields) {
    line.push_back(',');
    AppendQuoted(line, field.name);
    line.push_back(':');
    if (IsJsonNumber(field)) {
      line += field.value;
    } else {
      AppendQuoted(line, field.value);
    }
  }
  line.push_back('}');
  return line;
}

std::atomic<EventLog*> library_events{nullptr};

void TakeGrpcLine(gpr_log_func_args* args) {
  EventLog* events = library_events.load(std::memory_order_acquire);
  if (events == nullptr) return;
  const Severity severity = args->severity == GPR_LOG_SEVERITY_ERROR  ? Severity::kWarning
                            : args->severity == GPR_LOG_SEVERITY_INFO ? Severity::kInfo
                                                                      : Severity::kDebug;
  events->Write(severity, "grpc_log", {{"message", std::string_view(args->message)}});
}

// What it has to say of bytes that a client sent, its client is told: nothing that may fill the log.
void TakeProtobufLine(google::protobuf::LogLevel level, const char*, int, const std::string& message) {
  EventLog* events = library_events.load(std::memory_order_acquire);
  if (events == nullptr) return;
  const bool fatal = level == google::protobuf::LOGLEVEL_FATAL;
  events->Write(fatal ? Severity::kError : Severity::kDebug, "protobuf_log", {{"message", message}});
}

}  // namespace

std::string FormatEvent(LogFormat format, int64_t time_ms, Severity severity, std::string_view event,
                        const std::vector<EventField>& fields) {
  if (format == LogFormat::kJson) return FormatJson(time_ms, severity, event, fields);
  const auto level = static_cast<size_t>(severity);
  std::string line =
      format == LogFormat::kText
          ? absl::StrCat(FormatTime(time_ms), " ", kLevelColumns[level], " ", event)
          : absl::StrCat("time=", FormatTime(time_ms), " level=", kLevelNames[level], " event=", event);
  for (const EventField& field : fields) {
    absl::StrAppend(&line, " ", field.name, "=");
    AppendBareOrQuoted(line, field.value);
  }
  return line;
}

EventLogger::EventLogger(LogFormat format, Severity least)
    : format_(format),
      least_(least),
      logger_(std::make_shared<spdlog::logger>("naru", std::make_shared<spdlog::sinks::stderr_sink_mt>())) {
  logger_->set_pattern("%v");
  logger_->set_level(spdlog::level::trace);
  logger_->flush_on(spdlog::level::trace);
}

EventLogger::~EventLogger() = default;

void EventLogger::Write(Severity severity, std::string_view event, const std::vector<EventField>& fields) {
  if (severity < least_) return;
  const std::string line = FormatEvent(format_, SystemClock().NowMs(), severity, event, fields);
  logger_->log(spdlog::level::info, spdlog::string_view_t(line.data(), line.size()));
}

void SendLibraryLogsTo(EventLog* events) {
  library_events.store(events, std::memory_order_release);
  gpr_set_log_function(TakeGrpcLine);
  google::protobuf::SetLogHandler(TakeProtobufLine);
}

LibraryLogPause::LibraryLogPause() : paused_(library_events.exchange(nullptr, std::memory_order_acq_rel)) {}
LibraryLogPause::~LibraryLogPause() { library_events.store(paused_, std::memory_order_release); }

}  // namespace naru::services
