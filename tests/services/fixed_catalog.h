// A catalog that a test sets by hand, and the logs that go with it.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "cluster/metadata/topic_catalog.h"
#include "gtest/gtest.h"
#include "storage/log/log_store.h"

namespace naru::services {

class FixedCatalog final : public cluster::CatalogSource {
 public:
  // Logs are made in `store`, which outlives the catalog.
  explicit FixedCatalog(LogStore& store) : store_(store) {
    auto catalog = std::make_shared<cluster::TopicCatalog>();
    catalog->self = BrokerId(1);
    catalog->brokers = {{BrokerId(1), "127.0.0.1:9410"}};
    current_ = catalog;
  }

  // Makes the topic, or another of that name, with the given number of partitions.
  void SetTopic(const std::string& name, int partitions, const cluster::TopicConfig& config = {}) {
    auto topic = std::make_shared<cluster::TopicInfo>();
    topic->name = name;
    topic->topic_id = std::string(15, 't') + static_cast<char>('A' + next_topic_++);
    topic->config = config;
    for (int i = 0; i < partitions; ++i) topic->partitions.push_back(NewPartition(config));
    Publish([&](cluster::TopicCatalog& catalog) { catalog.topics[name] = topic; });
  }
  // Adds partitions to a topic.
  void Grow(const std::string& name, int partitions) {
    auto topic = std::make_shared<cluster::TopicInfo>(*Topic(name));
    while (topic->partition_count() < partitions) topic->partitions.push_back(NewPartition(topic->config));
    Publish([&](cluster::TopicCatalog& catalog) { catalog.topics[name] = topic; });
  }
  // Another broker leads the partition from now on, as the catalog says.
  void SetLeader(const std::string& name, int partition, BrokerId leader, LeaderEpoch epoch) {
    auto topic = std::make_shared<cluster::TopicInfo>(*Topic(name));
    topic->partitions.at(static_cast<size_t>(partition)).leader = leader;
    topic->partitions.at(static_cast<size_t>(partition)).leader_epoch = epoch;
    Publish([&](cluster::TopicCatalog& catalog) {
      catalog.topics[name] = topic;
      catalog.brokers = {{BrokerId(1), "127.0.0.1:9410"}, {BrokerId(2), "hub-2:9410"}};
    });
  }
  // Takes the topic out of the catalog and deletes its logs.
  void Delete(const std::string& name) {
    std::vector<LogId> logs;
    for (const auto& partition : Topic(name)->partitions) logs.push_back(partition.log);
    Publish([&](cluster::TopicCatalog& catalog) { catalog.topics.erase(name); });
    store_.DeleteLogs(logs, [](absl::Status status) { EXPECT_TRUE(status.ok()) << status; });
  }

  std::shared_ptr<const cluster::TopicInfo> Topic(const std::string& name) const {
    return Current()->topics.at(name);
  }
  LogId Log(const std::string& name, int partition) const {
    return Topic(name)->partitions.at(partition).log;
  }

  std::shared_ptr<const cluster::TopicCatalog> Current() const override {
    absl::MutexLock lock(&mutex_);
    ++looks_;
    return current_;
  }
  // Calls of Current().
  int64_t looks() const {
    absl::MutexLock lock(&mutex_);
    return looks_;
  }
  WatchId Watch(std::function<void()> changed) override {
    absl::MutexLock lock(&mutex_);
    watches_[++last_watch_] = std::move(changed);
    return last_watch_;
  }
  void CancelWatch(WatchId watch) override {
    absl::MutexLock lock(&mutex_);
    watches_.erase(watch);
  }

 private:
  cluster::PartitionPlacement NewPartition(const cluster::TopicConfig& config) {
    const LogId log(++last_log_);
    store_.CreateLogs({log}, [](absl::Status status) { EXPECT_TRUE(status.ok()) << status; });
    EXPECT_TRUE(store_.Configure(log, config.ToLogSettings()).ok());
    return {.log = log, .leader = BrokerId(1), .leader_epoch = LeaderEpoch(0), .replicas = {BrokerId(1)}};
  }
  void Publish(const std::function<void(cluster::TopicCatalog&)>& change) {
    absl::MutexLock lock(&mutex_);
    auto next = std::make_shared<cluster::TopicCatalog>(*current_);
    ++next->version;
    change(*next);
    current_ = next;
    for (const auto& [id, changed] : watches_) changed();
  }

  LogStore& store_;
  uint64_t last_log_ = 0;
  int next_topic_ = 0;
  mutable absl::Mutex mutex_;
  std::shared_ptr<const cluster::TopicCatalog> current_ ABSL_GUARDED_BY(mutex_);
  mutable int64_t looks_ ABSL_GUARDED_BY(mutex_) = 0;
  WatchId last_watch_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<WatchId, std::function<void()>> watches_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace naru::services
