// The codecs of the API: gzip (RFC 1952), LZ4 frame, zstd (RFC 8878), snappy block. Pure, thread-safe.
//
// Data is exactly one gzip member, LZ4 frame, zstd frame or snappy block. The formats allow several in a row,
// and frames to be skipped or read with a dictionary, but many decoders stop after the first or cannot: what
// one consumer reads and another does not is refused at the entry.
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
// behind its end, or is of a kind that is refused (see above). Besides the output and one copy of the input,
// a decoder takes at most about 10 MiB (an LZ4 frame of 4 MiB blocks); a zstd frame's declared window takes
// nothing.
absl::StatusOr<std::string> Decompress(Codec codec, const absl::Cord& data, size_t output_bytes_max);

}  // namespace naru
