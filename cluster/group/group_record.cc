#include "cluster/group/group_record.h"

#include <algorithm>
#include <type_traits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "naru/internal/v1/group.pb.h"
#include "naru/v1/types.pb.h"
#include "storage/base/status.h"

namespace naru::cluster {
namespace {

namespace pb = naru::internal::v1;

std::string Bytes(const TopicId& id) { return {id.begin(), id.end()}; }

bool ParseId(const std::string& bytes, TopicId& id) {
  if (bytes.size() != id.size()) return false;
  std::copy(bytes.begin(), bytes.end(), id.begin());
  return true;
}

absl::Status Corrupt(std::string_view what) {
  return MakeError(Reason::kCorruptData, absl::StrCat("a record of __consumer_offsets: ", what));
}

pb::MemberValue ValueOf(const MemberRow& row) {
  pb::MemberValue value;
  value.set_instance_id(row.instance_id);
  value.set_client(row.client);
  value.set_epoch(row.epoch);
  value.set_session_timeout_ms(row.session_timeout_ms);
  value.set_rebalance_timeout_ms(row.rebalance_timeout_ms);
  for (const std::string& topic : row.subscription.topics) value.add_topics(topic);
  value.set_pattern(row.subscription.pattern);
  value.set_requester(row.attempt.requester);
  value.set_attempt(row.attempt.number);
  pb::OwnedPartitions* of_topic = nullptr;
  for (const GroupPartition& partition : row.owned) {
    if (of_topic == nullptr || of_topic->topic_id() != Bytes(partition.topic)) {
      of_topic = value.add_owned();
      of_topic->set_topic_id(Bytes(partition.topic));
    }
    of_topic->add_partitions(partition.partition);
  }
  return value;
}

absl::StatusOr<GroupRecord> RowOf(const std::string& member_id, const pb::MemberValue& value) {
  MemberRow row{.member_id = member_id,
                .instance_id = value.instance_id(),
                .client = value.client(),
                .epoch = value.epoch(),
                .session_timeout_ms = value.session_timeout_ms(),
                .rebalance_timeout_ms = value.rebalance_timeout_ms(),
                .subscription = {{value.topics().begin(), value.topics().end()}, value.pattern()},
                .attempt = {value.requester(), value.attempt()},
                .owned = {}};
  for (const pb::OwnedPartitions& of_topic : value.owned()) {
    GroupPartition partition;
    if (!ParseId(of_topic.topic_id(), partition.topic)) return Corrupt("a topic id is not 16 bytes");
    for (const int32_t number : of_topic.partitions()) {
      partition.partition = number;
      row.owned.insert(partition);
    }
  }
  return row;
}

template <typename Value>
absl::StatusOr<Value> Parse(std::string_view bytes) {
  Value value;
  if (!value.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())))
    return Corrupt("its value is malformed");
  return value;
}

absl::StatusOr<GroupRecord> DecodeRow(const pb::GroupKey& key, std::optional<std::string_view> value) {
  switch (key.of_case()) {
    case pb::GroupKey::kMemberId: {
      if (!value) return MemberGone{key.member_id()};
      NARU_ASSIGN_OR_RETURN(const auto member, Parse<pb::MemberValue>(*value));
      return RowOf(key.member_id(), member);
    }
    case pb::GroupKey::kOffset: {
      GroupPartition partition{.partition = key.offset().partition()};
      if (!ParseId(key.offset().topic_id(), partition.topic)) return Corrupt("a topic id is not 16 bytes");
      if (!value) return OffsetGone{partition};
      NARU_ASSIGN_OR_RETURN(const auto offset, Parse<pb::OffsetValue>(*value));
      return OffsetRow{partition, {offset.offset(), offset.metadata(), offset.commit_time_ms()}};
    }
    default: {
      if (!value) return GroupGone{};
      NARU_ASSIGN_OR_RETURN(const auto group, Parse<pb::GroupValue>(*value));
      return GroupRow{group.epoch(), group.empty_since_ms()};
    }
  }
}

}  // namespace

EncodedGroupRecord EncodeGroupRecord(std::string_view group, const GroupRecord& record) {
  pb::GroupKey key;
  key.set_group(std::string(group));
  std::optional<std::string> value;
  std::visit(
      [&](const auto& row) {
        using Row = std::decay_t<decltype(row)>;
        if constexpr (std::is_same_v<Row, GroupRow>) {
          key.set_state(true);
          pb::GroupValue of_group;
          of_group.set_epoch(row.epoch);
          of_group.set_empty_since_ms(row.empty_since_ms);
          value = of_group.SerializeAsString();
        } else if constexpr (std::is_same_v<Row, GroupGone>) {
          key.set_state(true);
        } else if constexpr (std::is_same_v<Row, MemberRow>) {
          key.set_member_id(row.member_id);
          value = ValueOf(row).SerializeAsString();
        } else if constexpr (std::is_same_v<Row, MemberGone>) {
          key.set_member_id(row.member_id);
        } else {
          key.mutable_offset()->set_topic_id(Bytes(row.partition.topic));
          key.mutable_offset()->set_partition(row.partition.partition);
        }
        if constexpr (std::is_same_v<Row, OffsetRow>) {
          pb::OffsetValue offset;
          offset.set_offset(row.committed.offset);
          offset.set_metadata(row.committed.metadata);
          offset.set_commit_time_ms(row.committed.commit_time_ms);
          value = offset.SerializeAsString();
        }
      },
      record);
  return {key.SerializeAsString(), std::move(value)};
}

absl::StatusOr<std::optional<DecodedGroupRecord>> DecodeGroupRecord(std::string_view key,
                                                                    std::optional<std::string_view> value) {
  pb::GroupKey parsed;
  if (!parsed.ParseFromArray(key.data(), static_cast<int>(key.size())))
    return Corrupt("its key is malformed");
  if (parsed.of_case() == pb::GroupKey::OF_NOT_SET) return std::nullopt;
  NARU_ASSIGN_OR_RETURN(GroupRecord record, DecodeRow(parsed, value));
  return DecodedGroupRecord{parsed.group(), std::move(record)};
}

std::string ToRecord(const EncodedGroupRecord& encoded) {
  naru::v1::Record record;
  record.set_key(encoded.key);
  if (encoded.value) record.set_value(*encoded.value);
  return record.SerializeAsString();
}

}  // namespace naru::cluster
