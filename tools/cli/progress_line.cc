#include "tools/cli/progress_line.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "tools/cli/quantity.h"

namespace naru::cli {
namespace {

int TerminalWidth() {
  winsize size = {};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

}  // namespace

std::string RenderProgress(const Progress& progress, int width) {
  const double seconds = std::max(absl::ToDoubleSeconds(progress.elapsed), 0.001);
  std::string facts =
      absl::StrFormat("%d records, %d acknowledged, %.0f/s", progress.records, progress.acknowledged,
                      static_cast<double>(progress.acknowledged) / seconds);
  if (progress.total_bytes <= 0) {
    absl::StrAppend(&facts, ", ", FormatBytes(progress.bytes));
    return facts.substr(0, static_cast<size_t>(std::max(width - 1, 0)));
  }
  const double done =
      std::clamp(static_cast<double>(progress.bytes) / static_cast<double>(progress.total_bytes), 0.0, 1.0);
  const int bar_width = std::clamp(width - static_cast<int>(facts.size()) - 10, 0, 40);
  const int filled = static_cast<int>(done * bar_width);
  std::string line;
  if (bar_width >= 10) {
    line = absl::StrCat("[", std::string(static_cast<size_t>(filled), '#'),
                        std::string(static_cast<size_t>(bar_width - filled), '.'), "] ");
  }
  absl::StrAppendFormat(&line, "%3.0f %% %s", done * 100, facts);
  return line.substr(0, static_cast<size_t>(std::max(width - 1, 0)));
}

ProgressLine::ProgressLine(bool wanted) : visible_(wanted && isatty(STDERR_FILENO) != 0) {}

void ProgressLine::Update(const Progress& progress) {
  const absl::Time now = absl::Now();
  if (!visible_ || now < next_) return;
  next_ = now + absl::Milliseconds(200);
  drawn_ = true;
  std::fprintf(stderr, "\r\x1b[K%s", RenderProgress(progress, TerminalWidth()).c_str());
  std::fflush(stderr);
}

void ProgressLine::Clear() {
  if (!drawn_) return;
  drawn_ = false;
  std::fprintf(stderr, "\r\x1b[K");
  std::fflush(stderr);
}

}  // namespace naru::cli
