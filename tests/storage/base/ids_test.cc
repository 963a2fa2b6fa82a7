#include "storage/base/ids.h"

#include <gtest/gtest.h>

#include <sstream>
#include <type_traits>

#include "absl/container/flat_hash_set.h"

namespace naru {
namespace {

static_assert(!std::is_convertible_v<int64_t, Offset>);
static_assert(!std::is_convertible_v<Offset, int64_t>);
static_assert(!std::is_convertible_v<uint64_t, LogId>);
static_assert(!std::is_convertible_v<PartitionId, BrokerId>);

TEST(Ids, OffsetsAreComparedAndCounted) {
  EXPECT_EQ(Offset(5) + 3, Offset(8));
  EXPECT_EQ(Offset(5) - 3, Offset(2));
  EXPECT_EQ(Offset(9) - Offset(4), 5);
  EXPECT_LT(Offset(1), Offset(2));
  Offset offset;
  offset += 7;
  EXPECT_EQ(offset, Offset(7));
}

TEST(Ids, IdsAreHashedAndPrinted) {
  const absl::flat_hash_set<LogId> ids = {LogId(1), LogId(2), LogId(1)};
  EXPECT_EQ(ids.size(), 2u);
  std::ostringstream text;
  text << LogId(17) << " " << Offset(-1);
  EXPECT_EQ(text.str(), "17 -1");
  LeaderEpoch epoch(3);
  EXPECT_EQ(++epoch, LeaderEpoch(4));
}

}  // namespace
}  // namespace naru
