#include "storage/store/segment_table.h"

namespace naru {

void SegmentTable::AddEntry(SegmentId id, Sequence sequence, int64_t entry_bytes) {
  absl::MutexLock lock(&mutex_);
  auto [at, inserted] = rows_.try_emplace(id);
  SegmentRow& row = at->second;
  if (inserted) {
    row.id = id;
    row.first_sequence = sequence;
  }
  row.last_sequence = sequence;
  row.used_bytes += entry_bytes;
  changed_.insert(id);
}

void SegmentTable::AddLive(SegmentId id, int64_t bytes) {
  absl::MutexLock lock(&mutex_);
  const auto at = rows_.find(id);
  if (at == rows_.end()) return;
  at->second.live_bytes += bytes;
  changed_.insert(id);
}

void SegmentTable::Load(const SegmentRow& row) {
  absl::MutexLock lock(&mutex_);
  rows_[row.id] = row;
}

void SegmentTable::Remove(SegmentId id) {
  absl::MutexLock lock(&mutex_);
  rows_.erase(id);
  changed_.erase(id);
}

void SegmentTable::Clear() {
  absl::MutexLock lock(&mutex_);
  rows_.clear();
  changed_.clear();
}

std::vector<SegmentRow> SegmentTable::Rows() const {
  absl::MutexLock lock(&mutex_);
  std::vector<SegmentRow> rows;
  rows.reserve(rows_.size());
  for (const auto& [id, row] : rows_) rows.push_back(row);
  return rows;
}

std::optional<SegmentRow> SegmentTable::Find(SegmentId id) const {
  absl::MutexLock lock(&mutex_);
  const auto at = rows_.find(id);
  if (at == rows_.end()) return std::nullopt;
  return at->second;
}

int64_t SegmentTable::LiveBytes() const {
  absl::MutexLock lock(&mutex_);
  int64_t bytes = 0;
  for (const auto& [id, row] : rows_) bytes += row.live_bytes;
  return bytes;
}

void SegmentTable::PutChanged(IndexUpdate& update) {
  absl::MutexLock lock(&mutex_);
  for (const SegmentId id : changed_) update.PutSegment(rows_.at(id));
  changed_.clear();
}

}  // namespace naru
