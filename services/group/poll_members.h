// The members that poll, each by its group and id, for their next call. Thread-safe.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"

namespace naru::services {

class PollMember;

class PollMembers {
 public:
  // At most so many are begun and not gone.
  explicit PollMembers(size_t limit) : limit_(limit) {}

  // Whether another one may begin; then it counts until Gone.
  bool Begin();
  void Gone();
  size_t limit() const { return limit_; }
  size_t size() const;

  // Takes the place of an older session of the member.
  void Put(const std::string& group, const std::string& member_id, std::shared_ptr<PollMember> member);
  std::shared_ptr<PollMember> Find(const std::string& group, const std::string& member_id) const;
  // If it still has its place.
  void Remove(const std::string& group, const std::string& member_id, const PollMember* member);
  std::vector<std::shared_ptr<PollMember>> All() const;

 private:
  using Key = std::pair<std::string, std::string>;

  const size_t limit_;
  mutable absl::Mutex mutex_;
  size_t begun_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::flat_hash_map<Key, std::shared_ptr<PollMember>> members_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace naru::services
