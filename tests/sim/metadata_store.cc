#include "tests/sim/metadata_store.h"

#include <algorithm>

namespace naru::sim {

using cluster::WriteOutcome;

std::optional<int64_t> MetadataStore::Campaign(int64_t lease_us) {
  if (loop_.now_us() < std::max(lease_until_us_, late_until_us_)) return std::nullopt;
  lease_until_us_ = loop_.now_us() + lease_us;
  return ++term_;
}

bool MetadataStore::KeepAlive(int64_t term, int64_t lease_us) {
  if (term != term_ || loop_.now_us() >= lease_until_us_) return false;
  lease_until_us_ = loop_.now_us() + lease_us;
  return true;
}

WriteOutcome MetadataStore::Write(const cluster::MetadataWrite& write) {
  if (write.term != term_) return WriteOutcome::kDeposed;
  if (write.head != stored_.head) return WriteOutcome::kOvertaken;
  ApplyWrite(write, stored_);
  if (on_change_) on_change_();
  return WriteOutcome::kWritten;
}

}  // namespace naru::sim
