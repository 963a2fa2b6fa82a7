// Numbers of partitions as text. Pure, thread-safe.
#pragma once

#include <cstdint>
#include <set>
#include <string>

namespace naru::cli {

// "0-2,5": rising, three or more in a row as a range; "" for none.
std::string PartitionRanges(const std::set<int32_t>& partitions);

}  // namespace naru::cli
