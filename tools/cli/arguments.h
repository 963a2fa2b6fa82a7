// What was asked for on the command line, checked for form. One struct per command; command_line.h fills them
// in, the commands know nothing of how they were written.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "naru/v1/group.pb.h"
#include "naru/v1/types.pb.h"
#include "storage/batch/batch.h"
#include "tools/cli/offset_spec.h"

namespace naru::cli {

enum class OutputFormat { kTable, kJson };

struct GlobalArguments {
  std::vector<std::string> servers;
  OutputFormat output = OutputFormat::kTable;
  absl::Duration timeout = absl::Seconds(10);
};

struct CreateTopicArguments {
  std::string name;
  int32_t partitions = 1;
  int32_t replication_factor = 1;
  std::vector<std::string> config;  // key=value
  bool validate_only = false;
};

struct ListTopicsArguments {
  std::string prefix;
  bool names_only = false;
};

struct AlterTopicArguments {
  std::string name;
  std::vector<std::string> config;  // key=value
  std::vector<std::string> reset;   // keys
};

struct DeleteTopicArguments {
  std::string name;
  bool yes = false;
};

struct DeleteRecordsArguments {
  std::string topic;
  int32_t partition = 0;
  int64_t before_offset = 0;  // -1: all there is
};

enum class RecordInput { kLines, kJson };

struct ProduceArguments {
  std::string topic;
  std::string file;  // empty or "-": standard input
  RecordInput input = RecordInput::kLines;
  std::string key_separator;  // empty: none
  int key_field = 0;          // from 1; 0: none
  std::vector<std::pair<std::string, std::string>> headers;
  std::optional<int32_t> partition;
  naru::v1::Acks acks = naru::v1::ACKS_ALL;
  Codec compression = Codec::kNone;
  int64_t batch_bytes = 256 << 10;
  absl::Duration linger = absl::Milliseconds(5);
  bool idempotent = true;
  bool quiet = false;
};

// Whether records are shown as what their bytes stand for.
enum class Decode {
  kByTopic,  // those of internal topics
  kGroups,   // as rows of __consumer_offsets
  kNone,
};

struct ConsumeArguments {
  std::string topic;
  OffsetSpec from;
  std::optional<OffsetSpec> until;  // kLatest: the end as of the start
  bool follow = false;
  std::optional<int64_t> max_records;
  std::vector<int32_t> partitions;    // empty: all
  std::optional<std::string> format;  // a template, or "json"
  std::string null_text;
  Decode decode = Decode::kByTopic;
};

struct GroupConsumeArguments {
  std::string group;
  std::vector<std::string> topics;
  std::string topic_pattern;
  std::string instance_id;
  naru::v1::StartPolicy start = naru::v1::START_POLICY_EARLIEST;
  // When a record's position is committed.
  enum class Commit { kPrinted, kBeforePrinting } commit = Commit::kPrinted;
  std::optional<int64_t> max_records;
  std::optional<absl::Duration> until_idle;
  std::optional<absl::Duration> session_timeout;  // the broker's default
  std::optional<std::string> format;              // a template, or "json"
  std::string null_text;
  bool verbose = false;
};

struct DescribeGroupArguments {
  std::string group;
  bool follow = false;
};

struct DeleteGroupArguments {
  std::string group;
  bool yes = false;
};

struct OffsetsArguments {
  std::string topic;
  OffsetSpec at;
  std::vector<int32_t> partitions;  // empty: all
};

}  // namespace naru::cli
