#include "tools/cli/offset_spec.h"

#include <gtest/gtest.h>

namespace naru::cli {
namespace {

using Kind = OffsetSpec::Kind;

const absl::Time kNoon = absl::FromUnixSeconds(1'704'110'400);  // 2024-01-01T12:00:00Z

int64_t MillisecondsOf(std::string_view text) {
  const auto spec = ParseOffsetSpec(text, kNoon);
  EXPECT_TRUE(spec.ok()) << spec.status();
  if (!spec.ok()) return -1;
  EXPECT_EQ(spec->kind, Kind::kTime) << text;
  return spec->timestamp_ms;
}

TEST(OffsetSpec, NamesAndOffsets) {
  EXPECT_EQ(ParseOffsetSpec("earliest", kNoon)->kind, Kind::kEarliest);
  EXPECT_EQ(ParseOffsetSpec("latest", kNoon)->kind, Kind::kLatest);
  EXPECT_EQ(ParseOffsetSpec("end", kNoon)->kind, Kind::kLatest);
  EXPECT_EQ(*ParseOffsetSpec("2024", kNoon), (OffsetSpec{.kind = Kind::kOffset, .offset = 2024}));
}

TEST(OffsetSpec, TimesAreUtcUnlessTheySayOtherwise) {
  EXPECT_EQ(MillisecondsOf("2024-01-01"), 1'704'067'200'000);
  EXPECT_EQ(MillisecondsOf("2024-01-01T01:00:00"), 1'704'070'800'000);
  EXPECT_EQ(MillisecondsOf("2024-01-01 01:00"), 1'704'070'800'000);
  EXPECT_EQ(MillisecondsOf("2024-01-01T01:00:00.250Z"), 1'704'070'800'250);
  EXPECT_EQ(MillisecondsOf("2024-01-01T02:00:00+01:00"), 1'704'070'800'000);
  EXPECT_EQ(MillisecondsOf("@1704067200000"), 1'704'067'200'000);
}

TEST(OffsetSpec, ATimeAgoCountsFromNow) {
  EXPECT_EQ(MillisecondsOf("-1h"), absl::ToUnixMillis(kNoon) - 3'600'000);
  EXPECT_EQ(MillisecondsOf("-7d"), absl::ToUnixMillis(kNoon) - 604'800'000);
}

TEST(OffsetSpec, AnythingElseIsRefusedWithTheForms) {
  for (const char* text :
       {"", "yesterday", "-5", "-", "2024-13-01", "1x", "@", "@-1", "1969-01-01", "-1h1"}) {
    const auto spec = ParseOffsetSpec(text, kNoon);
    ASSERT_FALSE(spec.ok()) << text;
    EXPECT_NE(spec.status().message().find("earliest"), absl::string_view::npos);
  }
}

}  // namespace
}  // namespace naru::cli
