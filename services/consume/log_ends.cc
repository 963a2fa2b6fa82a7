#include "services/consume/log_ends.h"

#include <memory>
#include <utility>

#include "absl/synchronization/mutex.h"
#include "storage/log/log_state.h"

namespace naru::services {
namespace {

// Done when nobody has it any more.
class Asking {
 public:
  explicit Asking(absl::AnyInvocable<void(LogEnds)> done) : done_(std::move(done)) {}
  ~Asking() { done_(std::move(ends_)); }
  void Set(LogId log, absl::StatusOr<LogInfo> info) {
    absl::MutexLock lock(&mutex_);
    ends_.Set(log, std::move(info));
  }

 private:
  absl::AnyInvocable<void(LogEnds)> done_;
  absl::Mutex mutex_;
  LogEnds ends_;
};

}  // namespace

absl::StatusOr<LogInfo> LogEnds::Of(LogId log) const {
  const auto found = ends_.find(log);
  return found == ends_.end() ? LogNotFound(log) : found->second;
}

void AskLogEnds(LogStore& store, const std::set<LogId>& logs, absl::AnyInvocable<void(LogEnds)> done) {
  const auto asking = std::make_shared<Asking>(std::move(done));
  for (const LogId log : logs) {
    store.AskInfo(log, [asking, log](absl::StatusOr<LogInfo> info) { asking->Set(log, std::move(info)); });
  }
}

}  // namespace naru::services
