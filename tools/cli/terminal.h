// What a command has to do with the terminal and the shell: Ctrl-C, consent, pipes that close, output that is
// buffered.
#pragma once

#include <string>
#include <string_view>

namespace naru::cli {

// SIGINT and SIGTERM set a flag from now on, and the second ends the process; SIGPIPE is ignored, so that
// writing to a closed pipe is an error like any other.
void CatchSignals();
// Set by SIGINT and SIGTERM.
const volatile bool& Interrupted();

// Asks on the terminal; a standard input that is none gives no consent.
bool Confirm(const std::string& question);

// Standard output with a buffer. Not thread-safe.
class Output {
 public:
  ~Output() { Flush(); }
  // Writes, in pieces of about 64 KiB.
  void Write(std::string_view text);
  // Room to append to; call Written behind it.
  std::string& buffer() { return buffer_; }
  void Written();
  void Flush();
  // Looks whether the reader has gone, without writing.
  void CheckReader();
  // The reader has gone (as with `| head`): nothing more needs writing.
  bool closed() const { return closed_; }
  // Writing failed otherwise, as on a full disk; errno, or 0.
  int error() const { return error_; }

 private:
  std::string buffer_;
  bool closed_ = false;
  int error_ = 0;
};

}  // namespace naru::cli
