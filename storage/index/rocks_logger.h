// What RocksDB has to say, as events ("rocksdb"). Its own way, a file beside its data, is a write to the same
// disk: on a full one RocksDB 7.8 fails an assertion in closing that file (WritableFileWriter,
// sync_without_flush_called_), and with it goes the process. Private to this folder.
#pragma once

#include <rocksdb/env.h>

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <string>
#include <string_view>
#include <utility>

#include "storage/base/event_log.h"

namespace naru {

// Thread-safe, as `events` is; `events` outlives the database.
class RocksLogger final : public rocksdb::Logger {
 public:
  RocksLogger(std::string directory, EventLog& events)
      : rocksdb::Logger(rocksdb::InfoLogLevel::WARN_LEVEL),
        directory_(std::move(directory)),
        events_(events) {}

  using rocksdb::Logger::Logv;
  void Logv(rocksdb::InfoLogLevel level, const char* format, va_list values) override {
    // Headers are written whatever the level.
    if (level < GetInfoLogLevel() || level == rocksdb::InfoLogLevel::HEADER_LEVEL) return;
    char text[kTextBytesMax];
    const int length = std::vsnprintf(text, sizeof(text), format, values);
    if (length <= 0) return;
    std::string_view said(text, std::min<size_t>(static_cast<size_t>(length), sizeof(text) - 1));
    while (!said.empty() && said.back() == '\n') said.remove_suffix(1);
    const bool warns = level == rocksdb::InfoLogLevel::WARN_LEVEL;
    events_.Write(warns ? Severity::kWarning : Severity::kError, "rocksdb",
                  {{"directory", directory_}, {"text", said}});
  }
  void LogHeader(const char* /*format*/, va_list /*values*/) override {}

 private:
  // More than that is cut off.
  static constexpr size_t kTextBytesMax = 1'024;

  const std::string directory_;
  EventLog& events_;
};

}  // namespace naru
