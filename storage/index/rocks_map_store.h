// The metadata's OrderedMapStore over a RocksDB of its own, with its write-ahead log on and synced: unlike
// the store's index it has no segments behind it.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "storage/base/event_log.h"
#include "storage/base/ordered_map_store.h"

namespace naru {

// Opens or makes the database in `directory` (its parents too). FAILED_PRECONDITION when another process
// holds it; DATA_LOSS when it is damaged (nothing is changed then). The database's warnings and errors go to
// `events` ("rocksdb"), which outlives it.
absl::StatusOr<std::unique_ptr<OrderedMapStore>> OpenRocksMapStore(const std::string& directory,
                                                                   EventLog& events);

}  // namespace naru
