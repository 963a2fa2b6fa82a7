#include "cluster/group/group_shard.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "cluster/group/group_text.h"
#include "storage/base/status.h"
#include "storage/batch/batch.h"

namespace naru::cluster {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr GroupTime kNow{.steady_ms = 1, .wall_ms = 1'000'000};

GroupTime At(int64_t ms) { return {.steady_ms = ms, .wall_ms = 1'000'000 + ms}; }

// A log, and what was told.
class Outside final : public GroupShard::Effects {
 public:
  void Append(absl::Cord batch) override { batches.push_back(std::move(batch)); }
  void Tell(const GroupEffect& effect) override { told.push_back(ToText(effect, topics)); }

  std::vector<std::string> TakeTold() { return std::exchange(told, {}); }

  GroupTopics topics;
  std::vector<absl::Cord> batches;
  std::vector<std::string> told;
};

class GroupShardTest : public testing::Test {
 protected:
  GroupShardTest() {
    TopicId id{};
    id[0] = 'o';
    outside_.topics["orders"] = {id, 2};
    shard_->Start(Topics(), kNow);
  }

  std::shared_ptr<const GroupTopics> Topics() const { return std::make_shared<GroupTopics>(outside_.topics); }
  GroupPartition Orders(int32_t partition) const { return {outside_.topics.at("orders").id, partition}; }

  void Join(const std::string& group, uint64_t session, const std::string& member) {
    JoinGroup join{
        .session = session, .member_id = member, .session_timeout_ms = 1'000, .rebalance_timeout_ms = 1'000};
    join.subscription.topics.insert("orders");
    shard_->On(group, join, kNow);
  }
  void Commit(const std::string& group, uint64_t request, int64_t offset) {
    shard_->On(group, CommitOffsets{.request = request, .offsets = {{Orders(0), {.offset = offset}}}}, kNow);
  }
  // Session 1 of "a" has both partitions of orders, and is about to be told that "b", session 2, gets one.
  void MakeAMemberGiveHalf() {
    Join("g", 1, "a");
    shard_->OnAppended(absl::OkStatus(), At(10));
    Join("g", 2, "b");
  }
  // A new shard from what was written: the first `batches` of the log.
  void Restart(size_t batches) {
    shard_ = std::make_unique<GroupShard>(GroupLimits{}, outside_);
    for (size_t i = 0; i < batches; ++i) {
      ASSERT_TRUE(ForEachRecord(outside_.batches[i], [&](const RecordView& record) {
                    EXPECT_TRUE(shard_->Replay(*record.key, record.value).ok());
                    return true;
                  }).ok());
    }
    shard_->Start(Topics(), kNow);
  }

  Outside outside_;
  std::unique_ptr<GroupShard> shard_ = std::make_unique<GroupShard>(GroupLimits{}, outside_);
};

TEST_F(GroupShardTest, NothingIsToldBeforeItIsWritten) {
  Join("g", 1, "a");
  EXPECT_THAT(outside_.told, IsEmpty());
  shard_->OnAppended(absl::OkStatus(), kNow);
  EXPECT_THAT(outside_.told, ElementsAre("s1 joined as a epoch=1", "s1 assigned orders/0@- orders/1@-"));
}

TEST_F(GroupShardTest, WhatNeedsNoRecordWaitsForThoseBeforeIt) {
  Join("g", 1, "a");
  Commit("g", 7, 5);  // refused: the group has a member
  EXPECT_THAT(outside_.told, IsEmpty());
  shard_->OnAppended(absl::OkStatus(), kNow);
  EXPECT_EQ(outside_.told.back().substr(0, 18), "r7 GROUP_NOT_EMPTY");
  EXPECT_EQ(outside_.batches.size(), 1u);
}

TEST_F(GroupShardTest, StepsOfAllGroupsThatWaitShareTheNextBatch) {
  Commit("g", 1, 5);
  Commit("g", 2, 6);
  Commit("h", 3, 7);
  EXPECT_EQ(outside_.batches.size(), 1u);
  shard_->OnAppended(absl::OkStatus(), kNow);
  EXPECT_THAT(outside_.TakeTold(), ElementsAre("r1 OK"));
  EXPECT_EQ(outside_.batches.size(), 2u);
  EXPECT_GT(shard_->waiting_records(), 0u);
  shard_->OnAppended(absl::OkStatus(), kNow);
  EXPECT_THAT(outside_.TakeTold(), ElementsAre("r2 OK", "r3 OK"));
  EXPECT_EQ(shard_->waiting_records(), 0u);
}

TEST_F(GroupShardTest, ABatchIsWhatAnyClientMightHaveSent) {
  for (uint64_t request = 1; request <= 100; ++request) Commit(absl::StrCat("g", request), request, 5);
  shard_->OnAppended(absl::OkStatus(), kNow);
  for (const absl::Cord& batch : outside_.batches) EXPECT_TRUE(WalkBatch(batch, BatchLimits{}).ok());
}

TEST_F(GroupShardTest, AFailedWriteEndsEverySessionAndFailsEveryRequest) {
  Join("g", 1, "a");
  shard_->OnAppended(absl::OkStatus(), kNow);
  outside_.TakeTold();
  Commit("h", 7, 5);
  Join("g", 2, "a");  // fences session 1, which is not told
  Commit("h", 8, 6);
  shard_->OnAppended(MakeError(Reason::kStorageFull, "full"), kNow);
  EXPECT_TRUE(shard_->failed());
  EXPECT_THAT(outside_.told,
              testing::UnorderedElementsAre("r7 STORAGE_FULL: full", "r8 STORAGE_FULL: full",
                                            "s1 ended STORAGE_FULL: full", "s2 ended STORAGE_FULL: full"));
}

TEST_F(GroupShardTest, WhatWasWrittenIsThereAfterARestart) {
  Commit("g", 1, 5);
  Join("h", 1, "a");
  shard_->OnAppended(absl::OkStatus(), kNow);
  shard_->OnAppended(absl::OkStatus(), kNow);
  Restart(2);
  ASSERT_NE(shard_->Find("g"), nullptr);
  EXPECT_EQ(shard_->Find("g")->offsets().at(Orders(0)).offset, 5);
  ASSERT_NE(shard_->Find("h"), nullptr);
  EXPECT_EQ(shard_->Find("h")->members().at("a").owned.size(), 2u);
  // Of a batch that was not written nothing is known.
  Restart(1);
  EXPECT_NE(shard_->Find("g"), nullptr);
  EXPECT_EQ(shard_->Find("h"), nullptr);
}

TEST_F(GroupShardTest, AGroupOfWhichNothingIsLeftIsForgotten) {
  Commit("g", 1, 5);
  shard_->On("g", DeleteGroup{.request = 2}, kNow);
  shard_->On("absent", DeleteGroup{.request = 3}, kNow);
  EXPECT_EQ(shard_->Find("g"), nullptr);
  EXPECT_EQ(shard_->Find("absent"), nullptr);
  EXPECT_EQ(shard_->NextDeadline(), std::nullopt);
  shard_->OnAppended(absl::OkStatus(), kNow);
  shard_->OnAppended(absl::OkStatus(), kNow);
  EXPECT_EQ(outside_.told[1], "r2 OK");
  EXPECT_EQ(outside_.told[2].substr(0, 18), "r3 GROUP_NOT_FOUND");
  Restart(outside_.batches.size());
  EXPECT_THAT(shard_->groups(), IsEmpty());
}

TEST_F(GroupShardTest, WhatGroupsTakeOfMemoryIsCounted) {
  const auto written = [this] {
    while (shard_->waiting_records() > 0) shard_->OnAppended(absl::OkStatus(), kNow);
    return shard_->bytes();
  };
  EXPECT_EQ(shard_->bytes(), 0);
  Commit("g", 1, 5);
  const int64_t one = written();
  EXPECT_GT(one, 0);
  Commit("g", 2, 6);
  EXPECT_EQ(written(), one);
  const auto commit = [this](const std::string& metadata) {
    CommittedOffsets offsets = {{Orders(0), {.offset = 7, .metadata = metadata}}};
    shard_->On("g", CommitOffsets{.request = 3, .offsets = offsets}, kNow);
  };
  commit(std::string(1'000, 'm'));
  EXPECT_EQ(written(), one + 1'000);
  commit("");
  EXPECT_EQ(written(), one);

  Join("h", 1, "a");
  const int64_t with_member = written();
  EXPECT_GT(with_member, one);
  Join("h", 2, "a");  // the same again
  EXPECT_EQ(written(), with_member);
  Join("h", 3, "b");
  EXPECT_GT(written(), with_member);
  Restart(outside_.batches.size());
  const int64_t replayed = written();
  EXPECT_GT(replayed, with_member);
  for (const char* member : {"a", "b"}) shard_->On("h", LeaveGroup{.request = 4, .member_id = member}, kNow);
  written();
  shard_->On("h", DeleteGroup{5}, kNow);
  EXPECT_EQ(written(), one);
  outside_.topics.clear();
  shard_->ChangeTopics(Topics(), kNow);
  shard_->On("g", DeleteGroup{6}, kNow);
  EXPECT_EQ(written(), 0);
}

TEST_F(GroupShardTest, TimePassesForTheGroupsThatAreDue) {
  Join("g", 1, "a");
  Join("h", 2, "b");
  shard_->On("g", LoseSession{1}, kNow);
  EXPECT_EQ(shard_->NextDeadline(), 1'001);
  shard_->PassTime({.steady_ms = 1'001, .wall_ms = 1'001'000});
  EXPECT_TRUE(shard_->Find("g")->members().empty());
  EXPECT_EQ(shard_->Find("h")->members().size(), 1u);
}

TEST_F(GroupShardTest, TheTimeToReleaseRunsFromWhenTheMemberWasTold) {
  MakeAMemberGiveHalf();
  // The log takes longer than the member has.
  shard_->PassTime(At(5'000));
  EXPECT_EQ(shard_->Find("g")->members().size(), 2u);
  EXPECT_EQ(shard_->NextDeadline(), std::nullopt);
  outside_.TakeTold();
  shard_->OnAppended(absl::OkStatus(), At(6'000));
  EXPECT_THAT(outside_.TakeTold(), testing::Contains("s1 revoking orders/1"));
  EXPECT_EQ(shard_->NextDeadline(), 7'000);
  shard_->PassTime(At(6'999));
  EXPECT_EQ(shard_->Find("g")->members().size(), 2u);
  shard_->PassTime(At(7'000));
  EXPECT_EQ(shard_->Find("g")->members().size(), 1u);
}

TEST_F(GroupShardTest, WhoLosesItsSessionBeforeItIsToldIsToldInTheNext) {
  MakeAMemberGiveHalf();
  shard_->On("g", LoseSession{.session = 1, .unheard = true}, At(20));
  const int64_t epoch = shard_->Find("g")->members().at("a").epoch;
  JoinGroup resume{.session = 3,
                   .member_id = "a",
                   .session_timeout_ms = 1'000,
                   .rebalance_timeout_ms = 1'000,
                   .resumes_epoch = epoch};
  resume.subscription.topics.insert("orders");
  shard_->On("g", resume, At(30));
  outside_.TakeTold();
  shard_->OnAppended(absl::OkStatus(), At(5'000));  // what session 1 was to be told
  EXPECT_EQ(shard_->NextDeadline(), std::nullopt) << "session 3 was told of nothing yet";
  while (shard_->waiting_records() > 0) shard_->OnAppended(absl::OkStatus(), At(6'000));
  EXPECT_THAT(outside_.TakeTold(), testing::Contains("s3 revoking orders/1"));
  EXPECT_EQ(shard_->NextDeadline(), 7'000);
}

TEST_F(GroupShardTest, AGroupThatIsGoneWhenItsMemberIsToldIsLeftAlone) {
  MakeAMemberGiveHalf();
  for (const uint64_t session : {1u, 2u}) shard_->On("g", LeaveGroup{.session = session}, At(20));
  shard_->On("g", DeleteGroup{.request = 7}, At(20));
  EXPECT_EQ(shard_->Find("g"), nullptr);
  while (shard_->waiting_records() > 0) shard_->OnAppended(absl::OkStatus(), At(30));
  EXPECT_THAT(outside_.TakeTold(), testing::Contains("s1 revoking orders/1"));
  EXPECT_EQ(shard_->NextDeadline(), std::nullopt);
}

TEST_F(GroupShardTest, GroupsHearOfTopics) {
  Join("g", 1, "a");
  shard_->OnAppended(absl::OkStatus(), kNow);
  outside_.TakeTold();
  outside_.topics["orders"].partition_count = 3;
  shard_->ChangeTopics(Topics(), kNow);
  shard_->OnAppended(absl::OkStatus(), kNow);
  EXPECT_THAT(outside_.told, ElementsAre("s1 assigned orders/2@-"));
}

TEST_F(GroupShardTest, ADamagedRecordIsAnError) {
  GroupShard shard(GroupLimits{}, outside_);
  EXPECT_EQ(ReasonOf(shard.Replay("\xff", "x")), Reason::kCorruptData);
}

TEST_F(GroupShardTest, TheUnheardKeepWhatTheyOwnUntilTheyMustHaveNoticed) {
  shard_ = std::make_unique<GroupShard>(GroupLimits{.unheard_grace_ms = 700}, outside_);
  shard_->Start(Topics(), kNow);
  Join("g", 1, "a");
  shard_->On("g", LoseSession{.session = 1, .unheard = true}, kNow);
  EXPECT_EQ(shard_->NextDeadline(), kNow.steady_ms + 1'000 + 700);
  Join("h", 2, "a");
  shard_->On("h", LoseSession{.session = 2}, kNow);
  EXPECT_EQ(shard_->NextDeadline(), kNow.steady_ms + 1'000) << "this one is known to be over";
}

}  // namespace
}  // namespace naru::cluster
