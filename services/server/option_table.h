// The one description of every option of narud: its name, type, range and help, and where its value lives in
// ServerOptions. Flags, the configuration file, the environment, --help and --print-config are all made from
// it.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "services/server/options.h"

namespace naru::services {

struct TextOption {
  std::string& (*value)(ServerOptions&);
};
// HOST:PORT; `or_word` is one word allowed instead ("off"), `or_empty` allows nothing at all. The port is 0,
// for any free one, only where something listens.
struct AddressOption {
  std::string& (*value)(ServerOptions&);
  std::string_view or_word;
  bool or_empty = false;
  int port_min = 0;
};
struct SizeOption {
  int64_t& (*value)(ServerOptions&);
  int64_t min, max;
  bool automatic = false;  // "auto" is allowed: kAuto
};
struct DurationOption {
  int64_t& (*value)(ServerOptions&);
  int64_t min_ms, max_ms;
};
struct CountOption {
  int64_t& (*value)(ServerOptions&);
  int64_t min, max;
  bool automatic = false;  // as in SizeOption
};
struct ShareOption {
  double& (*value)(ServerOptions&);
  double min, max;
};
// One of `words`, by its place among them.
struct ChoiceOption {
  int (*get)(const ServerOptions&);
  void (*set)(ServerOptions&, int);
  std::vector<std::string_view> words;
};

struct OptionSpec {
  // As a flag without the dashes: "memory-limit". The key in the file is memory_limit, the variable
  // NARU_MEMORY_LIMIT.
  std::string_view name;
  // Heading in --help.
  std::string_view group;
  std::string_view help;
  std::variant<TextOption, AddressOption, SizeOption, DurationOption, CountOption, ShareOption, ChoiceOption>
      type;
  bool in_file = true;

  std::string Flag() const;         // --memory-limit
  std::string FileKey() const;      // memory_limit
  std::string Environment() const;  // NARU_MEMORY_LIMIT
  // "SIZE", "DURATION", …: what stands after the flag in --help.
  std::string_view TypeName() const;
  // "a size from 96MiB to 1TiB such as 64MiB": for errors and help.
  std::string Allowed() const;
  // Takes `text` into `options`; INVALID_ARGUMENT, with Allowed() as the message, when it cannot.
  absl::Status Set(ServerOptions& options, std::string_view text) const;
  // The value as Set would take it.
  std::string Get(const ServerOptions& options) const;
};

// All of them, in the order of --help.
std::span<const OptionSpec> OptionTable();
// nullptr when there is none.
const OptionSpec* FindOption(std::string_view name);

}  // namespace naru::services
