#include "services/server/http_endpoint.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/notification.h"
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

// What comes until the other side closes.
std::string ReadAll(int fd) {
  std::string all;
  char buffer[4096];
  for (ssize_t n = 0; (n = read(fd, buffer, sizeof(buffer))) > 0;) all.append(buffer, static_cast<size_t>(n));
  return all;
}

// Sends `bytes`, half-closes, and reads to the end.
std::string Exchange(int port, const std::string& bytes) {
  const int fd = Connect(port);
  EXPECT_EQ(send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
  shutdown(fd, SHUT_WR);
  const std::string answers = ReadAll(fd);
  close(fd);
  return answers;
}

HttpCounters counters;

std::unique_ptr<HttpEndpoint> Start(HttpEndpoint::Page page,
                                    std::chrono::milliseconds exchange_max = std::chrono::seconds(60)) {
  auto endpoint = HttpEndpoint::Start({"127.0.0.1", 0}, {{"/page", std::move(page)}}, counters, exchange_max);
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
  const auto second = HttpEndpoint::Start({"127.0.0.1", endpoint->address().port}, {}, counters);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(second.status().message(), HasSubstr("Address already in use"));
}

TEST(HttpEndpoint, ConnectionsThatSendAByteNowAndThenKeepNobodyOut) {
  const auto endpoint = Start([] { return HttpAnswer{200, "text/plain", "here"}; });
  std::vector<int> slow;
  for (int i = 0; i < 20; ++i) slow.push_back(Connect(endpoint->address().port));
  absl::Notification answered;
  std::thread drip([&] {
    do {
      for (const int fd : slow) send(fd, "G", 1, MSG_NOSIGNAL);
    } while (!answered.WaitForNotificationWithTimeout(absl::Milliseconds(50)));
  });
  // Without it a connection that is never answered would hold the test for ever.
  const int fd = Connect(endpoint->address().port);
  timeval patience{20, 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  const std::string request = "GET /page HTTP/1.0\r\n\r\n";
  EXPECT_EQ(write(fd, request.data(), request.size()), static_cast<ssize_t>(request.size()));
  EXPECT_THAT(ReadAll(fd), HasSubstr("here"));
  answered.Notify();
  drip.join();
  for (const int one : slow) close(one);
  close(fd);
}

TEST(HttpEndpoint, MoreConnectionsThanThereArePlacesTakeThePlaceOfTheOldest) {
  const int64_t cut_off_before = counters.cut_off;
  const auto endpoint = Start([] { return HttpAnswer{200, "text/plain", "here"}; });
  std::vector<int> silent;
  for (int i = 0; i < 80; ++i) silent.push_back(Connect(endpoint->address().port));
  EXPECT_THAT(Get(endpoint->address().port, "/page"), HasSubstr("here"));
  EXPECT_EQ(ReadAll(silent.front()), "") << "closed in favour of the others";
  EXPECT_GE(counters.cut_off - cut_off_before, 17);
  for (const int fd : silent) close(fd);
}

TEST(HttpEndpoint, ARequestThatTakesTooLongIsCutOffThoughBytesCome) {
  const auto endpoint = Start(
      [] {
        return HttpAnswer{200, "text/plain", "here"};
      },
      std::chrono::milliseconds(200));
  const int fd = Connect(endpoint->address().port);
  absl::Notification cut_off;
  std::thread drip([&] {
    do {
      send(fd, "G", 1, MSG_NOSIGNAL);
    } while (!cut_off.WaitForNotificationWithTimeout(absl::Milliseconds(20)));
  });
  EXPECT_EQ(ReadAll(fd), "");
  cut_off.Notify();
  drip.join();
  close(fd);
}

TEST(HttpEndpoint, AnAnswerThatIsNotReadKeepsNobodyOut) {
  const std::string large(8 << 20, 'x');
  const auto endpoint = Start([&] { return HttpAnswer{200, "text/plain", large}; });
  std::vector<int> deaf;
  const std::string request = "GET /page HTTP/1.1\r\n\r\n";
  for (int i = 0; i < 4; ++i) {
    deaf.push_back(Connect(endpoint->address().port));
    ASSERT_EQ(write(deaf.back(), request.data(), request.size()), static_cast<ssize_t>(request.size()));
  }
  EXPECT_GT(Get(endpoint->address().port, "/page").size(), large.size());
  for (const int fd : deaf) close(fd);
}

TEST(HttpEndpoint, RequestsOfOneConnectionAreAnsweredInOrder) {
  int calls = 0;
  const auto endpoint = Start([&] { return HttpAnswer{200, "text/plain", std::to_string(++calls)}; });
  const std::string answers =
      Exchange(endpoint->address().port,
               "GET /page?a=b HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabcHEAD /page HTTP/1.1\r\n\r\n"
               "GET /page HTTP/1.1\r\nConnection: close\r\n\r\nGET /page HTTP/1.1\r\n\r\n");
  const std::string head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 1\r\nConnection: ";
  EXPECT_EQ(answers, head + "keep-alive\r\n\r\n1" + head + "keep-alive\r\n\r\n" + head + "close\r\n\r\n3");
}

TEST(HttpEndpoint, WhatIsNoRequestIsRefusedAndTheConnectionClosed) {
  const auto endpoint = Start([] { return HttpAnswer{}; });
  const std::vector<std::pair<std::string, std::string>> refusals = {
      {"nonsense\r\n\r\n", "400"},
      {"GET page HTTP/1.1\r\n\r\n", "400"},
      {"GET /page HTTP/2.0\r\n\r\n", "505"},
      {"GET /page HTTP/1.1\r\nno colon\r\n\r\n", "400"},
      {"GET /page HTTP/1.1\r\nContent-Length: -1\r\n\r\n", "400"},
      {"GET /page HTTP/1.1\r\nContent-Length: 4097\r\n\r\n", "413"},
      {"GET /page HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", "501"},
      {"GET /page HTTP/1.1\r\nX: " + std::string(9'000, 'x'), "431"},
      {"POST /page HTTP/1.0\r\n\r\n", "405"},
  };
  for (const auto& [request, status] : refusals) {
    EXPECT_THAT(Exchange(endpoint->address().port, request), HasSubstr("HTTP/1.1 " + status))
        << request.substr(0, 60);
  }
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
