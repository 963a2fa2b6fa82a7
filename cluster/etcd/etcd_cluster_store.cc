#include "cluster/etcd/etcd_cluster_store.h"

#include <utility>

#include "storage/base/check.h"
#include "storage/base/status.h"
#include "storage/base/strings.h"

namespace naru::cluster {
namespace {

absl::Status Unavailable(const grpc::Status& status) {
  return absl::UnavailableError(absl::StrCat("etcd did not answer: ", status.error_message(), " (",
                                             static_cast<int>(status.error_code()), ")"));
}

absl::Status Stopped() { return MakeError(Reason::kShuttingDown, "the metadata store is being stopped"); }

}  // namespace

struct EtcdClusterStore::ReadUnderWay {
  ReadDone done;
  int64_t sent_ns = 0;
  KeyRange rest;
  int64_t revision = 0;  // of the first page; 0: not there yet
  ClusterMetadata metadata;
};

EtcdClusterStore::EtcdClusterStore(EtcdOptions options, const Clock& clock, EventLog& events)
    : options_(std::move(options)),
      keys_(options_.prefix),
      events_(events),
      loop_(std::make_shared<EventLoop>(clock)),
      client_(options_, loop_, events),
      election_(options_, keys_, client_, *loop_, events) {
  NARU_CHECK_OK(options_.Validate());
  loop_->Start();
}

EtcdClusterStore::~EtcdClusterStore() { Stop(); }

void EtcdClusterStore::Stand(std::string address, Elected elected, Deposed deposed) {
  EtcdElection::Listener listener;
  listener.seen = [this](const std::string& seen) {
    absl::MutexLock lock(&mutex_);
    elected_address_ = seen;
  };
  listener.elected = [this, elected = std::move(elected)](int64_t term) {
    Count([](EtcdStats& stats) { ++stats.elections_won; });
    elected(term);
  };
  listener.deposed = [this, deposed = std::move(deposed)](int64_t term) {
    Count([](EtcdStats& stats) { ++stats.elections_lost; });
    deposed(term);
  };
  loop_->Post([this, address = std::move(address), listener = std::move(listener)]() mutable {
    election_.Stand(std::move(address), std::move(listener));
  });
}

std::string EtcdClusterStore::ElectedAddress() const {
  absl::MutexLock lock(&mutex_);
  return elected_address_;
}

EtcdStats EtcdClusterStore::Stats() const {
  EtcdStats stats;
  {
    absl::MutexLock lock(&mutex_);
    stats = stats_;
  }
  stats.requests_failed = client_.failures();
  stats.reachable = client_.reachable();
  return stats;
}

// ---- writing ----

void EtcdClusterStore::Write(const MetadataWrite& write, const ClusterMetadata& before, WriteDone done) {
  // Here, not on the loop's thread: `before` is the caller's, and large.
  auto request = EncodeWrite(keys_, write, before);
  loop_->Post([this, term = write.term, request = std::move(request), done = std::move(done)]() mutable {
    if (request.ok()) {
      Send(term, *std::move(request), std::move(done));
    } else {
      Refuse(term, request.status(), std::move(done));
    }
  });
}

void EtcdClusterStore::Send(int64_t term, etcdserverpb::TxnRequest request, WriteDone done) {
  if (stopping_) return OnAnswered(term, WriteOutcome::kUnknown, std::move(done));
  const int64_t sent_ns = loop_->NowNs();
  client_.Txn(std::move(request), options_.request_timeout_ms,
              [this, term, sent_ns, done = std::move(done)](
                  const grpc::Status& status, const etcdserverpb::TxnResponse& response) mutable {
                if (status.ok()) return OnAnswered(term, DecodeOutcome(response, term), std::move(done));
                if (!std::exchange(last_write_unknown_, true)) {
                  events_.Write(Severity::kWarning, "etcd_write_unknown",
                                {{"term", term}, {"error", status.error_message()}});
                }
                AnswerFailure(sent_ns, [this, term, done = std::move(done)]() mutable {
                  OnAnswered(term, WriteOutcome::kUnknown, std::move(done));
                });
              });
}

void EtcdClusterStore::OnAnswered(int64_t term, WriteOutcome outcome, WriteDone done) {
  Count([outcome](EtcdStats& stats) {
    switch (outcome) {
      case WriteOutcome::kWritten:
        ++stats.writes_written;
        break;
      case WriteOutcome::kOvertaken:
        ++stats.writes_overtaken;
        break;
      case WriteOutcome::kDeposed:
        ++stats.writes_deposed;
        break;
      case WriteOutcome::kUnknown:
        ++stats.writes_unknown;
        break;
    }
  });
  if (outcome != WriteOutcome::kUnknown) last_write_unknown_ = false;
  if (outcome == WriteOutcome::kDeposed) election_.GiveUp(term, "a write found another term");
  done(outcome);
}

void EtcdClusterStore::Refuse(int64_t term, const absl::Status& why, WriteDone done) {
  events_.Write(Severity::kError, "etcd_write_refused", {{"term", term}, {"error", Std(why.message())}});
  Count([](EtcdStats& stats) { ++stats.writes_refused; });
  election_.GiveUp(term, "a write could not be made");
  done(WriteOutcome::kDeposed);
}

// ---- reading ----

void EtcdClusterStore::Read(ReadDone done) {
  loop_->Post([this, done = std::move(done)]() mutable {
    auto read = std::make_shared<ReadUnderWay>();
    read->done = std::move(done);
    read->sent_ns = loop_->NowNs();
    read->rest = keys_.All();
    ++reads_under_way_;
    if (stopping_) return FinishRead(*read, Stopped());
    if (reads_under_way_ > kReadsMax) {
      return FinishRead(
          *read, absl::UnavailableError(absl::StrCat(kReadsMax, " reads are under way, as many as may")));
    }
    ReadPage(std::move(read));
  });
}

void EtcdClusterStore::ReadPage(std::shared_ptr<ReadUnderWay> read) {
  etcdserverpb::RangeRequest request;
  request.set_key(read->rest.begin);
  request.set_range_end(read->rest.end);
  request.set_limit(options_.page_keys_max);
  request.set_revision(read->revision);
  client_.Range(std::move(request), options_.request_timeout_ms,
                [this, read = std::move(read)](const grpc::Status& status,
                                               const etcdserverpb::RangeResponse& response) mutable {
                  if (stopping_) return FinishRead(*read, Stopped());
                  absl::Status taken = status.ok() ? TakePage(response, *read) : Unavailable(status);
                  if (taken.ok() && response.more()) return ReadPage(std::move(read));
                  if (taken.ok()) return FinishRead(*read, std::move(read->metadata));
                  const int64_t sent_ns = read->sent_ns;
                  AnswerFailure(sent_ns, [this, read = std::move(read), taken = std::move(taken)] {
                    FinishRead(*read, taken);
                  });
                });
}

absl::Status EtcdClusterStore::TakePage(const etcdserverpb::RangeResponse& response, ReadUnderWay& read) {
  // Later pages are read as of the first one's revision.
  if (read.revision == 0) read.revision = response.header().revision();
  for (const mvccpb::KeyValue& key : response.kvs())
    NARU_RETURN_IF_ERROR(DecodeKey(keys_, key, read.metadata));
  if (!response.more()) return CheckDecoded(keys_, read.metadata);
  if (response.kvs().empty())
    return absl::UnavailableError("etcd answered with an empty page and says there is more");
  read.rest.begin = response.kvs().rbegin()->key() + '\0';
  return absl::OkStatus();
}

void EtcdClusterStore::FinishRead(ReadUnderWay& read, absl::StatusOr<ClusterMetadata> result) {
  --reads_under_way_;
  Count([&result](EtcdStats& stats) { ++(result.ok() ? stats.reads : stats.reads_failed); });
  read.done(std::move(result));
}

// ---- ending ----

void EtcdClusterStore::AnswerFailure(int64_t sent_ns, EventLoop::Task answer) {
  const int64_t left_ms = options_.poll_interval_ms - (loop_->NowNs() - sent_ns) / 1'000'000;
  if (stopping_ || left_ms <= 0) return answer();
  const uint64_t id = next_late_answer_++;
  late_answers_[id] = std::move(answer);
  loop_->After(left_ms, [this, id] {
    if (auto late = late_answers_.extract(id)) late.mapped()();
  });
}

void EtcdClusterStore::Stop() {
  absl::MutexLock lock(&stop_mutex_);
  if (std::exchange(stopped_, true)) return;
  loop_->Post([this] { ShutDown(); });
  loop_->Join();
}

void EtcdClusterStore::ShutDown() {
  stopping_ = true;
  client_.CancelAll();
  election_.End();
  for (auto& [id, answer] : std::exchange(late_answers_, {})) answer();
  {
    absl::MutexLock lock(&mutex_);
    elected_address_.clear();
  }
  client_.WhenIdle([this] { loop_->Quit(); });
}

}  // namespace naru::cluster
