// The two ends of a gRPC stream as a queue of messages: what is sent goes out in order, one write at a time,
// and what comes in is handed on. Both ends own themselves until gRPC is done with them.
#pragma once

#include <grpcpp/grpcpp.h>
#include <grpcpp/support/client_callback.h>
#include <grpcpp/support/server_callback.h>

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "cluster/broker/link.h"
#include "cluster/transport/grpc_status.h"

namespace naru::cluster {

// What both ends have in common. `Reactor` is gRPC's, of Out written and In read.
template <typename Reactor, typename Out, typename In>
class MessageStream : public Reactor {
 public:
  void Enqueue(std::shared_ptr<const Out> message) {
    const auto bytes = static_cast<int64_t>(message->ByteSizeLong());
    absl::MutexLock lock(&mutex_);
    if (ended_) return;
    queued_bytes_.fetch_add(bytes, std::memory_order_relaxed);
    outgoing_.emplace_back(std::move(message), bytes);
    if (outgoing_.size() == 1) Write();
  }
  int64_t queued_bytes() const { return queued_bytes_.load(std::memory_order_relaxed); }

 protected:
  virtual void OnIn(In message) = 0;
  virtual void OnReadsEnded() = 0;
  virtual void OnDrained() {}

  void BeginReading() { this->StartRead(&incoming_); }
  void OnReadDone(bool ok) override {
    if (!ok) return OnReadsEnded();
    In message = std::exchange(incoming_, {});
    OnIn(std::move(message));
    this->StartRead(&incoming_);
  }
  void OnWriteDone(bool ok) override {
    bool drained = false;
    {
      absl::MutexLock lock(&mutex_);
      if (outgoing_.empty()) return;
      queued_bytes_.fetch_sub(outgoing_.front().second, std::memory_order_relaxed);
      outgoing_.pop_front();
      if (!ok || ended_) {
        ended_ = true;
        outgoing_.clear();
        return MaybeEnd();
      }
      if (!outgoing_.empty()) {
        Write();
      } else {
        drained = true;
        MaybeEnd();
      }
    }
    if (drained) OnDrained();
  }
  // Nothing more is taken in; what is being written may still go out.
  void EndQueue() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    ended_ = true;
    while (outgoing_.size() > 1) outgoing_.pop_back();
  }
  bool writing() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return !outgoing_.empty(); }
  // gRPC says that the other reactions are over; whoever was in them has let go of the lock too.
  void AwaitOthers() ABSL_LOCKS_EXCLUDED(mutex_) { const absl::MutexLock lock(&mutex_); }
  // A write has ended, and nothing is being written.
  virtual void MaybeEnd() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {}

  absl::Mutex mutex_;

 private:
  void Write() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { this->StartWrite(outgoing_.front().first.get()); }

  In incoming_;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  std::deque<std::pair<std::shared_ptr<const Out>, int64_t>> outgoing_ ABSL_GUARDED_BY(mutex_);
  std::atomic<int64_t> queued_bytes_{0};
};

// The calls of one set of channels that gRPC is not done with. gRPC does not bear its last channel ending on
// one of its own threads, so who owns the channels waits for them. Thread-safe.
class OpenCalls {
 public:
  void Begin() {
    absl::MutexLock lock(&mutex_);
    ++open_;
  }
  void End() {
    absl::MutexLock lock(&mutex_);
    --open_;
  }
  void WaitForNone() {
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(
        +[](int64_t* open) { return *open == 0; }, &open_));
  }

 private:
  absl::Mutex mutex_;
  int64_t open_ ABSL_GUARDED_BY(mutex_) = 0;
};

// The end that called.
template <typename Out, typename In>
class ClientStream final : public MessageStream<grpc::ClientBidiReactor<Out, In>, Out, In>,
                           public std::enable_shared_from_this<ClientStream<Out, In>> {
 public:
  ClientStream(LinkEvents<In> events, std::shared_ptr<OpenCalls> calls)
      : events_(std::move(events)), calls_(std::move(calls)) {}

  grpc::ClientContext& context() { return context_; }
  // Once the call was made with it.
  void Begin() {
    calls_->Begin();
    self_ = this->shared_from_this();
    this->BeginReading();
    this->StartCall();
  }
  // No event comes after this, but for one that is being handled on this thread.
  void Detach() {
    {
      absl::MutexLock lock(&events_mutex_);
      detached_ = true;
      if (handling_ != std::this_thread::get_id()) {
        events_mutex_.Await(absl::Condition(
            +[](bool* busy) { return !*busy; }, &busy_));
      }
    }
    {
      absl::MutexLock lock(&this->mutex_);
      this->EndQueue();
    }
    context_.TryCancel();
  }

 private:
  void OnIn(In message) override {
    if (!Enter()) return;
    events_.message(std::move(message));
    Leave();
  }
  // The read that is always under way was what kept the call: when this returns gRPC may be done with it at
  // any moment, and a write that began then would be one of a call that is gone.
  void OnReadsEnded() override {
    absl::MutexLock lock(&this->mutex_);
    this->EndQueue();
  }
  void OnDone(const grpc::Status& status) override {
    if (Enter()) {
      events_.broken(FromGrpcStatus(status));
      Leave();
    }
    const std::shared_ptr<OpenCalls> calls = calls_;
    this->AwaitOthers();
    self_.reset();
    calls->End();
  }
  bool Enter() {
    absl::MutexLock lock(&events_mutex_);
    if (detached_) return false;
    busy_ = true;
    handling_ = std::this_thread::get_id();
    return true;
  }
  void Leave() {
    absl::MutexLock lock(&events_mutex_);
    busy_ = false;
    handling_ = {};
  }

  const LinkEvents<In> events_;
  const std::shared_ptr<OpenCalls> calls_;
  grpc::ClientContext context_;
  std::shared_ptr<ClientStream> self_;  // until OnDone
  absl::Mutex events_mutex_;
  bool detached_ ABSL_GUARDED_BY(events_mutex_) = false;
  bool busy_ ABSL_GUARDED_BY(events_mutex_) = false;
  std::thread::id handling_ ABSL_GUARDED_BY(events_mutex_);
};

// A ClientStream, as long as somebody wants it.
template <typename Out, typename In>
class ClientLink final : public Link<Out> {
 public:
  explicit ClientLink(std::shared_ptr<ClientStream<Out, In>> stream) : stream_(std::move(stream)) {}
  ~ClientLink() override { stream_->Detach(); }
  void Send(Out message) override { stream_->Enqueue(std::make_shared<const Out>(std::move(message))); }
  int64_t queued_bytes() const override { return stream_->queued_bytes(); }

 private:
  const std::shared_ptr<ClientStream<Out, In>> stream_;
};

// The end that was called.
template <typename Out, typename In>
class ServerStream final : public MessageStream<grpc::ServerBidiReactor<In, Out>, Out, In>,
                           public std::enable_shared_from_this<ServerStream<Out, In>> {
 public:
  struct Events {
    std::function<void(In message)> message;
    std::function<void()> drained;
    std::function<void()> closed;  // once, as the last
  };

  // gRPC's until OnDone.
  static std::shared_ptr<ServerStream> Make() {
    auto stream = std::make_shared<ServerStream>();
    stream->self_ = stream;
    return stream;
  }

  void Begin(Events events) {
    events_ = std::move(events);
    this->BeginReading();
  }
  // The stream ends with this once what is being written has gone out. Only the first counts.
  void End(const absl::Status& why) {
    absl::MutexLock lock(&this->mutex_);
    if (status_) return;
    status_ = ToInternalStatus(why);
    this->EndQueue();
    if (!this->writing()) MaybeEnd();
  }

 private:
  void OnIn(In message) override { events_.message(std::move(message)); }
  void OnReadsEnded() override { End(absl::OkStatus()); }
  void OnDrained() override {
    if (events_.drained) events_.drained();
  }
  void MaybeEnd() override ABSL_EXCLUSIVE_LOCKS_REQUIRED(this->mutex_) {
    if (!status_ || std::exchange(finished_, true)) return;
    this->Finish(*status_);
  }
  void OnCancel() override { End(absl::CancelledError("the other side is gone")); }
  void OnDone() override {
    if (events_.closed) events_.closed();
    this->AwaitOthers();
    self_.reset();
  }

  Events events_;
  std::shared_ptr<ServerStream> self_;
  std::optional<grpc::Status> status_ ABSL_GUARDED_BY(this->mutex_);
  bool finished_ ABSL_GUARDED_BY(this->mutex_) = false;
};

}  // namespace naru::cluster
