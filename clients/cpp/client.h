// The connections of one application to a naru cluster: channels, who leads what, and calls that are repeated
// where that is safe. Producer, Consumer, Subscription and Admin stand on it.
//
//   NARU_ASSIGN_OR_RETURN(auto client, naru::client::Client::Create({.servers = {"hub-1:9410",
//   "hub-2:9410"}}));
//
// Any broker takes any call and passes it on, so one reachable server is enough; who leads a partition only
// decides where a Producer connects to save that hop.
//
// Connections are direct (http_proxy is not used) and kept alive by pings every 20 s while calls are open.
#pragma once

#include <grpcpp/grpcpp.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "clients/cpp/backoff.h"
#include "clients/cpp/cancellation.h"
#include "naru/v1/cluster.pb.h"
#include "storage/base/ids.h"

namespace naru::client {

struct ClientOptions {
  // Where to begin, as host:port; at least one. Tried in turn.
  std::vector<std::string> servers = {"127.0.0.1:9410"};
  // From the call to its answer, all tries together.
  absl::Duration call_timeout = absl::Seconds(30);
  // How much of that may go by without any server being reachable.
  absl::Duration connect_timeout = absl::Seconds(5);
  // What is known of a topic is asked for again when it is older; this is how new partitions are noticed.
  absl::Duration metadata_age_max = absl::Minutes(5);
  // Between tries.
  BackoffOptions backoff;
  // The largest answer that is taken, in bytes. Brokers cut answers at 3.5 MiB by default.
  int receive_bytes_max = 64 << 20;
};

// INVALID_ARGUMENT naming the option, its value and what is allowed.
absl::Status ValidateClientOptions(const ClientOptions& options);

// A partition's leader, as last heard.
struct PartitionRoute {
  BrokerId leader;
  LeaderEpoch leader_epoch;
  // host:port; empty when the cluster did not say.
  std::string address;
};

// A topic's partitions, as last heard. Immutable.
struct TopicRoutes {
  std::string name;
  // 16 bytes.
  std::string topic_id;
  // By partition number; at least one.
  std::vector<PartitionRoute> partitions;
  absl::Time heard_at;
};

// Whether a call changes anything; see Client::Call.
enum class CallKind { kRead, kWrite };

// Thread-safe. Shared by whatever uses it; its connections close when the last owner lets go.
class Client {
 public:
  // INVALID_ARGUMENT for bad options. Does not connect yet.
  static absl::StatusOr<std::shared_ptr<Client>> Create(ClientOptions options);

  const ClientOptions& options() const { return options_; }

  // The topic's partitions, from memory unless older than metadata_age_max; when a refresh of old knowledge
  // fails for lack of a server the old is given. NOT_FOUND/TOPIC_NOT_FOUND. May block for a call.
  absl::StatusOr<std::shared_ptr<const TopicRoutes>> Topic(std::string_view name);
  // The same, asked now. After an error that says that it changed, or an unknown partition.
  absl::StatusOr<std::shared_ptr<const TopicRoutes>> RefreshTopic(std::string_view name) {
    return RefreshTopic(name, options_.call_timeout);
  }
  absl::StatusOr<std::shared_ptr<const TopicRoutes>> RefreshTopic(std::string_view name,
                                                                  absl::Duration timeout,
                                                                  Cancellation* cancellation = nullptr);

  // Makes a unary call on a connected server with a deadline, again with backoff until call_timeout:
  //   - kRead: after a broken connection and after reasons that IsTransient;
  //   - kWrite: only when nothing was sent, or the reason says that nothing was done. So a write is never
  //   done twice,
  //     and an UNAVAILABLE without a reason or a DEADLINE_EXCEEDED means that its outcome is unknown.
  // UNAVAILABLE, naming the servers, when none can be reached within connect_timeout. CANCELLED soon after
  // `cancellation` was cancelled, by which it may have been done too.
  using UnaryCall =
      absl::FunctionRef<grpc::Status(const std::shared_ptr<grpc::Channel>&, grpc::ClientContext*)>;
  absl::Status Call(CallKind kind, UnaryCall call);
  absl::Status Call(CallKind kind, absl::Duration timeout, UnaryCall call,
                    Cancellation* cancellation = nullptr);

  // A connected channel to some server, waiting for one until `deadline`, for at most connect_timeout; less
  // long when cancelled.
  absl::StatusOr<std::shared_ptr<grpc::Channel>> ConnectedChannel(absl::Time deadline,
                                                                  Cancellation* cancellation = nullptr);
  // The channel to `address`, connected or not. Channels are kept for the client's life.
  std::shared_ptr<grpc::Channel> ChannelTo(const std::string& address);

  // Where to send what is for `route`: its leader, or, when the leader was not reachable lately or is not
  // known, a server that passes it on.
  std::string AddressFor(const PartitionRoute& route);
  // `address` could not be reached: use others for the next 10 s.
  void MarkUnreachable(const std::string& address);

 private:
  explicit Client(ClientOptions options) : options_(std::move(options)) {}

  std::vector<std::string> Candidates();
  void Learn(const naru::v1::Metadata& metadata);
  bool IsUnreachable(const std::string& address) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const ClientOptions options_;
  absl::Mutex mutex_;
  absl::flat_hash_map<std::string, std::shared_ptr<grpc::Channel>> channels_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::shared_ptr<const TopicRoutes>, std::less<>> topics_ ABSL_GUARDED_BY(mutex_);
  // Brokers heard of that are not in options_.servers.
  std::vector<std::string> learned_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<std::string, absl::Time> unreachable_until_ ABSL_GUARDED_BY(mutex_);
  // The server that answered last.
  std::string preferred_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace naru::client
