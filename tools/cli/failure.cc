#include "tools/cli/failure.h"

#include <cstdio>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "storage/base/status.h"

namespace naru::cli {
namespace {

// What somebody at a terminal can do about it, where the message itself does not say.
std::string_view Advice(const absl::Status& status) {
  if (const auto reason = ReasonOf(status)) {
    switch (*reason) {
      case Reason::kOffsetOutOfRange:
        return "`naru offsets TOPIC` shows what is there; --from earliest reads all of it";
      case Reason::kStorageFull:
        return "free disk space on the server, or lower retention with `naru topic alter`";
      case Reason::kTopicExists:
        return "`naru topic describe` shows it, `naru topic alter` changes it";
      case Reason::kPartitionNotFound:
        return "`naru topic describe` shows the partitions";
      case Reason::kMemberFenced:
        return "others read on where it was; start it again to join anew";
      case Reason::kGroupNotEmpty:
        return "`naru group describe` shows the members; end them, or make them leave with `naru group "
               "leave`";
      case Reason::kGroupNotFound:
        return "`naru group list` shows the groups";
      case Reason::kCorruptData:
        return "other offsets are not affected; see `narud salvage`";
      default:
        return "";
    }
  }
  if (absl::IsDeadlineExceeded(status)) return "--timeout allows more time";
  return "";
}

}  // namespace

ExitCode ExitCodeOf(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return kExitOk;
    case absl::StatusCode::kNotFound:
      return kExitNotFound;
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kResourceExhausted:
      return kExitUnavailable;
    case absl::StatusCode::kInvalidArgument:
      return kExitUsage;
    default:
      return kExitFailed;
  }
}

std::string FailureLine(const absl::Status& status) {
  std::string line = absl::StrCat("naru: ", status.message());
  if (status.message().empty()) absl::StrAppend(&line, absl::StatusCodeToString(status.code()));
  if (const auto reason = ReasonOf(status)) {
    absl::StrAppend(&line, " (", std::string(ReasonName(*reason)), ")");
  }
  if (const std::string_view advice = Advice(status); !advice.empty()) {
    absl::StrAppend(&line, "; ", std::string(advice));
  }
  for (char& c : line) {
    if (c == '\n' || c == '\r') c = ' ';
  }
  return line;
}

ExitCode Fail(const absl::Status& status) {
  std::fprintf(stderr, "%s\n", FailureLine(status).c_str());
  return ExitCodeOf(status);
}

}  // namespace naru::cli
