#include "tests/sim/checker.h"

#include <algorithm>
#include <utility>

#include "storage/base/strings.h"
#include "tests/sim/partition_name.h"

namespace naru::sim {
namespace {

using Outcome = AppendResult::Outcome;

std::string At(const Checker::Partition& partition, Offset offset) {
  return absl::StrCat("partition ", Name(partition), " offset ", offset.value());
}

}  // namespace

void Checker::Fail(const std::string& what) {
  if (violation_.empty()) violation_ = what;
}

size_t Checker::OnSend(const Partition& partition, int64_t first, int64_t count, int64_t now_us,
                       const std::optional<ProducerStamp>& producer) {
  sends_.push_back({partition, first, count, now_us, -1, producer, {}});
  for (int64_t i = 0; i < count; ++i) send_of_value_[first + i] = sends_.size() - 1;
  return sends_.size() - 1;
}

bool Checker::OnResult(size_t number, const AppendResult& result, int64_t now_us) {
  Send& send = sends_[number];
  if (send.ended_us >= 0) return false;
  send.ended_us = now_us;
  send.result = result;
  if (result.outcome == Outcome::kUnknown) ++unknown_;
  if (result.outcome == Outcome::kRefused) ++refused_;
  if (result.outcome != Outcome::kOk) return true;
  ++acked_;
  for (int64_t i = 0; i < send.count; ++i) See(send.partition, result.base_offset + i, send.first + i);
  Offset& acked = seen_[send.partition].told.acked[result.leader_epoch];
  acked = std::max(acked, result.base_offset + send.count);
  return true;
}

void Checker::See(const Partition& partition, Offset offset, int64_t value) {
  const auto send = send_of_value_.find(value);
  if (send == send_of_value_.end() || sends_[send->second].partition != partition) {
    return Fail(absl::StrCat("L3: ", At(partition, offset), " has ", value, ", which nobody sent there"));
  }
  const auto [at, first] = seen_[partition].values.try_emplace(offset, value);
  if (at->second != value) {
    Fail(absl::StrCat("L2: ", At(partition, offset), " has ", at->second, " for some and ", value,
                      " for others"));
  }
  const auto [where, once] = offset_of_value_.try_emplace(value, offset);
  if (where->second != offset) {
    Fail(absl::StrCat("L4: ", value, " is at ", At(partition, offset), " and at ", where->second.value()));
  }
}

void Checker::SeeAll(const Partition& partition, const PollResult& result) {
  for (const StoredBatchView& batch : result.batches) {
    Offset offset = batch.base_offset;
    const std::string text(batch.bytes);
    const std::optional<BatchText> parsed = BatchText::Parse(text);
    if (!parsed) return Fail(absl::StrCat("L3: ", At(partition, offset), " has \"", text, "\""));
    for (const int64_t value : parsed->values) {
      if (offset >= result.log_start && value != kGone) {
        See(partition, offset, value);
        ++polled_;
      }
      offset += 1;
    }
  }
}

Checker::Before Checker::BeforePoll(const Partition& partition) const {
  const auto seen = seen_.find(partition);
  return seen == seen_.end() ? Before() : seen->second.told;
}

void Checker::OnDeleteSent(const Partition& partition, Offset below) {
  Seen& seen = seen_[partition];
  seen.delete_sent = std::max(seen.delete_sent, below);
}

void Checker::OnDeleted(const Partition& partition, const DeleteResult& result) {
  if (!result.done) return;
  Offset& deleted = seen_[partition].told.deleted[result.leader_epoch];
  deleted = std::max(deleted, result.log_start);
}

void Checker::OnServed(const Partition& partition, const PollResult& result) {
  if (!result.served) return;
  if (result.high_watermark < result.log_start) {
    Fail(absl::StrCat("L8: partition ", Name(partition), " begins at ", result.log_start.value(),
                      ", above its high watermark ", result.high_watermark.value()));
  }
  Offset& known = seen_[partition].high_watermarks[result.leader_epoch];
  if (result.high_watermark < known) {
    Fail(absl::StrCat("L8: the high watermark of partition ", Name(partition), " went back from ",
                      known.value(), " to ", result.high_watermark.value(), " in leader epoch ",
                      result.leader_epoch.value()));
  }
  known = std::max(known, result.high_watermark);
  Offset& start = seen_[partition].log_starts[result.leader_epoch];
  if (result.log_start < start) {
    Fail(absl::StrCat("L8: the log start of partition ", Name(partition), " went back from ", start.value(),
                      " to ", result.log_start.value(), " in leader epoch ", result.leader_epoch.value()));
  }
  start = std::max(start, result.log_start);
}

void Checker::OnPoll(const Partition& partition, Offset from, const Before& before,
                     const PollResult& result) {
  if (!result.served) return;
  SeeAll(partition, result);
  CheckNothingSkipped(partition, from, result);
  Seen& seen = seen_[partition];
  if (!result.batches.empty()) {
    seen.told.read = std::max(seen.told.read, result.batches.back().next_offset);
  }
  Offset there = before.read;
  for (const auto& [epoch, acked] : before.acked) there = std::max(there, acked);
  if (result.out_of_range && from >= result.log_start && from <= there) {
    Fail(absl::StrCat("L10: ", At(partition, from), " is out of range for the leader in epoch ",
                      result.leader_epoch.value(), ", whose log has ", result.log_start.value(), " to ",
                      result.high_watermark.value(), "; there was something up to ", there.value()));
  }
  for (const auto& [epoch, acked] : before.acked) {
    if (epoch > result.leader_epoch || !result.knows_high_watermark || acked <= result.high_watermark)
      continue;
    Fail(absl::StrCat("L8: the leader of partition ", Name(partition), " in epoch ",
                      result.leader_epoch.value(), " ends at ", result.high_watermark.value(),
                      "; everything below ", acked.value(), " was acknowledged before, in epoch ",
                      epoch.value()));
  }
  for (const auto& [epoch, deleted] : before.deleted) {
    if (epoch > result.leader_epoch || deleted <= result.log_start) continue;
    Fail(absl::StrCat("L10: partition ", Name(partition), " begins at ", result.log_start.value(),
                      " again, after ", deleted.value()));
  }
  if (result.log_start > seen.delete_sent) {
    Fail(absl::StrCat("L10: partition ", Name(partition), " begins at ", result.log_start.value(),
                      "; nobody wanted more gone than what is below ", seen.delete_sent.value()));
  }
}

void Checker::CheckNothingSkipped(const Partition& partition, Offset from, const PollResult& result) {
  Offset expected = from;
  const auto fail = [&](std::string_view what, Offset given) {
    Fail(absl::StrCat("L7: who reads partition ", Name(partition), " from ", from.value(), " is given ",
                      given.value(), Absl(what), expected.value()));
  };
  const bool may_have_gaps = seen_[partition].compacted;
  bool first = true;  // it may begin below
  for (const StoredBatchView& batch : result.batches) {
    const bool again = batch.next_offset <= expected || (!first && batch.base_offset < expected);
    if (again) fail(" again, after everything below ", batch.base_offset);
    if (batch.base_offset > expected && !may_have_gaps) fail(" next, and not ", batch.base_offset);
    expected = batch.next_offset;
    first = false;
  }
  if (result.next_offset == Offset(0)) return;  // it says nothing of where to go on
  const bool skips = result.next_offset > expected && !may_have_gaps;
  if (skips || result.next_offset < expected) fail(" to read on from, and not ", result.next_offset);
}

void Checker::OnDrained(const Partition& partition, const PollResult& all) {
  SeeAll(partition, all);
  Seen& seen = seen_[partition];
  std::map<Offset, int64_t> left;
  std::map<int64_t, Offset> newest;  // of each key
  for (const StoredBatchView& batch : all.batches) {
    Offset offset = batch.base_offset;
    for (const int64_t value : ValuesOf(batch.bytes)) {
      if (value != kGone) left[offset] = value;
      if (value != kGone) newest[KeyOf(value)] = offset;
      offset += 1;
    }
  }
  for (const auto& [offset, value] : seen.values) {
    const bool replaced = seen.compacted && newest[KeyOf(value)] > offset;
    if (offset >= all.log_start && !left.contains(offset) && !replaced) {
      Fail(absl::StrCat("L1: ", At(partition, offset), " had ", value, ", and is lost"));
    }
  }
  for (const auto& [epoch, deleted] : seen.told.deleted) {
    if (deleted <= all.log_start) continue;
    Fail(absl::StrCat("L10: partition ", Name(partition), " begins at ", all.log_start.value(),
                      " again, after ", deleted.value()));
  }
  CheckOrder(partition);
  CheckProducers(partition, all.log_start);
}

void Checker::CheckProducers(const Partition& partition, Offset log_start) {
  struct Last {
    int64_t value = 0;
    Offset offset;
    ProducerStamp next;
  };
  std::map<int64_t, Last> last;  // of each producer
  for (const auto& [offset, value] : seen_[partition].values) {
    const Send& send = sends_[send_of_value_[value]];
    if (!send.producer) continue;
    Last& known = last[send.producer->producer_id];
    const int64_t epoch = send.producer->epoch;
    const int64_t sequence = send.producer->base_sequence + value - send.first;
    std::string broken;
    if (value <= known.value) broken = absl::StrCat("stands behind ", known.value);
    if (epoch < known.next.epoch) broken = absl::StrCat("stands behind epoch ", known.next.epoch);
    // Of what is still there nothing is missing in between.
    const bool follows = known.value > 0 && !seen_[partition].compacted && known.offset >= log_start &&
                         epoch == known.next.epoch;
    if (follows && sequence != known.next.base_sequence) {
      broken = absl::StrCat("comes after sequence ", known.next.base_sequence - 1);
    }
    if (!broken.empty()) {
      Fail(absl::StrCat("L6: ", value, ", sequence ", sequence, " of producer ", send.producer->producer_id,
                        " epoch ", epoch, ", at ", At(partition, offset), " ", broken));
    }
    known = {value, offset, {send.producer->producer_id, epoch, sequence + 1}};
  }
}

void Checker::CheckOrder(const Partition& partition) {
  std::vector<const Send*> begun;
  for (const Send& send : sends_) {
    if (send.partition != partition) continue;
    if (send.result.outcome == Outcome::kRefused && offset_of_value_.contains(send.first) &&
        send.ended_us >= 0) {
      Fail(absl::StrCat("L12: ", send.first, " was refused, and is at ",
                        At(partition, offset_of_value_[send.first])));
    }
    if (send.result.outcome == Outcome::kOk) begun.push_back(&send);
  }
  std::vector<const Send*> ended = begun;
  std::sort(begun.begin(), begun.end(),
            [](const Send* a, const Send* b) { return a->begun_us < b->begun_us; });
  std::sort(ended.begin(), ended.end(),
            [](const Send* a, const Send* b) { return a->ended_us < b->ended_us; });
  size_t before = 0;
  const Send* last = nullptr;  // of those that ended before, the one with the greatest offset
  for (const Send* send : begun) {
    for (; before < ended.size() && ended[before]->ended_us < send->begun_us; ++before) {
      if (last == nullptr || ended[before]->result.base_offset > last->result.base_offset)
        last = ended[before];
    }
    if (last != nullptr && send->result.base_offset < last->result.base_offset) {
      Fail(absl::StrCat("L5: ", send->first, " was sent after ", last->first,
                        " was acknowledged, and stands before it, at ",
                        At(partition, send->result.base_offset)));
    }
  }
}

}  // namespace naru::sim
