#include "tools/bench/load.h"

#include "tools/bench/process_stats.h"

namespace naru::bench {

Window Window::FromNow(double warmup_seconds, double seconds) {
  const int64_t begin = NowNs() + static_cast<int64_t>(warmup_seconds * 1e9);
  return {begin, begin + static_cast<int64_t>(seconds * 1e9)};
}

void Tally::Merge(const Tally& other) {
  records += other.records;
  payload_bytes += other.payload_bytes;
  failures += other.failures;
  if (first_failure.empty()) first_failure = other.first_failure;
  latency.Merge(other.latency);
  end_to_end.Merge(other.end_to_end);
}

void Tally::Fail(std::string_view why) {
  if (failures++ == 0) first_failure = std::string(why);
}

Channels Connect(const std::string& address, int count) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetInt("grpc.http2.max_frame_size", 4 << 20);
  arguments.SetMaxReceiveMessageSize(64 << 20);
  Channels channels;
  for (int i = 0; i < count; ++i) {
    channels.push_back(grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments));
  }
  return channels;
}

}  // namespace naru::bench
