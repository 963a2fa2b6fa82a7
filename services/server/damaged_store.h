// What a broker of a cluster does at its start with a store that fails its checks: other brokers have what it
// holds, so it is put aside, and everything is copied from them again (rule 21 of docs/replication.md).
#pragma once

#include "absl/status/status.h"
#include "services/server/data_directory.h"
#include "storage/base/event_log.h"
#include "storage/base/files.h"
#include "storage/base/ids.h"
#include "storage/base/ordered_map_store.h"

namespace naru::services {

// Moves the store to DATA/damaged-N, after the broker was given another incarnation: whoever dies in between
// claims nothing of what may be gone. Nothing is removed; where the damaged copy was the only one, `naru
// cluster elect --accept-loss` or a salvage of it is for a person to decide. Blocks on disk.
absl::Status SetDamagedStoreAside(const DataDirectory& directory, BrokerId broker, OrderedMapStore& metadata,
                                  FileSystem& files, EventLog& events, const absl::Status& damage);

}  // namespace naru::services
