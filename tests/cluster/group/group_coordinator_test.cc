#include "cluster/group/group_coordinator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/functional/any_invocable.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "cluster/group/group_text.h"
#include "storage/base/status.h"
#include "storage/log/memory_log_store.h"
#include "tests/services/fixed_catalog.h"

namespace naru::cluster {
namespace {

constexpr absl::Duration kLong = absl::Seconds(20);

// Where the topic is there from the beginning.
void Never(absl::AnyInvocable<void(absl::Status)> done) { FAIL() << "the topic is there"; }

// What an application heard, as text; waited for.
class Heard final : public GroupListener {
 public:
  explicit Heard(GroupTopics topics) : topics_(std::move(topics)) {}
  void OnJoined(const std::string& member_id, int64_t epoch) override {
    Add(ToText(TellJoined{1, member_id, epoch}, topics_));
  }
  void OnAssigned(const std::map<GroupPartition, std::optional<CommittedOffset>>& partitions) override {
    Add(ToText(TellAssigned{1, partitions}, topics_));
  }
  void OnRevoking(const std::set<GroupPartition>& partitions) override {
    Add(ToText(TellRevoking{1, partitions}, topics_));
  }
  void OnEnded(const absl::Status& why) override { Add(ToText(EndSession{1, why}, topics_)); }

  // The next line, without the session's number.
  std::string Next() {
    absl::MutexLock lock(&mutex_);
    const auto some = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return !lines_.empty(); };
    if (!mutex_.AwaitWithTimeout(absl::Condition(&some), kLong)) return "nothing";
    std::string line = lines_.front().substr(3);
    lines_.erase(lines_.begin());
    return line;
  }

 private:
  void Add(std::string line) {
    absl::MutexLock lock(&mutex_);
    lines_.push_back(std::move(line));
  }

  const GroupTopics topics_;
  absl::Mutex mutex_;
  std::vector<std::string> lines_ ABSL_GUARDED_BY(mutex_);
};

class GroupCoordinatorTest : public testing::Test {
 protected:
  explicit GroupCoordinatorTest(const GroupCoordinatorOptions& options = {.reload_after_ms = 1})
      : options_(options) {
    catalog_.SetTopic(std::string(kOffsetsTopic), 4);
    catalog_.SetTopic("orders", 2);
    Start();
  }
  ~GroupCoordinatorTest() override { coordinator_->Stop(); }

  void Start() {
    coordinator_ = std::make_unique<GroupCoordinator>(options_, store_, catalog_, clock_, events_, Never);
    coordinator_->Start();
  }
  void Restart() {
    coordinator_->Stop();
    Start();
  }

  GroupPartition Orders(int32_t partition) const {
    GroupPartition of_orders{.partition = partition};
    const std::string id = catalog_.Topic("orders")->topic_id;
    std::copy(id.begin(), id.end(), of_orders.topic.begin());
    return of_orders;
  }
  std::shared_ptr<Heard> Join(const std::string& group, const std::string& member,
                              uint64_t* session = nullptr) {
    auto heard = std::make_shared<Heard>(
        GroupTopics{{"orders", {Orders(0).topic, 2}}, {std::string(kOffsetsTopic), {}}});
    JoinGroup join{.member_id = member, .session_timeout_ms = 1'000, .rebalance_timeout_ms = 1'000};
    join.subscription.topics.insert("orders");
    const uint64_t number = coordinator_->Join(group, join, heard);
    if (session != nullptr) *session = number;
    return heard;
  }

  template <typename Result, typename Call>
  static Result Await(const Call& call) {
    absl::Notification done;
    Result result = absl::UnknownError("not answered");
    call([&](Result answer) {
      result = std::move(answer);
      done.Notify();
    });
    EXPECT_TRUE(done.WaitForNotificationWithTimeout(kLong));
    return result;
  }
  absl::Status Commit(const std::string& group, int64_t offset) {
    return Await<absl::Status>([&](GroupCoordinator::Done done) {
      coordinator_->Commit(group, CommitOffsets{.offsets = {{Orders(0), {.offset = offset}}}},
                           std::move(done));
    });
  }
  absl::StatusOr<GroupSnapshot> Describe(const std::string& group) {
    return Await<absl::StatusOr<GroupSnapshot>>(
        [&](GroupCoordinator::SnapshotDone done) { coordinator_->Describe(group, std::move(done)); });
  }

  const GroupCoordinatorOptions options_;
  ManualClock clock_;
  NullEventLog events_;
  MemoryLogStore store_{clock_};
  services::FixedCatalog catalog_{store_};
  std::unique_ptr<GroupCoordinator> coordinator_;
};

TEST_F(GroupCoordinatorTest, MembersShareATopicAndTakeOverFromOneAnother) {
  uint64_t first = 0;
  const auto a = Join("g", "a", &first);
  EXPECT_EQ(a->Next(), "joined as a epoch=1");
  EXPECT_EQ(a->Next(), "assigned orders/0@- orders/1@-");
  const auto b = Join("g", "b");
  EXPECT_EQ(a->Next(), "revoking orders/1");
  EXPECT_EQ(b->Next(), "joined as b epoch=2");
  coordinator_->Release(first, {Orders(1)});
  EXPECT_EQ(b->Next(), "assigned orders/1@-");
  coordinator_->Leave(first);
  EXPECT_EQ(b->Next(), "assigned orders/0@-");
  const auto group = Describe("g");
  ASSERT_TRUE(group.ok()) << group.status();
  EXPECT_EQ(group->state, GroupState::kStable);
  ASSERT_EQ(group->members.size(), 1u);
  EXPECT_EQ(group->members[0].owned.size(), 2u);
}

TEST_F(GroupCoordinatorTest, PositionsAndMembersAreThereAfterARestart) {
  ASSERT_TRUE(Commit("positions", 42).ok());
  const auto a = Join("members", "a");
  EXPECT_EQ(a->Next(), "joined as a epoch=1");
  EXPECT_EQ(a->Next(), "assigned orders/0@- orders/1@-");
  Restart();
  EXPECT_EQ(a->Next().substr(0, 19), "ended SHUTTING_DOWN");
  const auto positions = Describe("positions");
  ASSERT_TRUE(positions.ok()) << positions.status();
  EXPECT_EQ(positions->offsets.at(Orders(0)).offset, 42);
  const auto members = Describe("members");
  ASSERT_TRUE(members.ok()) << members.status();
  EXPECT_TRUE(members->members.at(0).away);
  const auto again = Join("members", "a");
  EXPECT_EQ(again->Next(), "joined as a epoch=2");
  EXPECT_EQ(again->Next(), "assigned orders/0@- orders/1@-");
}

TEST_F(GroupCoordinatorTest, TheDeadAreMissedWhenTheirSessionTimeoutIsOver) {
  uint64_t session = 0;
  const auto a = Join("g", "a", &session);
  EXPECT_EQ(a->Next(), "joined as a epoch=1");
  coordinator_->Lose(session);
  ASSERT_TRUE(Describe("g")->members.at(0).away);
  clock_.AdvanceMs(1'000);
  coordinator_->Wake();
  // The thread looks at the clock after what it does, so the second question finds what was due.
  ASSERT_TRUE(Describe("g").ok());
  EXPECT_TRUE(Describe("g")->members.empty());
}

TEST_F(GroupCoordinatorTest, APartitionAddedToATopicIsAssigned) {
  const auto a = Join("g", "a");
  EXPECT_EQ(a->Next(), "joined as a epoch=1");
  EXPECT_EQ(a->Next(), "assigned orders/0@- orders/1@-");
  catalog_.Grow("orders", 3);
  EXPECT_EQ(a->Next(), "assigned orders/2@-");
}

TEST_F(GroupCoordinatorTest, NothingIsAnsweredBeforeItIsDurable) {
  store_.HoldDurability(true);
  absl::Notification answered;
  coordinator_->Commit("g", CommitOffsets{.offsets = {{Orders(0), {.offset = 1}}}},
                       [&](const absl::Status& status) {
                         EXPECT_TRUE(status.ok()) << status;
                         answered.Notify();
                       });
  // A listing shows that the thread has done what came before.
  const auto listing = Await<absl::StatusOr<std::vector<GroupListing>>>(
      [&](GroupCoordinator::ListingDone done) { coordinator_->List(std::move(done)); });
  ASSERT_TRUE(listing.ok());
  ASSERT_EQ(listing->size(), 1u);
  EXPECT_EQ(listing->at(0).group, "g");
  EXPECT_FALSE(answered.HasBeenNotified());
  store_.HoldDurability(false);
  EXPECT_TRUE(answered.WaitForNotificationWithTimeout(kLong));
}

TEST_F(GroupCoordinatorTest, AfterAFailedWriteTheGroupsAreReadAgain) {
  ASSERT_TRUE(Commit("g", 1).ok());
  const auto a = Join("h", "a");
  EXPECT_EQ(a->Next(), "joined as a epoch=1");
  std::vector<LogId> logs;
  for (int i = 0; i < 4; ++i) logs.push_back(catalog_.Log(std::string(kOffsetsTopic), i));
  store_.DeleteLogs(logs, [](const absl::Status&) {});
  EXPECT_EQ(ReasonOf(Commit("g", 2)), Reason::kPartitionNotFound);
  // Broken for as long as there is no log to read.
  EXPECT_FALSE(Commit("g", 3).ok());
}

TEST_F(GroupCoordinatorTest, AGroupThatIsNotThereIsNotFound) {
  EXPECT_EQ(ReasonOf(Describe("none").status()), Reason::kGroupNotFound);
}

TEST_F(GroupCoordinatorTest, OneGroupTooManyIsRefusedAndTheOthersGoOn) {
  coordinator_->Stop();
  coordinator_ = std::make_unique<GroupCoordinator>(GroupCoordinatorOptions{.groups_max = 2}, store_,
                                                    catalog_, clock_, events_, Never);
  coordinator_->Start();
  EXPECT_TRUE(Commit("a", 1).ok());
  EXPECT_TRUE(Commit("b", 1).ok());
  EXPECT_EQ(ReasonOf(Commit("c", 1)), Reason::kTooManyGroups);
  EXPECT_TRUE(Commit("a", 2).ok());
  EXPECT_THAT(Join("c", "m")->Next(), testing::StartsWith("ended TOO_MANY_GROUPS"));
}

TEST_F(GroupCoordinatorTest, WithTheMemoryUsedUpOnlyWhatIsThereGoesOn) {
  ASSERT_TRUE(Commit("a", 1).ok());
  const auto member = Join("b", "m");
  member->Next();
  coordinator_->Stop();
  coordinator_ = std::make_unique<GroupCoordinator>(GroupCoordinatorOptions{.memory_bytes = 1}, store_,
                                                    catalog_, clock_, events_, Never);
  coordinator_->Start();
  for (const char* group : {"a", "b"}) ASSERT_TRUE(Describe(group).ok());  // they are read
  const absl::Status refused = Commit("c", 1);
  EXPECT_EQ(ReasonOf(refused), Reason::kGroupMemoryFull);
  EXPECT_THAT(refused.message(), testing::HasSubstr("of 1 that they may"));
  EXPECT_TRUE(Commit("a", 2).ok());
  EXPECT_THAT(Join("a", "m")->Next(), testing::StartsWith("ended GROUP_MEMORY_FULL"));
  EXPECT_THAT(Join("b", "n")->Next(), testing::StartsWith("ended GROUP_MEMORY_FULL"));
  EXPECT_THAT(Join("b", "m")->Next(), testing::StartsWith("joined"));
  EXPECT_GT(coordinator_->Stats().bytes, 0);
}

// A hub on which no group was ever used.
// Where another broker may lead in this one's place.
class UnsureGroupsTest : public GroupCoordinatorTest {
 protected:
  // Who is asked whether this broker leads.
  struct Others {
    absl::Mutex mutex;
    bool lead ABSL_GUARDED_BY(mutex) = false;
    bool silent ABSL_GUARDED_BY(mutex) = false;
    std::vector<absl::AnyInvocable<void(bool)>> unanswered ABSL_GUARDED_BY(mutex);
    bool asked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) { return !unanswered.empty(); }
  };
  UnsureGroupsTest() : UnsureGroupsTest(std::make_shared<Others>()) {}
  explicit UnsureGroupsTest(const std::shared_ptr<Others>& others)
      : GroupCoordinatorTest({.confirm =
                                  [others](LogId, LeaderEpoch, auto done) {
                                    absl::MutexLock lock(&others->mutex);
                                    if (others->silent) return others->unanswered.push_back(std::move(done));
                                    done(!others->lead);
                                  },
                              .confirm_every_ms = 500,
                              .unconfirmed_ms_max = 4'000,
                              .reload_after_ms = 1}),
        others_(others) {}
  ~UnsureGroupsTest() override { AnswerAll(); }
  void SetOthersLead(bool lead) {
    absl::MutexLock lock(&others_->mutex);
    others_->lead = lead;
  }
  void SetSilent() {
    absl::MutexLock lock(&others_->mutex);
    others_->silent = true;
  }
  void WaitForQuestion() {
    absl::MutexLock lock(&others_->mutex);
    ASSERT_TRUE(others_->mutex.AwaitWithTimeout(absl::Condition(others_.get(), &Others::asked), kLong));
  }
  void AnswerAll() {
    std::vector<absl::AnyInvocable<void(bool)>> unanswered;
    {
      absl::MutexLock lock(&others_->mutex);
      others_->silent = false;
      unanswered = std::exchange(others_->unanswered, {});
    }
    for (auto& done : unanswered) done(true);
  }
  // Until it is let in.
  std::string JoinAgain() {
    std::string heard = "nothing";
    for (int tries = 0; tries < 100 && !heard.starts_with("joined"); ++tries) {
      Pass(10);
      heard = Join("g", "a")->Next();
    }
    return heard;
  }
  void Pass(int64_t ms) {
    clock_.AdvanceMs(ms);
    coordinator_->Wake();
  }

  const std::shared_ptr<Others> others_;
};

TEST_F(UnsureGroupsTest, LetTheirMembersGoAndComeBackWhenTheyAreSure) {
  const auto a = Join("g", "a");
  EXPECT_EQ(a->Next(), "joined as a epoch=1");
  EXPECT_EQ(a->Next(), "assigned orders/0@- orders/1@-");
  for (int i = 0; i < 20; ++i) {
    Pass(1'000);
    ASSERT_TRUE(Describe("g").ok()) << "it was confirmed meanwhile";
  }
  SetOthersLead(true);
  Pass(5'000);
  EXPECT_TRUE(a->Next().starts_with("ended COORDINATOR_LOADING"));
  EXPECT_EQ(ReasonOf(Commit("g", 7)), Reason::kCoordinatorLoading);
  SetOthersLead(false);
  EXPECT_EQ(JoinAgain(), "joined as a epoch=2");
}

TEST_F(UnsureGroupsTest, AnAnswerThatComesWhenAWriteHasFailedBeginsNothing) {
  const auto a = Join("g", "a");
  EXPECT_EQ(a->Next(), "joined as a epoch=1");
  SetSilent();
  Pass(600);
  WaitForQuestion();
  store_.SetStorageFull(true);
  EXPECT_EQ(ReasonOf(Commit("h", 7)), Reason::kStorageFull) << "of the same partition of the topic";
  AnswerAll();
  store_.SetStorageFull(false);
  EXPECT_EQ(JoinAgain(), "joined as a epoch=2");
}

class UnusedGroupsTest : public testing::Test {
 protected:
  UnusedGroupsTest() {
    catalog_.SetTopic("orders", 2);
    coordinator_ = std::make_unique<GroupCoordinator>(GroupCoordinatorOptions{}, store_, catalog_, clock_,
                                                      events_, [this](auto done) {
                                                        ++topics_made_;
                                                        if (make_status_.ok())
                                                          catalog_.SetTopic(std::string(kOffsetsTopic), 4);
                                                        done(make_status_);
                                                      });
    coordinator_->Start();
  }
  ~UnusedGroupsTest() override { coordinator_->Stop(); }

  absl::Status Commit() {
    absl::Notification answered;
    absl::Status answer;
    CommitOffsets commit;
    GroupPartition partition;
    const std::string id = catalog_.Topic("orders")->topic_id;
    std::copy(id.begin(), id.end(), partition.topic.begin());
    commit.offsets[partition].offset = 0;
    coordinator_->Commit("g", commit, [&](absl::Status status) {
      answer = std::move(status);
      answered.Notify();
    });
    answered.WaitForNotification();
    return answer;
  }
  template <typename Call>
  absl::Status Answer(Call call) {
    absl::Notification answered;
    absl::Status answer;
    call([&](absl::Status status) {
      answer = std::move(status);
      answered.Notify();
    });
    answered.WaitForNotification();
    return answer;
  }

  SystemClock clock_;
  MemoryLogStore store_{clock_};
  services::FixedCatalog catalog_{store_};
  NullEventLog events_;
  int topics_made_ = 0;
  absl::Status make_status_;
  std::unique_ptr<GroupCoordinator> coordinator_;
};

TEST_F(UnusedGroupsTest, AreMadeByTheFirstCommit) {
  EXPECT_TRUE(Commit().ok());
  EXPECT_EQ(topics_made_, 1);
  EXPECT_TRUE(Commit().ok());
  EXPECT_EQ(topics_made_, 1);
}

TEST_F(UnusedGroupsTest, AreNotMadeByLookingOrGoing) {
  const absl::Status described = Answer([this](auto answer) {
    coordinator_->Describe("g", [answer](const auto& snapshot) mutable { answer(snapshot.status()); });
  });
  EXPECT_EQ(ReasonOf(described), Reason::kGroupNotFound);
  const absl::Status listed = Answer([this](auto answer) {
    coordinator_->List([answer](const auto& groups) mutable {
      EXPECT_TRUE(groups.ok() && groups->empty());
      answer(groups.status());
    });
  });
  EXPECT_TRUE(listed.ok());
  EXPECT_TRUE(Answer([this](auto answer) { coordinator_->Remove("g", {.member_id = "m"}, answer); }).ok());
  EXPECT_EQ(ReasonOf(Answer([this](auto answer) { coordinator_->Delete("g", answer); })),
            Reason::kGroupNotFound);
  EXPECT_EQ(topics_made_, 0);
}

TEST_F(UnusedGroupsTest, FailWithWhatKeepsTheirTopicFromBeingMadeUntilItCanBe) {
  make_status_ = MakeError(Reason::kStorageFull, "full");
  EXPECT_EQ(ReasonOf(Commit()), Reason::kStorageFull);
  make_status_ = absl::OkStatus();
  EXPECT_TRUE(Commit().ok());
  EXPECT_EQ(topics_made_, 2);
}

}  // namespace
}  // namespace naru::cluster
