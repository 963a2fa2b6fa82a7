#include "cluster/etcd/etcd_keys.h"

#include <algorithm>
#include <limits>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "cluster/metadata/topic_catalog.h"
#include "storage/base/strings.h"

namespace naru::cluster {
namespace {

constexpr std::string_view kBrokers = "/brokers/";
constexpr std::string_view kTopics = "/topics/";
constexpr std::string_view kPartitions = "/partitions/";

std::string Hex(const TopicId& topic) {
  return absl::BytesToHexString(absl::string_view(topic.data(), topic.size()));
}

// All keys that begin with `begin`, which ends in "/".
KeyRange Below(std::string begin) {
  std::string end = begin;
  ++end.back();
  return {std::move(begin), std::move(end)};
}

std::optional<int32_t> ParseNumber(std::string_view text) {
  const std::optional<int64_t> number = ParseDecimal(text);
  if (!number || *number > std::numeric_limits<int32_t>::max()) return std::nullopt;
  return static_cast<int32_t>(*number);
}

std::optional<TopicId> ParseHex(std::string_view text) {
  TopicId topic;
  if (text.size() != 2 * topic.size()) return std::nullopt;
  const bool hexadecimal = std::all_of(
      text.begin(), text.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
  if (!hexadecimal) return std::nullopt;
  const std::string bytes = absl::HexStringToBytes(Absl(text));
  std::copy(bytes.begin(), bytes.end(), topic.begin());
  return topic;
}

std::optional<StateKey> ParsePartitions(std::string_view rest) {
  const size_t slash = rest.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const std::optional<TopicId> topic = ParseHex(rest.substr(0, slash));
  const std::optional<int32_t> block = ParseNumber(rest.substr(slash + 1));
  if (!topic || !block || *block > BlockOf(std::numeric_limits<int32_t>::max())) return std::nullopt;
  return PartitionsKey{*topic, *block};
}

}  // namespace

std::optional<int64_t> ParseDecimal(std::string_view text) {
  int64_t number = 0;
  if (!absl::SimpleAtoi(Absl(text), &number) || number < 0 || absl::StrCat(number) != text) {
    return std::nullopt;
  }
  return number;
}

std::string EtcdKeys::Broker(BrokerId broker) const {
  return absl::StrCat(prefix_, kBrokers, broker.value());
}

std::string EtcdKeys::Topic(std::string_view name) const { return absl::StrCat(prefix_, kTopics, name); }

std::string EtcdKeys::Partitions(const TopicId& topic, int32_t block) const {
  return absl::StrCat(prefix_, kPartitions, Hex(topic), "/", block);
}

KeyRange EtcdKeys::PartitionsOf(const TopicId& topic) const {
  return Below(absl::StrCat(prefix_, kPartitions, Hex(topic), "/"));
}

KeyRange EtcdKeys::All() const { return Below(prefix_ + "/"); }

std::optional<StateKey> EtcdKeys::Parse(std::string_view key) const {
  if (!key.starts_with(prefix_)) return OtherKey{};
  const std::string_view path = key.substr(prefix_.size());
  if (path == "/head") return HeadKey{};
  if (path == "/cluster_id") return ClusterIdKey{};
  if (path == "/next_log") return NextLogKey{};
  if (path.starts_with(kBrokers)) {
    const std::optional<int32_t> broker = ParseNumber(path.substr(kBrokers.size()));
    if (!broker) return std::nullopt;
    return BrokerKey{BrokerId(*broker)};
  }
  if (path.starts_with(kTopics)) {
    const std::string_view name = path.substr(kTopics.size());
    if (!ValidateTopicName("name", name).ok()) return std::nullopt;
    return TopicKey{std::string(name)};
  }
  if (path.starts_with(kPartitions)) return ParsePartitions(path.substr(kPartitions.size()));
  return OtherKey{};
}

}  // namespace naru::cluster
