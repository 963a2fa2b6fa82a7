// Finds out why an address cannot be listened on, for libraries that only say that it cannot.
#pragma once

#include <string_view>

#include "absl/status/status.h"
#include "services/server/option_values.h"

namespace naru::services {

// UNAVAILABLE: "--`option`: cannot listen on ADDRESS: Address already in use". Tries to bind once, briefly.
absl::Status ListenError(std::string_view option, const HostPort& address);

}  // namespace naru::services
