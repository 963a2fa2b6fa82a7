#include "tests/sim/group_member.h"

#include <algorithm>
#include <utility>

#include "storage/base/status.h"
#include "storage/base/strings.h"

namespace naru::sim {

using namespace cluster;  // NOLINT(google-build-using-namespace): all of it is about these

void GroupMember::Run() {
  at_.network.host(host_).After(at_.random.Between(0, kSecond), [this] { Tick(); });
}

void GroupMember::Stop() {
  stopped_ = true;
  idle_until_us_ = 0;
}

void GroupMember::Restart() {
  at_.network.host(host_).Kill();
  Over();
  stale_epoch_ = 0;  // nobody has heard of its end
  coordinator_.reset();
  at_.network.host(host_).Boot();
  Run();
}

void GroupMember::Over() {
  for (const auto& [partition, position] : std::exchange(reading_, {})) {
    at_.history.OnGivenUp(number_, partition);
  }
  revoking_.clear();
  revoking_anew_.clear();
  membership_ = {};
  session_.reset();
  epoch_ = 0;
  idle_until_us_ = at_.loop.now_us() + at_.random.Between(0, kSecond);
}

void GroupMember::Tick() {
  at_.network.host(host_).After(at_.random.Between(20 * kMs, 80 * kMs), [this] { Tick(); });
  if (membership_.Overdue(now_ns())) Over();
  if (session_ && at_.loop.now_us() - session_->proof_us > kGroupSilenceMs * kMs) {
    OnEnded(MakeError(Reason::kCoordinatorLoading, "the coordinator is silent"));
  }
  if (!membership_.begun()) {
    if (at_.loop.now_us() < idle_until_us_) return;
    member_id_ = absl::StrCat("m", number_, ".", ++lives_);
    session_timeout_ms_ = at_.random.Between(1'000, 4'000);
    requester_ = ++at_.next_session;
    attempts_ = 0;
    membership_.Begin(session_timeout_ms_, now_ns());
    Ask();
  } else if (membership_.TakeTry(now_ns())) {
    Ask();
  }
  if (!session_) return;
  Ping();
  if (membership_.in_touch()) Work();
}

// To be let in, or to resume.
void GroupMember::Ask() {
  const size_t broker = coordinator_.value_or(at_.random.Index(at_.hosts.size()));
  session_ = Session{++at_.next_session, broker, std::make_shared<Connection>(),
                     std::make_shared<Connection>(), at_.loop.now_us()};
  revoking_anew_.clear();
  at_.history.OnAsked(session_->number, member_id_);
  JoinGroup join{.session = session_->number,
                 .member_id = member_id_,
                 .session_timeout_ms = session_timeout_ms_,
                 .rebalance_timeout_ms = 1'500,
                 .resumes_epoch = membership_.away() ? epoch_ : 0,
                 .attempt = {requester_, ++attempts_}};
  join.subscription.topics.insert(kGroupTopic);
  const auto tell = [this, number = session_->number, from = session_->from,
                     broker](const GroupEffect& effect) {
    at_.network.SendOn(from, at_.host_ids[broker], host_, [this, number, effect] {
      if (membership_.Overdue(now_ns())) Over();
      if (session_ && session_->number == number) OnTold(effect);
    });
  };
  Send([join, tell](GroupHost& host) { host.OnJoin(join, tell); });
}

void GroupMember::Send(std::function<void(GroupHost&)> arrive) {
  GroupHost& host = *at_.hosts[session_->broker];
  at_.network.SendOn(session_->to, host_, at_.host_ids[session_->broker],
                     [&host, arrive = std::move(arrive)] { arrive(host); });
}

void GroupMember::Ping() {
  const auto answered = [this, number = session_->number, sent_us = at_.loop.now_us(),
                         broker = session_->broker, from = session_->from] {
    at_.network.SendOn(from, at_.host_ids[broker], host_, [this, number, sent_us] {
      if (session_ && session_->number == number) session_->proof_us = std::max(session_->proof_us, sent_us);
    });
  };
  Send([number = session_->number, answered](GroupHost& host) { host.OnPing(number, answered); });
}

void GroupMember::Work() {
  for (auto& [partition, position] : reading_) {
    if (revoking_.contains(partition)) continue;
    if (position < EndOf(partition)) {
      position = std::min(position + at_.random.Between(0, 3), EndOf(partition));
    }
    if (at_.random.Chance(0.2)) Commit(partition, position, epoch_, /*entitled=*/true);
  }
  if (at_.random.Chance(0.3)) Release();
  if (at_.random.Chance(0.05)) Describe();
  if (stopped_) return;
  if (at_.random.Chance(0.03)) CommitAsStale();
  if (at_.random.Chance(0.003)) Leave();
}

int64_t GroupMember::EndOf(const Partition& partition) const {
  const auto end = at_.ends.find(partition);
  return end == at_.ends.end() ? INT64_MAX : end->second;
}

void GroupMember::Commit(const Partition& partition, int64_t offset, int64_t epoch, bool entitled) {
  CommitOffsets commit{.member_id = entitled ? member_id_ : stale_id_,
                       .member_epoch = epoch,
                       .session = entitled ? session_->number : 0,
                       .offsets = {{partition, {.offset = offset}}}};
  const size_t number = at_.history.OnCommitSent(partition, offset, entitled);
  const auto answer = [this, number, from = session_->from,
                       broker = session_->broker](const absl::Status& status) {
    if (!status.ok()) return;
    at_.network.SendOn(from, at_.host_ids[broker], host_, [this, number] {
      at_.history.OnCommitted(number);
      if (stopped_) ++commits_since_stop_;
    });
  };
  Send([commit, answer](GroupHost& host) { host.OnCommit(commit, answer); });
}

// As an application that does not know that its time is over.
void GroupMember::CommitAsStale() {
  if (stale_epoch_ == 0) return;
  Commit({kGroupTopicId, static_cast<int32_t>(at_.random.Between(0, kGroupPartitions - 1))}, 0, stale_epoch_,
         /*entitled=*/false);
}

void GroupMember::Describe() {
  const auto answer = [this, before = at_.history.Committed(), from = session_->from,
                       broker = session_->broker](const std::optional<CommittedOffsets>& committed) {
    if (!committed) return;
    at_.network.SendOn(from, at_.host_ids[broker], host_,
                       [this, before, told = *committed] { at_.history.OnDescribed(before, told); });
  };
  Send([answer](GroupHost& host) { host.OnDescribe(answer); });
}

void GroupMember::Release() {
  if (revoking_.empty()) return;
  for (const Partition& partition : revoking_) GiveUp(partition);
  Send([number = session_->number, partitions = std::exchange(revoking_, {})](GroupHost& host) {
    host.OnRelease(number, partitions);
  });
}

void GroupMember::Leave() {
  Send([number = session_->number](GroupHost& host) { host.OnLeave(number); });
  Over();
}

void GroupMember::GiveUp(const Partition& partition) {
  reading_.erase(partition);
  at_.history.OnGivenUp(number_, partition);
}

void GroupMember::OnTold(const GroupEffect& effect) {
  if (const auto* joined = std::get_if<TellJoined>(&effect)) {
    OnJoined(*joined);
  } else if (const auto* assigned = std::get_if<TellAssigned>(&effect)) {
    OnAssigned(*assigned);
  } else if (const auto* revoking = std::get_if<TellRevoking>(&effect)) {
    std::set<Partition>& to = membership_.resuming() ? revoking_anew_ : revoking_;
    to.insert(revoking->partitions.begin(), revoking->partitions.end());
  } else if (const auto* ended = std::get_if<EndSession>(&effect)) {
    OnEnded(ended->why);
  }
}

void GroupMember::OnJoined(const TellJoined& told) {
  if (!membership_.joining() && !membership_.away()) return;
  if (!membership_.OnJoined() && told.member_epoch != epoch_) {
    at_.history.OnWrong(absl::StrCat("member ", number_, " resumes under another epoch"));
  }
  epoch_ = told.member_epoch;
  coordinator_ = session_->broker;
}

void GroupMember::OnAssigned(const TellAssigned& told) {
  if (membership_.resuming()) return GoOnWith(told);
  if (!membership_.in_touch()) return;
  for (const auto& [partition, committed] : told.partitions) {
    at_.history.OnAssigned(number_, session_->number, partition, committed);
    reading_[partition] = committed ? committed->offset : 0;
  }
}

void GroupMember::GoOnWith(const TellAssigned& told) {
  const std::map<Partition, int64_t> before = reading_;
  for (const auto& [partition, position] : before) {
    if (!told.partitions.contains(partition) && !revoking_anew_.contains(partition)) GiveUp(partition);
  }
  revoking_ = std::exchange(revoking_anew_, {});
  membership_.OnConfirmed();
  at_.history.OnResumed(number_, session_->number);
  for (const auto& [partition, committed] : told.partitions) {
    at_.history.OnAssigned(number_, session_->number, partition, committed);
    int64_t& position = reading_[partition];
    position = std::max(position, committed ? committed->offset : 0);
  }
}

void GroupMember::OnEnded(const absl::Status& why) {
  session_.reset();
  coordinator_.reset();
  if (ReasonOf(why) == Reason::kMemberFenced && epoch_ != 0) {
    stale_epoch_ = epoch_;
    stale_id_ = member_id_;
  }
  if (!membership_.OnEnded(why, now_ns())) Over();
}

std::string GroupMember::Unsettled() const {
  if (!membership_.in_touch()) return absl::StrCat("G5: member ", number_, " is not in touch with its group");
  if (!revoking_.empty()) return absl::StrCat("G5: member ", number_, " is giving something up");
  if (commits_since_stop_ == 0 && !reading_.empty())
    return absl::StrCat("G5: member ", number_, " has not committed");
  return "";
}

}  // namespace naru::sim
