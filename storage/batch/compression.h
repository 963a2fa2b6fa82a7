// The codecs of the API: gzip (RFC 1952), LZ4 frame, zstd, snappy block. Pure, thread-safe.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/strings/cord.h"
#include "storage/batch/batch.h"

namespace naru {

// "none", "gzip", "lz4", "zstd", "snappy".
std::string_view CodecName(Codec codec);

absl::StatusOr<std::string> Compress(Codec codec, std::string_view data);

// BATCH_TOO_LARGE as soon as the output would pass `output_bytes_max` (no bombs: memory stays within about
// that); MALFORMED_BATCH (rule "compressed") when the input is not the codec's, is cut short or has bytes
// behind its end.
absl::StatusOr<std::string> Decompress(Codec codec, const absl::Cord& data, size_t output_bytes_max);

}  // namespace naru
