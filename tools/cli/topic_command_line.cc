#include "tools/cli/topic_command_line.h"

#include <cstdint>

#include "absl/strings/str_cat.h"
#include "tools/cli/commands.h"
#include "tools/cli/topic_settings.h"

namespace naru::cli {

void TopicCommandLine::AddTo(CLI::App& app) {
  CLI::App* topic = AddCommand(app, context_, "topic", "Create, list, describe, alter and delete topics",
                               "  naru topic create orders --partitions 6 --config retention_ms=7d\n"
                               "  naru topic list\n"
                               "  naru topic describe orders\n",
                               nullptr);
  topic->require_subcommand(1);
  AddTopicCreate(topic);
  CLI::App* list = AddCommand(*topic, context_, "list", "List topics by name",
                              "  naru topic list --prefix orders.\n"
                              "  naru topic list --output json\n",
                              [this] { return RunListTopics(context_.global, list_); });
  list->add_option("--prefix", list_.prefix, "Only names that begin with this");
  list->add_flag("--names", list_.names_only, "Only the names, one on a line");
  CLI::App* describe = AddCommand(
      *topic, context_, "describe", "Show a topic, its configuration and its partitions",
      "  naru topic describe orders\n", [this] { return RunDescribeTopic(context_.global, topic_name_); });
  AddTopicName(*describe, topic_name_);
  AddTopicAlter(topic);
  AddTopicRemovals(topic);
}

void TopicCommandLine::AddTopicCreate(CLI::App* topic) {
  CLI::App* create =
      AddCommand(*topic, context_, "create", "Create a topic",
                 "  naru topic create orders --partitions 6\n"
                 "  naru topic create audit --config retention_ms=-1 --config durability=fsync\n"
                 "  naru topic create cache --config cleanup_policy=compact,delete_retention_ms=1h\n",
                 [this] { return RunCreateTopic(context_.global, create_); });
  AddTopicName(*create, create_.name);
  create->add_option("--partitions", create_.partitions, "How many partitions")
      ->type_name("N")
      ->check(IntegerCheck(1, INT32_MAX))
      ->capture_default_str();
  create->add_option("--replication-factor", create_.replication_factor, "Copies of each partition")
      ->type_name("N")
      ->check(IntegerCheck(1, INT32_MAX))
      ->capture_default_str();
  AddConfig(create, create_.config);
  create->add_flag("--validate-only", create_.validate_only, "Check everything, create nothing");
}

void TopicCommandLine::AddConfig(CLI::App* command, std::vector<std::string>& config) {
  const CLI::Validator check(
      [](std::string& text) {
        naru::v1::TopicConfig parsed;
        return std::string(ApplySetting(text, parsed).message());
      },
      "");
  const auto add = [&config](const std::string& text) { config.push_back(text); };
  command
      ->add_option_function<std::vector<std::string>>(
          "--config", [](const auto&) {}, absl::StrCat("Keys: ", SettingKeys()))
      ->type_name("KEY=VALUE")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->check(check)
      ->each(add);
  command
      ->add_option_function<std::vector<std::string>>(
          "KEY=VALUE", [](const auto&) {}, "More settings, as with --config")
      ->check(check)
      ->each(add);
}

void TopicCommandLine::AddTopicAlter(CLI::App* topic) {
  CLI::App* alter =
      AddCommand(*topic, context_, "alter", "Change a topic's configuration",
                 "  naru topic alter orders --config retention_ms=30d\n"
                 "  naru topic alter orders --config retention_bytes=10GiB --reset retention_ms\n",
                 [this] { return RunAlterTopic(context_.global, alter_); });
  AddTopicName(*alter, alter_.name);
  AddConfig(alter, alter_.config);
  alter->add_option("--reset", alter_.reset, "A key that goes back to its default; may be repeated")
      ->type_name("KEY")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->check(
          CLI::Validator([](std::string& text) { return std::string(CheckSettingKey(text).message()); }, ""));
  CLI::App* add = AddCommand(
      *topic, context_, "add-partitions", "Give a topic more partitions; they cannot be taken away again",
      "  naru topic add-partitions orders 12\n",
      [this] { return RunAddPartitions(context_.global, topic_name_, partition_count_); });
  AddTopicName(*add, topic_name_);
  add->add_option("COUNT", partition_count_, "How many partitions there shall be in all")
      ->required()
      ->check(IntegerCheck(1, INT32_MAX));
}

void TopicCommandLine::AddTopicRemovals(CLI::App* topic) {
  CLI::App* remove = AddCommand(*topic, context_, "delete", "Delete a topic and all its records",
                                "  naru topic delete orders\n"
                                "  naru topic delete orders --yes\n",
                                [this] { return RunDeleteTopic(context_.global, delete_); });
  AddTopicName(*remove, delete_.name);
  remove->add_flag("--yes,-y", delete_.yes, "Do not ask");
  CLI::App* records =
      AddCommand(*topic, context_, "delete-records", "Delete the records of a partition before an offset",
                 "  naru topic delete-records orders --partition 0 --before 1000\n"
                 "  naru topic delete-records orders --partition 0 --before -1\n",
                 [this] { return RunDeleteRecords(context_.global, delete_records_); });
  AddTopicName(*records, delete_records_.topic);
  records->add_option("--partition", delete_records_.partition, "Which partition")
      ->type_name("N")
      ->required()
      ->check(IntegerCheck(0, INT32_MAX));
  records
      ->add_option("--before", delete_records_.before_offset,
                   "The first offset to keep; -1: delete all there are")
      ->type_name("OFFSET")
      ->required()
      ->check(IntegerCheck(-1, INT64_MAX));
}

}  // namespace naru::cli
