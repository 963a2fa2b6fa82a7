// The event log of the program: one line an event on standard error, as text, logfmt or JSON. Thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "services/server/options.h"
#include "storage/base/event_log.h"

namespace spdlog {
class logger;
}

namespace naru::services {

// One line without its end, in UTF-8 without control characters, whatever the fields hold. JSON keeps numbers
// as numbers.
std::string FormatEvent(LogFormat format, int64_t time_ms, Severity severity, std::string_view event,
                        const std::vector<EventField>& fields);

class EventLogger final : public EventLog {
 public:
  EventLogger(LogFormat format, Severity least);
  ~EventLogger() override;

  // Blocks while standard error does.
  void Write(Severity severity, std::string_view event, const std::vector<EventField>& fields) override;

 private:
  const LogFormat format_;
  const Severity least_;
  const std::shared_ptr<spdlog::logger> logger_;
};

// Sends what gRPC and protobuf log to `events` (as "grpc_log" and "protobuf_log") from now on; nullptr: drops
// it. The log must outlive all calls of the libraries. For the whole process; not while others call them.
void SendLibraryLogsTo(EventLog* events);

// While it lives, that log is dropped: for failures that are reported otherwise.
class LibraryLogPause {
 public:
  LibraryLogPause();
  ~LibraryLogPause();
  LibraryLogPause(const LibraryLogPause&) = delete;
  LibraryLogPause& operator=(const LibraryLogPause&) = delete;

 private:
  EventLog* const paused_;
};

}  // namespace naru::services
