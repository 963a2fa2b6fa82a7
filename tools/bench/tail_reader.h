// Follows a topic and measures how long records with a stamp (BatchPool) took from their intended send to
// here.
#pragma once

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>

#include "naru/v1/consume.grpc.pb.h"
#include "tools/bench/load.h"

namespace naru::bench {

// Begins at the start of the topic. What was meant to be sent outside the window is read and not counted.
class TailReader {
 public:
  TailReader(const std::string& topic, std::shared_ptr<grpc::Channel> channel, const Window& window);
  ~TailReader();
  // Ends the reading when nothing has come for half a second, so that what is late counts too.
  Tally Finish();

 private:
  void Read();

  const Window window_;
  const std::unique_ptr<naru::v1::ConsumeService::Stub> stub_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<naru::v1::SubscribeRequest, naru::v1::SubscribeResponse>> stream_;
  Tally tally_;
  std::atomic<int64_t> last_ns_ = 0;
  std::thread thread_;
};

}  // namespace naru::bench
