#include "services/server/damaged_store.h"

#include <string>

#include "cluster/metadata/broker_identity.h"
#include "cluster/metadata/random_id.h"
#include "storage/base/status.h"
#include "storage/base/strings.h"

namespace naru::services {

absl::Status SetDamagedStoreAside(const DataDirectory& directory, BrokerId broker, OrderedMapStore& metadata,
                                  FileSystem& files, EventLog& events, const absl::Status& damage) {
  NARU_ASSIGN_OR_RETURN(cluster::BrokerIdentity identity,
                        cluster::LoadOrMakeBrokerIdentity(metadata, broker));
  identity.incarnation = cluster::RandomIdDigits();
  NARU_RETURN_IF_ERROR(cluster::WriteBrokerIdentity(metadata, identity));
  int number = 1;
  while (files.Exists(directory.damaged_store_path(number))) ++number;
  const std::string aside = directory.damaged_store_path(number);
  NARU_RETURN_IF_ERROR(files.Rename(directory.store_path(), aside));
  NARU_RETURN_IF_ERROR(files.SyncDirectory(directory.path()));
  events.Write(Severity::kError, "damaged_store_set_aside",
               {{"error", damage.ToString()},
                {"moved_to", aside},
                {"what_now",
                 "everything is copied from the other brokers again; remove it when they all are in "
                 "sync, to have its space back"}});
  return absl::OkStatus();
}

}  // namespace naru::services
