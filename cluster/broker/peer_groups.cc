#include "cluster/broker/peer_groups.h"

#include <utility>

#include "cluster/broker/group_message.h"
#include "cluster/metadata/broker_errors.h"
#include "cluster/metadata/error_message.h"
#include "storage/base/status.h"

namespace naru::cluster {

namespace v1 = naru::internal::v1;

namespace {

absl::Status OutcomeUnknown() {
  return MakeError(
      Reason::kLeaderChanged,
      "the connection to the group's coordinator broke, and nobody knows whether it was done; look, "
      "and ask again");
}

// What a client may hear of an error of the coordinator's broker: that one is going, not this.
absl::Status ErrorOf(const naru::v1::Error& error) {
  absl::Status status = FromErrorMessage(error);
  // What it could not do any more before it stopped, it has not done.
  return ReasonOf(status) == Reason::kShuttingDown ? GroupMoves() : GroupErrorForClient(status);
}

absl::Status ErrorOf(const absl::StatusOr<v1::GroupsResponse>& response) {
  if (!response.ok()) return response.status();
  return response->has_error() ? ErrorOf(response->error()) : absl::OkStatus();
}

absl::Status CoordinatorReadError(const absl::Status& status) {
  return ReasonOf(status) == Reason::kLeaderChanged ? GroupMoves() : status;
}

}  // namespace

absl::Status GroupMoves() {
  return MakeError(Reason::kCoordinatorLoading,
                   "the group's coordinator is moving to another broker; nothing was done; try again");
}

absl::Status GroupErrorForClient(const absl::Status& status) {
  const std::optional<Reason> reason = ReasonOf(status);
  const bool moves = reason == Reason::kNotCoordinator || reason == Reason::kNoLeader;
  return moves ? GroupMoves() : status;
}

absl::Status SessionEndForClient(const absl::Status& why) {
  return ReasonOf(why) == Reason::kLeaderChanged ? GroupMoves() : GroupErrorForClient(why);
}

bool PeerGroups::Connect() {
  if (link_) return true;
  if (clock_.MonotonicNs() / 1'000'000 - broken_ms_ < kReconnectMs) return false;
  const uint64_t number = number_ = ++last_number_;
  link_ = links_.Groups(
      address_, {.message = [this, number](Response message) { OnMessage(number, std::move(message)); },
                 .broken = [this, number](const absl::Status&) { OnBroken(number); }});
  return true;
}

void PeerGroups::Send(Request request, Answered answered) {
  absl::Status why;
  {
    absl::MutexLock lock(&mutex_);
    if (stopped_) {
      why = BrokerShuttingDown();
    } else if (!Connect()) {
      why = GroupMoves();
    } else {
      request.set_id(++last_id_);
      waiting_.emplace(last_id_, std::move(answered));
      link_->Send(std::move(request));
      return;
    }
  }
  answered(why);
}

void PeerGroups::Ask(const std::string& group, Request request, Done done) {
  request.set_group(group);
  Send(std::move(request),
       [done = std::move(done)](absl::StatusOr<Response> response) mutable { done(ErrorOf(response)); });
}

uint64_t PeerGroups::Join(const std::string& group, JoinGroup join, std::shared_ptr<GroupListener> listener) {
  Request request;
  request.set_group(group);
  *request.mutable_join() = ToMessage(join);
  uint64_t session = 0;
  absl::Status why;
  {
    absl::MutexLock lock(&mutex_);
    session = ++last_id_;
    if (stopped_) {
      why = BrokerShuttingDown();
    } else if (!Connect()) {
      why = GroupMoves();
    } else {
      sessions_[session] = std::move(listener);
      request.set_id(session);
      link_->Send(std::move(request));
      return session;
    }
  }
  listener->OnEnded(why);
  return session;
}

void PeerGroups::Tell(uint64_t session, Request request, bool ends) {
  std::shared_ptr<GroupListener> forgotten;
  absl::MutexLock lock(&mutex_);
  const auto found = sessions_.find(session);
  if (found == sessions_.end()) return;
  if (ends) {
    forgotten = std::move(found->second);
    sessions_.erase(found);
  }
  request.set_id(session);
  if (link_) link_->Send(std::move(request));
}

void PeerGroups::Lose(uint64_t session) {
  Request request;
  request.mutable_lose();
  Tell(session, std::move(request), true);
}

void PeerGroups::CutOff(uint64_t session) {
  Request request;
  request.mutable_cut_off();
  Tell(session, std::move(request), true);
}

void PeerGroups::Leave(uint64_t session) {
  Request request;
  request.mutable_leave();
  Tell(session, std::move(request), true);
}

void PeerGroups::Release(uint64_t session, std::set<GroupPartition> partitions) {
  Request request;
  *request.mutable_release() = ToMessage(partitions);
  Tell(session, std::move(request), false);
}

void PeerGroups::Commit(const std::string& group, CommitOffsets commit, Done done) {
  Request request;
  *request.mutable_commit() = ToMessage(commit);
  Ask(group, std::move(request), std::move(done));
}

void PeerGroups::Remove(const std::string& group, LeaveGroup leave, Done done) {
  Request request;
  request.mutable_remove()->set_member_id(leave.member_id);
  request.mutable_remove()->set_instance_id(leave.instance_id);
  Ask(group, std::move(request), std::move(done));
}

void PeerGroups::Reset(const std::string& group, ResetOffsets reset, Done done) {
  Request request;
  *request.mutable_reset() = ToMessage(reset);
  Ask(group, std::move(request), std::move(done));
}

void PeerGroups::Delete(const std::string& group, Done done) {
  Request request;
  request.mutable_delete_();
  Ask(group, std::move(request), std::move(done));
}

void PeerGroups::Describe(const std::string& group, SnapshotDone done) {
  Request request;
  request.set_group(group);
  request.mutable_describe();
  Send(std::move(request), [done = std::move(done)](absl::StatusOr<Response> response) mutable {
    if (const absl::Status status = ErrorOf(response); !status.ok())
      return done(CoordinatorReadError(status));
    done(FromMessage(response->group()));
  });
}

void PeerGroups::List(ListingDone done) {
  Request request;
  request.mutable_list();
  Send(std::move(request), [done = std::move(done)](absl::StatusOr<Response> response) mutable {
    if (const absl::Status status = ErrorOf(response); !status.ok())
      return done(CoordinatorReadError(status));
    std::vector<GroupListing> listing;
    for (const v1::GroupList::Entry& entry : response->groups().groups()) {
      listing.push_back({.group = entry.group(),
                         .state = static_cast<GroupState>(entry.state()),
                         .members = static_cast<size_t>(entry.members())});
    }
    done(std::move(listing));
  });
}

void PeerGroups::OnMessage(uint64_t number, Response message) {
  Answered answered;
  std::shared_ptr<GroupListener> listener;
  {
    absl::MutexLock lock(&mutex_);
    if (number != number_) return;
    if (auto waiting = waiting_.extract(message.id())) {
      answered = std::move(waiting.mapped());
    } else if (const auto session = sessions_.find(message.id()); session != sessions_.end()) {
      listener = session->second;
      if (message.has_ended()) sessions_.erase(session);
    }
  }
  if (answered) return answered(std::move(message));
  if (listener == nullptr) return;
  switch (message.response_case()) {
    case Response::kJoined:
      return listener->OnJoined(message.joined().member_id(), message.joined().member_epoch());
    case Response::kAssigned:
      return listener->OnAssigned(FromMessage(message.assigned()));
    case Response::kRevoking:
      return listener->OnRevoking(FromMessage(message.revoking()));
    case Response::kEnded:
      return listener->OnEnded(SessionEndForClient(ErrorOf(message.ended())));
    default:
      return;  // of a newer version
  }
}

void PeerGroups::OnBroken(uint64_t number) {
  std::unique_ptr<Link<Request>> link;  // ends without the lock
  std::map<uint64_t, Answered> waiting;
  std::map<uint64_t, std::shared_ptr<GroupListener>> sessions;
  {
    absl::MutexLock lock(&mutex_);
    if (number != number_) return;
    number_ = 0;
    broken_ms_ = clock_.MonotonicNs() / 1'000'000;
    link = std::move(link_);
    waiting = std::exchange(waiting_, {});
    sessions = std::exchange(sessions_, {});
  }
  for (auto& [id, answered] : waiting) answered(OutcomeUnknown());
  for (const auto& [id, listener] : sessions) listener->OnEnded(GroupMoves());
}

void PeerGroups::Shutdown() {
  std::unique_ptr<Link<Request>> link;
  std::map<uint64_t, Answered> waiting;
  std::map<uint64_t, std::shared_ptr<GroupListener>> sessions;
  {
    absl::MutexLock lock(&mutex_);
    stopped_ = true;
    number_ = 0;
    link = std::move(link_);
    waiting = std::exchange(waiting_, {});
    sessions = std::exchange(sessions_, {});
  }
  link.reset();
  for (auto& [id, answered] : waiting) answered(BrokerEndedMeanwhile());
  for (const auto& [id, listener] : sessions) listener->OnEnded(BrokerShuttingDown());
}

}  // namespace naru::cluster
