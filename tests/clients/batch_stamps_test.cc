#include "clients/cpp/batch_stamps.h"

#include <gtest/gtest.h>

namespace naru::client {
namespace {

using Loss = BatchStamps::Loss;

TEST(BatchStamps, SequencesCountRecords) {
  BatchStamps stamps(7);
  EXPECT_EQ(stamps.Take(3), (ProducerStamp{7, 0, 0}));
  EXPECT_EQ(stamps.Take(1), (ProducerStamp{7, 0, 3}));
  EXPECT_EQ(stamps.Take(2), (ProducerStamp{7, 0, 4}));
  EXPECT_FALSE(stamps.unsettled());
}

TEST(BatchStamps, WhatWasSurelyNotAppendedLeavesNoGap) {
  BatchStamps stamps(7);
  stamps.Take(3);
  const ProducerStamp lost = stamps.Take(1);
  const ProducerStamp behind = stamps.Take(2);
  stamps.GiveUp(lost, Loss::kNotAppended);
  EXPECT_TRUE(stamps.unsettled());
  EXPECT_FALSE(stamps.NeedsNewStamp({ProducerStamp{7, 0, 0}, false})) << "it came before";
  EXPECT_TRUE(stamps.NeedsNewStamp({behind, false}));
  EXPECT_FALSE(stamps.NeedsNewStamp({std::nullopt, false})) << "it has none yet";
  stamps.Settle(false);
  EXPECT_EQ(stamps.Take(2), (ProducerStamp{7, 0, 3}));
}

TEST(BatchStamps, WhenTheBrokerMayStillHaveOneBehindTheGapTheNextEpochShutsItOut) {
  BatchStamps stamps(7);
  const ProducerStamp lost = stamps.Take(1);
  const ProducerStamp behind = stamps.Take(2);
  stamps.GiveUp(lost, Loss::kNotAppended);
  EXPECT_TRUE(stamps.NeedsNewStamp({behind, true}));
  stamps.Settle(true);
  EXPECT_EQ(stamps.Take(2), (ProducerStamp{7, 1, 0}));
}

TEST(BatchStamps, BehindAnUnknownOutcomeWhatWasNeverSentBeginsAnewAndTheRestKeepsItsStamp) {
  BatchStamps stamps(7);
  const ProducerStamp lost = stamps.Take(1);
  const ProducerStamp maybe = stamps.Take(1);
  const ProducerStamp surely_not = stamps.Take(1);
  stamps.GiveUp(lost, Loss::kUnknown);
  EXPECT_FALSE(stamps.NeedsNewStamp({maybe, true}));
  EXPECT_TRUE(stamps.NeedsNewStamp({surely_not, false}));
  stamps.Settle(false);
  EXPECT_EQ(stamps.Take(1), (ProducerStamp{7, 1, 0}));
  // The one of the old epoch fails too: nothing more is to be closed.
  stamps.GiveUp(maybe, Loss::kOutOfOrder);
  EXPECT_FALSE(stamps.unsettled());
  EXPECT_EQ(stamps.Take(1), (ProducerStamp{7, 1, 1}));
}

TEST(BatchStamps, OfSeveralThatAreGivenUpTheFirstCounts) {
  BatchStamps stamps(7);
  stamps.Take(1);
  const ProducerStamp first = stamps.Take(1);
  const ProducerStamp second = stamps.Take(1);
  stamps.GiveUp(second, Loss::kNotAppended);
  stamps.GiveUp(first, Loss::kNotAppended);
  stamps.Settle(false);
  EXPECT_EQ(stamps.Take(1), (ProducerStamp{7, 0, 1}));
}

TEST(BatchStamps, OutOfOrderBeginsAnewAlsoForWhatWasSentBehind) {
  BatchStamps stamps(7);
  const ProducerStamp lost = stamps.Take(1);
  const ProducerStamp behind = stamps.Take(1);
  stamps.GiveUp(lost, Loss::kOutOfOrder);
  EXPECT_TRUE(stamps.NeedsNewStamp({behind, true}));
  stamps.Settle(true);
  EXPECT_EQ(stamps.Take(1), (ProducerStamp{7, 1, 0}));
}

TEST(BatchStamps, AFencedProducerNeverRaisesItsEpoch) {
  BatchStamps stamps(7);
  const ProducerStamp fenced = stamps.Take(1);
  stamps.GiveUp(fenced, Loss::kFenced);
  stamps.Settle(true);
  EXPECT_EQ(stamps.Take(1), (ProducerStamp{7, 0, 0}));
  stamps.GiveUp({7, 0, 0}, Loss::kUnknown);
  stamps.Settle(false);
  EXPECT_EQ(stamps.Take(1).epoch, 0);
}

}  // namespace
}  // namespace naru::client
