// Consumer groups as tables and lines for people. Pure, thread-safe.
#pragma once

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "naru/v1/group.pb.h"

namespace naru::cli {

// "stable".
std::string GroupStateText(naru::v1::GroupState state);

std::string GroupListTable(const std::vector<naru::v1::GroupSummary>& groups);

// State, total lag, members with what they read, partitions with their positions and lag.
std::string GroupDescription(const naru::v1::Group& group);

// The same in one line: "2024-01-01T00:00:00.000Z billing stable, 3 members, 6 partitions, lag 17".
std::string GroupLine(const naru::v1::Group& group, absl::Time now);

std::string OffsetResetTable(const naru::v1::ResetOffsetsResponse& response);

}  // namespace naru::cli
