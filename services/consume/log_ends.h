// How far several logs go, asked for at once, of whoever has them.
#pragma once

#include <set>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "storage/log/log_store.h"

namespace naru::services {

class LogEnds {
 public:
  void Set(LogId log, absl::StatusOr<LogInfo> info) { ends_.insert_or_assign(log, std::move(info)); }
  // PARTITION_NOT_FOUND for one that was not asked for.
  absl::StatusOr<LogInfo> Of(LogId log) const;

 private:
  absl::flat_hash_map<LogId, absl::StatusOr<LogInfo>> ends_;
};

// `done` once, when all have answered: inline, or on the thread of the last.
void AskLogEnds(LogStore& store, const std::set<LogId>& logs, absl::AnyInvocable<void(LogEnds)> done);

}  // namespace naru::services
