#include <algorithm>
#include <cstdio>
#include <cstring>
#include <map>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "clients/cpp/admin.h"
#include "clients/cpp/consumer.h"
#include "clients/cpp/errors.h"
#include "clients/cpp/subscription.h"
#include "storage/base/status.h"
#include "tools/cli/commands.h"
#include "tools/cli/connect.h"
#include "tools/cli/failure.h"
#include "tools/cli/group_row_text.h"
#include "tools/cli/quantity.h"
#include "tools/cli/record_format.h"
#include "tools/cli/table.h"
#include "tools/cli/terminal.h"

namespace naru::cli {
namespace {

using naru::v1::ListOffsetsRequest;
using naru::v1::ListOffsetsResponse;
using naru::v1::PartitionOffset;

// Where one partition is read.
struct Range {
  int64_t from = 0;
  std::optional<int64_t> end;
};

// `topic_id` may be empty: whatever topic has the name.
absl::StatusOr<ListOffsetsResponse> Find(const std::shared_ptr<client::Client>& client,
                                         const std::string& topic, const std::string& topic_id,
                                         const std::vector<int32_t>& partitions, const OffsetSpec& spec) {
  ListOffsetsRequest request;
  request.set_topic(topic);
  request.set_topic_id(topic_id);
  for (int32_t partition : partitions) request.add_partitions(partition);
  switch (spec.kind) {
    case OffsetSpec::Kind::kLatest:
      request.set_position(naru::v1::POSITION_LATEST);
      break;
    case OffsetSpec::Kind::kTime:
      request.set_timestamp_ms(spec.timestamp_ms);
      break;
    default:
      request.set_position(naru::v1::POSITION_EARLIEST);
  }
  NARU_ASSIGN_OR_RETURN(ListOffsetsResponse response, client::Consumer(client).ListOffsets(request));
  for (const PartitionOffset& found : response.offsets()) {
    if (found.has_error()) return client::FromError(found.error());
  }
  return response;
}

// Where `spec` is in a partition. An offset outside of it is an error for partitions that were chosen by
// number; when a whole topic is read its partitions differ in length, and the nearest offset there is is
// taken.
absl::StatusOr<int64_t> Place(const OffsetSpec& spec, const PartitionOffset& found, bool chosen) {
  if (spec.kind != OffsetSpec::Kind::kOffset) return found.offset();
  const int64_t low = found.log_start_offset();
  const int64_t high = found.high_watermark();
  if (chosen && (spec.offset < low || spec.offset > high)) {
    return MakeError(Reason::kOffsetOutOfRange,
                     absl::StrCat("from: offset ", spec.offset, " of partition ", found.partition(),
                                  " is not there; ", low, " to ", high, " are"));
  }
  return std::clamp(spec.offset, low, high);
}

// What is to be read of each partition.
absl::StatusOr<std::map<int32_t, Range>> Ranges(const std::shared_ptr<client::Client>& client,
                                                const ConsumeArguments& arguments,
                                                const std::string& topic_id) {
  const bool chosen = !arguments.partitions.empty();
  // The end is asked for before the beginning: a record that is appended in between is in neither or both.
  std::map<int32_t, Range> ranges;
  if (!arguments.follow || arguments.until) {
    const OffsetSpec until = arguments.until.value_or(OffsetSpec{.kind = OffsetSpec::Kind::kLatest});
    NARU_ASSIGN_OR_RETURN(const auto ends,
                          Find(client, arguments.topic, topic_id, arguments.partitions, until));
    for (const PartitionOffset& found : ends.offsets()) {
      int64_t end = found.offset();
      if (until.kind == OffsetSpec::Kind::kOffset) {
        end = arguments.follow ? until.offset : std::min(until.offset, found.high_watermark());
      }
      ranges[found.partition()].end = end;
    }
  }
  NARU_ASSIGN_OR_RETURN(const auto starts,
                        Find(client, arguments.topic, topic_id, arguments.partitions, arguments.from));
  for (const PartitionOffset& found : starts.offsets()) {
    NARU_ASSIGN_OR_RETURN(ranges[found.partition()].from, Place(arguments.from, found, chosen));
  }
  return ranges;
}

// All partitions without an end: those that are added later too.
bool ReadsWholeTopic(const ConsumeArguments& arguments) {
  return arguments.follow && !arguments.until && arguments.partitions.empty();
}

naru::v1::SubscribeStart MakeStart(const ConsumeArguments& arguments, const std::string& topic_id,
                                   const std::map<int32_t, Range>& ranges) {
  naru::v1::SubscribeStart start;
  auto* topic = start.add_topics();
  topic->set_topic(arguments.topic);
  topic->set_topic_id(topic_id);
  if (ReadsWholeTopic(arguments) && arguments.from.kind != OffsetSpec::Kind::kOffset) {
    if (arguments.from.kind == OffsetSpec::Kind::kTime) {
      topic->set_timestamp_ms(arguments.from.timestamp_ms);
    } else {
      topic->set_position(arguments.from.kind == OffsetSpec::Kind::kLatest ? naru::v1::POSITION_LATEST
                                                                           : naru::v1::POSITION_EARLIEST);
    }
    return start;
  }
  for (const auto& [partition, range] : ranges) {
    auto* added = topic->add_partitions();
    added->set_partition(partition);
    added->set_offset(range.from);
    if (range.end) added->set_end_offset(*range.end);
  }
  return start;
}

// One run of `consume`.
class ConsumeRun {
 public:
  // `rows`: the records are shown as rows of consumer groups; null: as they are.
  ConsumeRun(const ConsumeArguments& arguments, const RecordFormat& format, const GroupRowText* rows,
             const std::map<int32_t, Range>& ranges)
      : format_(format), rows_(rows), left_(arguments.max_records.value_or(INT64_MAX)) {
    for (const auto& [partition, range] : ranges) next_[partition] = range.from;
  }

  // Prints until the end, the maximum, an interruption or a closed pipe.
  absl::Status Run(client::Subscription& subscription) {
    while (left_ > 0 && !Interrupted() && !output_.closed()) {
      NARU_ASSIGN_OR_RETURN(auto event, subscription.Next(absl::ZeroDuration()));
      if (!event) {
        // Nothing is there at the moment: show what was gathered, then wait, looking for Ctrl-C now and then.
        output_.Flush();
        output_.CheckReader();
        NARU_ASSIGN_OR_RETURN(event, subscription.Next(absl::Milliseconds(100)));
        if (!event) continue;
      }
      if (std::holds_alternative<client::SubscriptionEnded>(*event)) break;
      if (const auto* failed = std::get_if<client::PartitionFailed>(&*event)) {
        std::fprintf(stderr, "%s [partition %d, offset %lld]\n", FailureLine(failed->status).c_str(),
                     failed->position.partition, static_cast<long long>(failed->position.next_offset));
        if (first_failure_.ok()) first_failure_ = failed->status;
      } else if (const auto* delivery = std::get_if<client::PartitionRecords>(&*event)) {
        NARU_RETURN_IF_ERROR(Show(*delivery));
      }
      if (output_.error() != 0) {
        return absl::DataLossError(absl::StrCat("standard output: ", std::strerror(output_.error())));
      }
    }
    output_.Flush();
    return absl::OkStatus();
  }
  absl::Status first_failure() const { return first_failure_; }

  // "0:17 1:4": where to go on.
  std::string NextOffsets() const {
    return absl::StrJoin(next_, " ", [](std::string* out, const auto& entry) {
      absl::StrAppend(out, entry.first, ":", entry.second);
    });
  }

 private:
  absl::Status Show(const client::PartitionRecords& delivery) {
    const naru::v1::PartitionDelivery& head = delivery.head;
    int64_t& next = next_[head.partition()];
    for (const client::ReceivedRecord& received : delivery.records) {
      if (left_ == 0 || output_.closed()) return absl::OkStatus();
      NARU_ASSIGN_OR_RETURN(naru::v1::Record shown, received.ToMessage());
      if (rows_ != nullptr) shown = rows_->Show(shown);
      format_.Append({head.topic(), head.partition(), &shown}, output_.buffer());
      output_.Written();
      --left_;
      next = received.offset + 1;
    }
    next = head.next_offset();
    return absl::OkStatus();
  }

  const RecordFormat& format_;
  const GroupRowText* const rows_;
  Output output_;
  int64_t left_;
  std::map<int32_t, int64_t> next_;
  absl::Status first_failure_;
};

bool ShowsGroupRows(const ConsumeArguments& arguments) {
  return arguments.decode == Decode::kGroups ||
         (arguments.decode == Decode::kByTopic && arguments.topic == kGroupRowsTopic);
}

GroupRowText MakeGroupRowText(const std::shared_ptr<client::Client>& client) {
  std::map<std::string, std::string> names;
  // Without names the topics' ids are shown.
  if (const auto topics = client::Admin(client).ListTopics(); topics.ok()) {
    for (const naru::v1::Topic& topic : *topics) names[topic.topic_id()] = topic.name();
  }
  return GroupRowText(std::move(names));
}

}  // namespace

int RunConsume(const GlobalArguments& global, const ConsumeArguments& arguments) {
  const bool shows_rows = ShowsGroupRows(arguments);
  const auto format = RecordFormat::Parse(
      arguments.format.value_or(shows_rows ? "{key}: {value}" : "{value}"), arguments.null_text);
  if (!format.ok()) return Fail(format.status());
  auto client = MakeClient(global);
  if (!client.ok()) return Fail(client.status());
  // Offsets found in a topic are not read in another that takes its name meanwhile.
  const auto topic = (*client)->RefreshTopic(arguments.topic);
  if (!topic.ok()) return Fail(topic.status());
  const std::string& topic_id = (*topic)->topic_id;
  const auto ranges = Ranges(*client, arguments, topic_id);
  if (!ranges.ok()) return Fail(ranges.status());

  naru::v1::SubscribeStart start = MakeStart(arguments, topic_id, *ranges);
  client::SubscriptionOptions options;
  options.reconnect_timeout =
      arguments.follow ? absl::Minutes(5) : std::max(global.timeout, absl::Seconds(10));
  options.read_added_partitions = ReadsWholeTopic(arguments);
  CatchSignals();
  auto subscription = client::Subscription::Open(*client, start, options);
  if (!subscription.ok()) return Fail(subscription.status());
  std::optional<GroupRowText> rows;
  if (shows_rows) rows.emplace(MakeGroupRowText(*client));
  ConsumeRun run(arguments, *format, rows ? &*rows : nullptr, *ranges);
  const absl::Status status = run.Run(**subscription);
  if (Interrupted()) {
    std::fprintf(stderr, "naru: stopped; next offsets of %s: %s\n", arguments.topic.c_str(),
                 run.NextOffsets().c_str());
    return kExitOk;
  }
  if (!status.ok()) return Fail(status);
  return ExitCodeOf(run.first_failure());
}

int RunOffsets(const GlobalArguments& global, const OffsetsArguments& arguments) {
  auto client = MakeClient(global);
  if (!client.ok()) return Fail(client.status());
  const auto found = Find(*client, arguments.topic, "", arguments.partitions, arguments.at);
  if (!found.ok()) return Fail(found.status());
  if (global.output == OutputFormat::kJson) return Print(ToJson(*found));
  using Align = Table::Align;
  Table table({{"PARTITION", Align::kRight},
               {"OFFSET", Align::kRight},
               {"TIMESTAMP"},
               {"START", Align::kRight},
               {"END", Align::kRight}});
  for (const PartitionOffset& offset : found->offsets()) {
    table.AddRow({absl::StrCat(offset.partition()), absl::StrCat(offset.offset()),
                  offset.has_timestamp_ms() ? FormatTimestamp(offset.timestamp_ms()) : "-",
                  absl::StrCat(offset.log_start_offset()), absl::StrCat(offset.high_watermark())});
  }
  return Print(table.Render());
}

}  // namespace naru::cli
