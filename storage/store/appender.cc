#include "storage/store/appender.h"

#include <algorithm>
#include <utility>

#include "storage/base/check.h"
#include "storage/base/status.h"

namespace naru {
namespace {

// A group is bounded so that its first ack does not wait for too much, and by what one segment holds.
constexpr uint64_t kGroupBytesMax = uint64_t{8} << 20;
constexpr size_t kGroupOpsMax = 16'384;
// After this long without work the last entries are vouched for by a mark.
constexpr absl::Duration kIdle = absl::Milliseconds(100);

// Kinds of which several in a row are done at once.
bool Joins(const Op& first, const Op& next) {
  if (IsAppend(first)) return IsAppend(next);
  return first.index() == next.index() &&
         (std::holds_alternative<CreateOp>(first) || std::holds_alternative<DeleteOp>(first) ||
          std::holds_alternative<EpochOp>(first) || std::holds_alternative<StartOp>(first));
}

// Batches of a compacted log, from another replica.
bool BringsThinned(const Op& op) {
  const auto* replica = std::get_if<ReplicaAppendOp>(&op);
  return replica != nullptr &&
         (replica->request.gaps ||
          std::any_of(replica->request.batches.begin(), replica->request.batches.end(),
                      [](const StoredBatchView& batch) { return !batch.offset_deltas.empty(); }));
}

bool IsPlannedStart(const Op& op) {
  const auto* start = std::get_if<StartOp>(&op);
  return start != nullptr && start->planned;
}

}  // namespace

Appender::Appender(Parts parts)
    : parts_(parts), group_bytes_max_(std::min(kGroupBytesMax, parts.writer.batches_max())) {
  thread_ = std::thread([this] { Run(); });
}

Appender::~Appender() { Stop(); }

bool Appender::Enqueue(Op& op) {
  absl::MutexLock lock(&mutex_);
  if (stopping_) return false;
  queue_.push_back(std::move(op));
  if (queue_.size() == 1) wake_.Signal();
  return true;
}

void Appender::SpareForSnapshot(uint64_t bytes) {
  spared_for_snapshot_.store(std::min(bytes, parts_.writer.capacity() / 2), std::memory_order_relaxed);
}

void Appender::Stop() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
    wake_.Signal();
  }
  if (thread_.joinable()) thread_.join();
}

Appender::Ops Appender::Take() {
  Ops ops;
  absl::MutexLock lock(&mutex_);
  while (queue_.empty() && !stopping_) {
    if (wake_.WaitWithTimeout(&mutex_, marked_ ? absl::InfiniteDuration() : kIdle) && queue_.empty())
      return ops;
  }
  uint64_t bytes = 0;
  while (!queue_.empty() && ops.size() < kGroupOpsMax) {
    Op& next = queue_.front();
    if (!ops.empty() && !Joins(ops.front(), next)) break;
    bytes += IsAppend(next) ? EntryBytesMax(next) : 0;
    if (!ops.empty() && bytes > group_bytes_max_) break;
    ops.push_back(std::move(next));
    queue_.pop_front();
  }
  return ops;
}

void Appender::Run() {
  for (;;) {
    Ops ops = Take();
    if (!ops.empty()) {
      Do(std::move(ops));
      continue;
    }
    {
      absl::MutexLock lock(&mutex_);
      if (!queue_.empty()) continue;
      if (stopping_) break;
    }
    // What is durable already is worth vouching for; what is not will be soon.
    if (parts_.syncer.durable_sequence() == parts_.writer.last_sequence()) WriteMark(/*urgent=*/false);
  }
  if (!parts_.fatal.raised()) {
    parts_.syncer.Drain();
    WriteMark(/*urgent=*/true);
  }
}

void Appender::Do(Ops ops) {
  marked_ = false;
  if (IsAppend(ops.front())) return DoAppends(std::move(ops));
  if (std::holds_alternative<CreateOp>(ops.front())) return DoCreates(ops);
  if (std::holds_alternative<DeleteOp>(ops.front())) return DoDeletes(ops);
  if (std::holds_alternative<EpochOp>(ops.front())) return DoEpochs(ops);
  // The others read the index, which must have what was written before.
  if (!std::all_of(ops.begin(), ops.end(), IsPlannedStart)) parts_.syncer.Drain();
  if (std::holds_alternative<StartOp>(ops.front())) return DoStarts(ops);
  if (auto* truncate = std::get_if<TruncateOp>(&ops.front())) return DoTruncate(std::move(*truncate));
  if (auto* reclaim = std::get_if<ReclaimOp>(&ops.front())) return DoReclaim(std::move(*reclaim));
  if (auto* move = std::get_if<MoveOp>(&ops.front())) return DoMove(std::move(*move));
  if (auto* rewrite = std::get_if<RewriteOp>(&ops.front())) return DoRewrite(std::move(*rewrite));
  if (auto* snapshot = std::get_if<SnapshotOp>(&ops.front())) return DoSnapshot(std::move(*snapshot));
  if (auto* remove = std::get_if<RemoveOp>(&ops.front())) return DoRemove(std::move(*remove));
}

void Appender::DoAppends(Ops ops) {
  uint64_t bytes = 0;
  for (const Op& op : ops) bytes += EntryBytesMax(op);
  const bool thinned = std::any_of(ops.begin(), ops.end(), BringsThinned);
  if (const absl::Status room = EnsureRoomForBatches(bytes, thinned); !room.ok()) {
    return RefuseAppends(ops, room);
  }
  auto group = std::make_unique<Group>();
  parts_.batches.Build(ops, *group);
  if (!parts_.writer.Write(*group)) {
    parts_.batches.Failed();
    return FailGroup(*group);
  }
  const bool background = std::any_of(group->ends.begin(), group->ends.end(),
                                      [](const Group::LogEnd& end) { return end.background; });
  synced_groups_ = background ? 0 : std::min(synced_groups_ + 1, kSyncedGroupsMin);
  // What nobody waits for is the page cache's from here on; were it counted until it is synced, producers
  // that are answered now would find the queue full.
  if (!group->urgent) parts_.queue.Give(std::exchange(group->queue_bytes, 0));
  Watches::Due due;
  parts_.batches.Written(*group, due);
  ops.clear();
  parts_.watches.Fire(due);
  TellWritten(*group);
  Submit(std::move(group));
}

void Appender::OnWritten(std::function<void(const std::vector<LogId>& logs)> written) {
  absl::MutexLock lock(&written_mutex_);
  written_ = std::move(written);
}

void Appender::TellWritten(const Group& group) {
  absl::MutexLock lock(&written_mutex_);
  if (!written_) return;
  std::vector<LogId> logs;
  logs.reserve(group.ends.size());
  for (const Group::LogEnd& end : group.ends) logs.push_back(end.log->id);
  written_(logs);
}

absl::Status Appender::EnsureRoomForBatches(uint64_t bytes, bool thinned) {
  const uint64_t spared = parts_.writer.spared() + spared_for_snapshot_.load(std::memory_order_relaxed);
  if (thinned) {
    NARU_RETURN_IF_ERROR(parts_.writer.EnsureNewestFormat());
    // The largest batch there can be, and what stands for a gap before it, still go together.
    return parts_.writer.EnsureRoom(bytes, spared);
  }
  return parts_.writer.EnsureRoomForBatches(bytes, spared);
}

void Appender::RefuseAppends(Ops& ops, const absl::Status& status) {
  for (Op& op : ops) {
    if (auto* append = std::get_if<AppendOp>(&op)) {
      FailFence(append->request);
      parts_.queue.Give(append->queue_bytes);
      append->done(status);
    } else {
      auto& replica = std::get<ReplicaAppendOp>(op);
      parts_.queue.Give(replica.queue_bytes);
      replica.done(status);
    }
  }
}

void Appender::Submit(std::unique_ptr<Group> group) {
  if (group->bytes == 0 && !group->has_waiters() && group->touched.empty()) {
    parts_.queue.Give(group->queue_bytes);
    return;
  }
  if (synced_groups_ == kSyncedGroupsMin && parts_.syncer.TrySync(group)) return;
  parts_.syncer.Submit(std::move(group));
}

void Appender::FailGroup(Group& group) {
  parts_.queue.Give(group.queue_bytes);
  for (Group::Ack& ack : group.acks) ack.done(Fatal::Error());
  for (Group::Finished& finished : group.finished) finished.done(Fatal::Error());
}

void Appender::WriteControl(EntryType type, std::vector<std::string> bodies,
                            std::vector<Group::Finished> finished,
                            std::vector<std::shared_ptr<Log>> touched) {
  // What takes space rather than give it back leaves the margin to the others.
  const bool takes =
      type == EntryType::kCreateLogs || type == EntryType::kMove || type == EntryType::kRewrite;
  const uint64_t spared = takes ? parts_.writer.spared() : 0;
  for (size_t i = 0; i < bodies.size(); ++i) {
    const absl::Status room = parts_.writer.EnsureRoom(EntryBytesMax(bodies[i].size()), spared);
    if (!room.ok()) {
      for (Group::Finished& waiting : finished) waiting.done(room);
      return;
    }
    auto group = std::make_unique<Group>();
    const absl::Cord body(std::move(bodies[i]));
    parts_.writer.AddControl(type, 0, body, *group);
    if (!parts_.writer.Write(*group)) break;
    Submit(std::move(group));
  }
  // Waits for all of them, or, if there are none, for what was written before.
  auto group = std::make_unique<Group>();
  group->urgent = true;
  group->finished = std::move(finished);
  group->touched = std::move(touched);
  if (parts_.fatal.raised()) return FailGroup(*group);
  Submit(std::move(group));
}

void Appender::WriteMark(bool urgent) {
  marked_ = true;
  // Not worth a segment of its own.
  if (!parts_.segment_writer.FitsInCurrent(EntryBytesMax(0))) return;
  auto group = std::make_unique<Group>();
  group->urgent = urgent;
  group->lazy = !urgent;
  parts_.writer.AddControl(EntryType::kMark, 0, absl::Cord(), *group);
  if (parts_.writer.Write(*group)) Submit(std::move(group));
}

}  // namespace naru
