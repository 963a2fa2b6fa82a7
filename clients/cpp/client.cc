#include "clients/cpp/client.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "clients/cpp/errors.h"
#include "naru/v1/cluster.grpc.pb.h"
#include "storage/base/status.h"

namespace naru::client {
namespace {

// Bounds of what is remembered; past them the oldest knowledge is simply asked for again.
constexpr size_t kTopicsMax = 10'000;
constexpr size_t kBrokersMax = 1'000;

constexpr absl::Duration kUnreachableFor = absl::Seconds(10);
// How long one server is waited for before the next is tried.
constexpr absl::Duration kConnectSlice = absl::Milliseconds(250);
// How often such a wait looks whether it was cancelled.
constexpr absl::Duration kCancelSlice = absl::Milliseconds(25);

// gRPC's wait for a connection cannot be woken.
bool WaitForConnected(grpc::Channel& channel, absl::Time deadline, const Cancellation* cancellation) {
  if (cancellation == nullptr) return channel.WaitForConnected(absl::ToChronoTime(deadline));
  while (!cancellation->cancelled()) {
    const absl::Time now = absl::Now();
    const absl::Time slice_end = std::min(deadline, now + kCancelSlice);
    if (channel.WaitForConnected(absl::ToChronoTime(slice_end))) return true;
    if (now >= deadline) return false;
  }
  return false;
}

bool IsHostPort(std::string_view address) {
  const size_t colon = address.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return false;
  int port = 0;
  const char* end = address.data() + address.size();
  const auto [stop, error] = std::from_chars(address.data() + colon + 1, end, port);
  return error == std::errc() && stop == end && port > 0 && port < 65536;
}

}  // namespace

absl::Status ValidateClientOptions(const ClientOptions& options) {
  if (options.servers.empty()) return InvalidField("servers", "(none)", "at least one host:port is needed");
  for (const std::string& server : options.servers) {
    if (!IsHostPort(server)) {
      return InvalidField("servers", server, "host:port with a port from 1 to 65535 is allowed");
    }
  }
  const std::pair<std::string_view, absl::Duration> durations[] = {
      {"call_timeout", options.call_timeout},
      {"connect_timeout", options.connect_timeout},
      {"metadata_age_max", options.metadata_age_max}};
  for (const auto& [name, value] : durations) {
    if (value <= absl::ZeroDuration()) {
      return InvalidField(name, absl::FormatDuration(value), "more than 0 is allowed");
    }
  }
  if (options.receive_bytes_max < 4 << 20) {
    return InvalidField("receive_bytes_max", absl::StrCat(options.receive_bytes_max),
                        "at least 4194304 is allowed");
  }
  return ValidateBackoff(options.backoff);
}

absl::StatusOr<std::shared_ptr<Client>> Client::Create(ClientOptions options) {
  NARU_RETURN_IF_ERROR(ValidateClientOptions(options));
  return std::shared_ptr<Client>(new Client(std::move(options)));
}

std::shared_ptr<grpc::Channel> Client::ChannelTo(const std::string& address) {
  absl::MutexLock lock(&mutex_);
  std::shared_ptr<grpc::Channel>& channel = channels_[address];
  if (channel == nullptr) {
    grpc::ChannelArguments arguments;
    arguments.SetMaxReceiveMessageSize(options_.receive_bytes_max);
    arguments.SetMaxSendMessageSize(-1);
    // A connection per client: two clients of one process do not share one stream of bytes.
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
    arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 20'000);
    arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10'000);
    arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
    arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 1'000);
    arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 2'000);
    channel = grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
  }
  return channel;
}

std::vector<std::string> Client::Candidates() {
  absl::MutexLock lock(&mutex_);
  std::vector<std::string> candidates;
  if (!preferred_.empty()) candidates.push_back(preferred_);
  const auto add = [&candidates, this](const std::string& address) {
    mutex_.AssertHeld();
    if (address != preferred_) candidates.push_back(address);
  };
  std::for_each(options_.servers.begin(), options_.servers.end(), add);
  std::for_each(learned_.begin(), learned_.end(), add);
  std::stable_partition(candidates.begin(), candidates.end(), [this](const std::string& address) {
    mutex_.AssertHeld();
    return !IsUnreachable(address);
  });
  return candidates;
}

absl::StatusOr<std::shared_ptr<grpc::Channel>> Client::ConnectedChannel(absl::Time deadline,
                                                                        Cancellation* cancellation) {
  const absl::Time connect_deadline = std::min(deadline, absl::Now() + options_.connect_timeout);
  do {
    for (const std::string& address : Candidates()) {
      std::shared_ptr<grpc::Channel> channel = ChannelTo(address);
      const absl::Time slice_end = std::min(connect_deadline, absl::Now() + kConnectSlice);
      if (WaitForConnected(*channel, slice_end, cancellation)) {
        absl::MutexLock lock(&mutex_);
        preferred_ = address;
        unreachable_until_.erase(address);
        return channel;
      }
      if (cancellation != nullptr && cancellation->cancelled()) return CancelledHere();
    }
  } while (absl::Now() < connect_deadline);
  return absl::UnavailableError(absl::StrCat(
      "no server can be reached: ", absl::StrJoin(options_.servers, ", "), "; is narud running there?"));
}

absl::Status Client::Call(CallKind kind, UnaryCall call) { return Call(kind, options_.call_timeout, call); }

absl::Status Client::Call(CallKind kind, absl::Duration timeout, UnaryCall call, Cancellation* cancellation) {
  const absl::Time deadline = absl::Now() + timeout;
  std::optional<Backoff> backoff;
  while (true) {
    NARU_ASSIGN_OR_RETURN(const std::shared_ptr<grpc::Channel> channel,
                          ConnectedChannel(deadline, cancellation));
    grpc::ClientContext context;
    const Cancellation::Guard guard(cancellation, &context);
    context.set_deadline(absl::ToChronoTime(deadline));
    const absl::Status status = FromGrpcStatus(call(channel, &context), context);
    if (status.ok()) return status;
    if (!(kind == CallKind::kRead ? IsReadRetryable(status) : IsTransient(status))) return status;
    if (!backoff) backoff.emplace(options_.backoff);
    const absl::Duration delay = backoff->Next();
    if (absl::Now() + delay >= deadline) return status;
    if (cancellation == nullptr) {
      absl::SleepFor(delay);
    } else {
      cancellation->Pause(delay);
      if (cancellation->cancelled()) return CancelledHere();
    }
  }
}

absl::StatusOr<std::shared_ptr<const TopicRoutes>> Client::Topic(std::string_view name) {
  std::shared_ptr<const TopicRoutes> known;
  {
    absl::MutexLock lock(&mutex_);
    if (const auto found = topics_.find(name); found != topics_.end()) known = found->second;
  }
  if (known != nullptr && absl::Now() - known->heard_at < options_.metadata_age_max) return known;
  auto refreshed = RefreshTopic(name);
  if (known != nullptr && absl::IsUnavailable(refreshed.status())) return known;
  return refreshed;
}

absl::StatusOr<std::shared_ptr<const TopicRoutes>> Client::RefreshTopic(std::string_view name,
                                                                        absl::Duration timeout,
                                                                        Cancellation* cancellation) {
  naru::v1::GetMetadataRequest request;
  request.add_topics(std::string(name));
  naru::v1::GetMetadataResponse response;
  NARU_RETURN_IF_ERROR(Call(
      CallKind::kRead, timeout,
      [&](const std::shared_ptr<grpc::Channel>& channel, grpc::ClientContext* context) {
        return naru::v1::ClusterService::NewStub(channel)->GetMetadata(context, request, &response);
      },
      cancellation));
  Learn(response.metadata());
  const naru::v1::TopicMetadata* topic = nullptr;
  for (const auto& candidate : response.metadata().topics()) {
    if (candidate.name() == name) topic = &candidate;
  }
  if (topic == nullptr) {
    return MakeError(Reason::kTopicNotFound, absl::StrCat("topic: ", name, " does not exist"));
  }
  absl::flat_hash_map<int32_t, std::string> addresses;
  for (const auto& broker : response.metadata().brokers()) addresses[broker.broker_id()] = broker.address();

  auto routes = std::make_shared<TopicRoutes>();
  routes->name = topic->name();
  routes->topic_id = topic->topic_id();
  routes->heard_at = absl::Now();
  for (const auto& partition : topic->partitions()) {
    const auto address = addresses.find(partition.leader());
    routes->partitions.push_back({BrokerId(partition.leader()), LeaderEpoch(partition.leader_epoch()),
                                  address == addresses.end() ? "" : address->second});
  }
  absl::MutexLock lock(&mutex_);
  if (topic->has_error() || routes->partitions.empty()) {
    topics_.erase(routes->name);
    if (topic->has_error()) return FromError(topic->error());
    return absl::InternalError(absl::StrCat("topic: ", name, " was answered without partitions"));
  }
  if (topics_.size() >= kTopicsMax && !topics_.contains(name)) topics_.clear();
  topics_[routes->name] = routes;
  return routes;
}

void Client::Learn(const naru::v1::Metadata& metadata) {
  absl::MutexLock lock(&mutex_);
  learned_.clear();
  for (const auto& broker : metadata.brokers()) {
    const std::string& address = broker.address();
    if (learned_.size() == kBrokersMax) break;
    if (!IsHostPort(address)) continue;
    if (std::find(options_.servers.begin(), options_.servers.end(), address) == options_.servers.end()) {
      learned_.push_back(address);
    }
  }
}

bool Client::IsUnreachable(const std::string& address) {
  const auto found = unreachable_until_.find(address);
  if (found == unreachable_until_.end()) return false;
  if (absl::Now() < found->second) return true;
  unreachable_until_.erase(found);
  return false;
}

void Client::MarkUnreachable(const std::string& address) {
  absl::MutexLock lock(&mutex_);
  unreachable_until_[address] = absl::Now() + kUnreachableFor;
  if (preferred_ == address) preferred_.clear();
}

std::string Client::AddressFor(const PartitionRoute& route) {
  {
    absl::MutexLock lock(&mutex_);
    if (!route.address.empty() && !IsUnreachable(route.address)) return route.address;
  }
  return Candidates().front();
}

}  // namespace naru::client
