#include "tools/bench/client_load.h"

#include <atomic>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <variant>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "clients/cpp/client.h"
#include "clients/cpp/producer.h"
#include "clients/cpp/subscription.h"
#include "storage/base/status.h"
#include "tools/bench/load.h"
#include "tools/bench/process_stats.h"

namespace naru::bench {
namespace {

// Of so many records one is timed.
constexpr int64_t kTimed = 64;
constexpr absl::Duration kFlushTimeout = absl::Seconds(60);

// Half random, as the other loads' values.
std::string Material(int64_t bytes) {
  std::mt19937_64 random(1);
  std::string material(static_cast<size_t>(bytes), 'x');
  for (size_t i = 0; i < material.size(); i += 2) material[i] = static_cast<char>(random());
  return material;
}

// What callbacks, all on one thread, add up.
struct Written {
  Tally tally;
  int64_t all = 0;  // records, the warm-up's included
};

absl::StatusOr<Written> Produce(const std::shared_ptr<client::Client>& client, const std::string& topic,
                                const ClientWorkload& workload, const Window& window) {
  client::ProducerOptions options;
  options.batch_bytes = workload.batch_bytes;
  options.idempotent = workload.idempotent;
  options.acks = workload.fsync ? naru::v1::ACKS_ALL : naru::v1::ACKS_LEADER;
  NARU_ASSIGN_OR_RETURN(auto producer, client::Producer::Create(client, options));
  const std::string material = Material(workload.record_bytes + (1 << 16));
  Written written;
  for (int64_t i = 0; NowNs() < window.end_ns; ++i) {
    const std::string_view value = std::string_view(material).substr(
        static_cast<size_t>(i & 0xffff), static_cast<size_t>(workload.record_bytes));
    const int64_t sent_ns = i % kTimed == 0 ? NowNs() : 0;
    NARU_RETURN_IF_ERROR(
        producer->Send(topic, {.value = value}, [&, sent_ns](const client::Delivery& delivery) {
          if (!delivery.status.ok()) return written.tally.Fail(delivery.status.ToString());
          ++written.all;
          const int64_t now_ns = NowNs();
          if (!window.Contains(now_ns)) return;
          ++written.tally.records;
          written.tally.payload_bytes += workload.record_bytes;
          if (sent_ns != 0) written.tally.latency.Record(now_ns - sent_ns);
        }));
  }
  NARU_RETURN_IF_ERROR(producer->Close(kFlushTimeout));
  return written;
}

absl::StatusOr<Tally> Consume(const std::shared_ptr<client::Client>& client, const std::string& topic,
                              const ClientWorkload& workload, int64_t records) {
  naru::v1::SubscribeStart start;
  auto* subscribed = start.add_topics();
  subscribed->set_topic(topic);
  subscribed->set_position(naru::v1::POSITION_EARLIEST);
  NARU_ASSIGN_OR_RETURN(auto subscription, client::Subscription::Open(client, start, {}));
  Tally tally;
  while (tally.records < records) {
    NARU_ASSIGN_OR_RETURN(const auto event, subscription->Next(kFlushTimeout));
    if (!event) return absl::DeadlineExceededError("nothing came for a minute");
    const auto* delivery = std::get_if<client::PartitionRecords>(&*event);
    if (delivery == nullptr) continue;
    tally.records += static_cast<int64_t>(delivery->records.size());
    for (const client::ReceivedRecord& record : delivery->records) {
      tally.payload_bytes += static_cast<int64_t>(record.value.value_or("").size());
    }
  }
  return tally;
}

}  // namespace

absl::StatusOr<std::vector<Figure>> MeasureClient(BenchHub& hub, const ClientWorkload& workload,
                                                  const RunTime& time) {
  NARU_ASSIGN_OR_RETURN(const std::string topic, hub.CreateTopic({workload.partitions, workload.fsync}));
  auto remove = absl::MakeCleanup([&] { (void)hub.DeleteTopic(topic); });
  client::ClientOptions options;
  options.servers = {hub.address()};
  NARU_ASSIGN_OR_RETURN(const auto client, client::Client::Create(options));
  const std::string name = absl::StrCat("client-", workload.partitions, "-partitions-", workload.record_bytes,
                                        "b", workload.fsync ? "-fsync" : "");
  std::vector<Figure> figures;
  {
    const CpuMeter meter(hub.pid(), hub.data_folder());
    NARU_ASSIGN_OR_RETURN(const Written written, Produce(client, topic, workload,
                                                         Window::FromNow(time.warmup_seconds, time.seconds)));
    figures.push_back(ToFigure(absl::StrCat(name, "-produce"), written.tally, time.seconds));
    meter.Apply(figures.back());
    if (written.tally.failures > 0) return figures;
    const CpuMeter reading(hub.pid());
    const int64_t begun_ns = NowNs();
    NARU_ASSIGN_OR_RETURN(const Tally read, Consume(client, topic, workload, written.all));
    figures.push_back(
        ToFigure(absl::StrCat(name, "-subscribe"), read, static_cast<double>(NowNs() - begun_ns) / 1e9));
    reading.Apply(figures.back());
  }
  return figures;
}

}  // namespace naru::bench
