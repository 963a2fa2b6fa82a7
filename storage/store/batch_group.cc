#include "storage/store/batch_group.h"

#include <algorithm>
#include <utility>

#include "storage/base/crc32c.h"
#include "storage/base/status.h"
#include "storage/store/run_reader.h"

namespace naru {

namespace {

constexpr uint64_t kDeltaBytesMax = 5;
// Beyond one for each batch: a gap of more offsets than an entry can stand for takes some.
constexpr uint64_t kGapEntriesMax = 4;

}  // namespace

uint64_t EntryBytesMax(const Op& op) {
  if (const auto* append = std::get_if<AppendOp>(&op)) return EntryBytesMax(append->request.batch.size());
  uint64_t bytes = 0;
  if (const auto* replica = std::get_if<ReplicaAppendOp>(&op)) {
    for (const StoredBatchView& batch : replica->request.batches) {
      bytes += EntryBytesMax(batch.bytes.size() + kDeltaBytesMax * batch.offset_deltas.size());
    }
    // What stands for a gap before the first, or between two.
    if (replica->request.gaps) bytes += (replica->request.batches.size() + kGapEntriesMax) * EntryBytesMax(0);
  }
  return bytes;
}

namespace {

absl::StatusOr<std::optional<Appended>> CheckAppend(const Log& log, const AppendRequest& request,
                                                    int64_t forget_producers_before_ms)
    ABSL_SHARED_LOCKS_REQUIRED(log.mutex) {
  if (request.fence != nullptr && request.fence->Blocks(request.fence_order)) {
    return MakeError(Reason::kStreamItemSkipped, "an append before this one in its pipeline failed");
  }
  if (log.deleted) return LogNotFound(log.id);
  return log.state.CheckAppend(request, forget_producers_before_ms);
}

}  // namespace

void FailFence(const AppendRequest& request) {
  if (request.fence != nullptr) request.fence->Fail(request.fence_order);
}

void BatchGroup::Build(std::vector<Op>& ops, Group& group) {
  now_ms_ = clock_.NowMs();
  slots_.clear();
  bodies_.clear();
  for (size_t i = 0; i < ops.size(); ++i) {
    auto* append = std::get_if<AppendOp>(&ops[i]);
    const std::shared_ptr<Log>& log = append != nullptr ? append->log : std::get<ReplicaAppendOp>(ops[i]).log;
    group.queue_bytes +=
        append != nullptr ? append->queue_bytes : std::get<ReplicaAppendOp>(ops[i]).queue_bytes;
    if (log->group_slot < 0) {
      log->group_slot = static_cast<int32_t>(slots_.size());
      slots_.push_back({log, {}});
    }
    slots_[static_cast<size_t>(log->group_slot)].ops.push_back(i);
  }
  for (Slot& slot : slots_) {
    slot.log->group_slot = -1;
    BuildLog(slot, ops, group);
  }
  Count(counters_.append_groups);
  for (Refusal& refusal : refusals_) refusal.done(std::move(refusal.status));
  refusals_.clear();
}

void BatchGroup::BuildLog(Slot& slot, std::vector<Op>& ops, Group& group) {
  absl::MutexLock lock(&slot.log->mutex);
  Group::LogEnd end;
  end.log = slot.log;
  end.background = slot.log->background();
  for (const size_t i : slot.ops) {
    if (auto* append = std::get_if<AppendOp>(&ops[i])) {
      Append(slot.log, *append, group, end);
    } else {
      AppendAsReplica(slot.log, std::get<ReplicaAppendOp>(ops[i]), group, end);
    }
  }
  writer_.CloseRun(*slot.log, group, end);
  end.end = slot.log->state.end();
  group.ends.push_back(std::move(end));
}

void BatchGroup::Append(const std::shared_ptr<Log>& log, AppendOp& op, Group& group, Group::LogEnd& end) {
  const int64_t append_time_ms = std::max(now_ms_, log->state.last_append_time_ms());
  auto checked = CheckAppend(*log, op.request, append_time_ms - producer_expiry_ms_);
  if (!checked.ok()) {
    // Now, not when its completion runs: the next append of this pipeline may be in the same group.
    FailFence(op.request);
    refusals_.push_back({std::move(op.done), std::move(checked).status()});
    return;
  }
  if (checked->has_value()) return Accept(std::move(op.done), **checked, group, end);
  const BatchInfo& info = op.request.info;
  EntryHeader header;
  header.type = EntryType::kBatch;
  header.body_crc = info.crc32c;
  header.log = log->id;
  header.base_offset = log->state.end();
  header.append_time_ms = append_time_ms;
  header.max_timestamp_ms = info.max_timestamp_ms;
  header.leader_epoch = log->state.epochs().current();
  header.record_count = info.record_count;
  if (log->settings.append_time_stamped) {
    header.flags |= kAppendTimeStamped;
    header.max_timestamp_ms = append_time_ms;
  } else if (info.needs_append_time) {
    header.max_timestamp_ms = std::max(header.max_timestamp_ms, append_time_ms);
  }
  if (op.request.producer) header.set_producer(*op.request.producer);
  AddBatch(log, header, op.request.batch, ViewOfEntry(header, op.request.batch), group, end);
  Accept(std::move(op.done), {header.base_offset, header.next_offset(), append_time_ms, log->state.start()},
         group, end);
}

void BatchGroup::AppendAsReplica(const std::shared_ptr<Log>& log, ReplicaAppendOp& op, Group& group,
                                 Group::LogEnd& end) {
  absl::Status checked = log->deleted ? LogNotFound(log->id) : log->state.CheckReplicaAppend(op.request);
  if (!checked.ok()) {
    refusals_.push_back({std::move(op.done), std::move(checked)});
    return;
  }
  const std::vector<StoredBatchView>& batches = op.request.batches;
  for (const StoredBatchView& batch : batches) {
    for (const StoredBatchView& empty :
         EmptyStretch(log->state, log->state.end(), batch.base_offset, batch.leader_epoch)) {
      AddStored(log, empty, group, end);
    }
    AddStored(log, batch, group, end);
  }
  Accept(std::move(op.done),
         {batches.front().base_offset, batches.back().next_offset, batches.back().append_time_ms,
          log->state.start()},
         group, end);
}

void BatchGroup::AddStored(const std::shared_ptr<Log>& log, const StoredBatchView& batch, Group& group,
                           Group::LogEnd& end) {
  EntryHeader header;
  header.type = EntryType::kBatch;
  header.body_crc = batch.crc32c;
  header.log = log->id;
  header.base_offset = batch.base_offset;
  header.append_time_ms = batch.append_time_ms;
  header.max_timestamp_ms = batch.max_timestamp_ms;
  header.leader_epoch = batch.leader_epoch;
  header.record_count = static_cast<uint32_t>(batch.next_offset - batch.base_offset);
  if (batch.append_time_stamped) header.flags |= kAppendTimeStamped;
  if (batch.producer) header.set_producer(*batch.producer);
  StoredBatchView view = batch;
  if (view.offset_deltas.empty() && view.record_count > 0) {
    return AddBatch(log, header, batch.bytes, std::move(view), group, end);
  }
  std::string deltas;
  EncodeOffsetDeltas(batch.offset_deltas, deltas);
  header.flags |= kThinned;
  header.records_left = batch.record_count;
  header.deltas_length = static_cast<uint32_t>(deltas.size());
  header.batch_crc = batch.crc32c;
  // What the other replica had of it is not known, and counts nowhere here.
  header.appended_bytes = static_cast<int64_t>(batch.bytes.size());
  bodies_.emplace_back(std::move(deltas));
  bodies_.back().Append(batch.bytes);
  header.body_crc = Crc32c(bodies_.back());
  AddBatch(log, header, bodies_.back(), std::move(view), group, end);
}

void BatchGroup::AddBatch(const std::shared_ptr<Log>& log, EntryHeader& header, const absl::Cord& body,
                          StoredBatchView view, Group& group, Group::LogEnd& end) {
  header.body_length = static_cast<uint32_t>(body.size());
  writer_.AddBatch(log, header, body, group, end);
  cache_.Insert(log, std::move(view));
  if (header.records() > 0) Count(counters_.appended_batches);
  Count(counters_.appended_records, header.records());
  Count(counters_.appended_bytes, header.batch_bytes());
}

void BatchGroup::Accept(LogStore::AppendDone done, Appended appended, Group& group,
                        const Group::LogEnd& end) {
  if (end.background) {
    early_acks_.push_back({std::move(done), appended});
  } else {
    group.acks.push_back({std::move(done), appended});
    group.urgent = true;
  }
}

void BatchGroup::Written(Group& group, Watches::Due& due) {
  for (const Group::LogEnd& end : group.ends) {
    absl::MutexLock lock(&end.log->mutex);
    end.log->written_end = end.end;
    if (!end.background) continue;
    end.log->readable_end = std::max(end.log->readable_end, end.end);
    Watches::TakeDue(*end.log, due);
  }
  for (Group::Ack& ack : early_acks_) ack.done(ack.appended);
  early_acks_.clear();
}

void BatchGroup::Failed() {
  for (Group::Ack& ack : early_acks_) ack.done(Fatal::Error());
  early_acks_.clear();
}

}  // namespace naru
