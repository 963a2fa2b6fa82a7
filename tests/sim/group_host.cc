#include "tests/sim/group_host.h"

#include <utility>

#include "storage/base/check.h"
#include "storage/base/status.h"
#include "storage/batch/batch.h"

namespace naru::sim {

using namespace cluster;  // NOLINT(google-build-using-namespace): all of it is about these

namespace {

constexpr int64_t kGroupTick = 40 * kMs;
constexpr int64_t kReloadMs = 200;
// How often it makes sure that it coordinates, and for how long it does without.
constexpr int64_t kConfirmMs = 200;
constexpr int64_t kUnconfirmedMs = 1'500;
// Until a member has noticed that nobody hears it: it has been in touch with one who was not sure any more.
constexpr int64_t kUnheardGraceMs = kUnconfirmedMs + kGroupSilenceMs + 300;

absl::Status Elsewhere() {
  return MakeError(Reason::kCoordinatorLoading, "the group is coordinated elsewhere");
}

}  // namespace

void GroupHost::Tick() {
  at_.loop.After(kGroupTick, [this] { Tick(); });
  if (!at_.process.up() || at_.process.frozen()) return;
  Follow();
  if (shard_ != nullptr) Confirm();
  if (!Follow()) return;
  LoseTheSilent();
  if (const auto due = shard_->NextDeadline(); due && *due <= Now().steady_ms) shard_->PassTime(Now());
}

bool GroupHost::Follow() {
  if (std::exchange(life_, at_.process.life()) != at_.process.life()) {
    // What the process before was asked is answered by nobody.
    ++generation_;
    shard_.reset();
    sessions_.clear();
    requests_.clear();
    ready_ = confirming_ = false;
    epoch_ = LeaderEpoch(-1);
  }
  const Replica* replica = at_.broker.replica(at_.partition);
  const bool leads = replica != nullptr && replica->leader() != nullptr;
  const LeaderEpoch epoch = leads ? replica->leader_epoch() : LeaderEpoch(-1);
  if (epoch != epoch_) {
    GiveUp(Elsewhere());
    epoch_ = epoch;
    reload_at_ms_ = Now().steady_ms;
  }
  if (leads && shard_ == nullptr && Now().steady_ms >= reload_at_ms_) Load();
  return shard_ != nullptr && ready_;
}

void GroupHost::GiveUp(const absl::Status& why) {
  ++generation_;
  ready_ = confirming_ = false;
  if (shard_ == nullptr) return;
  if (!shard_->failed()) shard_->GiveUp(why);
  shard_.reset();
  reload_at_ms_ = Now().steady_ms + kReloadMs;
}

void GroupHost::Load() {
  shard_ = std::make_unique<GroupShard>(
      GroupLimits{.unheard_grace_ms = at_.rules.driver.grace_for_the_unheard ? kUnheardGraceMs : 0}, *this);
  if (!ReadAll()) {
    shard_.reset();
    reload_at_ms_ = Now().steady_ms + kGroupTick / kMs;
    return;
  }
}

// False: not now.
bool GroupHost::ReadAll() {
  Offset at(0);
  bool whole = true;
  bool more = true;
  while (more && whole) {
    whole = more = false;
    at_.broker.OnPoll(at_.partition, at, [&](const PollResult& result) {
      // What it has written before, and perhaps does not remember, may yet be committed.
      const bool settled = result.knows_high_watermark && result.high_watermark == result.log_end;
      whole = result.served && settled && !result.damaged && !result.out_of_range;
      if (!whole || result.batches.empty()) return;
      more = true;
      at = result.next_offset;
      for (const StoredBatchView& batch : result.batches) {
        NARU_CHECK_OK(ForEachRecord(batch.bytes, [&](const RecordView& record) {
          NARU_CHECK_OK(shard_->Replay(*record.key, record.value));
          return true;
        }));
      }
    });
  }
  return whole;
}

// Who was to give something up and is no member any more, by what is about to be written, was too slow.
void GroupHost::NoteShutOut() {
  std::map<std::string, bool> members;
  if (const GroupMachine* machine = shard_->Find(kGroup)) {
    for (const auto& [id, member] : machine->members()) members[id] = !member.revoking.empty();
  }
  for (const auto& [id, revoking] : std::exchange(members_, members)) {
    if (revoking && !members.contains(id)) at_.history.OnShutOut(id);
  }
}

void GroupHost::Append(absl::Cord batch) {
  NoteShutOut();
  const absl::StatusOr<BatchInfo> info = WalkBatch(batch, {});
  NARU_CHECK_OK(info.status());
  const AppendAsk ask{.raw = AppendAsk::Raw{std::move(batch), info->record_count, epoch_}};
  // It may be answered at once, and the shard is not to be called from inside.
  at_.broker.OnAppend(at_.partition, ask, [this, generation = generation_](const AppendResult& result) {
    at_.process.After(0, [this, generation, ok = result.outcome == AppendResult::Outcome::kOk] {
      if (!Follow() || generation != generation_) return;
      shard_->OnAppended(ok ? absl::OkStatus() : Elsewhere(), Now());
      // Nobody knows what the log holds.
      if (shard_->failed()) GiveUp(Elsewhere());
    });
  });
}

void GroupHost::Tell(const GroupEffect& effect) {
  if (const auto* answer = std::get_if<Answer>(&effect)) {
    if (auto request = requests_.extract(answer->request)) request.mapped()(answer->status);
    return;
  }
  const uint64_t number = std::visit(
      [](const auto& told) -> uint64_t {
        if constexpr (requires { told.session; }) return told.session;
        return 0;
      },
      effect);
  const auto* ended = std::get_if<EndSession>(&effect);
  if (ended != nullptr && ReasonOf(ended->why) == Reason::kMemberFenced) at_.history.OnFenced(number);
  const auto session = sessions_.find(number);
  if (session == sessions_.end()) return;
  session->second.tell(effect);
  if (ended != nullptr) sessions_.erase(session);
}

void GroupHost::LoseTheSilent() {
  for (auto it = sessions_.begin(); it != sessions_.end();) {
    const auto session = it++;
    if (Now().steady_ms - session->second.heard_ms <= kGroupSilenceMs) continue;
    const uint64_t number = session->first;
    sessions_.erase(session);
    shard_->On(kGroup, LoseSession{.session = number, .unheard = true}, Now());
  }
}

// A coordinator that is cut off from those who may lead next has to say so to its members before another one,
// that it does not know of, gives what they read to others.
void GroupHost::Confirm() {
  if (!at_.rules.driver.confirm_coordinator) {
    if (!ready_) Begin();
    return;
  }
  if (!confirming_ && Now().steady_ms - asked_ms_ >= kConfirmMs) {
    confirming_ = true;
    asked_ms_ = Now().steady_ms;
    at_.broker.ConfirmLeads(at_.partition,
                            [this, generation = generation_, asked_ms = asked_ms_](bool leads) {
                              if (generation != generation_) return;
                              confirming_ = false;
                              if (!leads) return;
                              confirmed_ms_ = asked_ms;
                              if (!ready_) Begin();
                            });
  }
  if (ready_ && Now().steady_ms - confirmed_ms_ > kUnconfirmedMs) GiveUp(Elsewhere());
}

void GroupHost::Begin() {
  ready_ = true;
  members_.clear();
  at_.loop.Note(
      absl::StrCat("broker ", at_.broker.id().value(), " coordinates the group in epoch ", epoch_.value()));
  shard_->Start(at_.topics, Now());
}

uint64_t GroupHost::Remember(std::function<void(absl::Status)> done) {
  requests_[++last_request_] = std::move(done);
  return last_request_;
}

void GroupHost::OnJoin(const JoinGroup& join, Listener tell) {
  if (!Follow()) return tell(EndSession{join.session, Elsewhere()});
  sessions_[join.session] = {std::move(tell), Now().steady_ms};
  shard_->On(kGroup, join, Now());
}

void GroupHost::OnPing(uint64_t number, const std::function<void()>& answered) {
  if (!Follow()) return;
  const auto session = sessions_.find(number);
  if (session == sessions_.end()) return;
  session->second.heard_ms = Now().steady_ms;
  answered();
}

void GroupHost::OnRelease(uint64_t session, const std::set<GroupPartition>& partitions) {
  if (Follow() && sessions_.contains(session))
    shard_->On(kGroup, ReleasePartitions{session, partitions}, Now());
}

void GroupHost::OnLeave(uint64_t session) {
  if (Follow() && sessions_.contains(session)) shard_->On(kGroup, LeaveGroup{.session = session}, Now());
}

void GroupHost::OnCommit(CommitOffsets commit, std::function<void(absl::Status)> done) {
  if (!Follow()) return done(Elsewhere());
  commit.request = Remember(std::move(done));
  shard_->On(kGroup, commit, Now());
}

void GroupHost::OnDescribe(Described done) {
  if (!Follow()) return done(std::nullopt);
  const GroupMachine* machine = shard_->Find(kGroup);
  const CommittedOffsets committed = machine != nullptr ? machine->offsets() : CommittedOffsets{};
  auto written = [this, committed, done = std::move(done)](const absl::Status& status) {
    if (!status.ok()) return done(std::nullopt);
    // Rule 20.
    at_.broker.ConfirmLeads(at_.partition,
                            [committed, done](bool leads) { leads ? done(committed) : done(std::nullopt); });
  };
  shard_->Barrier(Remember(std::move(written)), Now());
}

}  // namespace naru::sim
