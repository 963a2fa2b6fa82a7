#include "tools/cli/topic_settings.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <limits>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "storage/base/status.h"
#include "storage/base/strings.h"
#include "tools/cli/quantity.h"

namespace naru::cli {
namespace {

using google::protobuf::EnumValueDescriptor;
using google::protobuf::FieldDescriptor;

const google::protobuf::Descriptor& ConfigDescriptor() { return *naru::v1::TopicConfig::descriptor(); }

std::optional<int64_t> ParseNumber(const FieldDescriptor& field, std::string_view value) {
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
  if (const auto plain = ParseInteger(value, -1, kMax)) return plain;
  if (field.name().ends_with("_ms")) {
    if (const auto duration = ParseDuration(value)) return absl::ToInt64Milliseconds(*duration);
  }
  if (field.name().ends_with("_bytes")) return ParseBytes(value);
  return std::nullopt;
}

absl::Status SetShare(const FieldDescriptor& field, std::string_view value, naru::v1::TopicConfig& config) {
  double share;
  if (!absl::SimpleAtod(Absl(value), &share) || !(share >= 0 && share <= 1)) {
    return InvalidField(field.name(), value, "a share from 0 to 1, such as 0.5, is allowed");
  }
  config.GetReflection()->SetDouble(&config, &field, share);
  return absl::OkStatus();
}

std::string_view AllowedNumber(const FieldDescriptor& field) {
  if (field.name() == "retention_ms") return "milliseconds, a duration such as 7d or 12h, or -1 for no bound";
  if (field.name() == "retention_bytes") return "bytes, a size such as 1GiB, or -1 for no bound";
  if (field.name().ends_with("_ms")) return "milliseconds, or a duration such as 24h";
  if (field.name().ends_with("_bytes")) return "bytes, or a size such as 2MiB";
  return "a whole number";
}

// CLEANUP_POLICY_DELETE -> "delete"; "" for the unspecified value.
std::string ShortName(const EnumValueDescriptor& value) {
  if (value.number() == 0) return "";
  const std::string unspecified = value.type()->FindValueByNumber(0)->name();
  const size_t prefix = unspecified.size() - std::string_view("UNSPECIFIED").size();
  return absl::AsciiStrToLower(value.name().substr(prefix));
}

absl::Status SetEnum(const FieldDescriptor& field, std::string_view value, naru::v1::TopicConfig& config) {
  std::vector<std::string> names;
  for (int i = 1; i < field.enum_type()->value_count(); ++i) {
    const EnumValueDescriptor& candidate = *field.enum_type()->value(i);
    names.push_back(ShortName(candidate));
    if (names.back() == value) {
      config.GetReflection()->SetEnum(&config, &field, &candidate);
      return absl::OkStatus();
    }
  }
  return InvalidField(field.name(), value, absl::StrCat(absl::StrJoin(names, " or "), " is allowed"));
}

}  // namespace

std::string_view SettingKey(std::string_view assignment) {
  return assignment.substr(0, assignment.find('='));
}

std::string SettingKeys() {
  std::vector<std::string> keys;
  keys.reserve(static_cast<size_t>(ConfigDescriptor().field_count()));
  for (int i = 0; i < ConfigDescriptor().field_count(); ++i)
    keys.push_back(ConfigDescriptor().field(i)->name());
  return absl::StrJoin(keys, ", ");
}

absl::Status CheckSettingKey(std::string_view key) {
  if (ConfigDescriptor().FindFieldByName(std::string(key)) != nullptr) return absl::OkStatus();
  return InvalidField("config", key, absl::StrCat("the keys are ", SettingKeys()));
}

absl::Status ApplySetting(std::string_view assignment, naru::v1::TopicConfig& config) {
  const size_t equals = assignment.find('=');
  if (equals == std::string_view::npos) return InvalidField("config", assignment, "key=value is needed");
  const std::string_view key = assignment.substr(0, equals);
  const std::string_view value = assignment.substr(equals + 1);
  NARU_RETURN_IF_ERROR(CheckSettingKey(key));
  const FieldDescriptor& field = *ConfigDescriptor().FindFieldByName(std::string(key));
  if (field.cpp_type() == FieldDescriptor::CPPTYPE_ENUM) return SetEnum(field, value, config);
  if (field.cpp_type() == FieldDescriptor::CPPTYPE_DOUBLE) return SetShare(field, value, config);
  const std::optional<int64_t> number = ParseNumber(field, value);
  const bool is_int32 = field.cpp_type() == FieldDescriptor::CPPTYPE_INT32;
  if (!number || (is_int32 && *number > std::numeric_limits<int32_t>::max())) {
    return InvalidField(key, value, absl::StrCat(std::string(AllowedNumber(field)), " is allowed"));
  }
  if (is_int32) {
    config.GetReflection()->SetInt32(&config, &field, static_cast<int32_t>(*number));
  } else {
    config.GetReflection()->SetInt64(&config, &field, *number);
  }
  return absl::OkStatus();
}

std::vector<std::pair<std::string, std::string>> DescribeSettings(const naru::v1::TopicConfig& config) {
  std::vector<std::pair<std::string, std::string>> settings;
  const auto& reflection = *config.GetReflection();
  for (int i = 0; i < ConfigDescriptor().field_count(); ++i) {
    const FieldDescriptor& field = *ConfigDescriptor().field(i);
    std::string value;
    switch (field.cpp_type()) {
      case FieldDescriptor::CPPTYPE_ENUM:
        value = ShortName(*reflection.GetEnum(config, &field));
        break;
      case FieldDescriptor::CPPTYPE_DOUBLE:
        value = absl::StrCat(reflection.GetDouble(config, &field));
        break;
      case FieldDescriptor::CPPTYPE_INT32:
        value = absl::StrCat(reflection.GetInt32(config, &field));
        break;
      default:
        value = absl::StrCat(reflection.GetInt64(config, &field));
    }
    settings.emplace_back(field.name(), std::move(value));
  }
  return settings;
}

}  // namespace naru::cli
