// Members that poll.
#include <algorithm>
#include <atomic>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/services/group/member_stream.h"

namespace naru::services {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// One member that polls; what it was told goes into its next call.
class Poller {
 public:
  explicit Poller(GroupHub& hub) : hub_(hub) {}

  // The first call: joins.
  CallEnd Join(const naru::v1::Join& join, int max_wait_ms = 0) {
    naru::v1::PollRequest request;
    *request.mutable_join() = join;
    request.set_max_wait_ms(max_wait_ms);
    group_ = join.group();
    return Call(request);
  }
  // Acknowledges all that came.
  CallEnd Poll(int max_wait_ms = 0, int max_bytes = 0) {
    naru::v1::PollRequest request = Next();
    for (const auto& delivery : answer.deliveries()) request.add_acked_delivery_ids(delivery.delivery_id());
    request.set_max_wait_ms(max_wait_ms);
    request.set_max_bytes(max_bytes);
    return Call(request);
  }
  // Without acks.
  naru::v1::PollRequest Next() const {
    naru::v1::PollRequest request;
    request.set_group(group_);
    request.set_member_id(answer.member_id());
    request.set_member_epoch(answer.member_epoch());
    return request;
  }
  CallEnd Call(const naru::v1::PollRequest& request) {
    naru::v1::PollResponse response;
    const CallEnd end = hub_.Call(&naru::v1::GroupService::Stub::Poll, request, &response);
    if (end.code == grpc::StatusCode::OK) answer = response;
    return end;
  }
  std::vector<std::string> values() const {
    std::vector<std::string> all;
    for (const auto& delivery : answer.deliveries()) {
      for (const std::string& value : Values(delivery.records())) all.push_back(value);
    }
    return all;
  }

  naru::v1::PollResponse answer;

 private:
  GroupHub& hub_;
  std::string group_;
};

naru::v1::Join JoinAs(const std::string& member_id) {
  naru::v1::Join join = JoinGroup("g", "t");
  join.set_member_id(member_id);
  return join;
}

class PollTest : public ::testing::Test {
 protected:
  PollTest() { hub_.catalog.SetTopic("t", 2); }

  bool PollsAre(int64_t polls) {
    return WaitFor([&] { return hub_.group.Counters().polls == polls; });
  }

  GroupHub hub_;
  Poller poller_{hub_};
};

TEST_F(PollTest, AWholeCycle) {
  hub_.Append("t", 0, {"a", "b"});
  hub_.Append("t", 1, {"c"});
  ASSERT_EQ(poller_.Join(JoinGroup("g", "t")).code, grpc::StatusCode::OK);
  EXPECT_NE(poller_.answer.member_id(), "");
  EXPECT_GT(poller_.answer.member_epoch(), 0);
  EXPECT_THAT(hub_.Members("g"), ElementsAre(poller_.answer.member_id()));
  std::vector<std::string> values = poller_.values();
  int assigned = poller_.answer.assigned_size();
  // The assignment may come with the next call.
  while (values.size() < 3) {
    ASSERT_EQ(poller_.Poll(1'000).code, grpc::StatusCode::OK);
    assigned += poller_.answer.assigned_size();
    for (const std::string& value : poller_.values()) values.push_back(value);
  }
  EXPECT_EQ(assigned, 2);
  std::sort(values.begin(), values.end());
  EXPECT_THAT(values, ElementsAre("a", "b", "c"));
  ASSERT_EQ(poller_.Poll().code, grpc::StatusCode::OK);
  EXPECT_THAT(poller_.answer.deliveries(), IsEmpty());
  EXPECT_TRUE(WaitFor([&] { return hub_.Committed("g", "t", 0) == 2 && hub_.Committed("g", "t", 1) == 1; }));
}

TEST_F(PollTest, ACallWaitsForRecordsAndIsAnsweredWhenTheyCome) {
  ASSERT_EQ(poller_.Join(JoinGroup("g", "t")).code, grpc::StatusCode::OK);
  CallEnd end;
  std::thread waiting([&] { end = poller_.Poll(60'000); });
  EXPECT_TRUE(PollsAre(2));
  hub_.Append("t", 1, {"v"});
  waiting.join();
  EXPECT_EQ(end.code, grpc::StatusCode::OK);
  EXPECT_THAT(poller_.values(), ElementsAre("v"));
}

TEST_F(PollTest, AWaitThatIsOverIsAnEmptyAnswer) {
  ASSERT_EQ(poller_.Join(JoinGroup("g", "t"), 50).code, grpc::StatusCode::OK);
  EXPECT_THAT(poller_.answer.assigned(), SizeIs(2));
  ASSERT_EQ(poller_.Poll(50).code, grpc::StatusCode::OK);
  EXPECT_THAT(poller_.answer.deliveries(), IsEmpty());
  EXPECT_THAT(poller_.answer.assigned(), IsEmpty()) << "since the last call";
}

TEST_F(PollTest, AWaitEndsBeforeTheCallsDeadline) {
  ASSERT_EQ(poller_.Join(JoinGroup("g", "t")).code, grpc::StatusCode::OK);
  naru::v1::PollRequest request = poller_.Next();
  request.set_max_wait_ms(60'000);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(1));
  naru::v1::PollResponse response;
  EXPECT_TRUE(hub_.member->Poll(&context, request, &response).ok());
}

TEST_F(PollTest, AnAnswerIsFullOnceItHasAsManyBytesAsAreWanted) {
  ASSERT_EQ(poller_.Join(JoinGroup("g", "t")).code, grpc::StatusCode::OK);
  for (int i = 0; i < 3; ++i) {
    hub_.Append("t", 0, {"a"});
    hub_.Append("t", 1, {"b"});
  }
  ASSERT_EQ(poller_.Poll(10'000, 1).code, grpc::StatusCode::OK);
  EXPECT_THAT(poller_.answer.deliveries(), SizeIs(1));
  ASSERT_EQ(poller_.Poll(10'000, 1).code, grpc::StatusCode::OK);
  EXPECT_THAT(poller_.answer.deliveries(), SizeIs(1));
}

TEST_F(PollTest, NoAnswerIsLargerThanTheBrokersMessages) {
  // Of 1 MB each; deliveries of a client that takes them fast grow to the broker's bound.
  const std::string value(1'000'000, 'v');
  for (int i = 0; i < 24; ++i) hub_.Append("t", i % 2, {value});
  naru::v1::Join join = JoinGroup("g", "t");
  join.set_unacked_bytes_max(1 << 30);
  ASSERT_EQ(poller_.Join(join).code, grpc::StatusCode::OK);
  int records = static_cast<int>(poller_.values().size());
  while (records < 24) {
    const CallEnd end = poller_.Poll(10'000, 3'600'000);
    ASSERT_EQ(end.code, grpc::StatusCode::OK) << end.message;
    EXPECT_LE(poller_.answer.ByteSizeLong(), 3'670'016u + 1'024);
    records += static_cast<int>(poller_.values().size());
  }
  EXPECT_EQ(records, 24);
}

TEST_F(PollTest, OnlyThePresentSessionOfAMemberMayPoll) {
  ASSERT_EQ(poller_.Join(JoinAs("a")).code, grpc::StatusCode::OK);
  naru::v1::PollRequest request = poller_.Next();
  request.set_member_epoch(request.member_epoch() - 1);
  EXPECT_EQ(poller_.Call(request).reason, "MEMBER_FENCED");
  request = poller_.Next();
  request.set_member_id("b");
  EXPECT_EQ(poller_.Call(request).reason, "MEMBER_FENCED");
  request = poller_.Next();
  request.set_group("h");
  const CallEnd end = poller_.Call(request);
  EXPECT_EQ(end.code, grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(end.reason, "MEMBER_FENCED");
  EXPECT_EQ(poller_.Poll().code, grpc::StatusCode::OK) << "none of that harmed it";
}

TEST_F(PollTest, WhoJoinsAgainGetsWhatWasNotAcknowledgedAndFencesItsOlderSession) {
  hub_.Append("t", 0, {"v"});
  ASSERT_EQ(poller_.Join(JoinAs("a"), 1'000).code, grpc::StatusCode::OK);
  ASSERT_THAT(poller_.values(), ElementsAre("v"));
  Poller again(hub_);
  ASSERT_EQ(again.Join(JoinAs("a"), 1'000).code, grpc::StatusCode::OK);
  EXPECT_GT(again.answer.member_epoch(), poller_.answer.member_epoch());
  EXPECT_THAT(again.values(), ElementsAre("v"));
  EXPECT_EQ(poller_.Poll().reason, "MEMBER_FENCED");
  EXPECT_EQ(again.Poll().code, grpc::StatusCode::OK);
  EXPECT_THAT(hub_.Members("g"), ElementsAre("a"));
}

TEST_F(PollTest, ANewerCallTakesThePlaceOfOneThatWaits) {
  ASSERT_EQ(poller_.Join(JoinGroup("g", "t")).code, grpc::StatusCode::OK);
  CallEnd end;
  std::atomic<bool> ended = false;
  Poller older = poller_;
  std::thread waiting([&] {
    end = older.Poll(60'000);
    ended = true;
  });
  // Until one of these calls comes after the one that waits.
  EXPECT_TRUE(WaitFor([&] { return poller_.Poll().code == grpc::StatusCode::OK && ended; }));
  waiting.join();
  EXPECT_EQ(end.reason, "TOO_MANY_IN_FLIGHT");
  hub_.Append("t", 0, {"v"});
  ASSERT_EQ(poller_.Poll(10'000).code, grpc::StatusCode::OK);
  EXPECT_THAT(poller_.values(), ElementsAre("v"));
}

TEST_F(PollTest, ACallThatIsCancelledLosesNothing) {
  ASSERT_EQ(poller_.Join(JoinGroup("g", "t")).code, grpc::StatusCode::OK);
  naru::v1::PollRequest request = poller_.Next();
  request.set_max_wait_ms(60'000);
  grpc::ClientContext context;
  grpc::Status status;
  std::thread waiting([&] {
    naru::v1::PollResponse response;
    status = hub_.member->Poll(&context, request, &response);
  });
  EXPECT_TRUE(PollsAre(2));
  context.TryCancel();
  waiting.join();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::CANCELLED);
  hub_.Append("t", 0, {"v"});
  const CallEnd end = poller_.Poll(10'000);
  if (end.code != grpc::StatusCode::OK) {
    // It was on its way in an answer to the call that was cancelled: then the member must join again.
    ASSERT_EQ(end.reason, "MEMBER_FENCED");
    naru::v1::Join join = JoinGroup("g", "t");
    join.set_member_id(request.member_id());
    ASSERT_EQ(poller_.Join(join, 10'000).code, grpc::StatusCode::OK);
  }
  EXPECT_THAT(poller_.values(), ElementsAre("v"));
}

TEST_F(PollTest, WhoDoesNotPollForItsSessionTimeoutLeaves) {
  for (const char* instance_id : {"", "static"}) {
    SCOPED_TRACE(instance_id);
    naru::v1::Join join = JoinGroup("g", "t");
    join.set_session_timeout_ms(1'000);
    join.set_instance_id(instance_id);
    ASSERT_EQ(poller_.Join(join).code, grpc::StatusCode::OK);
    EXPECT_THAT(hub_.Members("g"), SizeIs(1));
    EXPECT_TRUE(WaitFor([&] {
      const std::vector<std::string> members = hub_.Members("g");
      EXPECT_TRUE(members.empty() || !members[0].ends_with("away")) << "it would keep its place for longer";
      return members.empty();
    }));
    EXPECT_EQ(poller_.Poll().reason, "MEMBER_FENCED");
  }
}

TEST_F(PollTest, TheFirstCallIsRefusedForWhatIsWrongWithIt) {
  EXPECT_EQ(poller_.Join(JoinGroup("g", "u")).reason, "TOPIC_NOT_FOUND");
  EXPECT_EQ(poller_.Join(JoinGroup("", "t")).reason, "INVALID_FIELD");
  naru::v1::Join join = JoinGroup("g", "t");
  join.set_start(naru::v1::START_POLICY_FAIL);
  EXPECT_EQ(poller_.Join(join, 10'000).reason, "NO_COMMITTED_OFFSET");
  EXPECT_TRUE(WaitFor([&] { return hub_.group.Counters().pollers == 0; }));
  EXPECT_TRUE(WaitFor([&] { return hub_.Members("g").empty(); }));
}

TEST_F(PollTest, APartitionMovesOnlyWhenThePollersDeliveriesAreAcknowledged) {
  hub_.Append("t", 0, {"a"});
  hub_.Append("t", 1, {"b"});
  ASSERT_EQ(poller_.Join(JoinAs("a"), 1'000).code, grpc::StatusCode::OK);
  std::map<int, int64_t> ids;
  while (true) {
    for (const auto& each : poller_.answer.deliveries()) ids[each.partition()] = each.delivery_id();
    if (ids.size() == 2) break;
    ASSERT_EQ(poller_.Call(poller_.Next()).code, grpc::StatusCode::OK);
  }
  MemberStream second(hub_, JoinAs("b"));
  second.NextJoined();
  while (poller_.answer.revoking().empty()) {
    ASSERT_EQ(poller_.Call(poller_.Next()).code, grpc::StatusCode::OK);
  }
  ASSERT_THAT(poller_.answer.revoking(), SizeIs(1));
  const int moving = poller_.answer.revoking(0).partition();
  EXPECT_TRUE(second.OnlyIdleUntilIdle());
  naru::v1::PollRequest request = poller_.Next();
  request.add_acked_delivery_ids(ids[moving]);
  ASSERT_EQ(poller_.Call(request).code, grpc::StatusCode::OK);
  EXPECT_THAT(second.NextAssigned(), ElementsAre(moving));
}

TEST_F(PollTest, AnUnknownAckEndsTheMembership) {
  ASSERT_EQ(poller_.Join(JoinAs("a")).code, grpc::StatusCode::OK);
  naru::v1::PollRequest request = poller_.Next();
  request.add_acked_delivery_ids(7);
  const CallEnd end = poller_.Call(request);
  EXPECT_EQ(end.reason, "INVALID_FIELD");
  EXPECT_THAT(end.message, HasSubstr("acked_delivery_ids: 7"));
  EXPECT_EQ(poller_.Poll().reason, "MEMBER_FENCED");
  EXPECT_TRUE(WaitFor([&] { return hub_.Members("g").empty(); }));
}

TEST_F(PollTest, AWaitingCallEndsAtShutdown) {
  ASSERT_EQ(poller_.Join(JoinAs("a")).code, grpc::StatusCode::OK);
  CallEnd end;
  std::thread waiting([&] { end = poller_.Poll(60'000); });
  EXPECT_TRUE(PollsAre(2));
  hub_.consume.Shutdown();
  hub_.group.Shutdown();
  waiting.join();
  EXPECT_EQ(end.reason, "SHUTTING_DOWN");
}

TEST(PollLimitsTest, OnlySoManyMembersPoll) {
  GroupHub hub({.pollers_max = 1});
  hub.catalog.SetTopic("t", 1);
  Poller first(hub);
  ASSERT_EQ(first.Join(JoinAs("a")).code, grpc::StatusCode::OK);
  Poller second(hub);
  const CallEnd end = second.Join(JoinAs("b"));
  EXPECT_EQ(end.code, grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(end.reason, "TOO_MANY_IN_FLIGHT");
  naru::v1::LeaveGroupRequest request;
  request.set_group("g");
  request.set_member_id("a");
  naru::v1::LeaveGroupResponse response;
  EXPECT_EQ(hub.Call(&naru::v1::GroupService::Stub::LeaveGroup, request, &response).code,
            grpc::StatusCode::OK);
  EXPECT_TRUE(WaitFor([&] { return hub.group.Counters().pollers == 0; }));
  EXPECT_EQ(second.Join(JoinAs("b")).code, grpc::StatusCode::OK);
}

TEST(PollLimitsTest, AnAnswerThatHasSomethingDoesNotWaitForMemoryThatItHoldsItself) {
  ConsumeOptions options;
  options.message_bytes_max = 64 << 10;
  options.memory_bytes = 128 << 10;
  GroupHub hub({}, {}, options);
  hub.catalog.SetTopic("t", 2);
  for (int i = 0; i < 2; ++i) hub.Append("t", i, {std::string(25'000, 'v')});
  Poller poller(hub);
  ASSERT_EQ(poller.Join(JoinGroup("g", "t")).code, grpc::StatusCode::OK);
  size_t records = poller.values().size();
  while (records < 2) {
    naru::v1::PollRequest request = poller.Next();
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(10));
    poller.answer.clear_deliveries();
    const grpc::Status status = hub.member->Poll(&context, request, &poller.answer);
    ASSERT_TRUE(status.ok()) << status.error_message();
    records += poller.values().size();
  }
}

}  // namespace
}  // namespace naru::services
