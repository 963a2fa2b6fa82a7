// The hub that is measured: one that runs already, or a narud of our own on a fresh directory.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tools/bench/load.h"

namespace naru::bench {

// A child process of this program, ended with it.
class ChildProcess {
 public:
  // Runs `arguments[0]`; NOT_FOUND when it cannot be run.
  static absl::StatusOr<std::unique_ptr<ChildProcess>> Start(const std::vector<std::string>& arguments);
  // SIGTERM, and SIGKILL when it is still there after 30 s.
  ~ChildProcess();
  pid_t pid() const { return pid_; }
  bool Running();

 private:
  explicit ChildProcess(pid_t pid) : pid_(pid) {}
  void Reaped();
  pid_t pid_;
  bool reaped_ = false;
};

struct HubOptions {
  // host:port of one that runs; empty: start one.
  std::string server;
  // Its process, to read its CPU time; 0: not known. Ignored when one is started.
  pid_t server_pid = 0;
  // The program to start; empty: the narud beside this program.
  std::string narud;
  // Holds the started hub's data, in a directory of its own that is removed at the end. Empty: TMPDIR or
  // /var/tmp.
  std::string folder;
  // More flags for the started hub.
  std::vector<std::string> narud_arguments;
};

struct TopicShape {
  int partitions = 1;
  // Acked when on disk, rather than when in the system's memory.
  bool fsync = true;
  // By key, as soon as a twentieth can go.
  bool compacted = false;
};

// Not thread-safe.
class BenchHub {
 public:
  static absl::StatusOr<std::unique_ptr<BenchHub>> Open(const HubOptions& options);
  ~BenchHub();

  const std::string& address() const { return address_; }
  // 0 when not known.
  pid_t pid() const { return child_ ? child_->pid() : options_.server_pid; }
  // Where the started hub's data are; empty when it runs elsewhere.
  const std::string& data_folder() const { return data_folder_; }

  // A new topic of a name of its own.
  absl::StatusOr<std::string> CreateTopic(const TopicShape& shape);
  absl::Status DeleteTopic(const std::string& name);
  // Offsets of the ends of a topic's partitions.
  absl::StatusOr<std::vector<int64_t>> Ends(const std::string& name);
  // Writes every dirty page of the data to disk and drops it from the page cache.
  absl::Status DropPageCache();
  // Stops and starts a hub of our own, so that nothing of its memory is left.
  absl::Status Restart();

 private:
  explicit BenchHub(HubOptions options) : options_(std::move(options)) {}
  absl::Status StartNarud();

  HubOptions options_;
  std::string address_;
  std::string folder_;
  std::string data_folder_;
  std::unique_ptr<ChildProcess> child_;
  Channels channels_;
  int topics_ = 0;
};

// Kills every child process and removes the data of every hub that was started, for a program that is about
// to end without unwinding. Thread-safe.
void EndChildrenAndRemoveData();

// The folder that this program stands in.
std::string OwnFolder();

}  // namespace naru::bench
