#include "tools/bench/group_member.h"

#include <algorithm>
#include <utility>

#include "tools/bench/process_stats.h"

namespace naru::bench {

void GroupWatch::OnAssigned(int partition) {
  Partition& seen = partitions_.at(static_cast<size_t>(partition));
  ++seen.moves;
  seen.last_ns = NowNs();
  ++owned_;
}

void GroupWatch::OnLost(int partition) {
  ++partitions_.at(static_cast<size_t>(partition)).moves;
  --owned_;
}

void GroupWatch::OnDelivery(int partition, int64_t records) {
  Partition& seen = partitions_.at(static_cast<size_t>(partition));
  const int64_t now = NowNs();
  seen.gap_ns = std::max(seen.gap_ns.load(), now - seen.last_ns.exchange(now));
  records_ += records;
}

void GroupWatch::Reset() {
  for (Partition& seen : partitions_) {
    seen.last_ns = NowNs();
    seen.gap_ns = 0;
    seen.moves = 0;
  }
}

int64_t GroupWatch::LongestGapNs() const {
  int64_t longest = 0;
  for (const Partition& seen : partitions_) {
    if (seen.moves == 0) longest = std::max({longest, seen.gap_ns.load(), NowNs() - seen.last_ns.load()});
  }
  return longest;
}

int GroupWatch::Moved() const {
  return static_cast<int>(std::count_if(partitions_.begin(), partitions_.end(),
                                        [](const Partition& seen) { return seen.moves > 0; }));
}

GroupMember::GroupMember(naru::v1::GroupService::Stub& stub, const naru::v1::Join& join, GroupWatch& watch)
    : watch_(watch) {
  stub.async()->Consume(&context_, this);
  // Until Leave, somebody writes from outside.
  AddHold();
  naru::v1::ConsumeRequest request;
  *request.mutable_join() = join;
  Send(std::move(request));
  StartRead(&response_);
  StartCall();
}

GroupMember::~GroupMember() {
  context_.TryCancel();
  Leave();
  Await();
}

void GroupMember::Send(naru::v1::ConsumeRequest request) {
  absl::MutexLock lock(&mutex_);
  if (leaving_) return;
  requests_.push_back(std::move(request));
  WriteNext();
}

void GroupMember::WriteNext() {
  if (write_out_ || requests_.empty()) return;
  writing_ = std::move(requests_.front());
  requests_.pop_front();
  write_out_ = true;
  StartWrite(&writing_);
}

void GroupMember::OnWriteDone(bool ok) {
  absl::MutexLock lock(&mutex_);
  write_out_ = false;
  if (!ok) requests_.clear();
  WriteNext();
  if (leaving_ && !write_out_) {
    StartWritesDone();
    RemoveHold();
  }
}

void GroupWatch::OnFailed(const grpc::Status& status) {
  absl::MutexLock lock(&mutex_);
  if (failure_.ok()) failure_ = status;
}

grpc::Status GroupWatch::failure() const {
  absl::MutexLock lock(&mutex_);
  return failure_;
}

void GroupMember::Leave() {
  absl::MutexLock lock(&mutex_);
  if (std::exchange(leaving_, true) || write_out_) return;
  StartWritesDone();
  RemoveHold();
}

void GroupMember::Lose(int partition) {
  owned_[static_cast<size_t>(partition)] = false;
  --owned_count_;
  watch_.OnLost(partition);
}

void GroupMember::OnReadDone(bool ok) {
  // Over: how, OnDone tells.
  if (!ok) return Leave();
  if (response_.has_joined()) joined_ = true;
  for (const auto& assigned : response_.assigned().partitions()) {
    const auto partition = static_cast<size_t>(assigned.partition());
    if (partition >= owned_.size()) owned_.resize(partition + 1);
    owned_[partition] = true;
    ++owned_count_;
    watch_.OnAssigned(assigned.partition());
  }
  for (const auto& revoked : response_.revoking().partitions()) Lose(revoked.partition());
  if (response_.has_delivery()) {
    watch_.OnDelivery(response_.delivery().partition(), response_.delivery().records_size());
    naru::v1::ConsumeRequest request;
    request.mutable_ack()->set_delivery_id(response_.delivery().delivery_id());
    Send(std::move(request));
  }
  StartRead(&response_);
}

void GroupMember::OnDone(const grpc::Status& status) {
  for (size_t i = 0; i < owned_.size(); ++i) {
    if (owned_[i]) Lose(static_cast<int>(i));
  }
  if (!status.ok()) watch_.OnFailed(status);
  absl::MutexLock lock(&mutex_);
  status_ = status;
  done_ = true;
}

grpc::Status GroupMember::Await() {
  absl::MutexLock lock(&mutex_);
  mutex_.Await(absl::Condition(&done_));
  return status_;
}

}  // namespace naru::bench
