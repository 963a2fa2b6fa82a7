// The whole server inside this process, over real disks and connections.
#include "services/server/server.h"

#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <grpcpp/generic/generic_stub.h>

#include "naru/v1/cluster.grpc.pb.h"
#include "tests/services/server/server_fixture.h"

namespace naru::services {
namespace {

using ::testing::HasSubstr;

TEST_F(ServerTest, WhatWasAckedIsThereAfterARestartInTheSameProcess) {
  auto server = Start();
  ASSERT_NE(server, nullptr);
  ASSERT_TRUE(CreateTopic(*server, "t").ok());
  ASSERT_TRUE(Produce(*server, "t", "one").ok());
  server->Shutdown(1'000);
  server.reset();
  server = Start();
  ASSERT_NE(server, nullptr);
  ASSERT_TRUE(Produce(*server, "t", "two").ok());
  EXPECT_THAT(Fetch(*server, "t"), ::testing::ElementsAre("one", "two"));
}

TEST_F(ServerTest, ShutDownTwiceIsAsGoodAsOnce) {
  auto server = Start();
  ASSERT_NE(server, nullptr);
  server->Shutdown(100);
  server->Shutdown(100);
  EXPECT_FALSE(CreateTopic(*server, "t").ok());
}

TEST_F(ServerTest, ASecondServerOnTheAddressFailsAndLeavesTheFirstAlone) {
  const auto first = Start();
  ASSERT_NE(first, nullptr);
  options_.data_dir = directory_ / "other";
  options_.listen = first->address().ToString();
  const auto second = Server::Start(options_, events_);
  ASSERT_FALSE(second.ok());
  EXPECT_THAT(second.status().message(), HasSubstr("Address already in use"));
  EXPECT_TRUE(CreateTopic(*first, "t").ok());
}

TEST_F(ServerTest, AStartThatFailedLetsGoOfTheDirectory) {
  const std::string listen = options_.listen;
  options_.listen = "nowhere.invalid:1";
  ASSERT_FALSE(Server::Start(options_, events_).ok());
  options_.listen = listen;
  EXPECT_NE(Start(), nullptr);
}

TEST_F(ServerTest, CallsAreCountedByMethodAndOutcome) {
  CallLimit limit(1);
  CallMetrics metrics({"naru.v1.AdminService"}, limit);
  metrics.Find("/naru.v1.AdminService/CreateTopic").started = 2;
  metrics.Find("/naru.v1.AdminService/CreateTopic").finished[0] = 1;
  metrics.Find("/grpc.health.v1.Health/Watch").started = 1;
  EXPECT_EQ(metrics.InProgress(), 1) << "calls of other services do not count";
}

TEST(CallLimit, ACallTooManyIsRefusedUntilAnotherEnds) {
  using Verdict = CallLimit::Verdict;
  CallLimit limit(1);
  const int first = 0, second = 0;
  ASSERT_EQ(limit.Begin(&first, true), Verdict::kServe);
  ASSERT_EQ(limit.Begin(&second, true), Verdict::kRefuse);
  EXPECT_TRUE(limit.Check(&first).ok());
  EXPECT_THAT(limit.Check(&second).message(), HasSubstr("--max-streams"));
  limit.End(&second, Verdict::kRefuse);
  limit.End(&first, Verdict::kServe);
  EXPECT_EQ(limit.Begin(&second, true), Verdict::kServe);
  EXPECT_TRUE(limit.Check(&second).ok());
  EXPECT_EQ(limit.refusals(), 1);
}

TEST(CallLimit, RefusalsOnTheirWayAreBoundedTooAndTakeNothingFromCallsServed) {
  using Verdict = CallLimit::Verdict;
  CallLimit limit(1);
  const char calls[100] = {};
  int refused = 0, cut_off = 0;
  ASSERT_EQ(limit.Begin(&calls[0], true), Verdict::kServe);
  for (int i = 1; i < 100; ++i) {
    const Verdict verdict = limit.Begin(&calls[i], true);
    if (verdict == Verdict::kRefuse) ++refused;
    if (verdict == Verdict::kCutOff) ++cut_off;
  }
  EXPECT_EQ(CallLimit::BytesOf(1), (1 + refused) * CallLimit::kCallBytes);
  EXPECT_EQ(cut_off, 99 - refused);
  limit.End(&calls[0], Verdict::kServe);
  EXPECT_EQ(limit.Begin(&calls[0], true), Verdict::kServe);
}

TEST_F(ServerTest, AtTheLimitOfOpenCallsEveryMethodIsRefusedWithItsReasonAndHealthIsStillTold) {
  options_.max_streams = 1;
  const auto server = Start();
  ASSERT_NE(server, nullptr);
  const auto channel = Connect(*server);
  const auto context = Context();
  const auto open = naru::v1::ClusterService::NewStub(channel)->WatchMetadata(context.get(), {});
  naru::v1::WatchMetadataResponse first;
  ASSERT_TRUE(open->Read(&first));

  const auto end_of = [&channel](const std::string& name) {
    grpc::CompletionQueue queue;
    const auto call_context = Context();
    const auto call = grpc::GenericStub(channel).PrepareCall(call_context.get(), name, &queue);
    grpc::Status status;
    void* tag = nullptr;
    bool ok = false;
    call->StartCall(nullptr);
    queue.Next(&tag, &ok);
    call->WriteLast(grpc::ByteBuffer(), {}, nullptr);
    queue.Next(&tag, &ok);
    call->Finish(&status, nullptr);
    queue.Next(&tag, &ok);
    const auto& trailers = call_context->GetServerTrailingMetadata();
    const auto reason = trailers.find("naru-reason");
    return std::make_pair(
        status.error_code(),
        reason == trailers.end() ? std::string() : std::string(reason->second.data(), reason->second.size()));
  };
  const auto refused =
      std::make_pair(grpc::StatusCode::RESOURCE_EXHAUSTED, std::string("TOO_MANY_IN_FLIGHT"));
  for (const char* service :
       {"ProduceService", "ConsumeService", "AdminService", "ClusterService", "TransactionService"}) {
    const auto* methods = google::protobuf::DescriptorPool::generated_pool()->FindServiceByName(
        std::string("naru.v1.") + service);
    for (int i = 0; i < methods->method_count(); ++i) {
      const std::string name = std::string("/naru.v1.") + service + "/" + methods->method(i)->name();
      EXPECT_EQ(end_of(name), refused) << name;
    }
  }
  EXPECT_NE(end_of("/grpc.health.v1.Health/Check"), refused);
  context->TryCancel();
}

}  // namespace
}  // namespace naru::services
