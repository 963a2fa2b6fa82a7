#include "services/group/offset_reset.h"

#include <algorithm>
#include <set>
#include <utility>

#include "services/group/join_plan.h"
#include "services/group/offset_commits.h"
#include "storage/base/status.h"
#include "storage/base/strings.h"

namespace naru::services {
namespace {

using naru::v1::ResetOffsetsRequest;

constexpr size_t kUnderWayMax = 16;
constexpr size_t kPartitionsMax = 20'000;

}  // namespace

void OffsetReset::Begin(std::shared_ptr<GroupContext> context, ResetOffsetsRequest request, Done done) {
  const std::shared_ptr<OffsetReset> reset(
      new OffsetReset(std::move(context), std::move(request), std::move(done)));
  if (absl::Status valid = reset->Validate(); !valid.ok()) return reset->Finish(std::move(valid));
  reset->context_->groups.Describe(
      reset->request_.group(), [reset](absl::StatusOr<cluster::GroupSnapshot> snapshot) {
        // The coordinator's thread is not to be kept.
        reset->strand_.Post(
            [reset, snapshot = std::move(snapshot)]() mutable { reset->OnGroup(std::move(snapshot)); });
      });
}

absl::Status OffsetReset::Validate() const {
  NARU_RETURN_IF_ERROR(ValidateGroupName("group", request_.group()));
  if (request_.target_case() == ResetOffsetsRequest::TARGET_NOT_SET) {
    return InvalidField("target", "an absent one", "give position, offset, timestamp_ms or shift");
  }
  if (request_.has_position() && !naru::v1::Position_IsValid(request_.position())) {
    return InvalidField("position", absl::StrCat(static_cast<int>(request_.position())),
                        "it is POSITION_EARLIEST (1) or POSITION_LATEST (2)");
  }
  if (request_.has_offset() && request_.offset() < 0) {
    return InvalidField("offset", absl::StrCat(request_.offset()), "it is 0 or more");
  }
  return absl::OkStatus();
}

void OffsetReset::OnGroup(absl::StatusOr<cluster::GroupSnapshot> snapshot) {
  const bool none = ReasonOf(snapshot.status()) == Reason::kGroupNotFound && !request_.topics().empty();
  if (none) snapshot = cluster::GroupSnapshot{.group = request_.group()};
  if (!snapshot.ok()) return Finish(snapshot.status());
  if (!snapshot->members.empty()) {
    return Finish(MakeError(Reason::kGroupNotEmpty, absl::StrCat("group: it has ", snapshot->members.size(),
                                                                 " members; stop them before a reset")));
  }
  if (absl::Status chosen = Choose(snapshot->offsets); !chosen.ok()) return Finish(std::move(chosen));
  std::set<LogId> logs;
  for (const Move& move : moves_) logs.insert(move.log);
  AskLogEnds(context_->consume->store, logs, [self = shared_from_this()](LogEnds ends) {
    self->strand_.Post([self, ends = std::move(ends)]() mutable {
      self->ends_ = std::move(ends);
      self->OnEnds();
    });
  });
}

void OffsetReset::OnEnds() {
  if (request_.has_timestamp_ms()) return FindSome();
  for (Move& move : moves_) {
    if (absl::Status aimed = Aim(move); !aimed.ok()) return Finish(std::move(aimed));
  }
  Carry();
}

absl::Status OffsetReset::Choose(const cluster::CommittedOffsets& committed) {
  const std::shared_ptr<const cluster::TopicCatalog> catalog = context_->consume->catalog.Current();
  for (const naru::v1::TopicPartitions& asked : request_.topics()) {
    NARU_RETURN_IF_ERROR(ChooseTopic(asked, *catalog, committed));
  }
  for (const auto& [partition, offset] : committed) {
    if (!request_.topics().empty()) break;
    auto topic = catalog->FindById(Bytes(partition.topic));
    if (topic != nullptr) AddMove(partition, std::move(topic), committed);
  }
  if (moves_.size() > kPartitionsMax) {
    return InvalidField("topics", absl::StrCat(moves_.size(), " partitions"),
                        absl::StrCat("move at most ", kPartitionsMax, " positions at a time"));
  }
  std::sort(moves_.begin(), moves_.end(), [](const Move& a, const Move& b) {
    return std::tie(a.topic->name, a.partition.partition) < std::tie(b.topic->name, b.partition.partition);
  });
  for (size_t i = 1; i < moves_.size(); ++i) {
    if (moves_[i].partition == moves_[i - 1].partition) {
      return InvalidField("topics",
                          absl::StrCat("partition ", moves_[i].partition.partition, " of topic \"",
                                       moves_[i].topic->name, "\" twice"),
                          "a partition is named once");
    }
  }
  return absl::OkStatus();
}

absl::Status OffsetReset::ChooseTopic(const naru::v1::TopicPartitions& asked,
                                      const cluster::TopicCatalog& catalog,
                                      const cluster::CommittedOffsets& committed) {
  NARU_ASSIGN_OR_RETURN(const auto topic, catalog.Find(asked.topic()));
  const cluster::TopicId id = ToTopicId(topic->topic_id);
  for (const int32_t partition : asked.partitions()) {
    NARU_RETURN_IF_ERROR(FindPartition(*topic, partition).status());
    AddMove({id, partition}, topic, committed);
  }
  for (int32_t i = 0; asked.partitions().empty() && i < topic->partition_count(); ++i) {
    AddMove({id, i}, topic, committed);
  }
  return absl::OkStatus();
}

void OffsetReset::AddMove(const cluster::GroupPartition& partition,
                          std::shared_ptr<const cluster::TopicInfo> topic,
                          const cluster::CommittedOffsets& committed) {
  if (partition.partition >= topic->partition_count()) return;
  Move& move = moves_.emplace_back();
  move.partition = partition;
  move.log = topic->partitions[static_cast<size_t>(partition.partition)].log;
  move.topic = std::move(topic);
  const auto it = committed.find(partition);
  if (it != committed.end()) move.before = it->second.offset;
}

absl::Status OffsetReset::Aim(Move& move) const {
  NARU_ASSIGN_OR_RETURN(const LogInfo info, ends_.Of(move.log));
  const int64_t start = info.log_start.value();
  const int64_t end = info.readable_end.value();
  switch (request_.target_case()) {
    case ResetOffsetsRequest::kPosition:
      move.after = request_.position() == naru::v1::POSITION_LATEST ? end : start;
      break;
    case ResetOffsetsRequest::kOffset:
      move.after = std::clamp(request_.offset(), start, end);
      break;
    default: {
      const int64_t from = std::clamp(move.before.value_or(start), start, end);
      // Apart, since a shift may be any number.
      move.after = from + std::clamp(request_.shift(), start - from, end - from);
      break;
    }
  }
  return absl::OkStatus();
}

void OffsetReset::FindSome() {
  while (failed_.ok() && begun_ < moves_.size() && under_way_ < kUnderWayMax) {
    ++under_way_;
    const size_t index = begun_++;
    context_->consume->store.FindByTime(moves_[index].log, request_.timestamp_ms(),
                                        [self = shared_from_this(), index](auto found) {
                                          self->strand_.Post([self, index, found = std::move(found)] {
                                            self->OnFound(index, found);
                                            self->FindSome();
                                          });
                                        });
  }
  if (under_way_ > 0) return;
  if (!failed_.ok()) return Finish(failed_);
  Carry();
}

void OffsetReset::OnFound(size_t index, const absl::StatusOr<std::optional<TimedOffset>>& found) {
  --under_way_;
  const absl::StatusOr<LogInfo> info =
      found.ok() ? ends_.Of(moves_[index].log) : absl::StatusOr<LogInfo>(found.status());
  failed_.Update(info.status());
  if (info.ok())
    moves_[index].after = found->has_value() ? (*found)->offset.value() : info->readable_end.value();
}

void OffsetReset::Carry() {
  if (request_.dry_run() || moves_.empty()) return Finish(absl::OkStatus());
  cluster::ResetOffsets reset;
  for (const Move& move : moves_) reset.offsets[move.partition].offset = move.after;
  context_->groups.Reset(
      request_.group(), std::move(reset),
      [self = shared_from_this()](absl::Status status) { self->Finish(std::move(status)); });
}

void OffsetReset::Finish(absl::Status status) {
  if (!status.ok()) return done_(std::move(status));
  naru::v1::ResetOffsetsResponse response;
  for (const Move& move : moves_) {
    naru::v1::OffsetReset& reset = *response.add_offsets();
    reset.set_topic(move.topic->name);
    reset.set_partition(move.partition.partition);
    if (move.before) reset.set_before_offset(*move.before);
    reset.set_after_offset(move.after);
  }
  done_(std::move(response));
}

}  // namespace naru::services
