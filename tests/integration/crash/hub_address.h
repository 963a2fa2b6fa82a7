// Where the hub is at the moment: it comes back on another port after every kill.
#pragma once

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <memory>
#include <string>

namespace naru::crash {

// Thread-safe.
class HubAddress {
 public:
  // `path` holds host:port, replaced as a whole (by rename) whenever the hub comes back.
  HubAddress(std::string path, const std::atomic<bool>& stop) : path_(std::move(path)), stop_(stop) {}

  // A connected channel of its own, waited for until told to stop; then nullptr.
  std::shared_ptr<grpc::Channel> Connect() const;

 private:
  const std::string path_;
  const std::atomic<bool>& stop_;
};

}  // namespace naru::crash
