// A stream of messages to another process, until it breaks. Implemented over gRPC by cluster/transport.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "naru/internal/v1/coordinator.pb.h"
#include "naru/internal/v1/peer.pb.h"

namespace naru::cluster {

// Thread-safe. Destroying it closes the stream: afterwards nothing more is called, and what was not sent may
// be lost.
template <typename Out>
class Link {
 public:
  virtual ~Link() = default;
  // Messages go out in the order of the calls. Dropped once the stream is broken.
  virtual void Send(Out message) = 0;
  // Bytes of messages that are not on their way yet.
  virtual int64_t queued_bytes() const = 0;
};

// What comes from the other side; called on any thread, one at a time, not from inside Send. `broken` comes
// once, as the last: with OK when the other side ended the stream.
template <typename In>
struct LinkEvents {
  std::function<void(In message)> message;
  std::function<void(absl::Status why)> broken;
};

// A broker that cannot be reached is not tried again before.
inline constexpr int64_t kReconnectMs = 50;

// The ways to other processes, by address (host:port). A link is there at once; what is sent waits for the
// connection, and `broken` says when there is none. Thread-safe.
class Links {
 public:
  virtual ~Links() = default;
  virtual std::unique_ptr<Link<naru::internal::v1::AttendRequest>> Attend(
      const std::string& address, LinkEvents<naru::internal::v1::AttendResponse> events) = 0;
  virtual std::unique_ptr<Link<naru::internal::v1::ReplicateRequest>> Replicate(
      const std::string& address, LinkEvents<naru::internal::v1::ReplicateResponse> events) = 0;
  virtual std::unique_ptr<Link<naru::internal::v1::ForwardRequest>> Forward(
      const std::string& address, LinkEvents<naru::internal::v1::ForwardResponse> events) = 0;
  virtual std::unique_ptr<Link<naru::internal::v1::GroupsRequest>> Groups(
      const std::string& address, LinkEvents<naru::internal::v1::GroupsResponse> events) = 0;
  // UNAVAILABLE without a reason: nobody knows whether it was done.
  using TopicsDone = absl::AnyInvocable<void(absl::StatusOr<naru::internal::v1::ChangeTopicsResponse>)>;
  virtual void ChangeTopics(const std::string& address,
                            const naru::internal::v1::ChangeTopicsRequest& request, TopicsDone done) = 0;
};

}  // namespace naru::cluster
