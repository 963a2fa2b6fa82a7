#include "services/server/data_directory.h"

#include <utility>

#include "absl/strings/strip.h"
#include "storage/base/status.h"
#include "storage/base/strings.h"

namespace naru::services {
namespace {

constexpr char kFormatLine[] = "naru data directory, format 1";
constexpr size_t kFormatBytesMax = 1024;

// A disk's own directory, and what an interrupted first start leaves behind, do not count.
bool MayStandInANewDirectory(const std::string& name) {
  return name == "lost+found" || name == "lock" || name.starts_with("format");
}

absl::Status CheckEmpty(const std::string& path, FileSystem& files) {
  NARU_ASSIGN_OR_RETURN(const std::vector<std::string> names, files.List(path));
  for (const std::string& name : names) {
    if (MayStandInANewDirectory(name)) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("--data-dir: ", path, " holds ", name,
                     " and is not a data directory of naru; name one, or an empty or "
                     "missing directory"));
  }
  return absl::OkStatus();
}

absl::Status CheckFormat(const std::string& format_path, FileSystem& files) {
  NARU_ASSIGN_OR_RETURN(const std::string format, ReadWholeFile(files, format_path, kFormatBytesMax));
  if (absl::StripSuffix(format, "\n") == kFormatLine) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("--data-dir: ", format_path, " says \"",
                                                 absl::StripSuffix(format, "\n"), "\"; this program reads \"",
                                                 kFormatLine, "\""));
}

}  // namespace

absl::StatusOr<DataDirectory> DataDirectory::Open(const std::string& path, FileSystem& files) {
  NARU_RETURN_IF_ERROR(files.MakeDirectory(path));
  const std::string format_path = absl::StrCat(path, "/format");
  const bool is_new = !files.Exists(format_path);
  if (is_new) NARU_RETURN_IF_ERROR(CheckEmpty(path, files));
  NARU_ASSIGN_OR_RETURN(std::unique_ptr<DirectoryLock> lock, files.LockDirectory(path));
  if (is_new) {
    NARU_RETURN_IF_ERROR(ReplaceFile(files, format_path, absl::StrCat(kFormatLine, "\n")));
  } else {
    NARU_RETURN_IF_ERROR(CheckFormat(format_path, files));
  }
  return DataDirectory(path, std::move(lock));
}

absl::StatusOr<DataDirectory> DataDirectory::OpenDamaged(const std::string& path, FileSystem& files) {
  if (!files.Exists(absl::StrCat(path, "/store"))) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, " is not a data directory of naru: it has no store"));
  }
  if (const std::string format_path = absl::StrCat(path, "/format"); files.Exists(format_path)) {
    NARU_RETURN_IF_ERROR(CheckFormat(format_path, files));
  }
  absl::StatusOr<std::unique_ptr<DirectoryLock>> lock = files.LockDirectory(path);
  if (lock.status().code() == absl::StatusCode::kFailedPrecondition) return lock.status();
  return DataDirectory(path, lock.ok() ? *std::move(lock) : nullptr);
}

}  // namespace naru::services
