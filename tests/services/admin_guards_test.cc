// What AdminService refuses before it does anything: bytes that are no request, and topics that are not the
// one meant.
#include <grpcpp/grpcpp.h>

#include <memory>
#include <optional>
#include <string>

#include "cluster/coordinator/topic_coordinator.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "services/admin/admin_service.h"
#include "storage/log/memory_log_store.h"
#include "tests/services/raw_calls.h"
#include "tests/services/serve_on_loopback.h"
#include "tests/storage/batch/batch_bytes.h"

namespace naru::services {
namespace {

using batch_bytes::Bytes;
using batch_bytes::Varint;
using ::testing::HasSubstr;

class AdminGuardsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    coordinator_.emplace(cluster::CoordinatorOptions(), map_, logs_, clock_, events_);
    ASSERT_TRUE(coordinator_->Start().ok());
    service_.emplace(*coordinator_, logs_);
    std::string target;
    server_ = testing::ServeOnLoopback(*service_, target);
    ASSERT_NE(server_, nullptr);
    channel_ = grpc::CreateChannel(target, grpc::InsecureChannelCredentials());
    stub_ = naru::v1::AdminService::NewStub(channel_);
  }
  void TearDown() override {
    server_->Shutdown();
    coordinator_->Stop();
  }

  RawEnd Raw(const std::string& method, const std::string& request) {
    return CallRaw(channel_, "/naru.v1.AdminService/" + method, {request});
  }
  // Makes a topic and gives its id.
  std::string Create(const std::string& name) {
    grpc::ClientContext context;
    naru::v1::CreateTopicRequest request;
    request.set_name(name);
    naru::v1::CreateTopicResponse response;
    EXPECT_TRUE(stub_->CreateTopic(&context, request, &response).ok());
    return response.topic().topic_id();
  }
  template <typename Request, typename Response>
  CallEnd Call(grpc::Status (naru::v1::AdminService::Stub::*method)(grpc::ClientContext*, const Request&,
                                                                    Response*),
               const Request& request, Response* response) {
    grpc::ClientContext context;
    return EndOf(context, ((*stub_).*method)(&context, request, response));
  }

  MemoryMapStore map_;
  SystemClock clock_;
  MemoryLogStore logs_{clock_};
  NullEventLog events_;
  std::optional<cluster::TopicCoordinator> coordinator_;
  std::optional<AdminService> service_;
  std::unique_ptr<grpc::Server> server_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<naru::v1::AdminService::Stub> stub_;
};

TEST_F(AdminGuardsTest, BytesThatAreNoRequestAreAnInvalidFieldOfEveryMethod) {
  for (const std::string method : {"CreateTopic", "GetTopic", "ListTopics", "UpdateTopic", "DeleteTopic",
                                   "CreatePartitions", "DeleteRecords"}) {
    const CallEnd end = Raw(method, "\xff\xff").end;
    EXPECT_EQ(end.code, grpc::StatusCode::INVALID_ARGUMENT) << method;
    EXPECT_EQ(end.reason, "INVALID_FIELD") << method;
    EXPECT_EQ(end.metadata.at("field"), method + "Request");
    EXPECT_THAT(end.message, HasSubstr("do not parse"));
  }
}

TEST_F(AdminGuardsTest, ANameThatIsNotUtf8IsAnInvalidField) {
  for (const std::string method :
       {"CreateTopic", "GetTopic", "UpdateTopic", "DeleteTopic", "DeleteRecords"}) {
    const CallEnd end = Raw(method, Bytes(1, "t\xff")).end;
    EXPECT_EQ(end.code, grpc::StatusCode::INVALID_ARGUMENT) << method;
    EXPECT_EQ(end.reason, "INVALID_FIELD") << method;
    EXPECT_THAT(end.message, HasSubstr("UTF-8"));
  }
}

TEST_F(AdminGuardsTest, BytesThatAreARequestAreAnsweredWithAResponse) {
  const RawEnd raw = Raw("CreateTopic", Bytes(1, "orders") + Varint(2, 3));
  EXPECT_EQ(raw.end.code, grpc::StatusCode::OK) << raw.end.message;
  ASSERT_EQ(raw.responses.size(), 1u);
  naru::v1::CreateTopicResponse response;
  ASSERT_TRUE(response.ParseFromString(raw.responses[0]));
  EXPECT_EQ(response.topic().partition_count(), 3);
}

TEST_F(AdminGuardsTest, UpdateTopicChangesOnlyTheTopicWithTheIdGiven) {
  const std::string id = Create("orders");
  naru::v1::UpdateTopicRequest request;
  request.set_name("orders");
  request.mutable_config()->set_retention_ms(5);
  request.set_topic_id(std::string(16, 'x'));
  naru::v1::UpdateTopicResponse response;
  EXPECT_EQ(Call(&naru::v1::AdminService::Stub::UpdateTopic, request, &response).reason, "TOPIC_ID_MISMATCH");
  EXPECT_NE(coordinator_->Current()->topics.at("orders")->config.retention_ms, 5);
  request.set_topic_id("short");
  EXPECT_EQ(Call(&naru::v1::AdminService::Stub::UpdateTopic, request, &response).metadata.at("field"),
            "topic_id");
  request.set_topic_id(id);
  EXPECT_EQ(Call(&naru::v1::AdminService::Stub::UpdateTopic, request, &response).code, grpc::StatusCode::OK);
  EXPECT_EQ(response.topic().config().retention_ms(), 5);
}

TEST_F(AdminGuardsTest, CreatePartitionsGrowsOnlyTheTopicWithTheIdGiven) {
  const std::string id = Create("orders");
  naru::v1::CreatePartitionsRequest request;
  request.set_name("orders");
  request.set_partition_count(4);
  request.set_topic_id(std::string(16, 'x'));
  naru::v1::CreatePartitionsResponse response;
  EXPECT_EQ(Call(&naru::v1::AdminService::Stub::CreatePartitions, request, &response).reason,
            "TOPIC_ID_MISMATCH");
  request.set_topic_id(id);
  EXPECT_EQ(Call(&naru::v1::AdminService::Stub::CreatePartitions, request, &response).code,
            grpc::StatusCode::OK);
  EXPECT_EQ(response.topic().partition_count(), 4);
}

TEST_F(AdminGuardsTest, DeleteRecordsTouchesOnlyTheTopicWithTheIdGiven) {
  const std::string id = Create("orders");
  naru::v1::DeleteRecordsRequest request;
  request.set_topic("orders");
  request.add_partitions()->set_before_offset(-1);
  request.set_topic_id(std::string(16, 'x'));
  naru::v1::DeleteRecordsResponse response;
  EXPECT_EQ(Call(&naru::v1::AdminService::Stub::DeleteRecords, request, &response).reason,
            "TOPIC_ID_MISMATCH");
  EXPECT_EQ(response.results_size(), 0);
  request.set_topic_id(id);
  EXPECT_EQ(Call(&naru::v1::AdminService::Stub::DeleteRecords, request, &response).code,
            grpc::StatusCode::OK);
  EXPECT_EQ(response.results_size(), 1);
}

}  // namespace
}  // namespace naru::services
