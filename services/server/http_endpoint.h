// A small HTTP server for monitoring: a few fixed pages, read by GET. Not for clients of the hub.
//
// One thread does everything and waits for nobody: a connection that sends or takes its bytes slowly keeps
// only its own place. There are 64 places; a further connection takes that of the one which is longest
// without an answer. A request and its answer together have a time limit, and so has the next request of a
// connection.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "services/server/option_values.h"

namespace naru::services {

struct HttpAnswer {
  int status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
};

// Written by the endpoint's thread, read by any.
struct HttpCounters {
  std::atomic<int64_t> requests{0};
  // Connections closed because they took too long, or because others wanted their places.
  std::atomic<int64_t> cut_off{0};
};

class HttpEndpoint {
 public:
  // Called on the endpoint's thread; all others wait meanwhile, so it must not block.
  using Page = std::function<HttpAnswer()>;

  // Listens when it returns. A connection that has no answer `exchange_max` after it came, or after its last
  // answer, is closed. `counters` outlive the endpoint. UNAVAILABLE when the address cannot be had.
  static absl::StatusOr<std::unique_ptr<HttpEndpoint>> Start(
      const HostPort& address, std::map<std::string, Page> pages, HttpCounters& counters,
      std::chrono::milliseconds exchange_max = std::chrono::seconds(5));
  // Stops: waits for the page in progress.
  ~HttpEndpoint();
  HttpEndpoint(const HttpEndpoint&) = delete;
  HttpEndpoint& operator=(const HttpEndpoint&) = delete;

  // With the real port.
  const HostPort& address() const;

 private:
  class Loop;
  explicit HttpEndpoint(std::unique_ptr<Loop> loop);
  std::unique_ptr<Loop> loop_;
};

}  // namespace naru::services
