#include "tools/cli/partition_list.h"

#include <iterator>

#include "absl/strings/str_cat.h"

namespace naru::cli {

std::string PartitionRanges(const std::set<int32_t>& partitions) {
  std::string text;
  for (auto first = partitions.begin(); first != partitions.end();) {
    auto last = first;
    int length = 1;
    for (auto next = std::next(last); next != partitions.end() && *next - *last == 1; ++next, ++length) {
      last = next;
    }
    absl::StrAppend(&text, text.empty() ? "" : ",", *first);
    if (length > 1) absl::StrAppend(&text, length == 2 ? "," : "-", *last);
    first = std::next(last);
  }
  return text;
}

}  // namespace naru::cli
