#include "services/server/option_sources.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "services/server/call_limit.h"
#include "services/server/command_line.h"
#include "services/server/memory_plan.h"
#include "services/server/option_table.h"

namespace naru::services {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class OptionSources : public ::testing::Test {
 protected:
  OptionSources() {
    std::string name = (std::filesystem::temp_directory_path() / "naru-options-XXXXXX").string();
    directory_ = mkdtemp(name.data());
  }
  ~OptionSources() override { std::filesystem::remove_all(directory_); }

  std::string WriteFile(const std::string& contents) {
    const std::string path = directory_ / "narud.yaml";
    std::ofstream(path) << contents;
    return path;
  }
  absl::StatusOr<CommandLine> Parse(const std::vector<std::string>& arguments) {
    return ParseCommandLine(arguments, [this](const std::string& name) -> std::optional<std::string> {
      const auto found = environment_.find(name);
      return found == environment_.end() ? std::nullopt : std::optional<std::string>(found->second);
    });
  }
  std::string Error(const std::vector<std::string>& arguments) {
    const absl::StatusOr<CommandLine> command = Parse(arguments);
    return command.ok() ? "no error" : std::string(command.status().message());
  }

  std::filesystem::path directory_;
  std::map<std::string, std::string> environment_;
};

TEST_F(OptionSources, WithoutAnySourceEveryOptionHasItsDefault) {
  const auto command = Parse({});
  ASSERT_TRUE(command.ok()) << command.status();
  EXPECT_EQ(command->action, CommandLine::Action::kServe);
  const ServerOptions& options = command->resolved.options;
  EXPECT_EQ(options.listen, "127.0.0.1:9410");
  EXPECT_EQ(options.http, "127.0.0.1:9411");
  EXPECT_EQ(options.data_dir, "./naru-data");
  EXPECT_TRUE(command->resolved.origins.empty());
}

// Which of the sources that give a value wins.
TEST_F(OptionSources, FlagsWinOverTheFileAndTheFileWinsOverTheEnvironment) {
  struct Case {
    bool flag, file, environment;
    const char* expected;
  };
  constexpr Case kCases[] = {
      {false, false, false, "127.0.0.1:9410"},
      {false, false, true, "e:3"},
      {false, true, false, "y:2"},
      {false, true, true, "y:2"},
      {true, false, false, "f:1"},
      {true, false, true, "f:1"},
      {true, true, false, "f:1"},
      {true, true, true, "f:1"},
  };
  for (const Case& c : kCases) {
    environment_.clear();
    std::vector<std::string> arguments;
    if (c.flag) arguments = {"--listen", "f:1"};
    if (c.file) arguments.insert(arguments.end(), {"--config", WriteFile("listen: y:2\n")});
    if (c.environment) environment_["NARU_LISTEN"] = "e:3";
    const auto command = Parse(arguments);
    ASSERT_TRUE(command.ok()) << command.status();
    EXPECT_EQ(command->resolved.options.listen, c.expected) << c.flag << c.file << c.environment;
  }
}

TEST_F(OptionSources, EveryOptionCanBeGivenByEachSource) {
  for (const OptionSpec& spec : OptionTable()) {
    if (!spec.in_file) continue;
    ServerOptions defaults;
    const std::string value = spec.Get(defaults).empty() ? "localhost:1" : spec.Get(defaults);
    // A broker of a cluster is a coordinator too, unless told otherwise, and that needs a place for metadata.
    std::map<std::string, std::string> others;
    if (spec.name == "coordinators") others = {{"NARU_METADATA", "etcd://localhost:1"}};
    environment_ = others;
    environment_[spec.Environment()] = value;
    auto by_environment = Parse({});
    ASSERT_TRUE(by_environment.ok()) << by_environment.status();
    EXPECT_EQ(by_environment->resolved.origins.at(std::string(spec.name)), spec.Environment());
    environment_ = others;
    auto by_flag = Parse({spec.Flag(), value});
    ASSERT_TRUE(by_flag.ok()) << by_flag.status();
    EXPECT_EQ(by_flag->resolved.origins.at(std::string(spec.name)), spec.Flag());
    const std::string path = WriteFile("# a comment\n" + spec.FileKey() + ": \"" + value + "\"\n");
    auto by_file = Parse({"--config", path});
    ASSERT_TRUE(by_file.ok()) << by_file.status();
    EXPECT_EQ(by_file->resolved.origins.at(std::string(spec.name)), path + ":2");
  }
}

TEST_F(OptionSources, TheFileMayBeNamedByTheEnvironment) {
  environment_["NARU_CONFIG"] = WriteFile("memory_limit: 256MiB");
  const auto command = Parse({});
  ASSERT_TRUE(command.ok()) << command.status();
  EXPECT_EQ(command->resolved.options.memory_limit_bytes, int64_t{256} << 20);
}

TEST_F(OptionSources, ARefusedValueIsNamedWithItsOptionOriginAndWhatIsAllowed) {
  EXPECT_THAT(Error({"--memory-limit", "lots"}),
              AllOf(HasSubstr("memory-limit"), HasSubstr("\"lots\""), HasSubstr("--memory-limit"),
                    HasSubstr("a size from 128MiB")));
  EXPECT_THAT(Error({"--config", WriteFile("listen: a:1\ndrain_timeout: 5\n")}),
              AllOf(HasSubstr("drain-timeout"), HasSubstr("narud.yaml:2"), HasSubstr("\"5\""),
                    HasSubstr("a duration from")));
  environment_["NARU_LOG_FORMAT"] = "xml";
  EXPECT_THAT(Error({}), AllOf(HasSubstr("NARU_LOG_FORMAT"), HasSubstr("text, logfmt, json")));
}

TEST_F(OptionSources, ClientsCannotBeToldToUsePortZero) {
  EXPECT_THAT(
      Error({"--advertise", "hub.example:0"}),
      AllOf(HasSubstr("advertise"), HasSubstr("\"hub.example:0\""), HasSubstr("a port from 1 to 65535")));
  EXPECT_TRUE(Parse({"--advertise", "hub.example:1"}).ok());
  EXPECT_TRUE(Parse({"--advertise", ""}).ok());
  EXPECT_TRUE(Parse({"--listen", "localhost:0"}).ok());
}

TEST_F(OptionSources, ABadValueIsRefusedAlsoWhereABetterSourceWins) {
  environment_["NARU_LISTEN"] = "nonsense";
  EXPECT_THAT(Error({"--listen", "localhost:1"}), HasSubstr("NARU_LISTEN"));
}

TEST_F(OptionSources, UnknownAndRepeatedKeysOfTheFileAreRefusedWithTheirLine) {
  EXPECT_THAT(
      Error({"--config", WriteFile("listen: a:1\nlisten_on: b:2\n")}),
      AllOf(HasSubstr("narud.yaml:2"), HasSubstr("listen_on is not an option"), HasSubstr("data_dir")));
  EXPECT_THAT(Error({"--config", WriteFile("listen: a:1\n\nlisten: b:2\n")}),
              AllOf(HasSubstr("narud.yaml:3"), HasSubstr("twice"), HasSubstr("narud.yaml:1")));
}

TEST_F(OptionSources, AFileThatIsNotAFlatMapIsRefused) {
  EXPECT_THAT(Error({"--config", WriteFile("- listen\n")}), HasSubstr("key: value"));
  EXPECT_THAT(Error({"--config", WriteFile("listen: [a, b]\n")}), HasSubstr("not a single value"));
  EXPECT_THAT(Error({"--config", WriteFile("listen:\n")}), HasSubstr("has no value"));
  EXPECT_THAT(Error({"--config", WriteFile("listen: \"a\n")}), HasSubstr("narud.yaml:"));
  EXPECT_THAT(Error({"--config", WriteFile("config: other.yaml\n")}), HasSubstr("not an option"));
}

TEST_F(OptionSources, AMissingFileIsRefusedAndAnEmptyOneIsFine) {
  EXPECT_THAT(Error({"--config", "/nowhere/narud.yaml"}), HasSubstr("/nowhere/narud.yaml"));
  EXPECT_TRUE(Parse({"--config", WriteFile("")}).ok());
}

TEST_F(OptionSources, UnknownFlagsAndStrayArgumentsAreRefused) {
  EXPECT_THAT(Error({"--no-such-flag"}), HasSubstr("--no-such-flag"));
  EXPECT_THAT(Error({"stray"}), HasSubstr("stray"));
  EXPECT_THAT(Error({"salvage", "--from", "a"}), HasSubstr("--to"));
}

TEST_F(OptionSources, OfAFlagGivenTwiceTheLastWins) {
  const auto command = Parse({"--listen", "a:1", "--listen", "b:2"});
  ASSERT_TRUE(command.ok()) << command.status();
  EXPECT_EQ(command->resolved.options.listen, "b:2");
}

TEST_F(OptionSources, LimitsThatDoNotFitTogetherAreRefused) {
  EXPECT_THAT(Error({"--segment-bytes", "1MiB"}),
              AllOf(HasSubstr("--segment-bytes"), HasSubstr("--max-batch-bytes")));
  EXPECT_THAT(Error({"--memory-limit", "256MiB", "--tail-cache", "1GiB"}), HasSubstr("--memory-limit"));
  EXPECT_THAT(Error({"--memory-limit", "128MiB", "--max-batch-bytes", "64MiB"}), HasSubstr("--memory-limit"));
  EXPECT_THAT(Error({"--produce-memory", "4MiB", "--max-batch-bytes", "3MiB"}),
              HasSubstr("--produce-memory"));
}

TEST_F(OptionSources, AStoreQueueSmallerThanProduceMemoryIsRefusedWithBothNames) {
  EXPECT_THAT(Error({"--store-queue", "8MiB", "--produce-memory", "128MiB"}),
              AllOf(HasSubstr("--store-queue: 8MiB"), HasSubstr("--produce-memory 128MiB"),
                    HasSubstr("128MiB and more"), HasSubstr("at most 8MiB")));
  EXPECT_TRUE(Parse({"--store-queue", "128MiB", "--produce-memory", "128MiB"}).ok());
}

TEST_F(OptionSources, PrintConfigIsAFileWithTheSameEffect) {
  environment_["NARU_LOG_LEVEL"] = "warning";
  const auto printed = Parse({"--listen", "[::1]:0", "--tail-cache", "0", "--print-config"});
  ASSERT_TRUE(printed.ok()) << printed.status();
  EXPECT_EQ(printed->action, CommandLine::Action::kPrint);
  EXPECT_THAT(printed->text, AllOf(HasSubstr("# from --listen"), HasSubstr("# from NARU_LOG_LEVEL"),
                                   HasSubstr("# default")));
  environment_.clear();
  const auto again = Parse({"--config", WriteFile(printed->text)});
  ASSERT_TRUE(again.ok()) << again.status() << printed->text;
  for (const OptionSpec& spec : OptionTable()) {
    if (!spec.in_file) continue;
    EXPECT_EQ(spec.Get(again->resolved.options), spec.Get(printed->resolved.options)) << spec.name;
  }
}

TEST_F(OptionSources, HelpNamesEveryOption) {
  const auto help = Parse({"--help"});
  ASSERT_TRUE(help.ok()) << help.status();
  EXPECT_EQ(help->action, CommandLine::Action::kPrint);
  // Without the line ends that keep it in its columns.
  const std::string words =
      absl::StrJoin(absl::StrSplit(help->text, absl::ByAnyChar(" \n"), absl::SkipEmpty()), " ");
  std::set<std::string_view> names;
  for (const OptionSpec& spec : OptionTable()) {
    EXPECT_THAT(help->text, HasSubstr(spec.Flag()));
    if (!std::holds_alternative<TextOption>(spec.type)) {
      EXPECT_THAT(words, HasSubstr(absl::StrCat("Allowed: ", spec.Allowed(), ".")));
    }
    EXPECT_TRUE(names.insert(spec.name).second) << spec.name << " stands twice in the table";
  }
  const auto salvage = Parse({"salvage", "--help"});
  ASSERT_TRUE(salvage.ok());
  EXPECT_THAT(salvage->text, AllOf(HasSubstr("--from"), HasSubstr("3, saved, but something was lost")));
  EXPECT_THAT(salvage->text, Not(HasSubstr("SIGTERM"))) << "that is the server's footer";
  EXPECT_THAT(Parse({"--version"})->text, HasSubstr("narud "));
}

TEST_F(OptionSources, SalvageTakesTwoDirectories) {
  const auto command = Parse({"salvage", "--from", "a", "--to", "b"});
  ASSERT_TRUE(command.ok()) << command.status();
  EXPECT_EQ(command->action, CommandLine::Action::kSalvage);
  EXPECT_EQ(command->salvage_from, "a");
  EXPECT_EQ(command->salvage_to, "b");
}

int64_t SumOf(const MemoryPlan& plan) {
  return plan.process_bytes + plan.tail_cache_bytes + plan.store_queue_bytes + plan.index_bytes +
         plan.compaction_bytes + plan.groups_bytes + plan.produce_bytes + plan.consume_bytes +
         plan.calls_bytes + plan.transport_bytes;
}

TEST(MemoryPlan, SharesStayBelowTheLimitAtEverySize) {
  for (const int64_t mib : {128, 129, 200, 256, 512, 1024, 10'000, 1'000'000}) {
    ServerOptions options;
    options.memory_limit_bytes = mib << 20;
    const auto plan = PlanMemory(options);
    ASSERT_TRUE(plan.ok()) << mib << ": " << plan.status();
    EXPECT_LE(SumOf(*plan), options.memory_limit_bytes);
    EXPECT_GT(SumOf(*plan), options.memory_limit_bytes * 99 / 100);
    EXPECT_LT(plan->GrpcQuotaBytes(), options.memory_limit_bytes);
  }
}

TEST(MemoryPlan, OfStoreQueueAndProduceMemoryTheOneThatIsNotGivenFollows) {
  ServerOptions options;
  options.memory_limit_bytes = int64_t{1} << 30;
  options.store.queue_bytes_max = 16 << 20;
  const auto small_queue = PlanMemory(options);
  ASSERT_TRUE(small_queue.ok()) << small_queue.status();
  EXPECT_EQ(small_queue->produce_bytes, 16 << 20);
  EXPECT_LT(options.ProduceConfiguration().memory_bytes, 16 << 20);
  options.store.queue_bytes_max = kAuto;
  options.produce_memory_bytes = 300 << 20;
  const auto large_memory = PlanMemory(options);
  ASSERT_TRUE(large_memory.ok()) << large_memory.status();
  EXPECT_EQ(large_memory->store_queue_bytes, 300 << 20);
  EXPECT_LE(SumOf(*large_memory), options.memory_limit_bytes);
}

TEST(MemoryPlan, OpenCallsHaveAShareThatHoldsAsManyAsMayBe) {
  ServerOptions options;
  for (const int64_t mib : {128, 256, 1024, 100'000}) {
    options.memory_limit_bytes = mib << 20;
    const auto plan = PlanMemory(options);
    ASSERT_TRUE(plan.ok()) << plan.status();
    EXPECT_GE(plan->calls_max, mib);
    EXPECT_LE(CallLimit::BytesOf(plan->calls_max), plan->calls_bytes);
  }
  options.memory_limit_bytes = int64_t{256} << 20;
  options.max_streams = 10'000;
  EXPECT_THAT(PlanMemory(options).status().message(), HasSubstr("--memory-limit: 256MiB"));
  options.memory_limit_bytes = int64_t{512} << 20;
  const auto plan = PlanMemory(options);
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->calls_max, 10'000);
  EXPECT_LE(SumOf(*plan), options.memory_limit_bytes);
}

TEST(MemoryPlan, AShareThatIsGivenStandsAndTheOthersTakeTheRest) {
  ServerOptions options;
  options.memory_limit_bytes = int64_t{1} << 30;
  const auto automatic = PlanMemory(options);
  options.store.tail_cache_bytes = 0;
  const auto without_cache = PlanMemory(options);
  ASSERT_TRUE(automatic.ok() && without_cache.ok());
  EXPECT_EQ(without_cache->tail_cache_bytes, 0);
  EXPECT_GT(without_cache->produce_bytes, automatic->produce_bytes);
  EXPECT_LE(SumOf(*without_cache), options.memory_limit_bytes);
}

}  // namespace
}  // namespace naru::services
