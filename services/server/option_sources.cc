#include "services/server/option_sources.h"

#include <yaml-cpp/yaml.h>

#include "services/server/memory_plan.h"
#include "services/server/option_table.h"
#include "services/server/option_values.h"
#include "storage/base/files.h"
#include "storage/base/status.h"
#include "storage/base/strings.h"

namespace naru::services {
namespace {

constexpr size_t kConfigFileBytesMax = 1 << 20;

const OptionSpec* FindFileKey(const std::string& key) {
  for (const OptionSpec& spec : OptionTable()) {
    if (spec.in_file && spec.FileKey() == key) return &spec;
  }
  return nullptr;
}

std::string KnownKeys() {
  std::string keys;
  for (const OptionSpec& spec : OptionTable()) {
    if (spec.in_file) absl::StrAppend(&keys, keys.empty() ? "" : ", ", spec.FileKey());
  }
  return keys;
}

absl::Status TakeEntry(const YAML::Node& key, const YAML::Node& value, const std::string& origin,
                       GivenValues& values) {
  const std::string at = absl::StrCat(origin, ":", key.Mark().line + 1);
  if (!key.IsScalar()) return absl::InvalidArgumentError(absl::StrCat(at, ": a key must be a word"));
  const OptionSpec* spec = FindFileKey(key.Scalar());
  if (spec == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat(at, ": ", key.Scalar(), " is not an option; the options are ", KnownKeys()));
  }
  if (!value.IsScalar()) {
    return absl::InvalidArgumentError(
        absl::StrCat(at, ": ", key.Scalar(), value.IsNull() ? " has no value; " : " is not a single value; ",
                     spec->Allowed()));
  }
  const auto [known, is_new] = values.emplace(spec->name, GivenValue{value.Scalar(), at});
  if (!is_new) {
    return absl::InvalidArgumentError(
        absl::StrCat(at, ": ", key.Scalar(), " is given twice; first at ", known->second.origin));
  }
  return absl::OkStatus();
}

absl::Status Apply(const GivenValues& values, ResolvedOptions& to) {
  for (const auto& [name, given] : values) {
    const OptionSpec* spec = FindOption(name);
    if (const absl::Status status = spec->Set(to.options, given.text); !status.ok()) {
      return absl::InvalidArgumentError(absl::StrCat(name, ": \"", given.text, "\" (from ", given.origin,
                                                     ") is not allowed; ", status.message()));
    }
    to.origins[name] = given.origin;
  }
  return absl::OkStatus();
}

// What "auto" comes to.
std::string AutomaticValue(const OptionSpec& spec, const ServerOptions& options) {
  const absl::StatusOr<MemoryPlan> plan = PlanMemory(options);
  if (!plan.ok()) return "";
  ServerOptions planned = options;
  planned.store.tail_cache_bytes = plan->tail_cache_bytes;
  planned.store.queue_bytes_max = plan->store_queue_bytes;
  planned.store.index_memory_bytes = plan->index_bytes;
  planned.store.compaction_memory_bytes = plan->compaction_bytes;
  planned.group_memory_bytes = plan->groups_bytes;
  planned.produce_memory_bytes = plan->produce_bytes;
  planned.consume_memory_bytes = plan->consume_bytes;
  planned.transport_memory_bytes = plan->transport_bytes;
  planned.max_streams = plan->calls_max;
  return absl::StrCat(" ", spec.Get(planned));
}

}  // namespace

GivenValues ReadEnvironment(const EnvironmentLookup& lookup) {
  GivenValues values;
  for (const OptionSpec& spec : OptionTable()) {
    const std::string variable = spec.Environment();
    if (std::optional<std::string> text = lookup(variable)) {
      values.emplace(spec.name, GivenValue{*std::move(text), variable});
    }
  }
  return values;
}

absl::StatusOr<GivenValues> ParseConfigFile(const std::string& contents, const std::string& origin) {
  // yaml-cpp reports by exceptions; none leaves this function.
  try {
    GivenValues values;
    const YAML::Node root = YAML::Load(contents);
    if (root.IsNull()) return values;
    if (!root.IsMap()) {
      return absl::InvalidArgumentError(absl::StrCat(origin, ": must be lines \"key: value\""));
    }
    for (const auto& entry : root) {
      NARU_RETURN_IF_ERROR(TakeEntry(entry.first, entry.second, origin, values));
    }
    return values;
  } catch (const YAML::Exception& error) {
    return absl::InvalidArgumentError(absl::StrCat(origin, ":", error.mark.line + 1, ": ", error.msg));
  }
}

absl::StatusOr<GivenValues> ReadConfigFile(const std::string& path) {
  const absl::StatusOr<std::string> contents = ReadWholeFile(PosixFileSystem(), path, kConfigFileBytesMax);
  if (!contents.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("config: \"", path, "\" cannot be read: ", contents.status().message()));
  }
  return ParseConfigFile(*contents, path);
}

absl::StatusOr<ResolvedOptions> ResolveOptions(const GivenValues& flags, const EnvironmentLookup& lookup) {
  ResolvedOptions resolved;
  NARU_RETURN_IF_ERROR(Apply(ReadEnvironment(lookup), resolved));
  const auto config = flags.find("config");
  const std::string path = config == flags.end() ? resolved.options.config_file : config->second.text;
  if (!path.empty()) {
    NARU_ASSIGN_OR_RETURN(const GivenValues from_file, ReadConfigFile(path));
    NARU_RETURN_IF_ERROR(Apply(from_file, resolved));
  }
  NARU_RETURN_IF_ERROR(Apply(flags, resolved));
  NARU_RETURN_IF_ERROR(resolved.options.Validate());
  return resolved;
}

std::string PrintConfig(const ResolvedOptions& resolved) {
  YAML::Emitter out;
  out << YAML::BeginMap;
  for (const OptionSpec& spec : OptionTable()) {
    if (!spec.in_file) continue;
    const std::string value = spec.Get(resolved.options);
    const auto origin = resolved.origins.find(spec.name);
    std::string comment =
        origin == resolved.origins.end() ? "default" : absl::StrCat("from ", origin->second);
    if (value == "auto") comment += AutomaticValue(spec, resolved.options);
    out << YAML::Key << spec.FileKey() << YAML::Value << value << YAML::Comment(comment);
  }
  out << YAML::EndMap;
  return absl::StrCat(out.c_str(), "\n");
}

}  // namespace naru::services
