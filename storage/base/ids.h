// Strong types for the numbers that must not be mixed up: log ids, offsets, epochs, sequences.
// Thread-safe in the way that int is. Needs only the standard library and abseil.
#pragma once

#include <compare>
#include <cstdint>
#include <ostream>
#include <string>
#include <utility>

#include "storage/base/strings.h"

namespace naru {

// An integer of type Rep that converts to and from plain integers only explicitly.
template <typename Tag, typename Rep>
class StrongId {
 public:
  using rep = Rep;
  constexpr StrongId() = default;
  constexpr explicit StrongId(Rep value) : value_(value) {}
  constexpr Rep value() const { return value_; }
  friend constexpr auto operator<=>(StrongId, StrongId) = default;
  StrongId& operator++() {
    ++value_;
    return *this;
  }
  template <typename H>
  friend H AbslHashValue(H h, StrongId id) {
    return H::combine(std::move(h), id.value_);
  }
  friend std::ostream& operator<<(std::ostream& os, StrongId id) { return os << id.value_; }

 private:
  Rep value_ = 0;
};

// A partition's log on this store. Local to the data directory, from 1, never reused; 0 is no log.
using LogId = StrongId<struct LogIdTag, uint64_t>;
// A partition's number within its topic, from 0.
using PartitionId = StrongId<struct PartitionIdTag, int32_t>;
// A broker of the cluster, from 1.
using BrokerId = StrongId<struct BrokerIdTag, int32_t>;
// Rises by one with every change of a partition's leader, from 0; -1 is none yet.
using LeaderEpoch = StrongId<struct LeaderEpochTag, int32_t>;
// A segment file of the store, from 1, rising.
using SegmentId = StrongId<struct SegmentIdTag, uint64_t>;
// An entry of the segments, from 1, rising by one with every entry of the store; 0 is before the first.
using Sequence = StrongId<struct SequenceTag, uint64_t>;

// A record's position in its partition, from 0. An end offset is one past the last record.
class Offset {
 public:
  constexpr Offset() = default;
  constexpr explicit Offset(int64_t value) : value_(value) {}
  constexpr int64_t value() const { return value_; }
  friend constexpr auto operator<=>(Offset, Offset) = default;
  friend constexpr Offset operator+(Offset a, int64_t n) { return Offset(a.value_ + n); }
  friend constexpr Offset operator-(Offset a, int64_t n) { return Offset(a.value_ - n); }
  friend constexpr int64_t operator-(Offset a, Offset b) { return a.value_ - b.value_; }
  Offset& operator+=(int64_t n) {
    value_ += n;
    return *this;
  }
  template <typename H>
  friend H AbslHashValue(H h, Offset o) {
    return H::combine(std::move(h), o.value_);
  }
  friend std::ostream& operator<<(std::ostream& os, Offset o) { return os << o.value_; }

 private:
  int64_t value_ = 0;
};

}  // namespace naru
