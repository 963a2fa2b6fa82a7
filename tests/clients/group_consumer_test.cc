#include "clients/cpp/group_consumer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "absl/strings/str_cat.h"
#include "clients/cpp/group_admin.h"
#include "tests/clients/fake_group_hub.h"
#include "tests/clients/patience.h"

namespace naru::client {
namespace {

using ::testing::ElementsAre;
using testing::FakeGroupHub;

class GroupConsumerTest : public ::testing::Test {
 protected:
  GroupConsumerTest() {
    ClientOptions options{.servers = {hub_.address()}};
    options.backoff = {.initial = absl::Milliseconds(1), .max = absl::Milliseconds(5)};
    client_ = *Client::Create(options);
    join_.set_group("g");
    join_.add_topics("t");
  }

  std::unique_ptr<GroupConsumer> Open() {
    auto consumer = GroupConsumer::Open(client_, join_, options_);
    EXPECT_TRUE(consumer.ok()) << consumer.status();
    return *std::move(consumer);
  }
  // The next event of a kind; others are passed over.
  template <typename Kind>
  static Kind NextOf(GroupConsumer& consumer) {
    while (true) {
      auto event = consumer.Next(kLong);
      if (!event.ok() || !*event) {
        ADD_FAILURE() << event.status();
        return {};
      }
      if (auto* wanted = std::get_if<Kind>(&**event)) return std::move(*wanted);
    }
  }
  static naru::v1::GroupDelivery NextDelivery(GroupConsumer& consumer) {
    return *NextOf<GroupRecords>(consumer).ToMessage();
  }
  static std::string NextValue(GroupConsumer& consumer) {
    const naru::v1::GroupDelivery delivery = NextDelivery(consumer);
    return delivery.records_size() == 1 ? delivery.records(0).value() : "";
  }
  static absl::Status NextError(GroupConsumer& consumer) {
    while (true) {
      auto event = consumer.Next(kLong);
      if (!event.ok()) return event.status();
      if (!*event) return absl::DeadlineExceededError("nothing came");
    }
  }
  void Append(int count) {
    for (int i = 0; i < count; ++i) hub_.Append(0, absl::StrCat(i));
  }
  static naru::v1::OffsetCommit Position(int32_t partition, int64_t offset) {
    naru::v1::OffsetCommit commit;
    commit.set_topic("t");
    commit.set_partition(partition);
    commit.set_offset(offset);
    return commit;
  }

  FakeGroupHub hub_{2};
  std::shared_ptr<Client> client_;
  naru::v1::Join join_;
  GroupConsumerOptions options_;
};

TEST_F(GroupConsumerTest, AMemberIsToldOfItsMembershipItsPartitionsAndTheirRecords) {
  Append(2);
  auto consumer = Open();
  const auto joined = NextOf<GroupJoined>(*consumer);
  EXPECT_FALSE(joined.again);
  EXPECT_EQ(joined.member_id, "member-1");
  EXPECT_EQ(consumer->member_id(), "member-1");
  EXPECT_EQ(consumer->member_epoch(), joined.member_epoch);
  EXPECT_EQ(NextOf<naru::v1::Assigned>(*consumer).partitions_size(), 2);
  EXPECT_EQ(NextValue(*consumer), "0");
  EXPECT_EQ(NextValue(*consumer), "1");
}

TEST_F(GroupConsumerTest, WhatWasAcknowledgedIsCommittedWhenCloseReturns) {
  Append(3);
  auto consumer = Open();
  for (int i = 0; i < 2; ++i) consumer->Ack(NextDelivery(*consumer).delivery_id());
  EXPECT_EQ(consumer->Close(kLong), absl::OkStatus());
  EXPECT_EQ(hub_.committed(0), 2);
  EXPECT_TRUE(absl::IsCancelled(consumer->Next(kLong).status()));
  EXPECT_EQ(consumer->Close(kLong), absl::OkStatus()) << "and again";
}

TEST_F(GroupConsumerTest, ADeliveryIsAcknowledgedByTheNextNextAndByCloseWhenAskedFor) {
  Append(2);
  options_.ack_on_next = true;
  auto consumer = Open();
  EXPECT_EQ(NextValue(*consumer), "0");
  EXPECT_EQ(hub_.acks(), 0);
  EXPECT_EQ(NextValue(*consumer), "1");
  EXPECT_EQ(consumer->Close(kLong), absl::OkStatus());
  EXPECT_EQ(hub_.committed(0), 2);
}

TEST_F(GroupConsumerTest, WhatIsNotAcknowledgedIsBounded) {
  join_.set_unacked_bytes_max(2'000);
  for (int i = 0; i < 200; ++i) hub_.Append(0, std::string(100, 'x'));
  auto consumer = Open();
  for (int i = 0; i < 200; ++i) consumer->Ack(NextDelivery(*consumer).delivery_id());
  EXPECT_LE(hub_.unacked_bytes_most(), 2'000 + 200);
}

TEST_F(GroupConsumerTest, ABrokenStreamIsMadeAgainAsTheSameMemberAndGoesOnWhereItWasCommitted) {
  Append(20);
  hub_.BreakAt({1, 5, 6, 17});
  auto consumer = Open();
  std::vector<std::string> last;
  int64_t last_id = 0;
  while (hub_.committed(0) < 20) {
    const auto delivery = NextDelivery(*consumer);
    EXPECT_GT(delivery.delivery_id(), last_id) << "ids rise over all streams";
    last_id = delivery.delivery_id();
    if (last.empty() || last.back() != delivery.records(0).value()) {
      last.push_back(delivery.records(0).value());
    }
    consumer->Ack(delivery.delivery_id());
    if (delivery.next_offset() == 20) {
      EXPECT_EQ(consumer->Close(kLong), absl::OkStatus());
    }
  }
  EXPECT_EQ(last.back(), "19");
  const auto joins = hub_.joins();
  ASSERT_EQ(joins.size(), 5u);
  EXPECT_EQ(joins[0].member_id(), "");
  for (size_t i = 1; i < joins.size(); ++i) EXPECT_EQ(joins[i].member_id(), "member-1");
}

TEST_F(GroupConsumerTest, AnAckOfAnEarlierStreamIsDroppedAndCounted) {
  Append(2);
  auto consumer = Open();
  const auto first = NextDelivery(*consumer);
  hub_.EndStreams(Reason::kShuttingDown);
  EXPECT_TRUE(NextOf<GroupJoined>(*consumer).again);
  consumer->Ack(first.delivery_id());
  EXPECT_EQ(consumer->stale_acks(), 1);
  const auto again = NextDelivery(*consumer);
  EXPECT_EQ(again.records(0).value(), "0");
  EXPECT_GT(again.delivery_id(), first.delivery_id());
  consumer->Ack(again.delivery_id());
  consumer->Ack(again.delivery_id() + 1000);  // never given out
  EXPECT_EQ(consumer->Close(kLong), absl::OkStatus());
  EXPECT_EQ(hub_.acks(), 1);
  EXPECT_EQ(hub_.committed(0), 1);
  EXPECT_EQ(consumer->stale_acks(), 2);
}

TEST_F(GroupConsumerTest, RefusalsForTheTimeBeingAreTriedAgain) {
  Append(1);
  hub_.RefuseJoins({Reason::kShuttingDown, Reason::kTooManyInFlight, Reason::kNoLeader});
  auto consumer = Open();
  EXPECT_EQ(NextValue(*consumer), "0");
  EXPECT_EQ(hub_.joins().size(), 4u);
}

TEST_F(GroupConsumerTest, RefusalsForGoodAreTold) {
  for (const Reason reason : {Reason::kTopicNotFound, Reason::kTooManyMembers, Reason::kInvalidField}) {
    hub_.RefuseJoins({reason});
    auto consumer = Open();
    EXPECT_EQ(ReasonOf(NextError(*consumer)), reason);
    EXPECT_EQ(ReasonOf(consumer->Next(kLong).status()), reason) << "and again";
    EXPECT_EQ(ReasonOf(consumer->Commit({Position(0, 1)}, kLong)), reason);
    EXPECT_EQ(ReasonOf(consumer->Close(kLong)), reason);
  }
}

TEST_F(GroupConsumerTest, AFencedMemberIsToldSoAndDoesNotComeBackByItself) {
  Append(1);
  auto consumer = Open();
  NextDelivery(*consumer);
  hub_.EndStreams(Reason::kMemberFenced);
  EXPECT_EQ(ReasonOf(NextError(*consumer)), Reason::kMemberFenced);
  EXPECT_EQ(ReasonOf(consumer->Close(kLong)), Reason::kMemberFenced);
  EXPECT_EQ(hub_.joins().size(), 1u);
}

TEST_F(GroupConsumerTest, AFencedMemberComesBackAsANewOneWhenAskedFor) {
  options_.rejoin_when_fenced = true;
  auto consumer = Open();
  EXPECT_EQ(NextOf<GroupJoined>(*consumer).member_id, "member-1");
  hub_.EndStreams(Reason::kMemberFenced);
  const auto joined = NextOf<GroupJoined>(*consumer);
  EXPECT_TRUE(joined.again);
  EXPECT_EQ(joined.member_id, "member-2");
  EXPECT_EQ(hub_.joins().back().member_id(), "");
}

TEST_F(GroupConsumerTest, WhatWasNotTakenBeforeABreakComesAnewBehindIt) {
  Append(3);
  auto consumer = Open();
  while (hub_.deliveries() < 3) std::this_thread::yield();
  EXPECT_EQ(consumer->Commit({Position(1, 0)}, kLong), absl::OkStatus()) << "so all three have come";
  hub_.EndStreams(Reason::kShuttingDown);
  while (consumer->ConnectionStatus().ok() && hub_.joins().size() < 2) std::this_thread::yield();
  EXPECT_TRUE(NextOf<GroupJoined>(*consumer).again) << "nothing of the first stream is left";
  EXPECT_EQ(NextDelivery(*consumer).delivery_id(), 4);
}

TEST_F(GroupConsumerTest, AtMostOnceWhatHasComeIsTakenBeforeTheStreamIsMadeAgain) {
  join_.set_commit_mode(naru::v1::COMMIT_MODE_ON_DELIVERY);
  Append(3);
  auto consumer = Open();
  while (hub_.deliveries() < 3) std::this_thread::yield();
  EXPECT_EQ(consumer->Commit({Position(1, 0)}, kLong), absl::OkStatus()) << "so all three have come";
  hub_.EndStreams(Reason::kShuttingDown);
  while (consumer->ConnectionStatus().ok()) std::this_thread::yield();
  hub_.Append(0, "after the break");
  for (int i = 0; i < 3; ++i) EXPECT_EQ(NextValue(*consumer), absl::StrCat(i));
  EXPECT_EQ(NextValue(*consumer), "after the break");
  EXPECT_EQ(hub_.joins().size(), 2u);
}

TEST_F(GroupConsumerTest, PartitionsThatAreTakenAwayAreTold) {
  auto consumer = Open();
  NextOf<naru::v1::Assigned>(*consumer);
  hub_.Revoke(1);
  const auto revoking = NextOf<naru::v1::Revoking>(*consumer);
  ASSERT_EQ(revoking.partitions_size(), 1);
  EXPECT_EQ(revoking.partitions(0).partition(), 1);
}

TEST_F(GroupConsumerTest, APartitionThatCannotBeReadOnIsTold) {
  auto consumer = Open();
  NextOf<naru::v1::Assigned>(*consumer);
  hub_.Corrupt(1);
  const auto failed = NextOf<PartitionFailed>(*consumer);
  EXPECT_EQ(failed.position.partition, 1);
  EXPECT_EQ(failed.position.next_offset, 7);
  EXPECT_EQ(ReasonOf(failed.status), Reason::kCorruptData);
}

TEST_F(GroupConsumerTest, WhatCannotBeReadEndsItForGood) {
  Append(1);
  auto consumer = Open();
  EXPECT_EQ(NextValue(*consumer), "0");
  // What was not taken by then would be left to come again.
  hub_.AppendUnreadable(0);
  const absl::Status why = NextError(*consumer);
  EXPECT_EQ(ReasonOf(why), Reason::kCorruptData) << why;
  EXPECT_EQ(NextError(*consumer), why);
  EXPECT_EQ(consumer->Close(kLong), why);
}

TEST_F(GroupConsumerTest, AnExplicitCommitIsAnsweredAndOneOfAnotherMembersPartitionIsFenced) {
  join_.set_commit_mode(naru::v1::COMMIT_MODE_EXPLICIT);
  Append(3);
  auto consumer = Open();
  for (int i = 0; i < 3; ++i) consumer->Ack(NextDelivery(*consumer).delivery_id());
  EXPECT_EQ(hub_.committed(0), -1);
  EXPECT_EQ(consumer->Commit({Position(0, 2)}, kLong), absl::OkStatus());
  EXPECT_EQ(hub_.committed(0), 2);
  hub_.Revoke(1);
  EXPECT_EQ(ReasonOf(consumer->Commit({Position(1, 0)}, kLong)), Reason::kMemberFenced);
  EXPECT_EQ(MetadataValue(consumer->Commit({}, kLong), "field"), "offsets");
}

TEST_F(GroupConsumerTest, ACommitWhoseStreamBreaksIsOfUnknownOutcome) {
  auto consumer = Open();
  NextOf<naru::v1::Assigned>(*consumer);
  hub_.HoldAnswers();
  EXPECT_TRUE(absl::IsDeadlineExceeded(consumer->Commit({Position(0, 0)}, absl::Milliseconds(1))));
  std::thread breaker([&] { hub_.EndStreams(Reason::kShuttingDown); });
  // The break may come before the commit, which then waits for the next stream; nobody breaks that.
  const absl::Status status = consumer->Commit({Position(0, 0)}, absl::Seconds(2));
  EXPECT_TRUE(absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status)) << status;
  breaker.join();
}

TEST_F(GroupConsumerTest, ProgressIsSentWhileThereIsAStream) {
  auto consumer = Open();
  consumer->Progress();  // nobody to tell yet, perhaps
  NextOf<GroupJoined>(*consumer);
  consumer->Progress();
  EXPECT_EQ(consumer->Commit({Position(0, 0)}, kLong), absl::OkStatus()) << "so it has arrived";
  EXPECT_GE(hub_.progresses(), 1);
}

TEST_F(GroupConsumerTest, ClosingEndsInTimeAlsoWhenTheBrokerDoesNot) {
  auto consumer = Open();
  NextOf<GroupJoined>(*consumer);
  hub_.HoldAnswers();
  EXPECT_TRUE(absl::IsDeadlineExceeded(consumer->Close(absl::Milliseconds(50))));
  EXPECT_TRUE(absl::IsDeadlineExceeded(consumer->Close(kLong))) << "and again";
}

TEST_F(GroupConsumerTest, ClosingBetweenStreamsSaysWhyNothingCouldBeCommitted) {
  auto hub = std::make_unique<FakeGroupHub>(1);
  ClientOptions options{.servers = {hub->address()}, .connect_timeout = kLong};
  options.backoff = {.initial = absl::Nanoseconds(1), .max = absl::Nanoseconds(1)};
  auto client = *Client::Create(options);
  auto consumer = *GroupConsumer::Open(client, join_, {});
  NextOf<GroupJoined>(*consumer);
  hub.reset();
  while (consumer->ConnectionStatus().ok()) std::this_thread::yield();
  // Nobody is reached, so by then it waits for a connection as well.
  EXPECT_FALSE(client->RefreshTopic("t", absl::Milliseconds(200)).ok());
  const absl::Time began = absl::Now();
  EXPECT_TRUE(absl::IsUnavailable(consumer->Close(kLong)));
  EXPECT_LT(absl::Now() - began, kLong / 2) << "it waits for nobody";
}

TEST_F(GroupConsumerTest, WithoutAServerClosingAndCancellingEndAtOnce) {
  ClientOptions options{.servers = {"127.0.0.1:1"}, .connect_timeout = kLong};
  auto client = *Client::Create(options);
  auto consumer = *GroupConsumer::Open(client, join_, {});
  EXPECT_FALSE((*consumer->Next(absl::Milliseconds(1))).has_value());
  EXPECT_EQ(consumer->Close(kLong), absl::OkStatus()) << "nothing was acknowledged";
  consumer = *GroupConsumer::Open(client, join_, {});
  std::thread canceller([&] { consumer->Cancel(); });
  EXPECT_TRUE(absl::IsCancelled(consumer->Next(kLong).status()));
  canceller.join();
}

TEST_F(GroupConsumerTest, ABrokenStreamIsNotTriedForever) {
  auto hub = std::make_unique<FakeGroupHub>(1);
  ClientOptions options{.servers = {hub->address()}, .connect_timeout = absl::Milliseconds(50)};
  options.backoff = {.initial = absl::Milliseconds(1), .max = absl::Milliseconds(5)};
  options_.reconnect_timeout = absl::Milliseconds(200);
  auto consumer = *GroupConsumer::Open(*Client::Create(options), join_, options_);
  NextOf<GroupJoined>(*consumer);
  hub.reset();
  EXPECT_TRUE(absl::IsUnavailable(NextError(*consumer)));
}

TEST_F(GroupConsumerTest, OptionsThatMakeNoSenseAreNamed) {
  const auto field = [&](const naru::v1::Join& join, GroupConsumerOptions options) {
    return MetadataValue(GroupConsumer::Open(client_, join, options).status(), "field");
  };
  naru::v1::Join join;
  EXPECT_EQ(field(join, {}), "group");
  join.set_group("g");
  EXPECT_EQ(field(join, {}), "topics");
  join.set_topic_pattern("t.*");
  EXPECT_EQ(field(join, {.reconnect_timeout = absl::ZeroDuration()}), "reconnect_timeout");
  join.set_instance_id("i");
  EXPECT_EQ(field(join, {.rejoin_when_fenced = true}), "rejoin_when_fenced");
  EXPECT_EQ(field(join, {}), "");
}

TEST_F(GroupConsumerTest, GroupsAreListedOverAllPagesAndRefusalsHaveTheirReason) {
  GroupAdmin admin(client_);
  const auto groups = admin.ListGroups();
  ASSERT_TRUE(groups.ok()) << groups.status();
  std::vector<std::string> names;
  for (const auto& group : *groups) names.push_back(group.group());
  EXPECT_THAT(names, ElementsAre("a", "b", "c", "d", "e"));
  EXPECT_EQ(ReasonOf(admin.DeleteGroup("a")), Reason::kGroupNotEmpty);
}

}  // namespace
}  // namespace naru::client
