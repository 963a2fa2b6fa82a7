// Which build this is.
#pragma once

#include <string_view>

namespace naru::services {

inline constexpr std::string_view kVersion = NARU_VERSION;

}  // namespace naru::services
