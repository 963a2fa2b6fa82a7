#include "tools/cli/command_line.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <functional>
#include <string>

#include "absl/strings/str_cat.h"
#include "tools/cli/command_builder.h"
#include "tools/cli/commands.h"
#include "tools/cli/completion.h"
#include "tools/cli/completion_tree.h"
#include "tools/cli/connect.h"
#include "tools/cli/consume_command_line.h"
#include "tools/cli/failure.h"
#include "tools/cli/group_command_line.h"
#include "tools/cli/quantity.h"
#include "tools/cli/record_command_line.h"
#include "tools/cli/topic_command_line.h"

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
    "  naru consume orders --group billing\n"
    "  naru group describe billing\n"
    "  naru --server hub-1:9410,hub-2:9410 cluster describe\n"
    "\n"
    "Exit codes: 0 done; 1 failed; 2 the command line or its input is wrong; 3 topic, partition or "
    "group not found;\n"
    "  4 no server, timed out, or refused for the time being; 130 interrupted before everything was sent.\n"
    "`naru COMMAND --help` says more about each.";

// Builds the commands, and keeps what the options are parsed into.
class CommandLine {
 public:
  CommandLine() : app_("naru: topics, records, consumer groups and the cluster, from the shell.", "naru") {
    app_.set_version_flag("--version", std::string("naru ") + NARU_VERSION, "Print the version");
    app_.require_subcommand(1);
    app_.fallthrough();
    app_.footer(kMainFooter);
    app_.get_formatter()->column_width(34);
    AddGlobalOptions();
    topics_.AddTo(app_);
    records_.AddTo(app_);
    consume_.AddTo(app_);
    groups_.AddTo(app_);
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

  void AddCluster() {
    CLI::App* cluster = AddCommand(app_, context_, "cluster", "Describe the cluster, and say who leads",
                                   "  naru cluster describe\n"
                                   "  naru cluster elect orders --leader 2\n",
                                   nullptr);
    cluster->require_subcommand(1);
    AddCommand(*cluster, context_, "describe", "Show the cluster's brokers, their disks and how they are",
               "  naru cluster describe\n"
               "  naru cluster describe --output json\n",
               [this] { return RunDescribeCluster(global_); });
    AddElect(cluster);
  }

  void AddElect(CLI::App* cluster) {
    CLI::App* elect =
        AddCommand(*cluster, context_, "elect", "Have a topic's partitions led by other replicas",
                   "  naru cluster elect orders\n"
                   "  naru cluster elect orders --partitions 0,3 --leader 2\n"
                   "  naru cluster elect orders --partitions 3 --leader 2 --accept-loss\n"
                   "\n"
                   "Without --leader each partition's preferred replica, the first that describe shows, "
                   "leads, where it is in\n"
                   "sync. Leadership goes back to preferred replicas by itself after a while.\n",
                   [this] { return RunElectLeaders(global_, elect_); });
    elect
        ->add_option_function<std::string>(
            "TOPIC", [this](const std::string& topic) { elect_.set_topic(topic); }, "The topic's name")
        ->required();
    elect
        ->add_option_function<std::vector<int32_t>>(
            "--partitions",
            [this](const std::vector<int32_t>& partitions) {
              elect_.mutable_partitions()->Assign(partitions.begin(), partitions.end());
            },
            "Only these")
        ->type_name("N,N")
        ->delimiter(',')
        ->check(IntegerCheck(0, INT32_MAX));
    elect
        ->add_option_function<int32_t>(
            "--leader", [this](int32_t leader) { elect_.set_leader(leader); }, "The broker that is to lead")
        ->type_name("BROKER")
        ->check(IntegerCheck(1, INT32_MAX));
    elect->add_flag_callback(
        "--accept-loss", [this] { elect_.set_accept_loss(true); },
        "Of a partition without a leader: take that broker's copy for all there is; what only others have is "
        "lost");
  }

  void AddCompletion() {
    CLI::App* completion = AddCommand(
        app_, context_, "completion", "Print a script that makes a shell complete naru's command line",
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
  const CommandContext context_{global_, run_};
  TopicCommandLine topics_{context_};
  RecordCommandLine records_{context_};
  ConsumeCommandLine consume_{context_};
  GroupCommandLine groups_{context_};
  naru::v1::ElectLeadersRequest elect_;
  std::string output_, timeout_, shell_;
};

}  // namespace

int RunCommandLine(int argc, char** argv) { return CommandLine().Run(argc, argv); }

}  // namespace naru::cli
