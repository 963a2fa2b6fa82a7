#include "tools/cli/terminal.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <iostream>

namespace naru::cli {
namespace {

constexpr size_t kPieceBytes = 64 << 10;

volatile bool interrupted = false;

void OnSignal(int signal) {
  interrupted = true;
  // Whoever asks twice does not want to wait for the clean end.
  ::signal(signal, SIG_DFL);
}

}  // namespace

void CatchSignals() {
  struct sigaction action = {};
  action.sa_handler = OnSignal;
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
}

const volatile bool& Interrupted() { return interrupted; }

bool Confirm(const std::string& question) {
  if (::isatty(STDIN_FILENO) == 0) return false;
  std::fprintf(stderr, "%s [y/N] ", question.c_str());
  std::string answer;
  std::getline(std::cin, answer);
  return answer == "y" || answer == "Y" || answer == "yes";
}

void Output::Write(std::string_view text) {
  buffer_ += text;
  Written();
}

void Output::Written() {
  if (buffer_.size() >= kPieceBytes) Flush();
}

void Output::CheckReader() {
  pollfd descriptor = {.fd = STDOUT_FILENO, .events = 0, .revents = 0};
  if (::poll(&descriptor, 1, 0) > 0 && (descriptor.revents & POLLERR) != 0) closed_ = true;
}

void Output::Flush() {
  std::string_view rest = buffer_;
  while (!rest.empty() && !closed_ && error_ == 0) {
    const ssize_t written = ::write(STDOUT_FILENO, rest.data(), rest.size());
    if (written >= 0) {
      rest.remove_prefix(static_cast<size_t>(written));
    } else if (errno == EPIPE) {
      closed_ = true;
    } else if (errno != EINTR) {
      error_ = errno;
    }
  }
  buffer_.clear();
}

}  // namespace naru::cli
