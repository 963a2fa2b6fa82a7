// A text that is painted over itself again and again on a terminal.
#pragma once

#include <string>
#include <string_view>

#include "tools/cli/terminal.h"

namespace naru::cli {

// What paints `text`, UTF-8 in lines, over what was there, on a terminal of this size: lines that are too
// long are cut, and where there are too many the last line says how many more.
std::string RenderFrame(std::string_view text, int rows, int columns);

// Not thread-safe.
class Screen {
 public:
  // Standard output is a terminal.
  static bool IsThere();

  explicit Screen(Output& output) : output_(output) {}
  void Paint(std::string_view text);

 private:
  Output& output_;
  bool painted_ = false;
};

}  // namespace naru::cli
