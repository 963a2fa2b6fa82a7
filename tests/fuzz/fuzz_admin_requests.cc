// Requests of the admin service against a small catalog: each is refused for a reason, or changes what it
// asks for and nothing else.
//
// Input: one byte that says which request, then its bytes.
#include <google/protobuf/stubs/logging.h>
#include <google/protobuf/text_format.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "cluster/coordinator/topic_ledger.h"
#include "cluster/metadata/topic_config.h"
#include "cluster/metadata/topic_record.h"
#include "services/admin/record_deletion.h"
#include "services/admin/topic_pages.h"
#include "storage/base/clock.h"
#include "storage/log/memory_log_store.h"
#include "tests/fuzz/refusals.h"
#include "tests/storage/log/record_batches.h"

namespace naru::services {
namespace {

using cluster::PartitionPlacement;
using cluster::TopicChange;
using cluster::TopicInfo;
using cluster::TopicLedger;

constexpr int kRecordsPerLog = 5;
constexpr cluster::TopicLimits kLimits{
    .partitions_per_topic_max = 64, .partitions_total_max = 100, .record_bytes_max = 2 << 20};
const std::string kNewTopicId(16, 'n');

std::shared_ptr<const TopicInfo> MakeTopic(const std::string& name, int32_t partitions, int32_t replicas,
                                           cluster::Counters& counters) {
  auto topic = std::make_shared<TopicInfo>();
  topic->name = name;
  topic->topic_id = std::string(15, 't') + name[0];
  topic->config.retention_ms = 1'000;
  topic->config.durability = Durability::kBackground;
  topic->create_time_ms = 1;
  topic->replication_factor = replicas;
  while (topic->partition_count() < partitions) {
    PartitionPlacement placement{counters.next_log, BrokerId(1), LeaderEpoch(3), {}};
    for (int32_t i = 1; i <= replicas; ++i) placement.replicas.emplace_back(i);
    topic->partitions.push_back(std::move(placement));
    ++counters.next_log;
  }
  return topic;
}

TopicLedger MakeLedger() {
  cluster::StoredMetadata stored;
  stored.identity = cluster::Identity{std::string(32, '0'), BrokerId(1)};
  for (const auto& [name, partitions, replicas] :
       {std::tuple("__consumer_offsets", 5, 1), std::tuple("orders", 3, 2), std::tuple("orders.eu", 1, 1),
        std::tuple("payments", 2, 3)}) {
    stored.topics.push_back(MakeTopic(name, partitions, replicas, stored.counters));
  }
  stored.counters.settled_log = stored.counters.next_log;
  return TopicLedger(
      kLimits, std::move(stored),
      {{BrokerId(1), "127.0.0.1:9410"}, {BrokerId(2), "127.0.0.1:9411"}, {BrokerId(3), "127.0.0.1:9412"}});
}

const TopicLedger& Ledger() {
  static const auto* const ledger = new TopicLedger(MakeLedger());
  return *ledger;
}

std::string Persisted(const TopicInfo& topic) { return cluster::ToRecord(topic).SerializeAsString(); }

// The state after the change is sound, and comes back from disk.
void CheckAfter(const TopicChange& change, int32_t partition_count) {
  const TopicInfo& topic = *change.after;
  NARU_CHECK(topic.partition_count() == partition_count);
  NARU_CHECK(partition_count >= 1 && partition_count <= kLimits.partitions_per_topic_max);
  const auto restored = cluster::FromRecord(cluster::ToRecord(topic));
  NARU_CHECK_OK(restored.status());
  NARU_CHECK(Persisted(**restored) == Persisted(topic));
  TopicLedger ledger = Ledger();
  ledger.Apply(change);
  NARU_CHECK(ledger.partitions_total() <= kLimits.partitions_total_max);
  NARU_CHECK(ledger.catalog().version > Ledger().catalog().version || change.changes_nothing());
  NARU_CHECK(*ledger.catalog().Find(topic.name) == change.after);
}

// The last partitions are new: each with a log of its own and as many replicas as the topic has.
void CheckNewPartitions(const TopicChange& change, size_t first) {
  const TopicInfo& topic = *change.after;
  NARU_CHECK(change.logs_made.size() == topic.partitions.size() - first);
  LogId log = Ledger().NextVersion().next_log;
  for (size_t i = first; i < topic.partitions.size(); ++i, ++log) {
    const PartitionPlacement& placement = topic.partitions[i];
    NARU_CHECK(placement.log == log && change.logs_made[i - first] == log);
    NARU_CHECK(static_cast<int32_t>(placement.replicas.size()) == topic.replication_factor);
    NARU_CHECK(placement.leader == placement.replicas.front());
  }
  NARU_CHECK(change.counters.next_log == log);
}

void CheckCreate(const naru::v1::CreateTopicRequest& request) {
  const absl::StatusOr<TopicChange> change = Ledger().Create(request, kNewTopicId, 7);
  if (!change.ok()) return CheckRefusal(change.status());
  NARU_CHECK(change->before == nullptr && change->logs_deleted.empty());
  NARU_CHECK(change->after->name == request.name() && change->after->topic_id == kNewTopicId);
  NARU_CHECK(change->after->replication_factor == std::max(request.replication_factor(), 1));
  CheckNewPartitions(*change, 0);
  CheckAfter(*change, std::max(request.partition_count(), 1));
}

// Each field of the configuration is what was asked for, its default, or what it was before.
void CheckUpdatedConfig(const naru::v1::UpdateTopicRequest& request, const TopicInfo& before,
                        const TopicInfo& after) {
  const naru::v1::TopicConfig was = ToMessage(before.config), is = ToMessage(after.config);
  const naru::v1::TopicConfig by_default = ToMessage(cluster::TopicConfig());
  const auto& paths = request.update_mask().paths();
  for (int i = 0; i < naru::v1::TopicConfig::descriptor()->field_count(); ++i) {
    const auto* const field = naru::v1::TopicConfig::descriptor()->field(i);
    const bool given = request.config().GetReflection()->HasField(request.config(), field);
    const bool taken =
        paths.empty() ? given : std::find(paths.begin(), paths.end(), field->name()) != paths.end();
    const naru::v1::TopicConfig& source = !taken ? was : given ? request.config() : by_default;
    std::string expected, actual;
    google::protobuf::TextFormat::PrintFieldValueToString(source, field, -1, &expected);
    google::protobuf::TextFormat::PrintFieldValueToString(is, field, -1, &actual);
    NARU_CHECK(actual == expected);
  }
}

void CheckUpdate(const naru::v1::UpdateTopicRequest& request) {
  const absl::StatusOr<TopicChange> change = Ledger().Update(request);
  if (!change.ok()) return CheckRefusal(change.status());
  NARU_CHECK(change->before == *Ledger().catalog().Find(request.name(), request.topic_id()));
  NARU_CHECK(change->logs_made.empty() && change->logs_deleted.empty());
  CheckUpdatedConfig(request, *change->before, *change->after);
  TopicInfo only_config = *change->before;
  only_config.config = change->after->config;
  NARU_CHECK(Persisted(only_config) == Persisted(*change->after));
  CheckAfter(*change, change->before->partition_count());
}

void CheckGrow(const naru::v1::CreatePartitionsRequest& request) {
  const absl::StatusOr<TopicChange> change = Ledger().Grow(request);
  if (!change.ok()) return CheckRefusal(change.status());
  NARU_CHECK(change->before == *Ledger().catalog().Find(request.name(), request.topic_id()));
  const size_t present = change->before->partitions.size();
  NARU_CHECK(change->after->partitions.size() > present && change->logs_deleted.empty());
  TopicInfo only_old = *change->after;
  only_old.partitions.resize(present);
  NARU_CHECK(Persisted(only_old) == Persisted(*change->before));
  CheckNewPartitions(*change, present);
  CheckAfter(*change, request.partition_count());
}

void CheckDelete(const naru::v1::DeleteTopicRequest& request) {
  const absl::StatusOr<TopicChange> change = Ledger().Delete(request);
  if (!change.ok()) return CheckRefusal(change.status());
  NARU_CHECK(change->before == *Ledger().catalog().Find(request.name(), request.topic_id()));
  NARU_CHECK(change->after == nullptr && change->logs_made.empty());
  NARU_CHECK(change->logs_deleted.size() == change->before->partitions.size());
  TopicLedger ledger = Ledger();
  ledger.Apply(*change);
  NARU_CHECK(!ledger.catalog().Find(request.name()).ok());
}

// Page after page by the tokens given: every topic behind the first page's start, each once.
void CheckPages(naru::v1::ListTopicsRequest request) {
  const auto& topics = Ledger().catalog().topics;
  absl::StatusOr<naru::v1::ListTopicsResponse> page = ListTopicsPage(Ledger().catalog(), request);
  if (!page.ok()) return CheckRefusal(page.status());
  auto expected = topics.lower_bound(request.prefix());
  if (page->topics().empty()) {
    NARU_CHECK(page->next_page_token().empty());
    return;
  }
  expected = topics.find(page->topics(0).name());
  for (;;) {
    NARU_CHECK(request.page_size() == 0 || page->topics_size() <= request.page_size());
    for (const naru::v1::Topic& topic : page->topics()) {
      NARU_CHECK(expected != topics.end() && topic.name() == expected->first);
      NARU_CHECK(topic.name().starts_with(request.prefix()));
      ++expected;
    }
    if (page->next_page_token().empty()) break;
    request.set_page_token(page->next_page_token());
    page = ListTopicsPage(Ledger().catalog(), request);
    NARU_CHECK_OK(page.status());
    NARU_CHECK(!page->topics().empty());
  }
  NARU_CHECK(expected == topics.end() || !expected->first.starts_with(request.prefix()));
}

class LedgerCatalog final : public cluster::CatalogSource {
 public:
  std::shared_ptr<const cluster::TopicCatalog> Current() const override {
    return std::make_shared<cluster::TopicCatalog>(Ledger().catalog());
  }
  WatchId Watch(std::function<void()>) override { return 1; }
  void CancelWatch(WatchId) override {}
};

void CheckDeletedRecords(const naru::v1::PartitionTruncation& asked,
                         const naru::v1::PartitionTruncationResult& result, const TopicInfo& topic) {
  NARU_CHECK(result.partition() == asked.partition());
  const bool exists = asked.partition() >= 0 && asked.partition() < topic.partition_count();
  const bool fits = asked.before_offset() <= kRecordsPerLog;
  NARU_CHECK(result.has_error() == !(exists && fits));
  if (result.has_error()) {
    NARU_CHECK(result.error().reason() == (exists ? "OFFSET_OUT_OF_RANGE" : "PARTITION_NOT_FOUND"));
  } else {
    NARU_CHECK(result.log_start_offset() ==
               (asked.before_offset() == -1 ? kRecordsPerLog : asked.before_offset()));
  }
}

void CheckDeleteRecords(const naru::v1::DeleteRecordsRequest& request) {
  if (const absl::Status valid = ValidateDeletion(request); !valid.ok()) return CheckRefusal(valid);
  auto topic = Ledger().catalog().Find(request.topic(), request.topic_id());
  if (!topic.ok()) return CheckRefusal(topic.status());
  static const testing::TestBatch* const batch = new testing::TestBatch(testing::MakeBatchOf(kRecordsPerLog));
  const ManualClock clock;
  MemoryLogStore logs(clock);
  for (const PartitionPlacement& placement : (*topic)->partitions) {
    logs.CreateLogs({placement.log}, [](const absl::Status& made) { NARU_CHECK_OK(made); });
    logs.Append(testing::AppendOf(placement.log, *batch),
                [](const absl::StatusOr<Appended>& appended) { NARU_CHECK_OK(appended.status()); });
  }
  const LedgerCatalog catalog;
  naru::v1::DeleteRecordsResponse response;
  bool done = false;
  DeleteRecords(*topic, request, logs, catalog, response, [&done] { done = true; });
  NARU_CHECK(done && response.results_size() == request.partitions_size());
  for (int i = 0; i < request.partitions_size(); ++i) {
    CheckDeletedRecords(request.partitions(i), response.results(i), **topic);
  }
  logs.Stop();
}

template <typename Request, typename Check>
void Parsed(const std::string& bytes, Check check) {
  Request request;
  if (request.ParseFromString(bytes)) check(request);
}

void Run(uint8_t which, const std::string& bytes) {
  switch (which % 6) {
    case 0:
      return Parsed<naru::v1::CreateTopicRequest>(bytes, CheckCreate);
    case 1:
      return Parsed<naru::v1::UpdateTopicRequest>(bytes, CheckUpdate);
    case 2:
      return Parsed<naru::v1::CreatePartitionsRequest>(bytes, CheckGrow);
    case 3:
      return Parsed<naru::v1::DeleteTopicRequest>(bytes, CheckDelete);
    case 4:
      return Parsed<naru::v1::ListTopicsRequest>(bytes, CheckPages);
    default:
      return Parsed<naru::v1::DeleteRecordsRequest>(bytes, CheckDeleteRecords);
  }
}

}  // namespace
}  // namespace naru::services

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const google::protobuf::LogSilencer silence;
  (void)silence;
  if (size < 1) return 0;
  naru::services::Run(data[0], std::string(reinterpret_cast<const char*>(data) + 1, size - 1));
  return 0;
}
