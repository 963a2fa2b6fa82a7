// Limits of the consume service. Validated once at start-up.
#pragma once

#include <cstdint>

#include "absl/status/status.h"

namespace naru::services {

struct ConsumeOptions {
  // Of one answer or delivery, bytes; requests may ask for less. 64 KiB to 64 MiB; below what clients receive
  // (4 MiB by default).
  int64_t message_bytes_max = 3'670'016;
  // The largest batch that the produce service accepts, bytes: what a read may bring at least. 1 KiB to 64
  // MiB.
  int64_t batch_bytes_max = int64_t{2} << 20;
  // Bytes read for clients and not taken by gRPC yet, of all calls and streams together. Above it they wait
  // in turn; above a quarter of it each gets a share only. At least twice message_bytes_max.
  int64_t memory_bytes = int64_t{128} << 20;
  // While others wait for that memory, calls and streams whose message lies unread for longer than this, in
  // milliseconds, are cut off, the longest unread first: a client that never reads cannot stop the others. At
  // least 100.
  int64_t stalled_after_ms = 10'000;
  // A stream's messages begin with this size, bytes, and double each time that the client has taken eight
  // full ones within a second each: what a client that never reads pins is a few of these. 1 KiB to
  // message_bytes_max.
  int64_t stream_first_message_bytes = int64_t{64} << 10;
  // Upper bound of FetchRequest.max_wait_ms. At least 0.
  int64_t wait_ms_max = 60'000;
  // Partitions of one subscription. At least 1.
  int64_t subscription_partitions_max = 20'000;

  // INVALID_FIELD, naming the option.
  absl::Status Validate() const;
};

}  // namespace naru::services
