// ResetOffsets: where positions go.
#include <map>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/services/group/member_stream.h"

namespace naru::services {
namespace {

using grpc::StatusCode;
using naru::v1::ResetOffsetsRequest;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::SizeIs;

// Topic "t" of 2 partitions: offsets 2 to 9 and 0 to 3, at times 1,000 + the offset.
class GroupResetTest : public ::testing::Test {
 protected:
  GroupResetTest() {
    hub_.catalog.SetTopic("t", 2);
    for (int i = 0; i < 10; ++i) hub_.Append("t", 0, {"v"}, 1'000 + i);
    for (int i = 0; i < 4; ++i) hub_.Append("t", 1, {"v"}, 1'000 + i);
    hub_.MoveLogStart("t", 0, 2);
  }

  static ResetOffsetsRequest Of(const std::vector<int>& partitions = {}) {
    ResetOffsetsRequest request;
    request.set_group("g");
    naru::v1::TopicPartitions& topic = *request.add_topics();
    topic.set_topic("t");
    for (const int partition : partitions) topic.add_partitions(partition);
    return request;
  }
  CallEnd Reset(const ResetOffsetsRequest& request) {
    return hub_.Call(&naru::v1::GroupService::Stub::ResetOffsets, request, &response_);
  }
  // Of each partition that moved: where to.
  std::map<int, int64_t> Moved(const ResetOffsetsRequest& request) {
    response_.Clear();
    const CallEnd end = Reset(request);
    EXPECT_EQ(end.code, StatusCode::OK) << end.message;
    std::map<int, int64_t> moved;
    for (const naru::v1::OffsetReset& reset : response_.offsets()) {
      EXPECT_EQ(reset.topic(), "t");
      moved[reset.partition()] = reset.after_offset();
    }
    return moved;
  }

  GroupHub hub_;
  naru::v1::ResetOffsetsResponse response_;
};

TEST_F(GroupResetTest, ToTheEnds) {
  ResetOffsetsRequest request = Of();
  request.set_position(naru::v1::POSITION_LATEST);
  EXPECT_THAT(Moved(request), ElementsAre(Pair(0, 10), Pair(1, 4)));
  EXPECT_FALSE(response_.offsets(0).has_before_offset());
  EXPECT_EQ(hub_.Committed("g", "t", 0), 10);
  request.set_position(naru::v1::POSITION_EARLIEST);
  EXPECT_THAT(Moved(request), ElementsAre(Pair(0, 2), Pair(1, 0)));
  EXPECT_EQ(response_.offsets(0).before_offset(), 10);
  EXPECT_EQ(hub_.Committed("g", "t", 0), 2);
  EXPECT_EQ(hub_.Committed("g", "t", 1), 0);
}

TEST_F(GroupResetTest, ToAnOffsetWithinEachLog) {
  ResetOffsetsRequest request = Of();
  request.set_offset(6);
  EXPECT_THAT(Moved(request), ElementsAre(Pair(0, 6), Pair(1, 4)));
  request.set_offset(1);
  EXPECT_THAT(Moved(request), ElementsAre(Pair(0, 2), Pair(1, 1)));
  request.set_offset(INT64_MAX);
  EXPECT_THAT(Moved(request), ElementsAre(Pair(0, 10), Pair(1, 4)));
}

TEST_F(GroupResetTest, ToATimeOrTheEndWhereNothingIsAsLate) {
  ResetOffsetsRequest request = Of();
  request.set_timestamp_ms(1'003);
  EXPECT_THAT(Moved(request), ElementsAre(Pair(0, 3), Pair(1, 3)));
  request.set_timestamp_ms(1'005);
  EXPECT_THAT(Moved(request), ElementsAre(Pair(0, 5), Pair(1, 4)));
  request.set_timestamp_ms(0);
  EXPECT_THAT(Moved(request), ElementsAre(Pair(0, 2), Pair(1, 0)));
}

TEST_F(GroupResetTest, BySomeRecordsFromTheCommittedPositionOrTheLogsStart) {
  ASSERT_EQ(hub_.Commit("g", "t", 0, 5).code, StatusCode::OK);
  ResetOffsetsRequest request = Of();
  request.set_shift(2);
  EXPECT_THAT(Moved(request), ElementsAre(Pair(0, 7), Pair(1, 2)));
  request.set_shift(-1);
  EXPECT_THAT(Moved(request), ElementsAre(Pair(0, 6), Pair(1, 1)));
  request.set_shift(INT64_MAX);
  EXPECT_THAT(Moved(request), ElementsAre(Pair(0, 10), Pair(1, 4)));
  request.set_shift(INT64_MIN);
  EXPECT_THAT(Moved(request), ElementsAre(Pair(0, 2), Pair(1, 0)));
}

TEST_F(GroupResetTest, NamedPartitionsOnlyOrThoseThatAreCommitted) {
  ResetOffsetsRequest request = Of({1});
  request.set_offset(3);
  EXPECT_THAT(Moved(request), ElementsAre(Pair(1, 3)));
  EXPECT_EQ(hub_.Committed("g", "t", 0), -1);
  request.clear_topics();
  request.set_offset(1);
  EXPECT_THAT(Moved(request), ElementsAre(Pair(1, 1)));
  EXPECT_EQ(hub_.Committed("g", "t", 0), -1);
}

TEST_F(GroupResetTest, ADryRunMovesNothing) {
  ResetOffsetsRequest request = Of();
  request.set_offset(3);
  request.set_dry_run(true);
  EXPECT_THAT(Moved(request), ElementsAre(Pair(0, 3), Pair(1, 3)));
  naru::v1::ListGroupsResponse groups;
  EXPECT_EQ(hub_.Call(&naru::v1::GroupService::Stub::ListGroups, {}, &groups).code, StatusCode::OK);
  EXPECT_THAT(groups.groups(), IsEmpty()) << "nor is the group made";
  ASSERT_EQ(hub_.Commit("g", "t", 0, 5).code, StatusCode::OK);
  EXPECT_THAT(Moved(request), ElementsAre(Pair(0, 3), Pair(1, 3)));
  EXPECT_EQ(response_.offsets(0).before_offset(), 5);
  EXPECT_EQ(hub_.Committed("g", "t", 0), 5);
}

TEST_F(GroupResetTest, AGroupThatIsNotThereIsMadeWhereTopicsAreNamedOnly) {
  ResetOffsetsRequest request = Of();
  request.clear_topics();
  request.set_offset(3);
  const CallEnd end = Reset(request);
  EXPECT_EQ(end.code, StatusCode::NOT_FOUND);
  EXPECT_EQ(end.reason, "GROUP_NOT_FOUND");
  request = Of();
  request.set_offset(3);
  EXPECT_THAT(Moved(request), SizeIs(2));
  EXPECT_EQ(hub_.Describe("g").state(), naru::v1::GROUP_STATE_EMPTY);
}

TEST_F(GroupResetTest, AGroupWithMembersIsNotReset) {
  MemberStream member(hub_, JoinGroup("g", "t"));
  member.NextJoined();
  ResetOffsetsRequest request = Of();
  request.set_offset(3);
  const CallEnd end = Reset(request);
  EXPECT_EQ(end.code, StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(end.reason, "GROUP_NOT_EMPTY");
  EXPECT_EQ(hub_.Committed("g", "t", 0), -1);
}

TEST_F(GroupResetTest, AMemberBeginsWhereItWasResetTo) {
  ResetOffsetsRequest request = Of({0});
  request.set_offset(8);
  EXPECT_THAT(Moved(request), SizeIs(1));
  naru::v1::Join join = JoinGroup("g", "t");
  join.set_start(naru::v1::START_POLICY_LATEST);
  MemberStream member(hub_, join);
  member.NextJoined();
  member.NextAssigned();
  EXPECT_EQ(member.NextDelivery().records(0).offset(), 8);
}

TEST_F(GroupResetTest, APartitionThatIsNamedTwiceIsMovedByNeither) {
  for (const bool by_whole_topic : {false, true}) {
    ResetOffsetsRequest request = Of(by_whole_topic ? std::vector<int>{1} : std::vector<int>{0, 0});
    if (by_whole_topic) request.add_topics()->set_topic("t");
    request.set_offset(3);
    EXPECT_EQ(Reset(request).reason, "INVALID_FIELD");
    EXPECT_EQ(hub_.Committed("g", "t", 0), -1);
  }
}

}  // namespace
}  // namespace naru::services
