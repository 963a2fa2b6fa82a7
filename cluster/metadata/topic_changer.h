// Where topics come from, and who makes, changes, grows and deletes them: the coordinator of a single
// machine, or of a cluster.
#pragma once

#include <memory>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "cluster/metadata/topic_catalog.h"
#include "naru/v1/admin.pb.h"
#include "naru/v1/cluster.pb.h"

namespace naru::cluster {

// Thread-safe. Completions run on the changer's thread, or inline when a request is refused at once, and must
// not block. Errors are those of AdminService (proto/naru/v1/admin.proto). What was done is in Current() when
// the completion runs.
class TopicChanger : public CatalogSource {
 public:
  using Done = absl::AnyInvocable<void(absl::Status)>;
  using TopicDone = absl::AnyInvocable<void(absl::StatusOr<std::shared_ptr<const TopicInfo>>)>;

  // With validate_only everything is checked and nothing made; the answer is the topic as it would be,
  // without an id or a creation time.
  virtual void CreateTopic(naru::v1::CreateTopicRequest request, TopicDone done) = 0;
  // The same for naru's own topics, of reserved names; OK also when it is there.
  virtual void CreateInternalTopic(naru::v1::CreateTopicRequest request, Done done) = 0;
  virtual void UpdateTopic(naru::v1::UpdateTopicRequest request, TopicDone done) = 0;
  virtual void CreatePartitions(naru::v1::CreatePartitionsRequest request, TopicDone done) = 0;
  virtual void DeleteTopic(naru::v1::DeleteTopicRequest request, Done done) = 0;
  // Errors are those of ClusterService. The answer is the topic with its leaders as they are then.
  virtual void ElectLeaders(naru::v1::ElectLeadersRequest request, TopicDone done) = 0;
};

}  // namespace naru::cluster
