// Topics page by page, as in AIP-158. Pure, thread-safe.
#pragma once

#include "absl/status/statusor.h"
#include "cluster/metadata/topic_catalog.h"
#include "naru/v1/admin.pb.h"

namespace naru::services {

// The page that `request` asks for. A token holds where the page before ended, so topics made or deleted
// between two pages neither repeat nor hide others.
//   INVALID_FIELD  page_size below 0; page_token that no answer gave, or that was given for another prefix;
//   prefix
absl::StatusOr<naru::v1::ListTopicsResponse> ListTopicsPage(const cluster::TopicCatalog& catalog,
                                                            const naru::v1::ListTopicsRequest& request);

}  // namespace naru::services
