// Events as tests look at them.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "storage/base/event_log.h"

namespace naru::testing {

// Remembers how often each event was written, and its newest fields. Thread-safe.
class RecordedEvents final : public EventLog {
 public:
  void Write(Severity, std::string_view event, const std::vector<EventField>& fields) override {
    absl::MutexLock lock(&mutex_);
    Recorded& recorded = events_[std::string(event)];
    ++recorded.count;
    recorded.fields.clear();
    for (const EventField& field : fields) recorded.fields[std::string(field.name)] = field.value;
  }
  int Count(const std::string& event) const {
    absl::MutexLock lock(&mutex_);
    return Counted(event);
  }
  // Of the newest one of that name; "" where there is none.
  std::string Field(const std::string& event, const std::string& field) const {
    absl::MutexLock lock(&mutex_);
    const auto recorded = events_.find(event);
    if (recorded == events_.end()) return "";
    const auto value = recorded->second.fields.find(field);
    return value == recorded->second.fields.end() ? "" : value->second;
  }
  // Waits until there were more than `seen` of them. False after a minute.
  bool AwaitMore(const std::string& event, int seen) const {
    absl::MutexLock lock(&mutex_);
    const auto more = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return Counted(event) > seen; };
    return mutex_.AwaitWithTimeout(absl::Condition(&more), absl::Minutes(1));
  }

 private:
  struct Recorded {
    int count = 0;
    std::map<std::string, std::string> fields;
  };

  int Counted(const std::string& event) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const auto recorded = events_.find(event);
    return recorded == events_.end() ? 0 : recorded->second.count;
  }

  mutable absl::Mutex mutex_;
  std::map<std::string, Recorded> events_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace naru::testing
