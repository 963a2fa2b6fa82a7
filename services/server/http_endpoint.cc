#include "services/server/http_endpoint.h"

#include <httplib.h>

#include <atomic>
#include <deque>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "services/server/listen_error.h"

namespace naru::services {
namespace {

constexpr int kThreads = 4;
constexpr size_t kQueuedConnectionsMax = 64;
constexpr time_t kSilenceSecondsMax = 1;
constexpr size_t kRequestsPerConnectionMax = 100;
constexpr size_t kRequestBodyBytesMax = 4096;

// Connections that wait for a thread. A full queue holds the accepting thread back, and with it new
// connections.
class BoundedPool final : public httplib::TaskQueue {
 public:
  BoundedPool() {
    for (int i = 0; i < kThreads; ++i) threads_.emplace_back([this] { Work(); });
  }

  // The library's releases differ in what this returns.
  using EnqueueResult = decltype(std::declval<httplib::TaskQueue&>().enqueue(std::function<void()>()));
  EnqueueResult enqueue(std::function<void()> task) override {
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(this, &BoundedPool::HasRoom));
    tasks_.push_back(std::move(task));
    return EnqueueResult(true);
  }

  void shutdown() override {
    {
      absl::MutexLock lock(&mutex_);
      stopping_ = true;
    }
    for (std::thread& thread : threads_) thread.join();
  }

 private:
  bool HasRoom() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return tasks_.size() < kQueuedConnectionsMax; }
  bool HasWork() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return stopping_ || !tasks_.empty(); }

  void Work() {
    while (true) {
      std::function<void()> task;
      {
        absl::MutexLock lock(&mutex_);
        mutex_.Await(absl::Condition(this, &BoundedPool::HasWork));
        if (tasks_.empty()) return;
        task = std::move(tasks_.front());
        tasks_.pop_front();
      }
      task();
    }
  }

  absl::Mutex mutex_;
  std::deque<std::function<void()>> tasks_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace

class HttpEndpoint::Impl {
 public:
  HostPort address;
  httplib::Server server;
  std::atomic<bool> ended{false};
  std::thread accepting;
};

HttpEndpoint::HttpEndpoint(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

absl::StatusOr<std::unique_ptr<HttpEndpoint>> HttpEndpoint::Start(const HostPort& address,
                                                                  std::map<std::string, Page> pages) {
  auto impl = std::make_unique<Impl>();
  impl->address = address;
  httplib::Server& server = impl->server;
  server.new_task_queue = [] { return new BoundedPool; };
  server.set_read_timeout(kSilenceSecondsMax);
  server.set_write_timeout(kSilenceSecondsMax);
  server.set_keep_alive_timeout(kSilenceSecondsMax);
  server.set_keep_alive_max_count(kRequestsPerConnectionMax);
  server.set_payload_max_length(kRequestBodyBytesMax);
  // Without the library's SO_REUSEPORT: a second server on the port must fail.
  server.set_socket_options([](socket_t socket) {
    const int yes = 1;
    setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
  });
  for (auto& [path, page] : pages) {
    server.Get(path, [page = std::move(page)](const httplib::Request&, httplib::Response& response) {
      HttpAnswer answer = page();
      response.status = answer.status;
      response.set_content(answer.body, answer.content_type.c_str());
    });
  }
  if (address.port == 0) {
    impl->address.port = server.bind_to_any_port(address.host);
    if (impl->address.port <= 0) return ListenError("http", address);
  } else if (!server.bind_to_port(address.host, address.port)) {
    return ListenError("http", address);
  }
  impl->accepting = std::thread([raw = impl.get()] {
    raw->server.listen_after_bind();
    raw->ended = true;
  });
  // stop() does nothing before the loop runs.
  while (!server.is_running() && !impl->ended) std::this_thread::yield();
  return std::unique_ptr<HttpEndpoint>(new HttpEndpoint(std::move(impl)));
}

HttpEndpoint::~HttpEndpoint() {
  impl_->server.stop();
  impl_->accepting.join();
}

const HostPort& HttpEndpoint::address() const { return impl_->address; }

}  // namespace naru::services
