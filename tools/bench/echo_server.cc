#include "tools/bench/echo_server.h"

#include <algorithm>
#include <chrono>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "storage/batch/wire.h"

namespace naru::bench {
namespace {

constexpr size_t kFetchRecordBytes = 1000;

// A FetchResponse of about so many bytes: next_offset 1, high_watermark 1, then records.
std::string FetchAnswer(int64_t bytes) {
  std::string record;
  wire::AppendBytesField(record, 2, std::string(kFetchRecordBytes, 'e'));
  std::string answer;
  wire::AppendVarintField(answer, 2, 1);
  wire::AppendVarintField(answer, 3, 1);
  while (static_cast<int64_t>(answer.size()) < bytes) wire::AppendBytesField(answer, 15, record);
  return answer;
}

// The id of a ProduceStreamRequest, which the load generator writes first. Slices may be cut anywhere.
uint64_t IdOf(const grpc::ByteBuffer& buffer) {
  constexpr size_t kHeadBytes = 1 + wire::kVarintBytesMax;
  std::vector<grpc::Slice> slices;
  if (!buffer.Dump(&slices).ok()) return 0;
  std::string head;
  for (const grpc::Slice& slice : slices) {
    const size_t wanted = std::min(slice.size(), kHeadBytes - head.size());
    head.append(reinterpret_cast<const char*>(slice.begin()), wanted);
    if (head.size() == kHeadBytes) break;
  }
  const char* at = head.data();
  const char* const end = at + head.size();
  uint64_t tag = 0;
  uint64_t id = 0;
  return wire::ReadVarint(at, end, tag) && wire::ReadVarint(at, end, id) ? id : 0;
}

grpc::ByteBuffer ToBuffer(const std::string& bytes) {
  const grpc::Slice slice(bytes);
  return grpc::ByteBuffer(&slice, 1);
}

// Reads on while an answer is on its way; answers that came meanwhile go together, as the hub does it.
class StreamEcho final : public grpc::ServerGenericBidiReactor {
 public:
  StreamEcho() { StartRead(&incoming_); }

  void OnReadDone(bool ok) override {
    absl::MutexLock lock(&mutex_);
    if (!ok) {
      ended_ = true;
      return FinishWhenDone();
    }
    std::string result;
    wire::AppendVarintField(result, 1, IdOf(incoming_));
    wire::AppendBytesField(pending_, 1, result);
    incoming_.Clear();
    WriteNext();
    StartRead(&incoming_);
  }
  void OnWriteDone(bool ok) override {
    absl::MutexLock lock(&mutex_);
    writing_ = false;
    if (!ok) pending_.clear();
    WriteNext();
    FinishWhenDone();
  }
  void OnDone() override { delete this; }

 private:
  void WriteNext() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (writing_ || pending_.empty()) return;
    outgoing_ = ToBuffer(pending_);
    pending_.clear();
    writing_ = true;
    StartWrite(&outgoing_);
  }
  void FinishWhenDone() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (!ended_ || writing_ || !pending_.empty() || finished_) return;
    finished_ = true;
    Finish(grpc::Status::OK);
  }

  grpc::ByteBuffer incoming_;
  grpc::ByteBuffer outgoing_;
  absl::Mutex mutex_;
  std::string pending_ ABSL_GUARDED_BY(mutex_);
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
};

class UnaryEcho final : public grpc::ServerGenericBidiReactor {
 public:
  explicit UnaryEcho(const grpc::ByteBuffer& answer) : answer_(answer) { StartRead(&request_); }
  void OnReadDone(bool ok) override {
    if (!ok) return Finish(grpc::Status::CANCELLED);
    StartWriteAndFinish(&answer_, grpc::WriteOptions(), grpc::Status::OK);
  }
  void OnDone() override { delete this; }

 private:
  grpc::ByteBuffer request_;
  grpc::ByteBuffer answer_;
};

}  // namespace

EchoServer::EchoServer(int64_t fetch_bytes) : fetch_answer_(FetchAnswer(fetch_bytes)) {}

EchoServer::~EchoServer() {
  if (server_) server_->Shutdown(std::chrono::system_clock::now());
}

std::string EchoServer::Start() {
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.AddChannelArgument("grpc.http2.max_frame_size", 4 << 20);
  builder.SetMaxReceiveMessageSize(64 << 20);
  builder.RegisterCallbackGenericService(this);
  server_ = builder.BuildAndStart();
  return server_ && port > 0 ? absl::StrCat("127.0.0.1:", port) : std::string();
}

grpc::ServerGenericBidiReactor* EchoServer::CreateReactor(grpc::GenericCallbackServerContext* context) {
  const std::string& method = context->method();
  if (method == "/naru.v1.ProduceService/ProduceStream") return new StreamEcho;
  if (method == "/naru.v1.ConsumeService/Fetch") return new UnaryEcho(grpc::ByteBuffer(&fetch_answer_, 1));
  return new UnaryEcho(ToBuffer(""));
}

}  // namespace naru::bench
