#include "cluster/coordinator/topic_coordinator.h"

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/base/status.h"
#include "storage/log/memory_log_store.h"
#include "tests/cluster/coordinator_calls.h"
#include "tests/cluster/dying_stores.h"

namespace naru::cluster {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::string Message(const absl::Status& status) { return std::string(status.message()); }

class TopicCoordinatorTest : public ::testing::Test {
 protected:
  void SetUp() override { Start(); }
  void TearDown() override { coordinator_.reset(); }

  void Start(CoordinatorOptions options = {}) {
    coordinator_.reset();
    coordinator_.emplace(options, map_, logs_, clock_, events_);
    ASSERT_TRUE(coordinator_->Start().ok());
  }
  absl::Status TryStart(CoordinatorOptions options = {}) {
    coordinator_.reset();
    coordinator_.emplace(options, map_, logs_, clock_, events_);
    return coordinator_->Start();
  }
  std::shared_ptr<const TopicInfo> Topic(const std::string& name) {
    return *coordinator_->Current()->Find(name);
  }
  void ExpectInvalid(const absl::Status& status, const std::string& field, const std::string& value) {
    EXPECT_EQ(ReasonOf(status), Reason::kInvalidField) << status;
    EXPECT_EQ(MetadataValue(status, "field"), field);
    EXPECT_EQ(MetadataValue(status, "value"), value);
  }

  ManualClock clock_;
  NullEventLog events_;
  MemoryMapStore map_;
  MemoryLogStore logs_{clock_};
  std::optional<TopicCoordinator> coordinator_;
};

TEST_F(TopicCoordinatorTest, TheFirstStartMakesAClusterIdThatStays) {
  const std::string cluster_id = coordinator_->Current()->cluster_id;
  EXPECT_THAT(cluster_id, ::testing::MatchesRegex("[0-9a-f]{32}"));
  EXPECT_EQ(coordinator_->Current()->self, BrokerId(1));
  Start();
  EXPECT_EQ(coordinator_->Current()->cluster_id, cluster_id);
}

TEST_F(TopicCoordinatorTest, ATopicMadeIsPublishedWithItsLogsInPlace) {
  clock_.SetMs(1'700'000'000'042);
  const TopicResult made = Create(*coordinator_, "orders", 3);
  ASSERT_TRUE(made.ok()) << made.status();
  EXPECT_EQ(*made, Topic("orders")) << "the answer comes after the publication";
  EXPECT_EQ((*made)->topic_id.size(), 16u);
  EXPECT_EQ((*made)->create_time_ms, 1'700'000'000'042);
  EXPECT_EQ((*made)->partition_count(), 3);
  EXPECT_THAT(logs_.Logs(), ElementsAre(LogId(1), LogId(2), LogId(3)));
  for (const PartitionPlacement& partition : (*made)->partitions) {
    EXPECT_EQ(partition.leader, BrokerId(1));
    EXPECT_THAT(partition.replicas, ElementsAre(BrokerId(1)));
    EXPECT_EQ(logs_.Info(partition.log)->leader_epoch, LeaderEpoch(0));
  }
}

TEST_F(TopicCoordinatorTest, CountsThatAreNotGivenAreOne) {
  const TopicResult made = Create(*coordinator_, "orders", 0);
  EXPECT_EQ((*made)->partition_count(), 1);
  EXPECT_EQ((*made)->replication_factor, 1);
  EXPECT_EQ((*made)->config, TopicConfig());
}

TEST_F(TopicCoordinatorTest, ATopicThatExistsIsNotMadeAgain) {
  ASSERT_TRUE(Create(*coordinator_, "orders", 1).ok());
  const absl::Status status = Create(*coordinator_, "orders", 1).status();
  EXPECT_EQ(ReasonOf(status), Reason::kTopicExists);
  EXPECT_THAT(Message(status), HasSubstr("\"orders\" exists already"));
}

TEST_F(TopicCoordinatorTest, WhatCannotBeIsRefusedWithFieldAndValue) {
  ExpectInvalid(Create(*coordinator_, "", 1).status(), "name", "an empty name");
  ExpectInvalid(Create(*coordinator_, "a b", 1).status(), "name", "\"a b\"");
  ExpectInvalid(Create(*coordinator_, "__mine", 1).status(), "name", "\"__mine\"");
  ExpectInvalid(Create(*coordinator_, "t", -1).status(), "partition_count", "-1");
  ExpectInvalid(Create(*coordinator_, "t", 100'001).status(), "partition_count", "100001");
  auto request = CreateRequest("t", 1);
  request.set_replication_factor(2);
  const absl::Status status = Create(*coordinator_, request).status();
  ExpectInvalid(status, "replication_factor", "2");
  EXPECT_THAT(Message(status), HasSubstr("1 to 1 (the number of brokers)"));
  request.set_replication_factor(-1);
  ExpectInvalid(Create(*coordinator_, request).status(), "replication_factor", "-1");
  request.set_replication_factor(1);
  request.mutable_config()->set_min_in_sync_replicas(2);
  ExpectInvalid(Create(*coordinator_, request).status(), "config.min_in_sync_replicas", "2");
  EXPECT_THAT(logs_.Logs(), IsEmpty());
}

TEST_F(TopicCoordinatorTest, AllTopicsTogetherStayWithinTheTotal) {
  Start({.limits = {.partitions_total_max = 10}});
  ASSERT_TRUE(Create(*coordinator_, "a", 7).ok());
  const absl::Status status = Create(*coordinator_, "b", 4).status();
  ExpectInvalid(status, "partition_count", "4");
  EXPECT_THAT(Message(status), HasSubstr("all topics together may have 10 partitions, and there are 7"));
  ExpectInvalid(Grow(*coordinator_, "a", 11).status(), "partition_count", "11");
  ASSERT_TRUE(Create(*coordinator_, "b", 3).ok());
  ASSERT_TRUE(Delete(*coordinator_, "a").ok());
  EXPECT_TRUE(Grow(*coordinator_, "b", 10).ok()) << "what was deleted counts no more";
}

TEST_F(TopicCoordinatorTest, ValidateOnlyChecksAndMakesNothing) {
  auto request = CreateRequest("orders", 4);
  request.set_validate_only(true);
  const TopicResult checked = Create(*coordinator_, request);
  ASSERT_TRUE(checked.ok());
  EXPECT_EQ((*checked)->partition_count(), 4);
  EXPECT_EQ((*checked)->topic_id, "");
  EXPECT_THAT(coordinator_->Current()->topics, IsEmpty());
  EXPECT_THAT(logs_.Logs(), IsEmpty());
  request.set_partition_count(-4);
  ExpectInvalid(Create(*coordinator_, request).status(), "partition_count", "-4");
}

TEST_F(TopicCoordinatorTest, PartitionsAreAddedBehindThoseThatAreThere) {
  const TopicResult made = Create(*coordinator_, "orders", 2);
  const TopicResult grown = Grow(*coordinator_, "orders", 5);
  ASSERT_TRUE(grown.ok()) << grown.status();
  EXPECT_EQ((*grown)->topic_id, (*made)->topic_id);
  ASSERT_EQ((*grown)->partition_count(), 5);
  EXPECT_EQ((*grown)->partitions[1].log, (*made)->partitions[1].log);
  EXPECT_EQ(logs_.Logs().size(), 5u);
  EXPECT_EQ(logs_.Info((*grown)->partitions[4].log)->leader_epoch, LeaderEpoch(0));
}

TEST_F(TopicCoordinatorTest, PartitionsAreNeverTakenAwayAndTheErrorSaysWhy) {
  ASSERT_TRUE(Create(*coordinator_, "orders", 3).ok());
  for (const int32_t count : {2, 3, 0, -1}) {
    const absl::Status status = Grow(*coordinator_, "orders", count).status();
    ExpectInvalid(status, "partition_count", std::to_string(count));
    EXPECT_THAT(Message(status), HasSubstr("has 3 partitions, and partitions can only be added"));
    EXPECT_THAT(Message(status), HasSubstr("lose its records"));
    EXPECT_THAT(Message(status), HasSubstr("allowed: 4 to 100000"));
  }
  EXPECT_EQ(ReasonOf(Grow(*coordinator_, "other", 2).status()), Reason::kTopicNotFound);
}

TEST_F(TopicCoordinatorTest, GrowingWithValidateOnlyMakesNothing) {
  ASSERT_TRUE(Create(*coordinator_, "orders", 3).ok());
  naru::v1::CreatePartitionsRequest request;
  request.set_name("orders");
  request.set_partition_count(4);
  request.set_validate_only(true);
  const auto checked =
      WaitFor<TopicResult>([&](auto done) { coordinator_->CreatePartitions(request, std::move(done)); });
  EXPECT_EQ((*checked)->partition_count(), 4);
  EXPECT_EQ(Topic("orders")->partition_count(), 3);
  EXPECT_EQ(logs_.Logs().size(), 3u);
}

TEST_F(TopicCoordinatorTest, AnUpdateReachesCatalogLogsAndTheNextStart) {
  Lifetime life(INT64_MAX, Death::kBefore);
  DyingLogStore logs(logs_, life);
  coordinator_.reset();
  {
    TopicCoordinator coordinator({}, map_, logs, clock_, events_);
    ASSERT_TRUE(coordinator.Start().ok());
    ASSERT_TRUE(Create(coordinator, "orders", 2).ok());
    ASSERT_TRUE(SetRetention(coordinator, "orders", 77).ok());
    EXPECT_EQ(coordinator.Current()->topics.at("orders")->config.retention_ms, 77);
    EXPECT_EQ(logs.settings().at(LogId(2)).retention_ms, 77);
  }
  Start();
  EXPECT_EQ(Topic("orders")->config.retention_ms, 77);
}

TEST_F(TopicCoordinatorTest, AnUpdateThatChangesNothingPublishesNothing) {
  ASSERT_TRUE(Create(*coordinator_, "orders", 2).ok());
  ASSERT_TRUE(SetRetention(*coordinator_, "orders", 5).ok());
  const int64_t version = coordinator_->Current()->version;
  ASSERT_TRUE(SetRetention(*coordinator_, "orders", 5).ok());
  EXPECT_EQ(coordinator_->Current()->version, version);
  ExpectInvalid(SetRetention(*coordinator_, "orders", 0).status(), "config.retention_ms", "0");
  EXPECT_EQ(ReasonOf(SetRetention(*coordinator_, "other", 5).status()), Reason::kTopicNotFound);
}

TEST_F(TopicCoordinatorTest, ADeletedTopicIsGoneAndItsLogsAreNeverUsedAgain) {
  const std::string old_id = (*Create(*coordinator_, "orders", 2))->topic_id;
  ASSERT_TRUE(Delete(*coordinator_, "orders").ok());
  EXPECT_THAT(coordinator_->Current()->topics, IsEmpty());
  EXPECT_THAT(logs_.Logs(), IsEmpty());
  EXPECT_EQ(ReasonOf(Delete(*coordinator_, "orders")), Reason::kTopicNotFound);
  Start();
  const TopicResult again = Create(*coordinator_, "orders", 2);
  EXPECT_NE((*again)->topic_id, old_id);
  EXPECT_THAT(logs_.Logs(), ElementsAre(LogId(3), LogId(4)));
}

TEST_F(TopicCoordinatorTest, DeletingByIdSparesATopicMadeAgain) {
  const std::string id = (*Create(*coordinator_, "orders", 1))->topic_id;
  EXPECT_EQ(ReasonOf(Delete(*coordinator_, "orders", std::string(16, 'x'))), Reason::kTopicIdMismatch);
  ExpectInvalid(Delete(*coordinator_, "orders", "short"), "topic_id", "an id of 5 bytes");
  EXPECT_TRUE(Delete(*coordinator_, "orders", id).ok());
}

TEST_F(TopicCoordinatorTest, VersionsRiseAcrossRestarts) {
  ASSERT_TRUE(Create(*coordinator_, "orders", 1).ok());
  int64_t version = coordinator_->Current()->version;
  for (int start = 0; start < 3; ++start) {
    Start();
    EXPECT_GT(coordinator_->Current()->version, version);
    version = coordinator_->Current()->version;
  }
  ASSERT_TRUE(coordinator_->Advertise("hub:1").ok());
  EXPECT_GT(coordinator_->Current()->version, version);
  version = coordinator_->Current()->version;
  Start();
  EXPECT_GT(coordinator_->Current()->version, version);
}

TEST_F(TopicCoordinatorTest, TheAdvertisedAddressIsInTheCatalog) {
  Start({.advertised_address = "hub-1:9410"});
  ASSERT_EQ(coordinator_->Current()->brokers.size(), 1u);
  EXPECT_EQ(coordinator_->Current()->brokers[0].address, "hub-1:9410");
  ASSERT_TRUE(coordinator_->Advertise("hub-1:7777").ok());
  EXPECT_EQ(coordinator_->Current()->brokers[0].address, "hub-1:7777");
  const int64_t version = coordinator_->Current()->version;
  ASSERT_TRUE(coordinator_->Advertise("hub-1:7777").ok());
  EXPECT_EQ(coordinator_->Current()->version, version);
}

TEST_F(TopicCoordinatorTest, WatchesFireAtEachPublicationUntilCancelled) {
  std::atomic<int> fired = 0;
  const auto watch = coordinator_->Watch([&] { ++fired; });
  ASSERT_TRUE(Create(*coordinator_, "a", 1).ok());
  ASSERT_TRUE(SetRetention(*coordinator_, "a", 9).ok());
  ASSERT_TRUE(Delete(*coordinator_, "a").ok());
  EXPECT_EQ(fired, 3);
  coordinator_->CancelWatch(watch);
  ASSERT_TRUE(Create(*coordinator_, "a", 1).ok());
  EXPECT_EQ(fired, 3);
}

TEST_F(TopicCoordinatorTest, MetadataThatWasLostNeverDeletesLogs) {
  ASSERT_TRUE(Create(*coordinator_, "orders", 2).ok());
  coordinator_.reset();
  MemoryMapStore empty;
  TopicCoordinator other({}, empty, logs_, clock_, events_);
  const absl::Status status = other.Start();
  EXPECT_EQ(ReasonOf(status), Reason::kCorruptData);
  EXPECT_THAT(Message(status), HasSubstr("the metadata was lost"));
  EXPECT_EQ(logs_.Logs().size(), 2u);
}

TEST_F(TopicCoordinatorTest, MetadataOlderThanTheStoreNeverDeletesLogs) {
  ASSERT_TRUE(Create(*coordinator_, "orders", 2).ok());
  coordinator_.reset();
  ASSERT_TRUE(WaitFor<absl::Status>([&](auto done) { logs_.CreateLogs({LogId(9)}, std::move(done)); }).ok());
  const absl::Status status = TryStart();
  EXPECT_EQ(ReasonOf(status), Reason::kCorruptData);
  EXPECT_THAT(Message(status), HasSubstr("older than the store"));
  EXPECT_EQ(logs_.Logs().size(), 3u);
}

TEST_F(TopicCoordinatorTest, LogsThatTheStoreLostAreNotReplacedByEmptyOnesUnlessAskedFor) {
  ASSERT_TRUE(Create(*coordinator_, "orders", 2).ok());
  ASSERT_TRUE(Create(*coordinator_, "others", 2).ok());
  coordinator_.reset();
  ManualClock clock;
  MemoryLogStore empty(clock);
  TopicCoordinator refusing({}, map_, empty, clock_, events_);
  const absl::Status status = refusing.Start();
  EXPECT_EQ(ReasonOf(status), Reason::kCorruptData);
  EXPECT_THAT(Message(status), HasSubstr("of the 4 logs"));
  EXPECT_THAT(empty.Logs(), IsEmpty());
  TopicCoordinator accepting({.lost_logs_allowed = true}, map_, empty, clock_, events_);
  EXPECT_TRUE(accepting.Start().ok());
  EXPECT_EQ(empty.Logs().size(), 4u);
}

TEST_F(TopicCoordinatorTest, ATopicWhoseLogsCannotBeMadeIsTakenBackAndLeavesNothing) {
  coordinator_.reset();
  Lifetime life(INT64_MAX, Death::kBefore);
  {
    DyingLogStore logs(logs_, life);
    TopicCoordinator coordinator({}, map_, logs, clock_, events_);
    ASSERT_TRUE(coordinator.Start().ok());
    logs.RefuseNextCreate();
    EXPECT_EQ(ReasonOf(Create(coordinator, "orders", 4).status()), Reason::kStorageFull);
    EXPECT_THAT(coordinator.Current()->topics, IsEmpty());
    EXPECT_THAT(logs_.Logs(), IsEmpty()) << "those made in part are deleted";
    ASSERT_TRUE(Create(coordinator, "orders", 2).ok()) << "with ids that were not given out before";
    EXPECT_THAT(logs_.Logs(), ElementsAre(LogId(5), LogId(6)));
    logs.RefuseNextCreate();
    EXPECT_EQ(ReasonOf(Grow(coordinator, "orders", 4).status()), Reason::kStorageFull);
    EXPECT_EQ(coordinator.Current()->topics.at("orders")->partition_count(), 2);
    EXPECT_EQ(logs_.Logs().size(), 2u);
  }
  Start();
  EXPECT_EQ(Topic("orders")->partition_count(), 2);
}

TEST_F(TopicCoordinatorTest, WhatATopicTakenBackLeftInTheStoreGoesAtTheNextStart) {
  coordinator_.reset();
  Lifetime life(0, Death::kHalfway);
  {
    DyingLogStore logs(logs_, life);
    TopicCoordinator coordinator({}, map_, logs, clock_, events_);
    ASSERT_TRUE(coordinator.Start().ok());
    EXPECT_FALSE(Create(coordinator, "orders", 4).ok());
    EXPECT_THAT(coordinator.Current()->topics, IsEmpty());
  }
  EXPECT_EQ(logs_.Logs().size(), 2u) << "made in part";
  Start();
  EXPECT_THAT(coordinator_->Current()->topics, IsEmpty());
  EXPECT_THAT(logs_.Logs(), IsEmpty()) << "what nobody knows was deleted";
  EXPECT_TRUE(Create(*coordinator_, "orders", 4).ok());
}

TEST_F(TopicCoordinatorTest, AfterAFailedMetadataWriteNothingIsChangedAnyMore) {
  ASSERT_TRUE(Create(*coordinator_, "orders", 1).ok());
  coordinator_.reset();
  Lifetime life(1, Death::kBefore);
  {
    DyingMapStore map(map_, life);
    TopicCoordinator coordinator({}, map, logs_, clock_, events_);
    ASSERT_TRUE(coordinator.Start().ok());
    for (int attempt = 0; attempt < 2; ++attempt) {
      const absl::Status status = Create(coordinator, "other", 1).status();
      EXPECT_EQ(ReasonOf(status), Reason::kInternal);
      EXPECT_THAT(Message(status), HasSubstr("until the broker is restarted"));
    }
    EXPECT_FALSE(Delete(coordinator, "orders").ok());
    EXPECT_EQ(life.effects(), 2) << "one for the start, one that failed, and none after it";
    EXPECT_TRUE(coordinator.Current()->topics.contains("orders"));
  }
}

TEST_F(TopicCoordinatorTest, ProducerIdsAreNeverGivenTwiceAlsoAcrossRestartsAndChangesOfTopics) {
  std::set<int64_t> given;
  for (int start = 0; start < 3; ++start) {
    for (int i = 0; i < 3; ++i) {
      ASSERT_TRUE(Create(*coordinator_, "t" + std::to_string(3 * start + i), 1).ok());
      const ProducerResult producer = InitProducer(*coordinator_);
      ASSERT_TRUE(producer.ok()) << producer.status();
      EXPECT_TRUE(given.insert(producer->producer_id).second) << producer->producer_id;
      EXPECT_EQ(producer->epoch, 0);
    }
    Start();
  }
  EXPECT_EQ(*given.begin(), 1);
}

TEST_F(TopicCoordinatorTest, AKnownProducerGetsItsNextEpochAlsoAfterARestart) {
  const ProducerIdentity first = *InitProducer(*coordinator_);
  Start();
  EXPECT_EQ(*InitProducer(*coordinator_, first), (ProducerIdentity{first.producer_id, 1}));
  ExpectInvalid(InitProducer(*coordinator_, {{77'000, 0}}).status(), "producer_id", "77000");
  ExpectInvalid(InitProducer(*coordinator_, {{first.producer_id, -1}}).status(), "epoch", "-1");
}

TEST_F(TopicCoordinatorTest, AThousandProducersCostOneWrite) {
  coordinator_.reset();
  Lifetime life(INT64_MAX, Death::kBefore);
  DyingMapStore map(map_, life);
  TopicCoordinator coordinator({}, map, logs_, clock_, events_);
  ASSERT_TRUE(coordinator.Start().ok());
  const int64_t before = life.effects();
  for (int i = 0; i < 1'000; ++i) ASSERT_TRUE(InitProducer(coordinator).ok());
  EXPECT_EQ(life.effects(), before + 1);
  ASSERT_TRUE(InitProducer(coordinator).ok());
  EXPECT_EQ(life.effects(), before + 2);
}

TEST_F(TopicCoordinatorTest, WithoutItsMetadataStoreNoProducerBegins) {
  coordinator_.reset();
  Lifetime life(1, Death::kBefore);
  DyingMapStore map(map_, life);
  TopicCoordinator coordinator({}, map, logs_, clock_, events_);
  ASSERT_TRUE(coordinator.Start().ok());
  EXPECT_EQ(ReasonOf(InitProducer(coordinator).status()), Reason::kInternal);
  EXPECT_EQ(ReasonOf(InitProducer(coordinator).status()), Reason::kInternal);
}

TEST_F(TopicCoordinatorTest, StoppedItRefusesAndStaysReadable) {
  ASSERT_TRUE(Create(*coordinator_, "orders", 1).ok());
  coordinator_->Stop();
  EXPECT_EQ(ReasonOf(Create(*coordinator_, "other", 1).status()), Reason::kShuttingDown);
  EXPECT_EQ(ReasonOf(coordinator_->Advertise("x:1")), Reason::kShuttingDown);
  EXPECT_EQ(ReasonOf(InitProducer(*coordinator_).status()), Reason::kShuttingDown);
  EXPECT_TRUE(coordinator_->Current()->topics.contains("orders"));
  coordinator_->Stop();
}

TEST_F(TopicCoordinatorTest, BeyondItsQueueItRefusesAndOnStopWhatWaitsIsAnswered) {
  Start({.queued_requests_max = 2});
  // The first request waits for the store, two more wait for the first.
  logs_.HoldDurability(true);
  std::vector<absl::Status> answers(4, absl::UnknownError("none"));
  absl::Notification first_done, refused;
  coordinator_->CreateTopic(CreateRequest("a", 1), [&](TopicResult result) {
    answers[0] = result.status();
    first_done.Notify();
  });
  while (logs_.waiting_changes() == 0) std::this_thread::yield();
  coordinator_->CreateTopic(CreateRequest("b", 1), [&](TopicResult result) { answers[1] = result.status(); });
  coordinator_->CreateTopic(CreateRequest("c", 1), [&](TopicResult result) { answers[2] = result.status(); });
  coordinator_->CreateTopic(CreateRequest("d", 1), [&](TopicResult result) { answers[3] = result.status(); });
  EXPECT_EQ(ReasonOf(answers[3]), Reason::kTooManyInFlight);

  std::thread stopping([&] { coordinator_->Stop(); });
  // Once stopped it refuses at once, while the first request still waits.
  while (ReasonOf(Create(*coordinator_, "e", 1).status()) != Reason::kShuttingDown) std::this_thread::yield();
  EXPECT_FALSE(first_done.HasBeenNotified());
  logs_.HoldDurability(false);
  stopping.join();
  EXPECT_TRUE(answers[0].ok()) << answers[0];
  EXPECT_EQ(ReasonOf(answers[1]), Reason::kShuttingDown);
  EXPECT_EQ(ReasonOf(answers[2]), Reason::kShuttingDown);
}

TEST_F(TopicCoordinatorTest, AThousandPartitionsTakeWellUnderASecond) {
  const auto start = std::chrono::steady_clock::now();
  ASSERT_TRUE(Create(*coordinator_, "wide", 1'000).ok());
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(1));
  EXPECT_EQ(logs_.Logs().size(), 1'000u);
}

TEST_F(TopicCoordinatorTest, ReadersSeeOnlyWholeSnapshotsWhileTopicsComeAndGo) {
  std::atomic<bool> stop = false;
  std::vector<std::thread> readers;
  for (int reader = 0; reader < 4; ++reader) {
    readers.emplace_back([&] {
      int64_t version = 0;
      while (!stop) {
        const auto catalog = coordinator_->Current();
        EXPECT_GE(catalog->version, version);
        version = catalog->version;
        for (const auto& [name, topic] : catalog->topics) EXPECT_EQ(name, topic->name);
      }
    });
  }
  for (int round = 0; round < 100; ++round) {
    ASSERT_TRUE(Create(*coordinator_, "t", 2).ok());
    ASSERT_TRUE(coordinator_->Current()->topics.contains("t"));
    ASSERT_TRUE(Delete(*coordinator_, "t").ok());
    ASSERT_FALSE(coordinator_->Current()->topics.contains("t"));
  }
  stop = true;
  for (std::thread& reader : readers) reader.join();
}

TEST(CoordinatorOptionsTest, NamesTheOptionThatIsWrong) {
  EXPECT_TRUE(CoordinatorOptions().Validate().ok());
  EXPECT_THAT(Message(CoordinatorOptions{.limits = {.partitions_per_topic_max = 100'001}}.Validate()),
              HasSubstr("partitions_per_topic_max: 100001"));
  EXPECT_THAT(Message(CoordinatorOptions{.limits = {.partitions_total_max = 0}}.Validate()),
              HasSubstr("partitions_total_max: 0"));
  EXPECT_THAT(Message(CoordinatorOptions{.limits = {.record_bytes_max = 0}}.Validate()),
              HasSubstr("record_bytes_max: 0"));
  EXPECT_THAT(Message(CoordinatorOptions{.queued_requests_max = 0}.Validate()),
              HasSubstr("queued_requests_max: 0"));
}

}  // namespace
}  // namespace naru::cluster
