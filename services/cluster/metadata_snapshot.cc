#include "services/cluster/metadata_snapshot.h"

#include <utility>

#include "absl/container/flat_hash_set.h"
#include "services/rpc/status.h"
#include "storage/base/status.h"
#include "storage/base/strings.h"

namespace naru::services {
namespace {

constexpr size_t kNamesMax = 1'000;

// What a slice of gRPC's stands on.
struct PinnedBytes {
  std::string bytes;
  std::shared_ptr<MemoryBudget> budget;
  MemoryHold hold;  // goes before the budget
};

void AddTopic(const cluster::TopicInfo& topic, naru::v1::Metadata& metadata) {
  naru::v1::TopicMetadata* message = metadata.add_topics();
  message->set_name(topic.name);
  message->set_topic_id(topic.topic_id);
  message->mutable_partitions()->Reserve(topic.partition_count());
  for (int32_t partition = 0; partition < topic.partition_count(); ++partition) {
    const cluster::PartitionPlacement& placement = topic.partitions[partition];
    naru::v1::PartitionMetadata* described = message->add_partitions();
    described->set_partition(partition);
    described->set_leader(placement.leader.value());
    described->set_leader_epoch(placement.leader_epoch.value());
  }
}

void AddNamed(const cluster::TopicCatalog& catalog, const std::string& name, naru::v1::Metadata& metadata) {
  const auto topic = catalog.Find(name);
  if (topic.ok()) return AddTopic(**topic, metadata);
  naru::v1::TopicMetadata* message = metadata.add_topics();
  message->set_name(name);
  *message->mutable_error() = ToError(topic.status());
}

naru::v1::GetMetadataResponse Describe(const cluster::TopicCatalog& catalog,
                                       const std::vector<std::string>& names) {
  naru::v1::GetMetadataResponse response;
  naru::v1::Metadata& metadata = *response.mutable_metadata();
  metadata.set_version(catalog.version);
  metadata.set_cluster_id(catalog.cluster_id);
  for (const cluster::BrokerInfo& broker : catalog.brokers) {
    naru::v1::Broker* message = metadata.add_brokers();
    message->set_broker_id(broker.id.value());
    message->set_address(broker.address);
  }
  if (names.empty()) {
    for (const auto& [name, topic] : catalog.topics) AddTopic(*topic, metadata);
  }
  for (const std::string& name : names) AddNamed(catalog, name, metadata);
  return response;
}

}  // namespace

absl::Status MetadataSnapshots::ValidateNames(const std::vector<std::string>& names) {
  if (names.size() > kNamesMax) {
    return InvalidField("topics", absl::StrCat("a list of ", names.size()),
                        absl::StrCat("name at most ", kNamesMax, " topics, or none for all"));
  }
  absl::flat_hash_set<std::string_view> seen;
  for (const std::string& name : names) {
    if (seen.insert(name).second) continue;
    return InvalidField("topics", absl::StrCat("\"", name, "\""), "a topic may be named once");
  }
  return absl::OkStatus();
}

MetadataSnapshots::Result MetadataSnapshots::Make(const cluster::TopicCatalog& catalog,
                                                  const std::vector<std::string>& names) {
  if (!names.empty()) return Serialize(Describe(catalog, names));
  // One at a time: with many topics it is large, and those who wait get the same.
  absl::MutexLock lock(&mutex_);
  const bool out_of_memory = ReasonOf(of_all_.status()) == Reason::kTooManyInFlight;
  if (of_all_version_ < catalog.version || out_of_memory) {
    of_all_ = std::shared_ptr<const MetadataSnapshot>();  // gives its memory back first
    of_all_ = Serialize(Describe(catalog, names));
    of_all_version_ = catalog.version;
  }
  return of_all_;
}

MetadataSnapshots::Result MetadataSnapshots::Serialize(const naru::v1::GetMetadataResponse& response) const {
  const auto size_bytes = static_cast<int64_t>(response.ByteSizeLong());
  if (size_bytes > message_bytes_max_) {
    return InvalidField("topics",
                        absl::StrCat("the metadata of ", response.metadata().topics_size(), " topics"),
                        absl::StrCat("it takes ", size_bytes, " bytes, and an answer at most ",
                                     message_bytes_max_, ": name fewer topics"));
  }
  if (!budget_->TryTake(size_bytes)) {
    return MakeError(Reason::kTooManyInFlight,
                     absl::StrCat("metadata on its way to clients takes ", budget_->used_bytes(),
                                  " bytes of ", budget_->limit_bytes(), " already; try again"));
  }
  auto* pinned =
      new PinnedBytes{response.SerializeAsString(), budget_, MemoryHold(budget_.get(), size_bytes)};
  const grpc::Slice slice(
      pinned->bytes.data(), pinned->bytes.size(),
      [](void* released) { delete static_cast<PinnedBytes*>(released); }, pinned);
  auto snapshot = std::make_shared<MetadataSnapshot>();
  snapshot->version = response.metadata().version();
  snapshot->bytes = grpc::ByteBuffer(&slice, 1);
  return std::shared_ptr<const MetadataSnapshot>(std::move(snapshot));
}

}  // namespace naru::services
