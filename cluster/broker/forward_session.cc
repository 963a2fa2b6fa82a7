#include "cluster/broker/forward_session.h"

#include <utility>
#include <vector>

#include "cluster/broker/peer_message.h"
#include "cluster/metadata/error_message.h"
#include "storage/base/status.h"

namespace naru::cluster {

namespace v1 = naru::internal::v1;

namespace {

// Pipelines whose failures are remembered; older ones are forgotten first.
constexpr size_t kFenceAgesMax = 20'000;

}  // namespace

void ForwardSession::OnMessage(Request message) {
  const LogId log(message.log_id());
  const uint64_t id = message.id();
  switch (message.request_case()) {
    case Request::kAppend:
      return Append(id, log, *message.mutable_append());
    case Request::kRead:
      return Read(id, log, message.read());
    case Request::kInfo: {
      const auto info = logs_.Info(log);
      Response response;
      if (info.ok()) *response.mutable_info() = ToMessage(*info);
      return Answer(id, info.status(), std::move(response));
    }
    case Request::kFind:
      return logs_.FindByTime(
          log, message.find().timestamp_ms(),
          [self = shared_from_this(), id](absl::StatusOr<std::optional<TimedOffset>> found) {
            Response response;
            v1::FindAnswer& answer = *response.mutable_find();
            if (found.ok() && found->has_value()) {
              answer.set_offset((*found)->offset.value());
              answer.set_timestamp_ms((*found)->timestamp_ms);
            }
            self->Answer(id, found.status(), std::move(response));
          });
    case Request::kWatch:
      return Watch(id, log, Offset(message.watch().offset()));
    case Request::kCancelWatch:
      return CancelWatch(message.cancel_watch());
    case Request::kMoveStart:
      return logs_.MoveLogStart(log, Offset(message.move_start().start()),
                                [self = shared_from_this(), id](const absl::Status& status) {
                                  Response response;
                                  response.mutable_done();
                                  self->Answer(id, status, std::move(response));
                                });
    case Request::REQUEST_NOT_SET:
      return Answer(id, InvalidField("request", "none", "one that this broker knows is needed"));
  }
}

void ForwardSession::Answer(uint64_t id, const absl::Status& status, Response response) {
  if (!status.ok()) {
    response = {};
    *response.mutable_error() = ToErrorMessage(status);
  }
  response.set_id(id);
  stream_->Send(std::move(response));
}

void ForwardSession::Append(uint64_t id, LogId log, v1::AppendOrder& order) {
  AppendRequest request;
  request.log = log;
  if (order.has_expected_offset()) request.expected_offset = Offset(order.expected_offset());
  request.on_all_in_sync = order.acks() != naru::v1::ACKS_LEADER;
  request.info = {.size_bytes = static_cast<int64_t>(order.batch().size()),
                  .records_bytes = order.records_bytes(),
                  .record_count = order.record_count(),
                  .codec = static_cast<Codec>(order.codec()),
                  .max_timestamp_ms = order.max_timestamp_ms(),
                  .needs_append_time = order.needs_append_time(),
                  .has_keyed = order.has_keyed(),
                  .has_keyless = order.has_keyless(),
                  .crc32c = order.crc32c()};
  request.batch = absl::Cord(std::move(*order.mutable_batch()));
  auto stamp = StampOf(request.batch);
  if (!stamp.ok()) {
    // The other broker walked it.
    return Answer(id, stamp.status());
  }
  request.producer = request.info.producer = *stamp;
  request.fence = FindFence(order.fence_id());
  request.fence_order = order.fence_order();
  logs_.Append(std::move(request), [self = shared_from_this(), id](const absl::StatusOr<Appended>& appended) {
    Response response;
    if (appended.ok()) {
      v1::AppendAnswer& answer = *response.mutable_append();
      answer.set_base_offset(appended->base_offset.value());
      answer.set_next_offset(appended->next_offset.value());
      answer.set_append_time_ms(appended->append_time_ms);
      answer.set_log_start(appended->log_start.value());
      answer.set_duplicate(appended->duplicate);
    }
    self->Answer(id, appended.status(), std::move(response));
  });
}

std::shared_ptr<AppendFence> ForwardSession::FindFence(uint64_t id) {
  if (id == 0) return nullptr;
  absl::MutexLock lock(&mutex_);
  std::shared_ptr<AppendFence>& fence = fences_[id];
  if (fence != nullptr) return fence;
  fence = std::make_shared<AppendFence>();
  std::shared_ptr<AppendFence> made = fence;
  fence_ages_.push_back(id);
  if (fence_ages_.size() > kFenceAgesMax) {
    fences_.erase(fence_ages_.front());
    fence_ages_.pop_front();
  }
  return made;
}

void ForwardSession::Read(uint64_t id, LogId log, const v1::ReadOrder& order) {
  const ReadRequest request{.log = log,
                            .from = Offset(order.from()),
                            .end = Offset(order.end()),
                            .bytes_max = order.bytes_max(),
                            .first_bytes_max = order.first_bytes_max()};
  logs_.Read(request, [self = shared_from_this(), id](const absl::StatusOr<ReadResult>& result) {
    Response response;
    if (result.ok()) {
      v1::ReadAnswer& answer = *response.mutable_read();
      answer.set_next_offset(result->next_offset.value());
      answer.set_log_start(result->log_start.value());
      answer.set_readable_end(result->readable_end.value());
      answer.set_first_batch_bytes(result->first_batch_bytes);
      for (const StoredBatchView& batch : result->batches) ToMessage(batch, *answer.add_batches());
    }
    self->Answer(id, result.status(), std::move(response));
  });
}

void ForwardSession::Watch(uint64_t id, LogId log, Offset offset) {
  {
    absl::MutexLock lock(&mutex_);
    if (closed_) return;
    watches_[id] = 0;
  }
  const LogWatches::WatchId watch =
      logs_.Watch(log, offset, [self = shared_from_this(), id, log] { self->OnFired(id, log); });
  absl::MutexLock lock(&mutex_);
  // It may have fired already.
  if (const auto found = watches_.find(id); found != watches_.end()) found->second = watch;
}

void ForwardSession::OnFired(uint64_t id, LogId log) {
  {
    absl::MutexLock lock(&mutex_);
    if (watches_.erase(id) == 0) return;
  }
  Response response;
  if (const auto info = logs_.Info(log); info.ok()) {
    *response.mutable_info() = ToMessage(*info);
  } else {
    response.mutable_done();
  }
  Answer(id, absl::OkStatus(), std::move(response));
}

void ForwardSession::CancelWatch(uint64_t id) {
  LogWatches::WatchId watch = 0;
  {
    absl::MutexLock lock(&mutex_);
    const auto found = watches_.find(id);
    if (found == watches_.end()) return;
    watch = found->second;
    watches_.erase(found);
  }
  if (watch != 0) logs_.CancelWatch(watch);
}

void ForwardSession::Closed() {
  std::vector<LogWatches::WatchId> watches;
  {
    absl::MutexLock lock(&mutex_);
    closed_ = true;
    for (const auto& [id, watch] : watches_) watches.push_back(watch);
    watches_.clear();
  }
  for (const LogWatches::WatchId watch : watches) {
    if (watch != 0) logs_.CancelWatch(watch);
  }
}

}  // namespace naru::cluster
