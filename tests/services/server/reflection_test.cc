// What server reflection tells tools, and what it may cost.
#include <gmock/gmock.h>
#include <google/protobuf/descriptor.pb.h>
#include <grpcpp/generic/generic_stub.h>

#include <optional>
#include <vector>

#include "tests/services/raw_calls.h"
#include "tests/services/server/server_fixture.h"
#include "tests/storage/batch/batch_bytes.h"

namespace naru::services {
namespace {

using batch_bytes::Bytes;
using ::testing::HasSubstr;

constexpr char kReflection[] = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo";
constexpr uint32_t kFileContainingSymbol = 4;
constexpr uint32_t kListServices = 7;

class ReflectionTest : public ServerTest {
 protected:
  void SetUp() override {
    server_ = Start();
    ASSERT_NE(server_, nullptr);
    channel_ = Connect(*server_);
  }
  // The answer to one question.
  std::string Ask(uint32_t field, const std::string& value) {
    const RawEnd raw = CallRaw(channel_, kReflection, {Bytes(field, value)});
    EXPECT_EQ(raw.end.code, grpc::StatusCode::OK) << raw.end.message;
    return raw.responses.size() == 1 ? raw.responses[0] : "";
  }

  std::unique_ptr<Server> server_;
  std::shared_ptr<grpc::Channel> channel_;
};

TEST_F(ReflectionTest, EveryServiceThatIsListedIsDescribed) {
  const std::string listed = Ask(kListServices, "");
  for (const std::string service :
       {"naru.v1.ProduceService", "naru.v1.ConsumeService", "naru.v1.AdminService", "naru.v1.ClusterService",
        "naru.v1.GroupService", "naru.v1.TransactionService", "grpc.health.v1.Health"}) {
    EXPECT_THAT(listed, HasSubstr(service));
    const std::string described = Ask(kFileContainingSymbol, service);
    EXPECT_THAT(described, HasSubstr(service.substr(service.rfind('.') + 1)));
    EXPECT_THAT(described, HasSubstr(".proto"));
    EXPECT_THAT(described, ::testing::Not(HasSubstr("not found"))) << service;
  }
  EXPECT_THAT(Ask(kFileContainingSymbol, "grpc.health.v1.Health"), HasSubstr("HealthCheckRequest"));
}

// One reflection stream that stays open.
class OpenStream {
 public:
  explicit OpenStream(const std::shared_ptr<grpc::Channel>& channel) : stub_(channel) {
    Hub::SetDeadline(context_);
    call_ = stub_.PrepareCall(&context_, kReflection, &queue_);
    call_->StartCall(nullptr);
    const bool started = Next();
    const grpc::Slice slice(Bytes(kListServices, ""));
    if (started) {
      call_->Write(grpc::ByteBuffer(&slice, 1), nullptr);
      Next();
    }
    grpc::ByteBuffer answer;
    call_->Read(&answer, nullptr);
    served_ = Next();
    if (!served_) Finish();
  }
  ~OpenStream() {
    if (served_) {
      call_->WritesDone(nullptr);
      Next();
      Finish();
    }
    call_.reset();
    queue_.Shutdown();
  }
  bool served() const { return served_; }
  grpc::StatusCode code() const { return status_.error_code(); }

 private:
  bool Next() {
    void* tag = nullptr;
    bool ok = false;
    EXPECT_TRUE(queue_.Next(&tag, &ok));
    return ok;
  }
  void Finish() {
    call_->Finish(&status_, nullptr);
    Next();
  }

  grpc::GenericStub stub_;
  grpc::ClientContext context_;
  grpc::CompletionQueue queue_;
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> call_;
  grpc::Status status_;
  bool served_ = false;
};

// Each takes a thread of the server.
TEST_F(ReflectionTest, OpenStreamsAreBoundedAndTheHubServesBesideThem) {
  ASSERT_TRUE(CreateTopic(*server_, "t").ok());
  std::vector<std::unique_ptr<OpenStream>> streams;
  int served = 0;
  for (int i = 0; i < 100; ++i) {
    streams.push_back(std::make_unique<OpenStream>(channel_));
    if (streams.back()->served()) {
      ++served;
    } else {
      EXPECT_EQ(streams.back()->code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
    }
  }
  EXPECT_GT(served, 16);
  EXPECT_LE(served, 64);
  EXPECT_TRUE(Produce(*server_, "t", "v").ok());
  const RawEnd health = CallRaw(channel_, "/grpc.health.v1.Health/Check", {""});
  EXPECT_EQ(health.end.code, grpc::StatusCode::OK) << health.end.message;
  EXPECT_THAT(health.responses, ::testing::ElementsAre("\x08\x01")) << "SERVING";
  streams.clear();
  EXPECT_TRUE(WaitFor([&] { return OpenStream(channel_).served(); })) << "their threads are free again";
}

}  // namespace
}  // namespace naru::services
