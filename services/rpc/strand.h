// Runs the tasks of one call or stream one at a time, in order, without a thread of its own and without a
// lock held while they run. Thread-safe.
#pragma once

#include <memory>

#include "services/rpc/executor.h"

namespace naru::services {

class Strand {
 public:
  using Task = Executor::Task;

  // `executor` outlives every task.
  explicit Strand(Executor& executor);

  // Runs `task` now, on this thread, if no other task of the strand runs; else the thread that runs one goes
  // on with it. For gRPC's threads.
  void Run(Task task);
  // The same, but never on this thread unless it runs the strand already: for the store's and other threads
  // that must not be kept.
  void Post(Task task);

 private:
  struct State;
  static void Drain(const std::shared_ptr<State>& state);

  Executor& executor_;
  const std::shared_ptr<State> state_;
};

}  // namespace naru::services
