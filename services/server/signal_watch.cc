#include "services/server/signal_watch.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

namespace naru::services {
namespace {

// Ends the watching thread.
constexpr int kEndOfWatch = SIGUSR2;

sigset_t WatchedSignals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGTERM, SIGINT, kEndOfWatch}) sigaddset(&set, signal);
  return set;
}

}  // namespace

SignalWatch::SignalWatch() {
  const sigset_t set = WatchedSignals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  // A peer that closes its connection is an error of that write, not the end of the process.
  signal(SIGPIPE, SIG_IGN);
  thread_ = std::thread([this] { Watch(); });
}

SignalWatch::~SignalWatch() {
  pthread_kill(thread_.native_handle(), kEndOfWatch);
  thread_.join();
}

void SignalWatch::Watch() {
  const sigset_t set = WatchedSignals();
  while (true) {
    int signal = 0;
    if (sigwait(&set, &signal) != 0) continue;
    if (signal == kEndOfWatch) return;
    if (!waiting_.HasBeenNotified()) _exit(0);
    if (signalled_.HasBeenNotified()) _exit(128 + signal);
    signal_ = signal;
    signalled_.Notify();
  }
}

int SignalWatch::Wait() {
  waiting_.Notify();
  signalled_.WaitForNotification();
  return signal_;
}

}  // namespace naru::services
