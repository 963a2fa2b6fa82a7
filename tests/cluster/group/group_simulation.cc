#include "tests/cluster/group/group_simulation.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "cluster/group/group_text.h"

namespace naru::cluster {
namespace {

constexpr int64_t kSessionTimeoutMs = 2'000;
constexpr int64_t kRebalanceTimeoutMs = 3'000;
constexpr size_t kClients = 6;
constexpr int kStormySteps = 400;

TopicId TopicNumber(size_t i) {
  TopicId id{};
  id[0] = static_cast<char>('a' + i);
  return id;
}

}  // namespace

GroupSimulation::GroupSimulation(uint64_t seed, const GroupRules& rules) : random_(seed), rules_(rules) {
  topics_["a"] = {TopicNumber(0), 3};
  topics_["b"] = {TopicNumber(1), 2};
  clients_.resize(kClients);
  for (size_t i = 0; i < kClients; ++i) {
    clients_[i].name = absl::StrCat("m", i);
    if (i == 2) clients_[i].instance_id = "i";
    if (i >= 4) clients_[i].instance_id = "shared";
  }
  group_ = std::make_unique<GroupMachine>(limits_, rules_);
  Queue(group_->Start(std::make_shared<GroupTopics>(topics_), now_));
}

std::string GroupSimulation::Run() {
  Join(clients_[0]);  // stays, so that the group is never without a member
  for (int step = 0; step < kStormySteps && broken_.empty(); ++step) {
    Act();
    Release(clients_[0]);
    while (!unwritten_.empty() && Below(3) > 0) WriteOne();
    Elapse(static_cast<int64_t>(Below(400)));
  }
  if (broken_.empty()) Settle();
  return broken_;
}

void GroupSimulation::Act() {
  Client& client = clients_[Below(kClients)];
  const bool first = &client == &clients_[0];
  switch (Below(17)) {
    case 0:
    case 1:
      return Join(client);  // also while it has a session: then that one is fenced
    case 2:
      if (first || client.session == 0) return;
      Tell(LoseSession{client.session});
      return Die(client);
    case 3:
      if (first || client.session == 0) return;
      Tell(LeaveGroup{.session = client.session});
      return Retire(client);
    case 4:
      client.hangs = !first && !client.hangs && Below(2) == 0;
      return;
    case 5:
    case 6:
      return Commit(client);
    case 7:
      return CommitLate(client);
    case 8:
      return CommitAsStale(client);
    case 9:
    case 10:
      return Release(client);
    case 11:
      if (first || client.epoch == 0 || client.session == 0) return;
      Tell(LoseSession{.session = client.session, .unheard = true});
      return LoseHub(client);
    case 12:
    case 13:
    case 14:
      return Resume(client);
    case 15:
      return AskLate(client);
    default:
      if (Below(4) == 0) return RestartHub();
      if (Below(4) == 0) {
        ++topics_[Below(2) == 0 ? "a" : "b"].partition_count;
        Tell(ChangeTopics{std::make_shared<GroupTopics>(topics_)});
      }
  }
}

void GroupSimulation::Join(Client& client) {
  TakePlace(client);
  for (Client& other : clients_) {
    if (Shares(client, other)) other.late_join.reset();
  }
  Retire(client);
  client.attempt = {.requester = next_requester_++};
  client.late_join.reset();
  Ask(client, JoinOf(client));
}

void GroupSimulation::Ask(Client& client, JoinGroup join) {
  for (int64_t lost = Below(4) == 0 ? 1 : 0; lost >= 0; --lost) {
    join.session = client.session = next_session_++;
    ++client.attempt.number;
    join.attempt = client.attempt;
    // Asked once more over another connection; the first is still to arrive.
    if (lost > 0) client.late_join = join;
  }
  Tell(join);
}

// What it sent before it asked anew arrives.
void GroupSimulation::AskLate(Client& client) {
  if (!client.late_join) return;
  const JoinGroup late = *std::exchange(client.late_join, std::nullopt);
  const auto session_of = [&] {
    const auto member = group_->members().find(client.member_id);
    return member == group_->members().end() ? 0 : member->second.session;
  };
  const bool let_in = client.session != 0 && session_of() == client.session;
  if (late.resumes_epoch == 0) TakePlace(client);
  Tell(late);
  if (let_in && session_of() != client.session) Break("a request that was overtaken shuts its member out");
  // Nobody is at the other end of that connection.
  Tell(LoseSession{.session = late.session, .unheard = true});
}

// Who takes another's place does so where that one is gone.
void GroupSimulation::TakePlace(const Client& client) {
  for (Client& other : clients_) {
    if (Shares(client, other) && other.away_until_ms) Retire(other);
  }
}

bool GroupSimulation::Shares(const Client& client, const Client& other) {
  return &client != &other && !client.instance_id.empty() && other.instance_id == client.instance_id;
}

JoinGroup GroupSimulation::JoinOf(const Client& client) const {
  JoinGroup join{.member_id = client.name,
                 .instance_id = client.instance_id,
                 .session_timeout_ms = &client == &clients_[0] ? 1'000'000 : kSessionTimeoutMs,
                 .rebalance_timeout_ms = kRebalanceTimeoutMs};
  join.subscription.topics.insert("a");
  if (client.name != "m1") join.subscription.pattern = ".";
  return join;
}

void GroupSimulation::LoseHub(Client& client) {
  if (!client.away_until_ms) client.cut_session = client.session;
  if (client.session != 0 && !client.reading.empty()) {
    const GroupPartition& partition = *client.reading.begin();
    client.late = CommitOffsets{.member_id = client.member_id,
                                .member_epoch = client.epoch,
                                .session = client.session,
                                .offsets = {{partition, {.offset = sent_[partition]}}}};
  }
  client.session = 0;
  client.revoking_anew.clear();
  if (!client.away_until_ms) client.away_until_ms = now_.steady_ms + JoinOf(client).session_timeout_ms;
}

void GroupSimulation::Resume(Client& client) {
  if (!client.away_until_ms) return;
  client.revoking_anew.clear();
  JoinGroup join = JoinOf(client);
  join.member_id = client.member_id;
  join.resumes_epoch = client.epoch;
  Ask(client, std::move(join));
}

void GroupSimulation::GiveUpAway() {
  for (Client& client : clients_) {
    if (!client.away_until_ms || *client.away_until_ms > now_.steady_ms) continue;
    if (client.session != 0) Tell(LoseSession{client.session});
    // The hub may have heard of it later, so its epoch is not over yet.
    Die(client);
    client.epoch = 0;
  }
}

void GroupSimulation::Die(Client& client) {
  client.session = 0;
  client.away_until_ms.reset();
  client.revoking_anew.clear();
  client.reading.clear();
  client.revoking.clear();
}

void GroupSimulation::Retire(Client& client) {
  Die(client);
  if (client.epoch != 0) client.stale_epoch = std::exchange(client.epoch, 0);
}

void GroupSimulation::Commit(Client& client) {
  if (client.reading.empty() || client.hangs || client.away_until_ms) return;
  const auto partition =
      std::next(client.reading.begin(), static_cast<ptrdiff_t>(Below(client.reading.size())));
  const int64_t offset = ++sent_[*partition];
  pending_[next_request_] = {*partition, offset, /*entitled=*/true};
  Tell(CommitOffsets{.request = next_request_++,
                     .member_id = client.member_id,
                     .member_epoch = client.epoch,
                     .session = client.session,
                     .offsets = {{*partition, {.offset = offset}}}});
}

// What it sent before it lost its hub arrives after what it sent when it had resumed.
void GroupSimulation::CommitLate(Client& client) {
  if (!client.late) return;
  CommitOffsets commit = *std::exchange(client.late, std::nullopt);
  commit.request = next_request_;
  const auto& [partition, committed] = *commit.offsets.begin();
  pending_[next_request_++] = {partition, committed.offset, /*entitled=*/true};
  Tell(commit);
}

// An application that does not know how things stand: with the epoch of a session that is over, or for a
// partition that another reads.
void GroupSimulation::CommitAsStale(Client& client) {
  GroupPartition partition{TopicNumber(Below(2)), static_cast<int32_t>(Below(3))};
  int64_t epoch = client.stale_epoch;
  const Client& other = clients_[Below(kClients)];
  // Not while it may be decided, and not told yet, that it is this client's.
  if (Below(2) == 0 && &other != &client && !other.reading.empty() && unwritten_.empty()) {
    epoch = client.epoch;
    partition = *other.reading.begin();
  }
  if (epoch == 0) return;
  pending_[next_request_] = {partition, 0, /*entitled=*/false};
  Tell(CommitOffsets{.request = next_request_++,
                     .member_id = client.member_id,
                     .member_epoch = epoch,
                     .offsets = {{partition, {.offset = 0}}}});
}

void GroupSimulation::Release(Client& client) {
  if (client.revoking.empty() || client.hangs || client.away_until_ms) return;
  for (const GroupPartition& partition : client.revoking) client.reading.erase(partition);
  Tell(ReleasePartitions{client.session, std::exchange(client.revoking, {})});
}

void GroupSimulation::Tell(const GroupEvent& event) { Queue(group_->On(event, now_)); }

void GroupSimulation::Queue(GroupEffects effects) {
  for (const GroupEffect& effect : effects) {
    for (const char letter : ToText(effect, topics_)) {
      trace_ = (trace_ ^ static_cast<unsigned char>(letter)) * 1099511628211u;
    }
  }
  if (!effects.empty()) unwritten_.push_back(std::move(effects));
}

void GroupSimulation::WriteOne() {
  const Step step = std::move(unwritten_.front());
  unwritten_.pop_front();
  for (const GroupEffect& effect : step) {
    if (const auto* persist = std::get_if<Persist>(&effect)) log_.push_back(persist->record);
  }
  for (const GroupEffect& effect : step) {
    Happen(effect);
    if (const auto* revoking = std::get_if<TellRevoking>(&effect))
      Tell(RevokingTold{revoking->session, revoking->partitions});
  }
}

void GroupSimulation::RestartHub() {
  // Some steps were written and nobody was told.
  for (size_t written = Below(unwritten_.size() + 1); written > 0; --written) {
    for (const GroupEffect& effect : unwritten_.front()) {
      if (const auto* persist = std::get_if<Persist>(&effect)) log_.push_back(persist->record);
    }
    unwritten_.pop_front();
  }
  unwritten_.clear();
  pending_.clear();
  for (Client& client : clients_) {
    // What it had asked for may be undone with the hub, so nothing of before is known to be over.
    client.stale_epoch = 0;
    const bool member = client.epoch != 0 && (client.session != 0 || client.away_until_ms);
    if (member && Below(3) > 0) {
      LoseHub(client);
    } else {
      Die(client);
      client.epoch = 0;
    }
  }
  group_ = std::make_unique<GroupMachine>(limits_, rules_);
  for (const GroupRecord& record : log_) group_->Replay(record);
  for (Client& client : clients_) {
    // Shut out, and the hub died before it could say so: it learns that as it tries to resume, whoever has
    // its partitions then.
    const auto member = group_->members().find(client.member_id);
    const bool shut_out = member == group_->members().end() || member->second.epoch != client.epoch;
    if (client.away_until_ms && shut_out) Retire(client);
  }
  Queue(group_->Start(std::make_shared<GroupTopics>(topics_), now_));
  if (clients_[0].away_until_ms) {
    Resume(clients_[0]);
  } else {
    Join(clients_[0]);
  }
}

void GroupSimulation::Elapse(int64_t ms) {
  const int64_t until = now_.steady_ms + ms;
  for (int fired = 0; fired < 100; ++fired) {
    const std::optional<int64_t> due = group_->NextDeadline(now_);
    if (!due || *due > until) break;
    now_.wall_ms += std::max<int64_t>(0, *due - now_.steady_ms);
    now_.steady_ms = std::max(now_.steady_ms, *due);
    GiveUpAway();
    Tell(PassTime{});
  }
  now_.wall_ms += until - now_.steady_ms;
  now_.steady_ms = until;
  GiveUpAway();
}

void GroupSimulation::Happen(const GroupEffect& effect) {
  if (const auto* joined = std::get_if<TellJoined>(&effect)) {
    Client* client = OfSession(joined->session);
    if (client == nullptr) return;
    if (client->away_until_ms && joined->member_epoch != client->epoch)
      Break("it resumes under another epoch");
    client->member_id = joined->member_id;
    client->epoch = joined->member_epoch;
  } else if (const auto* assigned = std::get_if<TellAssigned>(&effect)) {
    HappenAssigned(*assigned);
  } else if (const auto* revoking = std::get_if<TellRevoking>(&effect)) {
    Client* client = OfSession(revoking->session);
    if (client == nullptr) return;
    for (const GroupPartition& partition : revoking->partitions) {
      if (client->away_until_ms) {
        client->revoking_anew.insert(partition);
        continue;
      }
      if (!client->reading.contains(partition)) Break("asked to give up what it does not read");
      client->revoking.insert(partition);
    }
  } else if (const auto* ended = std::get_if<EndSession>(&effect)) {
    if (Client* client = OfSession(ended->session)) Retire(*client);
    for (Client& client : clients_) {
      // Shut out before it was cut off: it learns that as it tries to resume.
      if (client.away_until_ms && client.cut_session == ended->session) Retire(client);
    }
  } else if (const auto* answer = std::get_if<Answer>(&effect)) {
    HappenAnswered(*answer);
  }
}

void GroupSimulation::HappenAssigned(const TellAssigned& told) {
  Client* client = OfSession(told.session);
  if (client == nullptr) return;  // it died meanwhile
  if (client->away_until_ms) {
    // It has resumed: it reads what it is told of now, and no more of what it is to give back.
    client->away_until_ms.reset();
    client->reading = client->revoking = std::exchange(client->revoking_anew, {});
  }
  for (const auto& [partition, position] : told.partitions) {
    for (const Client& other : clients_) {
      if (&other != client && other.reading.contains(partition)) {
        Break(absl::StrCat("G1: ", client->member_id, " and ", other.member_id, " both read ",
                           ToText({partition}, topics_)));
      }
    }
    const auto committed = committed_.find(partition);
    if (committed != committed_.end() && (!position || position->offset < committed->second)) {
      Break(absl::StrCat("G3: ", ToText({partition}, topics_), " is read from before ", committed->second));
    }
    client->reading.insert(partition);
  }
}

void GroupSimulation::HappenAnswered(const Answer& answer) {
  const auto it = pending_.find(answer.request);
  if (it == pending_.end()) return Break("an answer to nothing");
  const PendingCommit commit = it->second;
  pending_.erase(it);
  if (!answer.status.ok()) {
    ++commits_refused_;
    return;
  }
  ++commits_ok_;
  if (!commit.entitled) return Break("G2: a stale commit was taken");
  int64_t& committed = committed_[commit.partition];
  if (commit.offset < committed) Break("a position went back");
  committed = commit.offset;
}

GroupSimulation::Client* GroupSimulation::OfSession(uint64_t session) {
  for (Client& client : clients_) {
    if (client.session == session) return &client;
  }
  // One that was replaced by its owner's own newer session.
  return nullptr;
}

void GroupSimulation::Break(const std::string& what) {
  if (broken_.empty()) broken_ = what;
}

// Nothing bad happens any more; but who hangs goes on hanging, and who is dead stays dead.
void GroupSimulation::Settle() {
  for (int64_t passed = 0; passed < 4 * (kSessionTimeoutMs + kRebalanceTimeoutMs) && broken_.empty();
       passed += 100) {
    while (!unwritten_.empty()) WriteOne();
    for (Client& client : clients_) Release(client);
    Elapse(100);
  }
  while (!unwritten_.empty()) WriteOne();
  if (broken_.empty()) CheckSettled();
}

void GroupSimulation::CheckSettled() {
  if (group_->state() != GroupState::kStable)
    Break(absl::StrCat("G5: not stable: ", ToText(*group_, topics_)));
  std::set<GroupPartition> read;
  for (const Client& client : clients_) {
    read.insert(client.reading.begin(), client.reading.end());
    if (!client.revoking.empty() && !client.hangs) Break("G5: something is still being given up");
  }
  size_t partitions = 0;
  for (const auto& [name, topic] : topics_) partitions += static_cast<size_t>(topic.partition_count);
  if (read.size() != partitions) {
    Break(absl::StrCat("G5: ", read.size(), " of ", partitions,
                       " partitions are read: ", ToText(*group_, topics_)));
  }
}

}  // namespace naru::cluster
