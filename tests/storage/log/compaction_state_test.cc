#include "storage/log/compaction_state.h"

#include <gtest/gtest.h>

#include <string>

namespace naru {
namespace {

constexpr int64_t kRetentionMs = 8'000;
constexpr int64_t kStepMs = kRetentionMs / 8;

// A pass that ends at `to`, with a byte for each offset.
void EndPass(CompactionState& state, int64_t to, int64_t now_ms, Offset due_below = Offset(0),
             int64_t retention_ms = kRetentionMs) {
  state.EndPass(Offset(to), to, /*tombstones_left=*/1, now_ms, retention_ms, due_below);
}

TEST(CompactionState, TombstonesAreDueWhenAllTheRetentionTimeHasPassedSinceTheirPass) {
  CompactionState state;
  EXPECT_FALSE(state.ever());
  EXPECT_EQ(state.TombstonesDueBelow(INT64_MAX, 0), Offset(0)) << "nothing was ever gone over";
  EndPass(state, 10, 100'001);
  EXPECT_TRUE(state.ever());
  EndPass(state, 20, 104'000);
  const int64_t first_ms = 100'001 + kRetentionMs;
  EXPECT_EQ(state.TombstonesDueBelow(first_ms - 1, kRetentionMs), Offset(0));
  EXPECT_EQ(state.TombstonesDueBelow(first_ms + kStepMs, kRetentionMs), Offset(10));
  EXPECT_EQ(state.TombstonesDueBelow(104'000 + kRetentionMs - 1, kRetentionMs), Offset(10));
  EXPECT_EQ(state.TombstonesDueBelow(104'000 + kRetentionMs, kRetentionMs), Offset(20));
}

TEST(CompactionState, NoTombstoneIsDueEarlyHoweverPassesFollowEachOther) {
  CompactionState state;
  for (int64_t pass = 1; pass <= 1'000; ++pass) {
    const int64_t now_ms = 100'000 + 37 * pass;
    const Offset due = state.TombstonesDueBelow(now_ms, kRetentionMs);
    // What was clean up to `due` was so a retention time ago: pass p reached offset p.
    EXPECT_LE(due.value() * 37 + 100'000 + kRetentionMs, now_ms + (due == Offset(0) ? 1'000'000 : 0));
    EndPass(state, pass, now_ms, due);
    ASSERT_LE(state.horizons.size(), 10u) << "an eighth apart";
    ASSERT_EQ(state.horizons.back().below, state.clean_to) << "the last covers what is clean";
  }
}

TEST(CompactionState, APassThatBringsNothingNewLeavesTheHorizonsToTheirTime) {
  CompactionState state;
  EndPass(state, 10, 100'000);
  const auto horizons = state.horizons;
  EndPass(state, 10, 101'000);
  EXPECT_EQ(state.horizons, horizons);
  EndPass(state, 10, 110'000, /*due_below=*/Offset(10));
  EXPECT_TRUE(state.horizons.empty()) << "of what is below no tombstone is left";
  EXPECT_EQ(state.last_pass_ms, 110'000);
}

TEST(CompactionState, AShortenedRetentionTimeMakesNoMoreHorizonsThanFit) {
  CompactionState state;
  for (int64_t pass = 1; pass <= 100; ++pass) {
    EndPass(state, pass, 100'000 + pass, Offset(0), /*retention_ms=*/8);
    ASSERT_LE(state.horizons.size(), CompactionState::kHorizonsMax);
    ASSERT_EQ(state.horizons.back().below, Offset(pass));
    ASSERT_GE(state.horizons.back().at_ms, 100'000 + pass);
  }
  EXPECT_TRUE(CompactionState::Decode(state.Encode()).ok());
}

TEST(CompactionState, ALongerRetentionTimeBringsNoHorizonForward) {
  CompactionState state;
  EndPass(state, 10, 100'001, Offset(0), /*retention_ms=*/1'000'000'000);
  EndPass(state, 20, 100'002, Offset(0), /*retention_ms=*/8);
  ASSERT_FALSE(state.horizons.empty());
  for (size_t i = 1; i < state.horizons.size(); ++i) {
    EXPECT_LT(state.horizons[i - 1].below, state.horizons[i].below);
    EXPECT_LT(state.horizons[i - 1].at_ms, state.horizons[i].at_ms);
  }
  EXPECT_EQ(state.horizons.back().below, Offset(20));
}

TEST(CompactionState, ATruncationTakesBackWhatLiesAbove) {
  CompactionState state;
  EndPass(state, 10, 100'000);
  EndPass(state, 20, 110'000);
  EndPass(state, 30, 120'000);
  CompactionState cut = state;
  cut.Truncate(Offset(15), 14);
  EXPECT_EQ(cut.clean_to, Offset(15));
  EXPECT_EQ(cut.clean_bytes, 14);
  ASSERT_EQ(cut.horizons.size(), 2u);
  EXPECT_EQ(cut.horizons[0], state.horizons[0]);
  EXPECT_EQ(cut.horizons[1], (CompactionState::Horizon{Offset(15), state.horizons[1].at_ms}));
  cut.Truncate(Offset(0), 0);
  EXPECT_TRUE(cut.horizons.empty());
  EXPECT_EQ(cut.clean_to, Offset(0));
  CompactionState above = state;
  above.Truncate(Offset(40), 40);
  EXPECT_EQ(above, state);
}

TEST(CompactionState, ComesBackAsItWasWrittenAndFromNothingElse) {
  CompactionState state;
  EndPass(state, 10, 100'000);
  EndPass(state, 20, 110'000);
  state.tombstones = 7;
  const std::string bytes = state.Encode();
  const auto decoded = CompactionState::Decode(bytes);
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_EQ(*decoded, state);
  for (size_t length = 0; length < bytes.size(); ++length) {
    EXPECT_FALSE(CompactionState::Decode(bytes.substr(0, length)).ok()) << length;
  }
  EXPECT_FALSE(CompactionState::Decode(bytes + '\0').ok());
  std::string other = bytes;
  other[0] = 2;
  EXPECT_FALSE(CompactionState::Decode(other).ok()) << "of another version";
}

}  // namespace
}  // namespace naru
