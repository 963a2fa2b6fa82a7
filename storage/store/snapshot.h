// All that is known of all logs, as the bodies of snapshot entries: what the segments that are left do not
// tell any more once older ones are gone.
#pragma once

#include <string>

#include "absl/functional/function_ref.h"
#include "storage/store/log_table.h"

namespace naru {

// As of now; nothing may change meanwhile (so only the appender calls it). `take` gets one body at least,
// until it says false.
void EncodeSnapshot(const LogTable& logs,
                    absl::FunctionRef<bool(std::string body, bool first, bool last)> take);

}  // namespace naru
