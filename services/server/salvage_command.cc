#include "services/server/salvage_command.h"

#include <filesystem>
#include <system_error>

#include "services/server/data_directory.h"
#include "storage/base/clock.h"
#include "storage/base/status.h"
#include "storage/base/strings.h"
#include "storage/index/rocks_map_store.h"
#include "storage/store/partition_store.h"

namespace naru::services {
namespace {

namespace fs = std::filesystem;

absl::Status CheckTarget(const std::string& to) {
  std::error_code error;
  if (fs::exists(to, error) && !fs::is_empty(to, error)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--to: ", to, " is not empty; name an empty or missing directory"));
  }
  return absl::OkStatus();
}

// A copy of the metadata's files, opened once: opening checks it, and would change the original.
absl::Status CopyMetadata(const std::string& from, const std::string& to, EventLog& events) {
  std::error_code error;
  fs::copy(from, to, fs::copy_options::recursive, error);
  if (error) return absl::UnavailableError(absl::StrCat(from, ": cannot be copied: ", error.message()));
  const auto opened = OpenRocksMapStore(to, events);
  if (!opened.ok()) return opened.status();
  size_t entries = 0;
  return (*opened)->Scan("", [&entries](std::string_view, std::string_view) { ++entries; });
}

void PrintReport(const SalvageReport& report, std::ostream& out) {
  out << "segments read     " << report.segments_read << "\n"
      << "batches saved     " << report.batches_saved << "\n"
      << "records saved     " << report.records_saved << "\n"
      << "batches damaged   " << report.batches_damaged << "\n"
      << "bytes skipped     " << report.bytes_skipped << "\n";
  for (const std::string& line : report.damage) out << "damage: " << line << "\n";
}

}  // namespace

absl::StatusOr<SalvageOutcome> RunSalvage(const std::string& from, const std::string& to, FileSystem& files,
                                          EventLog& events, std::ostream& out) {
  NARU_RETURN_IF_ERROR(CheckTarget(to));
  NARU_ASSIGN_OR_RETURN(const DataDirectory source, DataDirectory::OpenDamaged(from, files));
  NARU_ASSIGN_OR_RETURN(const DataDirectory target, DataDirectory::Open(to, files));
  NARU_RETURN_IF_ERROR(ReplaceFile(files, target.salvaged_mark_path(), "logs may be missing\n"));

  const absl::Status metadata = CopyMetadata(source.metadata_path(), target.metadata_path(), events);
  const SystemClock clock;
  NARU_ASSIGN_OR_RETURN(const SalvageReport report,
                        Salvage(source.store_path(), target.store_path(), files, clock, events));
  PrintReport(report, out);
  if (!metadata.ok()) {
    NARU_RETURN_IF_ERROR(files.RemoveTree(target.metadata_path()));
    out << "damage: topics: " << metadata.message()
        << "; the records are saved under their log numbers, the topics' names are lost\n";
  }
  out << "Start it with: narud --data-dir " << to << "\n";
  const bool lost = !metadata.ok() || report.batches_damaged > 0 || !report.damage.empty();
  return lost ? SalvageOutcome::kSomethingLost : SalvageOutcome::kEverythingSaved;
}

}  // namespace naru::services
