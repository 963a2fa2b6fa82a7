#include <algorithm>
#include <cstdio>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "clients/cpp/group_consumer.h"
#include "storage/base/status.h"
#include "tools/cli/commands.h"
#include "tools/cli/connect.h"
#include "tools/cli/failure.h"
#include "tools/cli/record_format.h"
#include "tools/cli/terminal.h"

namespace naru::cli {
namespace {

using Commit = GroupConsumeArguments::Commit;

// Between two looks for Ctrl-C.
constexpr absl::Duration kWait = absl::Milliseconds(100);

naru::v1::Join MakeJoin(const GroupConsumeArguments& arguments) {
  naru::v1::Join join;
  join.set_group(arguments.group);
  for (const std::string& topic : arguments.topics) join.add_topics(topic);
  join.set_topic_pattern(arguments.topic_pattern);
  join.set_instance_id(arguments.instance_id);
  join.set_start(arguments.start);
  if (arguments.session_timeout) {
    // Beyond what fits is beyond what is allowed: the broker says so.
    join.set_session_timeout_ms(static_cast<int32_t>(
        std::min<int64_t>(absl::ToInt64Milliseconds(*arguments.session_timeout), INT32_MAX)));
  }
  join.set_client_id("naru consume");
  // Committing on delivery would also commit what waits here and is not printed when Ctrl-C or --max ends
  // this; so it is committed here, one delivery after the other.
  if (arguments.commit == Commit::kBeforePrinting) join.set_commit_mode(naru::v1::COMMIT_MODE_EXPLICIT);
  return join;
}

template <typename Partitions>
std::string Names(const Partitions& partitions) {
  return absl::StrJoin(partitions, " ", [](std::string* out, const auto& partition) {
    absl::StrAppend(out, partition.topic(), "/", partition.partition());
  });
}

// One run of `consume --group`.
class GroupConsumeRun {
 public:
  GroupConsumeRun(const GlobalArguments& global, const GroupConsumeArguments& arguments,
                  const RecordFormat& format)
      : global_(global),
        arguments_(arguments),
        format_(format),
        left_(arguments.max_records.value_or(INT64_MAX)) {}

  // Prints until the maximum, the silence, an interruption or a closed pipe.
  absl::Status Run(client::GroupConsumer& consumer) {
    while (left_ > 0 && !Interrupted() && !output_.closed()) {
      NARU_ASSIGN_OR_RETURN(const auto event, consumer.Next(kWait));
      if (!event) {
        output_.CheckReader();
        if (arguments_.until_idle && absl::Now() - quiet_since_ >= *arguments_.until_idle) break;
        continue;
      }
      if (const auto* delivery = std::get_if<client::GroupRecords>(&*event)) {
        NARU_RETURN_IF_ERROR(Take(*delivery, consumer));
        quiet_since_ = absl::Now();
      } else if (const auto* failed = std::get_if<client::PartitionFailed>(&*event)) {
        std::fprintf(stderr, "%s [%s/%d, offset %lld]\n", FailureLine(failed->status).c_str(),
                     failed->position.topic.c_str(), failed->position.partition,
                     static_cast<long long>(failed->position.next_offset));
        if (first_failure_.ok()) first_failure_ = failed->status;
      } else {
        Tell(*event);
      }
    }
    return absl::OkStatus();
  }
  int64_t printed() const { return printed_; }
  // Of a partition that cannot be read on.
  absl::Status first_failure() const { return first_failure_; }

 private:
  // Commits and prints in the order that was asked for.
  absl::Status Take(const client::GroupRecords& delivery, client::GroupConsumer& consumer) {
    const naru::v1::GroupDelivery& head = delivery.head;
    const client::ReceivedRecords& records = delivery.records;
    const auto count = static_cast<size_t>(std::min<int64_t>(left_, std::ssize(records)));
    // An acknowledgement stands for the whole delivery; a part of it is committed by its offset.
    const bool whole = count == records.size();
    naru::v1::OffsetCommit position;
    position.set_topic(head.topic());
    position.set_topic_id(head.topic_id());
    position.set_partition(head.partition());
    position.set_offset(whole ? head.next_offset() : records[count - 1].offset + 1);

    if (arguments_.commit == Commit::kBeforePrinting) {
      NARU_RETURN_IF_ERROR(consumer.Commit({position}, global_.timeout));
    }
    for (size_t i = 0; i < count && !output_.closed(); ++i) {
      NARU_ASSIGN_OR_RETURN(const naru::v1::Record record, records[i].ToMessage());
      format_.Append({head.topic(), head.partition(), &record}, output_.buffer());
      output_.Written();
    }
    output_.Flush();
    if (output_.error() != 0) {
      return absl::DataLossError(absl::StrCat("standard output: ", std::strerror(output_.error())));
    }
    // Nobody has read the end of it.
    if (output_.closed()) return absl::OkStatus();
    left_ -= static_cast<int64_t>(count);
    printed_ += static_cast<int64_t>(count);
    if (!whole && arguments_.commit == Commit::kPrinted) return consumer.Commit({position}, global_.timeout);
    if (whole) consumer.Ack(head.delivery_id());
    return absl::OkStatus();
  }

  void Tell(const client::GroupEvent& event) {
    std::string line;
    if (const auto* joined = std::get_if<client::GroupJoined>(&event)) {
      // Time without partitions to read is not silence, but only before the first.
      quiet_since_ = std::min(quiet_since_, absl::Now());
      line = absl::StrCat(joined->again ? "again in" : "joined", " group ", arguments_.group, " as member ",
                          joined->member_id);
    } else if (const auto* assigned = std::get_if<naru::v1::Assigned>(&event)) {
      quiet_since_ = absl::Now();
      line = absl::StrCat("assigned ", Names(assigned->partitions()));
    } else if (const auto* revoking = std::get_if<naru::v1::Revoking>(&event)) {
      line = absl::StrCat("giving up ", Names(revoking->partitions()));
    }
    if (arguments_.verbose) std::fprintf(stderr, "naru: %s\n", line.c_str());
  }

  const GlobalArguments& global_;
  const GroupConsumeArguments& arguments_;
  const RecordFormat& format_;
  Output output_;
  int64_t left_;
  int64_t printed_ = 0;
  absl::Status first_failure_;
  absl::Time quiet_since_ = absl::InfiniteFuture();
};

}  // namespace

int RunGroupConsume(const GlobalArguments& global, const GroupConsumeArguments& arguments) {
  const auto format = RecordFormat::Parse(arguments.format.value_or("{value}"), arguments.null_text);
  if (!format.ok()) return Fail(format.status());
  auto client = MakeClient(global);
  if (!client.ok()) return Fail(client.status());
  // A server that goes away is waited for for long, one that is not there is told of at once.
  const auto channel = (*client)->ConnectedChannel(absl::Now() + global.timeout);
  if (!channel.ok()) return Fail(channel.status());
  client::GroupConsumerOptions options;
  options.reconnect_timeout = absl::Minutes(5);
  CatchSignals();
  auto consumer = client::GroupConsumer::Open(*client, MakeJoin(arguments), options);
  if (!consumer.ok()) return Fail(consumer.status());
  GroupConsumeRun run(global, arguments, *format);
  const absl::Status status = run.Run(**consumer);
  // Also after a failure: what was printed before it is committed where that is still possible.
  const absl::Status closed = (*consumer)->Close(global.timeout);
  if (!status.ok()) return Fail(status);
  if (!closed.ok()) {
    std::fprintf(stderr, "naru: what was printed last may not be committed, and come again\n");
    return Fail(closed);
  }
  if (Interrupted()) {
    std::fprintf(stderr, "naru: stopped after %lld records; %s group %s\n",
                 static_cast<long long>(run.printed()),
                 arguments.instance_id.empty() ? "left" : "kept its place in", arguments.group.c_str());
  }
  return ExitCodeOf(run.first_failure());
}

}  // namespace naru::cli
