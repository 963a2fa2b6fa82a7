#include "tools/cli/command_builder.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tools/cli/quantity.h"

namespace naru::cli {

CLI::App* AddCommand(CLI::App& parent, const CommandContext& context, const std::string& name,
                     const std::string& description, const std::string& examples, std::function<int()> run) {
  CLI::App* command = parent.add_subcommand(name, description);
  if (!examples.empty()) command->footer(absl::StrCat("Examples:\n", examples));
  if (run) command->callback([&chosen = context.run, run = std::move(run)] { chosen = run; });
  return command;
}

CLI::Option* AddTopicName(CLI::App& command, std::string& topic) {
  return command.add_option("TOPIC", topic, "The topic's name")->required();
}

// The text of a ValidationError names the option by itself.
CLI::Validator Check(const std::string& allowed, std::function<bool(const std::string&)> is_allowed) {
  return CLI::Validator(
      [allowed, is_allowed = std::move(is_allowed)](std::string& text) {
        return is_allowed(text) ? std::string() : absl::StrCat(text, " is not allowed; ", allowed);
      },
      "");
}

CLI::Validator DurationCheck() {
  return Check("a duration such as 500ms, 10s or 1h is",
               [](const std::string& text) { return ParseDuration(text).has_value(); });
}

CLI::Validator PositiveDurationCheck() {
  return Check("a duration above 0 such as 500ms, 10s or 1h is", [](const std::string& text) {
    return ParseDuration(text).value_or(absl::ZeroDuration()) > absl::ZeroDuration();
  });
}

CLI::Validator IntegerCheck(int64_t low, int64_t high) {
  return Check(absl::StrCat("a whole number from ", low, " to ", high, " is"),
               [low, high](const std::string& text) { return ParseInteger(text, low, high).has_value(); });
}

CLI::Validator OffsetSpecCheck() {
  return Check(absl::StrCat("one of these is: ", std::string(kOffsetSpecForms)),
               [](const std::string& text) { return ParseOffsetSpec(text, absl::Now()).ok(); });
}

OffsetSpec ToOffsetSpec(const std::string& text) { return *ParseOffsetSpec(text, absl::Now()); }

}  // namespace naru::cli
