#include "cluster/etcd/etcd_codec.h"

#include <algorithm>
#include <set>
#include <string>
#include <utility>

#include "cluster/coordinator/cluster_record.h"
#include "cluster/metadata/topic_record.h"
#include "naru/internal/v1/metadata.pb.h"
#include "storage/base/status.h"
#include "storage/base/strings.h"

namespace naru::cluster {
namespace {

constexpr size_t kClusterIdDigits = 32;

// ---- to etcd ----

int64_t FirstOf(int32_t block) { return int64_t{block} * kPartitionsPerBlock; }

// The state that a partition has after the write; null: none.
const PartitionState* StateAfter(const TopicPartition& partition, const MetadataWrite& write,
                                 const ClusterMetadata& before) {
  if (const auto written = write.partitions.find(partition); written != write.partitions.end()) {
    return &written->second;
  }
  const auto known = before.partitions.find(partition);
  return known == before.partitions.end() ? nullptr : &known->second;
}

naru::internal::v1::PartitionStatesRecord BlockAfter(const TopicId& topic, int32_t block,
                                                     const MetadataWrite& write,
                                                     const ClusterMetadata& before) {
  naru::internal::v1::PartitionStatesRecord record;
  record.set_topic_id(topic.data(), topic.size());
  const int64_t end = std::min<int64_t>(FirstOf(block) + kPartitionsPerBlock, int64_t{INT32_MAX} + 1);
  for (int64_t number = FirstOf(block); number < end; ++number) {
    const auto partition = static_cast<int32_t>(number);
    const PartitionState* state = StateAfter({topic, partition}, write, before);
    if (state != nullptr) *record.add_partitions() = ToRecord(partition, *state);
  }
  return record;
}

std::set<std::pair<TopicId, int32_t>> BlocksOf(const MetadataWrite& write) {
  std::set<std::pair<TopicId, int32_t>> blocks;
  for (const auto& [partition, state] : write.partitions) {
    blocks.emplace(partition.topic, BlockOf(partition.partition));
  }
  return blocks;
}

// A topic's own record says what its partitions are, not who leads them; but a record without a leader would
// not be taken for one when it is read.
naru::internal::v1::TopicRecord RecordOf(const TopicInfo& topic) {
  naru::internal::v1::TopicRecord record = ToRecord(topic);
  for (auto& partition : *record.mutable_partitions()) {
    if (partition.leader() == 0 && !partition.replicas().empty()) partition.set_leader(partition.replicas(0));
  }
  return record;
}

void Put(std::string key, std::string value, etcdserverpb::TxnRequest& request) {
  etcdserverpb::PutRequest& put = *request.add_success()->mutable_request_put();
  put.set_key(std::move(key));
  put.set_value(std::move(value));
}

void CompareTermAndHead(const EtcdKeys& keys, const MetadataWrite& write, etcdserverpb::TxnRequest& request) {
  etcdserverpb::Compare& term = *request.add_compare();
  term.set_target(etcdserverpb::Compare::CREATE);
  term.set_key(keys.Election());
  term.set_create_revision(write.term);
  etcdserverpb::Compare& head = *request.add_compare();
  head.set_key(keys.Head());
  if (write.head == 0) {
    head.set_target(etcdserverpb::Compare::CREATE);
    head.set_create_revision(0);
  } else {
    head.set_target(etcdserverpb::Compare::VALUE);
    head.set_value(absl::StrCat(write.head));
  }
  // If a comparison fails, this tells which.
  request.add_failure()->mutable_request_range()->set_key(keys.Election());
}

// Whether the topic is gone after the write, and was there before it.
const TopicInfo* Removed(const std::string& name, const std::shared_ptr<const TopicInfo>& after,
                         const ClusterMetadata& before) {
  if (after) return nullptr;
  const auto known = before.topics.find(name);
  return known == before.topics.end() ? nullptr : known->second.get();
}

absl::Status EncodeRemoval(const EtcdKeys& keys, const MetadataWrite& write, const TopicInfo& topic,
                           etcdserverpb::TxnRequest& request) {
  const TopicId id = ToTopicId(topic);
  const auto state = write.partitions.lower_bound({id, 0});
  if (state != write.partitions.end() && state->first.topic == id) {
    return absl::InvalidArgumentError(
        absl::StrCat("a write removes topic \"", topic.name, "\" and has states of its partitions"));
  }
  request.add_success()->mutable_request_delete_range()->set_key(keys.Topic(topic.name));
  etcdserverpb::DeleteRangeRequest& states = *request.add_success()->mutable_request_delete_range();
  KeyRange range = keys.PartitionsOf(id);
  states.set_key(std::move(range.begin));
  states.set_range_end(std::move(range.end));
  return absl::OkStatus();
}

absl::Status CheckSize(const etcdserverpb::TxnRequest& request) {
  const auto operations = static_cast<size_t>(request.success_size());
  if (operations > kWriteOperationsMax) {
    return absl::ResourceExhaustedError(
        absl::StrCat("a write takes ", operations, " operations, the most is ", kWriteOperationsMax));
  }
  const size_t bytes = request.ByteSizeLong();
  if (bytes > kWriteBytesMax) {
    return absl::ResourceExhaustedError(
        absl::StrCat("a write takes ", bytes, " bytes, the most is ", kWriteBytesMax));
  }
  return absl::OkStatus();
}

// ---- from etcd ----

absl::Status Corrupt(const mvccpb::KeyValue& from, std::string_view what) {
  return MakeError(Reason::kCorruptData, absl::StrCat("etcd: key \"", from.key(), "\" ", what));
}

template <typename Record>
absl::Status ParseRecord(const mvccpb::KeyValue& from, Record& record) {
  return record.ParseFromString(from.value()) ? absl::OkStatus() : Corrupt(from, "does not hold its record");
}

absl::Status Named(const mvccpb::KeyValue& from, const absl::Status& status) {
  return Corrupt(from, absl::StrCat("is wrong: ", status.message()));
}

absl::StatusOr<int64_t> DecodeNumber(const mvccpb::KeyValue& from) {
  const std::optional<int64_t> number = ParseDecimal(from.value());
  if (!number || *number == 0) return Corrupt(from, "does not hold a number of 1 and more");
  return *number;
}

// One overload for each kind of key.
struct Decoder {
  const mvccpb::KeyValue& from;
  ClusterMetadata& metadata;

  absl::Status operator()(const OtherKey&) const { return absl::OkStatus(); }

  absl::Status operator()(const HeadKey&) const {
    NARU_ASSIGN_OR_RETURN(metadata.head, DecodeNumber(from));
    return absl::OkStatus();
  }

  absl::Status operator()(const ClusterIdKey&) const {
    const std::string& id = from.value();
    const bool digits = std::all_of(id.begin(), id.end(), [](char c) {
      return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
    });
    if (id.size() != kClusterIdDigits || !digits) return Corrupt(from, "does not hold 32 hexadecimal digits");
    metadata.cluster_id = id;
    return absl::OkStatus();
  }

  absl::Status operator()(const NextLogKey&) const {
    NARU_ASSIGN_OR_RETURN(const int64_t next, DecodeNumber(from));
    metadata.next_log = LogId(static_cast<uint64_t>(next));
    return absl::OkStatus();
  }

  absl::Status operator()(const BrokerKey& key) const {
    naru::internal::v1::BrokerRecord record;
    NARU_RETURN_IF_ERROR(ParseRecord(from, record));
    auto broker = FromRecord(record);
    if (!broker.ok()) return Named(from, broker.status());
    if (broker->first != key.broker) return Corrupt(from, "holds the record of another broker");
    metadata.brokers.insert(*std::move(broker));
    return absl::OkStatus();
  }

  absl::Status operator()(const TopicKey& key) const {
    naru::internal::v1::TopicRecord record;
    NARU_RETURN_IF_ERROR(ParseRecord(from, record));
    auto topic = FromRecord(record);
    if (!topic.ok()) return Named(from, topic.status());
    if ((*topic)->name != key.name) return Corrupt(from, "holds the record of another topic");
    metadata.topics[key.name] = *std::move(topic);
    return absl::OkStatus();
  }

  absl::Status operator()(const PartitionsKey& key) const {
    naru::internal::v1::PartitionStatesRecord record;
    NARU_RETURN_IF_ERROR(ParseRecord(from, record));
    if (record.topic_id() != std::string_view(key.topic.data(), key.topic.size())) {
      return Corrupt(from, "holds partitions of another topic");
    }
    for (const auto& partition : record.partitions()) {
      auto state = FromRecord(partition);
      if (!state.ok()) return Named(from, state.status());
      if (BlockOf(state->first) != key.block ||
          !metadata.partitions.emplace(TopicPartition{key.topic, state->first}, std::move(state->second))
               .second) {
        return Corrupt(from, absl::StrCat("holds partition ", state->first,
                                          ", which is of another block or there twice"));
      }
    }
    return absl::OkStatus();
  }
};

}  // namespace

size_t OperationsOf(const MetadataWrite& write, const ClusterMetadata& before) {
  size_t operations = 1 + (write.cluster_id.empty() ? 0 : 1) + (write.next_log ? 1 : 0) +
                      write.brokers.size() + BlocksOf(write).size();
  for (const auto& [name, topic] : write.topics) {
    if (topic) ++operations;
    if (Removed(name, topic, before) != nullptr) operations += 2;
  }
  return operations;
}

absl::StatusOr<etcdserverpb::TxnRequest> EncodeWrite(const EtcdKeys& keys, const MetadataWrite& write,
                                                     const ClusterMetadata& before) {
  etcdserverpb::TxnRequest request;
  CompareTermAndHead(keys, write, request);
  Put(keys.Head(), absl::StrCat(write.head + 1), request);
  if (!write.cluster_id.empty()) Put(keys.ClusterId(), write.cluster_id, request);
  if (write.next_log) Put(keys.NextLog(), absl::StrCat(write.next_log->value()), request);
  for (const auto& [broker, record] : write.brokers) {
    Put(keys.Broker(broker), ToRecord(broker, record).SerializeAsString(), request);
  }
  for (const auto& [name, topic] : write.topics) {
    if (topic) Put(keys.Topic(name), RecordOf(*topic).SerializeAsString(), request);
    if (const TopicInfo* removed = Removed(name, topic, before)) {
      NARU_RETURN_IF_ERROR(EncodeRemoval(keys, write, *removed, request));
    }
  }
  for (const auto& [topic, block] : BlocksOf(write)) {
    Put(keys.Partitions(topic, block), BlockAfter(topic, block, write, before).SerializeAsString(), request);
  }
  NARU_RETURN_IF_ERROR(CheckSize(request));
  return request;
}

WriteOutcome DecodeOutcome(const etcdserverpb::TxnResponse& response, int64_t term) {
  if (response.succeeded()) return WriteOutcome::kWritten;
  // Another term, or none, whatever the head is by now. With this term still on, it was the head.
  if (response.responses().empty()) return WriteOutcome::kOvertaken;
  const auto& election = response.responses(0).response_range().kvs();
  const bool elected = !election.empty() && election[0].create_revision() == term;
  return elected ? WriteOutcome::kOvertaken : WriteOutcome::kDeposed;
}

absl::Status DecodeKey(const EtcdKeys& keys, const mvccpb::KeyValue& from, ClusterMetadata& metadata) {
  const std::optional<StateKey> key = keys.Parse(from.key());
  if (!key) return Corrupt(from, "is none that naru writes");
  return std::visit(Decoder{from, metadata}, *key);
}

absl::Status CheckDecoded(const EtcdKeys& keys, const ClusterMetadata& metadata) {
  const bool empty = metadata.cluster_id.empty() && metadata.next_log == LogId(1) &&
                     metadata.brokers.empty() && metadata.topics.empty() && metadata.partitions.empty();
  if (metadata.head > 0 || empty) return absl::OkStatus();
  return MakeError(Reason::kCorruptData, absl::StrCat("etcd: key \"", keys.Head(),
                                                      "\" is not there, though others of the cluster are"));
}

}  // namespace naru::cluster
