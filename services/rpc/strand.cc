#include "services/rpc/strand.h"

#include <deque>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace naru::services {

// Shared, since the last task may destroy the strand's owner while it is being drained.
struct Strand::State {
  absl::Mutex mutex;
  bool running ABSL_GUARDED_BY(mutex) = false;
  std::deque<Task> tasks ABSL_GUARDED_BY(mutex);

  // True: the caller must see to it that Drain runs.
  bool Push(Task task) {
    absl::MutexLock lock(&mutex);
    tasks.push_back(std::move(task));
    return !std::exchange(running, true);
  }
};

Strand::Strand(Executor& executor) : executor_(executor), state_(std::make_shared<State>()) {}

void Strand::Run(Task task) {
  const std::shared_ptr<State> state = state_;
  if (state->Push(std::move(task))) Drain(state);
}

void Strand::Post(Task task) {
  // Kept here: the task may run, and destroy the strand's owner, before this is through.
  Executor& executor = executor_;
  std::shared_ptr<State> state = state_;
  if (state->Push(std::move(task))) executor.Run([state = std::move(state)] { Drain(state); });
}

void Strand::Drain(const std::shared_ptr<State>& state) {
  while (true) {
    Task task;
    {
      absl::MutexLock lock(&state->mutex);
      if (state->tasks.empty()) {
        state->running = false;
        return;
      }
      task = std::move(state->tasks.front());
      state->tasks.pop_front();
    }
    task();
  }
}

}  // namespace naru::services
