#include "tests/integration/crash/hub_address.h"

#include <chrono>
#include <fstream>

namespace naru::crash {

std::shared_ptr<grpc::Channel> HubAddress::Connect() const {
  while (!stop_) {
    std::string address;
    std::getline(std::ifstream(path_), address);
    grpc::ChannelArguments arguments;
    // A connection of its own, without the back-off that a channel to a dead address builds up.
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
    auto channel = grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
    if (channel->WaitForConnected(std::chrono::system_clock::now() + std::chrono::milliseconds(50)))
      return channel;
  }
  return nullptr;
}

}  // namespace naru::crash
