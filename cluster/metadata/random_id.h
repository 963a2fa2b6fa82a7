// Ids that nobody has drawn before, as good as certainly. Thread-safe.
#pragma once

#include <string>

namespace naru::cluster {

// 16 bytes.
std::string RandomId();
// The same as 32 hexadecimal digits.
std::string RandomIdDigits();

}  // namespace naru::cluster
