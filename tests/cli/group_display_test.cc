// What the group commands show: tables, rows of __consumer_offsets, and the screen that is painted again.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "naru/internal/v1/group.pb.h"
#include "tools/cli/group_row_text.h"
#include "tools/cli/group_tables.h"
#include "tools/cli/partition_list.h"
#include "tools/cli/screen.h"

namespace naru::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

naru::v1::GroupPartition* AddPartition(naru::v1::Group& group, const std::string& topic, int partition,
                                       const std::string& member, int64_t lag) {
  auto* added = group.add_partitions();
  added->set_topic(topic);
  added->set_partition(partition);
  added->set_member_id(member);
  added->set_high_watermark(20);
  added->set_lag(lag);
  return added;
}

naru::v1::Group SomeGroup() {
  naru::v1::Group group;
  group.set_group("billing");
  group.set_state(naru::v1::GROUP_STATE_RECONCILING);
  group.set_epoch(5);
  auto* member = group.add_members();
  member->set_member_id("m-1");
  member->set_client("naru consume 127.0.0.1:5");
  member->set_member_epoch(4);
  member = group.add_members();
  member->set_member_id("m-2");
  member->set_instance_id("billing-2");
  member->set_away(true);
  auto* partition = AddPartition(group, "orders", 0, "m-1", 3);
  partition->set_committed_offset(17);
  partition->set_commit_time_ms(1'704'067'200'005);
  AddPartition(group, "orders", 1, "m-1", 20)->set_revoking(true);
  AddPartition(group, "orders", 2, "", 0)->set_committed_offset(20);
  return group;
}

TEST(GroupTables, ADescriptionShowsMembersAndPositionsAndTheLagInAll) {
  EXPECT_EQ(GroupDescription(SomeGroup()),
            "group      billing\n"
            "state      reconciling\n"
            "epoch      5\n"
            "members    2\n"
            "total lag  23\n"
            "\n"
            "MEMBER  INSTANCE   CLIENT                    EPOCH  STATE  PARTITIONS\n"
            "m-1     -          naru consume 127.0.0.1:5      4  here   orders/0,1\n"
            "m-2     billing-2  -                             0  away   -\n"
            "\n"
            "TOPIC   PARTITION  COMMITTED  START  END  LAG  COMMITTED AT              MEMBER\n"
            "orders          0         17      0   20    3  2024-01-01T00:00:00.005Z  m-1\n"
            "orders          1          -      0   20   20  -                         m-1 (moving)\n"
            "orders          2         20      0   20    0  1970-01-01T00:00:00.000Z  -\n");
}

TEST(GroupTables, AGroupFitsInALine) {
  EXPECT_EQ(GroupLine(SomeGroup(), absl::FromUnixSeconds(1'704'067'200)),
            "2024-01-01T00:00:00.000Z billing reconciling, 2 members, 3 partitions, lag 23\n");
}

TEST(GroupTables, ListsAndResetsAreTables) {
  EXPECT_EQ(GroupListTable({}), "no groups\n");
  naru::v1::GroupSummary summary;
  summary.set_group("billing");
  summary.set_state(naru::v1::GROUP_STATE_STABLE);
  summary.set_member_count(3);
  EXPECT_EQ(GroupListTable({summary}), "GROUP    STATE   MEMBERS\nbilling  stable        3\n");
  naru::v1::ResetOffsetsResponse response;
  auto* reset = response.add_offsets();
  reset->set_topic("orders");
  reset->set_after_offset(9);
  EXPECT_EQ(OffsetResetTable(response),
            "TOPIC   PARTITION  BEFORE  AFTER\norders          0       -      9\n");
}

TEST(GroupTables, AStateOfANewerBrokerIsShownAsUnknown) {
  EXPECT_EQ(GroupStateText(naru::v1::GROUP_STATE_EMPTY), "empty");
  EXPECT_EQ(GroupStateText(static_cast<naru::v1::GroupState>(99)), "unknown");
}

TEST(PartitionRanges, JoinThreeOrMoreInARow) {
  EXPECT_EQ(PartitionRanges({}), "");
  EXPECT_EQ(PartitionRanges({4}), "4");
  EXPECT_EQ(PartitionRanges({0, 1}), "0,1");
  EXPECT_EQ(PartitionRanges({0, 1, 2, 5, 7, 8, 9, 10, 12}), "0-2,5,7-10,12");
}

class GroupRowTextTest : public ::testing::Test {
 protected:
  static constexpr const char* kId = "0123456789abcdef";
  std::string Shown(const naru::internal::v1::GroupKey& key, const google::protobuf::Message* value) {
    naru::v1::Record record;
    record.set_key(key.SerializeAsString());
    if (value != nullptr) record.set_value(value->SerializeAsString());
    const naru::v1::Record shown = text_.Show(record);
    return shown.key() + ": " + shown.value();
  }
  GroupRowText text_{{{kId, "orders"}}};
};

TEST_F(GroupRowTextTest, EachKindOfRowIsALine) {
  naru::internal::v1::GroupKey key;
  key.set_group("billing");
  key.set_state(true);
  naru::internal::v1::GroupValue state;
  state.set_epoch(5);
  EXPECT_EQ(Shown(key, &state), "group billing: epoch 5, has members");
  state.set_empty_since_ms(1'704'067'200'000);
  EXPECT_EQ(Shown(key, &state), "group billing: epoch 5, empty since 2024-01-01T00:00:00.000Z");

  key.set_member_id("m-1");
  naru::internal::v1::MemberValue member;
  member.set_epoch(4);
  member.set_client("c");
  member.add_topics("orders");
  auto* owned = member.add_owned();
  owned->set_topic_id(kId);
  for (int partition : {0, 1, 2}) owned->add_partitions(partition);
  EXPECT_EQ(Shown(key, &member),
            "group billing, member m-1: epoch 4, client c, topics orders, owns orders/0-2");

  key.mutable_offset()->set_topic_id(kId);
  key.mutable_offset()->set_partition(3);
  naru::internal::v1::OffsetValue offset;
  offset.set_offset(17);
  offset.set_commit_time_ms(1'704'067'200'000);
  EXPECT_EQ(Shown(key, &offset), "group billing, orders/3: offset 17, committed 2024-01-01T00:00:00.000Z");
  offset.set_metadata("two\nlines");
  EXPECT_THAT(Shown(key, &offset), HasSubstr("metadata \"two\\nlines\""));
  EXPECT_EQ(Shown(key, nullptr), "group billing, orders/3: gone");
  key.mutable_offset()->set_topic_id("\xff");
  EXPECT_EQ(Shown(key, nullptr), "group billing, ff/3: gone");
}

TEST_F(GroupRowTextTest, WhatIsNoSuchRowStaysAsItIs) {
  naru::v1::Record record;
  for (const char* key : {"", "plain text",
                          "\n\x07"
                          "billing"}) {
    record.set_key(key);
    record.set_value("v");
    EXPECT_EQ(text_.Show(record).key(), key);
    EXPECT_EQ(text_.Show(record).value(), "v");
  }
}

TEST(Screen, AFrameIsPaintedOverTheLastAndFitsTheTerminal) {
  const std::string frame = RenderFrame("a\nlöng line\nc\n", 24, 3);
  EXPECT_THAT(frame, HasSubstr("\x1b[Ha\x1b[K\r\nlön\x1b[K\r\nc\x1b[K\x1b[J"));
  const std::string cut = RenderFrame("1\n2\n3\n4\n5\n", 3, 80);
  EXPECT_THAT(cut, HasSubstr("2\x1b[K\r\n... 3 more lines"));
  EXPECT_THAT(cut, Not(HasSubstr("4")));
}

}  // namespace
}  // namespace naru::cli
