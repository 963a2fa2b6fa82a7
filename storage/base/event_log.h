// Structured events: one line an event, with named fields. Implemented over a logging library by the server,
// by a recorder in tests. Thread-safe.
#pragma once

#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "storage/base/strings.h"

namespace naru {

enum class Severity { kDebug, kInfo, kWarning, kError };

struct EventField {
  template <typename T>
  EventField(std::string_view name, const T& value)
      : name(name), value(absl::StrCat(value)), is_number(std::is_arithmetic_v<T>) {}
  std::string_view name;
  std::string value;
  bool is_number;  // value is a literal that needs no quotes in JSON
};

class EventLog {
 public:
  virtual ~EventLog() = default;
  // `event` is a fixed snake_case name ("segment_created"); what varies goes into fields.
  virtual void Write(Severity severity, std::string_view event, const std::vector<EventField>& fields) = 0;
};

// Swallows everything.
class NullEventLog final : public EventLog {
 public:
  void Write(Severity, std::string_view, const std::vector<EventField>&) override {}
};

}  // namespace naru
