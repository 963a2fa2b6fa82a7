#include "cluster/group/group_record.h"

#include <gtest/gtest.h>

#include "naru/internal/v1/group.pb.h"
#include "storage/base/status.h"

namespace naru::cluster {
namespace {

TopicId TopicOf(char letter) {
  TopicId id;
  id.fill(letter);
  return id;
}

std::vector<GroupRecord> EveryKind() {
  MemberRow member{.member_id = "m",
                   .instance_id = "i",
                   .client = "a client",
                   .epoch = 7,
                   .session_timeout_ms = 45'000,
                   .rebalance_timeout_ms = 60'000,
                   .subscription = {{"a", "b"}, "c.*"},
                   .attempt = {0xf000'0000'0000'0001, 3},
                   .owned = {{TopicOf('a'), 0}, {TopicOf('a'), 3}, {TopicOf('b'), 1}}};
  return {GroupRow{5, 1'795'205'456'261},
          GroupRow{},
          GroupGone{},
          member,
          MemberRow{.member_id = "n"},
          MemberGone{"m"},
          OffsetRow{{TopicOf('a'), 2}, {12, "of mine", 99}},
          OffsetRow{},
          OffsetGone{{TopicOf('a'), 2}}};
}

TEST(GroupRecordTest, EveryKindIsReadAsItWasWritten) {
  for (const GroupRecord& record : EveryKind()) {
    const EncodedGroupRecord encoded = EncodeGroupRecord("g", record);
    const auto decoded = DecodeGroupRecord(encoded.key, encoded.value);
    ASSERT_TRUE(decoded.ok()) << decoded.status();
    ASSERT_TRUE(decoded->has_value());
    EXPECT_EQ((*decoded)->group, "g");
    EXPECT_EQ((*decoded)->record, record);
  }
}

TEST(GroupRecordTest, ATombstoneHasTheKeyOfWhatItRemoves) {
  EXPECT_EQ(EncodeGroupRecord("g", GroupRow{1, 2}).key, EncodeGroupRecord("g", GroupGone{}).key);
  EXPECT_EQ(EncodeGroupRecord("g", MemberRow{.member_id = "m", .epoch = 3}).key,
            EncodeGroupRecord("g", MemberGone{"m"}).key);
  EXPECT_EQ(EncodeGroupRecord("g", OffsetRow{{TopicOf('a'), 2}, {5, "", 0}}).key,
            EncodeGroupRecord("g", OffsetGone{{TopicOf('a'), 2}}).key);
  EXPECT_NE(EncodeGroupRecord("g", MemberGone{"m"}).key, EncodeGroupRecord("h", MemberGone{"m"}).key);
}

TEST(GroupRecordTest, ARowOfALaterVersionIsNothing) {
  naru::internal::v1::GroupKey key;
  key.set_group("g");
  const auto decoded = DecodeGroupRecord(key.SerializeAsString(), "anything");
  ASSERT_TRUE(decoded.ok());
  EXPECT_FALSE(decoded->has_value());
}

TEST(GroupRecordTest, WhatIsNoRowIsCorrupt) {
  const EncodedGroupRecord offset = EncodeGroupRecord("g", OffsetRow{{TopicOf('a'), 2}, {5, "", 0}});
  EXPECT_EQ(ReasonOf(DecodeGroupRecord("\xff", "").status()), Reason::kCorruptData);
  EXPECT_EQ(ReasonOf(DecodeGroupRecord(offset.key, "\xff").status()), Reason::kCorruptData);
  naru::internal::v1::GroupKey key;
  key.set_group("g");
  key.mutable_offset()->set_topic_id("short");
  EXPECT_EQ(ReasonOf(DecodeGroupRecord(key.SerializeAsString(), std::nullopt).status()),
            Reason::kCorruptData);
}

}  // namespace
}  // namespace naru::cluster
