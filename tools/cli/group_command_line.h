// `naru group ...` on the command line.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "naru/v1/group.pb.h"
#include "tools/cli/arguments.h"
#include "tools/cli/command_builder.h"

namespace naru::cli {

// Holds what the options are parsed into, so it outlives the parsing and the command's run.
class GroupCommandLine {
 public:
  explicit GroupCommandLine(const CommandContext& context) : context_(context) {}
  void AddTo(CLI::App& app);

 private:
  static CLI::Option* AddGroupName(CLI::App& command, std::string& group);
  void AddReset(CLI::App* group);
  void AddRemovals(CLI::App* group);
  int CheckAndLeave();

  const CommandContext context_;
  DescribeGroupArguments describe_;
  DeleteGroupArguments delete_;
  naru::v1::ResetOffsetsRequest reset_;
  std::string group_name_, member_id_, instance_id_;
  bool names_only_ = false, dry_run_ = false;
};

}  // namespace naru::cli
