#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "clients/cpp/admin.h"
#include "clients/cpp/errors.h"
#include "storage/base/status.h"
#include "tools/cli/commands.h"
#include "tools/cli/connect.h"
#include "tools/cli/failure.h"
#include "tools/cli/quantity.h"
#include "tools/cli/table.h"
#include "tools/cli/terminal.h"
#include "tools/cli/topic_settings.h"

namespace naru::cli {
namespace {

using naru::v1::Topic;

std::string DescribeTable(const Topic& topic) {
  std::string out = absl::StrCat("topic               ", topic.name(), "\n");
  absl::StrAppend(&out, "id                  ", absl::BytesToHexString(topic.topic_id()), "\n");
  absl::StrAppend(&out, "partitions          ", topic.partition_count(), "\n");
  absl::StrAppend(&out, "replication factor  ", topic.replication_factor(), "\n");
  absl::StrAppend(&out, "created             ", FormatTimestamp(topic.create_time_ms()), "\n\n");

  Table settings({{"CONFIG"}, {"VALUE"}, {"MEANING"}});
  for (const auto& [key, value] : DescribeSettings(topic.config())) {
    std::string meaning;
    const auto number = ParseInteger(value, -1, INT64_MAX);
    if (key.ends_with("_ms") && number) meaning = FormatMilliseconds(*number);
    if (key == "retention_bytes" && number) meaning = *number < 0 ? "no bound" : FormatBytes(*number);
    if (key == "max_record_bytes" && number) meaning = FormatBytes(*number);
    settings.AddRow({key, value, meaning});
  }
  absl::StrAppend(&out, settings.Render(), "\n");

  using Align = Table::Align;
  Table partitions({{"PARTITION", Align::kRight},
                    {"LEADER", Align::kRight},
                    {"EPOCH", Align::kRight},
                    {"REPLICAS"},
                    {"IN SYNC"},
                    {"START", Align::kRight},
                    {"END", Align::kRight},
                    {"RECORDS", Align::kRight},
                    {"SIZE", Align::kRight}});
  for (const auto& state : topic.partitions()) {
    partitions.AddRow(
        {absl::StrCat(state.partition()), absl::StrCat(state.leader()), absl::StrCat(state.leader_epoch()),
         absl::StrJoin(state.replicas(), ","), absl::StrJoin(state.in_sync_replicas(), ","),
         absl::StrCat(state.log_start_offset()), absl::StrCat(state.high_watermark()),
         absl::StrCat(state.high_watermark() - state.log_start_offset()), FormatBytes(state.size_bytes())});
  }
  return out + partitions.Render();
}

std::string ListTable(const std::vector<Topic>& topics) {
  if (topics.empty()) return "no topics\n";
  using Align = Table::Align;
  Table table({{"TOPIC"},
               {"PARTITIONS", Align::kRight},
               {"REPLICATION", Align::kRight},
               {"RETENTION", Align::kRight},
               {"RETENTION SIZE", Align::kRight},
               {"CREATED"}});
  for (const Topic& topic : topics) {
    const auto& config = topic.config();
    table.AddRow({topic.name(), absl::StrCat(topic.partition_count()),
                  absl::StrCat(topic.replication_factor()), FormatMilliseconds(config.retention_ms()),
                  config.retention_bytes() < 0 ? "no bound" : FormatBytes(config.retention_bytes()),
                  FormatTimestamp(topic.create_time_ms())});
  }
  return table.Render();
}

}  // namespace

int RunCreateTopic(const GlobalArguments& global, const CreateTopicArguments& arguments) {
  return RunWith<client::Admin>(global, [&](client::Admin& admin) -> absl::StatusOr<std::string> {
    naru::v1::CreateTopicRequest request;
    request.set_name(arguments.name);
    request.set_partition_count(arguments.partitions);
    request.set_replication_factor(arguments.replication_factor);
    request.set_validate_only(arguments.validate_only);
    for (const std::string& setting : arguments.config) {
      NARU_RETURN_IF_ERROR(ApplySetting(setting, *request.mutable_config()));
    }
    NARU_ASSIGN_OR_RETURN(const Topic topic, admin.CreateTopic(request));
    if (global.output == OutputFormat::kJson) return ToJson(topic);
    return absl::StrCat(arguments.validate_only ? "could create topic " : "created topic ", topic.name(),
                        " with ", FormatCount(topic.partition_count(), "partition"), "\n");
  });
}

int RunListTopics(const GlobalArguments& global, const ListTopicsArguments& arguments) {
  return RunWith<client::Admin>(global, [&](client::Admin& admin) -> absl::StatusOr<std::string> {
    NARU_ASSIGN_OR_RETURN(const std::vector<Topic> topics, admin.ListTopics(arguments.prefix));
    if (arguments.names_only) {
      std::string names;
      for (const Topic& topic : topics) absl::StrAppend(&names, topic.name(), "\n");
      return names;
    }
    if (global.output == OutputFormat::kTable) return ListTable(topics);
    naru::v1::ListTopicsResponse all;
    for (const Topic& topic : topics) *all.add_topics() = topic;
    return ToJson(all);
  });
}

int RunDescribeTopic(const GlobalArguments& global, const std::string& name) {
  return RunWith<client::Admin>(global, [&](client::Admin& admin) -> absl::StatusOr<std::string> {
    NARU_ASSIGN_OR_RETURN(const Topic topic, admin.GetTopic(name));
    return global.output == OutputFormat::kJson ? ToJson(topic) : DescribeTable(topic);
  });
}

int RunAlterTopic(const GlobalArguments& global, const AlterTopicArguments& arguments) {
  return RunWith<client::Admin>(global, [&](client::Admin& admin) -> absl::StatusOr<std::string> {
    naru::v1::UpdateTopicRequest request;
    request.set_name(arguments.name);
    for (const std::string& setting : arguments.config) {
      NARU_RETURN_IF_ERROR(ApplySetting(setting, *request.mutable_config()));
      request.mutable_update_mask()->add_paths(std::string(SettingKey(setting)));
    }
    for (const std::string& key : arguments.reset) {
      NARU_RETURN_IF_ERROR(CheckSettingKey(key));
      request.mutable_update_mask()->add_paths(key);
    }
    if (request.update_mask().paths().empty()) {
      return InvalidField("config", "(none)", "--config key=value or --reset key is needed");
    }
    NARU_ASSIGN_OR_RETURN(const Topic topic, admin.UpdateTopic(request));
    if (global.output == OutputFormat::kJson) return ToJson(topic);
    std::string changed = absl::StrCat("altered topic ", topic.name(), ":\n");
    for (const auto& [key, value] : DescribeSettings(topic.config())) {
      for (const std::string& path : request.update_mask().paths()) {
        if (path == key) absl::StrAppend(&changed, "  ", key, "=", value, "\n");
      }
    }
    return changed;
  });
}

int RunAddPartitions(const GlobalArguments& global, const std::string& name, int32_t partition_count) {
  return RunWith<client::Admin>(global, [&](client::Admin& admin) -> absl::StatusOr<std::string> {
    NARU_ASSIGN_OR_RETURN(const Topic topic, admin.CreatePartitions(name, partition_count));
    if (global.output == OutputFormat::kJson) return ToJson(topic);
    return absl::StrCat("topic ", topic.name(), " has ", FormatCount(topic.partition_count(), "partition"),
                        "; keys may go to other partitions than before\n");
  });
}

int RunDeleteTopic(const GlobalArguments& global, const DeleteTopicArguments& arguments) {
  if (!arguments.yes && !Confirm(absl::StrCat("Delete topic ", arguments.name, " and all its records?"))) {
    return Fail(absl::InvalidArgumentError(
        absl::StrCat("deleting topic ", arguments.name, " needs consent; --yes gives it")));
  }
  return RunWith<client::Admin>(global, [&](client::Admin& admin) -> absl::StatusOr<std::string> {
    NARU_RETURN_IF_ERROR(admin.DeleteTopic(arguments.name));
    if (global.output == OutputFormat::kJson) return ToJson(naru::v1::DeleteTopicResponse());
    return absl::StrCat("deleted topic ", arguments.name, "\n");
  });
}

int RunDeleteRecords(const GlobalArguments& global, const DeleteRecordsArguments& arguments) {
  return RunWith<client::Admin>(global, [&](client::Admin& admin) -> absl::StatusOr<std::string> {
    naru::v1::DeleteRecordsRequest request;
    request.set_topic(arguments.topic);
    auto* truncation = request.add_partitions();
    truncation->set_partition(arguments.partition);
    truncation->set_before_offset(arguments.before_offset);
    NARU_ASSIGN_OR_RETURN(const auto response, admin.DeleteRecords(request));
    for (const auto& result : response.results()) {
      if (result.has_error()) return client::FromError(result.error());
    }
    if (global.output == OutputFormat::kJson) return ToJson(response);
    std::string out;
    for (const auto& result : response.results()) {
      absl::StrAppend(&out, "topic ", arguments.topic, " partition ", result.partition(),
                      " now begins at offset ", result.log_start_offset(), "\n");
    }
    return out;
  });
}

}  // namespace naru::cli
