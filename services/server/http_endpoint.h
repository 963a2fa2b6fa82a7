// A small HTTP server for monitoring: a few fixed pages, read by GET. Not for clients of the hub.
//
// Threads: one accepts, four answer; further connections wait in a queue of 64 and then in the kernel's. A
// connection that is silent for a second is closed.
#pragma once

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

class HttpEndpoint {
 public:
  // Called on the endpoint's threads, several at once.
  using Page = std::function<HttpAnswer()>;

  // Listens when it returns. UNAVAILABLE when the address cannot be had.
  static absl::StatusOr<std::unique_ptr<HttpEndpoint>> Start(const HostPort& address,
                                                             std::map<std::string, Page> pages);
  // Stops: waits for answers in progress.
  ~HttpEndpoint();
  HttpEndpoint(const HttpEndpoint&) = delete;
  HttpEndpoint& operator=(const HttpEndpoint&) = delete;

  // With the real port.
  const HostPort& address() const;

 private:
  class Impl;
  explicit HttpEndpoint(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace naru::services
