#include "tools/cli/completion.h"

#include <algorithm>
#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace naru::cli {
namespace {

constexpr const char* kTopicNames = "naru topic list --names --timeout 1s 2>/dev/null";
constexpr const char* kGroupNames = "naru group list --names --timeout 1s 2>/dev/null";

std::string OptionWords(const CompletionCommand& command) {
  return absl::StrJoin(command.options, " ",
                       [](std::string* out, const auto& choice) { absl::StrAppend(out, choice.option); });
}

// Options that have a fixed set of values, over all commands. An option of the same name with other values in
// another command gets both sets.
std::map<std::string, std::vector<std::string>> FixedValues(const std::vector<CompletionCommand>& commands) {
  std::map<std::string, std::vector<std::string>> values;
  for (const CompletionCommand& command : commands) {
    for (const auto& choice : command.options) {
      for (const std::string& value : choice.values) {
        auto& known = values[choice.option];
        if (std::find(known.begin(), known.end(), value) == known.end()) known.push_back(value);
      }
    }
  }
  return values;
}

// Options that take a value, as a pattern of a shell's case: "--a|--b".
std::string ValueOptions(const std::vector<CompletionCommand>& commands) {
  std::vector<std::string> options;
  for (const CompletionCommand& command : commands) {
    for (const auto& choice : command.options) {
      if (choice.takes_value && std::find(options.begin(), options.end(), choice.option) == options.end()) {
        options.push_back(choice.option);
      }
    }
  }
  return absl::StrJoin(options, "|");
}

// Of all words before the cursor, those that name a command make up `path`; then words for what may follow.
std::string PathFunction(const std::vector<CompletionCommand>& commands) {
  std::string script =
      "_naru_words() {\n"
      "  # Arguments: the words of the line up to the one to be completed. Prints what may follow.\n"
      "  local path=\"\" skip=0 previous=\"\" word\n"
      "  for word in \"$@\"; do\n"
      "    previous=\"$word\"\n"
      "    if [ $skip = 1 ]; then skip=0; continue; fi\n"
      "    case \"$word\" in\n";
  absl::StrAppend(&script, "      ", ValueOptions(commands),
                  ") skip=1; continue ;;\n      -*) continue ;;\n    esac\n");
  script += "    case \"${path:+$path }$word\" in\n";
  std::vector<std::string> paths;
  for (const CompletionCommand& command : commands) {
    if (!command.path.empty()) paths.push_back(absl::StrCat("\"", command.path, "\""));
  }
  absl::StrAppend(&script, "      ", absl::StrJoin(paths, "|"),
                  ") path=\"${path:+$path }$word\" ;;\n    esac\n  done\n");
  script += "  if [ $skip = 1 ]; then\n    case \"$previous\" in\n";
  for (const auto& [option, values] : FixedValues(commands)) {
    absl::StrAppend(&script, "      ", option, ") echo \"", absl::StrJoin(values, " "), "\" ;;\n");
  }
  absl::StrAppend(&script, "      --group) ", kGroupNames, " ;;\n");
  script += "    esac\n    return\n  fi\n  case \"$path\" in\n";
  for (const CompletionCommand& command : commands) {
    absl::StrAppend(&script, "    \"", command.path, "\") echo \"", absl::StrJoin(command.subcommands, " "),
                    " ", OptionWords(command), "\"",
                    command.takes_topic   ? absl::StrCat("; ", kTopicNames)
                    : command.takes_group ? absl::StrCat("; ", kGroupNames)
                                          : "",
                    " ;;\n");
  }
  return script + "  esac\n}\n";
}

std::string BashScript(const std::vector<CompletionCommand>& commands) {
  return absl::StrCat("# bash completion of naru. Load it with: source <(naru completion bash)\n",
                      PathFunction(commands),
                      "_naru() {\n"
                      "  local current=\"${COMP_WORDS[COMP_CWORD]}\"\n"
                      "  COMPREPLY=($(compgen -W \"$(_naru_words \"${COMP_WORDS[@]:1:COMP_CWORD-1}\")\" -- "
                      "\"$current\"))\n"
                      "}\n"
                      "complete -o default -F _naru naru\n");
}

std::string ZshScript(const std::vector<CompletionCommand>& commands) {
  return absl::StrCat(
      "#compdef naru\n# zsh completion of naru. Load it with: source <(naru completion zsh)\n",
      PathFunction(commands),
      "_naru() {\n"
      "  local -a candidates\n"
      "  candidates=(${=\"$(_naru_words \"${(@)words[2,CURRENT-1]}\")\"})\n"
      "  compadd -- $candidates || _files\n"
      "}\n"
      "compdef _naru naru\n");
}

std::string FishScript(const std::vector<CompletionCommand>& commands) {
  std::string script =
      "# fish completion of naru. Load it with: naru completion fish | source\n"
      "function __naru_at\n"
      "  # True when the words before the cursor that are no options begin with exactly these commands.\n"
      "  set -l words (commandline -opc)[2..-1]\n"
      "  set -l plain\n"
      "  for word in $words\n"
      "    string match -q -- '-*' $word; or set -a plain $word\n"
      "  end\n"
      "  test (count $argv) -le (count $plain); or return 1\n"
      "  for i in (seq (count $argv))\n"
      "    test \"$argv[$i]\" = \"$plain[$i]\"; or return 1\n"
      "  end\n"
      "end\n"
      "function __naru_at_end\n"
      "  # As __naru_at, with nothing behind.\n"
      "  __naru_at $argv; or return 1\n"
      "  set -l plain\n"
      "  for word in (commandline -opc)[2..-1]\n"
      "    string match -q -- '-*' $word; or set -a plain $word\n"
      "  end\n"
      "  test (count $argv) -eq (count $plain)\n"
      "end\n";
  for (const CompletionCommand& command : commands) {
    if (!command.subcommands.empty()) {
      absl::StrAppend(&script, "complete -c naru -f -n '__naru_at_end ", command.path, "' -a '",
                      absl::StrJoin(command.subcommands, " "), "'\n");
    }
    if (command.takes_topic || command.takes_group) {
      absl::StrAppend(&script, "complete -c naru -f -n '__naru_at_end ", command.path, "' -a '(",
                      command.takes_topic ? kTopicNames : kGroupNames, ")'\n");
    }
    for (const auto& choice : command.options) {
      if (!choice.option.starts_with("--")) continue;
      absl::StrAppend(&script, "complete -c naru -n '__naru_at ", command.path, "' -l ",
                      choice.option.substr(2));
      if (choice.option == "--group") {
        absl::StrAppend(&script, " -x -a '(", kGroupNames, ")'");
      } else if (!choice.values.empty()) {
        absl::StrAppend(&script, " -x -a '", absl::StrJoin(choice.values, " "), "'");
      } else if (choice.takes_value) {
        absl::StrAppend(&script, " -r");
      }
      script += '\n';
    }
  }
  return script;
}

}  // namespace

std::optional<std::string> CompletionScript(std::string_view shell,
                                            const std::vector<CompletionCommand>& commands) {
  if (shell == "bash") return BashScript(commands);
  if (shell == "zsh") return ZshScript(commands);
  if (shell == "fish") return FishScript(commands);
  return std::nullopt;
}

}  // namespace naru::cli
