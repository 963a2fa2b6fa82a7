#include "services/group/offset_commits.h"

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "storage/base/check.h"
#include "storage/base/status.h"
#include "storage/base/strings.h"
#include "storage/log/log_state.h"

namespace naru::services {
namespace {

constexpr int kCommitsMax = 20'000;
constexpr size_t kMetadataBytesMax = 4'096;

absl::Status CheckCommit(const naru::v1::OffsetCommit& commit, const std::string& field) {
  if (commit.offset() < 0) {
    return InvalidField(absl::StrCat(field, ".offset"), absl::StrCat(commit.offset()), "it is 0 or more");
  }
  if (commit.metadata().size() > kMetadataBytesMax) {
    return InvalidField(absl::StrCat(field, ".metadata"), absl::StrCat(commit.metadata().size(), " bytes"),
                        absl::StrCat("it has at most ", kMetadataBytesMax));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<cluster::CommittedOffsets> ReadOffsetCommits(
    const google::protobuf::RepeatedPtrField<naru::v1::OffsetCommit>& commits,
    const cluster::TopicCatalog& catalog, absl::FunctionRef<absl::StatusOr<LogInfo>(LogId log)> info) {
  if (commits.empty()) return InvalidField("offsets", "an empty list", "give at least one position");
  if (commits.size() > kCommitsMax) {
    return InvalidField("offsets", absl::StrCat("a list of ", commits.size()),
                        absl::StrCat("give at most ", kCommitsMax, " positions at a time"));
  }
  cluster::CommittedOffsets offsets;
  for (int i = 0; i < commits.size(); ++i) {
    const naru::v1::OffsetCommit& commit = commits[i];
    const std::string field = absl::StrCat("offsets[", i, "]");
    NARU_RETURN_IF_ERROR(CheckCommit(commit, field));
    NARU_ASSIGN_OR_RETURN(const auto topic, catalog.Find(commit.topic(), commit.topic_id()));
    NARU_ASSIGN_OR_RETURN(const cluster::PartitionPlacement* placement,
                          FindPartition(*topic, commit.partition()));
    const absl::StatusOr<LogInfo> log = info(placement->log);
    // How far a log goes that another broker leads is not looked up for every commit.
    const bool known = ReasonOf(log.status()) != Reason::kNoLeader;
    if (known && !log.ok()) {
      return cluster::LogStatusForClient(catalog, *topic, commit.partition(), log.status());
    }
    if (known && commit.offset() > log->readable_end.value()) {
      return OffsetOutOfRange(absl::StrCat(field, ".offset"), Offset(commit.offset()), log->log_start,
                              log->readable_end);
    }
    const bool first =
        offsets
            .try_emplace({ToTopicId(topic->topic_id), commit.partition()},
                         cluster::CommittedOffset{.offset = commit.offset(), .metadata = commit.metadata()})
            .second;
    if (!first) {
      return InvalidField(
          field, absl::StrCat("partition ", commit.partition(), " of topic \"", commit.topic(), "\" twice"),
          "a partition is named once");
    }
  }
  return offsets;
}

cluster::TopicId ToTopicId(std::string_view topic_id) {
  cluster::TopicId id{};
  NARU_CHECK(topic_id.size() == id.size());
  std::copy(topic_id.begin(), topic_id.end(), id.begin());
  return id;
}

}  // namespace naru::services
