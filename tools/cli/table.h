// Columns under headings, aligned, two spaces apart. Not thread-safe.
#pragma once

#include <string>
#include <vector>

namespace naru::cli {

class Table {
 public:
  enum class Align { kLeft, kRight };
  struct Column {
    std::string heading;
    Align align = Align::kLeft;
  };

  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  // As many cells as there are columns.
  void AddRow(std::vector<std::string> cells);
  // Every line ends with a newline; no line ends with spaces.
  std::string Render() const;

 private:
  const std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

// Characters that `text`, UTF-8, takes: code points, which is right for all but wide and combining ones.
size_t DisplayWidth(const std::string& text);

}  // namespace naru::cli
