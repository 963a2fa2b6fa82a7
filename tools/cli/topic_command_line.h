// `naru topic ...` on the command line.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "tools/cli/arguments.h"
#include "tools/cli/command_builder.h"

namespace naru::cli {

// Holds what the options are parsed into, so it outlives the parsing and the command's run.
class TopicCommandLine {
 public:
  explicit TopicCommandLine(const CommandContext& context) : context_(context) {}
  void AddTo(CLI::App& app);

 private:
  void AddTopicCreate(CLI::App* topic);
  // --config key=value, repeated, with commas, or with more of them behind the topic.
  static void AddConfig(CLI::App* command, std::vector<std::string>& config);
  void AddTopicAlter(CLI::App* topic);
  void AddTopicRemovals(CLI::App* topic);

  const CommandContext context_;
  CreateTopicArguments create_;
  ListTopicsArguments list_;
  AlterTopicArguments alter_;
  DeleteTopicArguments delete_;
  DeleteRecordsArguments delete_records_;
  std::string topic_name_;
  int32_t partition_count_ = 0;
};

}  // namespace naru::cli
