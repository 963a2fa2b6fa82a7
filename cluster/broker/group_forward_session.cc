#include "cluster/broker/group_forward_session.h"

#include <utility>

#include "cluster/broker/group_message.h"
#include "cluster/metadata/error_message.h"

namespace naru::cluster {

namespace v1 = naru::internal::v1;

// Passes what a session hears on, under the other broker's number of it.
class GroupForwardSession::Listener final : public GroupListener {
 public:
  Listener(std::shared_ptr<GroupForwardSession> session, uint64_t id)
      : session_(std::move(session)), id_(id) {}

  void OnJoined(const std::string& member_id, int64_t member_epoch) override {
    Response message;
    message.mutable_joined()->set_member_id(member_id);
    message.mutable_joined()->set_member_epoch(member_epoch);
    Send(std::move(message));
  }
  void OnAssigned(const AssignedPartitions& partitions) override {
    Response message;
    *message.mutable_assigned() = ToMessage(partitions);
    Send(std::move(message));
  }
  void OnRevoking(const std::set<GroupPartition>& partitions) override {
    Response message;
    *message.mutable_revoking() = ToMessage(partitions);
    Send(std::move(message));
  }
  void OnEnded(const absl::Status& why) override {
    session_->Ended(id_);
    Response message;
    *message.mutable_ended() = ToErrorMessage(why);
    Send(std::move(message));
  }

 private:
  void Send(Response message) {
    message.set_id(id_);
    session_->stream_->Send(std::move(message));
  }

  const std::shared_ptr<GroupForwardSession> session_;
  const uint64_t id_;
};

Groups::Done GroupForwardSession::Answer(uint64_t id) {
  return [self = shared_from_this(), id](const absl::Status& status) {
    Response message;
    message.set_id(id);
    if (status.ok()) {
      message.mutable_done();
    } else {
      *message.mutable_error() = ToErrorMessage(status);
    }
    self->stream_->Send(std::move(message));
  };
}

void GroupForwardSession::OnMessage(const v1::GroupsRequest& message) {
  using Request = v1::GroupsRequest;
  const uint64_t id = message.id();
  const std::string& group = message.group();
  switch (message.request_case()) {
    case Request::kJoin:
      return Join(id, group, message.join());
    case Request::kLose:
      if (const uint64_t session = Find(id, true); session != 0) groups_.Lose(session);
      return;
    case Request::kCutOff:
      if (const uint64_t session = Find(id, true); session != 0) groups_.CutOff(session);
      return;
    case Request::kLeave:
      if (const uint64_t session = Find(id, true); session != 0) groups_.Leave(session);
      return;
    case Request::kRelease:
      if (const uint64_t session = Find(id, false); session != 0) {
        groups_.Release(session, FromMessage(message.release()));
      }
      return;
    case Request::kCommit:
      return Commit(id, group, FromMessage(message.commit()));
    case Request::kRemove:
      return groups_.Remove(group,
                            LeaveGroup{.member_id = message.remove().member_id(),
                                       .instance_id = message.remove().instance_id()},
                            Answer(id));
    case Request::kReset:
      return groups_.Reset(group, ResetOffsets{.offsets = FromMessage(message.reset()).offsets}, Answer(id));
    case Request::kDelete:
      return groups_.Delete(group, Answer(id));
    case Request::kDescribe:
      return groups_.Describe(group,
                              [self = shared_from_this(), id](const absl::StatusOr<GroupSnapshot>& found) {
                                if (!found.ok()) return self->Answer(id)(found.status());
                                Response response;
                                response.set_id(id);
                                *response.mutable_group() = ToMessage(*found);
                                self->stream_->Send(std::move(response));
                              });
    case Request::kList:
      return groups_.List(
          [self = shared_from_this(), id](const absl::StatusOr<std::vector<GroupListing>>& all) {
            if (!all.ok()) return self->Answer(id)(all.status());
            Response response;
            response.set_id(id);
            response.mutable_groups();
            for (const GroupListing& listing : *all) {
              v1::GroupList::Entry& entry = *response.mutable_groups()->add_groups();
              entry.set_group(listing.group);
              entry.set_state(static_cast<int32_t>(listing.state));
              entry.set_members(static_cast<int64_t>(listing.members));
            }
            self->stream_->Send(std::move(response));
          });
    case Request::REQUEST_NOT_SET:
      return;  // of a newer version
  }
}

void GroupForwardSession::Join(uint64_t id, const std::string& group, const v1::JoinOrder& order) {
  {
    absl::MutexLock lock(&mutex_);
    if (closed_) return;
    sessions_[id] = 0;
  }
  const uint64_t session =
      groups_.Join(group, FromMessage(order), std::make_shared<Listener>(shared_from_this(), id));
  bool lost = false;
  {
    absl::MutexLock lock(&mutex_);
    // It may have ended already, or the stream has.
    if (const auto found = sessions_.find(id); found != sessions_.end()) found->second = session;
    lost = closed_;
  }
  if (lost) groups_.CutOff(session);
}

void GroupForwardSession::Commit(uint64_t id, const std::string& group, CommitOffsets commit) {
  if (commit.session != 0) {
    commit.session = Find(commit.session, false);
    if (commit.session == 0) return Answer(id)(NotGroupCoordinator());
  }
  groups_.Commit(group, std::move(commit), Answer(id));
}

uint64_t GroupForwardSession::Find(uint64_t id, bool ends) {
  absl::MutexLock lock(&mutex_);
  const auto found = sessions_.find(id);
  if (found == sessions_.end()) return 0;
  const uint64_t session = found->second;
  if (ends) sessions_.erase(found);
  return session;
}

void GroupForwardSession::Ended(uint64_t id) {
  absl::MutexLock lock(&mutex_);
  sessions_.erase(id);
}

void GroupForwardSession::Closed() {
  std::map<uint64_t, uint64_t> sessions;
  {
    absl::MutexLock lock(&mutex_);
    closed_ = true;
    sessions = std::exchange(sessions_, {});
  }
  for (const auto& [id, session] : sessions) {
    if (session != 0) groups_.CutOff(session);
  }
}

}  // namespace naru::cluster
