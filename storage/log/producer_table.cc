#include "storage/log/producer_table.h"

#include <algorithm>
#include <utility>

#include "storage/base/check.h"
#include "storage/base/status.h"

namespace naru {
namespace {

// Batches are never empty in a table, but look-backs build entries from nothing.
Offset NewestOffset(const ProducerTable::Entry& entry) {
  return entry.state.batches.empty() ? Offset(-1) : entry.state.batches.back().base_offset;
}

int64_t NewestTimeMs(const ProducerTable::Entry& entry) {
  return entry.state.batches.empty() ? INT64_MAX : entry.state.batches.back().append_time_ms;
}

// `why`: what the log knows.
absl::Status OutOfOrder(const ProducerStamp& stamp, int64_t expected, std::string_view why) {
  return MakeError(Reason::kOutOfOrderSequence,
                   absl::StrCat("base_sequence: ", stamp.base_sequence, " of producer ", stamp.producer_id,
                                " epoch ", stamp.epoch, " is not the next; ", expected, " is expected: ", why,
                                "; to go on, ask InitProducer for the next epoch and begin at 0"),
                   {{"expected_sequence", absl::StrCat(expected)}});
}

}  // namespace

absl::StatusOr<const ProducerState::Batch*> ProducerTable::Check(const ProducerStamp& stamp,
                                                                 int64_t record_count,
                                                                 int64_t forget_before_ms) const {
  const Entry* known = Find(stamp.producer_id);
  if (known != nullptr && NewestTimeMs(*known) < forget_before_ms) known = nullptr;
  if (known == nullptr || stamp.epoch > known->state.epoch) {
    if (stamp.base_sequence == 0) return nullptr;
    return OutOfOrder(
        stamp, 0,
        known == nullptr ? "the producer is not known here, or was forgotten since" : "the epoch is new");
  }
  if (stamp.epoch < known->state.epoch) {
    return MakeError(Reason::kProducerFenced,
                     absl::StrCat("producer epoch: ", stamp.epoch, " of producer ", stamp.producer_id,
                                  " is fenced; its epoch is now ", known->state.epoch),
                     {{"producer_epoch", absl::StrCat(known->state.epoch)}});
  }
  if (stamp.base_sequence == known->state.next_sequence) return nullptr;
  for (const ProducerState::Batch& batch : known->state.batches) {
    if (batch.base_sequence == stamp.base_sequence &&
        batch.next_sequence == stamp.base_sequence + record_count) {
      return &batch;
    }
  }
  return OutOfOrder(stamp, known->state.next_sequence,
                    "batches between are missing, or it was sent too late");
}

std::vector<int64_t> ProducerTable::Append(const ProducerStamp& stamp, int64_t record_count,
                                           Offset base_offset, int64_t append_time_ms) {
  auto [at, inserted] = entries_.try_emplace(stamp.producer_id);
  Entry& entry = at->second;
  ProducerState& state = entry.state;
  if (!inserted) by_age_.erase({NewestOffset(entry), stamp.producer_id});
  state.producer_id = stamp.producer_id;
  if (state.epoch != stamp.epoch && !state.batches.empty()) {
    state.batches.clear();
    entry.forgot_older = true;
  }
  if (state.batches.size() == kBatchesRemembered) {
    state.batches.erase(state.batches.begin());
    entry.forgot_older = true;
  }
  state.epoch = stamp.epoch;
  state.next_sequence = stamp.base_sequence + record_count;
  state.batches.push_back({stamp.base_sequence, state.next_sequence, base_offset, append_time_ms});
  by_age_.emplace(base_offset, stamp.producer_id);
  if (inserted && entries_.size() > kProducersMax) return ForgetIdle();
  return {};
}

std::vector<int64_t> ProducerTable::Expire(int64_t forget_before_ms) {
  std::vector<int64_t> forgotten;
  while (!by_age_.empty()) {
    const int64_t oldest = by_age_.begin()->second;
    if (NewestTimeMs(entries_.at(oldest)) >= forget_before_ms) break;
    Forget(oldest);
    forgotten.push_back(oldest);
  }
  return forgotten;
}

const ProducerTable::Entry* ProducerTable::Find(int64_t producer_id) const {
  const auto at = entries_.find(producer_id);
  return at == entries_.end() ? nullptr : &at->second;
}

bool ProducerTable::Remembers(int64_t producer_id, Offset base_offset) const {
  const Entry* entry = Find(producer_id);
  return entry != nullptr && std::any_of(entry->state.batches.begin(), entry->state.batches.end(),
                                         [base_offset](const ProducerState::Batch& batch) {
                                           return batch.base_offset == base_offset;
                                         });
}

std::vector<ProducerState> ProducerTable::States() const {
  std::vector<ProducerState> states;
  states.reserve(entries_.size());
  for (const auto& [id, entry] : entries_) states.push_back(entry.state);
  return states;
}

void ProducerTable::Restore(Entry entry) {
  const int64_t id = entry.state.producer_id;
  Forget(id);
  by_age_.emplace(NewestOffset(entry), id);
  entries_.emplace(id, std::move(entry));
}

void ProducerTable::Forget(int64_t producer_id) {
  const auto at = entries_.find(producer_id);
  if (at == entries_.end()) return;
  by_age_.erase({NewestOffset(at->second), producer_id});
  entries_.erase(at);
}

std::vector<int64_t> ProducerTable::ForgetIdle() {
  std::vector<int64_t> forgotten;
  for (size_t count = entries_.size() / 4; count > 0; --count) {
    forgotten.push_back(by_age_.begin()->second);
    Forget(forgotten.back());
  }
  return forgotten;
}

void ProducerTable::EncodeEntry(const Entry& entry, std::string& to) {
  AppendLittle<int64_t>(to, entry.state.producer_id);
  AppendLittle<int64_t>(to, entry.state.epoch);
  AppendLittle<int64_t>(to, entry.state.next_sequence);
  AppendLittle<uint8_t>(to, entry.forgot_older ? 1 : 0);
  AppendLittle<uint8_t>(to, static_cast<uint8_t>(entry.state.batches.size()));
  for (const ProducerState::Batch& batch : entry.state.batches) {
    AppendLittle<int64_t>(to, batch.base_sequence);
    AppendLittle<int64_t>(to, batch.next_sequence);
    AppendLittle<int64_t>(to, batch.base_offset.value());
    AppendLittle<int64_t>(to, batch.append_time_ms);
  }
}

std::optional<ProducerTable::Entry> ProducerTable::DecodeEntry(LittleReader& from) {
  Entry entry;
  entry.state.producer_id = from.Take<int64_t>();
  entry.state.epoch = from.Take<int64_t>();
  entry.state.next_sequence = from.Take<int64_t>();
  const uint8_t forgot_older = from.Take<uint8_t>();
  const size_t count = from.Take<uint8_t>();
  if (!from.ok() || forgot_older > 1 || count == 0 || count > kBatchesRemembered) return std::nullopt;
  entry.forgot_older = forgot_older == 1;
  for (size_t i = 0; i < count; ++i) {
    ProducerState::Batch batch;
    batch.base_sequence = from.Take<int64_t>();
    batch.next_sequence = from.Take<int64_t>();
    batch.base_offset = Offset(from.Take<int64_t>());
    batch.append_time_ms = from.Take<int64_t>();
    entry.state.batches.push_back(batch);
  }
  if (!from.ok()) return std::nullopt;
  return entry;
}

namespace {

// The producer as it was before `next`, the oldest of its batches that are remembered: all of them are at or
// above `end`. Nothing is known when that is its first.
std::optional<ProducerState> StoodBefore(const ProducerState& state, const ProducerState::Batch& next,
                                         Offset end) {
  if (next.base_sequence == 0) return std::nullopt;
  return ProducerState{
      state.producer_id,
      state.epoch,
      next.base_sequence,
      {{next.base_sequence, next.base_sequence, end - 1, next.append_time_ms}},
  };
}

}  // namespace

std::vector<ProducerState> ProducersBefore(const std::vector<ProducerState>& states, Offset start) {
  std::vector<ProducerState> before;
  if (start <= Offset(0)) return before;
  for (const ProducerState& state : states) {
    ProducerState cut = state;
    // One that the start cuts is copied whole, stamp included.
    const auto copied =
        std::find_if(cut.batches.begin(), cut.batches.end(), [start](const ProducerState::Batch& batch) {
          return batch.base_offset + (batch.next_sequence - batch.base_sequence) > start;
        });
    if (copied == cut.batches.begin()) {
      if (copied == cut.batches.end()) continue;
      if (auto stood = StoodBefore(state, *copied, start)) before.push_back(*std::move(stood));
      continue;
    }
    cut.batches.erase(copied, cut.batches.end());
    cut.next_sequence = cut.batches.back().next_sequence;
    before.push_back(std::move(cut));
  }
  return before;
}

absl::Status CheckProducersBefore(const std::vector<ProducerState>& states, Offset start) {
  if (states.size() > ProducerTable::kProducersMax) {
    return InvalidField("producers", absl::StrCat(states.size()),
                        absl::StrCat("at most ", ProducerTable::kProducersMax, " are allowed"));
  }
  for (const ProducerState& state : states) {
    if (state.batches.empty() || state.batches.size() > ProducerTable::kBatchesRemembered) {
      return InvalidField("producers.batches", absl::StrCat(state.batches.size()),
                          absl::StrCat("1 to ", ProducerTable::kBatchesRemembered, " are allowed"));
    }
    if (state.batches.back().base_offset >= start) {
      return InvalidField("producers.batches.base_offset",
                          absl::StrCat(state.batches.back().base_offset.value()),
                          absl::StrCat("below the start, ", start.value(), ", is allowed"));
    }
  }
  return absl::OkStatus();
}

ProducerLookBack::ProducerLookBack(const ProducerTable& producers, Offset start, Offset end) {
  for (const auto& [id, entry] : producers.entries()) {
    if (NewestOffset(entry) < end) continue;
    Search& search = touched_[id];
    search.entry = entry;
    auto& batches = search.entry.state.batches;
    const auto cut = std::find_if(batches.begin(), batches.end(), [end](const ProducerState::Batch& batch) {
      return batch.base_offset >= end;
    });
    batches.erase(cut, batches.end());
    if (!batches.empty()) {
      search.entry.state.next_sequence = batches.back().next_sequence;
    } else if (start > Offset(0)) {
      search.stood = StoodBefore(entry.state, entry.state.batches.front(), end);
    }
    search.searching = entry.forgot_older;
    if (search.searching) ++searched_;
  }
}

void ProducerLookBack::Visit(const ProducerStamp& stamp, int64_t record_count, Offset base_offset,
                             int64_t append_time_ms) {
  const auto at = touched_.find(stamp.producer_id);
  if (at == touched_.end() || !at->second.searching) return;
  Search& search = at->second;
  ProducerState& state = search.entry.state;
  const int64_t next_sequence = stamp.base_sequence + record_count;
  if (state.batches.empty()) {
    state.epoch = stamp.epoch;
    state.next_sequence = next_sequence;
  } else if (base_offset >= state.batches.front().base_offset) {
    return;  // remembered
  }
  if (stamp.epoch == state.epoch) {
    state.batches.insert(state.batches.begin(),
                         {stamp.base_sequence, next_sequence, base_offset, append_time_ms});
    if (state.batches.size() < ProducerTable::kBatchesRemembered) return;
  }
  search.searching = false;
  --searched_;
}

void ProducerLookBack::Finish(ProducerTable& producers) const {
  for (const auto& [id, search] : touched_) {
    if (!search.entry.state.batches.empty()) {
      producers.Restore(search.entry);
    } else if (search.stood) {
      producers.Restore({*search.stood, /*forgot_older=*/true});
    } else {
      producers.Forget(id);
    }
  }
}

}  // namespace naru
