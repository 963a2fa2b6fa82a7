#include "tools/bench/group_load.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "naru/v1/produce.grpc.pb.h"
#include "tools/bench/group_member.h"
#include "tools/bench/process_stats.h"

namespace naru::bench {
namespace {

constexpr double kGroupPatienceSeconds = 120;
constexpr int kRecordBytes = 100;
constexpr double kMb = 1e6;

// Writes to all partitions in turn at a pace, from one thread, until it is destroyed.
class Trickle {
 public:
  Trickle(std::shared_ptr<grpc::Channel> channel, std::string topic, int partitions, int records_per_second)
      : stub_(naru::v1::ProduceService::NewStub(std::move(channel))),
        topic_(std::move(topic)),
        partitions_(partitions),
        batch_(std::max(1, records_per_second / 2'000)),
        interval_ns_(int64_t{1'000'000'000} * batch_ / std::max(1, records_per_second)) {
    thread_ = std::thread([this] { Run(); });
  }
  ~Trickle() {
    stopping_ = true;
    thread_.join();
  }
  int64_t records() const { return records_; }
  int64_t failures() const { return failures_; }

 private:
  void Run() {
    int64_t due_ns = NowNs();
    for (int64_t round = 0; !stopping_; ++round) {
      naru::v1::ProduceRequest request;
      request.set_topic(topic_);
      request.set_partition(static_cast<int32_t>(round % partitions_));
      for (int i = 0; i < batch_; ++i)
        request.mutable_batch()->add_records()->set_value(std::string(kRecordBytes, 'x'));
      grpc::ClientContext context;
      naru::v1::ProduceResponse response;
      if (stub_->Produce(&context, request, &response).ok()) {
        records_ += batch_;
      } else {
        ++failures_;
      }
      due_ns = std::max(due_ns + interval_ns_, NowNs() - 1'000'000'000);
      std::this_thread::sleep_for(std::chrono::nanoseconds(std::max<int64_t>(0, due_ns - NowNs())));
    }
  }

  const std::unique_ptr<naru::v1::ProduceService::Stub> stub_;
  const std::string topic_;
  const int partitions_;
  const int batch_;
  const int64_t interval_ns_;
  std::atomic<bool> stopping_{false};
  std::atomic<int64_t> records_{0};
  std::atomic<int64_t> failures_{0};
  std::thread thread_;
};

using Watches = std::vector<std::unique_ptr<GroupWatch>>;

// Seconds until it holds. Fails when a member's stream does.
absl::StatusOr<double> TimeUntil(const std::function<bool()>& condition, std::string_view what,
                                 const Watches& watches) {
  const int64_t begin_ns = NowNs();
  while (!condition()) {
    for (const auto& watch : watches) {
      const grpc::Status failure = watch->failure();
      if (failure.ok()) continue;
      return absl::InternalError(
          absl::StrCat(std::string(what), ": a member's stream ended: ", failure.error_message()));
    }
    if (static_cast<double>(NowNs() - begin_ns) / 1e9 > kGroupPatienceSeconds) {
      return absl::DeadlineExceededError(
          absl::StrFormat("%s: not within %.0f s", std::string(what), kGroupPatienceSeconds));
    }
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
  return static_cast<double>(NowNs() - begin_ns) / 1e9;
}

naru::v1::Join JoinOf(const std::string& group, const std::string& topic) {
  naru::v1::Join join;
  join.set_group(group);
  join.add_topics(topic);
  return join;
}

std::vector<std::unique_ptr<naru::v1::GroupService::Stub>> Stubs(const std::string& address,
                                                                 int connections) {
  std::vector<std::unique_ptr<naru::v1::GroupService::Stub>> stubs;
  for (const std::shared_ptr<grpc::Channel>& channel : Connect(address, connections)) {
    stubs.push_back(naru::v1::GroupService::NewStub(channel));
  }
  return stubs;
}

void Sleep(double seconds) { std::this_thread::sleep_for(std::chrono::duration<double>(seconds)); }

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values.empty() ? 0 : values[values.size() / 2];
}

}  // namespace

absl::StatusOr<GroupsFigures> MeasureGroups(BenchHub& hub, const GroupsWorkload& workload) {
  absl::StatusOr<std::string> topic = hub.CreateTopic({.partitions = workload.partitions});
  if (!topic.ok()) return topic.status();
  GroupsFigures figures;
  const auto resident_mb = [&hub] {
    const auto stats = ReadProcessStats(hub.pid());
    return stats.ok() ? static_cast<double>(stats->resident_bytes) / kMb : -1;
  };
  const auto cores = [&hub](double seconds) {
    const auto before = ReadProcessStats(hub.pid());
    Sleep(seconds);
    const auto after = ReadProcessStats(hub.pid());
    return before.ok() && after.ok() ? (after->cpu_seconds() - before->cpu_seconds()) / seconds : -1;
  };
  figures.resident_before_mb = resident_mb();
  const auto stubs = Stubs(hub.address(), workload.connections);
  Watches watches;
  std::vector<std::unique_ptr<GroupMember>> members;
  const int64_t begin_ns = NowNs();
  for (int group = 0; group < workload.groups; ++group) {
    watches.push_back(std::make_unique<GroupWatch>(workload.partitions));
    for (int i = 0; i < workload.members; ++i) {
      naru::v1::GroupService::Stub& stub = *stubs[members.size() % stubs.size()];
      members.push_back(std::make_unique<GroupMember>(stub, JoinOf(absl::StrCat("bench-", group), *topic),
                                                      *watches.back()));
    }
  }
  const auto whole = [&] {
    return std::all_of(watches.begin(), watches.end(),
                       [&](const auto& watch) { return watch->owned() == workload.partitions; });
  };
  if (const auto waited = TimeUntil(whole, "members of all groups", watches); !waited.ok())
    return waited.status();
  figures.join_seconds = static_cast<double>(NowNs() - begin_ns) / 1e9;
  figures.idle_cores = cores(workload.idle_seconds);
  figures.resident_idle_mb = resident_mb();
  const auto read = [&] {
    int64_t records = 0;
    for (const auto& watch : watches) records += watch->records();
    return records;
  };
  {
    Trickle trickle(Connect(hub.address(), 1)[0], *topic, workload.partitions, workload.records_per_second);
    const int64_t before = read();
    figures.load_cores = cores(workload.load_seconds);
    figures.read_per_second = static_cast<double>(read() - before) / workload.load_seconds;
    figures.written_per_second = static_cast<double>(trickle.records()) / workload.load_seconds;
    figures.resident_load_mb = resident_mb();
    if (trickle.failures() > 0)
      return absl::InternalError(absl::StrCat(trickle.failures(), " produces failed"));
  }
  for (const auto& member : members) member->Leave();
  for (const auto& member : members) {
    const grpc::Status ended = member->Await();
    if (!ended.ok()) return absl::InternalError(absl::StrCat("a member ended with: ", ended.error_message()));
  }
  return figures;
}

absl::StatusOr<RebalanceFigures> MeasureRebalance(BenchHub& hub, const RebalanceWorkload& workload) {
  absl::StatusOr<std::string> topic = hub.CreateTopic({.partitions = workload.partitions, .fsync = false});
  if (!topic.ok()) return topic.status();
  RebalanceFigures figures;
  const auto stubs = Stubs(hub.address(), workload.connections);
  Watches watches;
  watches.push_back(std::make_unique<GroupWatch>(workload.partitions));
  GroupWatch& watch = *watches.front();
  std::vector<std::unique_ptr<GroupMember>> members;
  const naru::v1::Join join = JoinOf("bench-rebalance", *topic);
  const auto whole = [&] { return watch.owned() == workload.partitions; };
  const auto balanced = [&] {
    const int least = workload.partitions / static_cast<int>(members.size());
    return whole() && std::all_of(members.begin(), members.end(),
                                  [&](const auto& member) { return member->owned() >= least; });
  };
  for (int i = 0; i < workload.members; ++i) {
    members.push_back(std::make_unique<GroupMember>(*stubs[members.size() % stubs.size()], join, watch));
  }
  auto first = TimeUntil(balanced, "the first assignment", watches);
  if (!first.ok()) return first.status();
  figures.first_seconds = *first;

  const auto trickles = Connect(hub.address(), 2);
  Trickle one(trickles[0], *topic, workload.partitions, workload.records_per_second / 2);
  Trickle two(trickles[1], *topic, workload.partitions, workload.records_per_second / 2);
  Sleep(1);
  watch.Reset();
  Sleep(2);
  figures.gap_before_ms = static_cast<double>(watch.LongestGapNs()) / 1e6;
  std::vector<double> joins;
  std::vector<double> leaves;
  const auto settle = [&](const std::function<bool()>& done, std::vector<double>& times) -> absl::Status {
    auto seconds = TimeUntil(done, "a rebalance", watches);
    if (!seconds.ok()) return seconds.status();
    times.push_back(*seconds * 1e3);
    Sleep(0.5);
    figures.moved_max = std::max(figures.moved_max, watch.Moved());
    figures.gap_during_ms = std::max(figures.gap_during_ms, static_cast<double>(watch.LongestGapNs()) / 1e6);
    return absl::OkStatus();
  };
  for (int round = 0; round < workload.rounds; ++round) {
    watch.Reset();
    members.push_back(std::make_unique<GroupMember>(*stubs[members.size() % stubs.size()], join, watch));
    if (absl::Status settled = settle(balanced, joins); !settled.ok()) return settled;
    watch.Reset();
    members.back()->Leave();
    const grpc::Status ended = members.back()->Await();
    if (!ended.ok()) return absl::InternalError(absl::StrCat("a member ended with: ", ended.error_message()));
    members.pop_back();
    if (absl::Status settled = settle(whole, leaves); !settled.ok()) return settled;
  }
  figures.join_ms_median = Median(joins);
  figures.join_ms_max = *std::max_element(joins.begin(), joins.end());
  figures.leave_ms_median = Median(leaves);
  figures.leave_ms_max = *std::max_element(leaves.begin(), leaves.end());
  return figures;
}

std::string ToText(const GroupsFigures& f) {
  return absl::StrFormat(
      "all members joined, every partition read in every group   %10.2f s\n"
      "resident memory before, idle, loaded                      %10.1f MB %10.1f MB %10.1f MB\n"
      "hub's CPU idle, loaded                                    %10.3f cores %7.3f cores\n"
      "records written, read by all groups                       %10.0f /s %10.0f /s\n",
      f.join_seconds, f.resident_before_mb, f.resident_idle_mb, f.resident_load_mb, f.idle_cores,
      f.load_cores, f.written_per_second, f.read_per_second);
}

std::string ToText(const RebalanceFigures& f) {
  return absl::StrFormat(
      "first assignment, all members at once                     %10.2f s\n"
      "one more joins: until it has its share, median, max       %10.1f ms %9.1f ms\n"
      "one leaves: until others have what it had, median, max    %10.1f ms %9.1f ms\n"
      "partitions that moved, at most                            %10d\n"
      "longest gap of a partition: undisturbed, others moving    %10.1f ms %9.1f ms\n",
      f.first_seconds, f.join_ms_median, f.join_ms_max, f.leave_ms_median, f.leave_ms_max, f.moved_max,
      f.gap_before_ms, f.gap_during_ms);
}

std::string ToJson(const GroupsFigures& f) {
  return nlohmann::json{{"groups",
                         {{"join_seconds", f.join_seconds},
                          {"resident_before_mb", f.resident_before_mb},
                          {"resident_idle_mb", f.resident_idle_mb},
                          {"resident_load_mb", f.resident_load_mb},
                          {"idle_cores", f.idle_cores},
                          {"load_cores", f.load_cores},
                          {"written_per_second", f.written_per_second},
                          {"read_per_second", f.read_per_second}}}}
      .dump(2);
}

std::string ToJson(const RebalanceFigures& f) {
  return nlohmann::json{{"rebalance",
                         {{"first_seconds", f.first_seconds},
                          {"join_ms_median", f.join_ms_median},
                          {"join_ms_max", f.join_ms_max},
                          {"leave_ms_median", f.leave_ms_median},
                          {"leave_ms_max", f.leave_ms_max},
                          {"moved_max", f.moved_max},
                          {"gap_before_ms", f.gap_before_ms},
                          {"gap_during_ms", f.gap_during_ms}}}}
      .dump(2);
}

}  // namespace naru::bench
