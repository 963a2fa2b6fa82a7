#include "services/produce/stream_order.h"

#include "gtest/gtest.h"

namespace naru::services {
namespace {

constexpr PartitionId kFirst(0);
constexpr PartitionId kSecond(1);

TEST(StreamOrderTest, ItemsOfOnePartitionShareAFenceInTheirOrder) {
  StreamOrder order;
  const auto a = order.Admit("t", kFirst);
  const auto b = order.Admit("t", kFirst);
  const auto other = order.Admit("t", kSecond);
  ASSERT_TRUE(a && b && other);
  EXPECT_EQ(a->fence, b->fence);
  EXPECT_LT(a->order, b->order);
  EXPECT_NE(a->fence, other->fence);
}

TEST(StreamOrderTest, AFailureClosesThePartitionUntilItIsResumed) {
  StreamOrder order;
  const auto a = order.Admit("t", kFirst);
  order.Done("t", kFirst, *a, true);
  EXPECT_FALSE(order.Admit("t", kFirst));
  EXPECT_TRUE(order.Admit("t", kSecond));
  EXPECT_TRUE(order.Admit("u", kFirst));
  EXPECT_EQ(order.failed_count(), 1);
  order.Resume("t", {});
  EXPECT_EQ(order.failed_count(), 0);
  EXPECT_TRUE(order.Admit("t", kFirst));
}

TEST(StreamOrderTest, ItemsBehindAFailureDoNotCloseAPartitionThatWasResumedMeanwhile) {
  StreamOrder order;
  const auto a = order.Admit("t", kFirst);
  const auto b = order.Admit("t", kFirst);
  a->fence->Fail(a->order);
  order.Done("t", kFirst, *a, true);
  order.Resume("t", {});
  const auto c = order.Admit("t", kFirst);
  ASSERT_TRUE(c);
  EXPECT_NE(c->fence, b->fence) << "the old fence stays shut for what was sent before";
  order.Done("t", kFirst, *b, true);
  EXPECT_FALSE(order.IsFailed("t", kFirst));
  order.Done("t", kFirst, *c, false);
  EXPECT_TRUE(order.Admit("t", kFirst));
}

TEST(StreamOrderTest, AResumeBeforeTheFailureIsKnownDoesNotReopenTheFence) {
  StreamOrder order;
  const auto a = order.Admit("t", kFirst);
  a->fence->Fail(a->order);
  order.Resume("t", {});
  const auto b = order.Admit("t", kFirst);
  ASSERT_TRUE(b);
  EXPECT_TRUE(b->fence->Blocks(b->order));
  order.Done("t", kFirst, *a, true);
  EXPECT_TRUE(order.IsFailed("t", kFirst));
}

TEST(StreamOrderTest, AFailedTopicIsFailedInPartitionsNotSeenYetAndResumesOneByOne) {
  StreamOrder order;
  order.FailTopic("t");
  EXPECT_TRUE(order.IsFailed("t", PartitionId(77)));
  const int32_t resumed[] = {77};
  order.Resume("t", resumed);
  EXPECT_FALSE(order.IsFailed("t", PartitionId(77)));
  EXPECT_TRUE(order.IsFailed("t", kFirst));
  order.Fail("t", PartitionId(77));
  EXPECT_TRUE(order.IsFailed("t", PartitionId(77)));
  order.Resume("t", {});
  EXPECT_FALSE(order.IsFailed("t", kFirst));
  EXPECT_EQ(order.failed_count(), 0);
}

TEST(StreamOrderTest, AFenceBlocksOnlyWhatComesAfterTheFailure) {
  AppendFence fence;
  fence.Fail(5);
  EXPECT_FALSE(fence.Blocks(4));
  EXPECT_FALSE(fence.Blocks(5));
  EXPECT_TRUE(fence.Blocks(6));
  fence.Fail(3);
  EXPECT_TRUE(fence.Blocks(4));
  fence.Fail(9);
  EXPECT_TRUE(fence.Blocks(4));
}

}  // namespace
}  // namespace naru::services
