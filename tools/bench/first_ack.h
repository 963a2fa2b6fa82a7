// How soon after its start a hub acknowledges a record.
#pragma once

#include <string>

#include "absl/status/status.h"

namespace naru::bench {

// Returns when something accepts connections at IP:PORT; looks every millisecond, for at most a minute.
absl::Status WaitForPort(const std::string& address);

// Makes a topic and writes a record of 1 KB to it, on a hub that may still be starting. Returns when it is
// acknowledged, on disk.
absl::Status FirstAck(const std::string& address);

}  // namespace naru::bench
