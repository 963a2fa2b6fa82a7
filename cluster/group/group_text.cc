#include "cluster/group/group_text.h"

#include <type_traits>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "storage/base/status.h"

namespace naru::cluster {
namespace {

std::string NameOf(const TopicId& id, const GroupTopics& topics) {
  for (const auto& [name, topic] : topics) {
    if (topic.id == id) return name;
  }
  return "?";
}

std::string StatusText(const absl::Status& status) {
  if (status.ok()) return "OK";
  const std::optional<Reason> reason = ReasonOf(status);
  return absl::StrCat(reason ? ReasonName(*reason) : "an error", ": ", Std(status.message()));
}

std::string OffsetsText(const std::map<GroupPartition, std::optional<CommittedOffset>>& partitions,
                        const GroupTopics& topics) {
  std::vector<std::string> parts;
  parts.reserve(partitions.size());
  for (const auto& [partition, committed] : partitions) {
    parts.push_back(absl::StrCat(NameOf(partition.topic, topics), "/", partition.partition, "@",
                                 committed ? absl::StrCat(committed->offset) : "-"));
  }
  return absl::StrJoin(parts, " ");
}

std::string RecordText(const GroupRecord& record, const GroupTopics& topics) {
  return std::visit(
      [&](const auto& row) -> std::string {
        using Row = std::decay_t<decltype(row)>;
        if constexpr (std::is_same_v<Row, GroupRow>) {
          return absl::StrCat(
              "group epoch=", row.epoch,
              row.empty_since_ms > 0 ? absl::StrCat(" empty since ", row.empty_since_ms) : "");
        } else if constexpr (std::is_same_v<Row, GroupGone>) {
          return "group gone";
        } else if constexpr (std::is_same_v<Row, MemberRow>) {
          return absl::StrCat("member ", row.member_id, " epoch=", row.epoch, " owns ",
                              ToText(row.owned, topics));
        } else if constexpr (std::is_same_v<Row, MemberGone>) {
          return absl::StrCat("member ", row.member_id, " gone");
        } else if constexpr (std::is_same_v<Row, OffsetRow>) {
          return absl::StrCat("offset ", OffsetsText({{row.partition, row.committed}}, topics));
        } else {
          return absl::StrCat("offset ", ToText({row.partition}, topics), " gone");
        }
      },
      record);
}

std::string_view StateText(GroupState state) {
  switch (state) {
    case GroupState::kEmpty:
      return "empty";
    case GroupState::kReconciling:
      return "reconciling";
    case GroupState::kStable:
      return "stable";
  }
  return "?";
}

}  // namespace

std::string ToText(const std::set<GroupPartition>& partitions, const GroupTopics& topics) {
  std::string text;
  for (auto it = partitions.begin(); it != partitions.end();) {
    const bool same_topic = it != partitions.begin() && std::prev(it)->topic == it->topic;
    if (same_topic) {
      text += ",";
    } else {
      absl::StrAppend(&text, text.empty() ? "" : " ", NameOf(it->topic, topics), "/");
    }
    const GroupPartition first = *it;
    int32_t last = first.partition;
    for (++it; it != partitions.end() && it->topic == first.topic && it->partition == last + 1; ++it) ++last;
    absl::StrAppend(&text, first.partition);
    if (last > first.partition) absl::StrAppend(&text, "-", last);
  }
  return text.empty() ? "-" : text;
}

std::string ToText(const GroupEffect& effect, const GroupTopics& topics) {
  return std::visit(
      [&](const auto& done) -> std::string {
        using Effect = std::decay_t<decltype(done)>;
        if constexpr (std::is_same_v<Effect, Persist>) {
          return absl::StrCat("log ", RecordText(done.record, topics));
        } else if constexpr (std::is_same_v<Effect, TellJoined>) {
          return absl::StrCat("s", done.session, " joined as ", done.member_id, " epoch=", done.member_epoch);
        } else if constexpr (std::is_same_v<Effect, TellAssigned>) {
          return absl::StrCat("s", done.session, " assigned ",
                              done.partitions.empty() ? "-" : OffsetsText(done.partitions, topics));
        } else if constexpr (std::is_same_v<Effect, TellRevoking>) {
          return absl::StrCat("s", done.session, " revoking ", ToText(done.partitions, topics));
        } else if constexpr (std::is_same_v<Effect, EndSession>) {
          return absl::StrCat("s", done.session, " ended ", StatusText(done.why));
        } else {
          return absl::StrCat("r", done.request, " ", StatusText(done.status));
        }
      },
      effect);
}

std::string ToText(const GroupMachine& group, const GroupTopics& topics) {
  std::string text = absl::StrCat(StateText(group.state()), " epoch=", group.epoch(), "\n");
  for (const auto& [id, member] : group.members()) {
    absl::StrAppend(&text, "  ", id, member.session == 0 ? " away" : absl::StrCat(" s", member.session),
                    " owns ", ToText(member.owned, topics));
    if (!member.revoking.empty())
      absl::StrAppend(&text, " revoking ", ToText(member.RevokingPartitions(), topics));
    if (member.owned != member.target) absl::StrAppend(&text, " target ", ToText(member.target, topics));
    text += "\n";
  }
  return text;
}

}  // namespace naru::cluster
