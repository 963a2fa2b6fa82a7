// Malformed and wrong requests to the group service: the exact code and reason of each, and a server that
// lives on, with its positions and members unchanged.
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "tests/services/group/member_stream.h"
#include "tests/services/raw_calls.h"
#include "tests/storage/batch/batch_bytes.h"

namespace naru::services {
namespace {

using batch_bytes::Bytes;
using batch_bytes::TagOf;
using batch_bytes::Varint;
using grpc::StatusCode;
using ::testing::ElementsAre;

struct Row {
  std::string what;
  std::string request;
  StatusCode code;
  std::string reason;
  // A fact that the error must carry.
  std::string key;
  std::string value;
};

constexpr StatusCode kInvalid = StatusCode::INVALID_ARGUMENT;
constexpr StatusCode kNotFound = StatusCode::NOT_FOUND;
constexpr StatusCode kFailed = StatusCode::FAILED_PRECONDITION;
const std::string kBad = "INVALID_FIELD";
constexpr uint64_t kNegative = ~uint64_t{0};
const std::string kOtherId(16, 'z');
const std::string kTooLong(250, 'x');

Row Invalid(const std::string& what, const std::string& request, const std::string& field) {
  return {what, request, kInvalid, kBad, "field", field};
}

std::string Group(const std::string& name = "kept") { return Bytes(1, name); }

// A Join's fields; the first is what most have in common.
std::string Join(const std::string& fields = "") { return Group() + Bytes(2, "t") + fields; }

// What is wrong with a Join, wherever it stands.
std::vector<Row> JoinRows() {
  return {
      Invalid("no fields", "", "join.group"),
      Invalid("no group", Bytes(2, "t"), "join.group"),
      Invalid("a group of 250 bytes", Group(kTooLong) + Bytes(2, "t"), "join.group"),
      Invalid("a group with a line break", Group("a\nb") + Bytes(2, "t"), "join.group"),
      Invalid("a group with a delete", Group("a\x7f") + Bytes(2, "t"), "join.group"),
      Invalid("a group with a control character above ASCII", Group("a\xc2\x85") + Bytes(2, "t"),
              "join.group"),
      Invalid("no topics", Group(), "join.topics"),
      Invalid("a topic without a name", Group() + Bytes(2, ""), "topic"),
      Invalid("a topic with a slash", Group() + Bytes(2, "a/b"), "topic"),
      {"a topic that does not exist", Group() + Bytes(2, "u"), kNotFound, "TOPIC_NOT_FOUND", "topic", "u"},
      {"one of two that does not exist", Join(Bytes(2, "u")), kNotFound, "TOPIC_NOT_FOUND", "topic", "u"},
      Invalid("a pattern that is none", Group() + Bytes(3, "a("), "join.topic_pattern"),
      Invalid("a pattern that looks back", Group() + Bytes(3, "(a)\\1"), "join.topic_pattern"),
      Invalid("a pattern that needs much memory", Group() + Bytes(3, "((a{100}){100}){100}"),
              "join.topic_pattern"),
      Invalid("a pattern of 1,025 bytes", Group() + Bytes(3, std::string(1'025, 'a')), "join.topic_pattern"),
      Invalid("a member_id of 250 bytes", Join(Bytes(4, kTooLong)), "join.member_id"),
      Invalid("an instance_id of 250 bytes", Join(Bytes(5, kTooLong)), "join.instance_id"),
      Invalid("start 4", Join(Varint(6, 4)), "join.start"),
      Invalid("commit_mode 4", Join(Varint(7, 4)), "join.commit_mode"),
      Invalid("delivery 3", Join(Varint(8, 3)), "delivery"),
      Invalid("a negative max_message_bytes", Join(Varint(9, kNegative)), "join.max_message_bytes"),
      Invalid("unacked_bytes_max of 1,023", Join(Varint(10, 1'023)), "join.unacked_bytes_max"),
      Invalid("unacked_bytes_max above 1 GiB", Join(Varint(10, (1ull << 30) + 1)), "join.unacked_bytes_max"),
      Invalid("a negative unacked_bytes_max", Join(Varint(10, kNegative)), "join.unacked_bytes_max"),
      Invalid("session_timeout_ms of 999", Join(Varint(11, 999)), "join.session_timeout_ms"),
      Invalid("session_timeout_ms above half an hour", Join(Varint(11, 1'800'001)),
              "join.session_timeout_ms"),
      Invalid("a negative session_timeout_ms", Join(Varint(11, kNegative)), "join.session_timeout_ms"),
      Invalid("rebalance_timeout_ms of 999", Join(Varint(12, 999)), "join.rebalance_timeout_ms"),
      Invalid("rebalance_timeout_ms above half an hour", Join(Varint(12, 1'800'001)),
              "join.rebalance_timeout_ms"),
      Invalid("progress_timeout_ms of 999", Join(Varint(13, 999)), "join.progress_timeout_ms"),
      Invalid("progress_timeout_ms above a day", Join(Varint(13, 86'400'001)), "join.progress_timeout_ms"),
      Invalid("idle_interval_ms of 99", Join(Varint(14, 99)), "join.idle_interval_ms"),
      Invalid("a negative idle_interval_ms", Join(Varint(14, kNegative)), "join.idle_interval_ms"),
      Invalid("a client_id of 250 bytes", Join(Bytes(15, kTooLong)), "join.client_id"),
  };
}

std::string JoinRequest() { return Bytes(1, Join(Bytes(4, "bad"))); }
std::string Ack(uint64_t id) { return Bytes(2, Varint(1, id)); }

std::vector<Row> PollRows() {
  const std::string named = Bytes(2, "kept") + Bytes(3, "m");
  return {
      Invalid("no message", "\xff\xff", "PollRequest"),
      Invalid("neither join nor group", "", "group"),
      Invalid("a group with a line break", Bytes(2, "\n") + Bytes(3, "m"), "group"),
      Invalid("a group of 250 bytes", Bytes(2, kTooLong) + Bytes(3, "m"), "group"),
      Invalid("no member_id", Bytes(2, "kept"), "member_id"),
      {"a member that does not poll", named, kFailed, "MEMBER_FENCED", "", ""},
      Invalid("a negative max_wait_ms", named + Varint(6, kNegative), "max_wait_ms"),
      Invalid("max_wait_ms above a minute", named + Varint(6, 60'001), "max_wait_ms"),
      Invalid("a negative max_bytes", named + Varint(7, kNegative), "max_bytes"),
      Invalid("an ack in the first call", Bytes(1, Join()) + Varint(5, 1), "acked_delivery_ids"),
      Invalid("a member_id that is not UTF-8", Bytes(2, "kept") + Bytes(3, "\xff"), "PollRequest"),
  };
}

// An OffsetCommit.
std::string Position(const std::string& topic, uint64_t partition, uint64_t offset,
                     const std::string& more = "") {
  return Bytes(1, topic) + Varint(3, partition) + Varint(4, offset) + more;
}

// What is wrong with a list of OffsetCommits.
std::vector<std::pair<Row, std::vector<std::string>>> PositionLists() {
  const auto row = [](const std::string& what, StatusCode code, const std::string& reason,
                      const std::string& key,
                      const std::string& value) { return Row{what, "", code, reason, key, value}; };
  return {
      {row("no positions", kInvalid, kBad, "field", "offsets"), {}},
      {row("a negative offset", kInvalid, kBad, "field", "offsets[0].offset"), {Position("t", 0, kNegative)}},
      {row("an offset above the end", StatusCode::OUT_OF_RANGE, "OFFSET_OUT_OF_RANGE", "high_watermark", "2"),
       {Position("t", 0, 3)}},
      {row("4,097 bytes of metadata", kInvalid, kBad, "field", "offsets[1].metadata"),
       {Position("t", 0, 1), Position("t", 1, 0, Bytes(5, std::string(4'097, 'x')))}},
      {row("partition 2 of 2", kNotFound, "PARTITION_NOT_FOUND", "partitions", "2"), {Position("t", 2, 0)}},
      {row("partition -1", kNotFound, "PARTITION_NOT_FOUND", "partitions", "2"),
       {Position("t", kNegative, 0)}},
      {row("no topic", kInvalid, kBad, "field", "topic"), {Position("", 0, 0)}},
      {row("a topic that does not exist", kNotFound, "TOPIC_NOT_FOUND", "topic", "u"), {Position("u", 0, 0)}},
      {row("a topic_id of 3 bytes", kInvalid, kBad, "field", "topic_id"),
       {Position("t", 0, 0, Bytes(2, "abc"))}},
      {row("another topic's id", kFailed, "TOPIC_ID_MISMATCH", "", ""),
       {Position("t", 0, 0, Bytes(2, kOtherId))}},
      {row("a partition twice", kInvalid, kBad, "field", "offsets[1]"),
       {Position("t", 0, 0), Position("t", 0, 0)}},
  };
}

std::vector<Row> CommitRows() {
  std::vector<Row> rows = {
      Invalid("no message", "\xff\xff", "CommitOffsetsRequest"),
      Invalid("a length past the end", Group() + TagOf(4, 2) + "\x7f", "CommitOffsetsRequest"),
      Invalid("no group", Bytes(4, Position("t", 0, 0)), "group"),
      Invalid("a group of 250 bytes", Group(kTooLong) + Bytes(4, Position("t", 0, 0)), "group"),
      {"a member that is none", Group() + Bytes(2, "nobody") + Bytes(4, Position("t", 0, 0)), kFailed,
       "MEMBER_FENCED", "", ""},
  };
  for (auto& [row, positions] : PositionLists()) {
    row.request = Group();
    for (const std::string& position : positions) row.request += Bytes(4, position);
    rows.push_back(row);
  }
  return rows;
}

std::vector<Row> ListCommittedRows() {
  return {
      Invalid("no message", "\x0a\x05t", "ListCommittedOffsetsRequest"),
      Invalid("no group", "", "group"),
      Invalid("a topic without a name", Group() + Bytes(2, ""), "topic"),
      {"a topic that does not exist", Group() + Bytes(2, "u"), kNotFound, "TOPIC_NOT_FOUND", "topic", "u"},
  };
}

std::vector<Row> LeaveRows() {
  return {
      Invalid("no message", "\xff\xff", "LeaveGroupRequest"),
      Invalid("no group", Bytes(2, "m"), "group"),
      Invalid("no member", Group(), "member"),
      Invalid("an empty member_id", Group() + Bytes(2, ""), "member"),
      Invalid("an empty instance_id", Group() + Bytes(3, ""), "member"),
  };
}

std::vector<Row> ListGroupsRows() {
  return {
      Invalid("no message", "\xff\xff", "ListGroupsRequest"),
      Invalid("a negative page_size", Varint(1, kNegative), "page_size"),
      Invalid("a token that is no token", Bytes(2, "%%%"), "page_token"),
      Invalid("a token of another list", Bytes(2, "dG9waWNzMS8vb3JkZXJz"), "page_token"),
  };
}

std::vector<Row> GroupRows(const std::string& message) {
  return {
      Invalid("no message", "\xff\xff", message),
      Invalid("no group", "", "group"),
      Invalid("a group with a zero", Group(std::string("a\0b", 3)), "group"),
      Invalid("a group of 250 bytes", Group(kTooLong), "group"),
      {"a group that there is not", Group("none"), kNotFound, "GROUP_NOT_FOUND", "", ""},
  };
}

std::vector<Row> ResetRows() {
  const auto topic = [](const std::string& fields) { return Group() + Varint(4, 0) + Bytes(2, fields); };
  return {
      Invalid("no message", "\xff\xff", "ResetOffsetsRequest"),
      Invalid("no group", Varint(4, 0), "group"),
      Invalid("no target", Group(), "target"),
      Invalid("position 3", Group() + Varint(3, 3), "position"),
      Invalid("a negative offset", Group() + Varint(4, kNegative), "offset"),
      Invalid("a topic without a name", topic(""), "topic"),
      {"a topic that does not exist", topic(Bytes(1, "u")), kNotFound, "TOPIC_NOT_FOUND", "topic", "u"},
      {"partition 2 of 2", topic(Bytes(1, "t") + Varint(2, 2)), kNotFound, "PARTITION_NOT_FOUND",
       "partitions", "2"},
      {"partition -1", topic(Bytes(1, "t") + Varint(2, kNegative)), kNotFound, "PARTITION_NOT_FOUND",
       "partitions", "2"},
      Invalid("a partition twice", topic(Bytes(1, "t") + Varint(2, 1) + Varint(2, 1)), "topics"),
      Invalid("a topic twice", topic(Bytes(1, "t")) + Bytes(2, Bytes(1, "t")), "topics"),
      {"a group that there is not, and no topics", Group("none") + Varint(4, 0), kNotFound, "GROUP_NOT_FOUND",
       "", ""},
  };
}

class BadGroupRequestsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    hub_.catalog.SetTopic("t", 2);
    hub_.Append("t", 0, {"a", "b"});
    ASSERT_EQ(hub_.Commit("kept", "t", 0, 1, "words").code, StatusCode::OK);
  }
  // The server lives, and the group is what it was.
  void TearDown() override {
    EXPECT_TRUE(WaitFor([&] { return hub_.Members("kept").empty(); }));
    EXPECT_EQ(hub_.Committed("kept", "t", 0), 1);
    EXPECT_EQ(hub_.Committed("kept", "t", 1), -1);
    naru::v1::ListGroupsResponse groups;
    EXPECT_EQ(hub_.Call(&naru::v1::GroupService::Stub::ListGroups, {}, &groups).code, StatusCode::OK);
    EXPECT_EQ(groups.groups_size(), 1) << groups.DebugString();
    MemberStream member(hub_, JoinGroup("kept", "t"));
    member.NextJoined();
    EXPECT_THAT(member.NextAssigned(), ElementsAre(0, 1));
    EXPECT_THAT(Values(member.NextDelivery().records()), ElementsAre("b"));
  }

  void Check(const Row& row, const CallEnd& end) {
    EXPECT_EQ(end.code, row.code) << row.what << ": " << end.message;
    EXPECT_EQ(end.reason, row.reason) << row.what << ": " << end.message;
    if (row.key.empty()) return;
    const auto it = end.metadata.find(row.key);
    ASSERT_NE(it, end.metadata.end()) << row.what;
    EXPECT_EQ(it->second, row.value) << row.what;
  }
  RawEnd Call(const std::string& method, const std::vector<std::string>& messages) {
    return CallRaw(hub_.channel, "/naru.v1.GroupService/" + method, messages);
  }
  void CheckAll(const std::vector<Row>& rows, const std::string& method) {
    for (const Row& row : rows) Check(row, Call(method, {row.request}).end);
  }

  GroupHub hub_;
};

TEST_F(BadGroupRequestsTest, OfConsumeJoin) {
  for (Row row : JoinRows()) {
    row.request = Bytes(1, row.request);
    Check(row, Call("Consume", {row.request}).end);
  }
}

TEST_F(BadGroupRequestsTest, OfPollJoin) {
  for (Row row : JoinRows()) {
    row.request = Bytes(1, row.request);
    Check(row, Call("Poll", {row.request}).end);
  }
  EXPECT_TRUE(WaitFor([&] { return hub_.group.Counters().pollers == 0; }));
}

TEST_F(BadGroupRequestsTest, OfConsume) {
  const std::vector<std::pair<Row, std::vector<std::string>>> rows = {
      {Invalid("no message", "", "ConsumeRequest"), {"\xff\xff"}},
      {Invalid("a group that is not UTF-8", "", "ConsumeRequest"), {Bytes(1, Group("\xff"))}},
      {Invalid("nothing at all", "", "join"), {}},
      {Invalid("an empty request first", "", "request"), {""}},
      {Invalid("an ack before join", "", "request"), {Ack(1)}},
      {Invalid("a commit before join", "", "request"), {Bytes(3, Bytes(2, Position("t", 0, 2)))}},
      {Invalid("progress before join", "", "request"), {Bytes(4, "")}},
      {Invalid("a second join", "", "join"), {JoinRequest(), JoinRequest()}},
      {Invalid("an empty request after join", "", "request"), {JoinRequest(), ""}},
      {Invalid("no message after join", "", "ConsumeRequest"), {JoinRequest(), "\xff"}},
      {Invalid("an ack of nothing", "", "ack.delivery_id"), {JoinRequest(), Ack(99)}},
      {Invalid("an ack of 0", "", "ack.delivery_id"), {JoinRequest(), Ack(0)}},
      {Invalid("an ack of -1", "", "ack.delivery_id"), {JoinRequest(), Ack(kNegative)}},
  };
  for (const auto& [row, messages] : rows) {
    Check(row, Call("Consume", messages).end);
    ASSERT_TRUE(WaitFor([&] { return hub_.Members("kept").empty(); })) << row.what;
  }
}

// On a stream what is wrong with a commit is its result, and the stream goes on.
TEST_F(BadGroupRequestsTest, OfConsumeCommits) {
  MemberStream member(hub_, JoinGroup("kept", "t"));
  member.NextJoined();
  member.NextAssigned();
  member.NextDelivery();
  int64_t commit_id = 0;
  for (const auto& [row, positions] : PositionLists()) {
    std::string commit = Varint(1, static_cast<uint64_t>(++commit_id));
    for (const std::string& position : positions) commit += Bytes(2, position);
    naru::v1::ConsumeRequest request;
    ASSERT_TRUE(request.ParseFromString(Bytes(3, commit)));
    member.Send(request);
    const naru::v1::ConsumeResponse response = member.Next();
    EXPECT_EQ(response.commit_result().commit_id(), commit_id);
    const naru::v1::Error& error = response.commit_result().error();
    CallEnd end{
        .code = static_cast<StatusCode>(error.code()), .reason = error.reason(), .message = error.message()};
    end.metadata.insert(error.metadata().begin(), error.metadata().end());
    Check(row, end);
  }
  member.HalfClose();
  EXPECT_EQ(member.End().code, StatusCode::OK);
}

TEST_F(BadGroupRequestsTest, OfPoll) { CheckAll(PollRows(), "Poll"); }
TEST_F(BadGroupRequestsTest, OfCommitOffsets) { CheckAll(CommitRows(), "CommitOffsets"); }
TEST_F(BadGroupRequestsTest, OfListCommittedOffsets) {
  CheckAll(ListCommittedRows(), "ListCommittedOffsets");
}
TEST_F(BadGroupRequestsTest, OfLeaveGroup) { CheckAll(LeaveRows(), "LeaveGroup"); }
TEST_F(BadGroupRequestsTest, OfListGroups) { CheckAll(ListGroupsRows(), "ListGroups"); }
TEST_F(BadGroupRequestsTest, OfGetGroup) { CheckAll(GroupRows("GetGroupRequest"), "GetGroup"); }
TEST_F(BadGroupRequestsTest, OfDeleteGroup) { CheckAll(GroupRows("DeleteGroupRequest"), "DeleteGroup"); }
TEST_F(BadGroupRequestsTest, OfResetOffsets) { CheckAll(ResetRows(), "ResetOffsets"); }

TEST_F(BadGroupRequestsTest, AMessageAboveGrpcsBoundIsRefusedByGrpc) {
  const std::string huge(5 << 20, 'x');
  for (const char* method : {"Consume", "Poll", "CommitOffsets", "LeaveGroup", "ResetOffsets"}) {
    EXPECT_NE(Call(method, {huge}).end.code, StatusCode::OK) << method;
  }
}

}  // namespace
}  // namespace naru::services
