#include <cstdio>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "clients/cpp/errors.h"
#include "clients/cpp/group_admin.h"
#include "storage/base/status.h"
#include "tools/cli/commands.h"
#include "tools/cli/connect.h"
#include "tools/cli/failure.h"
#include "tools/cli/group_tables.h"
#include "tools/cli/quantity.h"
#include "tools/cli/screen.h"
#include "tools/cli/terminal.h"

namespace naru::cli {
namespace {

using naru::v1::Group;

constexpr absl::Duration kRepaintInterval = absl::Seconds(1);

// Less long when interrupted.
void WaitForNextLook() {
  const absl::Time until = absl::Now() + kRepaintInterval;
  while (!Interrupted() && absl::Now() < until) absl::SleepFor(absl::Milliseconds(20));
}

// `describe --follow`: until an interruption, a closed pipe or an error that does not pass.
absl::Status FollowGroup(const GlobalArguments& global, client::GroupAdmin& admin, const std::string& name) {
  Output output;
  Screen screen(output);
  const bool json = global.output == OutputFormat::kJson;
  const bool on_screen = !json && Screen::IsThere();
  bool shown = false;
  for (; !Interrupted() && !output.closed(); WaitForNextLook()) {
    const absl::StatusOr<Group> group = admin.GetGroup(name);
    if (Interrupted()) break;
    if (!group.ok()) {
      // A server that restarts is waited for; one that was never there is not.
      if (!shown || !client::IsReadRetryable(group.status())) return group.status();
      if (on_screen) {
        screen.Paint(FailureLine(group.status()));
      } else {
        std::fprintf(stderr, "%s\n", FailureLine(group.status()).c_str());
      }
      continue;
    }
    shown = true;
    if (on_screen) {
      screen.Paint(absl::StrCat(GroupDescription(*group), "\n",
                                FormatTimestamp(absl::ToUnixMillis(absl::Now())), "  Ctrl-C ends\n"));
    } else {
      output.Write(json ? ToJson(*group, /*one_line=*/true) : GroupLine(*group, absl::Now()));
      output.Flush();
    }
    if (output.error() != 0) {
      return absl::DataLossError(absl::StrCat("standard output: ", std::strerror(output.error())));
    }
  }
  // The shell's prompt goes below what was painted.
  if (on_screen) output.Write("\r\n");
  return absl::OkStatus();
}

}  // namespace

int RunListGroups(const GlobalArguments& global, bool names_only) {
  return RunWith<client::GroupAdmin>(global, [&](client::GroupAdmin& admin) -> absl::StatusOr<std::string> {
    NARU_ASSIGN_OR_RETURN(const auto groups, admin.ListGroups());
    if (names_only) {
      std::string names;
      for (const auto& group : groups) absl::StrAppend(&names, group.group(), "\n");
      return names;
    }
    if (global.output == OutputFormat::kTable) return GroupListTable(groups);
    naru::v1::ListGroupsResponse all;
    *all.mutable_groups() = {groups.begin(), groups.end()};
    return ToJson(all);
  });
}

int RunDescribeGroup(const GlobalArguments& global, const DescribeGroupArguments& arguments) {
  if (arguments.follow) CatchSignals();
  return RunWith<client::GroupAdmin>(global, [&](client::GroupAdmin& admin) -> absl::StatusOr<std::string> {
    if (arguments.follow) {
      NARU_RETURN_IF_ERROR(FollowGroup(global, admin, arguments.group));
      return std::string();
    }
    NARU_ASSIGN_OR_RETURN(const Group group, admin.GetGroup(arguments.group));
    return global.output == OutputFormat::kJson ? ToJson(group) : GroupDescription(group);
  });
}

int RunResetGroup(const GlobalArguments& global, const naru::v1::ResetOffsetsRequest& request) {
  return RunWith<client::GroupAdmin>(global, [&](client::GroupAdmin& admin) -> absl::StatusOr<std::string> {
    NARU_ASSIGN_OR_RETURN(const auto response, admin.ResetOffsets(request));
    if (global.output == OutputFormat::kJson) return ToJson(response);
    if (response.offsets().empty()) return absl::StrCat("group ", request.group(), " has no positions\n");
    return absl::StrCat(request.dry_run() ? "would reset" : "reset", " group ", request.group(), ":\n",
                        OffsetResetTable(response));
  });
}

int RunDeleteGroup(const GlobalArguments& global, const DeleteGroupArguments& arguments) {
  if (!arguments.yes && !Confirm(absl::StrCat("Delete group ", arguments.group, " and its positions?"))) {
    return Fail(absl::InvalidArgumentError(
        absl::StrCat("deleting group ", arguments.group, " needs consent; --yes gives it")));
  }
  return RunWith<client::GroupAdmin>(global, [&](client::GroupAdmin& admin) -> absl::StatusOr<std::string> {
    NARU_RETURN_IF_ERROR(admin.DeleteGroup(arguments.group));
    if (global.output == OutputFormat::kJson) return ToJson(naru::v1::DeleteGroupResponse());
    return absl::StrCat("deleted group ", arguments.group, "\n");
  });
}

int RunLeaveGroup(const GlobalArguments& global, const naru::v1::LeaveGroupRequest& request) {
  return RunWith<client::GroupAdmin>(global, [&](client::GroupAdmin& admin) -> absl::StatusOr<std::string> {
    NARU_RETURN_IF_ERROR(admin.LeaveGroup(request));
    if (global.output == OutputFormat::kJson) return ToJson(naru::v1::LeaveGroupResponse());
    const std::string who = request.has_member_id() ? absl::StrCat("member ", request.member_id())
                                                    : absl::StrCat("instance ", request.instance_id());
    return absl::StrCat(who, " is no member of group ", request.group(), "\n");
  });
}

}  // namespace naru::cli
