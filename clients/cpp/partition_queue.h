// One partition's records on their way from Send to their acknowledgement: gathered into batches, sent in
// order, sent again in the same order when the broker asks for it. This is the producer's core, without
// threads, IO or clocks; Producer drives it and tests script it.
//
// A batch is open (gathers records), ready (sealed, to be sent), in flight (sent, not answered) or finished.
// After one batch failed the broker skips the later ones of its stream, so the queue sends nothing more until
// all in flight are answered, puts those that may be tried again back in front in their old order, and begins
// again with Resume.
//
// Of an idempotent producer every batch is stamped when it is first sent, and sent again with the same stamp
// until its outcome is known (batch_stamps.h).
#pragma once

#include <grpcpp/support/byte_buffer.h>

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/strings/cord.h"
#include "absl/time/time.h"
#include "clients/cpp/backoff.h"
#include "clients/cpp/batch_stamps.h"
#include "clients/cpp/producer_options.h"
#include "storage/base/ids.h"
#include "storage/batch/batch.h"

namespace naru::client {

// What became of a record.
struct Delivery {
  std::string_view topic;
  PartitionId partition;
  // OK: acknowledged as ProducerOptions::acks asks.
  absl::Status status;
  // Position in the partition; -1 when not known: with acks none, or when `status` is not OK.
  int64_t offset = -1;
  // As given with the record, else the append time; 0 when not known.
  int64_t timestamp_ms = 0;
  // `status` is not OK, and yet the record may stand in the log.
  bool maybe_appended = false;
};

// Called once for each record.
using DeliveryCallback = absl::AnyInvocable<void(const Delivery&)>;

struct PendingRecord {
  DeliveryCallback done;  // may be empty
  int64_t timestamp_ms = 0;
};

// Records of one partition that travel together.
struct ProducerBatch {
  // Rises with every batch of a producer, so that it also gives the order.
  int64_t id = 0;
  BatchBuilder builder;
  // The builder's bytes, once they were taken out.
  std::optional<absl::Cord> packed;
  // Of an idempotent producer, from the first time it is sent on.
  std::optional<ProducerStamp> stamp;
  // The item as sent; empty until it is encoded under its stamp.
  grpc::ByteBuffer item;
  bool encoded = false;
  std::vector<PendingRecord> records;
  // Charged to the producer's buffer.
  int64_t charged_bytes = 0;
  absl::Time opened_at;
  // Which flush waits for it.
  int64_t generation = 0;
  // It was on a stream that broke, or its outcome is unknown for another reason.
  bool maybe_appended = false;
  // It was on a stream that ended because of one of its messages. Sent alone from then on, so that the next
  // such end finds the culprit.
  bool suspect = false;
  // Every stream that it was on and that broke ended so.
  bool only_refused = false;

  // The outcome, once finished.
  absl::Status status;
  int64_t base_offset = -1;
  int64_t append_time_ms = 0;
};

// Not thread-safe.
class PartitionQueue {
 public:
  // `options` outlive the queue and are valid.
  PartitionQueue(std::string topic, PartitionId partition, const ProducerOptions& options, uint32_t seed);

  using Batch = std::unique_ptr<ProducerBatch>;

  // From now on batches are stamped. Once, before the first is sent.
  void StampFor(int64_t producer_id) { stamps_.emplace(producer_id); }

  const std::string& topic() const { return topic_; }
  PartitionId partition() const { return partition_; }

  // Adds a record, given as a Record's bytes, to the open batch; opens one with id `*next_id` (which it then
  // raises) where there is none or it is of another generation, and seals it when it is full.
  void Append(std::string_view raw_record, PendingRecord record, int64_t charged_bytes, int64_t generation,
              absl::Time now, int64_t* next_id);
  // Seals the open batch, if there is one.
  void Seal();

  // Something may be sent now.
  bool IsSendable(absl::Time now) const;
  // When to look again if nothing else happens: a linger or a backoff ends, or a batch expires.
  // InfiniteFuture: never.
  absl::Time NextActionAt() const;

  // The stream must be told Resume before the next batch. `stream`: which it will go to, a number that is
  // never used again; a stream that saw no failure needs none.
  bool NeedsResume(int64_t stream) const { return needs_resume_on_ == stream; }
  void ResumeSent() { needs_resume_on_ = 0; }

  // The next batch must be the only one on its connection until it is answered.
  bool NextGoesAlone() const { return !ready_.empty() && ready_.front()->suspect; }
  // The next batch, now in flight on `stream` (more than 0). The pointer holds until the batch is finished.
  // Needs IsSendable(now).
  ProducerBatch* Send(int64_t stream, absl::Time now);
  bool HasInFlight() const { return !in_flight_.empty(); }

  // A batch in flight was appended.
  Batch OnAppended(int64_t id, int64_t base_offset, int64_t append_time_ms, absl::Time now);
  // A batch in flight failed with `status`. Gives it back when that is its end; nothing when it will be tried
  // again.
  Batch OnFailed(int64_t id, const absl::Status& status, absl::Time now);
  // The stream that all in flight are on is gone with `status`. Gives back those whose end that is, in order:
  // also a suspect, sent alone, when it was a message that ended the stream.
  std::vector<Batch> OnStreamBroken(const absl::Status& status, absl::Time now);
  // Why nothing can be sent at the moment, for the message of what expires.
  void NoteObstacle(const absl::Status& status) { last_error_ = status; }
  // Batches not in flight that have been tried for delivery_timeout, in order.
  std::vector<Batch> Expire(absl::Time now);
  // Everything not in flight, failed with `status`, in order.
  std::vector<Batch> FailWaiting(const absl::Status& status);

 private:
  // No batch may be sent until all in flight are answered.
  bool MustDrain() const { return draining_ || (stamps_ && stamps_->unsettled() && !in_flight_.empty()); }
  // A failure after which the batch is sent again.
  bool MayTryAgain(const ProducerBatch& batch, const absl::Status& status) const;
  // Stamps anew what was sent behind batches that were given up.
  void SettleStamps();
  // When all in flight are answered after a failure: puts `again_` back in front.
  void SettleIfDrained(absl::Time now);
  bool IsOpenDue(absl::Time now) const;
  absl::Time ExpiryOf(const ProducerBatch& batch) const {
    return batch.opened_at + options_.delivery_timeout;
  }
  Batch Finish(Batch batch, absl::Status status);

  const std::string topic_;
  const PartitionId partition_;
  const ProducerOptions& options_;
  Backoff backoff_;

  Batch open_;
  std::deque<Batch> ready_;
  // By id.
  std::map<int64_t, Batch> in_flight_;
  int64_t in_flight_stream_ = 0;
  std::optional<BatchStamps> stamps_;
  // Answered with a failure that allows another try; by id.
  std::map<int64_t, Batch> again_;
  // A batch in flight failed, and not all of the others are answered yet.
  bool draining_ = false;
  // Whether another try should wait a while: not when the later batches were skipped for an earlier one's own
  // fault.
  bool wait_before_retry_ = false;
  bool failed_for_good_ = false;
  absl::Time blocked_until_ = absl::InfinitePast();
  int64_t needs_resume_on_ = 0;
  absl::Status last_error_;
};

}  // namespace naru::client
