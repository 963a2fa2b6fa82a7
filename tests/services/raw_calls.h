// Calls whose messages are raw bytes, for what generated stubs cannot express.
#pragma once

#include <grpcpp/generic/generic_stub.h>

#include <memory>
#include <string>
#include <vector>

#include "tests/services/hub.h"

namespace naru::services {

struct RawEnd {
  CallEnd end;
  std::vector<std::string> responses;
};

// Sends `messages`, half-closes, reads to the end. `method` is "/package.Service/Method"; of either kind.
inline RawEnd CallRaw(const std::shared_ptr<grpc::Channel>& channel, const std::string& method,
                      const std::vector<std::string>& messages) {
  grpc::CompletionQueue queue;
  const auto next = [&queue] {
    void* tag = nullptr;
    bool ok = false;
    EXPECT_TRUE(queue.Next(&tag, &ok));
    return ok;
  };
  RawEnd raw;
  grpc::ClientContext context;
  Hub::SetDeadline(context);
  {
    grpc::GenericStub stub(channel);
    const auto call = stub.PrepareCall(&context, method, &queue);
    call->StartCall(nullptr);
    bool ok = next();
    for (const std::string& message : messages) {
      if (!ok) break;
      const grpc::Slice slice(message);
      call->Write(grpc::ByteBuffer(&slice, 1), nullptr);
      ok = next();
    }
    if (ok) {
      call->WritesDone(nullptr);
      next();
    }
    while (true) {
      grpc::ByteBuffer response;
      call->Read(&response, nullptr);
      if (!next()) break;
      grpc::Slice slice;
      EXPECT_TRUE(response.DumpToSingleSlice(&slice).ok());
      raw.responses.emplace_back(reinterpret_cast<const char*>(slice.begin()), slice.size());
    }
    grpc::Status status;
    call->Finish(&status, nullptr);
    next();
    raw.end = EndOf(context, status);
  }
  queue.Shutdown();
  return raw;
}

}  // namespace naru::services
