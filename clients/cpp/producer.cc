#include "clients/cpp/producer.h"

#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "clients/cpp/errors.h"
#include "storage/base/status.h"

namespace naru::client {
namespace {

// What a record costs beside its bytes: its place in the batch and its callback.
constexpr int64_t kRecordOverheadBytes = sizeof(PendingRecord) + 16;

}  // namespace

absl::StatusOr<std::unique_ptr<Producer>> Producer::Create(std::shared_ptr<Client> client,
                                                           ProducerOptions options) {
  NARU_RETURN_IF_ERROR(ValidateProducerOptions(options));
  return std::unique_ptr<Producer>(new Producer(std::move(client), std::move(options)));
}

Producer::Producer(std::shared_ptr<Client> client, ProducerOptions options)
    : client_(std::move(client)),
      options_(std::move(options)),
      ledger_(options_),
      sender_(client_, options_, [this](const PartitionQueue& queue, PartitionQueue::Batch batch) {
        ledger_.Deliver(queue.topic(), queue.partition(), std::move(batch));
      }) {}

Producer::~Producer() { (void)Close(absl::ZeroDuration()); }

absl::StatusOr<PartitionId> Producer::ChoosePartition(std::string_view topic, const OutgoingRecord& record) {
  {
    absl::MutexLock lock(&mutex_);
    const auto found = topics_.find(topic);
    if (found != topics_.end() &&
        absl::Now() - found->second.routes->heard_at < client_->options().metadata_age_max) {
      TopicState& state = found->second;
      auto chosen = state.rotation.Choose(record, static_cast<int32_t>(state.routes->partitions.size()));
      if (chosen.ok()) return chosen;
    }
  }
  // New, old, or without the partition asked for: it may have grown since.
  std::shared_ptr<const TopicRoutes> routes;
  if (record.partition) {
    NARU_ASSIGN_OR_RETURN(routes, client_->RefreshTopic(topic));
  } else {
    NARU_ASSIGN_OR_RETURN(routes, client_->Topic(topic));
  }
  sender_.AddTopic(*routes);
  absl::MutexLock lock(&mutex_);
  auto found = topics_.find(topic);
  if (found == topics_.end()) {
    const auto start = options_.rotation_start ? static_cast<uint32_t>(options_.rotation_start->value())
                                               : static_cast<uint32_t>(std::random_device{}());
    found = topics_.emplace(topic, TopicState{routes, PartitionRotation(start)}).first;
  }
  found->second.routes = routes;
  return found->second.rotation.Choose(record, static_cast<int32_t>(routes->partitions.size()));
}

absl::Status Producer::Send(std::string_view topic, const OutgoingRecord& record, DeliveryCallback done) {
  if (closed_) return absl::FailedPreconditionError("the producer is closed");
  thread_local std::string raw;
  raw.clear();
  EncodeRecord(record, raw);
  const auto raw_bytes = static_cast<int64_t>(raw.size());
  if (raw_bytes > options_.record_bytes_max) {
    raw = std::string();  // a thread does not keep the room of its largest record
    return MakeError(
        Reason::kRecordTooLarge,
        absl::StrCat("the record has ", raw_bytes, " bytes; the producer's record_bytes_max allows ",
                     options_.record_bytes_max),
        {{"limit_bytes", absl::StrCat(options_.record_bytes_max)}});
  }
  NARU_ASSIGN_OR_RETURN(const PartitionId partition, ChoosePartition(topic, record));
  const int64_t bytes = raw_bytes + kRecordOverheadBytes;
  NARU_ASSIGN_OR_RETURN(const int64_t generation, ledger_.Reserve(bytes));
  sender_.Append(topic, partition, raw, {std::move(done), record.timestamp_ms}, bytes, generation);
  return absl::OkStatus();
}

absl::Status Producer::Flush(absl::Duration timeout) {
  if (ledger_.OnCallbackThread()) {
    return absl::FailedPreconditionError("Flush was called inside of a delivery callback");
  }
  const absl::Time deadline = absl::Now() + timeout;
  const int64_t generation = ledger_.EndGeneration();
  sender_.SealAll(generation);
  return ledger_.Wait(generation, deadline);
}

absl::Status Producer::Close(absl::Duration timeout) {
  if (ledger_.OnCallbackThread()) {
    return absl::FailedPreconditionError("Close was called inside of a delivery callback");
  }
  if (closed_.exchange(true)) return absl::OkStatus();
  ledger_.Close();
  const absl::Status flushed = Flush(timeout);
  sender_.Stop();
  // What the stop failed still has callbacks to run.
  const absl::Status rest = ledger_.Wait(ledger_.EndGeneration(), absl::InfiniteFuture());
  return flushed.ok() ? rest : flushed;
}

}  // namespace naru::client
