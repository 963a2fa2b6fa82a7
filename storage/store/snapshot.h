// All that is known of all logs, as the bodies of snapshot entries: what the segments that are left do not
// tell any more once older ones are gone.
#pragma once

#include <string>
#include <vector>

#include "storage/store/log_table.h"

namespace naru {

// As of now; nothing may change meanwhile (so only the appender calls it). One body at least.
std::vector<std::string> EncodeSnapshot(const LogTable& logs);

}  // namespace naru
