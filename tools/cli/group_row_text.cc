#include "tools/cli/group_row_text.h"

#include <optional>
#include <string_view>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "naru/internal/v1/group.pb.h"
#include "tools/cli/partition_list.h"
#include "tools/cli/quantity.h"

namespace naru::cli {
namespace {

using naru::internal::v1::GroupKey;
using naru::internal::v1::GroupValue;
using naru::internal::v1::MemberValue;
using naru::internal::v1::OffsetValue;

std::optional<std::string> GroupText(const std::string& bytes) {
  GroupValue value;
  if (!value.ParseFromString(bytes)) return std::nullopt;
  return absl::StrCat("epoch ", value.epoch(),
                      value.empty_since_ms() == 0
                          ? ", has members"
                          : absl::StrCat(", empty since ", FormatTimestamp(value.empty_since_ms())));
}

std::optional<std::string> OffsetText(const std::string& bytes) {
  OffsetValue value;
  if (!value.ParseFromString(bytes)) return std::nullopt;
  std::string text =
      absl::StrCat("offset ", value.offset(), ", committed ", FormatTimestamp(value.commit_time_ms()));
  if (!value.metadata().empty()) {
    absl::StrAppend(&text, ", metadata \"", absl::Utf8SafeCEscape(value.metadata()), "\"");
  }
  return text;
}

}  // namespace

std::string GroupRowText::NameOf(const std::string& topic_id) const {
  const auto found = topics_.find(topic_id);
  return found == topics_.end() ? absl::BytesToHexString(topic_id) : found->second;
}

naru::v1::Record GroupRowText::Show(const naru::v1::Record& row) const {
  GroupKey key;
  if (!row.has_key() || !key.ParseFromString(row.key()) || key.group().empty()) return row;
  std::string key_text = absl::StrCat("group ", key.group());
  std::optional<std::string> value_text;
  switch (key.of_case()) {
    case GroupKey::kState:
      value_text = GroupText(row.value());
      break;
    case GroupKey::kMemberId:
      absl::StrAppend(&key_text, ", member ", key.member_id());
      if (MemberValue value; value.ParseFromString(row.value())) {
        std::vector<std::string> facts = {absl::StrCat("epoch ", value.epoch())};
        if (!value.instance_id().empty()) facts.push_back(absl::StrCat("instance ", value.instance_id()));
        if (!value.client().empty()) facts.push_back(absl::StrCat("client ", value.client()));
        if (!value.topics().empty()) {
          facts.push_back(absl::StrCat("topics ", absl::StrJoin(value.topics(), " ")));
        }
        if (!value.pattern().empty()) facts.push_back(absl::StrCat("pattern ", value.pattern()));
        std::vector<std::string> owned;
        for (const auto& partitions : value.owned()) {
          owned.push_back(absl::StrCat(
              NameOf(partitions.topic_id()), "/",
              PartitionRanges({partitions.partitions().begin(), partitions.partitions().end()})));
        }
        facts.push_back(owned.empty() ? "owns nothing" : absl::StrCat("owns ", absl::StrJoin(owned, " ")));
        value_text = absl::StrJoin(facts, ", ");
      }
      break;
    case GroupKey::kOffset:
      absl::StrAppend(&key_text, ", ", NameOf(key.offset().topic_id()), "/", key.offset().partition());
      value_text = OffsetText(row.value());
      break;
    case GroupKey::OF_NOT_SET:  // of a kind that a later version writes
      return row;
  }
  if (!row.has_value()) value_text = "gone";
  if (!value_text) return row;
  naru::v1::Record shown = row;
  shown.set_key(key_text);
  shown.set_value(*value_text);
  return shown;
}

}  // namespace naru::cli
