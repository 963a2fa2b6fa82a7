#include "services/server/http_endpoint.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <list>
#include <thread>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "services/server/http_connection.h"
#include "services/server/http_request.h"
#include "services/server/listen_error.h"
#include "storage/base/check.h"

namespace naru::services {
namespace {

using Time = HttpConnection::Time;

constexpr size_t kConnectionsMax = 64;
// How long not to accept when there is no file for a connection.
constexpr std::chrono::milliseconds kAcceptPause{100};
constexpr int kBacklog = 128;

// A socket that listens and does not block; -1.
int ListenOn(const addrinfo& candidate) {
  const int fd = socket(candidate.ai_family, candidate.ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC,
                        candidate.ai_protocol);
  if (fd < 0) return -1;
  const int yes = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
  if (bind(fd, candidate.ai_addr, candidate.ai_addrlen) == 0 && listen(fd, kBacklog) == 0) return fd;
  close(fd);
  return -1;
}

int ListenOn(const HostPort& address) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  if (getaddrinfo(address.host.c_str(), std::to_string(address.port).c_str(), &hints, &found) != 0) return -1;
  const absl::Cleanup free_it = [found] { freeaddrinfo(found); };
  int fd = -1;
  for (const addrinfo* next = found; next != nullptr && fd < 0; next = next->ai_next) fd = ListenOn(*next);
  return fd;
}

int PortOf(int fd) {
  sockaddr_storage address{};
  socklen_t size = sizeof(address);
  NARU_CHECK(getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0);
  return ntohs(address.ss_family == AF_INET6 ? reinterpret_cast<const sockaddr_in6&>(address).sin6_port
                                             : reinterpret_cast<const sockaddr_in&>(address).sin_port);
}

}  // namespace

// Owns the listening socket, the connections and the thread.
class HttpEndpoint::Loop {
 public:
  Loop(HostPort address, int listener, std::map<std::string, Page> pages, HttpCounters& counters,
       std::chrono::milliseconds exchange_max)
      : address_(std::move(address)),
        pages_(std::move(pages)),
        counters_(counters),
        exchange_max_(exchange_max),
        listener_(listener),
        stop_(eventfd(0, EFD_CLOEXEC)),
        thread_([this] { Run(); }) {}
  ~Loop() {
    const uint64_t one = 1;
    NARU_CHECK(write(stop_, &one, sizeof(one)) == sizeof(one));
    thread_.join();
    close(listener_);
    close(stop_);
  }

  const HostPort& address() const { return address_; }

 private:
  void Run() {
    std::vector<pollfd> polled;
    while (true) {
      Time now = std::chrono::steady_clock::now();
      CutOff(
          connections_.remove_if([&](const HttpConnection& c) { return now - c.since() >= exchange_max_; }));
      FillPolled(now, polled);
      if (poll(polled.data(), polled.size(), TimeoutMs(now)) < 0) {
        NARU_CHECK(errno == EINTR);
        continue;
      }
      if (polled[0].revents != 0) return;
      now = std::chrono::steady_clock::now();
      // Stands in the same order as what was polled; new ones come behind.
      auto next = connections_.begin();
      for (size_t i = 2; i < polled.size(); ++i) {
        const auto connection = next++;
        if (polled[i].revents == 0) continue;
        if (!connection->Go([this](const HttpRequest& request) { return Answer(request); }, now)) {
          connections_.erase(connection);
        }
      }
      if (polled[1].revents != 0) Accept(now);
    }
  }

  void FillPolled(Time now, std::vector<pollfd>& polled) const {
    polled.clear();
    polled.push_back({stop_, POLLIN, 0});
    // A negative file is passed over.
    polled.push_back({now < accept_from_ ? -1 : listener_, POLLIN, 0});
    for (const HttpConnection& connection : connections_) {
      polled.push_back({connection.fd(), connection.wants_to_write() ? short{POLLOUT} : short{POLLIN}, 0});
    }
  }

  // Until something is due; -1: nothing is.
  int TimeoutMs(Time now) const {
    Time due = Time::max();
    if (now < accept_from_) due = accept_from_;
    for (const HttpConnection& connection : connections_) {
      due = std::min(due, connection.since() + exchange_max_);
    }
    if (due == Time::max()) return -1;
    return static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(due - now).count());
  }

  void Accept(Time now) {
    while (true) {
      const int fd = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd < 0) {
        if (errno == EINTR || errno == ECONNABORTED) continue;
        if (errno != EAGAIN && errno != EWOULDBLOCK) accept_from_ = now + kAcceptPause;
        return;
      }
      if (connections_.size() == kConnectionsMax) {
        connections_.erase(std::min_element(
            connections_.begin(), connections_.end(),
            [](const HttpConnection& a, const HttpConnection& b) { return a.since() < b.since(); }));
        CutOff(1);
      }
      connections_.emplace_back(fd, now);
    }
  }

  void CutOff(size_t connections) {
    counters_.cut_off.fetch_add(static_cast<int64_t>(connections), std::memory_order_relaxed);
  }

  std::string Answer(const HttpRequest& request) const {
    counters_.requests.fetch_add(1, std::memory_order_relaxed);
    HttpAnswer answer{request.refusal, "text/plain; charset=utf-8", "refused\n"};
    if (request.state == HttpRequest::State::kComplete) answer = AnswerOf(request);
    return FormatHttpAnswer(answer.status, answer.content_type, answer.body, request.keep_alive,
                            request.method != "HEAD");
  }
  HttpAnswer AnswerOf(const HttpRequest& request) const {
    if (request.method != "GET" && request.method != "HEAD") return {.status = 405, .body = "only GET\n"};
    const auto page = pages_.find(request.path);
    if (page == pages_.end()) return {.status = 404, .body = "no such page\n"};
    return page->second();
  }

  const HostPort address_;
  const std::map<std::string, Page> pages_;
  HttpCounters& counters_;
  const std::chrono::milliseconds exchange_max_;
  const int listener_;
  const int stop_;  // readable: the thread ends
  std::list<HttpConnection> connections_;
  Time accept_from_;
  std::thread thread_;  // uses all of the above
};

HttpEndpoint::HttpEndpoint(std::unique_ptr<Loop> loop) : loop_(std::move(loop)) {}
HttpEndpoint::~HttpEndpoint() = default;

absl::StatusOr<std::unique_ptr<HttpEndpoint>> HttpEndpoint::Start(const HostPort& address,
                                                                  std::map<std::string, Page> pages,
                                                                  HttpCounters& counters,
                                                                  std::chrono::milliseconds exchange_max) {
  const int listener = ListenOn(address);
  if (listener < 0) return ListenError("http", address);
  auto loop = std::make_unique<Loop>(HostPort{address.host, PortOf(listener)}, listener, std::move(pages),
                                     counters, exchange_max);
  return std::unique_ptr<HttpEndpoint>(new HttpEndpoint(std::move(loop)));
}

const HostPort& HttpEndpoint::address() const { return loop_->address(); }

}  // namespace naru::services
