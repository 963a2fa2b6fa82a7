// One ResetOffsets, from its request to its answer: finds where each position is to go, and has the group
// move them all at once. Keeps itself alive until it is done. Everything happens in its strand.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "naru/v1/group.pb.h"
#include "services/consume/log_ends.h"
#include "services/group/group_context.h"
#include "services/rpc/strand.h"

namespace naru::services {

class OffsetReset final : public std::enable_shared_from_this<OffsetReset> {
 public:
  using Done = absl::AnyInvocable<void(absl::StatusOr<naru::v1::ResetOffsetsResponse>)>;

  // INVALID_FIELD, TOPIC_NOT_FOUND, PARTITION_NOT_FOUND, GROUP_NOT_FOUND, GROUP_NOT_EMPTY.
  static void Begin(std::shared_ptr<GroupContext> context, naru::v1::ResetOffsetsRequest request, Done done);

 private:
  struct Move {
    cluster::GroupPartition partition;
    std::shared_ptr<const cluster::TopicInfo> topic;
    LogId log;
    std::optional<int64_t> before;
    int64_t after = 0;
  };

  OffsetReset(std::shared_ptr<GroupContext> context, naru::v1::ResetOffsetsRequest request, Done done)
      : context_(std::move(context)),
        strand_(context_->consume->executor),
        request_(std::move(request)),
        done_(std::move(done)) {}

  absl::Status Validate() const;
  void OnGroup(absl::StatusOr<cluster::GroupSnapshot> snapshot);
  absl::Status Choose(const cluster::CommittedOffsets& committed);
  absl::Status ChooseTopic(const naru::v1::TopicPartitions& asked, const cluster::TopicCatalog& catalog,
                           const cluster::CommittedOffsets& committed);
  void AddMove(const cluster::GroupPartition& partition, std::shared_ptr<const cluster::TopicInfo> topic,
               const cluster::CommittedOffsets& committed);
  // Looks positions up by time, a few at once.
  void FindSome();
  void OnEnds();
  void OnFound(size_t index, const absl::StatusOr<std::optional<TimedOffset>>& found);
  // Where it goes, but for a time.
  absl::Status Aim(Move& move) const;
  void Carry();
  void Finish(absl::Status status);

  const std::shared_ptr<GroupContext> context_;
  Strand strand_;
  const naru::v1::ResetOffsetsRequest request_;
  Done done_;
  std::vector<Move> moves_;
  LogEnds ends_;
  size_t begun_ = 0;
  size_t under_way_ = 0;
  absl::Status failed_;
};

}  // namespace naru::services
