// Reads a topic, by long polls or as a stream, and counts what comes, without decoding it unless told to.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "tools/bench/load.h"

namespace naru::bench {

struct ReadLoad {
  std::string topic;
  int partitions = 1;
  // RunSubscribe: the first of them.
  int first_partition = 0;
  // Fetch calls at a time over all channels, each in a partition of its own; at most `partitions` are used.
  int depth = 4;
  int64_t max_bytes = 3'600'000;
  // Verbatim batches instead of records.
  bool stored_batches = false;
  // Fetch: parse each answer as a client that uses its records must, rather than only count them.
  bool decode = false;
};

// Fetch calls from the beginning to the end of every partition, and again until the window is over.
absl::StatusOr<Tally> RunFetch(const ReadLoad& load, const Channels& channels, const Window& window);

// One Subscribe stream for each channel, over all partitions from the earliest record to `end_offset` each.
// The clock runs from the opening to the end of the streams; *seconds says how long that was.
absl::StatusOr<Tally> RunSubscribe(const ReadLoad& load, int64_t end_offset, const Channels& channels,
                                   double* seconds);

// Records in a FetchResponse or in a PartitionDelivery: how many, their bytes on the wire, and next_offset.
struct Counted {
  int64_t records = 0;
  int64_t bytes = 0;
  int64_t next_offset = 0;
  int64_t high_watermark = 0;
};
// `next_field` and `watermark_field` are the message's numbers of those two. False: not such a message.
bool CountRecords(std::string_view message, uint32_t next_field, uint32_t watermark_field, Counted& counted);

}  // namespace naru::bench
