#include "tools/cli/group_command_line.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "storage/base/status.h"
#include "tools/cli/commands.h"
#include "tools/cli/failure.h"
#include "tools/cli/reset_spec.h"

namespace naru::cli {

void GroupCommandLine::AddTo(CLI::App& app) {
  CLI::App* group = AddCommand(app, context_, "group", "List, describe, move and delete consumer groups",
                               "  naru group list\n"
                               "  naru group describe billing --follow\n"
                               "  naru group reset billing --topic orders --to -1h\n",
                               nullptr);
  group->require_subcommand(1);
  CLI::App* list = AddCommand(*group, context_, "list", "List groups by name",
                              "  naru group list\n"
                              "  naru group list --output json\n",
                              [this] { return RunListGroups(context_.global, names_only_); });
  list->add_flag("--names", names_only_, "Only the names, one on a line");
  CLI::App* describe = AddCommand(
      *group, context_, "describe", "Show a group's members, positions and lag",
      "  naru group describe billing\n"
      "  naru group describe billing --follow\n"
      "  naru group describe billing --output json\n"
      "\n"
      "COMMITTED is the next offset to be read; LAG is how many records there are from it, or from "
      "START\n"
      "where nothing is committed, to END. A member that is away keeps its partitions until its "
      "session\n"
      "timeout is over.\n",
      [this] { return RunDescribeGroup(context_.global, describe_); });
  AddGroupName(*describe, describe_.group);
  describe->add_flag(
      "--follow,-f", describe_.follow,
      "Show it again every second until Ctrl-C; a line each time where the output is no terminal");
  AddReset(group);
  AddRemovals(group);
}

CLI::Option* GroupCommandLine::AddGroupName(CLI::App& command, std::string& group) {
  return command.add_option("GROUP", group, "The group's name")->required();
}

void GroupCommandLine::AddReset(CLI::App* group) {
  CLI::App* reset =
      AddCommand(*group, context_, "reset", "Move the committed positions of a group without members",
                 "  naru group reset billing --topic orders --to earliest\n"
                 "  naru group reset billing --topic orders:0,3 --to 1000 --dry-run\n"
                 "  naru group reset billing --to -1h\n"
                 "  naru group reset billing --topic orders --to -100\n"
                 "\n"
                 "Without --topic: every partition that has a committed position. With it a group that there "
                 "is\n"
                 "not is made. What lies outside of a partition's records is moved to their nearest end.\n",
                 [this] {
                   reset_.set_group(group_name_);
                   reset_.set_dry_run(dry_run_);
                   return RunResetGroup(context_.global, reset_);
                 });
  AddGroupName(*reset, group_name_);
  reset
      ->add_option_function<std::vector<std::string>>(
          "--topic", [](const auto&) {}, "All partitions of a topic, or those named; may be repeated")
      ->type_name("TOPIC[:N,N]")
      ->allow_extra_args(false)
      ->check(CLI::Validator(
          [](std::string& text) { return std::string(ParseTopicPartitions(text).status().message()); }, ""))
      ->each([this](const std::string& text) { *reset_.add_topics() = *ParseTopicPartitions(text); });
  reset
      ->add_option_function<std::string>(
          "--to", [](const auto&) {},
          "earliest, latest, an offset, +N or -N records from where it is, or a time as with consume --from")
      ->type_name("WHERE")
      ->required()
      ->check(CLI::Validator(
          [](std::string& text) {
            naru::v1::ResetOffsetsRequest parsed;
            return std::string(ParseResetTarget(text, absl::Now(), parsed).message());
          },
          ""))
      ->each([this](const std::string& text) { (void)ParseResetTarget(text, absl::Now(), reset_); });
  reset->add_flag("--dry-run", dry_run_, "Only show what would be done");
}

void GroupCommandLine::AddRemovals(CLI::App* group) {
  CLI::App* remove =
      AddCommand(*group, context_, "delete", "Forget a group without members, and its positions",
                 "  naru group delete billing\n"
                 "  naru group delete billing --yes\n",
                 [this] { return RunDeleteGroup(context_.global, delete_); });
  AddGroupName(*remove, delete_.group);
  remove->add_flag("--yes,-y", delete_.yes, "Do not ask");
  CLI::App* leave =
      AddCommand(*group, context_, "leave", "Make a member leave, so that others read its partitions at once",
                 "  naru group leave billing --member 5f0c2a\n"
                 "  naru group leave billing --instance-id billing-3\n",
                 [this] { return CheckAndLeave(); });
  AddGroupName(*leave, group_name_);
  CLI::Option* member =
      leave->add_option("--member", member_id_, "The member's id, as describe shows it")->type_name("ID");
  leave->add_option("--instance-id", instance_id_, "The instance id that it joined with")
      ->type_name("ID")
      ->excludes(member);
}

int GroupCommandLine::CheckAndLeave() {
  naru::v1::LeaveGroupRequest request;
  request.set_group(group_name_);
  if (member_id_.empty() && instance_id_.empty()) {
    return Fail(InvalidField("member", "(none)", "--member ID or --instance-id ID is needed"));
  }
  if (instance_id_.empty()) {
    request.set_member_id(member_id_);
  } else {
    request.set_instance_id(instance_id_);
  }
  return RunLeaveGroup(context_.global, request);
}

}  // namespace naru::cli
