// A topic's configuration as key=value, both ways. Pure, thread-safe.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "naru/v1/admin.pb.h"

namespace naru::cli {

// Sets the field that "key=value" names. Keys are the fields of TopicConfig. Times also take a
// duration ("7d"), sizes take units ("1GiB"), enums their last word in lower case ("background"); -1 is "no
// bound". INVALID_ARGUMENT naming the key, the value and what is allowed.
absl::Status ApplySetting(std::string_view assignment, naru::v1::TopicConfig& config);

// INVALID_ARGUMENT naming the keys there are, unless `key` is one.
absl::Status CheckSettingKey(std::string_view key);

// The part of "key=value" before the "=".
std::string_view SettingKey(std::string_view assignment);

// Every setting of a whole configuration, key and value as ApplySetting takes them, in the order of the
// fields.
std::vector<std::pair<std::string, std::string>> DescribeSettings(const naru::v1::TopicConfig& config);

// "retention_ms, retention_bytes, …".
std::string SettingKeys();

}  // namespace naru::cli
