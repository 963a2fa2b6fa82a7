// Decompression of anything: no crash, never more than the cap, the same result however the input is cut up;
// and what is compressed comes back.
//
// Input: one byte of codec and direction, one byte of chunk size, two bytes of cap, then the bytes.
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/strings/cord.h"
#include "storage/base/check.h"
#include "storage/base/status.h"
#include "storage/batch/compression.h"

namespace naru {
namespace {

absl::Cord InChunks(std::string_view bytes, size_t chunk_bytes) {
  absl::Cord cord;
  for (; !bytes.empty(); bytes.remove_prefix(std::min(chunk_bytes, bytes.size()))) {
    const std::string_view piece = bytes.substr(0, chunk_bytes);
    cord.Append(absl::MakeCordFromExternal(absl::string_view(piece.data(), piece.size()), [] {}));
  }
  return cord;
}

void Run(std::string_view input) {
  constexpr size_t kHeadBytes = 4;
  if (input.size() < kHeadBytes) return;
  const auto at = [&](size_t i) { return static_cast<uint8_t>(input[i]); };
  const auto codec = static_cast<Codec>(at(0) % 5);
  const bool round_trip = at(0) >= 128;
  const size_t chunk_bytes = 1 + at(1);
  const size_t output_bytes_max = at(2) << 8 | at(3);
  const std::string_view bytes = input.substr(kHeadBytes);

  if (round_trip) {
    const auto compressed = Compress(codec, bytes);
    NARU_CHECK_OK(compressed.status());
    const auto plain = Decompress(codec, InChunks(*compressed, chunk_bytes), bytes.size());
    NARU_CHECK_OK(plain.status());
    NARU_CHECK(*plain == bytes);
    return;
  }
  const auto plain = Decompress(codec, InChunks(bytes, chunk_bytes), output_bytes_max);
  const auto plain_in_one =
      Decompress(codec, InChunks(bytes, std::max<size_t>(bytes.size(), 1)), output_bytes_max);
  NARU_CHECK(plain.ok() == plain_in_one.ok());
  if (plain.ok()) {
    NARU_CHECK(*plain == *plain_in_one);
    NARU_CHECK(plain->size() <= output_bytes_max);
  } else {
    const auto reason = ReasonOf(plain.status());
    NARU_CHECK(reason == Reason::kBatchTooLarge || reason == Reason::kMalformedBatch);
  }
}

}  // namespace
}  // namespace naru

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  naru::Run(std::string_view(reinterpret_cast<const char*>(data), size));
  return 0;
}
