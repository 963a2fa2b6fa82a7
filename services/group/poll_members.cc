#include "services/group/poll_members.h"

namespace naru::services {

bool PollMembers::Begin() {
  absl::MutexLock lock(&mutex_);
  if (begun_ >= limit_) return false;
  ++begun_;
  return true;
}

void PollMembers::Gone() {
  absl::MutexLock lock(&mutex_);
  --begun_;
}

size_t PollMembers::size() const {
  absl::MutexLock lock(&mutex_);
  return begun_;
}

void PollMembers::Put(const std::string& group, const std::string& member_id,
                      std::shared_ptr<PollMember> member) {
  absl::MutexLock lock(&mutex_);
  members_[{group, member_id}].swap(member);  // the older one goes without the lock
}

std::shared_ptr<PollMember> PollMembers::Find(const std::string& group, const std::string& member_id) const {
  absl::MutexLock lock(&mutex_);
  const auto it = members_.find(Key(group, member_id));
  return it == members_.end() ? nullptr : it->second;
}

void PollMembers::Remove(const std::string& group, const std::string& member_id, const PollMember* member) {
  std::shared_ptr<PollMember> gone;  // without the lock
  absl::MutexLock lock(&mutex_);
  const auto it = members_.find(Key(group, member_id));
  if (it == members_.end() || it->second.get() != member) return;
  gone = std::move(it->second);
  members_.erase(it);
}

std::vector<std::shared_ptr<PollMember>> PollMembers::All() const {
  std::vector<std::shared_ptr<PollMember>> all;
  absl::MutexLock lock(&mutex_);
  all.reserve(members_.size());
  for (const auto& [key, member] : members_) all.push_back(member);
  return all;
}

}  // namespace naru::services
