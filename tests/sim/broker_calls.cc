// What clients ask of a broker, and how it is answered: as cluster/broker does it, in one thread.
#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "storage/base/crc32c.h"
#include "storage/base/status.h"
#include "storage/base/strings.h"
#include "tests/sim/broker.h"
#include "tests/sim/broker_log.h"
#include "tests/sim/partition_name.h"

namespace naru::sim {

using namespace cluster;  // NOLINT(google-build-using-namespace): all of it is about these

namespace {

using Outcome = AppendResult::Outcome;

constexpr int64_t kPollBytes = 256;

AppendRequest ToRequest(LogId log, LeaderEpoch epoch, const AppendAsk& ask) {
  AppendRequest request;
  request.log = log;
  request.batch = ask.raw ? ask.raw->bytes : absl::Cord(ask.batch.ToText());
  request.info.size_bytes = static_cast<int64_t>(request.batch.size());
  request.info.record_count =
      ask.raw ? ask.raw->record_count : static_cast<uint32_t>(ask.batch.values.size());
  request.info.crc32c = Crc32c(request.batch);
  request.leader_epoch = ask.raw ? ask.raw->leader_epoch : epoch;
  request.producer = ask.batch.producer;
  request.fence = ask.fence;
  request.fence_order = ask.fence_order;
  return request;
}

void Fail(const AppendAsk& ask) {
  if (ask.fence != nullptr) ask.fence->Fail(ask.fence_order);
}

}  // namespace

void Broker::OnAppend(const TopicPartition& partition, const AppendAsk& ask,
                      const std::function<void(AppendResult)>& answer) {
  Part* part = Find(partition);
  const PartitionLeader* leader = part != nullptr ? part->replica->leader() : nullptr;
  if (leader == nullptr || (ask.replicated && !leader->may_commit())) {
    Fail(ask);
    const BrokerId hint = part != nullptr ? part->replica->state().leader : kNoBroker;
    return answer({.outcome = Outcome::kRefused, .leader_hint = hint});
  }
  const LeaderEpoch epoch = part->replica->leader_epoch();
  store_->Append(ToRequest(part->log, epoch, ask),
                 InThisLife([this, partition, epoch, ask, answer](const absl::StatusOr<Appended>& appended) {
                   if (!appended.ok()) return Refuse(partition, appended.status(), answer);
                   Part* own = Find(partition);
                   if (own == nullptr) return answer({});
                   if (ask.replicated) {
                     own->appends.push_back({epoch, *appended, answer});
                   } else {
                     answer({});
                   }
                   OnDurable(partition, *own);
                 }));
  Sync();
  Settle(partition, *part);
}

void Broker::Refuse(const TopicPartition& partition, const absl::Status& status,
                    const std::function<void(AppendResult)>& answer) {
  Part* part = Find(partition);
  const std::optional<Reason> reason = ReasonOf(status);
  const bool by_what_is_there = reason == Reason::kOutOfOrderSequence || reason == Reason::kProducerFenced;
  if (reason == Reason::kStreamItemSkipped) return answer({.outcome = Outcome::kSkipped});
  if (!by_what_is_there || part == nullptr) return answer({.outcome = Outcome::kRefused});
  // Another broker may lead by now, and know of more than this one.
  AppendResult result{
      .outcome = reason == Reason::kOutOfOrderSequence ? Outcome::kOutOfOrder : Outcome::kFenced,
      .base_offset = {},
      .leader_epoch = part->replica->leader_epoch(),
      .leader_hint = id_,
      .log_start = part->view->Positions().start};
  (void)absl::SimpleAtoi(MetadataValue(status, "expected_sequence"), &result.expected_sequence);
  Confirm(*part, [result, answer](bool leads) {
    answer(leads ? result : AppendResult{.outcome = Outcome::kRefused});
  });
  SettleConfirmations(*part);
}

void Broker::Confirm(Part& part, std::function<void(bool)> done) {
  const PartitionLeader* leader = part.replica->leader();
  if (leader == nullptr) return done(false);
  // Every fetch is answered at once, so that none waits here.
  const uint64_t question = part.confirmations.Ask(
      *leader, [](BrokerId) { return false; }, clock_.now_ms());
  part.confirming[question] = std::move(done);
}

void Broker::ConfirmLeads(const TopicPartition& partition, std::function<void(bool)> done) {
  Part* part = Find(partition);
  if (part == nullptr) return done(false);
  Confirm(*part, std::move(done));
  SettleConfirmations(*part);
}

void Broker::SettleConfirmations(Part& part) {
  if (part.confirmations.empty()) return;
  for (const auto& [question, leads] : part.confirmations.Settle(part.replica->leader(), clock_.now_ms())) {
    part.confirming.extract(question).mapped()(leads);
  }
}

void Broker::OnPoll(const TopicPartition& partition, Offset from,
                    const std::function<void(const PollResult&)>& answer) {
  PollResult result;
  Part* part = Find(partition);
  const PartitionLeader* leader = part != nullptr ? part->replica->leader() : nullptr;
  if (leader == nullptr) return answer(result);
  result.served = true;
  result.leader_epoch = part->replica->leader_epoch();
  result.high_watermark = leader->high_watermark();
  result.knows_high_watermark = leader->knows_high_watermark();
  result.log_start = part->view->Positions().start;
  result.log_end = part->view->Positions().end;
  if (from < result.log_start) {
    result.out_of_range = true;
  } else if (from > result.high_watermark) {
    // It may have been committed under the leader before, and will be here in a moment; or under the next
    // one.
    if (!leader->knows_high_watermark()) return answer({});
    Confirm(*part, [this, partition, from, result, answer](bool leads) mutable {
      const Part* now = Find(partition);
      if (!leads || now == nullptr || from <= now->replica->high_watermark()) return answer({});
      result.out_of_range = true;
      result.high_watermark = now->replica->high_watermark();
      result.log_start = now->view->Positions().start;
      answer(result);
    });
    return SettleConfirmations(*part);
  } else if (from < result.high_watermark) {
    store_->Read({.log = part->log,
                  .from = from,
                  .end = result.high_watermark,
                  .bytes_max = kPollBytes,
                  .include_undurable = true},
                 [&](absl::StatusOr<ReadResult> read) {
                   result.damaged = !read.ok();
                   if (!read.ok()) return OnDamaged(partition, read.status());
                   result.batches = std::move(read->batches);
                   result.next_offset = std::min(read->next_offset, result.high_watermark);
                 });
  }
  answer(result);
}

void Broker::OnDelete(const TopicPartition& partition, Offset below,
                      std::function<void(DeleteResult)> answer) {
  Part* part = Find(partition);
  if (part == nullptr || part->replica->leader() == nullptr) return answer({});
  // Rule 17: never what is not committed, and not answered before it is gone everywhere.
  below = std::min(below, part->replica->high_watermark());
  part->deletes.push_back({part->replica->leader_epoch(), below, std::move(answer)});
  MoveStart(partition, *part, below);
  Sync();
}

void Broker::MoveStart(const TopicPartition& partition, Part& part, Offset start) {
  start = std::min(start, part.view->Positions().durable_end);
  store_->MoveLogStart(part.log, start, InThisLife([this, partition, start](const absl::Status& status) {
                         Part* own = Find(partition);
                         if (own == nullptr || !status.ok()) return;
                         own->view->StartIsDurable(start);
                         Settle(partition, *own);
                       }));
}

void Broker::Settle(const TopicPartition& partition, Part& part) {
  SettleConfirmations(part);
  SettleAppends(part);
  SettleDeletes(partition, part);
  at_.touched(*this, partition);
}

void Broker::SettleAppends(Part& part) {
  const PartitionLeader* leader = part.replica->leader();
  std::deque<WaitingAppend> waiting;
  for (WaitingAppend& append : std::exchange(part.appends, {})) {
    if (leader == nullptr || append.leader_epoch != part.replica->leader_epoch()) {
      append.answer({.outcome = Outcome::kUnknown});
    } else if (leader->high_watermark() >= append.appended.next_offset) {
      append.answer({Outcome::kOk, append.appended.base_offset, append.leader_epoch, id_});
    } else {
      waiting.push_back(std::move(append));
    }
  }
  part.appends = std::move(waiting);
}

void Broker::SettleDeletes(const TopicPartition& partition, Part& part) {
  const PartitionLeader* leader = part.replica->leader();
  std::deque<WaitingDelete> waiting;
  for (WaitingDelete& request : std::exchange(part.deletes, {})) {
    if (leader == nullptr || request.leader_epoch != part.replica->leader_epoch()) {
      request.answer({});
    } else if (leader->deleted_below(part.view->Positions()) >= request.below) {
      Note(absl::StrCat("has deleted partition ", Name(partition), " below ", request.below.value()));
      request.answer({true, request.leader_epoch, request.below});
    } else {
      waiting.push_back(std::move(request));
    }
  }
  part.deletes = std::move(waiting);
}

}  // namespace naru::sim
