#include "services/admin/record_deletion.h"

#include <utility>

#include "absl/container/flat_hash_set.h"
#include "services/rpc/status.h"
#include "storage/base/status.h"
#include "storage/base/strings.h"

namespace naru::services {
namespace {

constexpr int64_t kUpToHighWatermark = -1;
// With an error for each, that names a topic with the longest name, the answer stays under 3.5 MiB.
constexpr int kPartitionsMax = 5'000;

// Lives until the last partition is done: each holds a reference.
struct Deletion {
  ~Deletion() { done(); }
  std::shared_ptr<const cluster::TopicInfo> topic;
  LogStore& logs;
  const cluster::CatalogSource& catalog;
  absl::AnyInvocable<void()> done;
};

void SetError(const Deletion& deletion, const absl::Status& status,
              naru::v1::PartitionTruncationResult& result) {
  *result.mutable_error() = ToError(
      cluster::LogStatusForClient(*deletion.catalog.Current(), *deletion.topic, result.partition(), status));
}

void SetOutcome(const Deletion& deletion, const absl::StatusOr<LogInfo>& info,
                naru::v1::PartitionTruncationResult& result) {
  if (!info.ok()) return SetError(deletion, info.status(), result);
  result.set_log_start_offset(info->log_start.value());
}

// The new start of a log, or why it cannot be.
absl::StatusOr<Offset> NewStart(int64_t before_offset, const LogInfo& info) {
  if (before_offset == kUpToHighWatermark) return info.readable_end;
  if (before_offset > info.readable_end.value()) {
    return MakeError(Reason::kOffsetOutOfRange,
                     absl::StrCat("before_offset: ", before_offset, " is above the high watermark, ",
                                  info.readable_end.value(), "; allowed: -1 (all) to that"),
                     {{"log_start_offset", absl::StrCat(info.log_start.value())},
                      {"high_watermark", absl::StrCat(info.readable_end.value())}});
  }
  return Offset(before_offset);
}

void DeleteFromPartition(const std::shared_ptr<Deletion>& deletion,
                         const naru::v1::PartitionTruncation& truncation,
                         naru::v1::PartitionTruncationResult& result) {
  result.set_partition(truncation.partition());
  const auto placement = cluster::FindPartition(*deletion->topic, truncation.partition());
  if (!placement.ok()) {
    *result.mutable_error() = ToError(placement.status());
    return;
  }
  const LogId log = (*placement)->log;
  const int64_t before_offset = truncation.before_offset();
  deletion->logs.AskInfo(log, [deletion, log, before_offset, &result](const absl::StatusOr<LogInfo>& info) {
    absl::StatusOr<Offset> start = info.ok() ? NewStart(before_offset, *info) : info.status();
    if (!start.ok()) return SetError(*deletion, start.status(), result);
    deletion->logs.MoveLogStart(log, *start, [deletion, log, &result](const absl::Status& moved) {
      if (!moved.ok()) return SetOutcome(*deletion, moved, result);
      deletion->logs.AskInfo(log, [deletion, &result](const absl::StatusOr<LogInfo>& now) {
        SetOutcome(*deletion, now, result);
      });
    });
  });
}

}  // namespace

absl::Status ValidateDeletion(const naru::v1::DeleteRecordsRequest& request) {
  if (request.partitions().empty()) {
    return InvalidField("partitions", "an empty list", "name at least one partition");
  }
  if (request.partitions_size() > kPartitionsMax) {
    return InvalidField("partitions", absl::StrCat("a list of ", request.partitions_size()),
                        absl::StrCat("name at most ", kPartitionsMax, " partitions in one call"));
  }
  absl::flat_hash_set<int32_t> named;
  for (int i = 0; i < request.partitions_size(); ++i) {
    const naru::v1::PartitionTruncation& truncation = request.partitions(i);
    if (!named.insert(truncation.partition()).second) {
      return InvalidField(absl::StrCat("partitions[", i, "].partition"), absl::StrCat(truncation.partition()),
                          "a partition may be named once");
    }
    if (truncation.before_offset() < kUpToHighWatermark) {
      return InvalidField(absl::StrCat("partitions[", i, "].before_offset"),
                          absl::StrCat(truncation.before_offset()),
                          "allowed: -1 (all up to the high watermark), or 0 to the high watermark");
    }
  }
  return absl::OkStatus();
}

void DeleteRecords(std::shared_ptr<const cluster::TopicInfo> topic,
                   const naru::v1::DeleteRecordsRequest& request, LogStore& logs,
                   const cluster::CatalogSource& catalog, naru::v1::DeleteRecordsResponse& response,
                   absl::AnyInvocable<void()> done) {
  const std::shared_ptr<Deletion> deletion(new Deletion{std::move(topic), logs, catalog, std::move(done)});
  // All slots first: they are written from several threads, and must not move.
  for (int i = 0; i < request.partitions_size(); ++i) response.add_results();
  for (int i = 0; i < request.partitions_size(); ++i) {
    DeleteFromPartition(deletion, request.partitions(i), *response.mutable_results(i));
  }
}

}  // namespace naru::services
