#include "tools/cli/group_tables.h"

#include <cstdint>
#include <map>
#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "tools/cli/partition_list.h"
#include "tools/cli/quantity.h"
#include "tools/cli/table.h"

namespace naru::cli {
namespace {

using Align = Table::Align;
using naru::v1::Group;
using naru::v1::GroupMember;
using naru::v1::GroupPartition;

std::string OrDash(const std::string& text) { return text.empty() ? "-" : text; }

int64_t TotalLag(const Group& group) {
  int64_t lag = 0;
  for (const GroupPartition& partition : group.partitions()) lag += partition.lag();
  return lag;
}

// "orders/0-2 bills/5", by member.
std::map<std::string, std::string> Assignments(const Group& group) {
  std::map<std::string, std::map<std::string, std::set<int32_t>>> owned;
  for (const GroupPartition& partition : group.partitions()) {
    owned[partition.member_id()][partition.topic()].insert(partition.partition());
  }
  std::map<std::string, std::string> texts;
  for (const auto& [member, topics] : owned) {
    texts[member] = absl::StrJoin(topics, " ", [](std::string* out, const auto& topic) {
      absl::StrAppend(out, topic.first, "/", PartitionRanges(topic.second));
    });
  }
  return texts;
}

std::string MemberTable(const Group& group) {
  const std::map<std::string, std::string> assignments = Assignments(group);
  Table table({{"MEMBER"}, {"INSTANCE"}, {"CLIENT"}, {"EPOCH", Align::kRight}, {"STATE"}, {"PARTITIONS"}});
  for (const GroupMember& member : group.members()) {
    const auto assignment = assignments.find(member.member_id());
    table.AddRow({member.member_id(), OrDash(member.instance_id()), OrDash(member.client()),
                  absl::StrCat(member.member_epoch()), member.away() ? "away" : "here",
                  assignment == assignments.end() ? "-" : assignment->second});
  }
  return table.Render();
}

std::string PartitionTable(const Group& group) {
  Table table({{"TOPIC"},
               {"PARTITION", Align::kRight},
               {"COMMITTED", Align::kRight},
               {"START", Align::kRight},
               {"END", Align::kRight},
               {"LAG", Align::kRight},
               {"COMMITTED AT"},
               {"MEMBER"}});
  for (const GroupPartition& partition : group.partitions()) {
    const bool committed = partition.has_committed_offset();
    table.AddRow({partition.topic(), absl::StrCat(partition.partition()),
                  committed ? absl::StrCat(partition.committed_offset()) : "-",
                  absl::StrCat(partition.log_start_offset()), absl::StrCat(partition.high_watermark()),
                  absl::StrCat(partition.lag()),
                  committed ? FormatTimestamp(partition.commit_time_ms()) : "-",
                  absl::StrCat(OrDash(partition.member_id()), partition.revoking() ? " (moving)" : "")});
  }
  return table.Render();
}

}  // namespace

std::string GroupStateText(naru::v1::GroupState state) {
  const std::string name = naru::v1::GroupState_Name(state);
  if (name.empty()) return "unknown";
  return absl::AsciiStrToLower(name.substr(std::string("GROUP_STATE_").size()));
}

std::string GroupListTable(const std::vector<naru::v1::GroupSummary>& groups) {
  if (groups.empty()) return "no groups\n";
  Table table({{"GROUP"}, {"STATE"}, {"MEMBERS", Align::kRight}});
  for (const auto& group : groups) {
    table.AddRow({group.group(), GroupStateText(group.state()), absl::StrCat(group.member_count())});
  }
  return table.Render();
}

std::string GroupDescription(const Group& group) {
  std::string out = absl::StrCat("group      ", group.group(), "\n");
  absl::StrAppend(&out, "state      ", GroupStateText(group.state()), "\n");
  absl::StrAppend(&out, "epoch      ", group.epoch(), "\n");
  absl::StrAppend(&out, "members    ", group.members_size(), "\n");
  absl::StrAppend(&out, "total lag  ", TotalLag(group), "\n");
  if (!group.members().empty()) absl::StrAppend(&out, "\n", MemberTable(group));
  if (!group.partitions().empty()) absl::StrAppend(&out, "\n", PartitionTable(group));
  return out;
}

std::string GroupLine(const Group& group, absl::Time now) {
  return absl::StrCat(FormatTimestamp(absl::ToUnixMillis(now)), " ", group.group(), " ",
                      GroupStateText(group.state()), ", ", FormatCount(group.members_size(), "member"), ", ",
                      FormatCount(group.partitions_size(), "partition"), ", lag ", TotalLag(group), "\n");
}

std::string OffsetResetTable(const naru::v1::ResetOffsetsResponse& response) {
  Table table({{"TOPIC"}, {"PARTITION", Align::kRight}, {"BEFORE", Align::kRight}, {"AFTER", Align::kRight}});
  for (const auto& reset : response.offsets()) {
    table.AddRow({reset.topic(), absl::StrCat(reset.partition()),
                  reset.has_before_offset() ? absl::StrCat(reset.before_offset()) : "-",
                  absl::StrCat(reset.after_offset())});
  }
  return table.Render();
}

}  // namespace naru::cli
