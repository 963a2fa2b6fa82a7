#include "tools/cli/record_command_line.h"

#include <cstdint>

#include "storage/base/status.h"
#include "storage/batch/compression.h"
#include "tools/cli/commands.h"
#include "tools/cli/failure.h"
#include "tools/cli/quantity.h"

namespace naru::cli {

void RecordCommandLine::AddTo(CLI::App& app) {
  AddProduce(app);
  AddOffsets(app);
}

void RecordCommandLine::AddProduce(CLI::App& app) {
  CLI::App* produce = AddCommand(
      app, context_, "produce", "Write records from lines of text or JSON",
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
      "was acknowledged is sent again, and still stands once (with --idempotent=false it may stand twice). "
      "Records\n"
      "that are refused are told of, and the others written; a line that is not what --format says ends the\n"
      "command. Values with line ends in them, or a \\r at their end, need json with value or "
      "value_base64.\n",
      [this] { return RunProduce(context_.global, produce_); });
  AddTopicName(*produce, produce_.topic);
  produce->add_option("--file", produce_.file, "Read this file instead of standard input")->type_name("PATH");
  produce
      ->add_option("--format", input_,
                   "What the lines are: lines (text, without the \\n or \\r\\n that ends it) or json")
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
      ->check(
          Check("name=value is", [](const std::string& text) { return text.find('=') != std::string::npos; }))
      ->each([this](const std::string& text) {
        const size_t equals = text.find('=');
        produce_.headers.emplace_back(text.substr(0, equals), text.substr(equals + 1));
      })
      ->allow_extra_args(false);
  produce->add_option("--partition", partition_, "Send everything to this partition")
      ->type_name("N")
      ->check(IntegerCheck(0, INT32_MAX))
      ->each([this](const std::string& text) {
        produce_.partition = static_cast<int32_t>(*ParseInteger(text, 0, INT32_MAX));
      });
  AddProduceTuning(produce);
}

void RecordCommandLine::AddProduceTuning(CLI::App* produce) {
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
  produce->add_flag(
      "--idempotent,!--not-idempotent", produce_.idempotent,
      "Records that are sent again stand once; on unless =false, and without effect with --acks none");
  produce->add_flag("--quiet,-q", produce_.quiet, "No progress and no summary");
}

void RecordCommandLine::AddOffsets(CLI::App& app) {
  CLI::App* offsets = AddCommand(
      app, context_, "offsets", "Find the offsets of a topic's partitions by position or time",
      "  naru offsets orders\n"
      "  naru offsets orders --at latest\n"
      "  naru offsets orders --at -1h --output json\n",
      [this] {
        if (offsets_.at.kind == OffsetSpec::Kind::kOffset) {
          return static_cast<int>(Fail(InvalidField("at", at_, "earliest, latest or a time is allowed")));
        }
        return RunOffsets(context_.global, offsets_);
      });
  AddTopicName(*offsets, offsets_.topic);
  offsets->add_option("--at", at_, "earliest, latest, or a time as with consume --from")
      ->type_name("WHERE")
      ->check(OffsetSpecCheck())
      ->each([this](const std::string& text) { offsets_.at = ToOffsetSpec(text); })
      ->default_str("latest");
  offsets_.at = {.kind = OffsetSpec::Kind::kLatest};
  offsets->add_option("--partition", offsets_.partitions, "Only this partition; may be repeated")
      ->type_name("N")
      ->check(IntegerCheck(0, INT32_MAX))
      ->allow_extra_args(false);
}

}  // namespace naru::cli
