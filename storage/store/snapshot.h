// All that is known of all logs, as the bodies of snapshot entries: what the segments that are left do not
// tell any more once older ones are gone.
#pragma once

#include <cstdint>
#include <string>

#include "absl/functional/function_ref.h"
#include "storage/store/log_table.h"

namespace naru {

// As of now; nothing may change meanwhile (so only the appender calls it). `take` gets one piece after the
// other, one at least, each with the flags of its entry, until it says false. No log is locked then, and a
// piece and one log's producers are in memory at a time.
void EncodeSnapshot(const LogTable& logs, absl::FunctionRef<bool(std::string body, uint8_t flags)> take);

// What the entries take in the segments, at most.
uint64_t SnapshotBytesMax(const LogTable& logs);

}  // namespace naru
