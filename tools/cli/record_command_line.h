// `naru produce` and `naru offsets` on the command line.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "tools/cli/arguments.h"
#include "tools/cli/command_builder.h"

namespace naru::cli {

// Holds what the options are parsed into, so it outlives the parsing and the command's run.
class RecordCommandLine {
 public:
  explicit RecordCommandLine(const CommandContext& context) : context_(context) {}
  void AddTo(CLI::App& app);

 private:
  void AddProduce(CLI::App& app);
  void AddProduceTuning(CLI::App* produce);
  void AddOffsets(CLI::App& app);

  const CommandContext context_;
  ProduceArguments produce_;
  OffsetsArguments offsets_;
  // Texts of options that are kept in another form.
  std::string input_, partition_, acks_, compression_, batch_bytes_, linger_, at_;
  std::vector<std::string> header_texts_;
};

}  // namespace naru::cli
