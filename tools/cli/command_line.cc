#include "tools/cli/command_line.h"

#include <CLI/CLI.hpp>
#include <functional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "storage/base/status.h"
#include "storage/batch/compression.h"
#include "tools/cli/commands.h"
#include "tools/cli/completion.h"
#include "tools/cli/completion_tree.h"
#include "tools/cli/connect.h"
#include "tools/cli/failure.h"
#include "tools/cli/quantity.h"
#include "tools/cli/topic_settings.h"

#ifndef NARU_VERSION
#define NARU_VERSION "unknown"
#endif

namespace naru::cli {
namespace {

constexpr const char* kMainFooter =
    "Examples:\n"
    "  naru topic create orders --partitions 6\n"
    "  echo hello | naru produce orders\n"
    "  naru consume orders --format '{partition}:{offset} {key} {value}'\n"
    "  naru --server hub-1:9410,hub-2:9410 cluster describe\n"
    "\n"
    "Exit codes: 0 done; 1 failed; 2 the command line or its input is wrong; 3 topic or partition not "
    "found;\n"
    "  4 no server, timed out, or refused for the time being; 130 interrupted before everything was sent.\n"
    "`naru COMMAND --help` says more about each.";

// The form of an option's value; the text of a ValidationError names the option by itself.
CLI::Validator Check(const std::string& allowed, std::function<bool(const std::string&)> is_allowed) {
  return CLI::Validator(
      [allowed, is_allowed](std::string& text) {
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

// Builds the commands, and keeps what the options are parsed into.
class CommandLine {
 public:
  CommandLine() : app_("naru: topics, records and the cluster, from the shell.", "naru") {
    app_.set_version_flag("--version", std::string("naru ") + NARU_VERSION, "Print the version");
    app_.require_subcommand(1);
    app_.fallthrough();
    app_.footer(kMainFooter);
    app_.get_formatter()->column_width(34);
    AddGlobalOptions();
    AddTopicCommands();
    AddProduce();
    AddConsume();
    AddOffsets();
    AddCluster();
    AddCompletion();
  }

  int Run(int argc, char** argv) {
    try {
      app_.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
      if (error.get_exit_code() == 0) return app_.exit(error);  // help or version
      std::string message = error.what();
      for (char& c : message) {
        if (c == '\n') c = ' ';
      }
      std::fprintf(stderr, "naru: %s; `%s --help` says more\n", message.c_str(), CommandPath().c_str());
      return kExitUsage;
    }
    return run_ ? run_() : kExitUsage;
  }

 private:
  static constexpr int64_t kInt32Max = INT32_MAX;

  // The command that was named, as far as it was understood.
  std::string CommandPath() const {
    std::string path = "naru";
    const CLI::App* at = &app_;
    while (!at->get_subcommands().empty()) {
      at = at->get_subcommands().front();
      absl::StrAppend(&path, " ", at->get_name());
    }
    return path;
  }

  CLI::App* Add(CLI::App* parent, const std::string& name, const std::string& description,
                const std::string& examples, std::function<int()> run) {
    CLI::App* command = parent->add_subcommand(name, description);
    if (!examples.empty()) command->footer(absl::StrCat("Examples:\n", examples));
    if (run) command->callback([this, run = std::move(run)] { run_ = run; });
    return command;
  }
  CLI::Option* AddTopic(CLI::App* command, std::string& topic) {
    return command->add_option("TOPIC", topic, "The topic's name")->required();
  }

  void AddGlobalOptions() {
    app_.add_option("--server", global_.servers, "Servers, as host:port; several with commas")
        ->envname("NARU_SERVER")
        ->delimiter(',')
        ->allow_extra_args(false)
        ->type_name("HOST:PORT")
        ->default_str("127.0.0.1:9410");
    global_.servers = {"127.0.0.1:9410"};
    app_.add_option("--output", output_, "How results are printed: table or json")
        ->check(CLI::IsMember({"table", "json"}))
        ->each([this](const std::string& text) {
          global_.output = text == "json" ? OutputFormat::kJson : OutputFormat::kTable;
        })
        ->default_str("table");
    app_.add_option("--timeout", timeout_, "How long a call may take, such as 500ms or 10s")
        ->type_name("DURATION")
        ->check(PositiveDurationCheck())
        ->each([this](const std::string& text) { global_.timeout = *ParseDuration(text); })
        ->default_str("10s");
  }

  void AddTopicCommands() {
    CLI::App* topic = Add(&app_, "topic", "Create, list, describe, alter and delete topics",
                          "  naru topic create orders --partitions 6 --config retention_ms=7d\n"
                          "  naru topic list\n"
                          "  naru topic describe orders\n",
                          nullptr);
    topic->require_subcommand(1);
    AddTopicCreate(topic);
    CLI::App* list = Add(topic, "list", "List topics by name",
                         "  naru topic list --prefix orders.\n"
                         "  naru topic list --output json\n",
                         [this] { return RunListTopics(global_, list_); });
    list->add_option("--prefix", list_.prefix, "Only names that begin with this");
    list->add_flag("--names", list_.names_only, "Only the names, one on a line");
    CLI::App* describe =
        Add(topic, "describe", "Show a topic, its configuration and its partitions",
            "  naru topic describe orders\n", [this] { return RunDescribeTopic(global_, topic_name_); });
    AddTopic(describe, topic_name_);
    AddTopicAlter(topic);
    AddTopicRemovals(topic);
  }

  void AddTopicCreate(CLI::App* topic) {
    CLI::App* create = Add(topic, "create", "Create a topic",
                           "  naru topic create orders --partitions 6\n"
                           "  naru topic create audit --config retention_ms=-1 --config durability=fsync\n"
                           "  naru topic create cache --config retention_bytes=1GiB,cleanup_policy=delete\n",
                           [this] { return RunCreateTopic(global_, create_); });
    AddTopic(create, create_.name);
    create->add_option("--partitions", create_.partitions, "How many partitions")
        ->type_name("N")
        ->check(IntegerCheck(1, kInt32Max))
        ->capture_default_str();
    create->add_option("--replication-factor", create_.replication_factor, "Copies of each partition")
        ->type_name("N")
        ->check(IntegerCheck(1, kInt32Max))
        ->capture_default_str();
    AddConfig(create, create_.config);
    create->add_flag("--validate-only", create_.validate_only, "Check everything, create nothing");
  }

  // --config key=value, repeated, with commas, or with more of them behind the topic.
  static void AddConfig(CLI::App* command, std::vector<std::string>& config) {
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
    command->add_option_function<std::vector<std::string>>("KEY=VALUE", [](const auto&) {})
        ->check(check)
        ->each(add)
        ->group("");
  }

  void AddTopicAlter(CLI::App* topic) {
    CLI::App* alter = Add(topic, "alter", "Change a topic's configuration",
                          "  naru topic alter orders --config retention_ms=30d\n"
                          "  naru topic alter orders --config retention_bytes=10GiB --reset retention_ms\n",
                          [this] { return RunAlterTopic(global_, alter_); });
    AddTopic(alter, alter_.name);
    AddConfig(alter, alter_.config);
    alter->add_option("--reset", alter_.reset, "A key that goes back to its default; may be repeated")
        ->type_name("KEY")
        ->delimiter(',')
        ->allow_extra_args(false)
        ->check(CLI::Validator([](std::string& text) { return std::string(CheckSettingKey(text).message()); },
                               ""));
    CLI::App* add =
        Add(topic, "add-partitions", "Give a topic more partitions; they cannot be taken away again",
            "  naru topic add-partitions orders 12\n",
            [this] { return RunAddPartitions(global_, topic_name_, partition_count_); });
    AddTopic(add, topic_name_);
    add->add_option("COUNT", partition_count_, "How many partitions there shall be in all")
        ->required()
        ->check(IntegerCheck(1, kInt32Max));
  }

  void AddTopicRemovals(CLI::App* topic) {
    CLI::App* remove = Add(topic, "delete", "Delete a topic and all its records",
                           "  naru topic delete orders\n"
                           "  naru topic delete orders --yes\n",
                           [this] { return RunDeleteTopic(global_, delete_); });
    AddTopic(remove, delete_.name);
    remove->add_flag("--yes,-y", delete_.yes, "Do not ask");
    CLI::App* records = Add(topic, "delete-records", "Delete the records of a partition before an offset",
                            "  naru topic delete-records orders --partition 0 --before 1000\n"
                            "  naru topic delete-records orders --partition 0 --before -1\n",
                            [this] { return RunDeleteRecords(global_, delete_records_); });
    AddTopic(records, delete_records_.topic);
    records->add_option("--partition", delete_records_.partition, "Which partition")
        ->type_name("N")
        ->required()
        ->check(IntegerCheck(0, kInt32Max));
    records
        ->add_option("--before", delete_records_.before_offset,
                     "The first offset to keep; -1: delete all there are")
        ->type_name("OFFSET")
        ->required()
        ->check(IntegerCheck(-1, INT64_MAX));
  }

  void AddProduce() {
    CLI::App* produce = Add(
        &app_, "produce", "Write records from lines of text or JSON",
        "  echo hello | naru produce orders\n"
        "  naru produce logs --file /var/log/dpkg.log --key-field 4\n"
        "  printf 'k1:v1\\nk2:v2\\n' | naru produce orders --key-separator :\n"
        "  echo '{\"key\":\"k\",\"value\":\"v\",\"headers\":{\"h\":\"1\"}}' | naru produce orders --format "
        "json\n"
        "  naru consume old --format json | naru produce new --format json --compression zstd\n"
        "\n"
        "JSON fields: key, value, key_base64, value_base64, headers, timestamp_ms, partition; all optional.\n"
        "Records without key or partition go to the partitions in turn. A record whose connection broke "
        "before it\n"
        "was acknowledged is sent again, so it may stand twice.\n",
        [this] { return RunProduce(global_, produce_); });
    AddTopic(produce, produce_.topic);
    produce->add_option("--file", produce_.file, "Read this file instead of standard input")
        ->type_name("PATH");
    produce->add_option("--format", input_, "What the lines are: lines (text) or json")
        ->check(CLI::IsMember({"lines", "json"}))
        ->each([this](const std::string& text) {
          produce_.input = text == "json" ? RecordInput::kJson : RecordInput::kLines;
        })
        ->default_str("lines");
    CLI::Option* separator =
        produce->add_option("--key-separator", produce_.key_separator,
                            "What stands between key and value; lines without it have no key");
    produce
        ->add_option("--key-field", produce_.key_field, "The field, from 1, split at blanks, that is the key")
        ->type_name("N")
        ->check(IntegerCheck(1, 10'000))
        ->excludes(separator);
    produce->add_option("--header", header_texts_, "name=value, for every record")
        ->type_name("NAME=VALUE")
        ->check(Check("name=value is",
                      [](const std::string& text) { return text.find('=') != std::string::npos; }))
        ->each([this](const std::string& text) {
          const size_t equals = text.find('=');
          produce_.headers.emplace_back(text.substr(0, equals), text.substr(equals + 1));
        })
        ->allow_extra_args(false);
    produce->add_option("--partition", partition_, "Send everything to this partition")
        ->type_name("N")
        ->check(IntegerCheck(0, kInt32Max))
        ->each([this](const std::string& text) {
          produce_.partition = static_cast<int32_t>(*ParseInteger(text, 0, kInt32Max));
        });
    AddProduceTuning(produce);
  }

  void AddProduceTuning(CLI::App* produce) {
    produce->add_option("--acks", acks_, "When a record counts as written: none, leader or all")
        ->check(CLI::IsMember({"none", "leader", "all"}))
        ->each([this](const std::string& text) {
          produce_.acks = text == "none"     ? naru::v1::ACKS_NONE
                          : text == "leader" ? naru::v1::ACKS_LEADER
                                             : naru::v1::ACKS_ALL;
        })
        ->default_str("all");
    produce->add_option("--compression", compression_, "none, gzip, lz4, zstd or snappy")
        ->check(CLI::IsMember({"none", "gzip", "lz4", "zstd", "snappy"}))
        ->each([this](const std::string& text) {
          for (Codec codec : {Codec::kNone, Codec::kGzip, Codec::kLz4, Codec::kZstd, Codec::kSnappy}) {
            if (CodecName(codec) == text) produce_.compression = codec;
          }
        })
        ->default_str("none");
    produce->add_option("--batch-bytes", batch_bytes_, "Send a batch when it has this size")
        ->type_name("SIZE")
        ->check(Check("a size from 1 to 2000000, such as 64KiB, is",
                      [](const std::string& text) {
                        const auto bytes = ParseBytes(text);
                        return bytes && *bytes >= 1 && *bytes <= 2'000'000;
                      }))
        ->each([this](const std::string& text) { produce_.batch_bytes = *ParseBytes(text); })
        ->default_str("256KiB");
    produce->add_option("--linger", linger_, "Send a batch when its first record has waited this long")
        ->type_name("DURATION")
        ->check(DurationCheck())
        ->each([this](const std::string& text) { produce_.linger = *ParseDuration(text); })
        ->default_str("5ms");
    produce->add_flag("--quiet,-q", produce_.quiet, "No progress and no summary");
  }

  void AddConsume() {
    CLI::App* consume =
        Add(&app_, "consume", "Read records",
            "  naru consume orders\n"
            "  naru consume orders --from latest --follow\n"
            "  naru consume orders --from -1h --until 2024-01-01T12:00:00Z\n"
            "  naru consume orders --partition 3 --from 1000 --max 10 --format json\n"
            "  naru consume orders --format '{timestamp} {partition}:{offset} {key}\\t{value}'\n"
            "\n"
            "Template fields: {topic} {partition} {offset} {key} {value} {timestamp} {timestamp_ms} "
            "{headers}; escapes:\n"
            "\\n \\t \\r \\0 \\\\, and \\c at the end for no newline; {{ and }} are braces. Ctrl-C ends and "
            "says where to go on.\n",
            [this] { return CheckAndConsume(); });
    AddTopic(consume, consume_.topic);
    consume
        ->add_option(
            "--from", from_,
            "earliest, latest, an offset, or a time: 2024-01-01T12:00:00Z, 2024-01-01 (UTC), -1h, @EPOCH_MS")
        ->type_name("WHERE")
        ->check(OffsetSpecCheck())
        ->each([this](const std::string& text) { consume_.from = ToOffsetSpec(text); })
        ->default_str("earliest");
    consume
        ->add_option("--until", until_,
                     "An offset or a time that is not read any more, or end: what is there at the start")
        ->type_name("WHERE")
        ->check(OffsetSpecCheck())
        ->each([this](const std::string& text) { consume_.until = ToOffsetSpec(text); })
        ->default_str("end, unless --follow");
    consume->add_flag("--follow,-f", consume_.follow, "Go on reading what is appended");
    consume->add_option("--max", max_records_, "End after so many records")
        ->type_name("N")
        ->check(IntegerCheck(1, INT64_MAX))
        ->each([this](const std::string& text) { consume_.max_records = *ParseInteger(text, 1, INT64_MAX); });
    consume->add_option("--partition", consume_.partitions, "Only this partition; may be repeated")
        ->type_name("N")
        ->check(IntegerCheck(0, kInt32Max))
        ->allow_extra_args(false);
    consume_.format = "{value}";
    consume->add_option("--format", consume_.format, "A template, or json")->capture_default_str();
    consume->add_option("--null", consume_.null_text, "What a template shows for an absent key or value");
  }

  int CheckAndConsume() {
    if (consume_.follow && consume_.until && consume_.until->kind != OffsetSpec::Kind::kOffset) {
      return Fail(InvalidField("until", until_, "with --follow only an offset is allowed"));
    }
    if (consume_.until && consume_.until->kind == OffsetSpec::Kind::kEarliest) {
      return Fail(InvalidField("until", until_, "an offset, a time or end is allowed"));
    }
    return RunConsume(global_, consume_);
  }

  void AddOffsets() {
    CLI::App* offsets = Add(
        &app_, "offsets", "Find the offsets of a topic's partitions by position or time",
        "  naru offsets orders\n"
        "  naru offsets orders --at latest\n"
        "  naru offsets orders --at -1h --output json\n",
        [this] {
          if (offsets_.at.kind == OffsetSpec::Kind::kOffset) {
            return static_cast<int>(Fail(InvalidField("at", at_, "earliest, latest or a time is allowed")));
          }
          return RunOffsets(global_, offsets_);
        });
    AddTopic(offsets, offsets_.topic);
    offsets->add_option("--at", at_, "earliest, latest, or a time as with consume --from")
        ->type_name("WHERE")
        ->check(OffsetSpecCheck())
        ->each([this](const std::string& text) { offsets_.at = ToOffsetSpec(text); })
        ->default_str("latest");
    offsets_.at = {.kind = OffsetSpec::Kind::kLatest};
    offsets->add_option("--partition", offsets_.partitions, "Only this partition; may be repeated")
        ->type_name("N")
        ->check(IntegerCheck(0, kInt32Max))
        ->allow_extra_args(false);
  }

  void AddCluster() {
    CLI::App* cluster = Add(&app_, "cluster", "Describe the cluster", "  naru cluster describe\n", nullptr);
    cluster->require_subcommand(1);
    Add(cluster, "describe", "Show the cluster's brokers, their disks and how they are",
        "  naru cluster describe\n"
        "  naru cluster describe --output json\n",
        [this] { return RunDescribeCluster(global_); });
  }

  void AddCompletion() {
    CLI::App* completion =
        Add(&app_, "completion", "Print a script that makes a shell complete naru's command line",
            "  source <(naru completion bash)\n"
            "  source <(naru completion zsh)\n"
            "  naru completion fish | source\n",
            [this] { return Print(*CompletionScript(shell_, DescribeCommands(app_))); });
    completion->add_option("SHELL", shell_, "bash, zsh or fish")
        ->required()
        ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  }

  CLI::App app_;
  std::function<int()> run_;
  GlobalArguments global_;
  CreateTopicArguments create_;
  ListTopicsArguments list_;
  AlterTopicArguments alter_;
  DeleteTopicArguments delete_;
  DeleteRecordsArguments delete_records_;
  ProduceArguments produce_;
  ConsumeArguments consume_;
  OffsetsArguments offsets_;
  std::string topic_name_;
  int32_t partition_count_ = 0;
  // Texts of options that are kept in another form.
  std::string output_, timeout_, input_, partition_, acks_, compression_, batch_bytes_, linger_, from_,
      until_, max_records_, at_, shell_;
  std::vector<std::string> header_texts_;
};

}  // namespace

int RunCommandLine(int argc, char** argv) { return CommandLine().Run(argc, argv); }

}  // namespace naru::cli
