#include "services/server/http_endpoint.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "services/server/health.h"
#include "services/server/metric_page.h"

namespace naru::services {
namespace {

using ::testing::HasSubstr;

int Connect(int port) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  return fd;
}

std::string Get(int port, const std::string& path) {
  const int fd = Connect(port);
  const std::string request = "GET " + path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
  EXPECT_EQ(write(fd, request.data(), request.size()), static_cast<ssize_t>(request.size()));
  std::string answer;
  char buffer[4096];
  for (ssize_t n = 0; (n = read(fd, buffer, sizeof(buffer))) > 0;)
    answer.append(buffer, static_cast<size_t>(n));
  close(fd);
  return answer;
}

std::unique_ptr<HttpEndpoint> Start(HttpEndpoint::Page page) {
  auto endpoint = HttpEndpoint::Start({"127.0.0.1", 0}, {{"/page", std::move(page)}});
  EXPECT_TRUE(endpoint.ok()) << endpoint.status();
  return *std::move(endpoint);
}

TEST(HttpEndpoint, PortZeroTakesAFreePortAndAnswersThere) {
  const auto endpoint = Start([] { return HttpAnswer{503, "text/plain", "not yet\n"}; });
  EXPECT_GT(endpoint->address().port, 0);
  const std::string answer = Get(endpoint->address().port, "/page");
  EXPECT_THAT(answer, HasSubstr("HTTP/1.1 503"));
  EXPECT_THAT(answer, HasSubstr("not yet\n"));
  EXPECT_THAT(Get(endpoint->address().port, "/other"), HasSubstr("HTTP/1.1 404"));
}

TEST(HttpEndpoint, APortInUseIsRefusedWithTheReason) {
  const auto endpoint = Start([] { return HttpAnswer{}; });
  const auto second = HttpEndpoint::Start({"127.0.0.1", endpoint->address().port}, {});
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(second.status().message(), HasSubstr("Address already in use"));
}

TEST(HttpEndpoint, SilentConnectionsDoNotKeepOthersOutForEver) {
  const auto endpoint = Start([] { return HttpAnswer{200, "text/plain", "here"}; });
  std::vector<int> silent;
  for (int i = 0; i < 6; ++i) silent.push_back(Connect(endpoint->address().port));
  EXPECT_THAT(Get(endpoint->address().port, "/page"), HasSubstr("here"));
  for (const int fd : silent) close(fd);
}

TEST(Health, IsReadyOnlyWhileServing) {
  Health health;
  EXPECT_EQ(health.ReadyPage().status, 503);
  EXPECT_EQ(health.ReadyPage().body, "starting\n");
  health.Serve(nullptr, {});
  EXPECT_EQ(health.ReadyPage().status, 200);
  health.SetStorageFull(true);
  EXPECT_EQ(health.ReadyPage().status, 200);
  EXPECT_THAT(health.ReadyPage().body, HasSubstr("disk"));
  health.Drain();
  EXPECT_EQ(health.ReadyPage().status, 503);
  EXPECT_EQ(health.ReadyPage().body, "draining\n");
  health.Serve(nullptr, {});
  EXPECT_EQ(health.ReadyPage().status, 503);
}

class Checks final : public grpc::HealthCheckServiceInterface {
 public:
  void SetServingStatus(const std::string& service, bool serving) override { serving_[service] = serving; }
  void SetServingStatus(bool serving) override {
    for (auto& [name, status] : serving_) status = serving;
  }
  std::map<std::string, bool> serving_;
};

TEST(Health, AFullDiskTakesOnlyTheProduceServiceOut) {
  Checks checks;
  Health health;
  const std::string consume = "naru.v1.ConsumeService";
  health.Serve(&checks, {Health::kProduceService, consume});
  using Serving = std::map<std::string, bool>;
  EXPECT_EQ(checks.serving_, (Serving{{"", true}, {Health::kProduceService, true}, {consume, true}}));
  health.SetStorageFull(true);
  EXPECT_EQ(checks.serving_, (Serving{{"", true}, {Health::kProduceService, false}, {consume, true}}));
  health.SetStorageFull(false);
  EXPECT_EQ(checks.serving_, (Serving{{"", true}, {Health::kProduceService, true}, {consume, true}}));
  health.Drain();
  EXPECT_EQ(checks.serving_, (Serving{{"", false}, {Health::kProduceService, false}, {consume, false}}));
}

class OnePage final : public prometheus::Collectable {
 public:
  std::vector<prometheus::MetricFamily> Collect() const override {
    MetricPage page;
    page.Counter("naru_things_total", "Things.", 2, {{"kind", "a"}});
    page.Gauge("naru_size_bytes", "Size.", 1.5);
    page.Counter("naru_things_total", "Things.", 3, {{"kind", "b"}});
    return page.Take();
  }
};

TEST(MetricPage, MetricsOfOneNameStandTogether) {
  const std::string text = RenderMetrics(OnePage());
  EXPECT_THAT(text, HasSubstr("# TYPE naru_things_total counter\nnaru_things_total{kind=\"a\"} 2\n"
                              "naru_things_total{kind=\"b\"} 3\n"));
  EXPECT_THAT(text, HasSubstr("# TYPE naru_size_bytes gauge\nnaru_size_bytes 1.5\n"));
}

}  // namespace
}  // namespace naru::services
