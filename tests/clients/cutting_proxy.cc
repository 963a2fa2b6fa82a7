#include "tests/clients/cutting_proxy.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>

#include "absl/strings/str_cat.h"
#include "storage/base/check.h"

namespace naru::client::testing {
namespace {

// How soon a thread notices that the proxy goes away, and how long a mute connection without requests stays.
constexpr int kPollMs = 20;

sockaddr_in Loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(port));
  return address;
}

// -1: nobody listens there.
int Connect(int port) {
  const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
  const sockaddr_in address = Loopback(port);
  if (::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return socket;
  ::close(socket);
  return -1;
}

// Passes on what is there; gives how much, 0 at the end. `drop`: reads and forgets it.
int64_t Pass(int from, int to, bool drop) {
  std::array<char, 4096> bytes;
  const ssize_t n = ::recv(from, bytes.data(), bytes.size(), 0);
  if (n <= 0) return 0;
  for (ssize_t sent = 0; !drop && sent < n;) {
    const ssize_t took = ::send(to, bytes.data() + sent, static_cast<size_t>(n - sent), MSG_NOSIGNAL);
    if (took <= 0) return 0;
    sent += took;
  }
  return n;
}

}  // namespace

CuttingProxy::CuttingProxy(const CutLimits& limits) : limits_(limits) {
  listener_ = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address = Loopback(0);
  socklen_t size = sizeof address;
  NARU_CHECK(::bind(listener_, reinterpret_cast<const sockaddr*>(&address), size) == 0);
  NARU_CHECK(::listen(listener_, 16) == 0);
  NARU_CHECK(::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) == 0);
  port_ = ntohs(address.sin_port);
  accepting_ = std::thread([this] { Accept(); });
}

CuttingProxy::~CuttingProxy() {
  stopping_ = true;
  accepting_.join();
  absl::MutexLock lock(&mutex_);
  for (std::thread& pump : pumps_) pump.join();
  ::close(listener_);
}

std::string CuttingProxy::address() const { return absl::StrCat("127.0.0.1:", port_); }

void CuttingProxy::Accept() {
  for (int number = 0; !stopping_;) {
    pollfd ready{listener_, POLLIN, 0};
    if (::poll(&ready, 1, kPollMs) <= 0) continue;
    const int client = ::accept(listener_, nullptr, nullptr);
    if (client < 0) continue;
    absl::MutexLock lock(&mutex_);
    pumps_.emplace_back([this, client, number] { Pump(client, number); });
    ++number;
  }
}

void CuttingProxy::Pump(int client, int number) {
  const int server = Connect(target_port_);
  int64_t answers_left = limits_.answer_bytes + limits_.answer_bytes * (number % 8) / 8;
  int64_t requests_left = limits_.request_bytes_after;
  while (server >= 0 && !stopping_) {
    pollfd ready[] = {{client, POLLIN, 0}, {server, POLLIN, 0}};
    const bool mute = cutting_ && answers_left <= 0;
    if (::poll(ready, 2, kPollMs) <= 0 && mute) requests_left = 0;
    if (ready[0].revents != 0) {
      const int64_t passed = Pass(client, server, false);
      if (passed == 0) break;
      if (mute) requests_left -= passed;
    }
    if (ready[1].revents != 0) {
      const int64_t passed = Pass(server, client, mute);
      if (passed == 0) break;
      answers_left -= passed;
    }
    if (mute && requests_left <= 0) {
      ++cuts_;
      break;
    }
  }
  if (server >= 0) ::close(server);
  ::close(client);
}

}  // namespace naru::client::testing
