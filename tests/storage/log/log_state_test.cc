// The fold of one log, by itself. What every store does with it is in contract/.
#include "storage/log/log_state.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "storage/base/status.h"

namespace naru {
namespace {

AppliedBatch BatchOf(const LogState& state, uint32_t count,
                     std::optional<ProducerStamp> producer = std::nullopt, int64_t timestamp_ms = 0) {
  AppliedBatch batch;
  batch.base_offset = state.end();
  batch.next_offset = state.end() + count;
  batch.leader_epoch = state.epochs().current();
  batch.append_time_ms = 1'000 + state.end().value();
  batch.max_timestamp_ms = timestamp_ms;
  batch.producer = producer;
  return batch;
}

TEST(LogState, KeepsTheGreatestTimestampOfThePrefix) {
  LogState state;
  EXPECT_EQ(state.prefix_max_timestamp_ms(), 0);
  for (const int64_t timestamp : {50, 20, 70, 10}) state.Append(BatchOf(state, 1, {}, timestamp));
  EXPECT_EQ(state.prefix_max_timestamp_ms(), 70);
  state.MoveStart(Offset(3));
  EXPECT_EQ(state.prefix_max_timestamp_ms(), 70) << "not lowered by a moved start";
}

TEST(LogState, ABatchThatDoesNotFollowDies) {
  LogState state;
  AppliedBatch gap = BatchOf(state, 1);
  gap.base_offset = Offset(1);
  gap.next_offset = Offset(2);
  EXPECT_DEATH(state.Append(gap), "check failed");
  AppliedBatch empty = BatchOf(state, 0);
  EXPECT_DEATH(state.Append(empty), "check failed");
}

TEST(LogState, BatchesFromBeforeTheFirstEpochLeaveNoTrace) {
  LogState state;
  state.Append(BatchOf(state, 3));
  EXPECT_EQ(state.EndOffsetForEpoch(LeaderEpoch(5)).epoch, LeaderEpoch(-1));
  state.BeginEpoch(LeaderEpoch(2));
  state.Append(BatchOf(state, 1));
  EXPECT_EQ(state.EndOffsetForEpoch(LeaderEpoch(1)).epoch, LeaderEpoch(-1));
  EXPECT_EQ(state.EndOffsetForEpoch(LeaderEpoch(2)).end, Offset(4));
}

TEST(LogState, LooksBackOnlyAsFarAsATruncationNeeds) {
  LogState state;
  std::vector<AppliedBatch> batches;
  const auto append = [&](std::optional<ProducerStamp> producer) {
    batches.push_back(BatchOf(state, 1, producer));
    state.Append(batches.back());
  };
  for (int64_t i = 0; i < 3; ++i) append(ProducerStamp{1, 0, i});
  append({});
  // All that producer 1 ever appended is remembered: one batch, for its append time.
  LogState::LookBack shallow(state, Offset(2));
  EXPECT_TRUE(shallow.wants_more());
  shallow.Visit(batches[1]);
  EXPECT_FALSE(shallow.wants_more());

  for (int64_t i = 3; i < 12; ++i) append(ProducerStamp{1, 0, i});  // at offset i + 1
  LogState::LookBack deep(state, Offset(9));
  size_t visited = 0;
  for (size_t i = 9; i-- > 0 && deep.wants_more(); ++visited) deep.Visit(batches[i]);
  EXPECT_EQ(visited, 5u) << "until five of the producer's batches are known";

  LogState::LookBack untouched(state, state.end());
  untouched.Visit(batches.back());
  EXPECT_FALSE(untouched.wants_more());
}

// Batches of three producers and of none, in several epochs of each.
class RandomLog {
 public:
  explicit RandomLog(uint32_t seed) {
    std::mt19937 random(seed);
    std::vector<int64_t> epochs(3, 0);
    std::vector<int64_t> sequences(3, 0);
    for (int i = 0; i < 60; ++i) {
      if (random() % 9 == 0) state.BeginEpoch(LeaderEpoch(state.epochs().current().value() + 1));
      std::optional<ProducerStamp> producer;
      const uint32_t count = 1 + random() % 3;
      if (random() % 3 != 0) {
        const size_t id = random() % 3;
        if (random() % 8 == 0) {
          ++epochs[id];
          sequences[id] = 0;
        }
        producer = ProducerStamp{static_cast<int64_t>(id), epochs[id], sequences[id]};
        sequences[id] += count;
      }
      before.push_back(state);
      batches.push_back(BatchOf(state, count, producer, static_cast<int64_t>(random() % 1'000)));
      state.Append(batches.back());
    }
  }

  LogState state;
  std::vector<AppliedBatch> batches;
  std::vector<LogState> before;  // before each of them
};

TEST(LogState, EveryTruncationGivesTheStateThatWasThere) {
  for (uint32_t seed = 0; seed < 30; ++seed) {
    const auto [state, batches, before] = RandomLog(seed);
    for (size_t cut = 0; cut < batches.size(); ++cut) {
      LogState truncated = state;
      LogState::LookBack look_back(truncated, batches[cut].base_offset);
      for (size_t i = cut; i-- > 0 && look_back.wants_more();) look_back.Visit(batches[i]);
      truncated.Truncate(look_back, before[cut].prefix_max_timestamp_ms());
      ASSERT_EQ(truncated.end(), before[cut].end());
      ASSERT_EQ(truncated.last_append_time_ms(), before[cut].last_append_time_ms());
      ASSERT_EQ(truncated.prefix_max_timestamp_ms(), before[cut].prefix_max_timestamp_ms());
      ASSERT_EQ(truncated.epochs().starts(), before[cut].epochs().starts());
      const std::vector<ProducerState> got = truncated.producers().States();
      const std::vector<ProducerState> want = before[cut].producers().States();
      ASSERT_EQ(got.size(), want.size()) << "seed " << seed << " cut " << cut;
      for (size_t i = 0; i < got.size(); ++i) {
        ASSERT_EQ(got[i].epoch, want[i].epoch) << "seed " << seed << " cut " << cut;
        ASSERT_EQ(got[i].next_sequence, want[i].next_sequence) << "seed " << seed << " cut " << cut;
        ASSERT_EQ(got[i].batches.size(), want[i].batches.size()) << "seed " << seed << " cut " << cut;
        for (size_t b = 0; b < got[i].batches.size(); ++b) {
          ASSERT_EQ(got[i].batches[b].base_offset, want[i].batches[b].base_offset);
        }
      }
    }
  }
}

TEST(LogState, WhoeverBeginsAnewTakesWhatTheProducersSendNext) {
  for (uint32_t seed = 0; seed < 30; ++seed) {
    const auto [state, batches, before] = RandomLog(seed);
    for (size_t first = 0; first < batches.size(); ++first) {
      // Within the batch, too.
      const Offset start = batches[first].base_offset + static_cast<int64_t>(seed % 2);
      LogState copy;
      // Its leader is ahead by as many batches as a producer has in flight.
      const LogState& leader = first + 5 < batches.size() ? before[first + 5] : state;
      const std::vector<ProducerState> known = ProducersBefore(leader.producers().States(), start);
      ASSERT_TRUE(LogState::CheckReset(start, known).ok());
      copy.Reset(start, known);
      for (size_t i = start < batches[first].next_offset ? first : first + 1; i < batches.size(); ++i) {
        const AppliedBatch& batch = batches[i];
        const ProducerTable::Entry* const ahead =
            batch.producer ? leader.producers().Find(batch.producer->producer_id) : nullptr;
        // Where the leader has a later epoch, whoever sends this is no longer waited for.
        if (batch.producer && (ahead == nullptr || ahead->state.epoch <= batch.producer->epoch)) {
          const auto check = copy.producers().Check(*batch.producer, batch.next_offset - batch.base_offset);
          ASSERT_TRUE(check.ok()) << "seed " << seed << " from " << start.value() << ": " << check.status();
          ASSERT_EQ(*check, nullptr) << "seed " << seed << " from " << start.value();
        }
        copy.Append(batch);
      }
      for (const auto& [id, entry] : state.producers().entries()) {
        const ProducerTable::Entry* const copied = copy.producers().Find(id);
        ASSERT_NE(copied, nullptr);
        ASSERT_EQ(copied->state.epoch, entry.state.epoch);
        ASSERT_EQ(copied->state.next_sequence, entry.state.next_sequence);
      }
    }
  }
}

TEST(LogState, WhoeverBeginsAnewKnowsTheNewestBatchesBeforeThat) {
  LogState state;
  for (int64_t i = 0; i < 8; ++i) state.Append(BatchOf(state, 2, ProducerStamp{7, 3, 2 * i}));
  const std::vector<ProducerState> within = ProducersBefore(state.producers().States(), Offset(11));
  ASSERT_EQ(within.size(), 1u);
  EXPECT_EQ(within[0].next_sequence, 10) << "the batch at 10 is to be copied";
  EXPECT_EQ(within[0].batches.size(), 2u) << "those at 6 and 8 are remembered";
  const std::vector<ProducerState> later = ProducersBefore(state.producers().States(), Offset(4));
  ASSERT_EQ(later.size(), 1u) << "where it stood is known, as the next one that is remembered follows on it";
  EXPECT_EQ(later[0].epoch, 3);
  EXPECT_EQ(later[0].next_sequence, 6);
  EXPECT_TRUE(ProducersBefore(state.producers().States(), Offset(0)).empty());
}

LogState Rich() {
  LogState state;
  for (int32_t epoch = 0; epoch < 4; ++epoch) {
    state.BeginEpoch(LeaderEpoch(epoch));
    for (int64_t i = 0; i < 7; ++i)
      state.Append(BatchOf(state, 2, ProducerStamp{epoch % 2, epoch, 2 * i}, i * 100));
  }
  state.MoveStart(Offset(9));
  return state;
}

TEST(LogState, ComesBackFromItsBytes) {
  const LogState state = Rich();
  const std::string bytes = state.Encode();
  const absl::StatusOr<LogState> decoded = LogState::Decode(bytes);
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_EQ(decoded->Encode(), bytes);
  EXPECT_EQ(decoded->start(), state.start());
  EXPECT_EQ(decoded->end(), state.end());
  EXPECT_EQ(decoded->epochs(), state.epochs());
  EXPECT_EQ(decoded->prefix_max_timestamp_ms(), state.prefix_max_timestamp_ms());
  EXPECT_EQ(decoded->last_append_time_ms(), state.last_append_time_ms());
  EXPECT_EQ(decoded->producers().States().size(), 2u);
  EXPECT_TRUE(LogState::Decode(LogState().Encode()).ok());
}

TEST(LogState, ComesBackFromItsHeadAndItsProducersApart) {
  const LogState state = Rich();
  absl::StatusOr<LogState> decoded = LogState::DecodeHead(state.EncodeHead());
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_TRUE(decoded->producers().entries().empty());
  for (const auto& [id, entry] : state.producers().entries()) {
    ASSERT_TRUE(decoded->RestoreProducer(state.EncodeProducer(id)).ok());
  }
  EXPECT_EQ(decoded->Encode(), state.Encode());
  EXPECT_EQ(state.EncodeProducer(99), "");
}

TEST(LogState, DamagedBytesAreRefusedOrAtLeastReadSafely) {
  const std::string bytes = Rich().Encode();
  for (size_t length = 0; length < bytes.size(); ++length) {
    EXPECT_EQ(ReasonOf(LogState::Decode(bytes.substr(0, length)).status()), Reason::kCorruptData);
  }
  EXPECT_FALSE(LogState::Decode(bytes + "x").ok());
  std::mt19937 random(5);
  for (int i = 0; i < 20'000; ++i) {
    std::string damaged = bytes;
    for (int flips = 0; flips < 3; ++flips) {
      damaged[random() % damaged.size()] = static_cast<char>(random());
    }
    const absl::StatusOr<LogState> decoded = LogState::Decode(damaged);
    if (decoded.ok()) {
      EXPECT_LE(decoded->start(), decoded->end());
    }
  }
}

TEST(ProducerTable, ForgetsThoseThatHaveNotAppendedForTheLongest) {
  ProducerTable table;
  const auto count = static_cast<int64_t>(ProducerTable::kProducersMax);
  for (int64_t id = 0; id < count; ++id) table.Append({id, 0, 0}, 1, Offset(id), 0);
  for (int64_t id = 0; id < 100; ++id) table.Append({id, 0, 1}, 1, Offset(count + id), 0);
  EXPECT_EQ(table.entries().size(), ProducerTable::kProducersMax);
  table.Append({count, 0, 0}, 1, Offset(count + 100), 0);
  EXPECT_EQ(table.entries().size(),
            ProducerTable::kProducersMax + 1 - (ProducerTable::kProducersMax + 1) / 4);
  EXPECT_NE(table.Find(0), nullptr) << "it appended lately";
  EXPECT_EQ(table.Find(100), nullptr);
  EXPECT_NE(table.Find(count), nullptr);
}

TEST(ProducerTable, ForgetsExactlyThoseWhoseNewestBatchIsTooOld) {
  ProducerTable table;
  table.Append({1, 0, 0}, 1, Offset(0), 1'000);
  table.Append({2, 0, 0}, 1, Offset(1), 2'000);
  table.Append({1, 0, 1}, 1, Offset(2), 3'000);
  EXPECT_TRUE(table.Expire(2'000).empty());
  EXPECT_EQ(table.Expire(2'001), std::vector<int64_t>({2}));
  EXPECT_EQ(table.Find(2), nullptr);
  EXPECT_EQ(table.Expire(9'000), std::vector<int64_t>({1}));
  EXPECT_TRUE(table.entries().empty());
  table.Append({1, 0, 0}, 1, Offset(3), 9'000);
  EXPECT_TRUE(table.Expire(9'000).empty()) << "it begins anew";
}

TEST(ProducerTable, OneThatIsTooOldIsNotKnownAlsoBeforeItIsForgotten) {
  ProducerTable table;
  table.Append({1, 4, 0}, 1, Offset(0), 1'000);
  EXPECT_TRUE(table.Check({1, 4, 1}, 1, 1'000).ok());
  EXPECT_FALSE(table.Check({1, 4, 1}, 1, 1'001).ok());
  EXPECT_EQ(*table.Check({1, 0, 0}, 1, 1'001), nullptr) << "an older epoch too";
}

TEST(ProducerTable, WhatIsRestoredAndForgottenKeepsTheOrderOfAge) {
  ProducerTable table;
  table.Append({1, 0, 0}, 1, Offset(0), 1'000);
  table.Append({2, 0, 0}, 1, Offset(1), 2'000);
  ProducerTable::Entry entry = *table.Find(1);
  entry.state.batches.back().base_offset = Offset(5);
  entry.state.batches.back().append_time_ms = 5'000;
  table.Restore(entry);
  EXPECT_EQ(table.Expire(3'000), std::vector<int64_t>({2}));
  table.Forget(1);
  table.Forget(7);
  EXPECT_TRUE(table.Expire(INT64_MAX).empty());
}

}  // namespace
}  // namespace naru
