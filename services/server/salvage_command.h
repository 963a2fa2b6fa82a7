// `narud salvage`: copies what still checks out of a damaged data directory into a new one.
#pragma once

#include <ostream>
#include <string>

#include "absl/status/statusor.h"
#include "storage/base/event_log.h"
#include "storage/base/files.h"

namespace naru::services {

enum class SalvageOutcome {
  kEverythingSaved,
  kSomethingLost,  // the rest is saved; the report says what is missing
};

// Copies the topics' metadata and every batch that checks from `from` to `to`, and prints what was found to
// `out`. `from` is not changed (but for the lock that keeps a server out meanwhile). FAILED_PRECONDITION: a
// server runs on `from`; INVALID_ARGUMENT: `from` is not a data directory, or `to` is not empty.
absl::StatusOr<SalvageOutcome> RunSalvage(const std::string& from, const std::string& to, FileSystem& files,
                                          EventLog& events, std::ostream& out);

}  // namespace naru::services
