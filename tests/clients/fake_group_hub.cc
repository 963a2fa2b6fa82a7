#include "tests/clients/fake_group_hub.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "google/protobuf/unknown_field_set.h"

namespace naru::client::testing {
namespace {

using naru::v1::ConsumeRequest;
using naru::v1::ConsumeResponse;

constexpr int kGroupsOnAPage = 2;

grpc::Status StatusOf(Reason reason, grpc::CallbackServerContext& context) {
  context.AddTrailingMetadata("naru-reason", std::string(ReasonName(reason)));
  return grpc::Status(static_cast<grpc::StatusCode>(CanonicalCode(reason)), "scripted");
}

}  // namespace

// One Consume stream. Whatever it decides, it decides under the hub's lock; gRPC is called without it.
class FakeGroupHub::Session final : public grpc::ServerBidiReactor<ConsumeRequest, ConsumeResponse> {
 public:
  Session(FakeGroupHub& hub, grpc::CallbackServerContext& context) : hub_(hub), context_(context) {}

  void Start(std::shared_ptr<Session> self) {
    self_ = std::move(self);
    StartRead(&in_);
  }

  // Sends the next answer, or ends the stream, if there is reason to and nothing is being sent.
  void Pump() {
    std::optional<grpc::Status> end;
    {
      absl::MutexLock lock(&hub_.mutex_);
      if (writing_ || finished_) return;
      end = WhyEnd();
      if (!end && !ChooseAnswer(&end)) return;
      (end ? finished_ : writing_) = true;
    }
    if (end) {
      Finish(*end);
    } else {
      StartWrite(&out_);
    }
  }

  void End(Reason reason) ABSL_EXCLUSIVE_LOCKS_REQUIRED(hub_.mutex_) { end_ = reason; }
  void Tell(const ConsumeResponse& answer) ABSL_EXCLUSIVE_LOCKS_REQUIRED(hub_.mutex_) {
    answers_.push_back(answer);
  }

 private:
  struct Outstanding {
    int partition;
    int64_t next_offset;
    int64_t bytes;
    bool acked = false;
  };

  void OnReadDone(bool ok) override {
    {
      absl::MutexLock lock(&hub_.mutex_);
      if (ok) {
        Handle();
      } else {
        half_closed_ = true;
      }
    }
    Pump();
    if (ok) StartRead(&in_);
  }
  void OnWriteDone(bool ok) override {
    {
      absl::MutexLock lock(&hub_.mutex_);
      writing_ = false;
      broken_ = broken_ || !ok;
    }
    Pump();
  }
  void OnCancel() override {
    {
      absl::MutexLock lock(&hub_.mutex_);
      broken_ = true;
    }
    Pump();
  }
  void OnDone() override {
    absl::MutexLock lock(&hub_.mutex_);
    hub_.sessions_.erase(std::exchange(self_, nullptr));
  }

  void Handle() ABSL_EXCLUSIVE_LOCKS_REQUIRED(hub_.mutex_) {
    if (in_.has_join()) Join();
    if (in_.has_progress()) ++hub_.progresses_;
    if (in_.has_ack()) Ack(in_.ack().delivery_id());
    if (in_.has_commit() && !hub_.hold_answers_) Commit();
  }

  void Join() ABSL_EXCLUSIVE_LOCKS_REQUIRED(hub_.mutex_) {
    join_ = in_.join();
    hub_.joins_.push_back(join_);
    if (!hub_.refusals_.empty()) {
      end_ = hub_.refusals_.front();
      hub_.refusals_.pop_front();
      return;
    }
    auto* joined = answers_.emplace_back().mutable_joined();
    joined->set_member_id(join_.member_id().empty() ? absl::StrCat("member-", hub_.joins_.size())
                                                    : join_.member_id());
    joined->set_member_epoch(static_cast<int64_t>(hub_.joins_.size()));
    auto* assigned = answers_.emplace_back().mutable_assigned();
    for (int partition = 0; partition < static_cast<int>(hub_.logs_.size()); ++partition) {
      if (hub_.given_away_.contains(partition)) continue;
      const auto committed = hub_.committed_.find(partition);
      positions_[partition] = committed == hub_.committed_.end() ? 0 : committed->second;
      auto* added = assigned->add_partitions();
      added->set_topic("t");
      added->set_partition(partition);
      if (committed != hub_.committed_.end()) added->set_committed_offset(committed->second);
    }
  }

  void Ack(int64_t id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(hub_.mutex_) {
    ++hub_.acks_;
    const auto acked = outstanding_.find(id);
    if (acked == outstanding_.end()) {
      if (id >= next_id_) end_ = Reason::kInvalidField;
      return;
    }
    acked->second.acked = true;
    unacked_bytes_ -= acked->second.bytes;
    const int partition = acked->second.partition;
    // The prefix of its partition that is acknowledged.
    for (auto it = outstanding_.begin(); it != outstanding_.end();) {
      if (it->second.partition != partition) {
        ++it;
      } else if (it->second.acked) {
        if (join_.commit_mode() != naru::v1::COMMIT_MODE_EXPLICIT) {
          hub_.committed_[partition] = it->second.next_offset;
        }
        it = outstanding_.erase(it);
      } else {
        break;
      }
    }
  }

  void Commit() ABSL_EXCLUSIVE_LOCKS_REQUIRED(hub_.mutex_) {
    auto* result = answers_.emplace_back().mutable_commit_result();
    result->set_commit_id(in_.commit().commit_id());
    for (const auto& offset : in_.commit().offsets()) {
      if (!hub_.given_away_.contains(offset.partition())) continue;
      result->mutable_error()->set_code(static_cast<int>(CanonicalCode(Reason::kMemberFenced)));
      result->mutable_error()->set_reason(std::string(ReasonName(Reason::kMemberFenced)));
      return;
    }
    for (const auto& offset : in_.commit().offsets()) hub_.committed_[offset.partition()] = offset.offset();
  }

  std::optional<grpc::Status> WhyEnd() ABSL_EXCLUSIVE_LOCKS_REQUIRED(hub_.mutex_) {
    if (broken_) return grpc::Status(grpc::StatusCode::CANCELLED, "gone");
    if (end_) return StatusOf(*end_, context_);
    if (half_closed_ && !hub_.hold_answers_) return grpc::Status::OK;
    return std::nullopt;
  }

  bool ChooseAnswer(std::optional<grpc::Status>* end) ABSL_EXCLUSIVE_LOCKS_REQUIRED(hub_.mutex_) {
    if (!answers_.empty()) {
      out_ = std::move(answers_.front());
      answers_.pop_front();
      return true;
    }
    const int64_t unacked_bytes_max = join_.unacked_bytes_max() > 0 ? join_.unacked_bytes_max() : 8 << 20;
    if (half_closed_ || unacked_bytes_ >= unacked_bytes_max) return false;
    for (auto& [partition, position] : positions_) {
      const auto& log = hub_.logs_[static_cast<size_t>(partition)];
      if (hub_.given_away_.contains(partition) || position >= static_cast<int64_t>(log.size())) continue;
      if (hub_.break_at_.erase(++hub_.deliveries_) > 0) {
        *end = grpc::Status(grpc::StatusCode::UNAVAILABLE, "scripted break");
        return true;
      }
      out_.Clear();
      naru::v1::GroupDelivery& delivery = *out_.mutable_delivery();
      delivery.set_delivery_id(next_id_++);
      delivery.set_topic("t");
      delivery.set_partition(partition);
      *delivery.add_records() = log[static_cast<size_t>(position)];
      delivery.set_next_offset(++position);
      const auto bytes = static_cast<int64_t>(delivery.records(0).ByteSizeLong());
      outstanding_[delivery.delivery_id()] = {partition, position, bytes};
      hub_.unacked_bytes_most_ = std::max(hub_.unacked_bytes_most_, unacked_bytes_ += bytes);
      if (join_.commit_mode() == naru::v1::COMMIT_MODE_ON_DELIVERY) hub_.committed_[partition] = position;
      return true;
    }
    return false;
  }

  FakeGroupHub& hub_;
  grpc::CallbackServerContext& context_;
  std::shared_ptr<Session> self_;
  ConsumeRequest in_;
  ConsumeResponse out_;
  // Under the hub's lock.
  naru::v1::Join join_;
  std::deque<ConsumeResponse> answers_;
  std::map<int, int64_t> positions_;
  std::map<int64_t, Outstanding> outstanding_;
  int64_t next_id_ = 1;
  int64_t unacked_bytes_ = 0;
  std::optional<Reason> end_;
  bool writing_ = false;
  bool finished_ = false;
  bool half_closed_ = false;
  bool broken_ = false;
};

FakeGroupHub::FakeGroupHub(int partitions) : logs_(static_cast<size_t>(partitions)) {
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(this);
  server_ = builder.BuildAndStart();
  address_ = absl::StrCat("127.0.0.1:", port);
}

FakeGroupHub::~FakeGroupHub() { server_->Shutdown(std::chrono::system_clock::now()); }

void FakeGroupHub::PumpAll() {
  std::set<std::shared_ptr<Session>> sessions;
  {
    absl::MutexLock lock(&mutex_);
    sessions = sessions_;
  }
  for (const auto& session : sessions) session->Pump();
}

void FakeGroupHub::Append(int partition, const std::string& value) {
  {
    absl::MutexLock lock(&mutex_);
    auto& log = logs_[static_cast<size_t>(partition)];
    naru::v1::Record& record = log.emplace_back();
    record.set_value(value);
    record.set_offset(static_cast<int64_t>(log.size()) - 1);
  }
  PumpAll();
}

void FakeGroupHub::AppendUnreadable(int partition) {
  {
    absl::MutexLock lock(&mutex_);
    naru::v1::Record& record = logs_[static_cast<size_t>(partition)].emplace_back();
    record.GetReflection()->MutableUnknownFields(&record)->AddGroup(200);
  }
  PumpAll();
}

void FakeGroupHub::BreakAt(std::set<int> delivery_numbers) {
  absl::MutexLock lock(&mutex_);
  break_at_ = std::move(delivery_numbers);
}

void FakeGroupHub::RefuseJoins(std::deque<Reason> reasons) {
  absl::MutexLock lock(&mutex_);
  refusals_ = std::move(reasons);
}

void FakeGroupHub::EndStreams(Reason reason) {
  {
    absl::MutexLock lock(&mutex_);
    for (const auto& session : sessions_) {
      // Of this hub, which the analysis of locks cannot know.
      [&]() ABSL_NO_THREAD_SAFETY_ANALYSIS { session->End(reason); }();
    }
  }
  PumpAll();
}

void FakeGroupHub::Tell(const ConsumeResponse& answer) {
  {
    absl::MutexLock lock(&mutex_);
    for (const auto& session : sessions_) {
      [&]() ABSL_NO_THREAD_SAFETY_ANALYSIS { session->Tell(answer); }();
    }
  }
  PumpAll();
}

void FakeGroupHub::Revoke(int partition) {
  {
    absl::MutexLock lock(&mutex_);
    given_away_.insert(partition);
  }
  ConsumeResponse answer;
  auto* revoked = answer.mutable_revoking()->add_partitions();
  revoked->set_topic("t");
  revoked->set_partition(partition);
  Tell(answer);
}

void FakeGroupHub::Corrupt(int partition) {
  ConsumeResponse answer;
  auto* failure = answer.mutable_failure();
  failure->set_topic("t");
  failure->set_partition(partition);
  failure->set_next_offset(7);
  failure->mutable_error()->set_code(static_cast<int>(CanonicalCode(Reason::kCorruptData)));
  failure->mutable_error()->set_reason(std::string(ReasonName(Reason::kCorruptData)));
  Tell(answer);
}

void FakeGroupHub::HoldAnswers() {
  absl::MutexLock lock(&mutex_);
  hold_answers_ = true;
}

int64_t FakeGroupHub::committed(int partition) {
  absl::MutexLock lock(&mutex_);
  const auto found = committed_.find(partition);
  return found == committed_.end() ? -1 : found->second;
}

std::vector<naru::v1::Join> FakeGroupHub::joins() {
  absl::MutexLock lock(&mutex_);
  return joins_;
}

int FakeGroupHub::deliveries() {
  absl::MutexLock lock(&mutex_);
  return deliveries_;
}

int FakeGroupHub::acks() {
  absl::MutexLock lock(&mutex_);
  return acks_;
}

int FakeGroupHub::progresses() {
  absl::MutexLock lock(&mutex_);
  return progresses_;
}

int64_t FakeGroupHub::unacked_bytes_most() {
  absl::MutexLock lock(&mutex_);
  return unacked_bytes_most_;
}

grpc::ServerBidiReactor<ConsumeRequest, ConsumeResponse>* FakeGroupHub::Consume(
    grpc::CallbackServerContext* context) {
  auto session = std::make_shared<Session>(*this, *context);
  Session* raw = session.get();
  {
    absl::MutexLock lock(&mutex_);
    sessions_.insert(session);
  }
  raw->Start(std::move(session));
  return raw;
}

grpc::ServerUnaryReactor* FakeGroupHub::ListGroups(grpc::CallbackServerContext* context,
                                                   const naru::v1::ListGroupsRequest* request,
                                                   naru::v1::ListGroupsResponse* response) {
  char next = request->page_token().empty() ? 'a' : request->page_token()[0];
  for (int i = 0; i < kGroupsOnAPage && next <= 'e'; ++i, ++next) {
    response->add_groups()->set_group(std::string(1, next));
  }
  if (next <= 'e') response->set_next_page_token(std::string(1, next));
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(grpc::Status::OK);
  return reactor;
}

grpc::ServerUnaryReactor* FakeGroupHub::DeleteGroup(grpc::CallbackServerContext* context,
                                                    const naru::v1::DeleteGroupRequest* /*request*/,
                                                    naru::v1::DeleteGroupResponse* /*response*/) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(StatusOf(Reason::kGroupNotEmpty, *context));
  return reactor;
}

}  // namespace naru::client::testing
