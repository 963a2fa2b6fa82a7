#include "tools/bench/bench_hub.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "naru/v1/admin.grpc.pb.h"
#include "naru/v1/consume.grpc.pb.h"
#include "tools/bench/process_stats.h"

extern char** environ;

namespace naru::bench {
namespace {

namespace fs = std::filesystem;
constexpr int64_t kStartNsMax = 60'000'000'000;
constexpr int64_t kStopNsMax = 30'000'000'000;
constexpr double kDirtyRatio = 0.05;

// Children and folders that are there at the moment, for whoever has to end at once.
class Leftovers {
 public:
  static Leftovers& Get() {
    static auto* leftovers = new Leftovers;
    return *leftovers;
  }
  void AddChild(pid_t pid) {
    absl::MutexLock lock(&mutex_);
    children_.insert(pid);
  }
  void RemoveChild(pid_t pid) {
    absl::MutexLock lock(&mutex_);
    children_.erase(pid);
  }
  void AddFolder(const std::string& folder) {
    absl::MutexLock lock(&mutex_);
    folders_.insert(folder);
  }
  void CleanUp() {
    absl::MutexLock lock(&mutex_);
    for (const pid_t pid : children_) {
      kill(pid, SIGKILL);
      waitpid(pid, nullptr, 0);
    }
    std::error_code ignored;
    for (const std::string& folder : folders_) fs::remove_all(folder, ignored);
  }

 private:
  absl::Mutex mutex_;
  std::set<pid_t> children_ ABSL_GUARDED_BY(mutex_);
  std::set<std::string> folders_ ABSL_GUARDED_BY(mutex_);
};

void Pause() { std::this_thread::sleep_for(std::chrono::milliseconds(2)); }

absl::Status ToStatus(const char* what, const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()),
                      absl::StrCat(what, ": ", status.error_message()));
}

void SetDeadline(grpc::ClientContext& context) {
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
  context.set_wait_for_ready(true);
}

}  // namespace

std::string OwnFolder() {
  std::error_code ignored;
  return fs::read_symlink("/proc/self/exe", ignored).parent_path().string();
}

absl::StatusOr<std::unique_ptr<ChildProcess>> ChildProcess::Start(const std::vector<std::string>& arguments) {
  std::vector<char*> argv;
  argv.reserve(arguments.size() + 1);
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  // Signals that this program waits for in a thread of its own are blocked here; the child takes them as
  // usual.
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  pid_t pid = 0;
  // Its addresses come by the port file; on standard output they would stand among the figures.
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  const int error = posix_spawn(&pid, argv[0], &files, &attributes, argv.data(), environ);
  posix_spawn_file_actions_destroy(&files);
  posix_spawnattr_destroy(&attributes);
  if (error != 0) return absl::NotFoundError(absl::StrCat(arguments[0], ": ", strerror(error)));
  Leftovers::Get().AddChild(pid);
  return std::unique_ptr<ChildProcess>(new ChildProcess(pid));
}

bool ChildProcess::Running() {
  if (!reaped_ && waitpid(pid_, nullptr, WNOHANG) == pid_) Reaped();
  return !reaped_;
}

void ChildProcess::Reaped() {
  reaped_ = true;
  Leftovers::Get().RemoveChild(pid_);
}

ChildProcess::~ChildProcess() {
  if (!Running()) return;
  kill(pid_, SIGTERM);
  for (const int64_t end = NowNs() + kStopNsMax; NowNs() < end;) {
    if (!Running()) return;
    Pause();
  }
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
  Reaped();
}

void EndChildrenAndRemoveData() { Leftovers::Get().CleanUp(); }

absl::StatusOr<std::unique_ptr<BenchHub>> BenchHub::Open(const HubOptions& options) {
  std::unique_ptr<BenchHub> hub(new BenchHub(options));
  if (!options.server.empty()) {
    hub->address_ = options.server;
    hub->channels_ = Connect(hub->address_, 1);
    return hub;
  }
  if (hub->options_.narud.empty()) hub->options_.narud = OwnFolder() + "/narud";
  const char* temporary = getenv("TMPDIR");
  std::string base = !options.folder.empty() ? options.folder : temporary ? temporary : "/var/tmp";
  base += "/naru-bench-XXXXXX";
  if (!mkdtemp(base.data())) return absl::UnavailableError(absl::StrCat(base, ": ", strerror(errno)));
  hub->folder_ = base;
  Leftovers::Get().AddFolder(base);
  hub->data_folder_ = base + "/data";
  if (absl::Status status = hub->StartNarud(); !status.ok()) return status;
  return hub;
}

absl::Status BenchHub::StartNarud() {
  const std::string port_file = folder_ + "/ports";
  fs::remove(port_file);
  std::vector<std::string> arguments = {options_.narud, "--data-dir",  data_folder_, "--listen",
                                        "127.0.0.1:0",  "--http",      "off",        "--port-file",
                                        port_file,      "--log-level", "warning"};
  arguments.insert(arguments.end(), options_.narud_arguments.begin(), options_.narud_arguments.end());
  auto child = ChildProcess::Start(arguments);
  if (!child.ok()) return child.status();
  child_ = *std::move(child);
  for (const int64_t end = NowNs() + kStartNsMax; !fs::exists(port_file); Pause()) {
    if (!child_->Running()) return absl::UnavailableError("narud ended instead of starting");
    if (NowNs() > end) return absl::UnavailableError("narud did not start within 60 s");
  }
  std::ifstream ports(port_file);
  for (std::string line; std::getline(ports, line);) {
    if (line.rfind("listen=", 0) == 0) address_ = line.substr(strlen("listen="));
  }
  channels_ = Connect(address_, 1);
  return absl::OkStatus();
}

absl::Status BenchHub::Restart() {
  if (!child_) return absl::FailedPreconditionError("only a hub of our own can be restarted");
  child_.reset();
  return StartNarud();
}

BenchHub::~BenchHub() {
  child_.reset();
  std::error_code ignored;
  if (!folder_.empty()) fs::remove_all(folder_, ignored);
}

absl::StatusOr<std::string> BenchHub::CreateTopic(const TopicShape& shape) {
  auto stub = naru::v1::AdminService::NewStub(channels_[0]);
  grpc::ClientContext context;
  SetDeadline(context);
  naru::v1::CreateTopicRequest request;
  naru::v1::CreateTopicResponse response;
  request.set_name(absl::StrCat("bench-", getpid(), "-", ++topics_));
  request.set_partition_count(shape.partitions);
  request.mutable_config()->set_durability(shape.fsync ? naru::v1::DURABILITY_FSYNC
                                                       : naru::v1::DURABILITY_BACKGROUND);
  request.mutable_config()->set_max_record_bytes(2 << 20);
  if (shape.compacted) {
    request.mutable_config()->set_cleanup_policy(naru::v1::CLEANUP_POLICY_COMPACT);
    request.mutable_config()->set_min_cleanable_dirty_ratio(kDirtyRatio);
  }
  if (absl::Status status = ToStatus("create topic", stub->CreateTopic(&context, request, &response));
      !status.ok()) {
    return status;
  }
  return request.name();
}

absl::Status BenchHub::DeleteTopic(const std::string& name) {
  auto stub = naru::v1::AdminService::NewStub(channels_[0]);
  grpc::ClientContext context;
  SetDeadline(context);
  naru::v1::DeleteTopicRequest request;
  naru::v1::DeleteTopicResponse response;
  request.set_name(name);
  return ToStatus("delete topic", stub->DeleteTopic(&context, request, &response));
}

absl::StatusOr<std::vector<int64_t>> BenchHub::Ends(const std::string& name) {
  auto stub = naru::v1::ConsumeService::NewStub(channels_[0]);
  grpc::ClientContext context;
  SetDeadline(context);
  naru::v1::ListOffsetsRequest request;
  naru::v1::ListOffsetsResponse response;
  request.set_topic(name);
  request.set_position(naru::v1::POSITION_LATEST);
  if (absl::Status status = ToStatus("list offsets", stub->ListOffsets(&context, request, &response));
      !status.ok()) {
    return status;
  }
  std::vector<int64_t> ends;
  for (const auto& offset : response.offsets()) ends.push_back(offset.offset());
  return ends;
}

absl::Status BenchHub::DropPageCache() {
  if (data_folder_.empty()) return absl::FailedPreconditionError("only a hub of our own can be read cold");
  for (const auto& entry : fs::recursive_directory_iterator(data_folder_)) {
    if (!entry.is_regular_file()) continue;
    const int fd = open(entry.path().c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) continue;
    fdatasync(fd);
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    close(fd);
  }
  return absl::OkStatus();
}

}  // namespace naru::bench
