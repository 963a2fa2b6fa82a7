#include "tools/bench/first_ack.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "tools/bench/bench_hub.h"
#include "tools/bench/process_stats.h"
#include "tools/bench/produce_load.h"

namespace naru::bench {
namespace {

constexpr int64_t kWaitNsMax = 60'000'000'000;

bool Accepts(const sockaddr_in& address) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  const bool connected = connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
  close(fd);
  return connected;
}

}  // namespace

absl::Status WaitForPort(const std::string& address) {
  const size_t colon = address.rfind(':');
  sockaddr_in to = {};
  to.sin_family = AF_INET;
  int port = 0;
  if (colon == std::string::npos || !absl::SimpleAtoi(address.substr(colon + 1), &port) ||
      inet_pton(AF_INET, address.substr(0, colon).c_str(), &to.sin_addr) != 1) {
    return absl::InvalidArgumentError(absl::StrCat("address: ", address, " is not allowed; IP:PORT is"));
  }
  to.sin_port = htons(static_cast<uint16_t>(port));
  for (const int64_t end = NowNs() + kWaitNsMax; !Accepts(to);) {
    if (NowNs() > end) return absl::UnavailableError(absl::StrCat(address, ": nobody there within a minute"));
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return absl::OkStatus();
}

absl::Status FirstAck(const std::string& address) {
  // A channel that finds the port closed would only try again after a second.
  if (absl::Status status = WaitForPort(address); !status.ok()) return status;
  HubOptions options;
  options.server = address;
  auto hub = BenchHub::Open(options);
  if (!hub.ok()) return hub.status();
  auto topic = (*hub)->CreateTopic({});
  if (!topic.ok()) return topic.status();
  ProduceLoad load;
  load.topic = *topic;
  load.shape = {1024, 1024};
  load.depth = 1;
  load.batches = 1;
  load.idempotent = false;  // the first thing that is asked of the hub is the append
  auto tally = RunProduce(load, Connect(address, 1), Window());
  if (!tally.ok()) return tally.status();
  return tally->failures ? absl::UnavailableError(tally->first_failure) : absl::OkStatus();
}

}  // namespace naru::bench
