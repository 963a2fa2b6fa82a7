#include "tools/cli/screen.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace naru::cli {
namespace {

constexpr const char* kClear = "\x1b[2J";
constexpr const char* kHome = "\x1b[H";
constexpr const char* kClearToEndOfLine = "\x1b[K";
constexpr const char* kClearBelow = "\x1b[J";

// The first `columns` code points.
std::string Cut(const std::string& line, int columns) {
  int seen = 0;
  for (size_t i = 0; i < line.size(); ++i) {
    const bool begins = (static_cast<unsigned char>(line[i]) & 0xc0) != 0x80;
    if (begins && seen++ == columns) return line.substr(0, i);
  }
  return line;
}

}  // namespace

std::string RenderFrame(std::string_view text, int rows, int columns) {
  if (text.ends_with('\n')) text.remove_suffix(1);
  std::vector<std::string> lines = absl::StrSplit(std::string(text), '\n');
  const auto room = static_cast<size_t>(std::max(rows, 1));
  if (lines.size() > room) {
    const size_t left_out = lines.size() - room + 1;
    lines.resize(room - 1);
    lines.push_back(absl::StrCat("... ", left_out, " more lines"));
  }
  std::string frame = kHome;
  for (size_t i = 0; i < lines.size(); ++i) {
    // No line end behind the last, which would scroll a full screen.
    absl::StrAppend(&frame, i > 0 ? "\r\n" : "", Cut(lines[i], columns), kClearToEndOfLine);
  }
  return absl::StrCat(frame, kClearBelow);
}

bool Screen::IsThere() { return ::isatty(STDOUT_FILENO) != 0; }

void Screen::Paint(std::string_view text) {
  winsize size = {};
  const bool known = ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 && size.ws_col > 0;
  if (!painted_) output_.Write(kClear);
  painted_ = true;
  output_.Write(RenderFrame(text, known ? size.ws_row : 24, known ? size.ws_col : 80));
  output_.Flush();
}

}  // namespace naru::cli
