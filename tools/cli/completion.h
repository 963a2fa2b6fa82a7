// Scripts that make a shell complete the command line. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace naru::cli {

// A command as far as completion goes.
struct CompletionCommand {
  struct Choice {
    std::string option;               // "--output"
    std::vector<std::string> values;  // empty: anything
    bool takes_value = true;
  };
  std::string path;  // "topic create"; "" for naru itself
  std::vector<std::string> subcommands;
  std::vector<Choice> options;
  bool takes_topic = false;
  bool takes_group = false;
};

// The script for "bash", "zsh" or "fish"; nothing for another shell. Topics and groups, also those of
// --group, are completed by asking the server that the shell's NARU_SERVER names.
std::optional<std::string> CompletionScript(std::string_view shell,
                                            const std::vector<CompletionCommand>& commands);

}  // namespace naru::cli
