#include "cluster/metadata/topic_config.h"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include "absl/strings/escaping.h"
#include "absl/strings/str_join.h"
#include "storage/base/status.h"
#include "storage/base/strings.h"

namespace naru::cluster {
namespace {

using Message = naru::v1::TopicConfig;

// -1, or 1 and more.
absl::Status SetBound(std::string_view field, int64_t value, std::string_view minus_one, int64_t& target) {
  if (value != -1 && value < 1) {
    return InvalidField(field, absl::StrCat(value),
                        absl::StrCat("allowed: -1 (", minus_one, "), or 1 and more"));
  }
  target = value;
  return absl::OkStatus();
}

absl::Status SetTime(std::string_view field, int64_t value, int64_t& target) {
  if (value < 0) return InvalidField(field, absl::StrCat(value), "allowed: 0 and more");
  target = value;
  return absl::OkStatus();
}

absl::Status SetInRange(std::string_view field, int32_t value, int32_t max, std::string_view max_is,
                        int32_t& target) {
  if (value < 1 || value > max) {
    return InvalidField(field, absl::StrCat(value), absl::StrCat("allowed: 1 to ", max, " (", max_is, ")"));
  }
  target = value;
  return absl::OkStatus();
}

// So many that what was acknowledged outlives the loss of one, where one can be missed.
int32_t DefaultMinInSync(int32_t replication_factor) { return replication_factor >= 3 ? 2 : 1; }

absl::Status InvalidEnum(std::string_view field, int value, std::string_view allowed) {
  return InvalidField(field, absl::StrCat(value), absl::StrCat("allowed: ", allowed));
}

absl::Status SetCleanupPolicy(const Message& message, TopicConfig& config) {
  switch (message.cleanup_policy()) {
    case naru::v1::CLEANUP_POLICY_UNSPECIFIED:
    case naru::v1::CLEANUP_POLICY_DELETE:
      config.cleanup_policy = CleanupPolicy::kDelete;
      return absl::OkStatus();
    case naru::v1::CLEANUP_POLICY_COMPACT:
      config.cleanup_policy = CleanupPolicy::kCompact;
      return absl::OkStatus();
    case naru::v1::CLEANUP_POLICY_COMPACT_AND_DELETE:
      config.cleanup_policy = CleanupPolicy::kCompactAndDelete;
      return absl::OkStatus();
    default:
      return InvalidEnum("config.cleanup_policy", message.cleanup_policy(),
                         "CLEANUP_POLICY_DELETE, CLEANUP_POLICY_COMPACT, CLEANUP_POLICY_COMPACT_AND_DELETE");
  }
}

absl::Status SetDurability(const Message& message, TopicConfig& config) {
  switch (message.durability()) {
    case naru::v1::DURABILITY_UNSPECIFIED:
    case naru::v1::DURABILITY_FSYNC:
      config.durability = Durability::kFsync;
      return absl::OkStatus();
    case naru::v1::DURABILITY_BACKGROUND:
      config.durability = Durability::kBackground;
      return absl::OkStatus();
    default:
      return InvalidEnum("config.durability", message.durability(),
                         "DURABILITY_FSYNC, DURABILITY_BACKGROUND");
  }
}

absl::Status SetTimestampType(const Message& message, TopicConfig& config) {
  switch (message.timestamp_type()) {
    case naru::v1::TIMESTAMP_TYPE_UNSPECIFIED:
    case naru::v1::TIMESTAMP_TYPE_CREATE_TIME:
      config.append_time_stamped = false;
      return absl::OkStatus();
    case naru::v1::TIMESTAMP_TYPE_APPEND_TIME:
      config.append_time_stamped = true;
      return absl::OkStatus();
    default:
      return InvalidEnum("config.timestamp_type", message.timestamp_type(),
                         "TIMESTAMP_TYPE_CREATE_TIME, TIMESTAMP_TYPE_APPEND_TIME");
  }
}

absl::Status SetDirtyRatio(const Message& message, TopicConfig& config) {
  const double ratio = message.has_min_cleanable_dirty_ratio() ? message.min_cleanable_dirty_ratio()
                                                               : TopicConfig().min_cleanable_dirty_ratio;
  // Written so that what is not a number is refused, too.
  if (!(ratio >= 0 && ratio <= 1)) {
    return InvalidField("config.min_cleanable_dirty_ratio", absl::StrCat(ratio), "allowed: 0 to 1");
  }
  config.min_cleanable_dirty_ratio = ratio;
  return absl::OkStatus();
}

naru::v1::CleanupPolicy ToMessage(CleanupPolicy policy) {
  switch (policy) {
    case CleanupPolicy::kDelete:
      break;
    case CleanupPolicy::kCompact:
      return naru::v1::CLEANUP_POLICY_COMPACT;
    case CleanupPolicy::kCompactAndDelete:
      return naru::v1::CLEANUP_POLICY_COMPACT_AND_DELETE;
  }
  return naru::v1::CLEANUP_POLICY_DELETE;
}

// One field of TopicConfig: is it in the message, and how it gets from there into the typed one. An absent
// field takes its default.
struct Field {
  std::string_view name;
  bool (*present)(const Message&);
  absl::Status (*set)(const Message&, const TopicConfigLimits&, TopicConfig&);
};

const TopicConfig kDefaults;

constexpr std::array kFields = {
    Field{"retention_ms", [](const Message& m) { return m.has_retention_ms(); },
          [](const Message& m, const TopicConfigLimits&, TopicConfig& config) {
            return SetBound("config.retention_ms",
                            m.has_retention_ms() ? m.retention_ms() : kDefaults.retention_ms,
                            "never delete by age", config.retention_ms);
          }},
    Field{"retention_bytes", [](const Message& m) { return m.has_retention_bytes(); },
          [](const Message& m, const TopicConfigLimits&, TopicConfig& config) {
            return SetBound("config.retention_bytes",
                            m.has_retention_bytes() ? m.retention_bytes() : kDefaults.retention_bytes,
                            "no bound", config.retention_bytes);
          }},
    Field{"cleanup_policy", [](const Message& m) { return m.cleanup_policy() != 0; },
          [](const Message& m, const TopicConfigLimits&, TopicConfig& config) {
            return SetCleanupPolicy(m, config);
          }},
    Field{"max_record_bytes", [](const Message& m) { return m.has_max_record_bytes(); },
          [](const Message& m, const TopicConfigLimits& limits, TopicConfig& config) {
            const int32_t by_default = std::min(kDefaults.record_bytes_max, limits.record_bytes_max);
            return SetInRange("config.max_record_bytes",
                              m.has_max_record_bytes() ? m.max_record_bytes() : by_default,
                              limits.record_bytes_max, "the broker's largest batch", config.record_bytes_max);
          }},
    Field{"min_in_sync_replicas", [](const Message& m) { return m.has_min_in_sync_replicas(); },
          [](const Message& m, const TopicConfigLimits& limits, TopicConfig& config) {
            return SetInRange("config.min_in_sync_replicas",
                              m.has_min_in_sync_replicas() ? m.min_in_sync_replicas()
                                                           : DefaultMinInSync(limits.replication_factor),
                              limits.replication_factor, "the topic's replication_factor",
                              config.min_in_sync_replicas);
          }},
    Field{"durability", [](const Message& m) { return m.durability() != 0; },
          [](const Message& m, const TopicConfigLimits&, TopicConfig& config) {
            return SetDurability(m, config);
          }},
    Field{"timestamp_type", [](const Message& m) { return m.timestamp_type() != 0; },
          [](const Message& m, const TopicConfigLimits&, TopicConfig& config) {
            return SetTimestampType(m, config);
          }},
    Field{"delete_retention_ms", [](const Message& m) { return m.has_delete_retention_ms(); },
          [](const Message& m, const TopicConfigLimits&, TopicConfig& config) {
            return SetTime(
                "config.delete_retention_ms",
                m.has_delete_retention_ms() ? m.delete_retention_ms() : kDefaults.delete_retention_ms,
                config.delete_retention_ms);
          }},
    Field{"min_compaction_lag_ms", [](const Message& m) { return m.has_min_compaction_lag_ms(); },
          [](const Message& m, const TopicConfigLimits&, TopicConfig& config) {
            return SetTime(
                "config.min_compaction_lag_ms",
                m.has_min_compaction_lag_ms() ? m.min_compaction_lag_ms() : kDefaults.min_compaction_lag_ms,
                config.min_compaction_lag_ms);
          }},
    Field{"min_cleanable_dirty_ratio", [](const Message& m) { return m.has_min_cleanable_dirty_ratio(); },
          [](const Message& m, const TopicConfigLimits&, TopicConfig& config) {
            return SetDirtyRatio(m, config);
          }},
};

const Field* FindField(std::string_view name) {
  for (const Field& field : kFields) {
    if (field.name == name) return &field;
  }
  return nullptr;
}

}  // namespace

absl::StatusOr<TopicConfig> MakeTopicConfig(const Message& message, const TopicConfigLimits& limits) {
  TopicConfig config;
  for (const Field& field : kFields) {
    NARU_RETURN_IF_ERROR(field.set(message, limits, config));
  }
  return config;
}

absl::StatusOr<TopicConfig> UpdateTopicConfig(const TopicConfig& current, const Message& message,
                                              const google::protobuf::FieldMask& mask,
                                              const TopicConfigLimits& limits) {
  TopicConfig config = current;
  if (mask.paths().empty()) {
    for (const Field& field : kFields) {
      if (!field.present(message)) continue;
      NARU_RETURN_IF_ERROR(field.set(message, limits, config));
    }
    return config;
  }
  for (const std::string& path : mask.paths()) {
    const Field* field = FindField(path);
    if (field == nullptr) {
      const auto append_name = [](std::string* out, const Field& f) { out->append(f.name); };
      return InvalidField("update_mask", absl::StrCat("\"", absl::Utf8SafeCEscape(path), "\""),
                          absl::StrCat("allowed: ", absl::StrJoin(kFields, ", ", append_name)));
    }
    NARU_RETURN_IF_ERROR(field->set(message, limits, config));
  }
  return config;
}

Message ToMessage(const TopicConfig& config) {
  Message message;
  message.set_retention_ms(config.retention_ms);
  message.set_retention_bytes(config.retention_bytes);
  message.set_cleanup_policy(ToMessage(config.cleanup_policy));
  message.set_max_record_bytes(config.record_bytes_max);
  message.set_min_in_sync_replicas(config.min_in_sync_replicas);
  message.set_durability(config.durability == Durability::kBackground ? naru::v1::DURABILITY_BACKGROUND
                                                                      : naru::v1::DURABILITY_FSYNC);
  message.set_timestamp_type(config.append_time_stamped ? naru::v1::TIMESTAMP_TYPE_APPEND_TIME
                                                        : naru::v1::TIMESTAMP_TYPE_CREATE_TIME);
  message.set_delete_retention_ms(config.delete_retention_ms);
  message.set_min_compaction_lag_ms(config.min_compaction_lag_ms);
  message.set_min_cleanable_dirty_ratio(config.min_cleanable_dirty_ratio);
  return message;
}

}  // namespace naru::cluster
