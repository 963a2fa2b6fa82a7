// One line on standard error that tells how far a long command is. Not thread-safe.
#pragma once

#include <cstdint>
#include <string>

#include "absl/time/time.h"

namespace naru::cli {

struct Progress {
  int64_t records = 0;
  int64_t bytes = 0;        // of the input, read
  int64_t total_bytes = 0;  // of the input; 0: not known
  int64_t acknowledged = 0;
  absl::Duration elapsed;
};

// The line without line ends, for a terminal `width` characters wide.
std::string RenderProgress(const Progress& progress, int width);

class ProgressLine {
 public:
  // Shows nothing unless standard error is a terminal.
  explicit ProgressLine(bool wanted);
  ~ProgressLine() { Clear(); }

  bool visible() const { return visible_; }
  // Draws at most five times a second.
  void Update(const Progress& progress);
  // Removes the line, so that something else can be printed.
  void Clear();

 private:
  const bool visible_;
  bool drawn_ = false;
  absl::Time next_ = absl::InfinitePast();
};

}  // namespace naru::cli
