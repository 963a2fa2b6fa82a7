#include "tests/cluster/etcd/etcd_process.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "storage/base/check.h"

namespace naru::testing {
namespace {

constexpr int kStartsMax = 5;

// The program's path, or nothing.
std::string FindEtcd() {
  const char* path = std::getenv("PATH");
  for (const absl::string_view folder : absl::StrSplit(path == nullptr ? "" : path, ':')) {
    std::string program = absl::StrCat(folder, "/etcd");
    if (access(program.c_str(), X_OK) == 0) return program;
  }
  return "";
}

std::string Url(int port) { return absl::StrCat("http://127.0.0.1:", port); }

// In the child, between fork and exec: async-signal-safe calls alone.
[[noreturn]] void Become(const std::vector<char*>& arguments, const char* log, pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(1);
  const int output = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
  dup2(output, STDOUT_FILENO);
  dup2(output, STDERR_FILENO);
  execv(arguments[0], arguments.data());
  _exit(127);
}

void Within(int64_t ms, grpc::ClientContext& context) {
  context.set_wait_for_ready(true);
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(ms));
}

}  // namespace

int FreePort() {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  NARU_CHECK(bind(fd, reinterpret_cast<sockaddr*>(&address), size) == 0);
  NARU_CHECK(getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0);
  close(fd);
  return ntohs(address.sin_port);
}

EtcdProcess::EtcdProcess() {
  std::string name = ::testing::TempDir() + "naru-etcd-XXXXXX";
  NARU_CHECK(mkdtemp(name.data()) != nullptr);
  directory_ = name;
}

EtcdProcess::~EtcdProcess() {
  Kill();
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
}

std::string EtcdProcess::endpoint() const { return absl::StrCat("127.0.0.1:", client_port_); }

absl::Status EtcdProcess::Start() {
  const bool restart = client_port_ != 0;
  for (int start = 0; start < kStartsMax; ++start) {
    if (!restart) {
      client_port_ = FreePort();
      peer_port_ = FreePort();
    }
    if (absl::Status spawned = Spawn(); !spawned.ok()) return spawned;
    while (!Ended()) {
      if (Answers()) return absl::OkStatus();
    }
    // Somebody else may have taken the port.
  }
  return absl::InternalError(absl::StrCat("etcd does not start: ", Log()));
}

absl::Status EtcdProcess::Spawn() {
  const std::string program = FindEtcd();
  if (program.empty()) {
    return absl::FailedPreconditionError(
        "there is no etcd on the PATH, which this test needs: apt-get install etcd-server (./dev setup "
        "does)");
  }
  std::vector<std::string> arguments = {program,
                                        "--name=test",
                                        "--logger=zap",
                                        absl::StrCat("--data-dir=", directory_, "/data"),
                                        absl::StrCat("--listen-client-urls=", Url(client_port_)),
                                        absl::StrCat("--advertise-client-urls=", Url(client_port_)),
                                        absl::StrCat("--listen-peer-urls=", Url(peer_port_)),
                                        absl::StrCat("--initial-advertise-peer-urls=", Url(peer_port_)),
                                        absl::StrCat("--initial-cluster=test=", Url(peer_port_))};
  std::vector<char*> pointers;
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  const std::string log = directory_ + "/log";
  const pid_t parent = getpid();
  pid_ = fork();
  NARU_CHECK(pid_ >= 0);
  if (pid_ == 0) Become(pointers, log.c_str(), parent);
  grpc::ChannelArguments channel;
  channel.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  channel.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  channel.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 20);
  channel.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 100);
  channel_ = grpc::CreateCustomChannel(endpoint(), grpc::InsecureChannelCredentials(), channel);
  return absl::OkStatus();
}

bool EtcdProcess::Ended() {
  if (pid_ == 0) return true;
  if (waitpid(pid_, nullptr, WNOHANG) == pid_) pid_ = 0;
  return pid_ == 0;
}

bool EtcdProcess::Answers() {
  grpc::ClientContext context;
  Within(500, context);
  etcdserverpb::RangeRequest request;
  request.set_key("/any");
  etcdserverpb::RangeResponse response;
  return etcdserverpb::KV::NewStub(channel_)->Range(&context, request, &response).ok();
}

std::string EtcdProcess::Log() const {
  std::stringstream text;
  text << std::ifstream(directory_ + "/log").rdbuf();
  return text.str();
}

void EtcdProcess::Kill() {
  if (pid_ == 0) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
  pid_ = 0;
}

void EtcdProcess::Pause() {
  kill(pid_, SIGSTOP);
  // Until all of its threads stand still: one may be about to answer.
  waitpid(pid_, nullptr, WUNTRACED);
}

void EtcdProcess::Resume() { kill(pid_, SIGCONT); }

etcdserverpb::TxnResponse EtcdProcess::Txn(const etcdserverpb::TxnRequest& request) {
  grpc::ClientContext context;
  Within(30'000, context);
  etcdserverpb::TxnResponse response;
  const grpc::Status status = etcdserverpb::KV::NewStub(channel_)->Txn(&context, request, &response);
  EXPECT_TRUE(status.ok()) << status.error_message();
  return response;
}

void EtcdProcess::Put(const std::string& key, const std::string& value, int64_t lease) {
  etcdserverpb::TxnRequest request;
  etcdserverpb::PutRequest& put = *request.add_success()->mutable_request_put();
  put.set_key(key);
  put.set_value(value);
  put.set_lease(lease);
  Txn(request);
}

void EtcdProcess::Delete(const std::string& key) {
  etcdserverpb::TxnRequest request;
  request.add_success()->mutable_request_delete_range()->set_key(key);
  Txn(request);
}

mvccpb::KeyValue EtcdProcess::Get(const std::string& key) {
  etcdserverpb::TxnRequest request;
  request.add_success()->mutable_request_range()->set_key(key);
  const etcdserverpb::TxnResponse response = Txn(request);
  const auto& kvs = response.responses(0).response_range().kvs();
  return kvs.empty() ? mvccpb::KeyValue() : kvs[0];
}

int64_t EtcdProcess::Grant(int64_t ttl_s) {
  grpc::ClientContext context;
  Within(30'000, context);
  etcdserverpb::LeaseGrantRequest request;
  request.set_ttl(ttl_s);
  etcdserverpb::LeaseGrantResponse response;
  const grpc::Status status =
      etcdserverpb::Lease::NewStub(channel_)->LeaseGrant(&context, request, &response);
  EXPECT_TRUE(status.ok()) << status.error_message();
  return response.id();
}

void EtcdProcess::Revoke(int64_t lease) {
  grpc::ClientContext context;
  Within(30'000, context);
  etcdserverpb::LeaseRevokeRequest request;
  request.set_id(lease);
  etcdserverpb::LeaseRevokeResponse response;
  const grpc::Status status =
      etcdserverpb::Lease::NewStub(channel_)->LeaseRevoke(&context, request, &response);
  EXPECT_TRUE(status.ok()) << status.error_message();
}

}  // namespace naru::testing
