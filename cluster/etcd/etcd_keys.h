// The keys of a cluster in etcd. Under the prefix:
//
//   /election                       who is elected: its address; hangs on its lease, made anew by each
//   election /head                           writes so far, decimal; not there: 0 /cluster_id 32 hexadecimal
//   digits /next_log                       decimal /brokers/<broker id>            BrokerRecord
//   /topics/<name>                  TopicRecord
//   /partitions/<topic id>/<block>  PartitionStatesRecord of 64 consecutive partitions: block b has those
//   from
//                                   64 b on; the topic's id in hexadecimal
//
// Records are those of naru/internal/v1/metadata.proto. Whatever else stands there is left alone. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "cluster/metadata/topic_partition.h"
#include "storage/base/ids.h"

namespace naru::cluster {

inline constexpr int32_t kPartitionsPerBlock = 64;

constexpr int32_t BlockOf(int32_t partition) { return partition / kPartitionsPerBlock; }

struct HeadKey {};
struct ClusterIdKey {};
struct NextLogKey {};
struct BrokerKey {
  BrokerId broker;
};
struct TopicKey {
  std::string name;
};
struct PartitionsKey {
  TopicId topic{};
  int32_t block = 0;
};
// Nothing of the state: the election, or what somebody else put there.
struct OtherKey {};
using StateKey =
    std::variant<OtherKey, HeadKey, ClusterIdKey, NextLogKey, BrokerKey, TopicKey, PartitionsKey>;

// From `begin` to before `end`.
struct KeyRange {
  std::string begin;
  std::string end;
};

class EtcdKeys {
 public:
  // As in EtcdOptions.
  explicit EtcdKeys(std::string prefix) : prefix_(std::move(prefix)) {}

  std::string Election() const { return prefix_ + "/election"; }
  std::string Head() const { return prefix_ + "/head"; }
  std::string ClusterId() const { return prefix_ + "/cluster_id"; }
  std::string NextLog() const { return prefix_ + "/next_log"; }
  std::string Broker(BrokerId broker) const;
  std::string Topic(std::string_view name) const;
  std::string Partitions(const TopicId& topic, int32_t block) const;
  // All blocks of the topic.
  KeyRange PartitionsOf(const TopicId& topic) const;
  // Everything.
  KeyRange All() const;

  // What the key is for; nothing for one that begins as ours do and cannot have been written.
  std::optional<StateKey> Parse(std::string_view key) const;

 private:
  std::string prefix_;
};

// The number as absl::StrCat writes it, not negative; nothing otherwise.
std::optional<int64_t> ParseDecimal(std::string_view text);

}  // namespace naru::cluster
