#include "cluster/metadata/random_id.h"

#include <unistd.h>

#include <array>

#include "absl/strings/escaping.h"
#include "storage/base/check.h"

namespace naru::cluster {

std::string RandomId() {
  std::array<char, 16> bytes;
  NARU_CHECK(getentropy(bytes.data(), bytes.size()) == 0);
  return {bytes.data(), bytes.size()};
}

std::string RandomIdDigits() { return absl::BytesToHexString(RandomId()); }

}  // namespace naru::cluster
