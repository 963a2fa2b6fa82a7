// The coordinator's process dies at each of its durable effects in turn, in each way; after a restart
// metadata and store agree, what was answered holds, and no producer id is given out twice.
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "cluster/coordinator/topic_coordinator.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/log/memory_log_store.h"
#include "tests/cluster/coordinator_calls.h"
#include "tests/cluster/dying_stores.h"

namespace naru::cluster {
namespace {

// Of each topic: partitions and retention.
using Model = std::map<std::string, std::pair<int32_t, int64_t>>;

constexpr int64_t kDefaultRetentionMs = 604'800'000;
// Producers that begin after each step: several blocks of ids in all.
constexpr int kProducersPerStep = 300;

struct Step {
  std::string description;
  std::function<absl::Status(TopicCoordinator&)> run;
  std::function<void(Model&)> expect;
};

std::vector<Step> Script() {
  const auto create = [](std::string name, int32_t partitions) {
    return Step{"create " + name,
                [=](TopicCoordinator& coordinator) { return Create(coordinator, name, partitions).status(); },
                [=](Model& model) {
                  model[name] = {partitions, kDefaultRetentionMs};
                }};
  };
  const auto grow = [](std::string name, int32_t partitions) {
    return Step{"grow " + name,
                [=](TopicCoordinator& coordinator) { return Grow(coordinator, name, partitions).status(); },
                [=](Model& model) { model[name].first = partitions; }};
  };
  const auto retain = [](std::string name, int64_t retention_ms) {
    return Step{
        "update " + name,
        [=](TopicCoordinator& coordinator) { return SetRetention(coordinator, name, retention_ms).status(); },
        [=](Model& model) { model[name].second = retention_ms; }};
  };
  const auto remove = [](std::string name) {
    return Step{"delete " + name, [=](TopicCoordinator& coordinator) { return Delete(coordinator, name); },
                [=](Model& model) { model.erase(name); }};
  };
  return {create("a", 2), create("b", 3), grow("a", 6),   retain("b", 50), remove("a"),
          create("a", 4), remove("b"),    create("c", 2), remove("c"),     grow("a", 5)};
}

Model ModelOf(const TopicCatalog& catalog) {
  Model model;
  for (const auto& [name, topic] : catalog.topics) {
    model[name] = {topic->partition_count(), topic->config.retention_ms};
  }
  return model;
}

// Metadata and store name the same logs, each once; each is configured as its topic says and in its leader
// epoch.
void ExpectAgreement(const TopicCatalog& catalog, const DyingLogStore& logs) {
  std::set<LogId> named;
  const std::map<LogId, LogSettings> settings = logs.settings();
  for (const auto& [name, topic] : catalog.topics) {
    for (const PartitionPlacement& partition : topic->partitions) {
      EXPECT_TRUE(named.insert(partition.log).second) << "log " << partition.log << " stands twice";
      ASSERT_TRUE(settings.contains(partition.log)) << name;
      EXPECT_EQ(settings.at(partition.log).retention_ms, topic->config.retention_ms) << name;
      const auto info = logs.Info(partition.log);
      ASSERT_TRUE(info.ok()) << name << ": " << info.status();
      EXPECT_EQ(info->leader_epoch, partition.leader_epoch) << name;
    }
  }
  EXPECT_THAT(logs.Logs(), ::testing::ElementsAreArray(named));
}

// One data directory, one death, one restart.
class CrashRun {
 public:
  explicit CrashRun(Death death) : death_(death) {}

  // Runs the script until the process dies after so many effects. What must be there then: `before`, or
  // `after` when the step under way may have been done.
  void RunUntilDeath(int64_t effects) {
    Lifetime life(effects, death_);
    DyingMapStore map(map_, life);
    DyingLogStore logs(logs_, life);
    TopicCoordinator coordinator({}, map, logs, clock_, events_);
    bool up = coordinator.Start().ok();
    for (const Step& step : script_) {
      if (!up || life.dead()) break;
      after_ = before_;
      step.expect(after_);
      last_step_ = step.description;
      const absl::Status done = step.run(coordinator);
      EXPECT_TRUE(done.ok() || life.dead()) << last_step_ << ": " << done;
      if (done.ok()) before_ = after_;
      for (int i = 0; i < kProducersPerStep && !life.dead(); ++i) TakeProducerId(coordinator, life);
    }
    coordinator.Stop();
    survived_ = !life.dead();
  }

  void RestartAndCheck() {
    logs_.Restart();
    Lifetime life(INT64_MAX, Death::kBefore);
    DyingMapStore map(map_, life);
    DyingLogStore logs(logs_, life);
    TopicCoordinator coordinator({}, map, logs, clock_, events_);
    ASSERT_TRUE(coordinator.Start().ok());
    const Model model = ModelOf(*coordinator.Current());
    EXPECT_TRUE(model == before_ || model == after_);
    ExpectAgreement(*coordinator.Current(), logs);

    // Goes on, with logs that were never used before: the store refuses those that were deleted.
    const auto made = Create(coordinator, "fresh", 3);
    ASSERT_TRUE(made.ok()) << made.status();
    ExpectAgreement(*coordinator.Current(), logs);
    TakeProducerId(coordinator, life);
    for (const int64_t id : producer_ids_) EXPECT_TRUE(InitProducer(coordinator, {{id, 0}}).ok()) << id;
  }

  bool survived() const { return survived_; }
  const std::string& last_step() const { return last_step_; }

 private:
  void TakeProducerId(TopicCoordinator& coordinator, const Lifetime& life) {
    const ProducerResult producer = InitProducer(coordinator);
    ASSERT_TRUE(producer.ok() || life.dead()) << producer.status();
    if (producer.ok()) {
      EXPECT_TRUE(producer_ids_.insert(producer->producer_id).second) << producer->producer_id;
    }
  }

  const Death death_;
  const std::vector<Step> script_ = Script();
  ManualClock clock_;
  NullEventLog events_;
  MemoryMapStore map_;
  MemoryLogStore logs_{clock_};
  Model before_, after_;
  std::set<int64_t> producer_ids_;
  std::string last_step_ = "start";
  bool survived_ = false;
};

class CoordinatorCrashTest : public ::testing::TestWithParam<Death> {};

TEST_P(CoordinatorCrashTest, MetadataAndStoreAgreeAfterDeathAtEveryEffect) {
  bool survived = false;
  int64_t effects = 0;
  for (; !survived && effects < 1'000; ++effects) {
    CrashRun run(GetParam());
    run.RunUntilDeath(effects);
    SCOPED_TRACE("death at effect " + std::to_string(effects) + ", in: " + run.last_step());
    run.RestartAndCheck();
    if (HasFatalFailure()) return;
    survived = run.survived();
  }
  EXPECT_TRUE(survived);
  EXPECT_GT(effects, 30) << "the script has that many durable effects";
}

std::string NameOf(const ::testing::TestParamInfo<Death>& info) {
  return info.param == Death::kBefore ? "Before" : info.param == Death::kHalfway ? "Halfway" : "After";
}

INSTANTIATE_TEST_SUITE_P(EachWay, CoordinatorCrashTest,
                         ::testing::Values(Death::kBefore, Death::kHalfway, Death::kAfter), NameOf);

}  // namespace
}  // namespace naru::cluster
