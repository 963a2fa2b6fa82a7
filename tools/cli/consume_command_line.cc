#include "tools/cli/consume_command_line.h"

#include <cstdint>

#include "absl/strings/str_join.h"
#include "storage/base/status.h"
#include "tools/cli/commands.h"
#include "tools/cli/failure.h"
#include "tools/cli/quantity.h"

namespace naru::cli {

void ConsumeCommandLine::AddTo(CLI::App& app) {
  CLI::App* consume = AddCommand(
      app, context_, "consume", "Read records, from anywhere or as a member of a group",
      "  naru consume orders\n"
      "  naru consume orders --from latest --follow\n"
      "  naru consume orders --from -1h --until 2024-01-01T12:00:00Z\n"
      "  naru consume orders --follow --partition 0 --until 5000\n"
      "  naru consume orders --partition 3 --from 1000 --max 10 --format json\n"
      "  naru consume orders --format '{timestamp} {partition}:{offset} {key}\\t{value}'\n"
      "  naru consume orders payments --group billing\n"
      "  naru consume orders --group billing --until-idle 5s\n"
      "\n"
      "Template fields: {topic} {partition} {offset} {key} {value} {timestamp} {timestamp_ms} "
      "{headers}; escapes:\n"
      "\\n \\t \\r \\0 \\\\, and \\c at the end for no newline; {{ and }} are braces. Ctrl-C ends and "
      "says where to go on.\n"
      "\n"
      "With --group the members of the group share the partitions, and reading goes on where the group has\n"
      "committed, until Ctrl-C, --max or --until-idle. What was printed is committed, also at the end: a "
      "record\n"
      "is printed again only when this ends without leaving the group.\n",
      [this] { return member_.group.empty() ? CheckAndConsume() : CheckAndJoin(); });
  consume->add_option("TOPIC", topics_, "The topic's name; with --group several");
  CLI::Option* group = consume->add_option("--group", member_.group, "Read as a member of this group")
                           ->type_name("GROUP")
                           ->check(Check("a name is", [](const std::string& text) { return !text.empty(); }));
  AddOutput(consume);
  AddPositions(consume, group);
  AddMembership(consume, group);
}

void ConsumeCommandLine::AddOutput(CLI::App* consume) {
  consume->add_option("--max", max_records_, "End after so many records")
      ->type_name("N")
      ->check(IntegerCheck(1, INT64_MAX))
      ->each([this](const std::string& text) {
        positions_.max_records = member_.max_records = *ParseInteger(text, 1, INT64_MAX);
      });
  consume->add_option("--format", format_, "A template, or json")
      ->each([this](const std::string& text) { positions_.format = member_.format = text; })
      ->default_str("{value}");
  consume->add_option("--null", null_text_, "What a template shows for an absent key or value")
      ->each([this](const std::string& text) { positions_.null_text = member_.null_text = text; });
}

void ConsumeCommandLine::AddPositions(CLI::App* consume, CLI::Option* group) {
  consume
      ->add_option(
          "--from", from_,
          "earliest, latest, an offset, or a time: 2024-01-01T12:00:00Z, 2024-01-01 (UTC), -1h, @EPOCH_MS")
      ->type_name("WHERE")
      ->check(OffsetSpecCheck())
      ->each([this](const std::string& text) { positions_.from = ToOffsetSpec(text); })
      ->default_str("earliest")
      ->excludes(group);
  consume
      ->add_option(
          "--until", until_,
          "An offset or a time that is not read any more, or end: what is there at the start. A time "
          "is looked up once, at the start, also with --follow: where nothing that late is there yet, "
          "it means end")
      ->type_name("WHERE")
      ->check(OffsetSpecCheck())
      ->each([this](const std::string& text) { positions_.until = ToOffsetSpec(text); })
      ->default_str("end, unless --follow")
      ->excludes(group);
  consume->add_flag("--follow,-f", positions_.follow,
                    "Go on reading what is appended, as --group always does; without --partition and --until "
                    "also in partitions that are added, from their beginning");
  consume->add_option("--partition", positions_.partitions, "Only this partition; may be repeated")
      ->type_name("N")
      ->check(IntegerCheck(0, INT32_MAX))
      ->allow_extra_args(false)
      ->excludes(group);
  consume
      ->add_option(
          "--decode", decode_,
          "Show records as what their bytes stand for: groups (rows of __consumer_offsets), none, or "
          "auto: by the topic")
      ->check(CLI::IsMember({"auto", "groups", "none"}))
      ->each([this](const std::string& text) {
        positions_.decode = text == "groups" ? Decode::kGroups
                            : text == "none" ? Decode::kNone
                                             : Decode::kByTopic;
      })
      ->default_str("auto")
      ->excludes(group);
}

void ConsumeCommandLine::AddMembership(CLI::App* consume, CLI::Option* group) {
  consume
      ->add_option(
          "--commit", commit_,
          "When a record is committed: ack (once it is printed: at least once) or delivery (before it "
          "is printed: at most once)")
      ->check(CLI::IsMember({"ack", "delivery"}))
      ->each([this](const std::string& text) {
        member_.commit = text == "delivery" ? GroupConsumeArguments::Commit::kBeforePrinting
                                            : GroupConsumeArguments::Commit::kPrinted;
      })
      ->default_str("ack")
      ->needs(group);
  consume
      ->add_option("--start", start_,
                   "Where to begin in partitions that the group has not committed: earliest, latest or fail")
      ->check(CLI::IsMember({"earliest", "latest", "fail"}))
      ->each([this](const std::string& text) {
        member_.start = text == "latest" ? naru::v1::START_POLICY_LATEST
                        : text == "fail" ? naru::v1::START_POLICY_FAIL
                                         : naru::v1::START_POLICY_EARLIEST;
      })
      ->default_str("earliest")
      ->needs(group);
  consume
      ->add_option("--pattern", member_.topic_pattern,
                   "Topics by a regular expression that matches whole names, those made later too")
      ->type_name("REGEX")
      ->needs(group);
  consume
      ->add_option("--instance-id", member_.instance_id,
                   "Static membership: the name under which this finds its place again after a restart")
      ->type_name("ID")
      ->needs(group);
  consume
      ->add_option("--session-timeout", session_timeout_,
                   "How long its partitions wait for it when its connection breaks; default 10s")
      ->type_name("DURATION")
      ->check(PositiveDurationCheck())
      ->each([this](const std::string& text) { member_.session_timeout = *ParseDuration(text); })
      ->needs(group);
  consume->add_option("--until-idle", until_idle_, "End when no record came for so long, such as 5s")
      ->type_name("DURATION")
      ->check(PositiveDurationCheck())
      ->each([this](const std::string& text) { member_.until_idle = *ParseDuration(text); })
      ->needs(group);
  consume
      ->add_flag("--verbose,-v", member_.verbose,
                 "Tell on standard error of the membership, and of partitions that come and go")
      ->needs(group);
}

int ConsumeCommandLine::CheckAndConsume() {
  if (topics_.size() != 1) {
    return Fail(InvalidField("TOPIC", topics_.empty() ? "(none)" : absl::StrJoin(topics_, " "),
                             "one is needed; several need --group"));
  }
  positions_.topic = topics_.front();
  if (positions_.until && positions_.until->kind == OffsetSpec::Kind::kEarliest) {
    return Fail(InvalidField("until", until_, "an offset, a time or end is allowed"));
  }
  return RunConsume(context_.global, positions_);
}

int ConsumeCommandLine::CheckAndJoin() {
  if (topics_.empty() && member_.topic_pattern.empty()) {
    return Fail(InvalidField("TOPIC", "(none)", "at least one, or --pattern, is needed"));
  }
  member_.topics = topics_;
  return RunGroupConsume(context_.global, member_);
}

}  // namespace naru::cli
