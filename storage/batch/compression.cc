#include "storage/batch/compression.h"

#include <lz4frame.h>
#include <snappy.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "storage/base/check.h"
#include "storage/base/coding.h"
#include "storage/base/status.h"
#include "storage/base/strings.h"
#include "storage/batch/batch_rules.h"

namespace naru {
namespace {

// The first room for output of unknown size; it doubles from there.
constexpr size_t kOutputBytesFirst = 64 << 10;
constexpr uint32_t kZstdFrameMagic = 0xFD2FB528;

absl::Status NotOfCodec(Codec codec, std::string_view what) {
  return RuleError(Rule::kCompressed, "batch.compressed", what,
                   absl::StrCat("exactly one complete ", CodecName(codec),
                                codec == Codec::kGzip     ? " member"
                                : codec == Codec::kSnappy ? " block"
                                                          : " frame"));
}

absl::Status TooLarge(size_t output_bytes_max) {
  return MakeError(Reason::kBatchTooLarge,
                   absl::StrCat("batch.compressed: decompresses to more than is allowed; at most ",
                                output_bytes_max, " bytes"),
                   {{"limit_bytes", absl::StrCat(output_bytes_max)}});
}

// Output that grows by doubling, up to one byte more than the cap: the byte by which bombs are known.
class CappedOutput {
 public:
  explicit CappedOutput(size_t bytes_max) : bytes_max_(bytes_max) {}
  // Makes room where there is none. False: the cap is passed.
  bool EnsureRoom() {
    if (used_ > bytes_max_) return false;
    if (used_ == bytes_.size()) {
      bytes_.resize(std::min(std::max(2 * bytes_.size(), kOutputBytesFirst), bytes_max_ + 1));
    }
    return true;
  }
  char* room() { return bytes_.data() + used_; }
  size_t room_bytes() const { return bytes_.size() - used_; }
  void Use(size_t n) { used_ += n; }
  bool passed() const { return used_ > bytes_max_; }
  std::string Finish() && {
    bytes_.resize(used_);
    return std::move(bytes_);
  }

 private:
  const size_t bytes_max_;
  std::string bytes_;
  size_t used_ = 0;
};

// ---- gzip ----

struct InflateEnd {
  void operator()(z_stream* stream) const {
    inflateEnd(stream);
    delete stream;
  }
};

absl::StatusOr<std::string> GunzipAll(const absl::Cord& data, size_t output_bytes_max) {
  constexpr int kGzipOnly = 16;
  std::unique_ptr<z_stream, InflateEnd> stream(new z_stream{});
  NARU_CHECK(inflateInit2(stream.get(), MAX_WBITS + kGzipOnly) == Z_OK);
  CappedOutput output(output_bytes_max);
  size_t behind = data.size();
  for (const absl::string_view piece : data.Chunks()) {
    std::string_view chunk = Std(piece);
    behind -= chunk.size();
    stream->next_in = reinterpret_cast<Bytef*>(const_cast<char*>(chunk.data()));
    stream->avail_in = static_cast<uInt>(chunk.size());
    // Also without input there may be output to fetch: a full output buffer says nothing about the end.
    for (bool filled = true; stream->avail_in > 0 || filled;) {
      if (!output.EnsureRoom()) return TooLarge(output_bytes_max);
      const size_t room = output.room_bytes();
      stream->next_out = reinterpret_cast<Bytef*>(output.room());
      stream->avail_out = static_cast<uInt>(room);
      const int result = inflate(stream.get(), Z_NO_FLUSH);
      output.Use(room - stream->avail_out);
      if (result == Z_STREAM_END) {
        if (output.passed()) return TooLarge(output_bytes_max);
        if (stream->avail_in + behind > 0) return NotOfCodec(Codec::kGzip, "bytes behind the member");
        return std::move(output).Finish();
      }
      if (result == Z_BUF_ERROR) break;
      if (result != Z_OK) {
        return NotOfCodec(Codec::kGzip, stream->msg != nullptr ? stream->msg : "an unreadable member");
      }
      filled = stream->avail_out == 0;
    }
  }
  if (output.passed()) return TooLarge(output_bytes_max);
  return NotOfCodec(Codec::kGzip, "a member cut short");
}

absl::StatusOr<std::string> Gzip(std::string_view data) {
  constexpr int kGzip = 16;
  constexpr int kMemoryLevel = 8;
  z_stream stream{};
  NARU_CHECK(deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, MAX_WBITS + kGzip, kMemoryLevel,
                          Z_DEFAULT_STRATEGY) == Z_OK);
  std::string output(deflateBound(&stream, data.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(data.data()));
  stream.avail_in = static_cast<uInt>(data.size());
  stream.next_out = reinterpret_cast<Bytef*>(output.data());
  stream.avail_out = static_cast<uInt>(output.size());
  const int result = deflate(&stream, Z_FINISH);
  output.resize(stream.total_out);
  deflateEnd(&stream);
  if (result != Z_STREAM_END)
    return MakeError(Reason::kInternal, absl::StrCat("gzip: deflate answered ", result));
  return output;
}

// ---- lz4 ----

struct Lz4End {
  void operator()(LZ4F_dctx* context) const { LZ4F_freeDecompressionContext(context); }
};

// Whether the frame is one that any decoder can read by itself, judged by its header.
absl::Status CheckLz4Header(LZ4F_dctx* context, const absl::Cord& data, size_t output_bytes_max) {
  const std::string head(data.Subcord(0, LZ4F_HEADER_SIZE_MAX));
  LZ4F_frameInfo_t info{};
  size_t head_size = head.size();
  const size_t result = LZ4F_getFrameInfo(context, &info, head.data(), &head_size);
  if (LZ4F_isError(result)) return NotOfCodec(Codec::kLz4, LZ4F_getErrorName(result));
  if (info.frameType != LZ4F_frame) return NotOfCodec(Codec::kLz4, "a skippable frame");
  if (info.dictID != 0) return NotOfCodec(Codec::kLz4, "a frame that needs a dictionary");
  if (info.contentSize > output_bytes_max) return TooLarge(output_bytes_max);
  LZ4F_resetDecompressionContext(context);
  return absl::OkStatus();
}

absl::StatusOr<std::string> UnLz4(const absl::Cord& data, size_t output_bytes_max) {
  LZ4F_dctx* raw_context = nullptr;
  NARU_CHECK(!LZ4F_isError(LZ4F_createDecompressionContext(&raw_context, LZ4F_VERSION)));
  const std::unique_ptr<LZ4F_dctx, Lz4End> context(raw_context);
  NARU_RETURN_IF_ERROR(CheckLz4Header(context.get(), data, output_bytes_max));
  CappedOutput output(output_bytes_max);
  size_t behind = data.size();
  for (const absl::string_view piece : data.Chunks()) {
    std::string_view chunk = Std(piece);
    behind -= chunk.size();
    for (bool filled = true; !chunk.empty() || filled;) {
      if (!output.EnsureRoom()) return TooLarge(output_bytes_max);
      size_t written = output.room_bytes();
      size_t read = chunk.size();
      const size_t room = written;
      const size_t result =
          LZ4F_decompress(context.get(), output.room(), &written, chunk.data(), &read, nullptr);
      if (LZ4F_isError(result)) return NotOfCodec(Codec::kLz4, LZ4F_getErrorName(result));
      output.Use(written);
      chunk.remove_prefix(read);
      if (result == 0) {
        if (output.passed()) return TooLarge(output_bytes_max);
        if (chunk.size() + behind > 0) return NotOfCodec(Codec::kLz4, "bytes behind the frame");
        return std::move(output).Finish();
      }
      filled = written == room;
    }
  }
  if (output.passed()) return TooLarge(output_bytes_max);
  return NotOfCodec(Codec::kLz4, "a frame cut short");
}

absl::StatusOr<std::string> Lz4(std::string_view data) {
  LZ4F_preferences_t preferences = LZ4F_INIT_PREFERENCES;
  preferences.frameInfo.contentSize = data.size();
  std::string output(LZ4F_compressFrameBound(data.size(), &preferences), '\0');
  const size_t size =
      LZ4F_compressFrame(output.data(), output.size(), data.data(), data.size(), &preferences);
  if (LZ4F_isError(size)) return MakeError(Reason::kInternal, absl::StrCat("lz4: ", LZ4F_getErrorName(size)));
  output.resize(size);
  return output;
}

// ---- zstd ----

struct ZstdEnd {
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};

// In one piece, so that the output is the window: a frame's declared window of up to 2 GiB takes no memory.
absl::Status UnZstdInto(std::string_view frame, char* to, size_t room, size_t& size) {
  const std::unique_ptr<ZSTD_DCtx, ZstdEnd> context(ZSTD_createDCtx());
  NARU_CHECK(context != nullptr);
  size = ZSTD_decompressDCtx(context.get(), to, room, frame.data(), frame.size());
  if (ZSTD_isError(size)) return NotOfCodec(Codec::kZstd, ZSTD_getErrorName(size));
  return absl::OkStatus();
}

absl::StatusOr<std::string> UnZstd(std::string_view data, size_t output_bytes_max) {
  if (data.size() < sizeof kZstdFrameMagic || GetLittle<uint32_t>(data.data()) != kZstdFrameMagic) {
    return NotOfCodec(Codec::kZstd, "no frame");
  }
  const size_t frame_size = ZSTD_findFrameCompressedSize(data.data(), data.size());
  if (ZSTD_isError(frame_size)) return NotOfCodec(Codec::kZstd, ZSTD_getErrorName(frame_size));
  if (frame_size != data.size()) return NotOfCodec(Codec::kZstd, "bytes behind the frame");
  const unsigned long long declared = ZSTD_getFrameContentSize(data.data(), data.size());
  if (declared == ZSTD_CONTENTSIZE_ERROR) return NotOfCodec(Codec::kZstd, "an unreadable frame header");
  size_t size = 0;
  if (declared != ZSTD_CONTENTSIZE_UNKNOWN) {
    if (declared > output_bytes_max) return TooLarge(output_bytes_max);
    std::string output(declared, '\0');
    NARU_RETURN_IF_ERROR(UnZstdInto(data, output.data(), output.size(), size));
    output.resize(size);
    return output;
  }
  // Written by a streaming compressor. Room for the most is asked for, and only what is used is ever touched.
  struct Free {
    void operator()(char* p) const { std::free(p); }
  };
  const std::unique_ptr<char, Free> room(static_cast<char*>(std::malloc(output_bytes_max + 1)));
  NARU_CHECK(room != nullptr);
  const absl::Status status = UnZstdInto(data, room.get(), output_bytes_max, size);
  if (ZSTD_isError(size) && ZSTD_getErrorCode(size) == ZSTD_error_dstSize_tooSmall)
    return TooLarge(output_bytes_max);
  NARU_RETURN_IF_ERROR(status);
  return std::string(room.get(), size);
}

absl::StatusOr<std::string> Zstd(std::string_view data) {
  std::string output(ZSTD_compressBound(data.size()), '\0');
  const size_t size =
      ZSTD_compress(output.data(), output.size(), data.data(), data.size(), ZSTD_CLEVEL_DEFAULT);
  if (ZSTD_isError(size))
    return MakeError(Reason::kInternal, absl::StrCat("zstd: ", ZSTD_getErrorName(size)));
  output.resize(size);
  return output;
}

// ---- snappy ----

absl::StatusOr<std::string> UnSnappy(std::string_view data, size_t output_bytes_max) {
  size_t declared;
  if (!snappy::GetUncompressedLength(data.data(), data.size(), &declared)) {
    return NotOfCodec(Codec::kSnappy, "an unreadable length");
  }
  if (declared > output_bytes_max) return TooLarge(output_bytes_max);
  std::string output(declared, '\0');
  if (!snappy::RawUncompress(data.data(), data.size(), output.data())) {
    return NotOfCodec(Codec::kSnappy, "an unreadable block");
  }
  return output;
}

}  // namespace

std::string_view CodecName(Codec codec) {
  switch (codec) {
    case Codec::kNone:
      return "none";
    case Codec::kGzip:
      return "gzip";
    case Codec::kLz4:
      return "lz4";
    case Codec::kZstd:
      return "zstd";
    case Codec::kSnappy:
      return "snappy";
  }
  return "unknown";
}

absl::StatusOr<std::string> Compress(Codec codec, std::string_view data) {
  if (data.size() > static_cast<size_t>(kBatchBytesCeiling)) return TooLarge(kBatchBytesCeiling);
  switch (codec) {
    case Codec::kNone:
      return std::string(data);
    case Codec::kGzip:
      return Gzip(data);
    case Codec::kLz4:
      return Lz4(data);
    case Codec::kZstd:
      return Zstd(data);
    case Codec::kSnappy: {
      std::string output;
      snappy::Compress(data.data(), data.size(), &output);
      return output;
    }
  }
  return MakeError(Reason::kInternal, absl::StrCat("codec ", static_cast<int>(codec), " is unknown"));
}

absl::StatusOr<std::string> Decompress(Codec codec, const absl::Cord& data, size_t output_bytes_max) {
  output_bytes_max = std::min(output_bytes_max, static_cast<size_t>(kBatchBytesCeiling));
  if (data.empty() && codec != Codec::kNone) return NotOfCodec(codec, "nothing");
  switch (codec) {
    case Codec::kNone:
      if (data.size() > output_bytes_max) return TooLarge(output_bytes_max);
      return std::string(data);
    case Codec::kGzip:
      return GunzipAll(data, output_bytes_max);
    case Codec::kLz4:
      return UnLz4(data, output_bytes_max);
    case Codec::kZstd:
    case Codec::kSnappy: {
      absl::Cord copy = data;
      const std::string_view flat = Std(copy.Flatten());
      return codec == Codec::kZstd ? UnZstd(flat, output_bytes_max) : UnSnappy(flat, output_bytes_max);
    }
  }
  return MakeError(Reason::kInternal, absl::StrCat("codec ", static_cast<int>(codec), " is unknown"));
}

}  // namespace naru
