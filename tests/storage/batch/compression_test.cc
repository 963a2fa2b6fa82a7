#include "storage/batch/compression.h"

#include <gtest/gtest.h>
#include <lz4frame.h>
#include <zlib.h>
#include <zstd.h>

#include <cinttypes>
#include <cstdio>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "storage/base/status.h"
#include "tests/storage/batch/batch_bytes.h"

namespace naru {
namespace {

using batch_bytes::InChunks;
using batch_bytes::kCodecs;

constexpr size_t kCap = 2 << 20;

std::vector<std::string> Samples() {
  std::mt19937 random(7);
  std::string noise(100'000, '\0');
  for (char& c : noise) c = static_cast<char>(random());
  return {"",
          "x",
          "hello hello hello hello",
          std::string(1'000'000, 'a'),
          noise,
          noise + std::string(300'000, 'z')};
}

void ExpectRule(const absl::StatusOr<std::string>& result, std::string_view what) {
  EXPECT_EQ(ReasonOf(result.status()), Reason::kMalformedBatch) << what << result.status();
  EXPECT_EQ(MetadataValue(result.status(), "rule"), "compressed") << what;
}

// As a client that streams writes it: the header does not say how long the content is, and names a large
// window.
std::string StreamedZstd(std::string_view data, int window_log) {
  ZSTD_CCtx* context = ZSTD_createCCtx();
  EXPECT_FALSE(ZSTD_isError(ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, window_log)));
  std::string output(ZSTD_compressBound(data.size()) + 64, '\0');
  ZSTD_outBuffer to{output.data(), output.size(), 0};
  ZSTD_inBuffer from{data.data(), data.size(), 0};
  while (from.pos < from.size) ZSTD_compressStream2(context, &to, &from, ZSTD_e_continue);
  ZSTD_inBuffer none{nullptr, 0, 0};
  EXPECT_EQ(ZSTD_compressStream2(context, &to, &none, ZSTD_e_end), 0u);
  ZSTD_freeCCtx(context);
  output.resize(to.pos);
  return output;
}

std::string Lz4With(std::string_view data, const LZ4F_preferences_t& preferences) {
  std::string output(LZ4F_compressFrameBound(data.size(), &preferences), '\0');
  output.resize(LZ4F_compressFrame(output.data(), output.size(), data.data(), data.size(), &preferences));
  return output;
}

TEST(Compression, GivesBackWhatWentIn) {
  for (const std::string& sample : Samples()) {
    for (const Codec codec : kCodecs) {
      const auto compressed = Compress(codec, sample);
      ASSERT_TRUE(compressed.ok()) << CodecName(codec) << compressed.status();
      for (const size_t chunk_bytes : {size_t{7}, size_t{4096}, compressed->size()}) {
        const auto plain = Decompress(codec, InChunks(*compressed, chunk_bytes), kCap);
        ASSERT_TRUE(plain.ok()) << CodecName(codec) << sample.size() << plain.status();
        EXPECT_EQ(*plain, sample);
      }
    }
  }
}

TEST(Compression, KeepsToTheCapExactly) {
  for (const std::string& sample : Samples()) {
    if (sample.empty()) continue;
    for (const Codec codec : kCodecs) {
      const absl::Cord compressed(*Compress(codec, sample));
      EXPECT_TRUE(Decompress(codec, compressed, sample.size()).ok()) << CodecName(codec) << sample.size();
      const auto over = Decompress(codec, compressed, sample.size() - 1);
      EXPECT_EQ(ReasonOf(over.status()), Reason::kBatchTooLarge) << CodecName(codec) << sample.size();
      EXPECT_EQ(MetadataValue(over.status(), "limit_bytes"), std::to_string(sample.size() - 1));
    }
    for (const std::string& streamed : {StreamedZstd(sample, 20), Lz4With(sample, LZ4F_INIT_PREFERENCES)}) {
      const Codec codec = streamed[0] == 0x04 ? Codec::kLz4 : Codec::kZstd;
      EXPECT_TRUE(Decompress(codec, absl::Cord(streamed), sample.size()).ok()) << sample.size();
      const auto over = Decompress(codec, absl::Cord(streamed), sample.size() - 1);
      EXPECT_EQ(ReasonOf(over.status()), Reason::kBatchTooLarge) << sample.size() << over.status();
    }
  }
}

TEST(Compression, RefusesWhatIsCutShort) {
  const std::string sample = "some text some text some text, more text and more";
  for (const Codec codec : kCodecs) {
    const std::string compressed = *Compress(codec, sample);
    for (size_t n = 0; n < compressed.size(); ++n) {
      ExpectRule(Decompress(codec, absl::Cord(compressed.substr(0, n)), kCap), CodecName(codec));
    }
  }
}

TEST(Compression, RefusesBytesBehindTheEnd) {
  for (const Codec codec : kCodecs) {
    const std::string compressed = *Compress(codec, "some text");
    for (const std::string& behind :
         {std::string(1, '\0'), std::string("x"), compressed, *Compress(codec, "")}) {
      const std::string bytes = compressed + behind;
      ExpectRule(Decompress(codec, absl::Cord(bytes), kCap), CodecName(codec));
      ExpectRule(Decompress(codec, InChunks(bytes, compressed.size()), kCap), CodecName(codec));
    }
  }
}

TEST(Compression, RefusesFramesThatOnlySomeDecodersRead) {
  const std::string skippable = std::string("\x50\x2a\x4d\x18\x04\x00\x00\x00skip", 12);
  for (const Codec codec : {Codec::kZstd, Codec::kLz4}) {
    ExpectRule(Decompress(codec, absl::Cord(skippable), kCap), CodecName(codec));
    ExpectRule(Decompress(codec, absl::Cord(skippable + *Compress(codec, "text")), kCap), CodecName(codec));
  }
  LZ4F_preferences_t with_dictionary = LZ4F_INIT_PREFERENCES;
  with_dictionary.frameInfo.dictID = 7;
  ExpectRule(Decompress(Codec::kLz4, absl::Cord(Lz4With("text", with_dictionary)), kCap), "dictionary");
}

TEST(Compression, RefusesWhatAnotherCodecWrote) {
  for (const Codec wrote : kCodecs) {
    for (const Codec reads : kCodecs) {
      if (wrote == reads) continue;
      const auto result = Decompress(reads, absl::Cord(*Compress(wrote, std::string(1000, 'x'))), kCap);
      EXPECT_FALSE(result.ok()) << CodecName(wrote) << " as " << CodecName(reads);
    }
  }
}

TEST(Compression, ReadsFramesOfStreamingCompressors) {
  for (const std::string& sample : Samples()) {
    const auto plain = Decompress(Codec::kZstd, absl::Cord(StreamedZstd(sample, 27)), kCap);
    ASSERT_TRUE(plain.ok()) << plain.status();
    EXPECT_EQ(*plain, sample);
    LZ4F_preferences_t preferences = LZ4F_INIT_PREFERENCES;
    preferences.frameInfo.blockMode = LZ4F_blockIndependent;
    preferences.frameInfo.blockSizeID = LZ4F_max4MB;
    preferences.frameInfo.contentChecksumFlag = LZ4F_contentChecksumEnabled;
    const std::string lz4 = Lz4With(sample, preferences);
    for (const size_t chunk_bytes : {size_t{1}, size_t{1000}, lz4.size()}) {
      if (chunk_bytes == 1 && lz4.size() > 10'000) continue;
      const auto read = Decompress(Codec::kLz4, InChunks(lz4, chunk_bytes), kCap);
      ASSERT_TRUE(read.ok()) << read.status();
      EXPECT_EQ(*read, sample);
    }
  }
}

TEST(Compression, NoticesBitsThatFlippedWhereTheCodecHasAChecksum) {
  std::string gzip = *Compress(Codec::kGzip, "some text some text");
  gzip[gzip.size() - 6] ^= 1;
  ExpectRule(Decompress(Codec::kGzip, absl::Cord(gzip), kCap), "gzip");
}

// Forgets the peak of this process's memory, so that PeakMemoryBytes tells what came after.
void ForgetPeakMemory() { std::ofstream("/proc/self/clear_refs") << "5"; }

int64_t PeakMemoryBytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    int64_t kib = 0;
    if (std::sscanf(line.c_str(), "VmHWM: %" SCNd64 " kB", &kib) == 1) return kib * 1024;
  }
  ADD_FAILURE() << "no VmHWM in /proc/self/status";
  return 0;
}

TEST(Compression, DefusesBombsWithinAboutTheCapOfMemory) {
  constexpr size_t kBombBytes = size_t{1} << 30;
  const std::string block(1 << 20, '\0');

  std::string gzip(4 << 20, '\0');
  z_stream stream{};
  ASSERT_EQ(deflateInit2(&stream, 9, Z_DEFLATED, MAX_WBITS + 16, 9, Z_DEFAULT_STRATEGY), Z_OK);
  stream.next_out = reinterpret_cast<Bytef*>(gzip.data());
  stream.avail_out = static_cast<uInt>(gzip.size());
  for (size_t at = 0; at < kBombBytes / 8; at += block.size()) {
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(block.data()));
    stream.avail_in = static_cast<uInt>(block.size());
    ASSERT_EQ(deflate(&stream, Z_NO_FLUSH), Z_OK);
  }
  ASSERT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  gzip.resize(stream.total_out);
  deflateEnd(&stream);

  std::string zstd(4 << 20, '\0');
  ZSTD_CCtx* context = ZSTD_createCCtx();
  ZSTD_outBuffer to{zstd.data(), zstd.size(), 0};
  for (size_t at = 0; at < kBombBytes; at += block.size()) {
    ZSTD_inBuffer from{block.data(), block.size(), 0};
    while (from.pos < from.size) ZSTD_compressStream2(context, &to, &from, ZSTD_e_continue);
  }
  ZSTD_inBuffer none{nullptr, 0, 0};
  ASSERT_EQ(ZSTD_compressStream2(context, &to, &none, ZSTD_e_end), 0u);
  ZSTD_freeCCtx(context);
  zstd.resize(to.pos);

  // A frame of 4 MiB blocks, repeated.
  LZ4F_preferences_t preferences = LZ4F_INIT_PREFERENCES;
  preferences.frameInfo.blockSizeID = LZ4F_max4MB;
  std::string lz4 = Lz4With(std::string(64 << 20, '\0'), preferences);

  // Says 1 GiB, holds next to nothing.
  std::string snappy;
  wire::AppendVarint(snappy, kBombBytes);
  snappy += "\xfe\x01\x01";

  ForgetPeakMemory();
  const int64_t before = PeakMemoryBytes();
  for (const auto& [codec, bomb] : {std::pair(Codec::kGzip, &gzip), std::pair(Codec::kZstd, &zstd),
                                    std::pair(Codec::kLz4, &lz4), std::pair(Codec::kSnappy, &snappy)}) {
    const auto result = Decompress(codec, absl::Cord(*bomb), kCap);
    EXPECT_EQ(ReasonOf(result.status()), Reason::kBatchTooLarge) << CodecName(codec) << result.status();
  }
  // The bombs would need 64 MiB to 1 GiB; a sanitizer keeps books of its own beside the cap.
  EXPECT_LT(PeakMemoryBytes() - before, 48 << 20);
}

TEST(Compression, RefusesToCompressMoreThanAnyLimitAllows) {
  const std::string too_much(static_cast<size_t>(kBatchBytesCeiling) + 1, 'x');
  EXPECT_EQ(ReasonOf(Compress(Codec::kLz4, too_much).status()), Reason::kBatchTooLarge);
}

}  // namespace
}  // namespace naru
