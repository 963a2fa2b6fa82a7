#include "services/cluster/metadata_broadcaster.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/time/time.h"
#include "services/rpc/status.h"
#include "storage/base/status.h"
#include "storage/base/strings.h"

namespace naru::services {
namespace {

// How long to wait for memory that answers elsewhere hold, before trying again.
constexpr absl::Duration kMemoryWait = absl::Seconds(1);

// What all streams may keep of their names: some fifty of them with as many and as long names as there can
// be.
constexpr int64_t kNamesBytesMax = int64_t{16} << 20;

// In a stream's list, and in what it has seen.
int64_t BytesOf(const std::vector<std::string>& names) {
  size_t bytes = 0;
  for (const std::string& name : names) {
    bytes += sizeof(std::string) + name.capacity() + sizeof(std::shared_ptr<const cluster::TopicInfo>);
  }
  return static_cast<int64_t>(bytes);
}

absl::Status TooMany(std::string_view what) {
  return MakeError(Reason::kTooManyInFlight,
                   absl::StrCat(what, "; try again, or call GetMetadata now and then"));
}

// Ends before it began.
class RefusedStream final : public MetadataBroadcaster::Reactor {
 public:
  explicit RefusedStream(grpc::Status status) { Finish(std::move(status)); }
  void OnDone() override { delete this; }
};

absl::Status ShuttingDown() {
  return MakeError(Reason::kShuttingDown, "the broker is shutting down; watch again, or at another broker");
}

// What a stream with names has been told of.
struct Seen {
  std::vector<std::shared_ptr<const cluster::TopicInfo>> topics;
  std::vector<cluster::BrokerInfo> brokers;

  friend bool operator==(const Seen& a, const Seen& b) {
    const auto same = [](const cluster::BrokerInfo& x, const cluster::BrokerInfo& y) {
      return x.id == y.id && x.address == y.address;
    };
    return a.topics == b.topics &&
           std::equal(a.brokers.begin(), a.brokers.end(), b.brokers.begin(), b.brokers.end(), same);
  }
};

Seen Look(const cluster::TopicCatalog& catalog, const std::vector<std::string>& names) {
  Seen seen;
  for (const std::string& name : names) {
    const auto topic = catalog.topics.find(name);
    seen.topics.push_back(topic == catalog.topics.end() ? nullptr : topic->second);
  }
  seen.brokers = catalog.brokers;
  return seen;
}

}  // namespace

// All fields but the constant ones belong to the broadcaster's mutex.
class MetadataBroadcaster::Stream final : public Reactor {
 public:
  Stream(MetadataBroadcaster& owner, uint64_t id, grpc::CallbackServerContext* context,
         std::vector<std::string> names, MemoryHold names_hold)
      : owner_(owner),
        names_hold_(std::move(names_hold)),
        id(id),
        context(context),
        names(std::move(names)) {}

  void OnWriteDone(bool ok) override { owner_.OnWritten(*this, ok); }
  void OnCancel() override { owner_.OnCancelled(*this); }
  // Gives its memory back before the broadcaster, which may go then, hears of it.
  void OnDone() override {
    names_hold_.Release();
    owner_.OnDone(*this);
    delete this;
  }

 private:
  MetadataBroadcaster& owner_;
  MemoryHold names_hold_;

 public:
  const uint64_t id;
  grpc::CallbackServerContext* const context;
  const std::vector<std::string> names;
  int64_t version = -1;  // that it has, or is getting
  std::optional<Seen> seen;
  std::shared_ptr<const MetadataSnapshot> on_the_way;  // while a write is under way
  std::optional<grpc::Status> ending;                  // Finish with this, once no write is under way
  bool finished = false;
};

MetadataBroadcaster::MetadataBroadcaster(cluster::CatalogSource& source, MetadataSnapshots& snapshots,
                                         size_t streams_max)
    : source_(source), snapshots_(snapshots), streams_max_(streams_max), names_budget_(kNamesBytesMax) {
  watch_ = source_.Watch([this] { MarkDirty(); });
  thread_ = std::thread([this] { Run(); });
}

MetadataBroadcaster::~MetadataBroadcaster() {
  Shutdown();
  absl::MutexLock lock(&mutex_);
  mutex_.Await(absl::Condition(this, &MetadataBroadcaster::HasNoStreams));
}

MetadataBroadcaster::Reactor* MetadataBroadcaster::Open(grpc::CallbackServerContext* context,
                                                        std::vector<std::string> names) {
  absl::MutexLock lock(&mutex_);
  if (stopping_) return Refuse(context, ShuttingDown());
  if (streams_.size() >= streams_max_) {
    return Refuse(context, TooMany(absl::StrCat(streams_.size(),
                                                " streams watch the metadata already, as many as may")));
  }
  const int64_t names_bytes = BytesOf(names);
  if (!names_budget_.TryTake(names_bytes)) {
    return Refuse(context,
                  TooMany(absl::StrCat("the names that streams watch take ", names_budget_.used_bytes(),
                                       " bytes of ", kNamesBytesMax, " already")));
  }
  auto* stream =
      new Stream(*this, next_id_++, context, std::move(names), MemoryHold(&names_budget_, names_bytes));
  streams_.emplace(stream->id, stream);
  dirty_ = true;
  return stream;
}

MetadataBroadcaster::Reactor* MetadataBroadcaster::Refuse(grpc::CallbackServerContext* context,
                                                          const absl::Status& error) {
  return new RefusedStream(ToGrpcStatus(error, *context));
}

void MetadataBroadcaster::Shutdown() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
    for (const auto& [id, stream] : streams_) {
      if (!stream->ending) End(*stream, ToGrpcStatus(ShuttingDown(), *stream->context));
    }
  }
  if (!thread_.joinable()) return;
  thread_.join();
  source_.CancelWatch(watch_);
}

void MetadataBroadcaster::Run() {
  bool out_of_memory = false;
  while (true) {
    std::vector<uint64_t> ids;
    {
      absl::MutexLock lock(&mutex_);
      mutex_.AwaitWithTimeout(absl::Condition(this, &MetadataBroadcaster::HasWork),
                              out_of_memory ? kMemoryWait : absl::InfiniteDuration());
      if (stopping_) return;
      dirty_ = false;
      for (const auto& [id, stream] : streams_) ids.push_back(id);
    }
    const std::shared_ptr<const cluster::TopicCatalog> catalog = source_.Current();
    out_of_memory = false;
    for (const uint64_t id : ids) {
      if (!Serve(id, *catalog)) out_of_memory = true;
    }
  }
}

bool MetadataBroadcaster::Serve(uint64_t id, const cluster::TopicCatalog& catalog) {
  std::vector<std::string> names;
  {
    absl::MutexLock lock(&mutex_);
    const Stream* stream = Ready(id, catalog.version);
    if (stream == nullptr) return true;
    names = stream->names;
  }
  std::optional<Seen> seen;
  if (!names.empty()) seen = Look(catalog, names);
  const auto snapshot = snapshots_.Make(catalog, names);

  absl::MutexLock lock(&mutex_);
  Stream* stream = Ready(id, catalog.version);
  if (stream == nullptr) return true;
  if (seen && stream->seen == seen) {
    stream->version = catalog.version;
    return true;
  }
  if (ReasonOf(snapshot.status()) == Reason::kTooManyInFlight) {
    CutOffSlowest(catalog.version);
    return false;
  }
  if (!snapshot.ok()) {
    End(*stream, ToGrpcStatus(snapshot.status(), *stream->context));
    return true;
  }
  stream->version = (*snapshot)->version;
  stream->seen = std::move(seen);
  stream->on_the_way = *snapshot;
  stream->StartWrite(&stream->on_the_way->bytes);
  return true;
}

MetadataBroadcaster::Stream* MetadataBroadcaster::Ready(uint64_t id, int64_t version) {
  const auto found = streams_.find(id);
  if (found == streams_.end()) return nullptr;
  Stream* stream = found->second;
  const bool ready = stream->on_the_way == nullptr && !stream->ending && stream->version < version;
  return ready ? stream : nullptr;
}

void MetadataBroadcaster::CutOffSlowest(int64_t version) {
  Stream* slowest = nullptr;
  for (const auto& [id, stream] : streams_) {
    const bool behind = stream->on_the_way != nullptr && !stream->ending && stream->version < version;
    if (behind && (slowest == nullptr || stream->version < slowest->version)) slowest = stream;
  }
  if (slowest == nullptr) return;
  End(*slowest, grpc::Status::CANCELLED);
  slowest->context->TryCancel();
}

void MetadataBroadcaster::End(Stream& stream, grpc::Status status) {
  if (!stream.ending) stream.ending = std::move(status);
  if (stream.on_the_way != nullptr || stream.finished) return;
  stream.finished = true;
  stream.Finish(*stream.ending);
}

void MetadataBroadcaster::MarkDirty() {
  absl::MutexLock lock(&mutex_);
  dirty_ = true;
}

void MetadataBroadcaster::OnWritten(Stream& stream, bool ok) {
  absl::MutexLock lock(&mutex_);
  stream.on_the_way = nullptr;
  dirty_ = true;
  if (!ok && !stream.ending) stream.ending = grpc::Status::CANCELLED;
  if (stream.ending) End(stream, *stream.ending);
}

void MetadataBroadcaster::OnCancelled(Stream& stream) {
  absl::MutexLock lock(&mutex_);
  End(stream, grpc::Status::CANCELLED);
}

void MetadataBroadcaster::OnDone(Stream& stream) {
  absl::MutexLock lock(&mutex_);
  streams_.erase(stream.id);
}

}  // namespace naru::services
